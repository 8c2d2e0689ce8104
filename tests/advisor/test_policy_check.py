import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.advisor.conditions import Judge, condition
from kistack.advisor.policies import load_policies, policy_paths, shipped_policies
from kistack.advisor.policy_check import check_rules, fires
from kistack.advisor.witnesses import search


@pytest.fixture
def checked(tmp_path):
    """Check rules given as (condition, strength, techniques, points)."""

    def checking(*rules):
        lines = ["name: mine", "rules:"]
        for number, (when, strength, techniques, *points) in enumerate(rules):
            lines += [f"- id: rule-{number}", f"  when: >-\n    {when}" if when else "  when: ''"]
            lines += [f"  strength: {strength}", f"  techniques: [{techniques}]", f"  points: {(*points, 0)[0]}"]
            lines += ["  because: a sentence that says why"]
        path = tmp_path / "mine.yaml"
        path.write_text(textwrap.dedent("\n".join(lines)))
        return check_rules(load_policies([path]))

    return checking


FIRING = [
    ("", "prefers", "retrieve"),
    ("pairs.train > 100.0 && pairs.train < 102.0", "prefers", "tune"),
    ("teacher.params >= model.params * 2.0 && model.params > 1e9", "prefers", "distill"),
    ("freshness.changed_per_day * scenario.horizon_days >= 0.02", "notes", ""),
    ("!has(teacher.params) || teacher.params < 1e9", "notes", ""),
    ("scenario.task in ['both', 'facts'] && !scenario.local_only", "notes", ""),
    ("corpus.licence.matches('(?i)^gpl-[23]') && corpus.licence.endsWith('only')", "notes", ""),
    ("'tune/lora' in candidate.stages", "avoids", "tune/lor*"),
    ("candidate.stages.exists(s, s.startsWith('prune/')) && size(candidate.techniques) > 1", "avoids", "prune/heads"),
    ("candidate.settings.tune.rank > 8.0 && candidate.settings.tune.rank < model.hidden", "avoids", "tune"),
    ("candidate.settings.quantize.kind == 'Q4_0'", "avoids", "quantize"),
    ("candidate.passages * 200.0 > model.context", "avoids", "retrieve"),
    ("model.params / pairs.train > 1e6 && 1.0 / pairs.train > 0.01", "avoids", "retrieve"),
    ("has(hardware.gpu1_free) && hardware.gpu1_free < 8e9", "notes", ""),
    ("pairs.train > 5.0", "requires", "tune"),
    ("'prune' in candidate.techniques && 'tune' in candidate.techniques", "avoids", "tune"),
    ("candidate.techniques.exists(t, t in ['prune', 'merge'])", "avoids", "prune/heads"),
]


@pytest.mark.parametrize("rule", FIRING, ids=lambda r: r[0][:40])
def test_a_rule_that_can_fire_has_a_witness_for_which_it_does(checked, rule):
    found = checked(rule)
    (finding,) = found.findings
    assert finding.outcome == "can fire", finding.why
    assert fires(finding.rule, finding.witness.profile, finding.witness.candidate)
    assert found.sound


DEAD = [
    ("pairs.train > 100.0 && pairs.train < 50.0", "prefers", "tune", "never hold together"),
    ("model.params > 5e9 && model.params * 2.0 < 4e9 && teacher.params > model.params", "notes", "", "never hold"),
    ("model.params > teacher.params && !(model.params > teacher.params)", "notes", "", "never hold together"),
    ("scenario.task == 'fact'", "notes", "", "scenario.task == 'fact' never holds"),
    ("has(pairs.train) && !has(pairs.train)", "notes", "", "never hold together"),
    ("!has(scenario.task)", "notes", "", "never holds"),
    ("serving.gpus > 0.0 && serving.gpus < 1.0", "notes", "", "never hold together"),
    ("pairs.leakage > 1.0", "notes", "", "never holds"),
    ("scenario.task > 3", "notes", "", "overload"),
    ("model.params * 2 > 5.0", "notes", "", "never holds: "),
    ("!('tune' in candidate.techniques)", "prefers", "tune", "no candidate with tune"),
    ("'tune' in candidate.techniques", "requires", "tune", "no candidate without tune"),
    ("'tunes' in candidate.techniques", "avoids", "tune", "never holds"),
    ("candidate.passages > 0.0", "avoids", "nothing", "no candidate with nothing"),
    ("'tune' in candidate.techniques", "notes", "", "names no technique"),
    ("'pear' in candidate.trains_on", "avoids", "tune", "never holds"),
]


@pytest.mark.parametrize("rule", DEAD, ids=lambda r: r[0][:40])
def test_a_rule_that_cannot_fire_is_told_with_the_part_that_never_holds(checked, rule):
    *given_, why = rule
    found = checked(given_)
    (finding,) = found.findings
    assert finding.outcome == "cannot fire"
    assert finding.witness is None
    assert why in finding.why
    assert not found.sound


