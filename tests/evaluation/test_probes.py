import json

import hypothesis
import pytest
from hypothesis import strategies as st

from kistack.domain.facts import Profile, measured
from kistack.errors import StoreError
from kistack.evaluation.probes import (
    SHARES,
    Probe,
    Share,
    any_stored,
    keep,
    stored,
    unprobed,
    without_probe,
)

GROUNDS = {"base": "b", "pairs": "p", "corpus": "c", "retriever": "r", "embedder": "e", "metric": "contained"}
SHARE = st.floats(0, 1)


def made(**changes):
    fields = {
        "shares": {"closed_book": Share(0.125, 0.0, 0.4, 8), "recall": Share(1.0, 0.6, 1.0, 8)},
        "pairs": 8,
        "available": 30,
        "metric": "contained",
        "base": "toy:base",
        "retriever": "retrieve/toy",
        "grounds": GROUNDS,
        "missing": {"gold_passage": "no gold is named"},
        "made": "2026-11-25",
        "seconds": 3.25,
    }
    return Probe(**{**fields, **changes})


def test_facts_are_measured_and_give_count_and_interval():
    facts = made().facts()
    assert {f.source for f in facts.values()} == {"measured"}
    assert facts["probe.closed_book"].value == 0.125
    assert "8 training pairs" in facts["probe.closed_book"].why
    assert "95 % interval 0 to 40 %" in facts["probe.closed_book"].why
    assert facts["probe.pairs"].value == 8
    assert "no gold is named" in facts["probe.pairs"].why
    assert "probe.gold_passage" not in facts


@hypothesis.given(
    st.dictionaries(st.sampled_from(sorted(SHARES)), st.builds(Share, SHARE, SHARE, SHARE, st.integers(1)))
)
def test_a_kept_probe_is_read_back(tmp_path_factory, shares):
    folder = tmp_path_factory.mktemp("probes")
    keep(folder, made(shares=shares))
    assert stored(folder, GROUNDS) == made(shares=shares)


@pytest.mark.parametrize(
    ("ground", "words"),
    [
        ("base", "the base model has changed"),
        ("pairs", "the training pairs or their wording have changed"),
        ("corpus", "the documents have changed"),
        ("retriever", "the retriever has changed"),
        ("metric", "the metric has changed"),
    ],
)
def test_a_probe_of_something_else_is_not_used_and_the_reason_is_told(tmp_path, ground, words):
    keep(tmp_path, made())
    others = {**GROUNDS, ground: "another"}
    assert stored(tmp_path, others) is None
    fact = unprobed(tmp_path, others)["probe.pairs"]
    assert (fact.value, fact.source) == (0, "assumed")
    assert words in fact.why
    assert "2026-11-25" in fact.why


def test_the_nearest_probe_gives_the_reason(tmp_path):
    keep(tmp_path, made())
    keep(tmp_path, made(grounds={**GROUNDS, "base": "other", "pairs": "other"}, made="2026-11-26"))
    why = unprobed(tmp_path, {**GROUNDS, "corpus": "new"})["probe.pairs"].why
    assert "the documents have changed" in why
    assert "base model and" not in why


def test_nothing_kept_is_told_with_the_command_that_mends_it(tmp_path):
    assert not any_stored(tmp_path / "none")
    assert "nothing was probed yet" in unprobed(tmp_path / "none", GROUNDS)["probe.pairs"].why
    assert "kistack profile --probe" in unprobed(tmp_path, GROUNDS)["probe.pairs"].why


def test_a_damaged_or_newer_file_is_no_probe(tmp_path):
    keep(tmp_path, made())
    [path] = tmp_path.glob("*.json")
    whole = json.loads(path.read_text())
    assert whole["schema"] == 1
    for spoilt in ("{", json.dumps({**whole, "schema": 2}), json.dumps({**whole, "pairs": "many"}), "[]"):
        path.write_text(spoilt)
        assert stored(tmp_path, GROUNDS) is None
        assert "no probe can be read" in unprobed(tmp_path, GROUNDS)["probe.pairs"].why


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "probes").write_text("in the way")
    with pytest.raises(StoreError, match="is not a folder"):
        keep(tmp_path / "probes", made())


def test_an_earlier_probe_does_not_reach_the_next():
    profile = Profile({"model.params": measured(1.0, "read"), **made().facts()})
    assert set(without_probe(profile)) == {"model.params"}
