"""Change rates recovered from simulated histories, exact on small ones."""

import datetime as dt
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.errors import DataError
from kistack.profiling.documents import Document
from kistack.profiling.turnover import Row, State, compare, fit, intervals, pieces_of, state_of

START = dt.date(2024, 1, 1)


def day(n):
    return START + dt.timedelta(days=n)


def simulate(rate, days, documents=150, pieces=10, seed=0):
    """States of a corpus whose pieces are replaced with hazard ``rate`` per day."""
    generator = random.Random(seed)
    now = {f"d{d}": {p: (0, generator.expovariate(rate)) for p in range(pieces)} for d in range(documents)}
    states = []
    for date in days:
        for held in now.values():
            for piece, (version, due) in held.items():
                while due <= date:
                    version, due = version + 1, due + generator.expovariate(rate)  # noqa: PLW2901
                held[piece] = (version, due)
        texts = {d: frozenset(f"{p}.{v}" for p, (v, _) in held.items()) for d, held in now.items()}
        states.append(State(day(date), texts))
    return states


@pytest.mark.parametrize(("rate", "days"), [(0.02, (0, 30)), (0.02, (0, 10, 90)), (0.001, (0, 365, 730))])
def test_the_hazard_is_recovered_and_its_interval_covers_it(rate, days):
    covered = 0
    for seed in range(20):
        changed, low, high, removed, added = fit(compare(simulate(rate, days, seed=seed)))
        assert changed == pytest.approx(rate, rel=0.25)
        assert removed == 0
        assert added == 0
        covered += low <= rate <= high
    assert covered >= 16, "a 95 % interval covers the truth nearly always"


def test_additions_and_removals_are_kept_apart():
    before = State(day(0), {"a": frozenset("123"), "b": frozenset("456"), "gone": frozenset("78")})
    after = State(day(10), {"a": frozenset("12x"), "b": frozenset("45"), "new": frozenset("yz")})
    rows = compare([before, after])
    assert {row.document: row[4:] for row in rows} == {
        "a": (3, 1, 0, 0),
        "b": (3, 0, 1, 0),
        "gone": (2, 0, 2, 0),
        "new": (0, 0, 0, 2),
    }
    [counted] = intervals(rows)
    assert (counted.both, counted.changed, counted.removed, counted.added, counted.days) == (5, 1, 3, 2, 10)
    rates = fit(rows)
    assert math.exp(-rates.changed * 10) == pytest.approx(1 - 1 / 5)
    assert math.exp(-rates.removed * 10) == pytest.approx(1 - 3 / 8)
    assert rates.added == pytest.approx(2 / 80)


def test_a_renamed_document_is_neither_removed_nor_added():
    before = State(day(0), {"old name": frozenset("123")})
    after = State(day(10), {"new name": frozenset("123")})
    assert fit(compare([before, after]))[0] == 0


def test_nothing_changed_and_everything_changed_are_both_finite():
    still = compare([State(day(0), {"a": frozenset("123")}), State(day(10), {"a": frozenset("123")})])
    changed, low, high, *_ = fit(still)
    assert (changed, low, high) == (0, 0, pytest.approx(3 / 30))
    fresh = compare([State(day(0), {"a": frozenset("123")}), State(day(10), {"a": frozenset("xyz")})])
    changed, *_ = fit(fresh)
    assert 0.1 < changed < 1


def test_states_with_nothing_in_common_to_compare():
    with pytest.raises(DataError, match="nothing in common"):
        fit(compare([State(day(0), {}), State(day(1), {"a": frozenset("1")})]))


def test_pieces_are_lines_and_sentences_without_spacing():
    assert pieces_of("One  two. Three four!\nfive\n\nfive\nv1.2 is out. so") == {
        "One two.",
        "Three four!",
        "five",
        "v1.2 is out. so",
    }


def test_dates_in_ids_are_left_out_where_ids_stay_distinct():
    dated = state_of([Document("a@2024-07-01", "", "x"), Document("b@2024-07-01", "", "y")], day(0))
    assert set(dated.pieces) == {"a", "b"}
    diary = state_of([Document("note-2024-07-01", "", "x"), Document("note-2024-07-02", "", "y")], day(0))
    assert set(diary.pieces) == {"note-2024-07-01", "note-2024-07-02"}


@st.composite
def histories(draw):
    """Rows of several documents over one or several spans of time, some of their pieces changed."""
    rows = []
    for number in range(draw(st.integers(1, 6))):
        start = 0
        for _ in range(draw(st.integers(1, 3))):
            days = draw(st.integers(1, 60))
            pieces = draw(st.integers(1, 30))
            changed = draw(st.integers(0, pieces))
            removed = draw(st.integers(0, pieces - changed))
            rows.append(Row(f"d{number}", ("", ""), day(start), day(start + days), pieces, changed, removed, 1))
            start += days
    return rows


@settings(deadline=None, max_examples=60)
@given(histories(), st.integers(2, 20))
def test_a_clock_that_runs_slower_scales_every_rate(rows, factor):
    if all(row.pieces == row.removed for row in rows):
        return
    slower = [r._replace(before=START, after=START + dt.timedelta(days=factor * r.days)) for r in rows]
    once, slow = fit(rows), fit(slower)
    for first, second in zip(once, slow, strict=True):
        assert second * factor == pytest.approx(first, rel=1e-6, abs=1e-12)
    assert once.low <= once.changed <= once.high


@settings(deadline=None, max_examples=60)
@given(histories())
def test_intervals_add_up_to_the_rows(rows):
    counted = intervals(rows)
    assert sum(i.changed for i in counted) == sum(r.changed for r in rows)
    assert sum(i.both + i.removed for i in counted) == sum(r.pieces for r in rows)
    assert all(0 <= i.share <= 1 for i in counted)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.0005, 0.02), st.integers(0, 10**6))
def test_no_rate_is_far_outside_its_interval(rate, seed):
    found = fit(compare(simulate(rate, (0, 30, 75), documents=60, seed=seed)))
    margin = found.high - found.low
    assert found.low - margin <= rate <= found.high + margin
