"""What a run says of its steps where there is no terminal."""

import pytest

from kistack.cli import progress
from kistack.cli.output import out
from kistack.cli.progress import RunDisplay
from kistack.execution.events import Progress, StepStarted


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(out, "say", lines.append)
    return lines


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def counted(done, total, unit):
    return Progress(key="k", done=done, total=total, unit=unit)


@pytest.mark.parametrize(
    ("waits", "first", "then", "told"),
    [
        ((0, 30), (0, 200, "answers"), (50, 200, "answers"), "50.0/200 answers, 30 s passed, 1.5 min left"),
        # What an interrupted step had done says nothing of the pace.
        ((10, 20), (500, 1000, "tokens"), (600, 1000, "tokens"), "600/1,000 tokens, 30 s passed, 1.33 min left"),
    ],
)
def test_time_left_is_told_from_the_pace_so_far(said, clock, waits, first, then, told):
    with RunDisplay() as display:
        display(StepStarted(key="k", use="tune/x", index=1, total=1))
        for wait, count in zip(waits, (first, then), strict=True):
            clock.now += wait
            display(counted(*count))
    assert said[-1] == f"    {told}"


def test_what_is_counted_next_has_a_pace_of_its_own(said, clock):
    with RunDisplay() as display:
        display(StepStarted(key="k", use="answer/items", index=1, total=1))
        clock.now += 100
        display(counted(200, 200, "answers"))
        assert said[-1] == "    200/200 answers, 1.67 min passed"
        clock.now += 1
        display(counted(1, 16, "single answers"))
        clock.now += 20
        display(counted(5, 16, "single answers"))
    assert said[-1] == "    5.00/16.0 single answers, 2.02 min passed, 55 s left"


def test_a_new_step_begins_anew(said, clock):
    with RunDisplay() as display:
        for index in (1, 2):
            display(StepStarted(key="k", use="tune/x", index=index, total=2))
            display(counted(0, 20, "tokens"))
            clock.now += 40
            display(counted(10, 20, "tokens"))
            assert said[-1] == "    10.0/20.0 tokens, 40 s passed, 40 s left"
