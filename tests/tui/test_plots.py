import pytest
from textual_plotext.plot import Plot

from kistack.tui.board import COSTS, dots, rows
from kistack.tui.facts import Timeline
from kistack.tui.plots import BEST, FRONT, KEPT, PICKED, draw_dots, draw_timeline, legend
from kistack.tui.stating import adopt


def drawn(plt, width=70, height=18):
    plt.plot_size(width, height)
    return plt.uncolorize(plt.build())


@pytest.mark.parametrize("cost", range(len(COSTS)))
def test_marks_tell_points_apart_without_colour(opened, cost):
    plt = Plot()
    found = rows(opened.bench.judgement, opened.bench)
    draw_dots(plt, dots(opened.bench.judgement, cost, found[3]))
    text = drawn(plt)
    assert PICKED in text
    assert BEST in text
    assert FRONT in text or KEPT in text
    assert all(mark in legend(dots(opened.bench.judgement, cost)) for mark in (BEST, FRONT, KEPT, PICKED))


def test_a_plot_of_nothing_and_of_rejected_ones_only_is_drawn(opened):
    adopt(opened, {"limits.memory": "1kB"})
    plt = Plot()
    draw_dots(plt, dots(opened.bench.judgement, 0))
    assert BEST not in drawn(plt)


@pytest.mark.parametrize("width", [1, 20, 200])
def test_timelines_are_drawn_at_any_width(width):
    for bars in (True, False):
        plt = Plot()
        values = tuple(float(n) for n in range(30))
        draw_timeline(plt, Timeline("t", tuple(map(str, range(30))), values, bars, "%"), width)
        assert drawn(plt, max(width, 10))
