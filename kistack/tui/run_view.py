"""How a run stands, from its events: they may come in any order, twice, or never."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kistack.execution.events import (
    Event,
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
from kistack.reporting.numbers import DASH, percent, shown, significant

#: Series are thinned to half of this many points when they reach it.
MOST_POINTS = 240
_LOG_LINES = 1000
#: Numbers of progress under the names by which they are plotted.
SERIES = {"loss": "loss", "tokens_per_second": "tokens/s", "memory": "memory (MB)"}
_MEGABYTE = 1e6


@dataclass
class Series:
    """A number over time: seconds since the run began, and its values."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, time: float, value: float) -> None:
        """Add a point; where there are too many, every other older one goes."""
        if len(self.times) >= MOST_POINTS:
            self.times, self.values = self.times[::2], self.values[::2]
        self.times.append(time)
        self.values.append(value)


@dataclass(eq=False)
class StepView:
    """A step of a run: ``status`` is waiting, running, done, reused, failed, cancelled or killed."""

    use: str
    key: str = ""
    status: str = "waiting"
    auto: bool = False
    expected: float = 0.0
    began: float = 0.0
    seconds: float = 0.0
    peak: float = 0.0
    share: float = 0.0
    told: str = ""
    error: str = ""

    def elapsed(self, now: float) -> float:
        """Seconds that it took, or has taken up to ``now``."""
        return max(0.0, now - self.began) if self.status == "running" and self.began else self.seconds


class RunView:
    """A run as its events tell it; ``status`` is new, running, done, failed, cancelled or killed.

    Args:
        run: its id, where it is known before the first event.
    """

    def __init__(self, run: str = "") -> None:
        self.run = run
        self.status = "new"
        self.began = 0.0
        self.seconds = 0.0
        self.cause = ""
        self.hint = ""
        self.steps: list[StepView] = []
        self.series: dict[str, Series] = {name: Series() for name in SERIES}
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        #: How many lines there were in all, so that a reader knows which are new.
        self.lines = 0

    @property
    def current(self) -> StepView | None:
        """The step that runs now."""
        return next((s for s in reversed(self.steps) if s.status == "running"), None)

    @property
    def done(self) -> int:
        """How many steps are finished."""
        return sum(s.status in {"done", "reused"} for s in self.steps)

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self.status not in {"new", "running"}

    def elapsed(self, now: float) -> float:
        """Seconds that it took, or has taken up to ``now``."""
        if self.ended or not self.began:
            return self.seconds
        return max(0.0, now - self.began)

    def left(self, now: float) -> float:
        """Seconds that are expected to be left, from what steps were expected to take and how far the current is."""
        rest = 0.0
        for step in self.steps:
            if step.status == "waiting":
                rest += step.expected
            elif step.status == "running":
                passed = step.elapsed(now)
                whole = passed / step.share if step.share > 0 else step.expected
                rest += max(0.0, whole - passed)
        return rest

    def take(self, events: Iterable[Event]) -> None:
        """Take events in."""
        for event in events:
            self._take(event)

    def lost(self, cause: str, *, now: float) -> None:
        """Its process is gone without a word."""
        if self.ended:
            return
        if (step := self.current) is not None:
            step.seconds = step.elapsed(now)
            step.status, step.error = "killed", cause
        self.seconds = self.elapsed(now)
        self.status, self.cause = "killed", cause
        self.hint = "what was finished is kept: going on takes it up from the last checkpoint"
        self._say(f"killed: {cause}")

    # --- events

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._start(event)
            case StepStarted():
                self._begin(event)
            case Progress():
                self._progress(event)
            case StepDone() | StepReused():
                self._finish(event)
            case StepFailure():
                self._fail(event)
            case RunFinished():
                self._end(event)
            case LogLine() | Warned():
                self._say(event.message if isinstance(event, LogLine) else f"warning: {event.message}")
            case _:
                pass

    def _fail(self, event: StepFailure) -> None:
        step = self._step(event.key, event.use)
        step.seconds = step.seconds or (max(0.0, event.time - step.began) if step.began else 0.0)
        step.status = event.status if event.status in {"failed", "cancelled"} else "failed"
        step.error = event.error
        self._say(f"{event.use} {step.status}: {event.error}")

    def _end(self, event: RunFinished) -> None:
        self.status, self.seconds, self.cause, self.hint = event.status, event.seconds, event.error, event.hint
        for step in self.steps:
            if step.status == "running":
                step.seconds, step.status = step.elapsed(event.time), "cancelled"
        self._say(f"run {event.status}" + (f": {event.error}" if event.error else ""))

    def _start(self, event: RunStarted) -> None:
        """A run begins, or goes on: what was told of its steps before counts no more, its log and curves do."""
        self.run, self.status, self.began = event.run, "running", event.time
        self.cause = self.hint = ""
        self.seconds = 0.0
        expected = [*event.expected, *[0.0] * len(event.uses)]
        self.steps = [StepView(use, expected=_number(s)) for use, s in zip(event.uses, expected, strict=False)]
        if any(series.times for series in self.series.values()):
            self._say("the run goes on")
            self.series = {name: Series() for name in SERIES}

    def _begin(self, event: StepStarted) -> None:
        step = self._step(event.key, event.use, event.index)
        step.status, step.auto, step.began, step.share, step.told = "running", event.auto, event.time, 0.0, ""
        step.expected = _number(event.predicted.get("seconds")) or step.expected
        step.error = ""
        if self.status == "new":
            self.status, self.began = "running", event.time

    def _progress(self, event: Progress) -> None:
        step = next((s for s in self.steps if s.key == event.key), None)
        if step is not None:
            step.share = min(1.0, max(0.0, event.done / event.total)) if event.total else 0.0
            of = f"/{significant(event.total)}" if event.total else ""
            step.told = f"{significant(event.done)}{of} {event.unit}".strip()
        time = max(0.0, event.time - self.began) if self.began else 0.0
        numbers: dict[str, float | None] = {**event.numbers}
        if event.memory:
            numbers["memory"] = event.memory / _MEGABYTE
        for name, value in numbers.items():
            # Numbers that are not finite are null in the file.
            if value is not None and name in self.series:
                self.series[name].add(time, float(value))

    def _finish(self, event: StepDone | StepReused) -> None:
        reused = isinstance(event, StepReused)
        step = self._step(event.key, event.use, event.index if isinstance(event, StepReused) else 0)
        measured: Mapping[str, float] = event.measured
        step.status, step.share = ("reused" if reused else "done"), 1.0
        step.seconds = _number(measured.get("seconds")) or step.elapsed(event.time)
        step.peak = _number(measured.get("peak_bytes"))
        self._say(f"{event.use}: " + ("done already" if reused else f"done in {shown(step.seconds, 's')}"))

    def _step(self, key: str, use: str, index: int = 0) -> StepView:
        """The step of that key; else the one at that place, the first that waits for it, or a new one."""
        for step in self.steps:
            if step.key == key:
                return step
        if 0 < index <= len(self.steps) and not self.steps[index - 1].key:
            found = self.steps[index - 1]
        else:
            found = next((s for s in self.steps if not s.key and s.use == use), StepView(use))
            if found not in self.steps:
                self.steps.append(found)
        found.key, found.use = key, use
        return found

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self.log.append(line)
            self.lines += 1


