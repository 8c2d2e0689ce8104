"""Safetensors files mapped into memory: weights are read when they are used, and not copied.

The format is eight bytes with the length of a JSON header, the header, and the numbers:
https://huggingface.co/docs/safetensors
The library copies every tensor, which doubles the memory while it loads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_LENGTH_BYTES = 8
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Name to ``{dtype, shape, data_offsets}`` of every tensor.

    Raises:
        OSError, ValueError: the file cannot be read, or is no safetensors file.

    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size > path.stat().st_size:
            raise ValueError("the header is longer than the file")
        header = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise ValueError("the header is no JSON object")  # noqa: TRY004 - a damaged file, not a wrong argument
    header.pop("__metadata__", None)
    return header


def map_tensors(path: Path) -> dict[str, Floats]:
    """Name to tensor of every F32 and F16 tensor; the others are left out. F32 is mapped, F16 widened.

    Raises:
        OSError, ValueError, KeyError, TypeError: the file cannot be read, or is damaged.

    """
    header = read_header(path)
    mapped = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    numbers = mapped[_LENGTH_BYTES + int.from_bytes(mapped[:_LENGTH_BYTES].tobytes(), "little") :]
    found: dict[str, Floats] = {}
    for name, about in header.items():
        if about["dtype"] not in _DTYPES:
            continue
        start, end = about["data_offsets"]
        tensor = numbers[start:end].view(_DTYPES[about["dtype"]]).reshape(about["shape"])
        found[name] = tensor.astype(np.float32, copy=False)
    return found
