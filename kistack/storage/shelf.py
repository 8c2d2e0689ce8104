"""Artifacts by the digest of their bytes: they appear and vanish as a whole, and damage is noticed."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path

from kistack.errors import StoreError
from kistack.storage.files import read_json, remove, sync_file, sync_folder, write_json
from kistack.storage.hashing import FileEntry, HashCache, difference, digest_of, survey, unchanged, walk
from kistack.storage.locks import Locks

MISSING = "it is missing"


class Shelf:
    """``artifacts/<digest>/`` and ``files/<digest>.json``: sizes, times and digests of its files."""

    def __init__(self, root: Path, locks: Locks) -> None:
        self.root = root
        self.locks = locks
        self._hashes = HashCache(root / "hashes.db")

    def path(self, digest: str) -> Path:
        """Where the files of an artifact lie."""
        return self.root / "artifacts" / digest

    def survey(self, folder: Path) -> tuple[FileEntry, ...]:
        """Make a folder's files durable and read their digests.

        Raises:
            OSError: the disk is full.
            StoreError: the folder holds something that cannot be kept.
        """
        parents = {folder}
        for _, path in walk(folder):
            if not path.is_symlink():
                sync_file(path)
                parents.add(path.parent)
        for parent in parents:
            sync_folder(parent)
        return survey(folder, self._hashes)

    def publish(self, folder: Path, entries: tuple[FileEntry, ...]) -> str:
        """Move a surveyed folder to its place, unless the same bytes are there already. Hold ``locks.exclusive``.

        Returns:
            Its digest.
        """
        digest = digest_of(entries)
        target = self.path(digest)
        if target.exists():
            if not self.fault(digest):
                return digest
            remove(self.set_aside(target))
        folder.rename(target)
        sync_folder(target.parent)
        self._write_table(digest, entries)
        return digest

    def fault(self, digest: str, *, full: bool = False) -> str:
        """What is wrong with an artifact, in words; empty when it is whole.

        Names, sizes, times and inodes are compared; where they differ, or with ``full``, all bytes are read.
        """
        folder = self.path(digest)
        if not folder.is_dir():
            return MISSING
        document: Mapping[str, list[list[object]]] = read_json(self._table_path(digest)) or {"files": []}
        known = tuple(FileEntry(*row) for row in document["files"])  # type: ignore[arg-type]
        if not full and known and unchanged(folder, known):
            return ""
        try:
            found = survey(folder)
        except (StoreError, OSError) as error:
            return str(error)
        if digest_of(found) != digest:
            return difference(known, found) or "its content has changed"
        if found != known:
            # The same bytes with other times: the store was copied or moved.
            with contextlib.suppress(OSError):
                self._write_table(digest, found)
        return ""

    def drop(self, digest: str) -> None:
        """Remove an artifact: the steps that left it are run again when next asked for."""
        with self.locks.exclusive():
            bin_ = self.set_aside(self.path(digest))
            remove(self._table_path(digest))
        remove(bin_)

    def set_aside(self, path: Path) -> Path:
        """Make a path vanish from its place at once; the caller removes what is returned. Hold ``locks.exclusive``."""
        bin_ = self.root / "tmp" / f"trash-{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            path.rename(bin_)
        return bin_

    def _write_table(self, digest: str, entries: tuple[FileEntry, ...]) -> None:
        write_json(self._table_path(digest), {"files": [e.to_row() for e in entries]})

    def _table_path(self, digest: str) -> Path:
        return self.root / "files" / f"{digest}.json"
