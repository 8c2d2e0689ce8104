"""Earlier states of a folder from its git history."""

from __future__ import annotations

import datetime as dt
import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from kistack.profiling.documents import FORMATS, Document, read_file

#: Evenly spaced dates at which the history is looked at, and how far back.
STATES = 6
LONGEST_DAYS = 730
SHORTEST_DAYS = 14

_LARGEST = 300_000_000  # bytes of one archived state
_TIMEOUT = 60  # seconds


def states_in_git(folder: Path, today: dt.date) -> list[tuple[dt.date, list[Document]]] | None:
    """Dated earlier states of ``folder``, oldest first; None where git does not know at least two weeks of it."""
    if not folder.is_dir():
        return None
    history = _git(folder, "log", "--format=%H %cs", "--", ".")
    commits = [line.split() for line in (history or b"").decode().splitlines()]
    dated = [(dt.date.fromisoformat(date), commit) for commit, date in commits]
    if not dated:
        return None
    start = max(min(d for d, _ in dated), today - dt.timedelta(days=LONGEST_DAYS))
    span = (today - start).days
    if span < SHORTEST_DAYS:
        return None
    states: list[tuple[dt.date, list[Document]]] = []
    read: dict[str, list[Document]] = {}
    for n in range(STATES):
        date = start + dt.timedelta(days=span * n // STATES)
        commit = next((c for d, c in dated if d <= date), None)  # the log has the newest first
        if commit is None:
            continue
        if commit not in read:
            documents = _documents_at(folder, commit)
            if documents is None:
                return None
            read[commit] = documents
        states.append((date, read[commit]))
    return states or None


def _documents_at(folder: Path, commit: str) -> list[Document] | None:
    """The documents of ``folder`` at a commit; None where it cannot be read or is very large."""
    archive = _git(folder, "archive", "--format=tar", commit)
    if archive is None or len(archive) > _LARGEST:
        return None
    found: list[Document] = []
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            name = Path(member.name)
            hidden = any(part.startswith(".") for part in name.parts)
            if not member.isfile() or hidden or name.suffix.lower() not in FORMATS:
                continue
            content = tar.extractfile(member)
            path = Path(scratch, f"document{name.suffix}")
            path.write_bytes(content.read() if content is not None else b"")
            found.extend(d for d in read_file(path, name.as_posix()) if isinstance(d, Document))
    return found


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git prints; None where it is missing, fails, or takes too long."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def head_of(folder: Path) -> str:
    """The commit that is checked out where ``folder`` lies; empty outside of git."""
    if not any((parent / ".git").exists() for parent in (folder, *folder.absolute().parents)):
        return ""
    return (_git(folder if folder.is_dir() else folder.parent, "rev-parse", "HEAD") or b"").decode().strip()
