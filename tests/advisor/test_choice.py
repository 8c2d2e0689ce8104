import pytest
from advisor.onpaper import profile_of
from hypothesis import given
from hypothesis import strategies as st

from kistack.advisor.candidates import composed
from kistack.advisor.choice import Judged, Upkeep, front, gap, gives_up, ranked, rival, standing, upkeep_of
from kistack.advisor.features import features_of
from kistack.advisor.quality import Prediction
from kistack.composition.arranging import plan_of
from kistack.domain.advice import Candidate, Rejection
from kistack.domain.plan import Plan, Step
from kistack.domain.records import Estimate


def judged(quality, latency=1.0, *, number=0, kind="tune", memory=1e9, seconds=10.0, rejected=False, shifts=None):
    plan = Plan(steps=(Step(use=f"{kind}/a"),))
    costs = {"latency_seconds": latency, "serving_peak_bytes": memory, "bytes": memory, "seconds": seconds}
    rejections = (Rejection("memory", "2", "1", "more"),) if rejected else ()
    candidate = Candidate(plan, Estimate(costs), quality, quality - 9, quality + 9, rejections=rejections)
    prediction = Prediction(quality, None, None, {}, {})
    vars(prediction)["shifts"] = shifts or {"shared": 7.0}
    return Judged(candidate, number, prediction, Upkeep(100 * latency, 0.0, 0.0))


def test_clearly_better_wins_whatever_it_costs():
    good, cheap = judged(80, 9.0), judged(70, 0.1)
    assert ranked([cheap, good], 2.0) == [good, cheap]


def test_within_the_margin_the_cheaper_one_wins():
    good, cheap, worse = judged(80, 2.0), judged(78.5, 0.5), judged(77.5, 0.1)
    assert ranked([worse, good, cheap], 2.0) == [cheap, good, worse]
    assert ranked([worse, good, cheap], 1.0) == [good, worse, cheap]
    assert ranked([worse, good, cheap], 0.0) == [good, cheap, worse]


def test_equal_running_costs_are_decided_by_memory_then_size_then_building_then_the_first_guess():
    first = judged(80, memory=2e9, number=0)
    lean = judged(80, memory=1e9, number=1)
    quick = judged(80, memory=1e9, seconds=1.0, number=2)
    assert ranked([first, lean, quick], 2.0) == [quick, lean, first]
    twins = [judged(80, number=n) for n in (2, 0, 1)]
    assert [j.number for j in ranked(twins, 2.0)] == [0, 1, 2]


def test_rejected_ones_come_last_in_order_of_quality():
    kept, high, low = judged(10), judged(90, rejected=True), judged(50, rejected=True)
    assert ranked([low, high, kept], 2.0) == [kept, high, low]


rows = st.tuples(st.floats(0, 100), st.floats(0.01, 10), st.floats(1e8, 1e10), st.booleans())
pools = st.lists(rows, max_size=25)


def build(found):
    return [judged(q, lat, number=n, memory=m, rejected=r) for n, (q, lat, m, r) in enumerate(found)]


@given(pools, st.floats(0, 20))
def test_ranking_keeps_everybody_and_stays_within_the_margin(found, margin):
    pool = build(found)
    order = ranked(pool, margin)
    assert sorted(j.number for j in order) == list(range(len(pool)))
    assert order == ranked(pool[::-1], margin)
    kept = [j for j in order if j.candidate.kept]
    assert order[: len(kept)] == kept
    if kept:
        assert kept[0].candidate.quality >= max(j.candidate.quality for j in kept) - margin


@given(pools, st.floats(0, 20))
def test_the_front_is_what_nobody_beats(found, margin):
    order = ranked(build(found), margin)
    kept = {n: j for n, j in enumerate(order) if j.candidate.kept}
    first = front(order)
    assert set(first) <= set(kept)
    assert bool(first) == bool(kept)

    def axes(j):
        costs = j.candidate.estimate
        return (-round(j.candidate.quality, 1), costs.cost("latency_seconds"), costs.cost("serving_peak_bytes"))

    for n, j in kept.items():
        beaten = any(
            axes(o) != axes(j) and all(a <= b for a, b in zip(axes(o), axes(j), strict=True)) for o in kept.values()
        )
        assert (n in first) <= (not beaten)
        if not beaten:
            assert any(axes(kept[m]) == axes(j) for m in first)


