"""A plot that never takes the screen down: plotext fails on sizes and ranges it has no room for."""

from __future__ import annotations

from typing import Any

from textual_plotext import PlotextPlot

#: Below this many columns and lines there is no room for axes.
_LEAST = (24, 6)


class Plot(PlotextPlot):
    """A plot that stays empty where there is no room for it."""

    def render(self) -> Any:
        """The plot, or nothing."""
        width, height = self.size
        if width < _LEAST[0] or height < _LEAST[1]:
            return ""
        try:
            return super().render()
        except (ArithmeticError, LookupError, ValueError):  # what plotext raises while labels leave no room for points
            return ""
