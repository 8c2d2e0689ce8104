"""What happens in a run, as typed events in one append-only file of JSON lines.

The runner and the worker of the current step write it; progress displays, the wizard and trackers read nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

if sys.platform != "win32":
    import fcntl

#: Version of the lines. Readers pass over names and fields they do not know.
EVENT_SCHEMA = 1

#: In every run's folder.
EVENTS_FILE = "events.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; ``time`` is seconds since 1970."""

    name: ClassVar[str] = ""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run begins; ``uses`` are its stages in order, ``expected`` the seconds that each is expected to take."""

    name: ClassVar[str] = "run_started"
    run: str
    total: int
    uses: tuple[str, ...] = ()
    expected: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """A step begins; ``index`` counts from 1, ``predicted`` are its estimated costs."""

    name: ClassVar[str] = "step_started"
    key: str
    use: str
    index: int
    total: int
    predicted: Mapping[str, float] = field(default_factory=dict)
    auto: bool = False
    purpose: str = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How far the step is; ``numbers`` such as loss or tokens_per_second, ``memory`` the worker's resident bytes."""

    name: ClassVar[str] = "progress"
    key: str
    done: float
    total: float
    unit: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    memory: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine(Event):
    """One line that a step wants to be read."""

    name: ClassVar[str] = "log"
    key: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Event):
    """A step is finished and kept; ``outputs`` are digests by name."""

    name: ClassVar[str] = "step_done"
    key: str
    use: str
    measured: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReused(Event):
    """A step had been done before; ``measured`` is from then."""

    name: ClassVar[str] = "step_reused"
    key: str
    use: str
    index: int
    total: int
    measured: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    purpose: str = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailure(Event):
    """A step ended in an error; ``status`` is ``failed`` or ``cancelled``."""

    name: ClassVar[str] = "step_failed"
    key: str
    use: str
    error: str
    hint: str = ""
    status: str = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something is wrong but does not stop the run."""

    name: ClassVar[str] = "warning"
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """A run ended; ``status`` is ``done``, ``failed`` or ``cancelled``."""

    name: ClassVar[str] = "run_finished"
    run: str
    status: str
    seconds: float = 0.0
    error: str = ""
    hint: str = ""


EVENTS: dict[str, type[Event]] = {
    cls.name: cls
    for cls in (
        RunStarted,
        StepStarted,
        Progress,
        LogLine,
        StepDone,
        StepReused,
        StepFailure,
        Warned,
        RunFinished,
    )
}


def to_line(event: Event) -> str:
    """One line of JSON; numbers that are not finite become null."""
    document = {"schema": EVENT_SCHEMA, "event": event.name, **_finite(dataclasses.asdict(event))}
    return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"


def from_line(line: str | bytes) -> Event | None:
    """The event in a line; None where it is torn, or of a kind this kistack does not know."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    cls = EVENTS.get(document.get("event", "")) if isinstance(document, dict) else None
    if cls is None:
        return None
    known = {f.name: document[f.name] for f in dataclasses.fields(cls) if f.name in document}
    with contextlib.suppress(TypeError):
        known.update({name: tuple(known[name]) for name in ("uses", "expected") if name in known})
        return cls(**known)
    return None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


class EventLog:
    """Appends events to a file. Several processes may: each line is written whole, by one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: Event) -> bool:
        """Append one event; False where the disk refuses it, which must not end a run that otherwise can go on."""
        data = to_line(event).encode()
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError:
            return False
        try:
            if sys.platform != "win32":
                fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.lseek(handle, 0, os.SEEK_END)
            if size and _last_byte(handle, size) != b"\n":
                # A writer was killed in the middle of a line: what follows must not be lost with it.
                data = b"\n" + data
            while data:
                data = data[os.write(handle, data) :]
        except OSError:
            return False
        finally:
            os.close(handle)
        return True


def _last_byte(handle: int, size: int) -> bytes:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1)


class EventReader:
    """Reads a growing file of events; a last line that is not yet whole is left for the next time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def skip(self) -> None:
        """Pass over everything written so far."""
        with contextlib.suppress(OSError):
            self._offset = self.path.stat().st_size

    def read(self) -> list[Event]:
        """The events since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = (from_line(line) for line in whole.splitlines())
        return [event for event in found if event is not None]


def read_events(path: Path) -> list[Event]:
    """All events of a file."""
    return EventReader(path).read()
