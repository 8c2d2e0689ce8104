import math
from dataclasses import replace

import numpy as np
import pytest
from sweeping.planted import SETS, plan, planted

from kistack.sweeping.attribution import attribution, effects

MAIN = {"retrieve": 30.0, "distill": -4.0, "tune": 12.0, "quantize": -2.0}
RETRIEVE_TUNE = 15.0


def mean_of(cell):
    """Points of a combination: effects where the others are absent, and one interaction."""
    return 20 + sum(MAIN[t] for t in cell) + (RETRIEVE_TUNE if {"retrieve", "tune"} <= cell else 0.0)


def simulated(seed, items=300, cells=SETS):
    """Right or wrong answers: an item is as hard for every combination."""
    hardness = np.random.default_rng(seed).uniform(size=items)
    noise = np.random.default_rng(seed + 1000)
    return {c: (0.8 * hardness + 0.2 * noise.uniform(size=items) < mean_of(c) / 100).astype(float) for c in cells}


def truths(cells=SETS):
    exact = {c: np.full(2, mean_of(c)) for c in cells}
    return {e.techniques: e.value for e in effects("quality", exact, "points")}


def test_effects_of_exact_numbers_are_those_of_the_full_factorial():
    found = truths()
    assert len(found) == 15
    # In half of the contexts of retrieval tuning is present.
    assert found["retrieve",] == pytest.approx(30 + 15 / 2)
    assert found["tune",] == pytest.approx(12 + 15 / 2)
    assert found["distill",] == pytest.approx(-4)
    assert found["retrieve", "tune"] == pytest.approx(15)
    others = {t: v for t, v in found.items() if len(t) > 1 and t != ("retrieve", "tune")}
    assert all(abs(v) < 1e-9 for v in others.values())


def test_missing_cells_leave_whole_contexts_out_and_bias_nothing_that_does_not_interact():
    cells = [c for c in SETS if c not in (frozenset({"distill"}), frozenset({"distill", "tune", "quantize"}))]
    exact = {c: np.full(2, mean_of(c)) for c in cells}
    found = {e.techniques: e for e in effects("quality", exact, "points")}
    assert found["distill",].value == pytest.approx(-4)
    assert (found["distill",].contexts, found["distill",].possible) == (6, 8)
    assert found["retrieve", "tune"].value == pytest.approx(15)
    assert found["retrieve", "tune"].contexts == 2
    assert ("retrieve", "distill", "tune", "quantize") not in found


@pytest.mark.system
def test_intervals_from_items_cover_the_true_effects():
    """The truth of a simulation is what it gives with very many items: hardness makes the points nonlinear."""
    large = simulated(7, items=200_000)
    truth = {e.techniques: e.value for e in effects("quality", {c: 100 * v for c, v in large.items()}, "points")}
    inside = total = 0
    for seed in range(40):
        sweep = planted(simulated(seed))
        for effect in attribution(sweep)[0]:
            if effect.number == "quality" and len(effect.techniques) <= 2:
                inside += effect.low <= truth[effect.techniques] <= effect.high
                total += 1
    assert total == 40 * 10
    assert 0.91 <= inside / total <= 0.98
    shown = {e.techniques: e.shown for e in attribution(planted(simulated(0)))[0] if e.number == "quality"}
    assert shown["retrieve",]
    assert shown["tune",]


def test_costs_are_factors_and_time_to_build_a_difference():
    costs = {}
    sweep = planted({c: np.ones(4) for c in SETS})
    for one in sweep.combinations:
        cell = set(one.techniques)
        costs[one.name] = {
            "bytes": 100.0 * (0.5 if "distill" in cell else 1) * (0.25 if "quantize" in cell else 1),
            "seconds": 10.0 + (60 if "tune" in cell else 0),
        }
    found = {(e.number, e.techniques): e for e in attribution(planted({c: np.ones(4) for c in SETS}, costs=costs))[0]}
    assert found["bytes", ("distill",)].value == pytest.approx(0.5)
    assert found["bytes", ("quantize",)].value == pytest.approx(0.25)
    assert found["bytes", ("distill", "quantize")].value == pytest.approx(1)
    assert found["bytes", ("distill",)].low is None
    assert found["bytes", ("distill",)].shown is None
    assert found["seconds", ("tune",)].value == pytest.approx(60)


def test_latency_per_answer_is_paired_by_question():
    sweep = planted({c: np.ones(4) for c in SETS})
    rows = {}
    for one in sweep.combinations:
        scale = 0.6 if "quantize" in one.techniques else 1.0
        row = sweep.rows[one.name]
        rows[one.name] = replace(row, items={**row.items, "latency_seconds": (scale * 1, scale * 9, scale * 3)})
    found = {e.techniques: e for e in attribution(replace(sweep, rows=rows))[0] if e.number == "latency_seconds"}
    effect = found["quantize",]
    assert (effect.value, effect.low, effect.high) == pytest.approx((0.6, 0.6, 0.6))
    assert effect.shown
    assert math.isclose(found["tune",].value, 1.0)
    assert not found["tune",].shown


def test_what_would_mislead_is_said():
    sweep = planted({c: np.ones(3) for c in SETS})
    other = plan({"tune"})
    other["steps"][0]["with"] = {"rank": 64}
    changed = tuple(replace(c, plan=other) if c.name == "tune" else c for c in sweep.combinations)
    rows = {n: r for n, r in sweep.rows.items() if n != "distill"}
    _, notes = attribution(replace(sweep, combinations=changed, rows=rows))
    assert any("15 of 16" in n and "distill" in n for n in notes)
    assert any(n.startswith("tune stands for 2 different settings") for n in notes)
    assert attribution(planted({}))[0] == []
