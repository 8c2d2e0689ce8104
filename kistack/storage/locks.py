"""Locks between processes: one per key, and one for the moments in which names appear and vanish."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from kistack.errors import Cancelled
from kistack.storage.files import storing
from kistack.storage.results import file_name

_POLL_SECONDS = 0.2


def _never() -> bool:
    return False


class Locks:
    """Lock files in one folder. The end of a process lets go of its locks, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def hold(
        self, key: str, waiting: Callable[[], None] | None = None, cancelled: Callable[[], bool] = _never
    ) -> Iterator[None]:
        """Hold a key; ``waiting`` is called once when another process has it, ``cancelled`` asked while it has.

        Raises:
            Cancelled: ``cancelled`` said so before the lock was free.
            StoreError: the lock file cannot be written.
        """
        lock = FileLock(self.path(key))
        said = False
        with storing(self.folder, "locking a step"):
            while True:
                try:
                    lock.acquire(timeout=_POLL_SECONDS if said else 0)
                    break
                except Timeout:
                    if not said and waiting is not None:
                        waiting()
                    said = True
                if cancelled():
                    raise Cancelled("stopped while waiting for another run that makes the same step")
        try:
            yield
        finally:
            lock.release()

    def is_held(self, name: str) -> bool:
        """Whether somebody holds the key with this file name (``results.file_name``)."""
        lock = FileLock(self.folder / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """The store's own lock, held for moments only."""
        lock = FileLock(self.folder / "store.lock")
        with storing(self.folder, "locking the store"):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def path(self, key: str) -> Path:
        """The lock file of a key."""
        return self.folder / f"{file_name(key)}.lock"
