"""Scales: from a number to a place on the drawing, and the round numbers worth a tick."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: Steps between ticks that a reader can count by.
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
#: On a logarithmic axis over fewer decades than this, 2 and 5 get a tick too.
_FEW_DECADES = 2.5


@dataclass(frozen=True, slots=True)
class Scale:
    """``low`` to ``high`` in the numbers' unit mapped to ``start`` to ``end`` in the drawing's (pixels of the viewBox).

    A logarithmic scale takes positive numbers only.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where ``value`` lies; what is beyond the ends lies at the end."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, self._within(value)))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def _within(self, value: float) -> float:
        return min(self.high, max(self.low, value))

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the scale, at most about ``most``."""
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high, most)


def linear(
    values: Iterable[float], start: float, end: float, *, floor: float | None = None, ceiling: float | None = None
) -> Scale:
    """A linear scale that holds all finite ``values`` with some air; ``floor`` and ``ceiling`` fix its ends."""
    found = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(found), max(found)
    air = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    low = low - air if floor is None else floor
    high = high + air if ceiling is None else ceiling
    return Scale(low, high if high > low else low + 1.0, start, end)


def logarithmic(values: Iterable[float], start: float, end: float) -> Scale:
    """A logarithmic scale that holds all positive finite ``values`` with some air."""
    found = [v for v in values if math.isfinite(v) and v > 0] or [1.0, 10.0]
    low, high = min(found), max(found)
    air = max((high / low) ** 0.08, 1.15)
    return Scale(low / air, high * air, start, end, log=True)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in _STEPS if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    digits = (1.0, 2.0, 5.0) if math.log10(high / low) < _FEW_DECADES else (1.0,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [d * 10.0**p for p in powers for d in digits]
    inside = [v for v in found if low <= v <= high]
    return inside or [math.sqrt(low * high)]
