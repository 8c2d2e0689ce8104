"""Candidates at their expected quality: the prediction moved by rules and runs, its reasons when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kistack.advisor.candidates import Composed
from kistack.advisor.limits import QUALITY, Bounds, below_least, exceeded
from kistack.advisor.quality import Prediction
from kistack.domain.advice import Candidate, Reason, Rejection, Strength
from kistack.domain.calibration import Calibration
from kistack.domain.plan import Plan
from kistack.domain.records import Estimate


class Beside(NamedTuple):
    """What is said of a plan beside its prediction: reasons, the points that they move together, rejections."""

    reasons: tuple[Reason, ...]
    moved: float
    refused: tuple[Rejection, ...]


def beside(reasons: tuple[Reason, ...], refused: tuple[Rejection, ...]) -> Beside:
    """The same with the points added up."""
    return Beside(reasons, sum([r.points for r in reasons]), refused)


class Weight:
    """A plan at its expected quality, moved by what is said beside the prediction, whatever the limits.

    ``placed`` says where the parts of the corpus are.
    """

    __slots__ = ("_high", "beside", "found", "placed", "prediction", "quality")

    def __init__(self, found: Composed, prediction: Prediction, beside: Beside, placed: str) -> None:
        self.found = found
        self.prediction = prediction
        self.beside = beside
        self.placed = placed
        self.quality = points(prediction.points + beside.moved)
        self._high: float | None = None

    @property
    def low(self) -> float:
        """The lower end of the 80 % interval."""
        return points(self.prediction.low + self.beside.moved)

    @property
    def high(self) -> float:
        """The upper end of the 80 % interval."""
        if self._high is None:  # every floor for quality asks
            self._high = points(self.prediction.high + self.beside.moved)
        return self._high


class Weighed(Candidate):
    """A candidate of a weight under some limits.

    Its interval, the reasons of its quality and the words of the limits it breaks are worked out when somebody looks
    at them. ``over`` are the limits that its own estimates break, under ``given``; ``short`` says that all of its
    interval is below the points asked for.
    """

    __slots__ = ("_given", "_over", "_short", "_words", "weight")
    _given: Bounds
    _over: tuple[str, ...]
    _short: bool
    weight: Weight
    _words: tuple[Rejection, ...] | None

    def __init__(self, weight: Weight, given: Bounds, over: tuple[str, ...] = (), short: bool = False) -> None:
        put = object.__setattr__
        put(self, "quality", weight.quality)  # ranking asks for it again and again
        put(self, "weight", weight)
        put(self, "_given", given)
        put(self, "_over", over)
        put(self, "_short", short)
        put(self, "_words", None)

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.weight.found.plan

    @property
    def estimate(self) -> Estimate:
        """What it is expected to cost."""
        assert self.weight.found.pipeline is not None
        return self.weight.found.pipeline.estimate

    def with_rejections(self, rejections: tuple[Rejection, ...]) -> Candidate:
        """The same candidate, rejected for these."""
        weight = self.weight
        refused = weight.beside._replace(refused=rejections)
        return Weighed(Weight(weight.found, weight.prediction, refused, weight.placed), self._given)

    @property
    def kept(self) -> bool:
        """Whether no limit and no rule rejects it."""
        return not (self._over or self._short or self.weight.beside.refused)

    @property
    def broken(self) -> tuple[str, ...]:
        """The limits that reject it, each once."""
        if not (self.weight.beside.refused or self._short):  # of thousands most
            return self._over
        names = (*self._over, *[r.limit for r in self.weight.beside.refused], *((QUALITY,) if self._short else ()))
        return tuple(dict.fromkeys(names))

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """Why not: the limits that it breaks, then rules, plugins and too little quality."""
        if self._words is None:
            weight = self.weight
            assert weight.found.pipeline is not None
            over = exceeded(weight.found.pipeline, self._given) if self._over else []
            short = below_least(weight.high, self._given) if self._short else None
            words = (*over, *weight.beside.refused, *((short,) if short is not None else ()))
            object.__setattr__(self, "_words", words)
        assert self._words is not None
        return self._words

    @property
    def low(self) -> float:
        """The lower end of the 80 % interval."""
        return self.weight.low

    @property
    def high(self) -> float:
        """The upper end of the 80 % interval."""
        return self.weight.high

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why: the terms of the prediction, where its knowledge is placed, rules, runs, plugins."""
        weight = self.weight
        terms = [_term_reason(t.name, t.points, t.because, t.sources) for t in weight.prediction.terms]
        placed = [Reason("placement", "notes", weight.placed)] if weight.placed else []
        return (*terms, *placed, *weight.beside.reasons)


def points(value: float) -> float:
    """A number of points within the scale."""
    return min(100.0, max(0.0, value))


def shown_by_runs(techniques: Sequence[str], calibration: Calibration, kind: str) -> tuple[Reason, ...]:
    """By how many points what ran here moves the expectation."""
    name = "+".join(techniques) or "nothing"
    known = calibration.of(kind, name)
    if not known.offset:
        return ()
    ran = f"{known.runs} of {name}" if known.runs else f"none of {name}, so partly"
    because = f"plans that ran here scored otherwise than predicted ({ran})"
    strength: Strength = "prefers" if known.offset > 0 else "avoids"
    return (Reason("calibration/quality", strength, because, ("this project's runs",), known.offset),)


def _term_reason(name: str, points: float, because: str, sources: tuple[str, ...]) -> Reason:
    strength = "prefers" if points > 0 else "avoids" if points < 0 else "notes"
    return Reason(f"quality/{name}", strength, because, sources, points)  # type: ignore[arg-type]
