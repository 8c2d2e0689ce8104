"""The documents of a corpus artifact, for stages that read them: those with text, each id once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import CORPUS_FILE
from kistack.errors import DataError


@dataclass(frozen=True, slots=True)
class Text:
    """One document. ``date`` is ISO or empty, ``part`` names the part of the corpus it belongs to."""

    id: str
    title: str
    text: str
    date: str
    part: str


def read_texts(folder: Path) -> tuple[list[Text], int]:
    """The documents that have any text, in their order, and how many had none.

    Raises:
        DataError: the file cannot be read, a line is no document, an id comes twice, or no document has any text.

    """
    path = folder / CORPUS_FILE
    texts: list[Text] = []
    lines: dict[str, int] = {}
    empty = 0
    for number, row in _rows(path):
        text = _text(row, f"{path}:{number}")
        if text.id in lines:
            raise DataError(
                f"{path}:{number}: the document id {text.id!r} is already that of line {lines[text.id]}",
                "give every document an id of its own",
            )
        lines[text.id] = number
        if text.text.strip():
            texts.append(text)
        else:
            empty += 1
    if not texts:
        raise DataError(f"{path}: no document has any text", "add documents under knowledge.corpus")
    return texts, empty


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, json.loads(line)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the corpus cannot be read ({error})", "run the profile again") from error


def _text(row: Any, where: str) -> Text:
    try:
        return Text(
            id=str(row["id"]),
            title=str(row.get("title") or ""),
            text=str(row["text"] or ""),
            date=str(row.get("date") or ""),
            part=str(row.get("part") or ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: not a document with id and text ({error!r})", "run the profile again") from error
