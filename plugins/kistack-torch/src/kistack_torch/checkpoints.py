"""Checkpoints of a training: complete or not there at all, and never a pickle.

A checkpoint is a folder with ``tensors.safetensors`` and ``state.json``. It is written beside its final place and
renamed, so a kill at any moment leaves the one before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

_SCHEMA = 1
_PREFIX = "checkpoint-"
_TENSORS, _STATE = "tensors.safetensors", "state.json"
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Checkpoint:
    """A training as it stood after ``step`` optimizer steps.

    ``tensors`` by name; ``state`` is a JSON document of everything else.
    """

    step: int
    tensors: Mapping[str, torch.Tensor]
    state: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one training in ``folder``; only the newest is kept.

    ``fingerprint`` names what is trained, on what and how: a checkpoint with another one is not continued.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    def save(self, checkpoint: Checkpoint) -> None:
        """Write ``checkpoint`` to disk, then remove what it replaces."""
        self.folder.mkdir(parents=True, exist_ok=True)
        making = self.folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
        save_file(tensors, making / _TENSORS)
        document = {
            "schema": _SCHEMA,
            "fingerprint": self.fingerprint,
            "step": checkpoint.step,
            "sha256": _sha256(making / _TENSORS),
            "state": dict(checkpoint.state),
        }
        (making / _STATE).write_text(json.dumps(document, sort_keys=True), encoding="utf-8")
        for file in making.iterdir():
            _flush(file)
        final = self.folder / f"{_PREFIX}{checkpoint.step:08d}"
        shutil.rmtree(final, ignore_errors=True)
        making.rename(final)
        _flush(self.folder)
        for other in self._finished():
            if other != final:
                shutil.rmtree(other, ignore_errors=True)

    def load(self) -> Checkpoint | None:
        """The newest whole checkpoint of this training, None where there is none.

        One that is damaged, or belongs to another training, is passed over: work is then repeated, never mixed up.
        """
        for path in reversed(self._finished()):
            found = self._read(path)
            if found is not None:
                return found
        return None

    def clear(self) -> None:
        """Remove all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> list[Path]:
        return sorted(p for p in self.folder.glob(f"{_PREFIX}*") if p.is_dir())

    def _read(self, path: Path) -> Checkpoint | None:
        try:
            document = json.loads((path / _STATE).read_text(encoding="utf-8"))
            if document["schema"] != _SCHEMA or document["fingerprint"] != self.fingerprint:
                return None
            if document["sha256"] != _sha256(path / _TENSORS):
                return None
            return Checkpoint(int(document["step"]), load_file(path / _TENSORS), document["state"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None


def _sha256(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def _flush(path: Path) -> None:
    """Have the disk hold it before the rename says that it does."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # folders cannot be opened on every system
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
