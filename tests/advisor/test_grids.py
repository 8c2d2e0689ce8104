import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.advisor.expressions import parse
from kistack.advisor.grids import ABSENT, Grid, matching
from kistack.advisor.policies import load_policies


def grid(text):
    return Grid(parse(text).atoms)


def test_a_number_is_tried_on_every_boundary_and_on_each_side():
    values = grid("model.params > 1e9 && model.params * 2.0 <= 8e9").values(("model", "params"), {})
    assert values[-1] is ABSENT
    numbers = sorted(v for v in values if v is not ABSENT)
    assert {0.0, 1e9, 4e9} <= set(numbers)
    assert any(0 < v < 1e9 for v in numbers)
    assert any(1e9 < v < 4e9 for v in numbers)
    assert any(v > 4e9 for v in numbers)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5, unique=True), st.integers(0, 1100))
def test_every_value_has_one_that_stands_for_it(cuts, value):
    text = " || ".join(f"model.params > {c}.0" for c in cuts)
    tried = [v for v in grid(text).values(("model", "params"), {}) if v is not ABSENT]
    signs = [(value > c) - (value < c) for c in cuts]
    assert any([(v > c) - (v < c) for c in cuts] == signs for v in tried)


def test_counts_are_whole_and_shares_end_at_one():
    assert all(v is ABSENT or v == int(v) for v in grid("serving.gpus > 0.5").values(("serving", "gpus"), {}))
    shares = grid("pairs.leakage > 0.3").values(("pairs", "leakage"), {})
    assert {0.0, 0.3, 1.0} <= set(shares)
    assert all(v is ABSENT or 0 <= v <= 1 for v in shares)


def test_a_fact_that_others_bound_is_tried_at_that_bound():
    found = grid("teacher.params >= model.params * 2.0")
    assert 6.0 in found.values(("teacher", "params"), {("model", "params"): 3.0})


def test_texts_are_those_named_and_one_that_is_not():
    found = grid("corpus.licence == 'MIT' || corpus.licence.startsWith('GPL')")
    values = found.values(("corpus", "licence"), {})
    assert {"MIT", "GPL", "something else", ""} <= set(values)
    assert grid("scenario.task == 'x'").values(("scenario", "task"), {}) == ["facts", "behaviour", "both"]


def test_what_no_profile_has_is_always_absent():
    assert grid("pairs.trian > 1").values(("pairs", "trian"), {}) == [ABSENT]


def test_candidates_are_such_as_composing_makes():
    views = grid(
        "candidate.bits < 5.0 && candidate.passages > 2.0 && candidate.student_ratio < 0.9 "
        "&& 'pairs' in candidate.trains_on && candidate.trained_with_passages"
    ).views([])
    assert views[0]["techniques"] == []
    assert {tuple(v["techniques"]) for v in views} >= {("retrieve", "distill", "tune", "quantize"), ("tune",)}
    for view in views:
        assert [s.partition("/")[0] for s in view["stages"]] == view["techniques"]
        if "retrieve" not in view["techniques"]:
            assert view["passages"] == 0
        if view["techniques"] in ([], ["retrieve"]):
            assert not view["trains_on"]
            assert not view["trained_with_passages"]
    assert any(v["bits"] < 5 for v in views)


def test_stages_that_conditions_or_rules_name_are_tried_alone_and_together():
    found = grid("'tune/lora' in candidate.stages")
    stages = {tuple(v["stages"]) for v in found.views(["tune/full*"]) if v["techniques"] == ["tune"]}
    assert stages == {("tune/other",), ("tune/lora",), ("tune/full",), ("tune/full", "tune/lora")}
    assert found.whole(["tune/full*"])
    assert not found.whole([f"tune/t{n}" for n in range(5)])


def test_settings_of_stages_are_tried():
    views = grid("candidate.settings.tune.rank > 8.0").views([])
    ranks = {v["settings"]["tune"].get("rank", "none") for v in views if "tune" in v["techniques"]}
    assert {"none", 8.0} <= ranks
    assert any(isinstance(r, float) and r > 8 for r in ranks)
    assert all("tune" not in v["settings"] for v in views if "tune" not in v["techniques"])


@pytest.mark.parametrize(
    "pattern", ["(?i)(mit|apache-2)", r"^gpl-\d(\.0)?$", "a+b{2}c?", "[^x]yz", "llama.*licen[sc]e", "plain"]
)
def test_texts_that_match_a_pattern_are_written(pattern):
    found = matching(pattern)
    assert found
    assert all(re.search(pattern, text) for text in found)


def test_each_branch_of_a_pattern_is_written_and_what_is_no_pattern_is_not():
    assert matching("(?i)(mit|apache)") == ["mit", "apache"]
    assert matching("(") == []


def test_patterns_of_rules_become_names(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "name: p\nrules:\n"
        "- {id: a, strength: avoids, techniques: ['tune/*', 'prune/h?ad[sz]'], because: because it is}\n"
    )
    (rule,) = load_policies([path])
    views = grid("true").views(rule.techniques)
    assert any(rule.concerns(v["techniques"], v["stages"]) for v in views if "tune" in v["techniques"])
    assert any(
        rule.concerns([], v["stages"]) for v in views if "prune" in v["techniques"] and "tune" not in v["techniques"]
    )
