"""Projects that were open lately, kept in the user's cache folder; losing the list costs nothing."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

#: Projects that are remembered.
MOST = 8
_FILE = "recent.json"
_SCENARIO = "kistack.yaml"


@dataclass(frozen=True, slots=True)
class Recent:
    """A project that was open: its folder and its scenario's name."""

    folder: str
    name: str


def cache_folder() -> Path:
    """The user's cache folder, as for what was measured; the first frame must not import what measures."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kistack")


def recent(cache: Path | None = None) -> list[Recent]:
    """Projects that were open lately and are there still, the latest first."""
    try:
        document = json.loads(((cache or cache_folder()) / _FILE).read_text(encoding="utf-8"))
        known = [Recent(str(row["folder"]), str(row["name"])) for row in document["projects"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [r for r in known if Path(r.folder, _SCENARIO).is_file()]


def remember(folder: Path, name: str, cache: Path | None = None) -> None:
    """Put a project at the top of the list; a cache that cannot be written is no error."""
    place = cache or cache_folder()
    this = Recent(str(folder), name)
    rows = [this, *(r for r in recent(place) if r.folder != this.folder)][:MOST]
    text = json.dumps({"schema": 1, "projects": [asdict(r) for r in rows]}, indent=2)
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        draft = place / f"{_FILE}.{os.getpid()}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(place / _FILE)
