"""Digests of folders: SHA-256 over the sorted relative paths, sizes and SHA-256 of their files.

Links are followed: a model folder whose files are links to a user's files has the digest of their content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.errors import StoreError

#: Files from this size on have their digest remembered between runs.
_CACHED_BYTES = 4 << 20
#: A file changed this short a time ago may change again without a visible change of its time stamp.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an artifact: where, how long, its content's digest, and how to notice a change without reading."""

    path: str
    size: int
    sha256: str
    mtime_ns: int
    inode: int

    def to_row(self) -> list[Any]:
        """A JSON row that ``FileEntry(*row)`` reads back."""
        return [self.path, self.size, self.sha256, self.mtime_ns, self.inode]


class HashCache:
    """Digests of large files by (path, size, mtime_ns, inode), in one SQLite file; losing it costs only time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, path: Path, seen: os.stat_result) -> str | None:
        """The remembered digest of an unchanged file."""
        rows = self._run(
            "SELECT sha256 FROM files WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?",
            (str(path), seen.st_size, seen.st_mtime_ns, seen.st_ino),
        )
        return str(rows[0][0]) if rows else None

    def put(self, path: Path, seen: os.stat_result, sha256: str) -> None:
        """Remember a digest, unless the file is so fresh that a change could go unseen."""
        if time.time_ns() - seen.st_mtime_ns < _SETTLED_NS:
            return
        self._run(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            (str(path), seen.st_size, seen.st_mtime_ns, seen.st_ino, sha256),
        )

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        import sqlite3

        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS files"
                    " (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 TEXT)"
                )
                return connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError:
            # Only a cache: without it files are read once more.
            return []


def walk(folder: Path) -> list[tuple[str, Path]]:
    """All files under ``folder`` as (relative path with slashes, path), sorted; links followed.

    Raises:
        StoreError: a link that leads nowhere or round in circles, or something that is neither file nor folder.
    """
    found = list(_walk(folder, "", (folder.resolve(),)))
    found.sort(key=lambda item: item[0])
    return found


def _walk(folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        name = prefix + entry.name
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            raise StoreError(f"{entry.path} cannot be read: {error.strerror}", "remove the broken link") from error
        if stat.S_ISDIR(mode):
            real = Path(entry.path).resolve()
            if real in above:
                raise StoreError(f"{entry.path} links to a folder above itself", "remove that link")
            yield from _walk(Path(entry.path), name + "/", (*above, real))
        elif stat.S_ISREG(mode):
            yield name, Path(entry.path)
        else:
            raise StoreError(f"{entry.path} is neither a file nor a folder", "only files can be kept in the store")


def hash_file(path: Path, cache: HashCache | None = None) -> tuple[str, os.stat_result]:
    """SHA-256 (hex) of a file's content, and its state when it was read."""
    with path.open("rb") as file:
        seen = os.fstat(file.fileno())
        real = path.resolve()
        large = cache is not None and seen.st_size >= _CACHED_BYTES
        known = cache.get(real, seen) if cache is not None and large else None
        if known is not None:
            return known, seen
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if cache is not None and large:
        cache.put(real, seen, sha256)
    return sha256, seen


def survey(folder: Path, cache: HashCache | None = None) -> tuple[FileEntry, ...]:
    """Read every file of a folder: what ``digest_of`` needs."""
    entries = []
    for name, path in walk(folder):
        sha256, seen = hash_file(path, cache)
        entries.append(FileEntry(name, seen.st_size, sha256, seen.st_mtime_ns, seen.st_ino))
    return tuple(entries)


def digest_of(entries: Sequence[FileEntry]) -> str:
    """SHA-256 (hex) over the files' paths, sizes and digests, sorted by path."""
    total = hashlib.sha256()
    for entry in sorted(entries, key=lambda e: e.path):
        # JSON keeps the parts apart whatever a file name holds.
        total.update(json.dumps([entry.path, entry.size, entry.sha256]).encode() + b"\n")
    return total.hexdigest()


def unchanged(folder: Path, entries: Sequence[FileEntry]) -> bool:
    """Whether names, sizes, times and inodes are those of ``entries``: nothing is read."""
    try:
        found = [(name, path.stat()) for name, path in walk(folder)]
    except (StoreError, OSError):
        return False
    return [(n, s.st_size, s.st_mtime_ns, s.st_ino) for n, s in found] == [
        (e.path, e.size, e.mtime_ns, e.inode) for e in entries
    ]


def difference(was: Sequence[FileEntry], now: Sequence[FileEntry]) -> str:
    """The first way in which a folder's content is not what it was, in words; empty where it is the same."""
    before, after = {e.path: e for e in was}, {e.path: e for e in now}
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            return f"{path} is missing"
        if path not in before:
            return f"{path} does not belong to it"
        if before[path].sha256 != after[path].sha256:
            return f"{path} has changed"
    return ""
