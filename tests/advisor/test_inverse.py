import json
from functools import cache

import pytest
from advisor import onpaper
from advisor.onpaper import profile_of

from kistack.advisor.changes import under
from kistack.advisor.inverse import answers, read_target, what_must_change
from kistack.advisor.judging import Bench
from kistack.domain.scenario import Scenario
from kistack.errors import InputError
from kistack.plugins.host import load_host


@cache
def host():
    return load_host(entry_points=False, extra={"paper": onpaper}, disabled=())


def bench(**facts):
    return Bench(Scenario(name="x", models={"base": "paper:135m"}), profile_of(**facts), host())


def test_a_target_is_read_in_the_order_of_a_plan():
    assert read_target("for=tune+retrieve") == "retrieve+tune"
    assert read_target("nothing") == "nothing"
    with pytest.raises(InputError, match="distil") as caught:
        read_target("for=distil")
    assert "did you mean 'distill'" in caught.value.hint
    with pytest.raises(InputError, match="nothing"):
        read_target("nothing+tune")


def test_at_least_these_techniques_answer_and_nothing_means_nothing():
    assert answers("retrieve+distill+quantize", "distill+quantize")
    assert not answers("retrieve+distill", "distill+quantize")
    assert answers("nothing", "nothing")
    assert not answers("quantize", "nothing")


def test_what_wins_already_needs_no_change():
    found = what_must_change(bench(), "tune")
    assert found.already
    assert found.sentences == ("nothing must change: tune is recommended as it is",)


@pytest.mark.parametrize("target", ["distill", "nothing"])
def test_a_single_change_really_makes_it_win(target):
    asked = bench()
    found = what_must_change(asked, target)
    assert found.single
    assert len({f.fact for f in found.single}) == len(found.single)
    for flip in found.single:
        assert answers(asked.judge(under(asked.profile, {flip.fact: flip.at})).winner, target)
        assert not answers(asked.judge(under(asked.profile, {flip.fact: flip.until})).winner, target)
    document = found.to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["means"] == ("the bare model alone" if target == "nothing" else "at least these techniques")


def test_two_changes_where_one_does_not_suffice():
    asked = bench(model="1b7", scenario__limit_memory=1.9e9)
    found = what_must_change(asked, "nothing")
    assert not found.single
    assert found.pairs
    for one, two in found.pairs:
        assert asked.judge(under(asked.profile, {one.fact: one.at, two.fact: two.at})).winner == "nothing"
        assert asked.judge(under(asked.profile, {one.fact: one.at})).winner != "nothing"
        assert asked.judge(under(asked.profile, {two.fact: two.at})).winner != "nothing"
    assert "of memory while serving were allowed (now 1.9 GB)" in found.sentences[0]
    assert ", and " in found.sentences[0]


def test_why_nothing_within_the_ranges_helps():
    no_pairs = bench(pairs__identity=None, pairs__train=None, items__identity=None)
    missing = what_must_change(no_pairs, "tune").why
    assert "no such plan can be composed" in missing
    assert "name pairs under knowledge.pairs" in missing
    private = bench(scenario__erasable=True)
    barred = what_must_change(private, "tune")
    assert "private-documents-stay-out-of-weights forbids it" in barred.why
    assert barred.sentences == (barred.why,)
    known = bench(model="7b", train="server", serve="server", probe__closed_book=0.92, freshness__changed_per_day=0.0)
    assert "quantize" in what_must_change(known, "distill+tune").why
