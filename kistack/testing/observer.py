"""The process of a trial: it runs jobs as a worker does, and notes what stages should not do.

``python -c … REPORT [--die SECONDS] JOB…`` writes one JSON object a job into REPORT: the addresses that were
connected to, the classes that were unpickled, what was written to standard output, processes left running, and
whether a forked process came back out of the stage.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from kistack.execution.events import EventReader, Progress
from kistack.execution.job import Job
from kistack.execution.worker import run_job

#: How long processes that a stage started may take to end by themselves.
_GRACE_SECONDS = 1.0
_MOST = 20


class Watch:
    """An audit hook that notes network use and unpickling while it is on."""

    def __init__(self) -> None:
        self.network: list[str] = []
        self.pickles: list[str] = []
        self.on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by the interpreter at every audited event."""
        if not self.on:
            return
        if event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
            _note(self.network, f"{event[7:]} to {arguments[1][0]}:{arguments[1][1]}")
        elif event == "socket.getaddrinfo":
            _note(self.network, f"look-up of {arguments[0]}")
        elif event == "pickle.find_class":
            _note(self.pickles, f"{arguments[0]}.{arguments[1]}")

    def begin(self) -> None:
        """Start with nothing noted."""
        self.network, self.pickles, self.on = [], [], True


def _note(notes: list[str], note: str) -> None:
    if note not in notes and len(notes) < _MOST:
        notes.append(note)


def perform(path: Path, watch: Watch, report: Path, die: float | None = None) -> None:
    """Run one job and append what was noted to the report; with ``die`` end the process in the middle of it."""
    job = Job.read(path)
    os.environ.update(job.env)
    sys.path.extend(p for p in job.path if p not in sys.path)
    me = os.getpid()
    told = job.log.with_name(job.log.name + ".stdout")
    with job.log.open("a", encoding="utf-8") as log, told.open("a", encoding="utf-8") as out:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(out.fileno(), 1)
        os.dup2(log.fileno(), 2)
        if die is not None:
            threading.Thread(target=_die, args=(job.events, die), daemon=True).start()
        watch.begin()
        outcome = run_job(job)
        watch.on = False
        sys.stdout.flush()
        sys.stderr.flush()
    if os.getpid() != me:
        with report.with_suffix(".strays").open("a") as strays:
            strays.write(f"{job.key}\n")
        os._exit(0)
    outcome.write(job.result)
    found = {
        "key": job.key,
        "network": watch.network,
        "pickles": watch.pickles,
        "stdout": told.read_text(encoding="utf-8", errors="replace")[:200],
        "left": _left(),
    }
    with report.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(found) + "\n")


def _left() -> list[str]:
    """Processes that are still there, after they had time to end."""
    children = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs(children, timeout=_GRACE_SECONDS) if children else ([], [])
    return [_name(process) for process in alive]


def _name(process: psutil.Process) -> str:
    try:
        return f"{process.name()} ({process.pid})"
    except psutil.Error:
        return str(process.pid)


def main(arguments: list[str]) -> int:
    """Run the jobs; with ``--die`` end the process as by ``kill -9`` within so many seconds of a job's start."""
    report, rest = Path(arguments[0]), arguments[1:]
    watch, die = Watch(), None
    sys.addaudithook(watch)
    if rest and rest[0] == "--die":
        die, rest = float(rest[1]), rest[2:]
    for path in rest:
        perform(Path(path), watch, report, die)
    return 0


def _die(events: Path, seconds: float) -> None:
    """Kill this process once half of the work is told to be done, at the latest after ``seconds``."""
    end = time.monotonic() + seconds
    reader = EventReader(events)
    while time.monotonic() < end:
        if any(isinstance(e, Progress) and e.total / 2 <= e.done < e.total for e in reader.read()):
            break
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)
