"""The worker: the process in which steps run.

``python -m kistack.execution.worker JOB…`` runs the jobs in these files. Without arguments it reads the paths of job
files from standard input, one a line, and answers each on standard output with the path of its result: so the runner
may give several steps to one worker. It ends, with all processes it started, when its input ends.

Nothing heavy is imported here: a stage imports what it needs.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from kistack.errors import Cancelled, KistackError, PluginError, StepFailed, StoreError
from kistack.execution.context import WorkerContext
from kistack.execution.events import EventLog
from kistack.execution.job import Job, Outcome, load_stage
from kistack.execution.meter import PeakMemory
from kistack.plugins.memory import gpu_peak_bytes, reset_gpu_peak
from kistack.storage.files import disk_full, is_disk_full, read_json, size_of
from kistack.storage.hashing import walk
from kistack.storage.results import check_facts

_CLOCK_SECONDS = 2.0
_LOCK_SECONDS = 30.0
_STOPPED = 143


class Stopped(BaseException):
    """The runner asked this worker to stop."""


def run_job(job: Job) -> Outcome:
    """Run one step in this process and say what came of it; never raises but for ``Stopped``."""
    clock = _Clock(job)
    start, cpu = time.perf_counter(), time.process_time()
    try:
        with _alone(job), clock, PeakMemory() as peak:
            reset_gpu_peak()
            facts = _run(job)
        made = sum(file.stat().st_size for out in job.outs.values() for _, file in walk(out))
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises must be told by name
        traceback.print_exc()
        return Outcome(error=_explain(error, job))
    except (KeyboardInterrupt, SystemExit) as error:
        traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            return Outcome(error=Cancelled(f"{job.use} was stopped", "the same command goes on from here"))
        return Outcome(error=StepFailed(f"{job.use} (plugin {job.plugin}) ended its process", _see(job)))
    on_gpu = float(gpu_peak_bytes())
    measured = {
        "seconds": clock.before + time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": on_gpu or float(peak.bytes),
        "bytes": float(made),
        "scratch_bytes": float(size_of(job.scratch)),
        "threads": float(job.env.get("OMP_NUM_THREADS", 0)),
    }
    if on_gpu:
        measured["host_bytes"] = float(peak.bytes)
    if clock.resumed:
        measured["resumed"] = 1.0
    return Outcome(facts, measured)


def _run(job: Job) -> dict[str, dict[str, float]]:
    stage = load_stage(job.stage)
    context = WorkerContext(job, EventLog(job.events))
    try:
        returned = stage.run(stage.Settings.model_validate(dict(job.settings)), context)
    finally:
        context.close()
    return _checked(job, returned)


def _checked(job: Job, returned: Any) -> dict[str, dict[str, float]]:
    """What a stage returned, as facts per output."""
    who = f"{job.use} (plugin {job.plugin})"
    remedy = "report it to the plugin's author"
    if not isinstance(returned, Mapping) or not all(isinstance(f, Mapping) for f in returned.values()):
        raise PluginError(f"{who} must return its outputs' facts, not {type(returned).__name__}", remedy)
    unknown = sorted(returned.keys() - job.outs.keys())
    if unknown:
        raise PluginError(f"{who} returned facts of {unknown[0]!r}, which is no output of it", remedy)
    empty = [name for name, path in job.outs.items() if not any(path.iterdir())]
    if empty:
        raise StepFailed(f"{who} left its output {empty[0]!r} empty", _see(job))
    try:
        return {name: check_facts(f"{who}, output {name!r}", returned.get(name, {})) for name in job.outs}
    except (StoreError, TypeError) as error:
        raise PluginError(f"{who} returned facts that are no numbers: {error}", remedy) from error


def _explain(error: Exception, job: Job) -> KistackError:
    """The error to hand back: kistack's own as it is, any other with the names of step and plugin."""
    if is_disk_full(error):
        return disk_full(job.scratch, f"running {job.use}", job.needed)
    if isinstance(error, KistackError):
        return error
    who = f"{job.use} (plugin {job.plugin})"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return StepFailed(f"{who} ran out of memory: {_first_line(error)}", "free some memory, or use a smaller model")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return StepFailed(f"{who} raised {type(error).__name__}{place}: {_first_line(error)}", _see(job))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["(no message)"])[0][:300]


