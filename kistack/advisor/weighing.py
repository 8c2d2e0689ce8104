"""Candidates at their expected quality: the prediction moved by rules and runs, its reasons when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from kistack.advisor.candidates import Composed
from kistack.advisor.quality import Prediction
from kistack.domain.advice import Candidate, Reason, Rejection, Strength
from kistack.domain.calibration import Calibration


class Weighed(Candidate):
    """The candidate at its expected quality, moved by what the reasons beside the prediction say.

    Its interval and the reasons of its quality are worked out when somebody looks at them. ``placed`` says where the
    parts of the corpus are.
    """

    __slots__ = ("_beside", "_found", "_placed", "_prediction")
    _beside: tuple[Reason, ...]
    _found: Composed
    _placed: str
    _prediction: Prediction

    def __init__(
        self,
        found: Composed,
        prediction: Prediction,
        beside: Sequence[Reason],
        broken: Sequence[Rejection],
        placed: str,
    ) -> None:
        assert found.pipeline is not None
        moved = sum(r.points for r in beside)
        put = object.__setattr__
        put(self, "plan", found.plan)
        put(self, "estimate", found.pipeline.estimate)
        put(self, "quality", _points(prediction.points + moved))
        put(self, "rejections", tuple(broken))
        put(self, "_beside", tuple(beside))
        put(self, "_found", found)
        put(self, "_prediction", prediction)
        put(self, "_placed", placed)

    def with_rejections(self, rejections: tuple[Rejection, ...]) -> Candidate:
        """The same candidate, rejected for these."""
        return Weighed(self._found, self._prediction, self._beside, rejections, self._placed)

    @property
    def low(self) -> float:
        """The lower end of the 80 % interval."""
        return _points(self._prediction.low + sum(r.points for r in self._beside))

    @property
    def high(self) -> float:
        """The upper end of the 80 % interval."""
        return _points(self._prediction.high + sum(r.points for r in self._beside))

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why: the terms of the prediction, where its knowledge is placed, rules, runs, plugins."""
        terms = [_term_reason(t.name, t.points, t.because, t.sources) for t in self._prediction.terms]
        return (*terms, *([Reason("placement", "notes", self._placed)] if self._placed else ()), *self._beside)


def _points(value: float) -> float:
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