def _number(value: float | None) -> float:
    return float(value) if value is not None else 0.0


STEP_COLUMNS = ("", "step", "expected", "took", "memory")
_MARKS = {"waiting": "·", "running": "▶", "done": "✓", "reused": "=", "failed": "✗", "cancelled": "■", "killed": "✗"}


def step_rows(view: RunView, now: float) -> list[tuple[str, ...]]:
    """The steps as a table: a mark and word for the status, expected and elapsed time, memory."""
    rows: list[tuple[str, ...]] = []
    for step in view.steps:
        status = f"{_MARKS[step.status]} {percent(step.share) if step.status == 'running' else step.status}"
        elapsed = step.elapsed(now)
        rows.append(
            (
                status,
                step.use + (" (auto)" if step.auto else ""),
                shown(step.expected, "s") if step.expected else DASH,
                shown(elapsed, "s") if elapsed else DASH,
                shown(step.peak, "B") if step.peak else DASH,
            )
        )
    return rows


def headline(view: RunView, now: float) -> str:
    """The run in a line: its id, how it stands, how long it has taken and may still take."""
    if view.status == "new":
        return f"{view.run}: beginning …" if view.run else "no run yet: s starts the plan"
    steps = f"{view.done} of {len(view.steps)} steps"
    told = f"{view.run or 'run'}: {view.status}, {steps}, {shown(view.elapsed(now), 's')}"
    if not view.ended:
        told += f" so far, about {shown(view.left(now), 's')} left"
        if (step := view.current) is not None and step.told:
            told += f" · {step.use} {step.told}"
    return told
