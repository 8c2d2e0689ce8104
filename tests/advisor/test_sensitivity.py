import math
from functools import cache

import pytest
from advisor import onpaper
from advisor.onpaper import profile_of

from kistack.advisor.changes import WhatIf, under
from kistack.advisor.judging import Bench
from kistack.advisor.levers import TOPICS, levers
from kistack.advisor.sensitivity import NEAREST, TOLERANCE, flips, sentence
from kistack.advisor.shortlists import representatives
from kistack.domain.scenario import Scenario
from kistack.plugins.host import load_host

SITUATIONS = {
    "laptop": {},
    "phone": {"scenario__task": "behaviour", "serve": "phone", "pairs__train": 1000},
    "tight": {"model": "1b7", "scenario__limit_memory": 1.9e9},
    "known": {"model": "7b", "train": "server", "serve": "server", "probe__closed_book": 0.92,
              "freshness__changed_per_day": 0.0},
    "changing": {"scenario__task": "both", "freshness__changed_per_day": 0.002, "scenario__at_least": 0.3,
                 "pairs__train": 60},
}  # fmt: skip


@cache
def host():
    return load_host(entry_points=False, extra={"paper": onpaper}, disabled=())


def bench_of(name):
    return Bench(Scenario(name="x", models={"base": "paper:135m"}), profile_of(**SITUATIONS[name]), host())


@cache
def searched(name):
    bench = bench_of(name)
    return bench, flips(bench, thorough=True)


@pytest.mark.parametrize("name", ["laptop", "known"])
def test_beyond_a_flip_others_win_and_before_it_the_choice_stands(name):
    bench, found = searched(name)
    here = bench.judgement.winner
    assert len(found.flips) >= 4
    for flip in found.flips:
        # All candidates are judged, as a what-if does.
        assert flip.confirmed
        assert bench.judge(under(bench.profile, {flip.fact: flip.at})).winner == flip.winner != here
        assert bench.judge(under(bench.profile, {flip.fact: flip.until})).winner == here, flip


def test_a_flip_that_is_set_as_a_what_if_is_the_same_change():
    bench, found = searched("laptop")
    for flip in found.flips:
        for value in (flip.at, flip.until):
            made = WhatIf({flip.fact: repr(value)}, bench.scenario, bench.profile)
            assert bench.profile.updated(made.facts) == under(bench.profile, {flip.fact: value})


@pytest.mark.parametrize("name", ["laptop", "known"])
def test_flips_are_narrow_within_their_range_and_the_nearest_come_first(name):
    bench, found = searched(name)
    known = {lever.fact: lever for lever in levers(bench.profile, bench.judgement.order)}
    assert known.keys() <= TOPICS.keys()
    for flip in found.flips:
        low, high = found.ranges[flip.fact]
        assert low <= flip.at <= high
        assert (flip.at < flip.until) == (flip.direction == "less")
        assert known[flip.fact].close(flip.at, flip.until, TOLERANCE)
        assert flip.winner in flip.sentence or flip.winner in {"", "nothing"}
    distances = [math.inf if f.distance is None else f.distance for f in found.flips]
    assert distances == sorted(distances)
    assert len({(f.fact, f.direction) for f in found.flips}) == len(found.flips)


@pytest.mark.parametrize("name", ["phone", "tight", "changing"])
def test_what_is_looked_for_at_once_is_confirmed_too_where_it_is_shown(name):
    bench = bench_of(name)
    here = bench.judgement.winner
    efforts = {lever.fact: lever.effort for lever in levers(bench.profile, bench.judgement.order)}
    found = flips(bench).flips[:NEAREST]
    assert sum(f.confirmed for f in found) >= 3
    for flip in found:
        assert flip.confirmed or efforts[flip.fact] == "composing"
        if flip.confirmed:
            assert bench.judge(under(bench.profile, {flip.fact: flip.at})).winner == flip.winner != here
            assert bench.judge(under(bench.profile, {flip.fact: flip.until})).winner == here


def test_flips_are_deterministic_and_a_bound_on_cost_leaves_facts_out():
    first, second = bench_of("phone"), bench_of("phone")
    _ = first.judgement
    composed, predicted = first.compositions.count, first.predicted
    found = flips(first)
    assert found == flips(second)
    assert found.left_out
    assert {f.fact for f in found.flips} <= set(found.ranges)
    assert not searched("laptop")[1].left_out
    # One lever that was begun is finished, and the nearest are confirmed.
    assert first.compositions.count - composed < 400
    assert first.predicted - predicted < 500


def test_a_limit_flips_exactly_where_the_winner_no_longer_keeps_it():
    bench, found = searched("laptop")
    winners = [j.candidate for j in bench.judgement.order if j.candidate.name == bench.judgement.winner]
    (memory,) = [f for f in found.flips if f.fact == "scenario.limit_memory"]
    assert memory.until in {c.estimate.cost("serving_peak_bytes") for c in winners}
    assert memory.now is None
    assert memory.direction == "less"
    assert memory.sentence.endswith("of memory while serving were allowed (now not stated)")


def test_faster_change_is_told_in_days():
    bench = bench_of("changing")
    (lever,) = [x for x in levers(bench.profile, ()) if x.fact == "freshness.changed_per_day"]
    told = sentence("retrieve+tune", lever, "less", 1 / 80)
    assert told == "retrieve+tune would win if the corpus changed less than once in 80 days (now once in 500 days)"
    assert sentence("", lever, "more", 0.5).startswith("no combination would keep the limits if")
    assert sentence("nothing", lever, "more", 0.5).startswith("the bare model would win if the corpus changed more")


def test_weights_alone_win_where_content_hardly_changes():
    """A model that knows its facts needs an index only where they change: that is a flip of the rate of change."""
    facts = {"model": "7b", "train": "server", "serve": "server", "probe__closed_book": 0.92,
             "freshness__changed_per_day": 0.02}  # fmt: skip
    bench = Bench(Scenario(name="x", models={"base": "paper:135m"}), profile_of(**facts), host())
    assert "retrieve" in bench.judgement.winner
    found = {(f.fact, f.direction): f for f in flips(bench, thorough=True).flips}
    slower = found["freshness.changed_per_day", "less"]
    assert "retrieve" not in slower.winner
    assert slower.at < 0.02
    assert ("freshness.changed_per_day", "more") not in found


def test_the_best_of_each_set_stand_for_it():
    bench, _ = searched("laptop")
    order = bench.judgement.order
    standing = representatives(order)
    assert {j.candidate.name for j in standing} == {j.candidate.name for j in order}
    assert len(standing) < len(order)
    assert bench.judgement.best in standing
    numbers = {j.number for j in standing}
    # A limit that only some keep is decided by those who stand for the others, whatever it is.
    for fact, cost in (("limit_memory", "serving_peak_bytes"), ("limit_disk", "bytes"), ("limit_training", "seconds")):
        for need in sorted({j.candidate.estimate.cost(cost) for j in order})[::6]:
            profile = under(bench.profile, {f"scenario.{fact}": need})
            options = bench.compositions.options(profile)[0]
            keys = {o.key for o in options if o.number in numbers}
            assert bench.judge(profile).winner == bench.judge(profile, wanted=lambda o: o.key in keys).winner  # noqa: B023


def test_nothing_to_flip_where_nothing_can_be_composed():
    facts = {"model__reference": None}
    bench = Bench(Scenario(name="x", models={"base": "paper:135m"}), profile_of(**facts), host())
    assert bench.judgement.winner == ""
    assert flips(bench).flips == ()
