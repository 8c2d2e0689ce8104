"""Whether what a project keeps is whole, by looking only: nothing is written, repaired or read in full."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kistack.storage.files import read_json
from kistack.storage.hashing import FileEntry
from kistack.storage.ledger import LEDGER_SCHEMA
from kistack.storage.results import STEP_SCHEMA

#: Looking ends after this many seconds; a store of some thousand steps takes less.
PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """A store and its ledger.

    ``state`` is ``absent``, ``whole`` or ``damaged``; ``faults`` are what ``damaged`` means. ``bytes`` and ``steps``
    are what was seen; ``looked`` and ``unseen`` say how many artifacts' files were compared, by name and size, and how
    many there was no time for. ``ledger`` is ``absent``, ``ok``, or what is wrong with it.
    """

    state: str = "absent"
    bytes: int = 0
    steps: int = 0
    looked: int = 0
    unseen: int = 0
    writable: bool = True
    ledger: str = "absent"
    faults: tuple[str, ...] = ()


def examine(work: Path, *, patience: float = PATIENCE) -> Health:
    """How a project's work folder (``.kistack``) is.

    Args:
        work: the folder; it may be absent.
        patience: seconds after which no further artifact is looked at.
    """
    until = time.monotonic() + patience
    store = work / "store"
    ledger = _ledger(work / "ledger.db")
    place = next((p for p in (work, *work.parents) if p.is_dir()), work)
    writable = os.access(place, os.W_OK | os.X_OK)
    if not store.is_dir():
        return Health(writable=writable, ledger=ledger)
    faults: list[str] = []
    owners: dict[str, str] = {}
    steps = 0
    for path in sorted((store / "steps").glob("*.json")):
        steps += 1
        record = read_json(path)
        if record is None:
            faults.append(f"the record of step {path.stem[:12]} cannot be read")
        elif record.get("schema") != STEP_SCHEMA:
            faults.append(f"step {path.stem[:12]} was kept by another kistack (schema {record.get('schema')})")
        else:
            owners.update((e["digest"], record.get("stage") or "input") for e in record.get("outputs", {}).values())
    looked = 0
    for digest in sorted(owners):
        if time.monotonic() > until:
            break
        looked += 1
        if fault := _fault(store, digest):
            faults.append(f"artifact {digest[:12]} ({owners[digest]}): {fault}")
    unseen = len(owners) - looked
    state = "damaged" if faults else "whole"
    return Health(state, _size(store, until), steps, looked, unseen, writable, ledger, tuple(faults))


def _fault(store: Path, digest: str) -> str:
    """What is wrong with an artifact by the names and sizes of its files; times change when a store is copied."""
    folder = store / "artifacts" / digest
    if not folder.is_dir():
        return "it is missing"
    table = read_json(store / "files" / f"{digest}.json")
    if table is None:
        return "its table of files is missing"
    for entry in (FileEntry(*row) for row in table.get("files", ())):
        try:
            size = (folder / entry.path).stat().st_size
        except OSError:
            return f"{entry.path} is missing"
        if size != entry.size:
            return f"{entry.path} has {size} bytes instead of {entry.size}"
    return ""


def _size(root: Path, until: float) -> int:
    """Bytes of the files below, links not followed; of those seen in time."""
    total = 0
    for entry in _files(root):
        total += entry.stat(follow_symlinks=False).st_size
        if time.monotonic() > until + PATIENCE:
            break
    return total


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield entry


def _ledger(path: Path) -> str:
    if not path.is_file():
        return "absent"
    try:
        # Without its journal an SQLite file of another process may look torn; with it nothing of ours is written.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    if found != "ok":
        return f"damaged: {found}"
    if version > LEDGER_SCHEMA:
        return f"kept by a later kistack (schema {version})"
    return "ok"
