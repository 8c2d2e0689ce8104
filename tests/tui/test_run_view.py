"""A run from its events, in any order."""

import math

from hypothesis import given
from hypothesis import strategies as st

from kistack.execution.events import (
    LogLine,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
    StepFailure,
    StepReused,
    StepStarted,
    Warned,
)
from kistack.tui.run_view import MOST_POINTS, RunView, Series, headline, step_rows

T = 1000.0
STARTED = RunStarted(time=T, run="r1", total=3, uses=("a/x", "a/x", "b/y"), expected=(5.0, 6.0, 7.0))


def began(key, use, index, at=0.0):
    return StepStarted(time=T + at, key=key, use=use, index=index, total=3, predicted={"seconds": 4.0})


def test_a_run_from_beginning_to_end():
    view = RunView()
    view.take([STARTED, began("k1", "a/x", 1)])
    view.take([Progress(time=T + 2, key="k1", done=1, total=4, unit="batches", numbers={"loss": 2.0}, memory=3e6)])
    assert view.status == "running"
    assert view.current.share == 0.25
    assert view.series["loss"].values == [2.0]
    assert view.series["memory"].values == [3.0]
    # 2 of 8 s passed in this one; 6 and 7 s are expected of the others.
    assert view.left(T + 2) == 19.0
    rows = step_rows(view, T + 2)
    assert rows[0][:4] == ("▶ 25.0 %", "a/x", "4 s", "2 s")
    assert rows[2][:3] == ("· waiting", "b/y", "7 s")
    assert "about 19 s left" in headline(view, T + 2)
    view.take([StepDone(time=T + 3, key="k1", use="a/x", measured={"seconds": 2.5, "peak_bytes": 1e6})])
    view.take([StepReused(time=T + 3, key="k2", use="a/x", index=2, total=3, measured={"seconds": 1.0})])
    view.take([began("k3", "b/y", 3, 3), StepFailure(time=T + 5, key="k3", use="b/y", error="broken")])
    view.take([RunFinished(time=T + 5, run="r1", status="failed", seconds=5.0, error="broken", hint="mend it")])
    assert [s.status for s in view.steps] == ["done", "reused", "failed"]
    assert (view.status, view.cause, view.hint) == ("failed", "broken", "mend it")
    assert view.elapsed(T + 99) == 5.0
    assert view.done == 2


def test_a_run_that_is_gone_tells_its_cause_once():
    view = RunView()
    view.take([STARTED, began("k1", "a/x", 1)])
    view.lost("killed by signal 9", now=T + 4)
    view.lost("again", now=T + 9)
    assert (view.status, view.cause) == ("killed", "killed by signal 9")
    assert view.steps[0].status == "killed"
    assert view.steps[0].seconds == 4.0


def test_a_run_that_goes_on_begins_anew_and_keeps_its_log():
    view = RunView()
    view.take([STARTED, began("k1", "a/x", 1), LogLine(key="k1", message="one\ntwo")])
    view.take([Progress(time=T + 1, key="k1", done=1, total=2, numbers={"loss": 1.0})])
    view.take([RunFinished(time=T + 2, run="r1", status="cancelled", seconds=2.0)])
    assert view.steps[0].status == "cancelled"
    view.take([STARTED])
    assert view.status == "running"
    assert view.series["loss"].values == []
    assert "one" in view.log
    assert "the run goes on" in view.log


def test_series_stay_short_and_keep_their_ends():
    series = Series()
    for n in range(5000):
        series.add(n, n)
    assert len(series.times) <= MOST_POINTS
    assert series.times[0] == 0
    assert series.times[-1] == 4999
    assert series.times == series.values == sorted(series.times)


KEYS = st.sampled_from(["k1", "k2", "k3", ""])
USES = st.sampled_from(["a/x", "b/y", "c/z"])
TIMES = st.floats(0, 1e4)
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
EVENT = st.one_of(
    st.builds(
        RunStarted,
        time=TIMES,
        run=st.just("r"),
        total=st.integers(0, 4),
        uses=st.lists(USES, max_size=4).map(tuple),
        expected=st.lists(st.floats(0, 99), max_size=5).map(tuple),
    ),
    st.builds(
        StepStarted,
        time=TIMES,
        key=KEYS,
        use=USES,
        index=st.integers(-1, 5),
        total=st.integers(0, 4),
        predicted=st.dictionaries(st.just("seconds"), NUMBERS),
    ),
    st.builds(
        Progress,
        time=TIMES,
        key=KEYS,
        done=st.floats(-1, 9),
        total=st.floats(0, 9),
        numbers=st.dictionaries(st.sampled_from(["loss", "tokens_per_second", "other"]), NUMBERS),
        memory=st.floats(0, 1e9),
    ),
    st.builds(StepDone, time=TIMES, key=KEYS, use=USES, measured=st.dictionaries(st.just("seconds"), NUMBERS)),
    st.builds(StepReused, time=TIMES, key=KEYS, use=USES, index=st.integers(-1, 5), total=st.just(3)),
    st.builds(StepFailure, time=TIMES, key=KEYS, use=USES, error=st.text(max_size=5), status=st.text(max_size=5)),
    st.builds(LogLine, time=TIMES, key=KEYS, message=st.text(max_size=9)),
    st.builds(Warned, time=TIMES, message=st.text(max_size=9)),
    st.builds(RunFinished, time=TIMES, run=st.just("r"), status=st.sampled_from(["done", "failed", "cancelled"])),
)


@given(st.lists(EVENT, max_size=30), TIMES)
def test_any_order_of_events_makes_a_run_that_can_be_shown(events, now):
    view = RunView()
    for event in events:
        view.take([event])
        assert headline(view, now)
        assert len(step_rows(view, now)) == len(view.steps)
        assert view.elapsed(now) >= 0
        assert view.left(now) >= 0
        assert math.isfinite(view.left(now))
        assert view.done <= len(view.steps)
    assert len({s.key for s in view.steps if s.key}) == len([s for s in view.steps if s.key])
