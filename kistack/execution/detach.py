"""Runs that outlive the terminal that started them: started apart, listed, watched, stopped."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from kistack.errors import InputError
from kistack.execution.events import (
    EVENTS_FILE,
    Event,
    EventReader,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
    StepReused,
    StepStarted,
    from_line,
)
from kistack.execution.stopping import CANCEL_FILE
from kistack.storage.files import read_json, storing, write_json
from kistack.storage.garbage import is_running

LOG_FILE = "log"
_PROCESS_FILE = "process.json"
_POLL_SECONDS = 0.1

#: How the lines of frequent events begin, within so many bytes.
_HEAD, _PROGRESS, _LOG = 40, b'"event": "progress"', b'"event": "log"'

_children: list[subprocess.Popen[bytes]] = []
#: How those ended that were started here.
_ended: dict[int, int] = {}
#: So much of what a process said last is told when it ended without a word of its own.
_LAST_WORDS = 600


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as its files and its process tell: ``status`` is running, done, failed, cancelled, killed or new.

    ``done`` of ``total`` steps are finished; ``use`` is the current one, ``share`` how far it is (0 to 1).
    """

    run: str
    folder: Path
    status: str
    pid: int = 0
    started: float = 0.0
    done: int = 0
    total: int = 0
    use: str = ""
    share: float = 0.0
    seconds: float = 0.0
    error: str = ""


