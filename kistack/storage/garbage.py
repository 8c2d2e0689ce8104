"""What the store holds, what nobody needs any more, and whether it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from kistack.storage.files import read_json, remove, size_of, write_json
from kistack.storage.results import file_name, output_key

if TYPE_CHECKING:
    from kistack.storage.store import Store

#: How long what an unfinished run had made stays, so that the same command can go on from there.
RESUMABLE_SECONDS = 7 * 86400.0

#: Ends the name of the file that holds the time spent on a scratch.
CLOCK_SUFFIX = ".clock"


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes on disk in the store, without the user's own files that it links to."""

    artifacts: int
    scratch: int
    other: int
    steps: int
    free: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.artifacts + self.scratch + self.other


@dataclass(frozen=True, slots=True)
class Collected:
    """What ``gc`` removed, in bytes and numbers, and the bytes that are left."""

    freed: int
    artifacts: int
    steps: int
    left: int


@dataclass(frozen=True, slots=True)
class Damage:
    """An artifact that is not what its digest says: the outputs (``key/output``) that it was, and what is wrong."""

    digest: str
    outputs: tuple[str, ...]
    fault: str


def usage(store: Store) -> Usage:
    """What the store holds."""
    artifacts = size_of(store.root / "artifacts")
    scratch = size_of(store.root / "scratch")
    total = size_of(store.root)
    steps = sum(1 for _ in (store.root / "steps").glob("*.json"))
    return Usage(artifacts, scratch, total - artifacts - scratch, steps, store.free())


def verify(store: Store, *, drop: bool = False) -> list[Damage]:
    """Read every artifact and compare its bytes with its digest; ``drop`` removes the damaged ones.

    A step whose artifact was dropped is run again when it is next asked for.
    """
    owners: dict[str, list[str]] = {}
    for record in store.records():
        for name, entry in record["outputs"].items():
            owners.setdefault(entry["digest"], []).append(output_key(record["key"], name))
    present = {p.name for p in (store.root / "artifacts").iterdir()}
    found = []
    for digest in sorted(present | owners.keys()):
        fault = store.shelf.fault(digest, full=True)
        if fault:
            found.append(Damage(digest, tuple(owners.get(digest, ())), fault))
            if drop:
                store.shelf.drop(digest)
    return found


# --- pins


def pin(store: Store, name: str, wanted: Iterable[str]) -> None:
    """Keep keys and digests from ``collect`` while this process works, and some days after if it dies."""
    document = {
        "wanted": sorted(set(wanted)),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "time": time.time(),
    }
    with store.locks.exclusive():
        write_json(_pin_path(store, name), document)


def unpin(store: Store, name: str) -> None:
    """Let go of a pin."""
    remove(_pin_path(store, name))


def pinned(store: Store) -> set[str]:
    """All keys and digests under a pin that still counts; pins of runs long dead are removed."""
    wanted: set[str] = set()
    for path in (store.root / "pins").glob("*.json"):
        document = read_json(path)
        if document is None:
            remove(path)
        elif is_running(document["pid"], document["started"]) or time.time() - document["time"] < RESUMABLE_SECONDS:
            wanted.update(document["wanted"])
        else:
            remove(path)
    return wanted


