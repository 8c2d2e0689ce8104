"""Reading safetensors without torch: memory-mapped, one piece at a time, as float32."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kistack.errors import ModelError

Floats = NDArray[np.float32]

#: Formats of numbers that hold unquantized weights, and how they lie on disk. bf16 is the upper half of a float32.
_STORED: dict[str, Any] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
#: A header larger than this is not one. Source: the safetensors format.
_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies: ``offset`` and ``nbytes`` count bytes of ``file``."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int

    def rows(self, start: int = 0, stop: int | None = None) -> Floats:
        """Rows ``start`` to ``stop`` as float32, shape ``(stop - start, …)``; a vector is read whole."""
        stored = np.memmap(self.file, _STORED[self.dtype], "r", self.offset, self.shape)
        piece = np.asarray(stored[start:stop])
        if self.dtype == "BF16":
            return (piece.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return piece.astype(np.float32)


class Weights:
    """All tensors of a model folder, by name.

    Raises:
        ModelError: no safetensors there, a damaged file, or numbers that are not fp32, fp16 or bf16.

    """

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise ModelError(f"{folder}: holds no *.safetensors", "save the model with transformers' save_pretrained")
        self.tensors = {t.name: t for file in files for t in _read_header(file)}

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensors.values())


def _read_header(file: Path) -> Iterator[Tensor]:
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            # a length beyond the file reads as a cut-off text, which the parser refuses
            header = json.loads(stream.read(min(length, size, _LARGEST_HEADER)))
        start = 8 + length
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            yield _tensor(file, name, entry, start + begin, end - begin, size)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as e:
        raise ModelError(
            f"{file}: is no safetensors file that can be read: {e}", "fetch or save the model again"
        ) from e


def _tensor(file: Path, name: str, entry: dict[str, Any], offset: int, nbytes: int, size: int) -> Tensor:
    dtype, shape = entry["dtype"], tuple(int(n) for n in entry["shape"])
    if dtype not in _STORED:
        raise ModelError(
            f"{file}: {name} is stored as {dtype}", "give a model in fp32, fp16 or bf16: quantized weights stay as is"
        )
    if nbytes != math.prod(shape) * _STORED[dtype].itemsize or offset + nbytes > size:
        raise ValueError(f"{name} does not lie inside the file")
    return Tensor(name, file, dtype, shape, offset, nbytes)