def _see(job: Job) -> str:
    return f"the whole traceback is in {job.log}"


class _alone:  # noqa: N801 - reads as a context
    """Holds the scratch: a worker left over from a killed run may still be ending."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lock = FileLock(job.lock)

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            raise StoreError(
                f"another process still works on {self._job.use} in {self._job.scratch}",
                f"end the process that holds {self._job.lock}",
            ) from None

    def __exit__(self, *_exc: object) -> None:
        self._lock.release()


class _Clock:
    """Seconds spent on a step, kept in a file so that a resumed step can add what came before the kill."""

    def __init__(self, job: Job) -> None:
        self._file = job.clock
        fresh = not job.scratch.is_dir() or not any(job.scratch.iterdir())
        known = None if fresh else read_json(job.clock)
        self.resumed = known is not None
        self.before = float(known["seconds"]) if known else 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> None:
        self._start = time.perf_counter()
        self._write()
        self._thread.start()

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._write()

    def _tick(self) -> None:
        while not self._stop.wait(_CLOCK_SECONDS):
            self._write()

    def _write(self) -> None:
        seconds = self.before + time.perf_counter() - self._start
        temporary = self._file.with_name(self._file.name + ".new")
        try:
            temporary.write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
            temporary.replace(self._file)
        except OSError:
            # A full disk is for the step itself to find out.
            temporary.unlink(missing_ok=True)


# --- the process


class _Feed:
    """Job paths from standard input, read in a thread that also notices when the runner is gone."""

    def __init__(self) -> None:
        # A stage that reads standard input must not eat the next job.
        self._input = os.fdopen(os.dup(0), encoding="utf-8")
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        # Of the jobs that came, how many are not done: with any left, the end of the input is the end of the runner.
        self._came = self.done = 0
        self._jobs: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._watch, args=(os.getppid(),), daemon=True).start()

    def next(self) -> str:
        """The next path; empty when there are no more."""
        return self._jobs.get()

    def _read(self) -> None:
        for line in self._input:
            self._came += 1
            self._jobs.put(line.strip())
        if self._came > self.done:
            _end_group()
        self._jobs.put("")

    def _watch(self, parent: int) -> None:
        # The pipe stays open where the runner forked: its number changing is the second sign of its end.
        while os.getppid() == parent:
            time.sleep(1)
        _end_group()


def _end_group() -> None:
    """End this process and all it started, at once."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(_STOPPED)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _perform(path: Path) -> Outcome:
    """Run the job in a file with its output going to its log; writes the result file."""
    job = Job.read(path)
    os.environ.update(job.env)
    sys.path.extend(p for p in job.path if p not in sys.path)
    me = os.getpid()
    with job.log.open("a", encoding="utf-8", buffering=1) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        outcome = run_job(job)
        sys.stdout.flush()
        sys.stderr.flush()
    if os.getpid() != me:
        # A child that a stage forked has come back here: it must not speak for the worker.
        os._exit(0)
    outcome.write(job.result)
    return outcome


def main(arguments: list[str]) -> int:
    """Run the jobs named in the arguments, or on standard input; the exit status is 1 if one failed."""
    control = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    errors = os.dup(2)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    if sys.platform != "win32":
        faulthandler.enable()
        # The runner asks where a step hangs before it ends it.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGTERM, _stop)
    try:
        if arguments:
            outcomes = [_perform(Path(argument)) for argument in arguments]
            control.writelines(f"{o.error}\n" for o in outcomes if o.error is not None)
            return int(any(o.error is not None for o in outcomes))
        feed = _Feed()
        while path := feed.next():
            _perform(Path(path))
            os.dup2(errors, 1)
            os.dup2(errors, 2)
            feed.done += 1
            control.write(path + "\n")
    except Stopped:
        return _STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
