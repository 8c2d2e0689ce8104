"""The store: artifacts by the digest of their bytes, steps by the key of what was asked for.

    artifacts/<digest>/     the files          files/<digest>.json   their sizes, times and digests
    steps/<key>.json        what a step left   scratch/<key>/        checkpoints, survive a killed run
    locks/ pins/ tmp/       work in progress   hashes.db             digests of large files of the user

Everything appears by atomic rename; nothing in it is ever changed afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact
from kistack.errors import StoreError
from kistack.storage import garbage
from kistack.storage.files import (
    free_bytes,
    read_json,
    remove,
    size_of,
    storing,
    write_json,
)
from kistack.storage.hashing import digest_of, walk
from kistack.storage.locks import Locks
from kistack.storage.results import (
    STEP_SCHEMA,
    Made,
    StepResult,
    check_facts,
    describe_output,
    file_name,
    output_key,
    read_output,
)
from kistack.storage.shelf import MISSING, Shelf

Notify = Callable[[str], None]
Writer = Callable[[Path], None]

_PARTS = ("artifacts", "files", "steps", "scratch", "locks", "pins", "tmp")


def _silent(_message: str) -> None:
    """Nobody listens."""


class Store:
    """A content-addressed folder, safe for several processes at once.

    Raises:
        StoreError: the folder cannot be made or written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would change a linked project's paths
        with storing(self.root, "opening the store"):
            for part in _PARTS:
                (self.root / part).mkdir(parents=True, exist_ok=True)
        self.locks = Locks(self.root / "locks")
        self.shelf = Shelf(self.root, self.locks)

    # --- locks

    def lock(
        self,
        key: str,
        *,
        waiting: Callable[[], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> AbstractContextManager[None]:
        """Hold a key: whoever else wants it waits until it is let go. See ``Locks.hold``."""
        return self.locks.hold(key, waiting, cancelled)

    # --- making

    def prepare(self, key: str, names: Iterable[str]) -> dict[str, Path]:
        """New empty folders for the outputs of a step; leftovers of an earlier try are removed. Hold ``lock(key)``."""
        base = self.root / "tmp" / file_name(key)
        remove(base)
        folders = {name: base / (name or "content") for name in names}
        with storing(self.root, "making room for a step"):
            for folder in folders.values():
                folder.mkdir(parents=True)
        return folders

    def discard(self, key: str) -> None:
        """Remove what ``prepare`` made."""
        remove(self.root / "tmp" / file_name(key))

    def scratch(self, key: str) -> Path:
        """The folder for checkpoints of a step: it survives until the step is committed."""
        folder = self.root / "scratch" / file_name(key)
        with storing(self.root, "making room for a step"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear_scratch(self, key: str) -> None:
        """Forget the checkpoints of a step."""
        remove(self.root / "scratch" / file_name(key))
        remove(self.clock(key))

    def clock(self, key: str) -> Path:
        """The file beside the scratch that holds the time spent on it."""
        return self.root / "scratch" / f"{file_name(key)}{garbage.CLOCK_SUFFIX}"

    def commit(
        self,
        key: str,
        made: Mapping[str, Made],
        *,
        stage: str = "",
        settings: Mapping[str, Any] | None = None,
        inputs: Mapping[str, tuple[str, ...]] | None = None,
        measured: Mapping[str, float] | None = None,
    ) -> StepResult:
        """Keep the outputs of a step, then its record; its scratch is removed. Hold ``lock(key)``.

        The folders are moved (their links stay links). ``inputs`` are the digests read at each port.

        Raises:
            StoreError: the disk is full or refuses (bytes needed and free are said; nothing half-written remains),
                a folder holds something that cannot be kept, or a fact is not a number.
        """
        what = f"keeping the output of {stage or key}"

        def needed() -> float:
            return sum(size_of(m.folder) for m in made.values())

        try:
            with storing(self.root, what, needed):
                facts = {name: check_facts(f"{stage or key}, output {name!r}", m.facts) for name, m in made.items()}
                surveyed = {name: self.shelf.survey(m.folder) for name, m in made.items()}
                entries = {
                    name: describe_output(
                        m,
                        digest_of(surveyed[name]),
                        {"bytes": float(sum(e.size for e in surveyed[name])), **facts[name]},
                    )
                    for name, m in made.items()
                }
                record = {
                    "schema": STEP_SCHEMA,
                    "key": key,
                    "stage": stage,
                    "settings": dict(settings or {}),
                    "inputs": {port: list(digests) for port, digests in (inputs or {}).items()},
                    "outputs": entries,
                    "measured": dict(measured or {}),
                    "created": time.time(),
                }
                with self.locks.exclusive():
                    for name, m in made.items():
                        self.shelf.publish(m.folder, surveyed[name])
                    write_json(self.record_path(key), record)
        finally:
            self.discard(key)
        self.clear_scratch(key)
        return self._read(record, key)

    def put(
        self,
        kind: str,
        format: str,  # noqa: A002 - the word of Artifact
        content: Path | Writer,
        key: str,
        *,
        facts: Mapping[str, float] | None = None,
        facets: Mapping[str, str] | None = None,
        link: bool = False,
    ) -> Artifact:
        """Bring an input into the store under its own key; what is there under that key and whole is not made again.

        Args:
            kind: the artifact's kind.
            format: its format.
            content: a folder to copy, or a function that writes into the empty folder it is given.
            key: names the content (``Type.identity``).
            facts: its numbers (``bytes`` is measured where it is not among them).
            facets: its facets.
            link: make links to the folder's files instead of copies; a later change of theirs is noticed.

        Raises:
            StoreError: as ``commit``.
        """
        with self.lock(key):
            known = self.lookup(key)
            if known is not None and "" in known.outputs:
                there = known.outputs[""]
                said = {"bytes": there.fact("bytes"), **(facts or {})}
                if (there.kind, there.format, there.facts, there.facets) == (kind, format, said, facets or {}):
                    return there
            folder = self.prepare(key, [""])[""]
            try:
                with storing(self.root, f"bringing in {kind} {key[:24]}", lambda: size_of(folder)):
                    if callable(content):
                        content(folder)
                    else:
                        _bring(content, folder, link=link)
                made = Made(folder, kind, format, facets or {}, facts or {})
                return self.commit(key, {"": made}).outputs[""]
            finally:
                self.discard(key)

    # --- reading

    def lookup(self, key: str, *, full: bool = False, notify: Notify = _silent) -> StepResult | None:
        """What a finished step left, if all of it is there and whole; None otherwise.

        Sizes and times are compared; where they differ, or with ``full``, the bytes are read and their digest
        compared. A damaged artifact is dropped, with a message to ``notify``, so that it is made again.
        """
        path = self.record_path(key)
        if not path.exists():
            return None
        record = read_json(path)
        if record is None or record.get("key") != key:
            notify(f"the record of step {key[:12]} is damaged: it is made again")
            remove(path)
            return None
        if record.get("schema") != STEP_SCHEMA:
            raise StoreError(
                f"step {key[:12]} in {self.root} was kept by another kistack (schema {record.get('schema')})",
                "use the kistack that wrote it, or another project folder",
            )
        fault = self._check(record, full=full, notify=notify)
        if fault:
            notify(f"{record['stage'] or 'input'} {key[:12]}: {fault}; it is made again")
            remove(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # last use, for gc
        return self._read(record, key)

    def artifact(self, name: str) -> Artifact:
        """The artifact of that digest, input key, or ``key/output``.

        Raises:
            StoreError: it is not in the store, or damaged.
        """
        key, _, out = name.rpartition("/")
        for step, output in ((name, ""), (key, out)):
            found = self.lookup(step) if step else None
            if found is not None and output in found.outputs:
                return found.outputs[output]
        for record in self.records():
            for out_name, entry in record["outputs"].items():
                if entry["digest"] == name:
                    found = self.lookup(record["key"])
                    if found is not None:
                        return found.outputs[out_name]
        raise StoreError(f"artifact {name[:80]} is not in the store at {self.root}", "run the plan that makes it")

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of all finished steps, as they are written; unreadable ones are passed over."""
        for path in sorted((self.root / "steps").glob("*.json")):
            record = read_json(path)
            if record is not None and record.get("schema") == STEP_SCHEMA:
                yield record

    def path(self, digest: str) -> Path:
        """Where the files of an artifact lie."""
        return self.shelf.path(digest)

    def free(self) -> int:
        """Bytes that may still be written to the store's disk."""
        return free_bytes(self.root)

    def _check(self, record: Mapping[str, Any], *, full: bool, notify: Notify) -> str:
        for entry in record["outputs"].values():
            digest = entry["digest"]
            fault = self.shelf.fault(digest, full=full)
            if fault:
                notify(f"artifact {digest[:12]} ({entry['kind']}) is damaged: {fault}")
                self.shelf.drop(digest)
                return "its output is gone" if fault == MISSING else f"its output was damaged ({fault})"
            for needed in entry["requires"]:
                if self._required(needed) is None:
                    return f"what its output requires ({needed['key'][:12]}) is gone or has been made anew"
        return ""

    def _required(self, needed: Mapping[str, str]) -> Artifact | None:
        key, _, out = needed["key"].rpartition("/")
        for step, name in ((needed["key"], ""), (key, out)):
            result = self.lookup(step) if step else None
            if result is not None and name in result.outputs and result.outputs[name].digest == needed["digest"]:
                return result.outputs[name]
        return None

    def _read(self, record: Mapping[str, Any], key: str) -> StepResult:
        inputs = {port: tuple(digests) for port, digests in record["inputs"].items()}
        parents = tuple(d for digests in inputs.values() for d in digests)
        outputs = {}
        for name, entry in record["outputs"].items():
            requires = tuple(a for a in map(self._required, entry["requires"]) if a is not None)
            outputs[name] = read_output(
                entry,
                key=output_key(key, name),
                path=self.path(entry["digest"]),
                requires=requires,
                parents=parents,
            )
        return StepResult(
            key=key,
            stage=record["stage"],
            outputs=outputs,
            settings=record["settings"],
            inputs=inputs,
            measured=record["measured"],
            created=record["created"],
        )

    def record_path(self, key: str) -> Path:
        """The file that holds the record of a step."""
        return self.root / "steps" / f"{file_name(key)}.json"

    # --- upkeep

    def pin(self, name: str, wanted: Iterable[str]) -> None:
        """Keep keys and digests from ``gc`` until ``unpin`` (or some days after this process died)."""
        garbage.pin(self, name, wanted)

    def unpin(self, name: str) -> None:
        """Let go of a pin."""
        garbage.unpin(self, name)

    def du(self) -> garbage.Usage:
        """Bytes on disk."""
        return garbage.usage(self)

    def gc(self, keep: Iterable[str] = (), budget: float | None = None) -> garbage.Collected:
        """Remove what neither ``keep`` (step keys, ``key/output`` or digests) nor a pin needs.

        With a ``budget`` (bytes) the least recently used goes first, and only until the store fits.
        """
        return garbage.collect(self, keep, budget)

    def verify(self, *, drop: bool = False) -> list[garbage.Damage]:
        """Read all artifacts and compare their bytes with their digests; ``drop`` removes the damaged ones."""
        return garbage.verify(self, drop=drop)


def _bring(source: Path, folder: Path, *, link: bool) -> None:
    for name, path in walk(source):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            target.symlink_to(path.resolve())
        else:
            shutil.copyfile(path, target)
