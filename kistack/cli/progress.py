"""Showing a run as it goes: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kistack.cli.output import out
from kistack.execution.events import (
    Event,
    LogLine,
    RunStarted,
    StepDone,
    StepFailure,
    StepReused,
    StepStarted,
    Warned,
)
from kistack.execution.events import Progress as Progressed
from kistack.reporting.numbers import shown, significant

#: Seconds between two lines of one step where there is no terminal.
_LINE_EVERY = 20.0


class RunDisplay:
    """Listens to a run's events; use it in a ``with`` statement and pass it as ``on_event``."""

    def __init__(self) -> None:
        console = out.stderr
        self._live = console.is_terminal and not out.quiet
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._where = ""
        self._last_line = 0.0
        self._began = 0.0
        # What is counted now, and from when and where on: a step may count one thing after the other.
        self._unit = ""
        self._from = (0.0, 0.0)

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case RunStarted():
                self._line(f"run {event.run}: {event.total} steps")
            case StepStarted():
                self._start(event)
            case Progressed():
                self._progress(event)
            case StepDone():
                self._end(event.use, f"done in {shown(event.measured.get('seconds', 0), 's')}{_peak(event.measured)}")
            case StepReused():
                self._where = f"[{event.index}/{event.total}]"
                self._end(event.use, "done already")
            case StepFailure():
                self._end(event.use, f"{event.status}: {event.error}")
            case LogLine():
                self._line(f"    {event.message}")
            case Warned():
                self._line(f"warning: {event.message}")
            case _:
                pass

    def _start(self, event: StepStarted) -> None:
        self._where = f"[{event.index}/{event.total}]"
        self._began = self._last_line = time.monotonic()
        self._unit = ""
        expected = event.predicted.get("seconds")
        about = f", about {shown(expected, 's')}" if expected else ""
        auto = " (put in automatically)" if event.auto else ""
        self._line(f"{self._where} {event.use}{auto}{about}")
        if self._live:
            self._task = self._bars.add_task(f"{self._where} {event.use}", total=None, told="")

    def _progress(self, event: Progressed) -> None:
        numbers = " ".join(f"{n} {significant(v)}" for n, v in event.numbers.items() if v is not None)
        told = f"{significant(event.done)}/{significant(event.total)} {event.unit} {numbers}".strip()
        now = time.monotonic()
        if event.unit != self._unit:
            # What was done before, by an interrupted step, says nothing of the pace.
            self._unit, self._from = event.unit, (now, event.done)
        if self._live and self._task is not None:
            self._bars.update(self._task, completed=event.done, total=event.total or None, told=told)
            return
        if now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            began, before = self._from
            gone = event.done - before
            left = (now - began) * (event.total - event.done) / gone if gone > 0 else 0.0
            passed = shown(now - self._began, "s")
            self._line(f"    {told}, {passed} passed" + (f", {shown(left, 's')} left" if left else ""))

    def _end(self, use: str, how: str) -> None:
        if self._live and self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        self._line(f"{self._where} {use}: {how}")

    def _line(self, text: str) -> None:
        if out.quiet:
            return
        if self._live:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            out.say(text)


def _peak(measured: object) -> str:
    peak = measured.get("peak_bytes", 0.0) if hasattr(measured, "get") else 0.0
    return f", {shown(peak, 'B')} of memory" if peak else ""
