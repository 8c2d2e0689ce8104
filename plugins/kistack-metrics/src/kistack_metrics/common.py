"""What the evaluators share: the shape of their output and its estimate."""

from __future__ import annotations

from kistack.domain.artifacts import Type
from kistack.domain.records import Estimate
from kistack.plugins.stages import Out

#: Every evaluator leaves ``scores.json``.
SCORES = Out(kind="scores", format="json")

#: Bytes of one number in ``scores.json``, and of what stands around the numbers. Measured.
_NUMBER_BYTES, _FRAME_BYTES = 14.0, 1500.0


def estimate_scoring(source: Type, metrics: int, seconds_per_item: float, start: float, peak: float) -> Estimate:
    """Costs of scoring the items of ``source`` with ``metrics`` numbers each.

    ``start`` are the seconds of imports, ``peak`` the resident bytes of the worker.
    """
    count = source.fact("count", 100.0)
    facts = {"scores": {"bytes": _FRAME_BYTES + count * metrics * _NUMBER_BYTES, "count": count}}
    return Estimate({"seconds": start + count * seconds_per_item, "peak_bytes": peak}, facts)
