"""Candidates at their expected quality: the prediction moved by rules and runs, its reasons when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from kistack.advisor.candidates import Composed
from kistack.advisor.limits import Bounds, exceeded
from kistack.advisor.quality import Prediction
from kistack.domain.advice import Candidate, Reason, Rejection, Strength
from kistack.domain.calibration import Calibration


class Weighed(Candidate):
    """The candidate at its expected quality, moved by what the reasons beside the prediction say.

    Its interval, the reasons of its quality and the words of the limits it breaks are worked out when somebody looks
    at them. ``over`` are the limits that its own estimates break, under ``given``; ``refused`` is what else rejects it;
    ``placed`` says where the parts of the corpus are.
    """

    __slots__ = ("_beside", "_found", "_given", "_over", "_placed", "_prediction", "_refused", "_words")
    _beside: tuple[Reason, ...]
    _found: Composed
    _given: Bounds
    _over: tuple[str, ...]
    _placed: str
    _prediction: Prediction
    _refused: tuple[Rejection, ...]
    _words: tuple[Rejection, ...] | None

    def __init__(
        self,
        found: Composed,
        prediction: Prediction,
        beside: Sequence[Reason],
        placed: str,
        given: Bounds,
        over: tuple[str, ...] = (),
        refused: Sequence[Rejection] = (),
    ) -> None:
        assert found.pipeline is not None
        moved = sum([r.points for r in beside]) if beside else 0.0
        put = object.__setattr__
        put(self, "plan", found.plan)
        put(self, "estimate", found.pipeline.estimate)
        put(self, "quality", points(prediction.points + moved))
        put(self, "_beside", tuple(beside))
        put(self, "_found", found)
        put(self, "_given", given)
        put(self, "_over", over)
        put(self, "_placed", placed)
        put(self, "_prediction", prediction)
        put(self, "_refused", tuple(refused))
        put(self, "_words", None)

    def with_rejections(self, rejections: tuple[Rejection, ...]) -> Candidate:
        """The same candidate, rejected for these."""
        return Weighed(self._found, self._prediction, self._beside, self._placed, self._given, refused=rejections)

    @property
    def kept(self) -> bool:
        """Whether no limit and no rule rejects it."""
        return not self._over and not self._refused

    @property
    def broken(self) -> tuple[str, ...]:
        """The limits that reject it, each once."""
        return tuple(dict.fromkeys((*self._over, *(r.limit for r in self._refused))))

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """Why not: the limits that it breaks, then rules, plugins and too little quality."""
        if self._words is None:
            assert self._found.pipeline is not None
            over = exceeded(self._found.pipeline, self._given) if self._over else []
            object.__setattr__(self, "_words", (*over, *self._refused))
        assert self._words is not None
        return self._words

    @property
    def low(self) -> float:
        """The lower end of the 80 % interval."""
        return points(self._prediction.low + sum(r.points for r in self._beside))

    @property
    def high(self) -> float:
        """The upper end of the 80 % interval."""
        return points(self._prediction.high + sum(r.points for r in self._beside))

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why: the terms of the prediction, where its knowledge is placed, rules, runs, plugins."""
        terms = [_term_reason(t.name, t.points, t.because, t.sources) for t in self._prediction.terms]
        return (*terms, *([Reason("placement", "notes", self._placed)] if self._placed else ()), *self._beside)


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