def is_running(pid: int, started: float) -> bool:
    """Whether the process that had this number at that time (seconds since 1970) still runs."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _pin_path(store: Store, name: str) -> Path:
    return store.root / "pins" / f"{file_name(name)}.json"


# --- collecting


def collect(store: Store, keep: Iterable[str], budget: float | None) -> Collected:
    """Remove what nothing in ``keep`` and no pin needs, least recently used first, until ``budget`` bytes are left.

    ``keep`` are step keys, ``key/output`` or digests. Needed are their outputs and all that must travel with those.
    Without a budget everything else goes. Leftovers of killed runs and files without an owner go in any case.
    """
    before = size_of(store.root)
    with store.locks.exclusive():
        roots = set(keep) | pinned(store)
        records = {r["key"]: r for r in store.records()}
        needed = _needed(roots, records)
        doomed = [_Doomed(path) for path in _leftovers(store, roots)]
        limit = 0.0 if budget is None else budget
        left = before - sum(d.size for d in doomed)
        removed: set[str] = set()
        for key in sorted(records.keys() - needed, key=lambda k: _last_use(store, k)):
            if left <= limit and budget is not None:
                break
            if key in removed:
                continue
            gone = _dependents(key, records, removed)
            removed |= gone
            freed = _freed(store, gone, records, removed, roots)
            doomed += freed
            left -= sum(d.size for d in freed)
        doomed += _orphans(store, {k: r for k, r in records.items() if k not in removed}, roots, doomed)
        for key in removed:
            remove(store.record_path(key))
        artifacts = sum(d.path.parent.name == "artifacts" for d in doomed)
        bins = [store.shelf.set_aside(d.path) for d in doomed]
    for bin_ in bins:
        remove(bin_)
    after = size_of(store.root)
    return Collected(max(0, before - after), artifacts, len(removed), after)


@dataclass(frozen=True, slots=True)
class _Doomed:
    path: Path

    @property
    def size(self) -> int:
        return size_of(self.path) if self.path.is_dir() else self.path.lstat().st_size


def _needed(roots: set[str], records: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Keys of the records that the roots name, and of all that their outputs require."""
    todo = [
        key
        for key, record in records.items()
        if key in roots
        or any(output_key(key, n) in roots or e["digest"] in roots for n, e in record["outputs"].items())
    ]
    found: set[str] = set()
    while todo:
        key = todo.pop()
        if key in found or key not in records:
            continue
        found.add(key)
        todo += _requirements(records[key])
    return found


def _requirements(record: Mapping[str, Any]) -> list[str]:
    """Keys of the records whose outputs must travel with this one's."""
    found = []
    for entry in record["outputs"].values():
        for needed in entry["requires"]:
            found += [needed["key"], needed["key"].rpartition("/")[0]]
    return found


def _dependents(key: str, records: Mapping[str, Mapping[str, Any]], removed: set[str]) -> set[str]:
    """The key and all records that are worthless without its outputs."""
    gone = {key}
    grew = True
    while grew:
        more = {k for k, r in records.items() if k not in gone and k not in removed and gone & set(_requirements(r))}
        gone |= more
        grew = bool(more)
    return gone


def _freed(
    store: Store, gone: set[str], records: Mapping[str, Mapping[str, Any]], removed: set[str], roots: set[str]
) -> list[_Doomed]:
    """Artifacts that no record holds once ``gone`` (all of it in ``removed``) is removed."""
    held = {e["digest"] for k, r in records.items() if k not in removed for e in r["outputs"].values()} | roots
    digests = {e["digest"] for k in gone for e in records[k]["outputs"].values()} - held
    return [_Doomed(store.path(d)) for d in sorted(digests) if store.path(d).exists()]


def _orphans(
    store: Store, records: Mapping[str, Mapping[str, Any]], roots: set[str], doomed: list[_Doomed]
) -> list[_Doomed]:
    """Artifacts and file tables without a record (a run was killed between the two)."""
    held = {e["digest"] for r in records.values() for e in r["outputs"].values()} | roots
    known = {d.path for d in doomed}
    paths = [p for p in (store.root / "artifacts").iterdir() if p.name not in held]
    paths += [p for p in (store.root / "files").glob("*.json") if p.stem not in held]
    return [_Doomed(p) for p in sorted(paths) if p not in known]


def _leftovers(store: Store, roots: set[str]) -> Iterator[Path]:
    """Half-made outputs and checkpoints of runs that no longer run and are not to go on."""
    kept = {file_name(name) for name in roots}
    for path in (store.root / "tmp").iterdir():
        if path.name.startswith("trash-") or not store.locks.is_held(path.name):
            yield path
    for path in (store.root / "scratch").iterdir():
        name = path.name.removesuffix(CLOCK_SUFFIX)
        if name not in kept and not store.locks.is_held(name):
            yield path


def _last_use(store: Store, key: str) -> float:
    path = store.record_path(key)
    return path.stat().st_mtime if path.exists() else 0.0
