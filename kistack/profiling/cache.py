"""What was measured before, so that an unchanged project is profiled at once. Losing it costs only time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from kistack.domain.facts import Fact
from kistack.profiling.corpus import files_of

#: Raised when what a section measures changes, so that no older number is taken for it.
CACHE_VERSION = 2

Facts = dict[str, Fact]


def default_folder() -> Path:
    """The user's cache folder: ``$XDG_CACHE_HOME/kistack`` or ``~/.cache/kistack``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kistack")


class Cache:
    """Facts by section and key, one small JSON file each.

    A folder that cannot be written, or a file that was damaged, is no error: the facts are measured again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def facts(self, section: str, key: object, measure: Callable[[], Facts]) -> Facts:
        """The facts kept under this key, else those that ``measure`` returns (kept from then on)."""
        kept = self.read(section, key)
        if kept is not None:
            return kept
        facts = measure()
        self.write(section, key, facts)
        return facts

    def read(self, section: str, key: object) -> Facts | None:
        """The facts kept under this key."""
        try:
            document = json.loads(self._path(section, key).read_text(encoding="utf-8"))
            return {name: Fact(**fact) for name, fact in document["facts"].items()}
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None

    def write(self, section: str, key: object, facts: Mapping[str, Fact]) -> None:
        """Keep facts; a failure to write is ignored."""
        path = self._path(section, key)
        text = json.dumps({"facts": {name: asdict(fact) for name, fact in facts.items()}})
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
                file.write(text)
            Path(file.name).replace(path)

    def _path(self, section: str, key: object) -> Path:
        text = json.dumps([CACHE_VERSION, key], sort_keys=True, default=str)
        return self.folder / f"{section}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def stamp(paths: Iterable[Path]) -> str:
    """A digest of names, sizes and times of all files below these paths: equal stamps, unchanged files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\n".encode())
        for file in files_of(path):
            with contextlib.suppress(OSError):
                status = file.stat()
                digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
