"""The identity of a vocabulary: equal strings mean that token ids can be exchanged between two models.

It is a hash of what each id stands for. Merges and splitting rules are left out on purpose: they decide how a text is
cut, not what an id means. Padding entries that only round a table up are left out too, and spellings that differ
between file formats (spaces, characters outside the byte alphabet) are made one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kistack.errors import ModelError

#: Length of the identity in hexadecimal digits: 80 bits, so that two vocabularies never collide by accident.
DIGITS = 20

_PADDING = re.compile(r"\[PAD(\d+)\]")

#: Tokenizer files without a readable table: their bytes stand for it.
_OPAQUE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.tiktoken")

#: Any one of these makes a folder's tokenizer; ``tokenizer.json`` is read first.
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", *_OPAQUE)


def identity(tokens: Iterable[tuple[int, str]]) -> str:
    """The identity of a table of (id, token)."""
    found = hashlib.sha256()
    for number, spelled in sorted(tokens):
        token = _one_spelling(spelled)
        padding = _PADDING.fullmatch(token)
        if padding is None or int(padding[1]) != number:
            found.update(f"{number}\t{token}\n".encode())
    return found.hexdigest()[:DIGITS]


@cache
def byte_alphabet() -> tuple[str, ...]:
    """The 256 printable characters that stand for the bytes in byte-level vocabularies (GPT-2, Radford et al. 2019).

    Printable Latin-1 bytes stand for themselves, the others for the characters from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(b) if b in printable else chr(next(others)) for b in range(0x100))


@cache
def _letters() -> frozenset[str]:
    return frozenset(byte_alphabet())


def _one_spelling(token: str) -> str:
    if _letters().issuperset(token):
        return token
    joined = token.replace(" ", "\u2581")
    return "".join(byte_alphabet()[b] for b in joined.encode("utf-8", "surrogatepass"))


def of_tokens(tokens: Iterable[str]) -> str:
    """The identity of a list in which a token's place is its id (as GGUF stores it)."""
    return identity(enumerate(tokens))


def of_folder(folder: Path) -> str:
    """The identity of a Hugging Face folder's tokenizer.

    Raises:
        ModelError: there is no tokenizer, or it cannot be read.

    """
    name = next((n for n in TOKENIZER_FILES if (folder / n).is_file()), None)
    if name is None:
        raise ModelError(f"{folder}: no tokenizer ({', '.join(TOKENIZER_FILES[:3])}, …)", "save the tokenizer there")
    path = folder / name
    try:
        return _of_file(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise ModelError(f"{path}: this tokenizer cannot be read ({e})", "save the tokenizer again") from e


def _of_file(path: Path) -> str:
    if path.name == "tokenizer.json":
        return identity(_of_tokenizer(json.loads(path.read_text(encoding="utf-8"))).items())
    if path.name == "vocab.json":
        table = json.loads(path.read_text(encoding="utf-8"))
        added = path.with_name("added_tokens.json")
        more = json.loads(added.read_text(encoding="utf-8")) if added.is_file() else {}
        return identity((number, token) for token, number in {**table, **more}.items())
    if path.name == "vocab.txt":
        return identity(enumerate(path.read_text(encoding="utf-8").splitlines()))
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]


def _of_tokenizer(document: Mapping[str, Any]) -> dict[int, str]:
    """Id to token of a ``tokenizer.json``: BPE and WordPiece map tokens to ids, Unigram lists (token, score)."""
    table = document["model"]["vocab"]
    pairs = table.items() if isinstance(table, Mapping) else ((entry[0], n) for n, entry in enumerate(table))
    found = {int(number): str(token) for token, number in pairs}
    found.update((int(entry["id"]), str(entry["content"])) for entry in document.get("added_tokens", ()))
    return found
