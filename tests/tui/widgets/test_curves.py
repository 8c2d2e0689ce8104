import asyncio

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App

from kistack.tui.run_view import SERIES, Series
from kistack.tui.widgets import curves
from kistack.tui.widgets.curves import Curves, thinned
from kistack.tui.widgets.plot import Plot


class Drawing(App):
    def __init__(self, *, narrow):
        super().__init__()
        self.narrow = narrow

    def compose(self):
        yield Curves()

    def on_mount(self):
        self.screen.set_class(self.narrow, "-narrow")


def watch_drawing(monkeypatch, script, *, narrow=False):
    """Run a script on curves whose turns it takes itself; the labels that were drawn."""
    drawn = []
    real = curves._draw
    monkeypatch.setattr(curves, "_TURN_SECONDS", 1e6)
    monkeypatch.setattr(curves, "_draw", lambda *given: (drawn.append(given[1]), real(*given)))

    async def main():
        app = Drawing(narrow=narrow)
        async with app.run_test(size=(60, 30)) as pilot:
            await pilot.pause()
            drawn.clear()
            await script(app.query_one(Curves), pilot, drawn)

    asyncio.run(main())


def series(count):
    return {name: Series([float(n) for n in range(count)], [float(n % 7) for n in range(count)]) for name in SERIES}


def test_plots_are_drawn_one_at_a_turn_and_only_what_changed(monkeypatch):
    async def script(drawing, pilot, drawn):
        drawing.draw(series(300))
        assert drawn == []
        for _ in range(5):
            drawing._draw_next()
            await pilot.pause()
        assert sorted(drawn) == sorted(SERIES.values())
        assert "seconds" in str(drawing.query(Plot).first().render())
        changed = series(300)
        changed["memory"].add(300.0, 9.0)
        drawing.draw(changed)
        drawn.clear()
        for _ in range(3):
            drawing._draw_next()
        assert drawn == [SERIES["memory"]]

    watch_drawing(monkeypatch, script)


def test_on_a_narrow_terminal_only_the_chosen_one_is_drawn(monkeypatch):
    async def script(drawing, pilot, drawn):
        drawing.draw(series(5))
        for _ in range(3):
            drawing._draw_next()
        first, second, _ = SERIES.values()
        assert drawn == [first]
        drawing.choose_next()
        await pilot.pause()
        drawing._draw_next()
        assert drawn == [first, second]

    watch_drawing(monkeypatch, script, narrow=True)


@given(st.integers(0, 500), st.integers(0, 80))
def test_what_is_drawn_begins_and_ends_as_the_series_does(count, most):
    points = series(count)["loss"]
    times, values = thinned(points, most)
    assert len(times) == len(values) == min(count, max(2, most))
    assert times == sorted(set(times))
    assert times[:1] == points.times[:1]
    assert times[-1:] == points.times[-1:]
    assert all(values[i] == points.values[int(t)] for i, t in enumerate(times))


def test_a_curve_of_one_point_is_drawn(monkeypatch):
    async def script(drawing, pilot, drawn):
        drawing.draw(series(1))
        drawing._draw_next()
        await pilot.pause()
        assert len(drawn) == 1

    watch_drawing(monkeypatch, script)
