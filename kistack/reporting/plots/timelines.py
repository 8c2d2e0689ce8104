"""What ran when: one bar a step over the time of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kistack.reporting.plots.drawing import Drawing, axis_below, text_width
from kistack.reporting.plots.scales import linear

_ROW = 20.0
_UNITS = ((3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, slots=True)
class Bar:
    """A step from ``start`` to ``end``, seconds since the run began; ``kind`` is how it is coloured.

    ``step``, ``evaluation``, ``reused`` or ``failed``.
    """

    name: str
    start: float
    end: float
    kind: str


def timeline(title: str, bars: Sequence[Bar], told: Callable[[float], str]) -> str:
    """Bars in rows, in the order given."""
    left = min(230.0, 20.0 + max((text_width(b.name) for b in bars), default=0.0))
    top, foot = 12.0, 12.0 + _ROW * len(bars)
    # Minutes and hours are not counted in tens of seconds.
    last = max((b.end for b in bars), default=1.0) or 1.0
    unit, name = next((u for u in _UNITS if last >= 2 * u[0]), _UNITS[-1])
    words = "; ".join(f"{b.name} {b.kind}, {told(b.end - b.start)}" for b in bars)
    drawing = Drawing(title, words, height=foot + 44.0)
    x = linear([], left, 608.0, floor=0.0, ceiling=last / unit)
    axis_below(drawing, x, (top, foot), f"{name} since the run began", lambda v: f"{v:g}")
    for number, bar in enumerate(bars):
        y = top + _ROW * number
        drawing.text(left - 8, y + 14, bar.name, anchor="end", css="tick")
        tip = f"{bar.name}: {bar.kind}, {told(bar.end - bar.start)}"
        drawing.box(
            (x(bar.start / unit), y + 3),
            (x(bar.end / unit) - x(bar.start / unit), _ROW - 6),
            f"bar {bar.kind}",
            tip=tip,
        )
    return drawing.svg()
