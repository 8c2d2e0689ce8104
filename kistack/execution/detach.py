"""Runs that outlive the terminal that started them: started apart, listed, watched, stopped."""

from __future__ import annotations

import contextlib
import os
import platform
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
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
    StepReused,
    StepStarted,
    read_events,
    tail,
)
from kistack.execution.stopping import CANCEL_FILE
from kistack.storage.files import read_json, storing, write_json
from kistack.storage.garbage import is_running

LOG_FILE = "log"
_PROCESS_FILE = "process.json"
_POLL_SECONDS = 0.1

_children: list[subprocess.Popen[bytes]] = []


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
    with contextlib.suppress(psutil.Error):
        note_process(run_dir, process.pid, command)
    return process.pid


def note_process(run_dir: Path, pid: int | None = None, command: Sequence[str] = ()) -> None:
    """Write down which process (default: this one) drives a run."""
    process = psutil.Process(pid)
    document = {
        "schema": 1,
        "pid": process.pid,
        "started": process.create_time(),
        "machine": platform.node(),
        "command": list(command or sys.argv),
    }
    write_json(run_dir / _PROCESS_FILE, document)


def status_of(run_dir: Path) -> RunStatus:
    """How a run stands."""
    for child in list(_children):
        if child.poll() is not None:
            _children.remove(child)
    process = read_json(run_dir / _PROCESS_FILE) or {}
    pid, began = int(process.get("pid", 0)), float(process.get("started", 0.0))
    here = process.get("machine", platform.node()) == platform.node()
    alive = bool(pid) and here and is_running(pid, began)
    state = _fold(read_events(run_dir / EVENTS_FILE))
    if alive:
        status = "running" if not state.finished else state.finished
    elif not here and not state.finished:
        status = "running"  # on another machine that shares this folder
    else:
        status = state.finished or ("killed" if pid else "new")
    return RunStatus(
        run=run_dir.name,
        folder=run_dir,
        status=status,
        pid=pid if alive else 0,
        started=state.started or began,
        done=state.done,
        total=state.total,
        use="" if state.finished else state.use,
        share=state.share,
        seconds=state.seconds or (time.time() - state.started if alive and state.started else 0.0),
        error=state.error,
    )


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


def _fold(events: Sequence[Event]) -> _State:
    state = _State()
    for event in events:
        match event:
            case RunStarted():
                # A run that was resumed begins again in the same file.
                state = _State(started=event.time, total=event.total)
            case StepStarted():
                state.use, state.share = event.use, 0.0
            case Progress():
                state.share = event.done / event.total if event.total else 0.0
            case StepDone() | StepReused():
                state.done, state.use, state.share = state.done + 1, "", 0.0
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
    ended = False

    def stop() -> bool:
        nonlocal ended
        ended = ended or status_of(run_dir).status != "running"
        return ended

    yield from tail(run_dir / EVENTS_FILE, stop=stop, poll=poll)


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
                os.kill(before.pid, 15)
    return status_of(run_dir)
