"""Writing files so that they are there as a whole or not at all, and saying plainly when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kistack.errors import FolderError, StoreError
from kistack.units import format_size

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}


def free_bytes(folder: Path) -> int:
    """Bytes an ordinary user may still write on the disk that holds ``folder`` (or its nearest existing parent)."""
    for place in (folder, *folder.parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return 0


def disk_full(folder: Path, what: str, needed: float = 0) -> StoreError:
    """The error of a disk without room: what was being kept, bytes needed (0: unknown) and free, and the remedy."""
    wants = f"{format_size(needed, 3)} needed, " if needed else ""
    return StoreError(
        f"disk full while {what}: {wants}{format_size(free_bytes(folder), 3)} free at {folder}",
        "free some disk (kistack store du, kistack store gc) and run the same command again: finished steps are kept",
    )


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that the disk, the quota or the file size limit is exhausted."""
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        if seen is None:
            return False
        seen = seen.__cause__ or seen.__context__
    return False


@contextlib.contextmanager
def storing(folder: Path, what: str, needed: Callable[[], float] = lambda: 0) -> Iterator[None]:
    """Turn what the operating system refuses under ``folder`` into StoreError (FolderError: the folder is at fault).

    Args:
        folder: where something is being kept.
        what: words after "while", such as "keeping the output of tune/lora".
        needed: bytes that are needed, asked only when the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(folder, what, needed()) from error
        if error.errno in _REFUSED:
            raise FolderError(
                f"cannot write to {error.filename or folder} while {what}: {error.strerror}",
                "make the folder writable for you, or put the project elsewhere",
            ) from error
        if error.errno in _NOT_A_FOLDER:
            raise FolderError(
                f"{_in_the_way(Path(error.filename or folder))} is not a folder (while {what})",
                "move that file away: kistack keeps its results in a folder of that name",
            ) from error
        raise


def _in_the_way(path: Path) -> Path:
    """What stands where a folder should: the path or one above it that is there and is none."""
    return next((p for p in (path, *path.parents) if p.exists() and not p.is_dir()), path)


def write_atomic(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` so that a reader, or a crash, sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """``write_atomic`` of a JSON document with sorted keys."""
    write_atomic(path, json.dumps(document, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where it is missing, torn or something else."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def sync_folder(folder: Path) -> None:
    """Make names created or renamed in ``folder`` durable (a no-op where the system cannot)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_file(path: Path) -> None:
    """Make the content of a file durable; raises OSError where the disk has no room for it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a whole folder; what is already gone, or vanishes meanwhile, is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def size_of(folder: Path) -> int:
    """Bytes of all files under ``folder``, without what links point to; files that vanish meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - os.walk gives strings
    return total
