"""What a GGUF file says of itself, read without loading its weights.

Format: the GGUF specification, versions 2 and 3 (ggml, docs/gguf.md), little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from kistack.errors import ModelError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
#: Type numbers of plain values and how ``struct`` spells them.
_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TOKENS = "tokenizer.ggml.tokens"
#: More than any real file has: a count beyond it means damage, not size.
_MOST_ENTRIES = 1 << 24


@dataclass(frozen=True)
class Metadata:
    """The plain values of a GGUF file by key, and its tokens. Other arrays are skipped."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    tokens: tuple[bytes, ...] = ()

    def number(self, name: str, default: float = 0.0) -> float:
        """A number of the model's architecture: ``number("block_count")`` reads ``llama.block_count``."""
        value = self.values.get(f"{self.values.get('general.architecture', '')}.{name}", default)
        return float(value)

    def token(self, name: str) -> str:
        """The text of a special token: ``token("bos")`` looks up ``tokenizer.ggml.bos_token_id``; else empty."""
        number = self.values.get(f"tokenizer.ggml.{name}_token_id")
        if number is None or not 0 <= number < len(self.tokens):
            return ""
        return self.tokens[int(number)].decode("utf-8", "replace")

    def flag(self, name: str) -> bool:
        """A switch of the tokenizer: ``flag("add_bos_token")``."""
        return bool(self.values.get(f"tokenizer.ggml.{name}", False))

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return len(self.tokens) or int(self.number("vocab_size"))

    @property
    def cache_bytes_per_token(self) -> float:
        """Bytes of the key and value cache per token, two a number."""
        heads = self.number("attention.head_count", 1) or 1
        width = self.number("embedding_length") / heads
        keys = self.number("attention.key_length", width) + self.number("attention.value_length", width)
        return 2 * self.number("block_count") * self.number("attention.head_count_kv", heads) * keys


def read_metadata(path: Path) -> Metadata:
    """Read the header of a GGUF file.

    Raises:
        ModelError: no such file, not a GGUF file, or a damaged one.

    """
    try:
        with path.open("rb") as stream:
            return _read(path, stream)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read: {e.strerror}", "give the path of a .gguf file") from e
    except (struct.error, ValueError, KeyError, UnicodeDecodeError, MemoryError) as e:
        raise ModelError(f"{path}: this GGUF file is damaged: {e}", "fetch or export it again") from e


def _read(path: Path, stream: BinaryIO) -> Metadata:
    if stream.read(4) != _MAGIC:
        raise ModelError(f"{path}: is not a GGUF file", "give a file that kistack or llama.cpp exported")
    (version,) = _unpack(stream, "I")
    if version not in _VERSIONS:
        raise ModelError(f"{path}: GGUF version {version} is not known", f"export it as version {_VERSIONS[-1]}")
    _tensors, entries = _unpack(stream, "QQ")
    values: dict[str, Any] = {}
    tokens: tuple[bytes, ...] = ()
    for _ in range(_count(entries)):
        key = _string(stream).decode()
        (kind,) = _unpack(stream, "I")
        if kind != _ARRAY:
            values[key] = _string(stream).decode() if kind == _STRING else _unpack(stream, _PLAIN[kind])[0]
        elif key == _TOKENS:
            tokens = tuple(_string(stream) for _ in range(_array(stream)[1]))
        else:
            _skip_array(stream)
    return Metadata(path, values, tokens)


def _unpack(stream: BinaryIO, what: str) -> tuple[Any, ...]:
    layout = struct.Struct("<" + what)
    return layout.unpack(stream.read(layout.size))


def _count(number: int) -> int:
    if number > _MOST_ENTRIES:
        raise ValueError(f"it claims {number} entries")
    return number


def _string(stream: BinaryIO) -> bytes:
    length = _count(_unpack(stream, "Q")[0])
    text = stream.read(length)
    if len(text) != length:
        raise ValueError("it ends in the middle of a text")
    return text


def _array(stream: BinaryIO) -> tuple[int, int]:
    kind, length = _unpack(stream, "IQ")
    return kind, _count(length)


def _skip_array(stream: BinaryIO) -> None:
    kind, length = _array(stream)
    if kind == _ARRAY:
        for _ in range(length):
            _skip_array(stream)
    elif kind == _STRING:
        for _ in range(length):
            stream.seek(_count(_unpack(stream, "Q")[0]), 1)
    else:
        stream.seek(length * struct.calcsize("<" + _PLAIN[kind]), 1)
