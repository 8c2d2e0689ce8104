"""Curves of a run: loss, tokens a second and memory over time."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from kistack.tui.run_view import SERIES, Series
from kistack.tui.widgets.plot import Plot

#: Between two drawings. One plot is drawn at a time: each takes some 30 ms, and a key that is pressed waits for it.
_TURN_SECONDS = 0.35


class Curves(Vertical):
    """One plot for each series below one another; on a small terminal only the chosen one.

    ``draw`` only takes note: plots are drawn in turn, those that are seen and have changed.
    """

    # What is chosen depends on the screen's width, which is told outside of this widget.
    SCOPED_CSS = False
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
        self._turn = 0

    def compose(self) -> ComposeResult:
        """A plot for each series."""
        for number, name in enumerate(SERIES):
            yield Plot(id=f"curve-{name}", classes="-chosen" if number == self._chosen else "")

    def on_mount(self) -> None:
        """Draw as time passes."""
        self._draw_next()
        self.set_interval(_TURN_SECONDS, self._draw_next)

    def choose_next(self) -> None:
        """Show the next one where there is room for one."""
        self._chosen = (self._chosen + 1) % len(SERIES)
        for number, plot in enumerate(self.query(Plot)):
            plot.set_class(number == self._chosen, "-chosen")
        self._draw_next()

    def draw(self, series: dict[str, Series]) -> None:
        """Show these from now on."""
        self._series = series

    def _draw_next(self) -> None:
        """Draw the next plot that is seen and has changed."""
        plots = list(zip(self.query(Plot), SERIES.items(), strict=False))
        for plot, (name, label) in plots[self._turn :] + plots[: self._turn]:
            self._turn = (self._turn + 1) % len(plots)
            points = self._series.get(name) or Series()
            mark = (len(points.times), points.times[-1] if points.times else -1.0)
            # What has no size yet is drawn once it has.
            if plot.display and plot.size.width and self._drawn.get(name) != mark:
                self._drawn[name] = mark
                _draw(plot, label, points)
                return


def _draw(plot: Plot, label: str, points: Series) -> None:
    canvas = plot.plt
    canvas.clear_data()
    canvas.title(label if points.times else f"{label}: nothing yet")
    canvas.xlabel("seconds")
    if points.times:
        canvas.plot(*thinned(points, plot.size.width), marker="braille")
    plot.refresh()


def thinned(points: Series, most: int) -> tuple[list[float], list[float]]:
    """Times and values of at most so many points (two at least), evenly spread, the first and the last among them."""
    count, most = len(points.times), max(2, most)
    if count <= most:
        return points.times, points.values
    chosen = [n * (count - 1) // (most - 1) for n in range(most)]
    return [points.times[n] for n in chosen], [points.values[n] for n in chosen]
