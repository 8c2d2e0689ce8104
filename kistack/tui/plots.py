"""Plots of the wizard, drawn into plotext's figures: told apart by their marks, so that they read without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kistack.reporting.numbers import shown
from kistack.tui.board import Dots
from kistack.tui.facts import Timeline

#: The mark of each kind of point.
KEPT, FRONT, BEST, PICKED, REJECTED = "•", "◆", "★", "◎", "×"  # noqa: RUF001 - marks, not text
#: A cost that spans more than this is shown on a logarithmic scale.
_WIDE_RANGE = 8.0
_TICKS = 4
#: Columns that a label of the horizontal axis takes.
_LABEL = 11


def draw_dots(plt: Any, dots: Dots, width: int = 60) -> None:
    """Quality against a cost: who is kept, who is on the front, who is recommended and who is picked."""
    plt.clear_figure()
    groups = (
        (dots.rejected, REJECTED, "red", ""),
        (dots.kept, KEPT, "blue", ""),
        (dots.front, FRONT, "green", ""),
        ((dots.best,) if dots.best else (), BEST, "yellow", ""),
        ((dots.picked,) if dots.picked else (), PICKED, "magenta", ""),
    )
    every = [point for points, *_ in groups for point in points]
    if not every:
        return
    costs = [cost for cost, _ in every]
    low, high = min(costs), max(costs)
    logarithmic = low > 0 and high / low > _WIDE_RANGE

    def place(cost: float) -> float:
        return math.log10(cost) if logarithmic else cost

    for points, mark, color, _ in groups:
        if points:
            plt.scatter([place(c) for c, _ in points], [q for _, q in points], marker=mark, color=color)
    ticks = _ticks(place(low), place(high), max(2, min(_TICKS, width // _LABEL)))
    plt.xticks(ticks, [shown(10**t if logarithmic else t, dots.unit) for t in ticks])
    bottom, top = min(q for _, q in every), max(q for _, q in every)
    margin = max(2.0, 0.08 * (top - bottom))
    plt.ylim(max(0.0, bottom - margin), min(102.0, top + margin))


def legend(dots: Dots) -> str:
    """What the marks of ``draw_dots`` mean."""
    told = ((BEST, "best"), (FRONT, "front"), (KEPT, "kept"), (REJECTED, "rejected"), (PICKED, "row"))
    return f"points by {dots.axis}: {' '.join(f'{mark} {word}' for mark, word in told)}"


def _ticks(low: float, high: float, count: int) -> list[float]:
    if high <= low:
        return [low]
    return [low + (high - low) * n / (count - 1) for n in range(count)]


def draw_timeline(plt: Any, found: Timeline, width: int = 60) -> None:
    """How the documents change: bars between dates, or a line over the days to come."""
    plt.clear_figure()
    places = list(range(len(found.values)))
    if found.bars:
        plt.bar(places, list(found.values), width=0.6)
    else:
        plt.plot(places, list(found.values), marker="braille")
        plt.ylim(0, 100)
    some = _some(places, max(2, width // _LABEL))
    plt.xticks(some, [found.labels[n] for n in some])
    plt.ylabel(found.what)


def _some(places: Sequence[int], most: int) -> list[int]:
    """At most so many of the places, evenly spread, the first and the last among them."""
    if len(places) <= most:
        return list(places)
    return sorted({round(n * (len(places) - 1) / (most - 1)) for n in range(most)})