def test_what_cannot_be_told_of_stages_is_not_claimed():
    asked = condition("candidate.stages.exists(s, size(s) > 40)")
    assert search([asked]).outcome == "open"


def test_what_is_neither_shown_nor_excluded_is_called_that(checked):
    found = checked(("teacher.params >= model.params * 2.0 && teacher.params < model.params", "notes", ""))
    (finding,) = found.findings
    assert finding.outcome == "not shown to fire"
    assert "neither" in finding.why
    assert found.sound


def test_a_search_gives_up_rather_than_claim():
    asked = condition("pairs.train > 100.0 && pairs.train < 50.0")
    assert search([asked]).outcome == "impossible"
    found = search([asked], most=3)
    assert found.outcome == "open"
    assert found.questions <= 3


def test_misspelt_facts_are_named(checked):
    found = checked(("pairs.trian > 5.0", "notes", ""), ("!has(freshness.changed_per_week)", "notes", ""))
    assert [f.strangers for f in found.findings] == [
        (("pairs.trian", "pairs.train"),),
        (("freshness.changed_per_week", "freshness.changed_per_day"),),
    ]
    assert [f.outcome for f in found.findings] == ["cannot fire", "can fire"]
    assert not found.sound


CONTRADICTIONS = [
    (("pairs.train > 5.0", "requires", "tune"), ("pairs.train < 10.0", "forbids", "tune")),
    (("", "requires", "tune/lora"), ("has(pairs.train)", "forbids", "tune")),
    (("", "requires", "retrieve+tune"), ("scenario.local_only", "forbids", "retrieve")),
    (("", "requires", "tune"), ("", "forbids", "tune, distill")),
    (("model.params > 1e9", "prefers", "tune", 1), ("model.params < 2e9", "avoids", "tune", 3)),
    (("", "prefers", "tune, distill", 1), ("candidate.bits < 5.0", "avoids", "distill, tune", 3)),
]


@pytest.mark.parametrize("rules", CONTRADICTIONS)
def test_rules_that_hold_together_and_say_opposite_things_contradict(checked, rules):
    for ordered in (rules, rules[::-1]):
        found = checked(*ordered)
        (contradiction,) = found.contradictions
        judge = Judge(contradiction.witness.profile)
        for rule in (contradiction.first, contradiction.second):
            assert judge.ask(rule.when, contradiction.witness.candidate).holds
        assert not found.sound


COMPATIBLE = [
    (("pairs.train > 10.0", "requires", "tune"), ("pairs.train <= 10.0", "forbids", "tune")),
    (("", "requires", "tune, distill"), ("", "forbids", "tune")),
    (("", "requires", "retrieve"), ("", "forbids", "retrieve+tune")),
    (("", "requires", "tune"), ("", "forbids", "tune/lora")),
    # A tuner that learns from nothing but documents is still allowed.
    (("", "requires", "tune"), ("'pairs' in candidate.trains_on", "forbids", "tune")),
    (("model.params > 2e9", "prefers", "tune", 1), ("model.params < 2e9", "avoids", "tune", 3)),
    (("", "prefers", "tune", 1), ("", "avoids", "tune", 0)),
    (("", "prefers", "tune", 1), ("", "avoids", "tune, distill", 1)),
    (("", "prefers", "tune", 1), ("", "prefers", "tune", 1)),
]


@pytest.mark.parametrize("rules", COMPATIBLE)
def test_rules_that_leave_a_way_do_not_contradict(checked, rules):
    assert not checked(*rules).contradictions


def test_all_shipped_policies_can_fire_and_agree():
    found = check_rules(load_policies(policy_paths(shipped_policies())))
    assert {f.outcome for f in found.findings} == {"can fire"}
    assert not found.contradictions
    assert not any(f.strangers for f in found.findings)
    for finding in found.findings:
        assert fires(finding.rule, finding.witness.profile, finding.witness.candidate)


NAMES = ("model.params", "pairs.train", "pairs.leakage")
ATOMS = st.one_of(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(["<", "<=", ">", ">=", "=="]), st.sampled_from([0.0, 0.5, 1.0, 3.0])
    ).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
    st.sampled_from(NAMES).map(lambda n: f"has({n})"),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"!({t})"),
    ),
    max_leaves=6,
)
VALUES = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))


@given(CONDITIONS, st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES)))
def test_a_condition_called_impossible_holds_for_no_profile(text, facts):
    from kistack.domain.facts import Profile, measured

    asked = condition(text)
    found = search([asked])
    if found.witness is not None:
        assert Judge(found.witness.profile).ask(asked).holds
    else:
        facts["pairs.train"] = None if facts["pairs.train"] is None else round(4 * facts["pairs.train"])
        profile = Profile({n: measured(v, "drawn") for n, v in facts.items() if v is not None})
        assert not Judge(profile).ask(asked).holds
        assert found.outcome == "impossible"
