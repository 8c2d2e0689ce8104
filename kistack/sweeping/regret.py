"""Regret: how much worse the advised plan is than the best feasible one, and whether a habit would have done better.

The best of sixteen measured on the same items that chose it looks better than it is. So the items are dealt into two
halves; the best is chosen on one and scored on the other, both ways round (two-fold cross-fitting, Chernozhukov and
others, "Double/debiased machine learning", Econometrics Journal 21, 2018), and every item counts once. Differences are
paired by item; their intervals take the two choices as given.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kistack.evaluation.scoring import LOWER_IS_BETTER
from kistack.evaluation.statistics import PairedResult, paired_difference
from kistack.sweeping.rows import Combination, Row, Sweep
from kistack.sweeping.selection import SMALLEST

Floats = NDArray[np.float64]

#: What people do without asking: words, and the combination that it is.
HABITS: Mapping[str, str] = {
    "always retrieve": "retrieve",
    "always tune": "tune",
    "always both": "retrieve+tune",
    "do nothing": "nothing",
    "smallest quantization": SMALLEST,
}
#: Costs that plans are compared by.
COSTS = ("latency_seconds", "serving_peak_bytes", "bytes", "seconds")
#: Limits of a scenario to what measures them, where a run measures it on the machine that serves.
_MEASURED = {"memory": "serving_peak_bytes", "disk": "bytes", "latency_p95": "latency_p95", "training_time": "seconds"}
#: The words in which advice names those limits.
_WORDS = {"memory": "memory", "disk": "disk", "latency_p95": "latency", "training_time": "training time"}
_SEED = 20


@dataclass(frozen=True, slots=True)
class Against:
    """The advised plan held against another: points it is better by (positive) or worse, and costs as ratios.

    ``points`` is advised minus other on the same items with its 95 % interval. ``costs`` are advised over other;
    ``latency_ci`` is the 95 % interval of that of latency, over the questions that were timed one by one (all else is
    measured once). ``why`` says why there is nothing to compare.
    """

    name: str
    plan: str
    points: PairedResult | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    latency_ci: tuple[float, float] | None = None
    why: str = ""

    @property
    def beats(self) -> bool:
        """Whether the other is better than the advised plan with the whole interval."""
        return self.points is not None and self.points.high < 0

    def to_json(self) -> dict[str, Any]:
        """Every field; points with their interval."""
        return {
            "name": self.name,
            "plan": self.plan,
            "points": None if self.points is None else self.points.mean,
            "ci95": None if self.points is None else [self.points.low, self.points.high],
            "cost_ratios": dict(self.costs),
            "latency_ci95": None if self.latency_ci is None else list(self.latency_ci),
            "beats_the_advice": self.beats,
            "why_not": self.why,
        }


@dataclass(frozen=True, slots=True)
class Regret:
    """What following the advice cost.

    ``points``: the best feasible plan minus the advised one, cross-fitted, in points (0 to 100), with its 95 %
    interval; ``chosen`` are the two plans that the halves chose. ``same_items`` is the same difference with the best
    chosen on all items, too large by construction. ``best`` compares the advised plan with that one in quality and in
    cost. Without ``points``, ``why`` says what is missing.
    """

    advised: str
    feasible: tuple[str, ...] = ()
    infeasible: Mapping[str, str] = field(default_factory=dict)
    points: PairedResult | None = None
    chosen: tuple[str, ...] = ()
    same_items: float | None = None
    best: Against | None = None
    habits: tuple[Against, ...] = ()
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Every field; points with their interval."""
        return {
            "advised": self.advised,
            "points": None if self.points is None else self.points.mean,
            "ci95": None if self.points is None else [self.points.low, self.points.high],
            "chosen_by_halves": list(self.chosen),
            "items": 0 if self.points is None else self.points.count,
            "same_items": self.same_items,
            "feasible": list(self.feasible),
            "infeasible": dict(self.infeasible),
            "best": None if self.best is None else self.best.to_json(),
            "habits": [h.to_json() for h in self.habits],
            "why_not": self.why,
        }


def regret(sweep: Sweep) -> Regret:
    """The regret of the advised plan over the combinations that were measured."""
    advised, done = sweep.advised, sweep.done()
    if advised is None:
        return Regret("", why="the advised plan is not among the combinations")
    if advised.name not in done:
        return Regret(advised.name, why="the advised plan was not measured")
    scores = _scores(sweep, done)
    if advised.name not in scores:
        return Regret(advised.name, why=f"its answers have no {sweep.metric} item by item")
    fit: dict[str, str] = {c.name: unfit(c, done[c.name], sweep) for c in sweep.combinations if c.name in scores}
    feasible = [name for name, why in fit.items() if not why]
    out = {name: why for name, why in fit.items() if why}
    best = Against("best", "", why="no feasible plan was measured")
    points: PairedResult | None = None
    chosen: tuple[str, ...] = ()
    optimistic: float | None = None
    if feasible:
        points, chosen, winner = cross_fitted(scores, advised.name, feasible, _ranks(feasible, done))
        optimistic = float((scores[winner] - scores[advised.name]).mean())
        best = against("best", winner, advised.name, scores, done)
    habits = tuple(_habit(words, name, advised, sweep, scores) for words, name in HABITS.items())
    return Regret(
        advised.name, tuple(feasible), out, points, chosen, optimistic, best, habits, "" if feasible else best.why
    )


