import subprocess
import sys

import pytest
from advisor.onpaper import profile_of

from kistack.advisor.conditions import Judge, condition, facts_of
from kistack.errors import InputError

VIEW = {"techniques": ["retrieve", "tune"], "bits": 8.5, "settings": {"tune": {"rank": 16.0}}}


@pytest.fixture
def judge():
    return Judge(profile_of(corpus__licence="MIT"))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("pairs.train >= 100", True),
        ("pairs.train >= 100.5 && scenario.task == 'facts'", True),
        ("freshness.changed_per_day * scenario.horizon_days > 0.02", True),
        ("model.params / 1e9 < 0.5", True),
        ("scenario.task in ['behaviour', 'both']", False),
        ("scenario.local_only", False),
        ("'tune' in candidate.techniques && candidate.bits < 10", True),
        ("candidate.techniques.exists(t, t == 'distill')", False),
        ("candidate.settings.tune.rank > 8", True),
        ("size(candidate.techniques) == 2", True),
        ("corpus.licence.matches('(?i)mit')", True),
    ],
)
def test_conditions_over_profile_and_candidate(judge, text, holds):
    verdict = judge.ask(condition(text), VIEW)
    assert verdict.holds is holds
    assert not verdict.fault


@pytest.mark.parametrize(
    "text",
    [
        "teacher.params > 1",
        "probe.closed_book > 0.5",
        "scenario.limit_memory > 1",
        "candidate.settings.quantize.kind == 'x'",
    ],
)
def test_a_fact_nobody_knows_holds_nothing(judge, text):
    verdict = judge.ask(condition(text), VIEW)
    assert not verdict.holds
    assert not verdict.fault
    name = text.split()[0]
    if name.count(".") == 1:  # has() asks for the last part only
        assert judge.ask(condition(f"!has({name}) || {text}"), VIEW).holds


def test_what_cannot_be_compared_is_told(judge):
    verdict = judge.ask(condition("scenario.task > 3"))
    assert not verdict.holds
    assert "overload" in verdict.fault
    assert "not true or false" in judge.ask(condition("pairs.train")).fault
    assert set(judge.faults) == {"scenario.task > 3", "pairs.train"}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("pairs.train >", "does not parse", "CEL"),
        ("pair.train > 1", "'pair'", "did you mean 'pairs'"),
        ("candidate.rank > 1", "no 'rank'", "techniques"),
        ("pairs.train > 1 && weather.sunny", "'weather'", "conditions read"),
    ],
)
def test_mistakes_are_found_when_loading(text, message, hint):
    with pytest.raises(InputError, match=message) as caught:
        condition(text)
    assert hint in caught.value.hint


def test_names_in_strings_and_macros_are_no_facts():
    found = condition("candidate.stages.exists(s, s.startsWith('odd.name')) && scenario.task != \"no.fact\"")
    assert found.reads == {("candidate", "stages"), ("scenario", "task")}
    assert found.asks_candidate
    assert not condition("has(pairs.train)").asks_candidate


def test_numbers_are_doubles_and_unknown_facts_absent():
    facts = facts_of(profile_of(scenario__erasable="letters, tickets", pairs__test=None))
    assert facts["pairs"]["train"] == 330.0
    assert isinstance(facts["pairs"]["train"], float)
    assert facts["scenario"]["local_only"] is False
    assert facts["scenario"]["erasable"] is True
    assert "test" not in facts["pairs"]
    assert facts["probe"] == {}


def test_the_same_question_is_answered_once(judge):
    asked = condition("'tune' in candidate.techniques")
    first = judge.ask(asked, VIEW)
    assert judge.ask(asked, {**VIEW, "bits": 4.0}) is first
    assert judge.ask(asked, {"techniques": []}) is not first


def test_a_whole_section_can_be_read(judge):
    assert judge.ask(condition("size(candidate) == 3 && size(pairs) > 3"), VIEW).holds


@pytest.mark.parametrize("first", ["import cel", "pass"])
def test_whoever_imports_the_engine_first_nothing_breaks(first):
    code = f"{first}\nfrom kistack.advisor.conditions import condition\ncondition('pairs.train > 1.0')\nimport cel\n"
    code += "assert cel.compile('1 + 1').execute({}) == 2\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
