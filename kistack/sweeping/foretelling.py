"""What was predicted of every combination before the sweep, beside what it measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kistack.sweeping.rows import Sweep

#: Numbers that are compared as differences, in points; all others as ratios.
_POINTS = frozenset({"quality"})


@dataclass(frozen=True, slots=True)
class Foretelling:
    """One number of one combination.

    ``off`` is measured minus predicted for points, measured over predicted for all else. ``inside`` says whether it lay
    in the 80 % interval that was told; None where none was.
    """

    name: str
    number: str
    predicted: float
    measured: float
    off: float
    inside: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def foretellings(sweep: Sweep) -> list[Foretelling]:
    """Every number that was both predicted and measured, combination by combination."""
    found = []
    for one in sweep.combinations:
        row = sweep.rows.get(one.name)
        if row is None or not row.done:
            continue
        for number in sorted(one.predicted.keys() & row.measured.keys()):
            predicted, measured = one.predicted[number], row.measured[number]
            if number not in _POINTS and (predicted <= 0 or measured <= 0):
                continue
            off = measured - predicted if number in _POINTS else measured / predicted
            low, high = one.intervals.get(number, (math.nan, math.nan))
            inside = None if math.isnan(low) or low == high else low <= measured <= high
            found.append(Foretelling(one.name, number, predicted, measured, off, inside))
    return found


def summary(found: list[Foretelling]) -> dict[str, Mapping[str, float | int | None]]:
    """Per number: how many, the median of what it was off by, and the share inside the intervals that were told."""
    told: dict[str, Mapping[str, float | int | None]] = {}
    for number in sorted({f.number for f in found}):
        own = [f for f in found if f.number == number]
        held = [f.inside for f in own if f.inside is not None]
        told[number] = {
            "count": len(own),
            "median_off": statistics.median(f.off for f in own),
            "inside": sum(held) / len(held) if held else None,
        }
    return told
