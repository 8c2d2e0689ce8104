"""Choice: ranking by expected quality among what is feasible; within the indifference margin the cheaper one wins."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kistack.advisor.effects import Z80
from kistack.advisor.features import Features, index_seconds
from kistack.advisor.quality import Prediction, difference
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Candidate
from kistack.domain.facts import Profile

_Axes = tuple[float, float, float, float, float]
#: Costs that differ by less than this share are the same for choosing between candidates.
_SAME_COST = 0.02
_STEP = math.log1p(_SAME_COST)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a candidate costs where it runs, in machine seconds per day: answering, staying fresh, having been made."""

    answering: float
    refreshing: float
    building: float

    @property
    def total(self) -> float:
        """Seconds of machine time per day."""
        return self.answering + self.refreshing + self.building


@dataclass(frozen=True, slots=True)
class Scale:
    """What ranking reads of a candidate's estimate, whatever the goals: ``steps`` as economy compares costs.

    ``steps``: memory, bundle, number of steps, time to build. ``axes``: latency, memory, time to build, money.
    """

    steps: tuple[int, int, int, int]
    axes: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate with what its ranking is made of; ``prediction`` is None where nothing could be composed.

    ``number`` is its place among all candidates as they were made, the stages' best guesses first. ``scale`` is that
    of the candidate's estimate where somebody keeps it.
    """

    candidate: Candidate
    number: int = 0
    prediction: Prediction | None = None
    upkeep: Upkeep = Upkeep(0.0, 0.0, 0.0)
    scale: Scale | None = None


def queries_per_day(profile: Profile) -> float:
    """How many questions a day are asked."""
    return profile.number("scenario.queries_per_day", 100.0)


def upkeep_of(profile: Profile, pipeline: Pipeline, features: Features) -> Upkeep:
    """Machine seconds per day of serving this scenario's traffic and keeping its knowledge fresh over the horizon.

    An index is made again at every refresh where the content changes at all, and trainers that read it are not run
    again then. Weights are made once, and again at every retraining that falls into the horizon: all that reads the
    documents or the pairs is.
    """
    queries = queries_per_day(profile)
    costs = pipeline.estimate
    changing = features.passages > 0 and features.hazard > 0
    days = max(1.0, features.horizon_days)
    return Upkeep(
        answering=queries * costs.cost("latency_seconds"),
        refreshing=index_seconds(pipeline) / features.refresh_days if changing else 0.0,
        building=(costs.cost("seconds") + _again(pipeline, features)) / days,
    )


def _again(pipeline: Pipeline, features: Features) -> float:
    """Seconds of all retrainings within the horizon."""
    if not features.trains_on or not 0 < features.retrain_days < features.horizon_days:
        return 0.0
    times = math.ceil(features.horizon_days / features.retrain_days) - 1
    return times * pipeline.redo("corpus", "pairs").cost("seconds")


def economy_of(judged: Judged) -> tuple[Any, ...]:
    """Smaller is cheaper: machine time per day, memory, bundle, steps, time to build; then the stages' best guess."""
    scale = judged.scale or scale_of(judged.candidate)
    return (_step(judged.upkeep.total), *scale.steps, -judged.candidate.quality, judged.number)


def scale_of(candidate: Candidate) -> Scale:
    """What ranking reads of an estimate."""
    cost = candidate.estimate.costs.get
    memory, seconds = cost("serving_peak_bytes", 0.0), cost("seconds", 0.0)
    return Scale(
        steps=(_step(memory), _step(cost("bytes", 0.0)), len(candidate.plan.steps), _step(seconds)),
        axes=(cost("latency_seconds", 0.0), memory, seconds, cost("money", 0.0)),
    )


@lru_cache(maxsize=32_768)
def _step(value: float) -> int:
    """The value on a logarithmic scale on which one step is the share that does not matter."""
    return round(math.log(max(value, 1e-9)) / _STEP)


def ranked(judged: Sequence[Judged], indifference: float) -> list[Judged]:
    """The kept candidates best first, then the rejected ones by quality.

    The first is the cheapest of those within ``indifference`` points of the highest quality; so it is with the next
    of what remains. Loosening a limit never lowers the highest quality, and the choice is never further below it
    than the margin.
    """
    cheapest = sorted(judged, key=economy_of)
    # Whole numbers are held against each other sooner than all that economy is made of.
    place = {id(j): n for n, j in enumerate(cheapest)}
    waiting = sorted(cheapest, key=lambda j: -j.candidate.quality)
    kept = [j for j in waiting if j.candidate.kept]
    order: list[Judged] = []
    done: set[int] = set()
    band: list[tuple[int, int]] = []
    highest = reached = 0
    while len(order) < len(kept):
        while highest in done:
            highest += 1
        # The highest quality of what remains only falls, so whoever was within the margin of it stays so.
        least = kept[highest].candidate.quality - indifference
        while reached < len(kept) and kept[reached].candidate.quality >= least:
            heapq.heappush(band, (place[id(kept[reached])], reached))
            reached += 1
        _, number = heapq.heappop(band)
        done.add(number)
        order.append(kept[number])
    return order + [j for j in waiting if not j.candidate.kept]


