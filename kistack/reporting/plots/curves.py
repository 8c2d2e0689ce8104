"""Curves over an axis of progress or time: losses of trainings, the share of knowledge that is still true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kistack.reporting.plots.drawing import Drawing, axis_below, axis_left, legend
from kistack.reporting.plots.scales import linear

_LEFT, _RIGHT, _FOOT = 72.0, 612.0, 298.0
#: More points than a drawing of this width can show are thinned to this many.
_MOST = 600


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y) of a series with a name; ``band`` are the ends of y at each x, where they are known."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()


def curves(
    title: str,
    labels: tuple[str, str],
    found: Sequence[Curve],
    told: tuple[Callable[[float], str], Callable[[float], str]],
    *,
    floor: float | None = None,
    ceiling: float | None = None,
) -> str:
    """Lines over a common axis.

    Args:
        title: what the plot is called.
        labels: of the horizontal and of the vertical axis.
        found: the curves.
        told: a number of either axis as text.
        floor: the foot of the vertical axis, where it is fixed.
        ceiling: its head, where it is fixed.
    """
    drawing = Drawing(title, _described(found, told), height=344.0)
    top = 44.0 if len(found) < 4 else 62.0  # noqa: PLR2004 - a second row of names
    xs = [p[0] for c in found for p in c.points]
    ys = [n for c in found for n in (*(p[1] for p in c.points), *(e for ends in c.band for e in ends))]
    x = linear(xs, _LEFT, _RIGHT, floor=min(xs, default=0.0), ceiling=max(xs, default=1.0))
    y = linear(ys, _FOOT, top, floor=floor, ceiling=ceiling)
    axis_below(drawing, x, (top, _FOOT), labels[0], told[0])
    axis_left(drawing, y, (_LEFT, _RIGHT), labels[1], told[1])
    for series, curve in enumerate(found, 1):
        places = _thinned(range(len(curve.points)))
        if curve.band:
            low = [(x(curve.points[n][0]), y(curve.band[n][0])) for n in places]
            high = [(x(curve.points[n][0]), y(curve.band[n][1])) for n in reversed(places)]
            drawing.area([*low, *high], f"s{series}")
        drawing.path([(x(curve.points[n][0]), y(curve.points[n][1])) for n in places], f"s{series} dash{series % 3}")
    legend(drawing, [(c.name, n, False) for n, c in enumerate(found, 1)], (_LEFT, 16.0))
    return drawing.svg()


def _thinned(places: range) -> list[int]:
    """Every so manyth place, and the last."""
    step = max(1, -(-len(places) // _MOST))
    kept = list(places[::step])
    return kept if not places or kept[-1] == places[-1] else [*kept, places[-1]]


def _described(found: Sequence[Curve], told: tuple[Callable[[float], str], Callable[[float], str]]) -> str:
    return "; ".join(
        f"{c.name}: from {told[1](c.points[0][1])} to {told[1](c.points[-1][1])}" for c in found if c.points
    )
