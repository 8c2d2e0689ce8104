"""Every plot is well-formed, says in words what it shows, and draws each number where it belongs."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from kistack.reporting.plots.curves import Curve, curves
from kistack.reporting.plots.drawing import Drawing, axis_below, legend
from kistack.reporting.plots.ranges import Range, log_scale, rows_of_ranges
from kistack.reporting.plots.scales import linear
from kistack.reporting.plots.timelines import Bar, timeline
from kistack.reporting.plots.tradeoffs import Spot, pareto, tradeoff


def drawn(svg):
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    width, height = map(float, root.get("viewBox").split()[2:])
    for node in root.iter():
        for name, most in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
            if node.get(name) is not None:
                assert -1 <= float(node.get(name)) <= most + 1, (node.tag, node.attrib)
    return root


def of_class(root, name):
    return [n for n in root.iter() if name in n.get("class", "").split()]


def spot(name, cost, points, **more):
    return Spot(name, cost, points, (cost * 0.9, cost * 1.1), (points - 5, points + 5), **more)


def test_the_front_is_what_nothing_beats():
    spots = [spot("a", 1, 40), spot("b", 2, 30), spot("c", 2, 60), spot("d", 3, 60), spot("e", 1, 35)]
    assert [s.name for s in pareto(spots)] == ["a", "c"]
    assert pareto([]) == []


def test_a_tradeoff_marks_what_was_measured_told_before_and_predicted():
    measured = [spot("plan", 0.7, 88, link="#system-plan", before=(0.8, 68)), spot("<base>", 1.6, 0)]
    root = drawn(tradeoff("Quality", "seconds", measured, [spot("c", 0.5, 50), spot("d", 1, 90)], lambda v: f"{v:g} s"))
    assert "plan measured at 88 points and 0.7 s" in root.get("aria-label")
    assert len(of_class(root, "mark")) == 2 + 2 + 1 + 4  # measured, predicted, told before, legend
    assert len(of_class(root, "front")) == 1
    assert [a.get("href") for a in root.iter("a")] == ["#system-plan"]
    assert "<base> (measured)" in [t.text for t in root.iter("text")]


def test_ranges_reach_from_end_to_end_about_their_number():
    rows = [("one", [Range(2.0, 1.0, 4.0, 1), Range(0.5, 0.25, 1.0, 2)]), ("two", [])]
    root = drawn(rows_of_ranges("R", "x", rows, [("a", 1, False)], lambda v: f"{v:g}", scale=log_scale, at=1.0))
    first, second = of_class(root, "whisker")
    middle = float(of_class(root, "reference")[0].get("x1"))
    assert float(first.get("x1")) == pytest.approx(middle, abs=0.2)
    # On a logarithmic axis twice and half lie equally far from once.
    assert float(first.get("x2")) - middle == pytest.approx(middle - float(second.get("x1")), abs=0.3)


def test_curves_are_lines_with_bands_thinned_to_what_can_be_seen():
    points = [(n / 5000, 1 / (1 + n)) for n in range(5001)]
    band = [(y * 0.9, y * 1.1) for _, y in points]
    found = [Curve("tune", points, band), Curve("distill", points[:2])]
    root = drawn(curves("Loss", ("done", "loss"), found, (str, str), floor=0.0))
    line = of_class(root, "line")[0].get("points").split()
    assert 400 < len(line) < 700
    xs = [float(p.split(",")[0]) for p in line]
    assert all(a <= b for a, b in pairwise(xs))
    assert len(of_class(root, "area")) == 1
    assert "tune: from 1.0" in root.get("aria-label")
    assert drawn(curves("nothing", ("x", "y"), [], (str, str))) is not None


@pytest.mark.parametrize(("end", "words"), [(30.0, "seconds"), (600.0, "minutes"), (9000.0, "hours")])
def test_a_timeline_counts_in_the_unit_that_fits(end, words):
    bars = [Bar("tune/lora", 0.0, end / 2, "step"), Bar("answer", end / 2, end, "evaluation"), Bar("x", 0, 0, "reused")]
    root = drawn(timeline("When", bars, lambda v: f"{v:g} s"))
    assert f"{words} since the run began" in [t.text for t in root.iter("text")]
    one, two, three = (of_class(root, "bar")[n] for n in range(3))
    assert float(one.get("width")) == pytest.approx(float(two.get("width")), abs=0.2)
    assert float(three.get("width")) == 0.5


def test_tick_texts_never_overlap_and_words_are_escaped():
    drawing = Drawing('a "title" & more', "<words>")
    axis_below(drawing, linear([0, 1], 100, 180), (0, 200), "l", lambda v: f"a long text {v:g}")
    legend(drawing, [("name " * 8, n, bool(n % 2)) for n in range(9)], (60.0, 20.0))
    root = drawn(drawing.svg())
    assert root.get("aria-label") == 'a "title" & more: <words>'
    ticks = [float(t.get("x")) for t in of_class(root, "tick")]
    assert all(b - a > 80 for a, b in pairwise(ticks))
