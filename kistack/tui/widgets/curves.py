"""Curves of a run: loss, tokens a second and memory over time."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from kistack.tui.run_view import SERIES, Series
from kistack.tui.widgets.plot import Plot


class Curves(Vertical):
    """One plot for each series below one another; on a small terminal only the chosen one."""

    DEFAULT_CSS = """
    Curves > Plot { height: 1fr; min-height: 6; }
    .-narrow Curves > Plot { display: none; }
    .-narrow Curves > Plot.-chosen { display: block; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's word
        super().__init__(id=id)
        self._chosen = 0
        self._series: dict[str, Series] = {}
        self._drawn: dict[str, tuple[int, float]] = {}

    def compose(self) -> ComposeResult:
        """A plot for each series."""
        for number, name in enumerate(SERIES):
            yield Plot(id=f"curve-{name}", classes="-chosen" if number == self._chosen else "")

    def choose_next(self) -> None:
        """Show the next one where there is room for one."""
        self._chosen = (self._chosen + 1) % len(SERIES)
        for number, plot in enumerate(self.query(Plot)):
            plot.set_class(number == self._chosen, "-chosen")
        self.draw(self._series)

    def on_resize(self) -> None:
        """Draw what can be seen now."""
        self.draw(self._series)

    def draw(self, series: dict[str, Series]) -> None:
        """Draw what has changed and can be seen."""
        self._series = series
        for plot, (name, label) in zip(self.query(Plot), SERIES.items(), strict=False):
            points = series.get(name) or Series()
            mark = (len(points.times), points.times[-1] if points.times else -1.0)
            if not plot.display or self._drawn.get(name) == mark:
                continue
            self._drawn[name] = mark
            canvas = plot.plt
            canvas.clear_data()
            canvas.title(label if points.times else f"{label}: nothing yet")
            canvas.xlabel("seconds")
            if points.times:
                canvas.plot(points.times, points.values, marker="braille")
            plot.refresh()