def cross_fitted(
    scores: Mapping[str, Floats], advised: str, feasible: Collection[str], rank: Mapping[str, Any]
) -> tuple[PairedResult, tuple[str, str], str]:
    """Best minus advised with the best chosen on one half of the items and scored on the other, both ways round.

    Args:
        scores: points per item (n,) of every plan, more is better, the same items in the same order.
        advised: the plan that is judged.
        feasible: the plans that may be chosen.
        rank: what decides between plans of equal score; the smallest wins.

    Returns:
        The difference with its interval; the plans chosen by the first and by the second half; the one chosen by all.
    """
    count = scores[advised].size
    first = halves(count)

    def leading(part: NDArray[np.bool_]) -> str:
        return min(feasible, key=lambda name: (-round(float(scores[name][part].mean()), 9), rank[name]))

    everything = np.ones(count, dtype=np.bool_)
    if count < 2:  # noqa: PLR2004 - one item cannot be dealt into two halves
        one = leading(everything)
        return paired_difference(scores[one], scores[advised]), (one, one), one
    by_first, by_second = leading(first), leading(~first)
    best = np.where(first, scores[by_second], scores[by_first])
    return paired_difference(best, scores[advised]), (by_first, by_second), leading(everything)


def halves(count: int) -> NDArray[np.bool_]:
    """Which of ``count`` items are in the first half: dealt at random, always the same way."""
    first = np.zeros(count, dtype=np.bool_)
    first[np.random.default_rng(_SEED).permutation(count)[: count // 2]] = True
    return first


def against(name: str, plan: str, advised: str, scores: Mapping[str, Floats], done: Mapping[str, Row]) -> Against:
    """The advised plan held against another that was measured too."""
    one, two = done[advised].measured, done[plan].measured
    costs = {n: one[n] / two[n] for n in COSTS if one.get(n, 0.0) > 0 and two.get(n, 0.0) > 0}
    points = paired_difference(scores[advised], scores[plan])
    timed = _latency_ratio(done[advised], done[plan])
    if timed is None:
        return Against(name, plan, points, costs)
    return Against(name, plan, points, {**costs, "latency_seconds": timed[0]}, timed[1:])


def _latency_ratio(one: Row, two: Row) -> tuple[float, float, float] | None:
    """The geometric mean of the ratios of answers' times with its interval; None where they were not timed alike."""
    first, second = (np.array(row.items.get("latency_seconds", ()), dtype=np.float64) for row in (one, two))
    if first.size != second.size or first.size < 2 or not ((first > 0) & (second > 0)).all():  # noqa: PLR2004
        return None
    result = paired_difference(np.log(first), np.log(second))
    return math.exp(result.mean), math.exp(result.low), math.exp(result.high)


def _habit(words: str, name: str, advised: Combination, sweep: Sweep, scores: Mapping[str, Floats]) -> Against:
    if words == "smallest quantization" and not any(c.name == name for c in sweep.combinations):
        name = "quantize"  # where it is the smallest itself
    if name not in scores:
        row = sweep.rows.get(name)
        why = "it is not among the combinations" if row is None else row.error or "it was not measured"
        return Against(words, name, why=why)
    return against(words, name, advised.name, scores, sweep.done())


def _scores(sweep: Sweep, done: Mapping[str, Row]) -> dict[str, Floats]:
    """Points per item of every measured plan, more is better."""
    sign = -100.0 if sweep.metric in LOWER_IS_BETTER else 100.0
    found = {n: sign * np.array(r.items[sweep.metric]) for n, r in done.items() if r.items.get(sweep.metric)}
    sizes = [v.size for v in found.values()]
    usual = max(set(sizes), key=sizes.count, default=0)
    return {name: values for name, values in found.items() if values.size == usual}


def _ranks(names: Collection[str], done: Mapping[str, Row]) -> dict[str, tuple[float, float, str]]:
    """Cheaper first: latency, then bytes, then the name."""
    numbers = {name: done[name].measured for name in names}
    return {
        name: (found.get("latency_seconds", math.inf), found.get("bytes", math.inf), name)
        for name, found in numbers.items()
    }


def unfit(combination: Combination, row: Row, sweep: Sweep) -> str:
    """Why a measured plan is not feasible, in words; empty where it is.

    Limits that the run measured are judged by that, where it serves on this machine; all others as the advice did. What
    a plan scores decides nothing here.
    """
    measured = dict(row.measured)
    if "latency_p95" in row.metrics:
        measured["latency_p95"] = row.metrics["latency_p95"].value
    judged = set()
    for limit, allowed in sweep.limits.items():
        number = _MEASURED[limit]
        if number in measured and (sweep.serves_here or limit in {"disk", "training_time"}):
            judged.add(_WORDS[limit])
            if measured[number] > allowed:
                return f"{_WORDS[limit]}: {measured[number]:.4g} measured, {allowed:.4g} allowed"
    return next((r for r in combination.rejections if r.partition(":")[0] not in {*judged, "quality"}), "")
