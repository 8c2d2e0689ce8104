"""The header of a GGUF file, read without numpy: what the model is, but none of its weights.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kistack.errors import ModelError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)

#: Codes of fixed-size values, and how ``struct`` reads them. 8 is a string, 9 an array.
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

#: Codes of tensor types that hold plain numbers; every other code means blocks of quantized ones.
PLAIN = {0: "fp32", 1: "fp16", 30: "bf16"}

#: Factors of rotary embedding are stored as a tensor by some converters; they are no weights.
_NO_WEIGHTS = frozenset({"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"})


#: The number of bytes before a string.
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the tensor table: ``kind`` is the code of its type."""

    name: str
    shape: tuple[int, ...]
    kind: int

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """Metadata and tensor table. An array that was not asked for stands as its length."""

    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        """The model family, as llama.cpp names it."""
        return str(self.metadata.get("general.architecture", ""))

    def number(self, name: str, default: float = 0.0) -> float:
        """A number of the architecture's own section (``block_count``); of a list (one per layer) the largest."""
        value = self.metadata.get(f"{self.architecture}.{name}", default)
        if isinstance(value, list):
            return float(max(value, default=default))
        return float(value) if isinstance(value, (int, float)) else default

    def weights(self) -> tuple[Tensor, ...]:
        """The tensors that are parameters of the model."""
        return tuple(t for t in self.tensors if t.name not in _NO_WEIGHTS)


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def fixed(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.at)
        self.at += struct.calcsize(f"<{code}")
        return value

    def string(self) -> str:
        length = self.fixed("Q")
        if length > len(self.data) - self.at:
            raise struct.error("a string reaches beyond the end of the file")
        text = self.data[self.at : self.at + length].decode("utf-8", errors="replace")
        self.at += length
        return text

    def value(self, kind: int, *, keep: bool) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array(keep=keep)
        return self.fixed(_FIXED[kind])

    def array(self, *, keep: bool) -> Any:
        kind, count = self.fixed("I"), self.fixed("Q")
        if kind == _STRING:
            if keep:
                return [self.string() for _ in range(count)]
            at, data, length = self.at, self.data, _LENGTH.unpack_from
            for _ in range(count):  # a vocabulary has tens of thousands
                at += _LENGTH.size + length(data, at)[0]
            self.at = at
            return count
        if kind == _ARRAY:
            raise struct.error("an array of arrays")
        width = struct.calcsize(f"<{_FIXED[kind]}")
        if count * width > len(self.data) - self.at:
            raise struct.error("an array reaches beyond the end of the file")
        values = list(struct.unpack_from(f"<{count}{_FIXED[kind]}", self.data, self.at))
        self.at += count * width
        return values

    def tensor(self) -> Tensor:
        name = self.string()
        shape = tuple(self.fixed("Q") for _ in range(self.fixed("I")))
        kind = self.fixed("I")
        self.fixed("Q")  # the offset of its data
        return Tensor(name, shape, kind)


def read_header(path: Path, keep: Collection[str] = ()) -> Header:
    """The header of ``path``; ``keep`` names the string arrays to read in full (others stand as their length).

    Raises:
        ModelError: not a GGUF file, a version that is not known, or cut short.

    """
    try:
        stat = path.stat()
        return _read(path, stat.st_mtime_ns, stat.st_size, frozenset(keep))
    except OSError as e:
        raise ModelError(f"{path}: {e.strerror or e}", "name a .gguf file that can be read") from e
    except (struct.error, KeyError, ValueError, OverflowError) as e:
        raise ModelError(f"{path}: damaged GGUF header ({e})", "fetch the file again: it may be cut short") from e


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, size: int, keep: frozenset[str]) -> Header:  # noqa: ARG001 - the cache's key
    if size < len(_MAGIC):
        raise ModelError(f"{path}: not a GGUF file", "name a file that starts with the letters GGUF")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[: len(_MAGIC)] != _MAGIC:
            raise ModelError(f"{path}: not a GGUF file", "name a file that starts with the letters GGUF")
        reader = _Reader(data)
        reader.at = len(_MAGIC)
        version = reader.fixed("I")
        if version not in _VERSIONS:
            raise ModelError(f"{path}: GGUF version {version} is not known", "convert it with a current llama.cpp")
        tensors, pairs = reader.fixed("Q"), reader.fixed("Q")
        metadata: dict[str, Any] = {}
        for _ in range(pairs):
            key = reader.string()
            metadata[key] = reader.value(reader.fixed("I"), keep=key in keep)
        return Header(metadata, tuple(reader.tensor() for _ in range(tensors)))
