"""Everything that is kept of a run, read back: its record, events, profile, manifest and answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kistack.bundle.manifest import BUNDLE_FOLDER, MANIFEST_FILE, Manifest, read_manifest
from kistack.domain.artifacts import ANSWERS_FILE
from kistack.domain.facts import Profile
from kistack.domain.records import RunRecord
from kistack.errors import InputError
from kistack.execution.events import EVENTS_FILE, Event, Progress, read_events
from kistack.storage.files import read_json
from kistack.storage.project import WORK_FOLDER, Project

RECORD_FILE = "record.json"
PROFILE_FILE = "profile.json"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class KeptRun:
    """A run that has ended, with what lies in its folder and in its project's store.

    ``folder`` is None where only the record is known; then there are no events, profile, manifest and answers.
    """

    record: RunRecord
    folder: Path | None = None

    @cached_property
    def events(self) -> Sequence[Event]:
        """What happened, in order; empty where the file is gone."""
        return [] if self.folder is None else read_events(self.folder / EVENTS_FILE)

    @cached_property
    def profile(self) -> Profile | None:
        """The facts that the run met; None where they were not kept or cannot be read."""
        document = None if self.folder is None else read_json(self.folder / PROFILE_FILE)
        try:
            return None if document is None else Profile.from_json(document)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @cached_property
    def manifest(self) -> Manifest | None:
        """The manifest of its bundle; None where it left none or the bundle was removed."""
        try:
            return None if self.folder is None else read_manifest(self.folder / BUNDLE_FOLDER)
        except InputError:
            return None

    @property
    def record_path(self) -> Path | None:
        """Where the record lies."""
        return self._path(RECORD_FILE)

    @property
    def manifest_path(self) -> Path | None:
        """Where the manifest lies."""
        return self._path(f"{BUNDLE_FOLDER}/{MANIFEST_FILE}")

    def progress_of(self, key: str) -> Sequence[Progress]:
        """How a step went on: of this run, or, where it was reused, of the latest run in the project that made it."""
        found = [e for e in self.events if isinstance(e, Progress) and e.key == key]
        if found or self.folder is None:
            return found
        for path in sorted(self.folder.parent.glob(f"*/{EVENTS_FILE}"), reverse=True):
            with contextlib.suppress(OSError):
                if key in path.read_text(encoding="utf-8", errors="replace"):
                    found = [e for e in read_events(path) if isinstance(e, Progress) and e.key == key]
            if found:
                return found
        return []

    def answers(self, system: str) -> Sequence[Row] | None:
        """The rows of one system's answers, in the order of its scores; None where the store has them no more.

        They are found by digest, so a later run that made the same step again does not hide them.
        """
        score = self.record.systems.get(system)
        root = self._store
        if score is None or not score.answers or root is None:
            return None
        try:
            text = (root / "artifacts" / score.answers / ANSWERS_FILE).read_text(encoding="utf-8")
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (OSError, ValueError):
            return None

    @property
    def _store(self) -> Path | None:
        """The store of the project that the run's folder lies in."""
        work = None if self.folder is None else self.folder.parent.parent
        return work / "store" if work is not None and work.name == WORK_FOLDER else None

    def _path(self, name: str) -> Path | None:
        path = None if self.folder is None else self.folder / name
        return path if path is not None and path.is_file() else None


def kept_run(folder: Path) -> KeptRun:
    """The run in a folder of ``runs``.

    Raises:
        InputError: it has not ended, or its record cannot be read.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        raise InputError(f"run {folder.name} has no record yet", f"watch it: kistack attach {folder.name}")
    try:
        record = RunRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "run the plan again") from error
    return KeptRun(record, folder)


def kept_record(record: RunRecord) -> KeptRun:
    """A record with the folder it came from, where its bundle still tells it."""
    folder = Path(record.bundle).parent if record.bundle else None
    return KeptRun(record, folder if folder is not None and (folder / RECORD_FILE).is_file() else None)


def find_run(project: Project, name: str) -> KeptRun:
    """A run by its id, the beginning of one, or ``last``.

    Raises:
        InputError: there is no such run, several begin like this, or it has no record.
    """
    return kept_run(project.run_folder(name))
