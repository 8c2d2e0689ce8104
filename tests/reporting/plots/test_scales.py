import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.reporting.plots.scales import Scale, linear, logarithmic

numbers = st.floats(1e-6, 1e9)


@given(st.lists(numbers, min_size=1, max_size=8))
def test_every_number_lies_on_its_axis_in_its_order(values):
    for scale in (linear(values, 50, 600), logarithmic(values, 50, 600)):
        places = [scale(v) for v in sorted(values)]
        assert places == sorted(places)
        assert all(50 <= p <= 600 for p in places)


@given(numbers, numbers)
def test_ticks_lie_within_and_are_few(one, two):
    for scale in (linear([one, two], 0, 1), logarithmic([one, two], 0, 1)):
        found = scale.ticks()
        assert 1 <= len(found) <= 20
        span = scale.high - scale.low
        assert all(scale.low - 1e-6 * span <= t <= scale.high + 1e-6 * span for t in found)


def test_ticks_are_round():
    assert Scale(0, 100, 0, 1).ticks(5) == [0, 20, 40, 60, 80, 100]
    assert logarithmic([0.4, 2.4], 0, 1).ticks() == pytest.approx([0.5, 1, 2])
    assert Scale(1e3, 1e9, 0, 1, log=True).ticks() == pytest.approx([10.0**p for p in range(3, 10)])


def test_ends_may_be_fixed_and_what_is_beyond_lies_at_the_end():
    scale = linear([3, 4], 100, 0, floor=0, ceiling=10)
    assert (scale(0), scale(10), scale(20)) == (100, 0, 0)
    assert linear([math.nan], 0, 1).low < linear([], 0, 1).high
    assert linear([5, 5], 0, 1)(5) == pytest.approx(0.5)
