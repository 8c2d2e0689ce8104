"""Folders of models as files: their size, the digest of their weights, and what must lie beside copies of them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from kistack.errors import ModelError

#: How the files begin that say under which terms a model may be used, and from whom it comes.
_TERMS = ("LICENSE", "LICENCE", "COPYING", "NOTICE")


def folder_bytes(folder: Path) -> float:
    """Bytes of all files in ``folder``."""
    return float(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()))


def weights_digest(folder: Path) -> str:
    """SHA-256 over the safetensors files of ``folder``, their names included: equal digests are equal weights.

    Raises:
        ModelError: there are none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder}: no safetensors", "give a Hugging Face folder with *.safetensors")
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def copy_terms(source: Path, target: Path) -> None:
    """Copy licence and notice files of the model in ``source`` to what was made of it."""
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name.upper().startswith(_TERMS):
            shutil.copyfile(path, target / path.name)
