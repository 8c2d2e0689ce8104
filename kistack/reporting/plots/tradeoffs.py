"""Quality against a cost: what was predicted of every candidate, with its front, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kistack.reporting.plots.drawing import Drawing, axis_below, axis_left, legend
from kistack.reporting.plots.scales import linear, logarithmic

_LEFT, _RIGHT, _TOP, _FOOT = 62.0, 620.0, 52.0, 318.0


@dataclass(frozen=True, slots=True)
class Spot:
    """A system or candidate: its cost (above 0, in the unit of the axis) and its points, each with its interval.

    ``before`` are the cost and points that were predicted of a measured one before it ran.
    """

    name: str
    cost: float
    points: float
    cost_ends: tuple[float, float]
    points_ends: tuple[float, float]
    link: str = ""
    before: tuple[float, float] | None = None


def tradeoff(
    title: str, label: str, measured: Sequence[Spot], predicted: Sequence[Spot], told: Callable[[float], str]
) -> str:
    """A scatter of points (0 to 100) against a cost on a logarithmic axis.

    Args:
        title: what the plot is called.
        label: the cost's axis.
        measured: filled marks with their intervals, one series each.
        predicted: hollow marks; those that no other beats in both are joined by a line.
        told: a cost as text.
    """
    front = pareto(predicted)
    drawing = Drawing(title, _described(measured, predicted, front, told))
    costs = [c for s in measured for c in (s.cost, *s.cost_ends, *(s.before[:1] if s.before else ()))]
    costs += [s.cost for s in predicted]
    x = logarithmic(costs, _LEFT, _RIGHT)
    y = linear([], _FOOT, _TOP, floor=0.0, ceiling=100.0)
    axis_below(drawing, x, (_TOP, _FOOT), label, told)
    axis_left(drawing, y, (_LEFT, _RIGHT), "points", lambda v: f"{v:.0f}")
    if len(front) > 1:
        drawing.path([(x(s.cost), y(s.points)) for s in front], "front")
    for spot in predicted:
        tip = f"{spot.name}, predicted: {spot.points:.0f} points, {told(spot.cost)}"
        drawing.mark(x(spot.cost), y(spot.points), 0, tip=tip, hollow=True, size=5.0 if spot in front else 3.0)
    for series, spot in enumerate(measured, 1):
        across, up = x(spot.cost), y(spot.points)
        drawing.line((x(spot.cost_ends[0]), up), (x(spot.cost_ends[1]), up), f"whisker s{series}")
        drawing.line((across, y(spot.points_ends[0])), (across, y(spot.points_ends[1])), f"whisker s{series}")
        if spot.before is not None:
            cost, points = spot.before
            drawing.line((x(cost), y(points)), (across, up), f"moved s{series}")
            tip = f"{spot.name}, as told before the run: {points:.0f} points, {told(cost)}"
            drawing.mark(x(cost), y(points), series, tip=tip, hollow=True)
        tip = f"{spot.name}, measured: {spot.points:.1f} points, {told(spot.cost)}"
        drawing.mark(across, up, series, tip=tip, link=spot.link, size=6.0)
    entries = [(f"{s.name} (measured)", n, False) for n, s in enumerate(measured, 1)]
    entries += [(f"{s.name}, as told before", n, True) for n, s in enumerate(measured, 1) if s.before is not None]
    if predicted:
        entries.append(("predicted candidates; the line is their front", 0, True))
    legend(drawing, entries, (_LEFT, 16.0))
    return drawing.svg()


def pareto(spots: Sequence[Spot]) -> list[Spot]:
    """Those that no other beats in points at the same cost or less, by rising cost."""
    found: list[Spot] = []
    for spot in sorted(spots, key=lambda s: (s.cost, -s.points)):
        if not found or spot.points > found[-1].points:
            found.append(spot)
    return found


def _described(
    measured: Sequence[Spot], predicted: Sequence[Spot], front: Sequence[Spot], told: Callable[[float], str]
) -> str:
    parts = [f"{s.name} measured at {s.points:.0f} points and {told(s.cost)}" for s in measured]
    if front:
        names = ", ".join(f"{s.name} ({s.points:.0f}, {told(s.cost)})" for s in front)
        parts.append(f"{len(predicted)} candidates predicted, on their front: {names}")
    return "; ".join(parts)
