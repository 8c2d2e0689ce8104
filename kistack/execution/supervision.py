"""Worker processes as the runner sees them: started, given a job, watched, ended."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kistack.errors import Cancelled, StepFailed
from kistack.execution.job import Outcome
from kistack.execution.meter import TreeUsage, out_of_memory_kills, tree_usage
from kistack.plugins.environments import Interpreter, this_interpreter
from kistack.units import format_duration, format_size

#: Bytes moved between two looks that count as a sign of life (a worker's own clock file moves less).
_MOVED_BYTES = 1 << 20
_BUSY_SHARE = 0.02

#: Beside the logs of the steps: what workers say outside of them.
WORKER_LOG = "worker.log"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a worker is given up, in seconds.

    ``idle_seconds``: neither an event nor processor time nor disk traffic. ``silent_seconds``: no event, though it
    works. ``grace_seconds``: between asking it to stop and killing it. ``threads``: for arithmetic (0: one for each
    physical core that may be used).
    """

    idle_seconds: float = 900.0
    silent_seconds: float = 6 * 3600.0
    grace_seconds: float = 3.0
    sample_seconds: float = 2.0
    poll_seconds: float = 0.1
    threads: int = 0


class Worker:
    """A worker process in a session of its own, so that a ctrl-C in the terminal reaches the runner alone.

    Args:
        log: the file that takes what it says outside of steps.
        interpreter: the Python it runs in (default: the one that runs this).

    Raises:
        StepFailed: the system refuses to start it.

    """

    def __init__(self, log: Path, interpreter: Interpreter | None = None) -> None:
        self.interpreter = interpreter or this_interpreter()
        try:
            with log.open("ab") as errors:
                self._process = subprocess.Popen(
                    self.interpreter.command("kistack.execution.worker"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                    env=self.interpreter.variables(),
                )
        except OSError as error:
            raise StepFailed(
                f"no worker process can be started: {error.strerror}", "close other programs, or free some disk"
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        self._gone = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def give(self, job: Path) -> None:
        """Hand it the path of a job file."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(f"{job}\n".encode())
            self._stdin.flush()

    def answered(self, timeout: float) -> bool:
        """Whether it has answered within ``timeout`` seconds."""
        if not self._selector.select(timeout):
            return False
        data = os.read(self._stdout.fileno(), 1 << 16)
        if not data:
            # It ended: do not spin on the closed pipe while the process goes.
            time.sleep(timeout)
        return bool(data)

    def ended(self) -> int | None:
        """Its exit status, negative for the number of a signal; None while it runs."""
        return self._process.poll()

    def usage(self) -> TreeUsage | None:
        """What it and all it started have used."""
        return tree_usage(self.pid)

    def dump(self) -> None:
        """Have it write where it is into the step's log."""
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.2)

    def close(self, grace: float = 3.0) -> None:
        """End an idle one: it ends by itself when its input does."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._wait(grace)

    def stop(self, grace: float = 3.0) -> None:
        """End a busy one: asked first, then by force, with all it started."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        self._wait(grace)

    def kill(self) -> None:
        """End it and its process group at once."""
        if self._gone:
            return
        self._gone = True
        if sys.platform == "win32":
            self._process.kill()
        else:
            # The group may outlive its leader: processes that a stage started.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._stdout.close()

    def _wait(self, grace: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill()


@dataclass(frozen=True, slots=True)
class Watched:
    """A job under supervision: its stage and plugin, its files, and its predicted peak memory."""

    use: str
    plugin: str
    job: Path
    result: Path
    log: Path
    predicted_peak: float = 0.0

    @property
    def who(self) -> str:
        """What to call it in messages."""
        return f"{self.use} (plugin {self.plugin})"


def supervise(
    worker: Worker, watched: Watched, limits: Limits, *, heard: Callable[[], int], cancelled: Callable[[], bool]
) -> Outcome:
    """Give a worker a job and wait for its end; the worker lives on only if it answered.

    Args:
        worker: an idle worker.
        watched: the job.
        limits: when to give it up.
        heard: passes new events on and returns how many there were.
        cancelled: whether the run is to stop.

    Raises:
        Cancelled: ``cancelled`` said so; the worker was ended.
        StepFailed: the worker died, or was ended because it hung.

    """
    watch = _Watch(worker, limits)
    try:
        _wait(worker, watched, limits, watch, heard, cancelled)
        outcome = Outcome.read(watched.result, watched.use)
        if outcome is None:
            raise StepFailed(f"{watched.who} left no result", f"its last words are in {watched.log}")  # noqa: TRY301
    except BaseException:
        worker.kill()
        heard()
        raise
    heard()
    if watch.child_peak:
        of_host = "host_bytes" if "host_bytes" in outcome.measured else "peak_bytes"
        peak = outcome.measured.get(of_host, 0.0) + watch.child_peak
        return Outcome(outcome.facts, {**outcome.measured, of_host: peak}, outcome.error)
    return outcome


def _wait(
    worker: Worker,
    watched: Watched,
    limits: Limits,
    watch: _Watch,
    heard: Callable[[], int],
    cancelled: Callable[[], bool],
) -> None:
    killed_before = out_of_memory_kills()
    worker.give(watched.job)
    while not worker.answered(limits.poll_seconds):
        watch.look(heard())
        if cancelled():
            worker.stop(limits.grace_seconds)
            raise Cancelled(f"{watched.who} was stopped", "the same command goes on from here")
        status = worker.ended()
        if status is not None:
            if worker.answered(0):
                return
            raise _death(watched, status, oom=out_of_memory_kills() > killed_before)
        if fault := watch.fault():
            worker.dump()
            raise StepFailed(f"{watched.who} was ended: {fault}", f"where it hung is at the end of {watched.log}")


class _Watch:
    """Signs of life of a worker, and the memory of what it started."""

    def __init__(self, worker: Worker, limits: Limits) -> None:
        self.child_peak = 0.0
        self._worker = worker
        self._limits = limits
        self._event = self._sign = self._sampled = time.monotonic()
        self._last: TreeUsage | None = None

    def look(self, events: int) -> None:
        """Note events, and now and then what the worker has used."""
        now = time.monotonic()
        if events:
            self._event = self._sign = now
        if now - self._sampled < self._limits.sample_seconds:
            return
        usage = self._worker.usage()
        if usage is not None and self._last is not None:
            worked = usage.cpu_seconds - self._last.cpu_seconds
            if worked > _BUSY_SHARE * (now - self._sampled) or usage.io_bytes - self._last.io_bytes > _MOVED_BYTES:
                self._sign = now
        if usage is not None:
            self.child_peak = max(self.child_peak, float(usage.child_bytes))
        self._last, self._sampled = usage, now

    def fault(self) -> str:
        """Why to give it up; empty while there is hope."""
        now = time.monotonic()
        if now - self._sign > self._limits.idle_seconds:
            return f"it did nothing for {format_duration(self._limits.idle_seconds, 3)}"
        if now - self._event > self._limits.silent_seconds:
            return f"it said nothing for {format_duration(self._limits.silent_seconds, 3)}"
        return ""


def _death(watched: Watched, status: int, *, oom: bool) -> StepFailed:
    again = "the same command goes on from the last checkpoint"
    if status >= 0:
        log = watched.log if watched.log.exists() else watched.log.with_name(WORKER_LOG)
        return StepFailed(
            f"{watched.who}: its process ended with status {status} before it was done",
            f"its last words are in {log}",
        )
    name = signal.Signals(-status).name if -status in set(signal.Signals) else "unknown"
    message = f"{watched.who}: its process was killed by signal {-status} ({name})"
    if -status == signal.SIGKILL:
        import psutil

        free = format_size(psutil.virtual_memory().available, 3)
        wanted = f", {format_size(watched.predicted_peak, 3)} predicted" if watched.predicted_peak else ""
        cause = "the system was out of memory" if oom else "perhaps out of memory"
        return StepFailed(message, f"{cause} ({free} free now{wanted}): close other programs; {again}")
    if -status == signal.SIGTERM:
        return StepFailed(message, again)
    return StepFailed(message, f"a library crashed; its last words are in {watched.log}")
