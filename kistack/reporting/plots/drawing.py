"""A drawing: SVG elements collected in order, with the frame, axes and legend that plots share.

Nothing is coloured here: elements carry classes (``s0`` to ``s7`` for series, ``axis``, ``grid``, …) and the document's
style sheet colours them for light and dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from kistack.reporting.plots.scales import Scale

#: Series that the style sheet tells apart, by colour and by shape.
SERIES = 8
#: Height of a row of a legend.
LEGEND_ROW = 18.0
Anchor = Literal["start", "middle", "end"]
#: Width of a character of the axis font, as a share of its size.
_ASPECT = 0.58
FONT = 12.0


@dataclass
class Drawing:
    """One SVG picture of ``width`` by ``height`` user units; a screen reader says ``title`` and ``describes``."""

    title: str
    describes: str
    width: float = 640.0
    height: float = 360.0
    _parts: list[str] = field(default_factory=list)

    def line(self, start: tuple[float, float], end: tuple[float, float], css: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self._parts.append(f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def path(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """An open line through points."""
        if points:
            told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            self._parts.append(f'<polyline class="line {css}" points="{told}"/>')

    def area(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """A filled shape."""
        told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polygon class="area {css}" points="{told}"/>')

    def box(self, corner: tuple[float, float], size: tuple[float, float], css: str, *, tip: str = "") -> None:
        """A rectangle; ``tip`` is shown while the pointer rests on it."""
        (x, y), (width, height) = corner, size
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{max(0.5, width):.1f}" '
            f'height="{height:.1f}">{inner}</rect>'
        )

    def mark(
        self, x: float, y: float, series: int, *, tip: str = "", link: str = "", hollow: bool = False, size: float = 5.0
    ) -> None:
        """A point in the colour and shape of its series, which a reader without colours can tell too."""
        css = f"mark s{series % SERIES}" + (" hollow" if hollow else "")
        shape = _SHAPES[series % len(_SHAPES)](x, y, size)
        drawn = f'<{shape} class="{css}">' + (f"<title>{escape(tip)}</title>" if tip else "")
        drawn += f"</{shape.partition(' ')[0]}>"
        self._parts.append(f'<a href="{escape(link)}">{drawn}</a>' if link else drawn)

    def text(
        self, x: float, y: float, words: str, *, anchor: Anchor = "start", css: str = "label", turned: bool = False
    ) -> None:
        """Words at a place."""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self._parts.append(
            f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(words)}</text>'
        )

    def svg(self) -> str:
        """The picture as an element to be put into HTML."""
        head = (
            f'<svg class="plot" role="img" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'aria-label="{escape(f"{self.title}: {self.describes}")}">'
        )
        return head + "".join(self._parts) + "</svg>"


def text_width(words: str) -> float:
    """About how wide words are on a drawing, in user units."""
    return _ASPECT * FONT * len(words)


def axis_below(
    drawing: Drawing, scale: Scale, at: tuple[float, float], label: str, told: Callable[[float], str]
) -> None:
    """The horizontal axis at the foot ``at[1]`` of a plot whose head is ``at[0]``, with grid lines and tick texts."""
    top, foot = at
    last = float("-inf")
    for tick in scale.ticks():
        x, words = scale(tick), told(tick)
        drawing.line((x, top), (x, foot), "grid")
        if x - text_width(words) / 2 > last + 4:
            drawing.text(x, foot + 16, words, anchor="middle", css="tick")
            last = x + text_width(words) / 2
    drawing.line((scale.start, foot), (scale.end, foot), "axis")
    drawing.text((scale.start + scale.end) / 2, foot + 36, label, anchor="middle", css="axis-label")


def axis_left(
    drawing: Drawing, scale: Scale, ends: tuple[float, float], label: str, told: Callable[[float], str]
) -> None:
    """The vertical axis at the left end of a plot that reaches from ``ends[0]`` to ``ends[1]``."""
    left, right = ends
    for tick in scale.ticks(5):
        y = scale(tick)
        drawing.line((left, y), (right, y), "grid")
        drawing.text(left - 6, y + 4, told(tick), anchor="end", css="tick")
    drawing.line((left, scale.start), (left, scale.end), "axis")
    drawing.text(16, (scale.start + scale.end) / 2, label, anchor="middle", css="axis-label", turned=True)


def legend(drawing: Drawing, entries: Iterable[tuple[str, int, bool]], corner: tuple[float, float]) -> None:
    """Names of series in rows from ``corner``: (name, series, hollow mark)."""
    left, y = corner
    x = left
    for name, series, hollow in entries:
        width = 22 + text_width(name) + 12
        if x > left and x + width > drawing.width:
            x, y = left, y + LEGEND_ROW
        drawing.mark(x + 6, y - 4, series, hollow=hollow)
        drawing.text(x + 18, y, name, css="legend")
        x += width


def _circle(x: float, y: float, size: float) -> str:
    return f'circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"'


def _square(x: float, y: float, size: float) -> str:
    return f'rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size:.1f}" height="{2 * size:.1f}"'


def _polygon(*places: tuple[float, float]) -> Callable[[float, float, float], str]:
    def shape(x: float, y: float, size: float) -> str:
        told = " ".join(f"{x + 1.25 * size * dx:.1f},{y + 1.25 * size * dy:.1f}" for dx, dy in places)
        return f'polygon points="{told}"'

    return shape


_SHAPES: tuple[Callable[[float, float, float], str], ...] = (
    _circle,
    _square,
    _polygon((0, -1), (0.9, 0.8), (-0.9, 0.8)),
    _polygon((0, -1), (1, 0), (0, 1), (-1, 0)),
    _polygon((0, 1), (0.9, -0.8), (-0.9, -0.8)),
)
