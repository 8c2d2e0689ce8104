from dataclasses import replace

import numpy as np
import pytest
from sweeping.planted import planted

from kistack.domain.records import Measurement
from kistack.sweeping.regret import halves, regret

CELLS = {
    frozenset(): 0.1,
    frozenset({"retrieve"}): 0.5,
    frozenset({"tune"}): 0.2,
    frozenset({"quantize"}): 0.1,
    frozenset({"retrieve", "tune"}): 0.8,
    frozenset({"retrieve", "tune", "quantize"}): 0.7,
}


def answers(seed=0, items=400):
    """The same questions in the same order; each plan answers its share of them, the hard ones last."""
    hard = np.random.default_rng(seed).permutation(items)
    return {cell: (hard < share * items).astype(float) for cell, share in CELLS.items()}


def test_the_regret_of_a_planted_advisor_is_what_was_planted():
    found = regret(planted(answers(), advised="retrieve"))
    assert found.points.mean == pytest.approx(30)
    assert found.points.low > 20
    assert found.points.high < 40
    assert set(found.chosen) == {"retrieve+tune"}
    assert found.same_items == pytest.approx(30)
    assert found.best.plan == "retrieve+tune"
    assert found.best.points.mean == pytest.approx(-30)
    assert found.best.beats
    habits = {h.name: h for h in found.habits}
    assert habits["always both"].beats
    assert habits["do nothing"].points.mean == pytest.approx(40)
    assert not habits["do nothing"].beats
    assert habits["smallest quantization"].plan == "quantize"
    assert habits["smallest quantization"].points.mean == pytest.approx(40)
    assert habits["always retrieve"].points.mean == 0


def test_the_best_advice_has_no_regret():
    found = regret(planted(answers(), advised="retrieve+tune"))
    assert (found.points.mean, found.points.low, found.points.high) == (0, 0, 0)
    assert not any(h.beats for h in found.habits)


def test_choosing_and_scoring_on_the_same_items_would_find_regret_where_there_is_none():
    """Sixteen plans of the same quality: the best on its own items looks better than the advised one."""
    crossed, naive = [], []
    cells = [frozenset(c) for c in CELLS]
    for seed in range(60):
        generator = np.random.default_rng(seed)
        sweep = planted({c: (generator.uniform(size=200) < 0.5).astype(float) for c in cells}, advised="retrieve")
        found = regret(sweep)
        crossed.append(found.points.mean)
        naive.append(found.same_items)
    assert abs(np.mean(crossed)) < 1.5
    assert np.mean(naive) > 2.5


def test_the_best_must_be_feasible_by_what_was_measured():
    costs = {"retrieve+tune": {"serving_peak_bytes": 9e9}, "retrieve+tune+quantize": {"serving_peak_bytes": 1e9}}
    sweep = planted(answers(), advised="retrieve", limits={"memory": 4e9}, costs=costs)
    found = regret(sweep)
    assert set(found.chosen) == {"retrieve+tune+quantize"}
    assert found.points.mean == pytest.approx(20)
    assert "memory" in found.infeasible["retrieve+tune"]
    # On another machine than the one that serves, memory is what the advice expected it to be.
    assert set(regret(replace(sweep, serves_here=False)).chosen) == {"retrieve+tune"}


def test_a_prediction_that_was_too_careful_does_not_exclude_what_fits_but_a_rule_does():
    rejected = {"retrieve+tune": ["memory: 9 GB"], "retrieve+tune+quantize": ["rule: personal data is not trained on"]}
    costs = {"retrieve+tune": {"serving_peak_bytes": 1e9}}
    sweep = planted(answers(), advised="retrieve", limits={"memory": 4e9}, costs=costs, rejections=rejected)
    found = regret(sweep)
    assert "retrieve+tune" in found.feasible
    assert "personal data" in found.infeasible["retrieve+tune+quantize"]


def test_equal_scores_go_to_the_cheaper_and_costs_are_ratios():
    same = np.ones(10)
    cells = {frozenset({"retrieve"}): same, frozenset({"tune"}): same}
    costs = {
        "retrieve": {"latency_seconds": 2.0, "bytes": 30.0},
        "tune": {"latency_seconds": 1.0, "bytes": 10.0},
    }
    found = regret(planted(cells, advised="retrieve", costs=costs))
    assert found.chosen == ("tune", "tune")
    assert found.best.costs == {"latency_seconds": 2.0, "bytes": 3.0}


def test_the_ratio_of_latencies_is_paired_by_question():
    cells = {frozenset({"retrieve"}): np.ones(4), frozenset({"tune"}): np.zeros(4)}
    sweep = planted(cells, advised="retrieve")
    times = {"retrieve": (2.0, 20.0, 4.4), "tune": (1.0, 10.0, 2.0)}
    rows = {n: replace(r, items={**r.items, "latency_seconds": times[n]}) for n, r in sweep.rows.items()}
    [habit] = [h for h in regret(replace(sweep, rows=rows)).habits if h.name == "always tune"]
    assert habit.costs["latency_seconds"] == pytest.approx((2 * 2 * 2.2) ** (1 / 3))
    assert 1.999 <= habit.latency_ci[0] <= habit.costs["latency_seconds"] <= habit.latency_ci[1] <= 2.201
    assert habit.to_json()["latency_ci95"] == list(habit.latency_ci)


def test_less_is_better_for_some_metrics():
    cells = {frozenset(): np.full(6, 9.0), frozenset({"tune"}): np.full(6, 4.0)}
    sweep = planted(cells, advised="nothing")
    rows = {
        n: replace(r, items={"perplexity": r.items["contained"]}, metrics={"perplexity": Measurement(1, 1, 1)})
        for n, r in sweep.rows.items()
    }
    found = regret(replace(sweep, metric="perplexity", rows=rows))
    assert set(found.chosen) == {"tune"}
    assert found.points.mean == pytest.approx(500)


def test_what_is_missing_is_said():
    sweep = planted(answers(), advised="retrieve")
    assert "not among" in regret(replace(sweep, combinations=sweep.combinations[:1])).why
    rows = {n: r for n, r in sweep.rows.items() if n != "retrieve"}
    assert "not measured" in regret(replace(sweep, rows=rows)).why
    assert regret(replace(sweep, rows=rows)).to_json()["points"] is None
    one = {frozenset({"tune"}): np.ones(1), frozenset({"retrieve"}): np.zeros(1)}
    assert regret(planted(one, advised="retrieve")).points.mean == 100


def test_halves_are_dealt_always_the_same_way():
    assert halves(101).sum() == 50
    assert (halves(100) == halves(100)).all()
    assert 10 < halves(100)[:50].sum() < 40