def launch(
    command: Sequence[str], run_dir: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Start the process that will drive a run, in a session of its own, and return its number.

    Its output goes to ``run_dir/log``. ``command`` is the whole command line; it must run with this ``run_dir``.

    Raises:
        InputError: the command cannot be started.
        StoreError: the run's folder cannot be written.

    """
    with storing(run_dir, "starting a run"):
        run_dir.mkdir(parents=True, exist_ok=True)
        log = (run_dir / LOG_FILE).open("ab")
        written = os.fstat(log.fileno()).st_size
    with log:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=cwd,
                env=None if env is None else dict(env),
            )
        except OSError as error:
            raise InputError(f"{command[0]} cannot be started: {error.strerror}", "name an existing program") from error
    # Kept so that a caller that lives on can reap it.
    _children.append(process)
    with contextlib.suppress(psutil.Error, OSError):
        note_process(run_dir, process.pid, command, log=written)
    return process.pid


def note_process(run_dir: Path, pid: int | None = None, command: Sequence[str] = (), log: int = 0) -> None:
    """Write down which process (default: this one) drives a run, and from which byte of the run's log on it speaks."""
    process = psutil.Process(pid)
    before = read_json(run_dir / _PROCESS_FILE)
    if before is not None and before.get("pid") == process.pid:
        log = int(before.get("log", log))
    document = {
        "schema": 1,
        "log": log,
        "pid": process.pid,
        "started": process.create_time(),
        "machine": platform.node(),
        "command": list(command or sys.argv),
    }
    write_json(run_dir / _PROCESS_FILE, document)


def status_of(run_dir: Path) -> RunStatus:
    """How a run stands."""
    driver = _driver(run_dir)
    state = _state(run_dir / EVENTS_FILE)
    if driver.alive or driver.elsewhere:
        status = state.finished or "running"
    else:
        status = state.finished or ("killed" if driver.pid else "new")
    running = status == "running" and state.started
    return RunStatus(
        run=run_dir.name,
        folder=run_dir,
        status=status,
        pid=driver.pid if driver.alive else 0,
        started=state.started or driver.began,
        done=state.done,
        total=state.total,
        use="" if state.finished else state.use,
        share=state.share,
        seconds=time.time() - state.started if running else state.seconds,
        error=state.error,
    )


@dataclass(frozen=True, slots=True)
class _Driver:
    """The process that drives a run: ``elsewhere`` when it is on another machine that shares the folder."""

    pid: int = 0
    began: float = 0.0
    alive: bool = False
    elsewhere: bool = False
    log: int = 0


def _driver(run_dir: Path) -> _Driver:
    for child in list(_children):
        if (code := child.poll()) is not None:
            _ended[child.pid] = code
            # Another thread may look at the same moment.
            with contextlib.suppress(ValueError):
                _children.remove(child)
    noted = read_json(run_dir / _PROCESS_FILE)
    if noted is None:
        return _Driver()
    pid, began = int(noted["pid"]), float(noted["started"])
    if noted["machine"] != platform.node():
        return _Driver(pid, began, elsewhere=True)
    return _Driver(pid, began, alive=is_running(pid, began), log=int(noted.get("log", 0)))


def is_driven(run_dir: Path) -> bool:
    """Whether a process drives this run, here or, for all that can be known, on another machine."""
    driver = _driver(run_dir)
    return driver.alive or driver.elsewhere


def cause_of_death(run_dir: Path) -> str:
    """Why the process of a run that was killed is gone: its signal, a restart of the machine, or its last words."""
    driver = _driver(run_dir)
    code = _ended.get(driver.pid)
    words = _last_words(run_dir / LOG_FILE, driver.log)
    if not driver.pid:
        cause = "no process drives it"
    elif code is not None and code < 0:
        known = {s.value: s.name for s in signal.Signals}
        cause = f"its process {driver.pid} was killed by signal {-code} ({known.get(-code, 'unknown')})"
    elif code:
        cause = f"its process {driver.pid} ended with status {code}"
    elif driver.began and driver.began < psutil.boot_time():
        cause = "the machine was restarted"
    else:
        cause = f"its process {driver.pid} was ended from outside, perhaps for want of memory"
    return f"{cause}; its last words: {words}" if words else cause


def _last_words(log: Path, start: int) -> str:
    """The last lines of a log from some byte on: what stands before is of an earlier try."""
    try:
        text = log.read_bytes()[start:][-_LAST_WORDS:].decode(errors="replace")
    except OSError:
        return ""
    return " / ".join(line.strip() for line in text.splitlines()[-3:] if line.strip())


@dataclass
class _State:
    started: float = 0.0
    total: int = 0
    done: int = 0
    use: str = ""
    share: float = 0.0
    finished: str = ""
    seconds: float = 0.0
    error: str = ""


def _state(events: Path) -> _State:
    """What a run's events add up to. Most lines tell of progress: of those only the last is read."""
    state, progress = _State(), b""
    try:
        lines = events.read_bytes().splitlines()
    except OSError:
        return state
    for line in lines:
        if _PROGRESS in line[:_HEAD]:
            progress = line
        elif _LOG not in line[:_HEAD]:
            state, progress = _after(state, from_line(line)), b""
    last = from_line(progress)
    if isinstance(last, Progress) and last.total:
        state.share = last.done / last.total
    return state


def _after(state: _State, event: Event | None) -> _State:
    match event:
        case RunStarted():
            # A run that was resumed begins again in the same file.
            return _State(started=event.time, total=event.total)
        case StepStarted():
            state.use = event.use
        case StepDone() | StepReused():
            state.done, state.use = state.done + 1, ""
        case RunFinished():
            state.finished, state.seconds, state.error = event.status, event.seconds, event.error
        case _:
            pass
    return state


def list_runs(runs: Path) -> list[RunStatus]:
    """All runs under a folder, the oldest first."""
    if not runs.is_dir():
        return []
    return [status_of(folder) for folder in sorted(runs.iterdir()) if folder.is_dir()]


def follow(run_dir: Path, *, poll: float = _POLL_SECONDS) -> Iterator[Event]:
    """The events of a run, from its beginning, as they come; ends when the run does or its process is gone.

    Raises:
        InputError: there is no such run.

    """
    if not run_dir.is_dir():
        raise InputError(f"there is no run {run_dir.name!r}", "list them with: kistack runs")
    reader = EventReader(run_dir / EVENTS_FILE)
    finished = False
    while True:
        driver = _driver(run_dir)
        for event in reader.read():
            if isinstance(event, (RunStarted, RunFinished)):
                finished = isinstance(event, RunFinished)
            yield event
        if finished or not (driver.alive or driver.elsewhere):
            return
        time.sleep(poll)


def attach(run_dir: Path, on_event: Callable[[Event], None], *, poll: float = _POLL_SECONDS) -> RunStatus:
    """Pass a run's events on until it ends; ctrl-C here leaves the run alone. Returns how it stands then."""
    for event in follow(run_dir, poll=poll):
        on_event(event)
    return status_of(run_dir)


def cancel(run_dir: Path, *, wait: float = 10.0) -> RunStatus:
    """Ask a run to stop, wait for it, and end its process where it does not listen.

    Raises:
        InputError: the run is not running.

    """
    before = status_of(run_dir)
    if before.status != "running":
        raise InputError(f"run {run_dir.name} is not running: it is {before.status}", "list runs with: kistack runs")
    with storing(run_dir, "asking a run to stop"):
        (run_dir / CANCEL_FILE).write_text(f"{time.time()}\n", encoding="utf-8")
    for step in ("asked", "signalled"):
        limit = time.monotonic() + wait
        while time.monotonic() < limit:
            now = status_of(run_dir)
            if now.status != "running":
                return now
            time.sleep(_POLL_SECONDS)
        if step == "asked" and before.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(before.pid, signal.SIGTERM)
    return status_of(run_dir)
