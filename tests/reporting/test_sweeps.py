from dataclasses import replace

import numpy as np
from sweeping.planted import SETS, planted

from kistack.reporting.markdown import render
from kistack.reporting.sweeps import effect_cell, effect_text, sweep_page
from kistack.sweeping.attribution import Effect
from kistack.sweeping.rows import Row


def effect(number, scale, value, low=None, high=None):
    return Effect(number, ("distill",), scale, value, low, high, 8, 8)


def test_one_technique_in_a_line():
    own = [
        effect("quality", "points", -1.2, -2.1, -0.3),
        effect("latency_seconds", "ratio", 0.59, 0.55, 0.63),
        effect("bytes", "ratio", 1.25),
        effect("serving_peak_bytes", "ratio", 1.001),
        effect("seconds", "seconds", 180.0),
    ]
    said = effect_text("distill", {(e.techniques, e.number): e for e in own})
    assert said == "distillation -1.2 ± 0.9 points, saves 41 % latency, costs 25 % size, costs 3 min to build"


def test_what_is_not_shown_is_said_and_what_was_measured_once_has_no_half_width():
    unsure = effect("quality", "points", 0.4, -0.5, 1.3)
    assert effect_text("distill", {(("distill",), "quality"): unsure}) == (
        "distillation +0.4 ± 0.9 points (no difference shown)"
    )
    assert effect_cell(effect("bytes", "ratio", 0.5)) == "x0.50"
    assert effect_cell(effect("latency_seconds", "ratio", 0.5, 0.4, 0.6)) == "x0.50 [0.40, 0.60]"
    assert effect_cell(effect("quality", "points", 2.0)) == "+2.0"
    assert effect_cell(effect("seconds", "seconds", -30.0)) == "-30 s"


def test_the_page_has_a_row_for_what_failed_and_for_what_waits():
    cells = {c: np.array([1.0, 0.0, 1.0, 1.0]) for c in SETS}
    sweep = planted(cells, advised="retrieve+tune")
    rows = {**sweep.rows, "tune": Row("tune", "failed", "run-9", "it broke")}
    del rows["distill"]
    text = render(sweep_page(replace(sweep, rows=rows, status="budget", notes=("mind this",))))
    assert "| tune | failed: it broke | - | - | - | - | - | run-9 |" in text
    assert "| distill | waiting |" in text
    assert "the budget ended before: distill." in text
    assert "14 of 16" in text
    assert "always tune | tune: it broke" in text
    assert "mind this" in text
    assert "Not known: the advised plan is not among" in render(sweep_page(planted(cells, advised="-")))
    empty = render(sweep_page(replace(sweep, rows={})))
    assert "0 of 16" in empty
    assert "Nothing was measured." in empty
