"""Numbers with their intervals in rows: metrics of systems, effects of techniques, predictions beside measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kistack.reporting.plots.drawing import Drawing, axis_below, legend, text_width
from kistack.reporting.plots.scales import Scale, linear, logarithmic

#: Height of a number in its row, and the air between rows.
_ROW, _GAP = 13.0, 9.0


@dataclass(frozen=True, slots=True)
class Range:
    """A number with its interval, of a series (from 0)."""

    value: float
    low: float
    high: float
    series: int
    tip: str = ""
    link: str = ""
    hollow: bool = False


def rows_of_ranges(
    title: str,
    label: str,
    rows: Sequence[tuple[str, Sequence[Range]]],
    names: Sequence[tuple[str, int, bool]],
    told: Callable[[float], str],
    *,
    scale: Callable[[float, float, list[float]], Scale] | None = None,
    at: float | None = None,
) -> str:
    """Rows of dots with whiskers on one axis.

    Args:
        title: what the plot is called.
        label: the axis.
        rows: the name of each row and what lies in it.
        names: the legend: (name, series, hollow).
        told: a number of the axis as text.
        scale: makes the axis from its start, its end and all numbers (default: linear).
        at: where a vertical line marks that nothing differs.
    """
    left = min(240.0, 20.0 + max((text_width(name) for name, _ in rows), default=0.0))
    top = 30.0 + 18.0 * _legend_rows(names, left)
    foot = top + sum(_ROW * max(1, len(found)) + _GAP for _, found in rows)
    drawing = Drawing(title, _described(rows, told), height=foot + 44.0)
    numbers = [n for _, found in rows for r in found for n in (r.value, r.low, r.high)]
    axis = (scale or (lambda start, end, values: linear(values, start, end)))(left, 608.0, numbers)
    axis_below(drawing, axis, (top - 6.0, foot), label, told)
    if at is not None:
        drawing.line((axis(at), top - 6.0), (axis(at), foot), "reference")
    y = top
    for name, found in rows:
        middle = y + _ROW * max(1, len(found)) / 2
        drawing.text(left - 8, middle + 4, name, anchor="end", css="tick")
        for number, r in enumerate(found):
            _draw(drawing, axis, y + _ROW * (number + 0.5), r)
        y += _ROW * max(1, len(found)) + _GAP
    legend(drawing, names, (left, 16.0))
    return drawing.svg()


def log_scale(start: float, end: float, values: list[float]) -> Scale:
    """A logarithmic axis for factors."""
    return logarithmic([*values, 0.5, 2.0], start, end)


def share_scale(start: float, end: float, values: list[float]) -> Scale:
    """An axis from 0 to 1."""
    return linear(values, start, end, floor=0.0, ceiling=1.0)


def _draw(drawing: Drawing, axis: Scale, y: float, r: Range) -> None:
    drawing.line((axis(r.low), y), (axis(r.high), y), f"whisker s{r.series}")
    drawing.mark(axis(r.value), y, r.series, tip=r.tip, link=r.link, hollow=r.hollow)


def _legend_rows(names: Sequence[tuple[str, int, bool]], left: float) -> int:
    return int(sum(34.0 + text_width(name) for name, _, _ in names) // (640.0 - left))


def _described(rows: Sequence[tuple[str, Sequence[Range]]], told: Callable[[float], str]) -> str:
    return "; ".join(f"{name}: {', '.join(told(r.value) for r in found)}" for name, found in rows)