@given(pools, st.floats(0, 20), st.sets(st.integers(0, 12)))
def test_whoever_asks_for_some_of_the_front_gets_those(found, margin, numbers):
    order = ranked(build(found), margin)
    assert standing(order, numbers) == set(front(order)) & numbers


def test_the_rival_has_other_techniques():
    order = [judged(80), judged(79), judged(70, kind="retrieve"), judged(90, kind="quantize", rejected=True)]
    assert rival(order) == 2
    assert rival(order[:2]) is None
    assert rival([order[3]]) is None


def test_a_gap_is_tied_when_its_whole_interval_lies_within_the_margin():
    one = judged(80, shifts={"shared": 7.0, "own": 0.5})
    near = judged(79, shifts={"shared": 7.0})
    found = gap(one, near, 2.0)
    assert (found.points, found.tied) == (1, True)
    assert found.high == pytest.approx(1 + 1.2816 * 0.5, rel=1e-3)
    assert found.confidence > 0.99
    far = gap(one, judged(79, shifts={"other": 7.0}), 2.0)
    assert not far.tied
    assert 0.5 < far.confidence < 0.7
    assert gap(one, judged(83, shifts=one.prediction.shifts), 2.0).confidence == 0
    assert gap(one, one, 0.0) == gap(one, one, 0.0)


def test_what_the_runner_up_gives_up():
    found = gives_up(judged(80, 2.0), judged(70, 0.5, memory=4e9, kind="retrieve"))
    assert (found["points"], found["latency_seconds"], found["serving_peak_bytes"]) == (10, -1.5, 3e9)
    assert found["upkeep_seconds_per_day"] == -150


def upkeep(host, techniques, **changes):
    profile = profile_of(**changes)
    pipeline = composed(plan_of(techniques, host), profile, host).pipeline
    return upkeep_of(profile, pipeline, features_of(profile, pipeline))


def test_upkeep_prices_traffic_refreshing_and_building(host):
    found = upkeep(host, "retrieve+tune")
    assert found.total == found.answering + found.refreshing + found.building
    assert found.refreshing == pytest.approx(15 + 1136 / 40)
    assert upkeep(host, "retrieve+tune", freshness__changed_per_day=0.0).refreshing == 0
    assert upkeep(host, "tune").refreshing == 0
    assert upkeep(host, "retrieve+tune", scenario__horizon_days=180).building == pytest.approx(found.building / 2)


def test_every_retraining_within_the_horizon_is_paid_for(host):
    once = upkeep(host, "retrieve+tune").building
    assert upkeep(host, "retrieve+tune", scenario__retrain_days=90).building == once
    thrice, six = (upkeep(host, "retrieve+tune", scenario__retrain_days=d).building for d in (30, 15))
    assert once < thrice < 3 * once + 1e-9
    assert (six - once) == pytest.approx(2.5 * (thrice - once))
    for plain in ("retrieve", "retrieve+quantize"):
        assert upkeep(host, plain, scenario__retrain_days=15).building == upkeep(host, plain).building
    often = upkeep(host, "retrieve", scenario__refresh_days=0.5)
    assert often.refreshing == pytest.approx(2 * upkeep(host, "retrieve", scenario__refresh_days=1).refreshing)


@given(st.floats(1, 1e6))
def test_doubling_traffic_never_makes_the_dearer_answer_look_cheaper(host, queries):
    dear, cheap = (
        [upkeep(host, t, scenario__queries_per_day=q) for q in (queries, 2 * queries)] for t in ("retrieve", "quantize")
    )
    assert dear[0].answering > cheap[0].answering
    assert dear[1].total - cheap[1].total >= dear[0].total - cheap[0].total
