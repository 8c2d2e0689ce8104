"""The files of a sweep: what was decided stands in one, every finished row in one of its own, each whole or absent.

    sweeps/ID/sweep.json     request, order, plans and what was predicted: written once, before anything runs
    sweeps/ID/rows/NN.json   the row of the combination of that number, when it is finished
    sweeps/ID/result.json    everything computed from the rows so far

So a sweep that is killed has lost nothing but the step that was running, and the same command goes on where it was.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kistack.errors import InputError, StoreError
from kistack.storage.files import read_json, storing, write_json
from kistack.storage.project import Project
from kistack.sweeping.rows import SWEEP_SCHEMA, Combination, Row, Sweep

SWEEPS = "sweeps"
_SWEEP, _RESULT = "sweep.json", "result.json"
_ASKED_SECONDS = 0.5


class Notebook:
    """The folder of one sweep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def sweep(self) -> str:
        """The sweep's id."""
        return self.folder.name

    @property
    def decided(self) -> bool:
        """Whether it stands what is to be measured."""
        return (self.folder / _SWEEP).is_file()

    @classmethod
    def new(cls, project: Project) -> Notebook:
        """A folder with a new id: date and time in UTC, then four random letters or digits."""
        project.prepare()
        while True:
            stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
            folder = project.work / SWEEPS / f"{stamp}-{secrets.token_hex(2)}"
            with storing(project.work, "making a sweep's folder"):
                folder.parent.mkdir(exist_ok=True)
                try:
                    folder.mkdir()
                except FileExistsError:
                    continue
            return cls(folder)

    @classmethod
    def all(cls, project: Project) -> list[Notebook]:
        """The sweeps of a project in which something was decided, oldest first."""
        root = project.work / SWEEPS
        found = [cls(p) for p in sorted(root.iterdir()) if p.is_dir()] if root.is_dir() else []
        return [n for n in found if n.decided]

    @classmethod
    def find(cls, project: Project, sweep: str) -> Notebook:
        """An existing sweep: its id, the beginning of one, or ``last``.

        Raises:
            InputError: there is no such sweep, or several begin like this.
        """
        known = cls.all(project)
        matches = known[-1:] if sweep == "last" else [n for n in known if sweep and n.sweep.startswith(sweep)]
        if len(matches) == 1:
            return matches[0]
        names = ", ".join(n.sweep for n in (matches or known)[-3:]) or "none yet"
        what = "is ambiguous" if matches else "does not exist"
        raise InputError(f"sweep {sweep!r} {what}", f"name one of: {names}")

    @classmethod
    def matching(cls, project: Project, request: Mapping[str, Any]) -> Notebook | None:
        """The latest sweep of the same request."""
        return next((n for n in reversed(cls.all(project)) if n.document().get("request") == request), None)

    def document(self) -> dict[str, Any]:
        """What was decided.

        Raises:
            StoreError: it cannot be read, or another kistack wrote it.
        """
        document = read_json(self.folder / _SWEEP)
        if document is None or document.get("schema") != SWEEP_SCHEMA:
            raise StoreError(
                f"{self.folder / _SWEEP} cannot be read by this kistack", "remove that folder, or begin with --fresh"
            )
        return document

    def decide(self, document: Mapping[str, Any]) -> None:
        """Write down what is to be measured, once."""
        with storing(self.folder, "beginning a sweep"):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / _SWEEP, {"schema": SWEEP_SCHEMA, "sweep": self.sweep, **document})

    def keep(self, number: int, row: Row) -> None:
        """Keep a row in the place of what stood there."""
        with storing(self.folder, "keeping a row of a sweep"):
            (self.folder / "rows").mkdir(exist_ok=True)
            write_json(self.folder / "rows" / f"{number:02d}.json", row.to_json())

    def keep_result(self, document: Mapping[str, Any]) -> Path:
        """Keep what was computed from the rows; returns the file."""
        with storing(self.folder, "keeping a sweep's result"):
            write_json(self.folder / _RESULT, document)
        return self.folder / _RESULT

    def result(self) -> dict[str, Any] | None:
        """What was computed from the rows when the sweep last ended; None where it never did."""
        return read_json(self.folder / _RESULT)

    def row(self, number: int) -> Row | None:
        """The row of a number; None where it is not finished or cannot be read, and is then measured again."""
        document = read_json(self.folder / "rows" / f"{number:02d}.json")
        try:
            return None if document is None else Row.from_json(document)
        except (KeyError, TypeError, ValueError):
            return None

    def read(self) -> Sweep:
        """The sweep as it stands.

        Raises:
            StoreError: what was decided cannot be read.
        """
        document = self.document()
        combinations = tuple(Combination.from_json(c) for c in document["combinations"])
        rows = {c.name: row for n, c in enumerate(combinations) if (row := self.row(n)) is not None}
        return Sweep(
            sweep=self.sweep,
            started=document["started"],
            metric=document["metric"],
            combinations=combinations,
            rows=rows,
            request=document["request"],
            limits=document["limits"],
            rule=document["rule"],
            notes=tuple(document["notes"]),
            serves_here=document["serves_here"],
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the sweep for this process.

        Raises:
            InputError: another process runs it.
        """
        lock = FileLock(self.folder / "sweep.lock")
        try:
            # Who only asks whether it is held holds it for an instant.
            lock.acquire(timeout=_ASKED_SECONDS)
        except Timeout:
            raise InputError(
                f"sweep {self.sweep} is running already", f"see how it stands: kistack sweep --show {self.sweep}"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @property
    def is_held(self) -> bool:
        """Whether a process is at work on it, in a terminal or on its own."""
        lock = FileLock(self.folder / "sweep.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # nobody can run what nobody can write
            return False
        lock.release()
        return False