def chosen(
    judged: Iterable[Judged], indifference: float, economy: Callable[[Judged], tuple[Any, ...]]
) -> Judged | None:
    """The first that ``ranked`` would name: the cheapest of the kept ones near the highest quality; None of none."""
    kept = [j for j in judged if j.candidate.kept]
    if not kept:
        return None
    least = max(j.candidate.quality for j in kept) - indifference
    return min((j for j in kept if j.candidate.quality >= least), key=economy)


def front(order: Sequence[Judged]) -> tuple[int, ...]:
    """Numbers of the kept candidates that none beats in quality, latency, memory, time to build and money at once.

    Of candidates that are equal in all of them the first stands.
    """
    first: dict[_Axes, int] = {}
    for n, judged in enumerate(order):
        if judged.candidate.kept:
            first.setdefault(_axes(judged), n)
    # What beats another comes before it in the order of the axes, so only the front so far needs comparing.
    standing: list[_Axes] = []
    for axes in sorted(first):
        p, q, r, s, t = axes
        for place, (a, b, c, d, e) in enumerate(standing):
            if a <= p and b <= q and c <= r and d <= s and e <= t:
                # Who beats one mostly beats the next as well.
                standing.insert(0, standing.pop(place))
                break
        else:
            standing.append(axes)
    return tuple(sorted(first[axes] for axes in standing))


def standing(order: Sequence[Judged], numbers: Collection[int]) -> frozenset[int]:
    """Those of some numbers that are on the ``front``: what asks for few need not sort them all."""
    first: dict[_Axes, int] = {}
    for n, judged in enumerate(order):
        if judged.candidate.kept:
            first.setdefault(_axes(judged), n)
    return frozenset(n for axes, n in first.items() if n in numbers and not _beaten(axes, first))


def _beaten(axes: _Axes, others: Iterable[_Axes]) -> bool:
    p, q, r, s, t = axes
    # Written out: this is asked of every pair of thousands.
    for a, b, c, d, e in others:
        if a <= p and b <= q and c <= r and d <= s and e <= t and (a, b, c, d, e) != axes:
            return True
    return False


def _axes(judged: Judged) -> _Axes:
    scale = judged.scale or scale_of(judged.candidate)
    return (-round(judged.candidate.quality, 1), *scale.axes)


def rival(order: Sequence[Judged]) -> int | None:
    """The number of the runner-up: the first kept candidate with other techniques than the best."""
    kept = [j for j in order if j.candidate.kept]
    return next((n for n, j in enumerate(kept) if j.candidate.name != kept[0].candidate.name), None) if kept else None


@dataclass(frozen=True, slots=True)
class Gap:
    """By how many points one candidate is better than another, with the 80 % interval of that difference.

    ``confidence`` is the probability that it is not worse by more than the indifference margin; ``tied`` says that
    the whole interval lies within the margin.
    """

    points: float
    low: float
    high: float
    confidence: float
    tied: bool


def gap(best: Judged, other: Judged, indifference: float) -> Gap:
    """The difference between two candidates; assumptions they share cancel."""
    points = best.candidate.quality - other.candidate.quality
    spread = 0.0
    if best.prediction is not None and other.prediction is not None:
        _, spread = difference(best.prediction, other.prediction)
    low, high = points - Z80 * spread, points + Z80 * spread
    if spread:
        sure = 0.5 * (1 + math.erf((points + indifference) / spread / math.sqrt(2)))
    else:
        sure = float(points + indifference >= 0)
    return Gap(points, low, high, sure, tied=-indifference <= low and high <= indifference)


def gives_up(best: Judged, other: Judged) -> dict[str, float]:
    """What the runner-up costs more (positive) or less than the best, and the points it loses."""
    one, two = best.candidate, other.candidate
    names = ("seconds", "latency_seconds", "serving_peak_bytes", "bytes", "money")
    return {
        "points": one.quality - two.quality,
        **{n: two.estimate.cost(n) - one.estimate.cost(n) for n in names},
        "upkeep_seconds_per_day": other.upkeep.total - best.upkeep.total,
    }
