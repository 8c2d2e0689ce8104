"""What evaluators read: answers, their timings, and held-out items."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import ANSWERS_FILE, PAIRS_FILE, SPEED_FILE
from kistack.errors import DataError, StoreError


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered question.

    ``text`` is None where no answer came; ``found`` are the documents of its passages, best first, ``passages`` their
    texts. ``unanswerable``: the documents do not answer it, and ``answers`` are ways to say so.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    gold: tuple[str, ...]
    text: str | None
    found: tuple[str, ...]
    passages: tuple[str, ...] = ()
    unanswerable: bool = False

    @property
    def accepted(self) -> tuple[str, ...]:
        """What answers the question; nothing does where it is unanswerable."""
        return () if self.unanswerable else self.answers

    @property
    def wordings(self) -> tuple[str, ...]:
        """The item's own ways to say that there is no answer."""
        return self.answers if self.unanswerable else ()


def read_answers(folder: Path) -> list[Answer]:
    """The answers of an artifact folder, in their order.

    Raises:
        StoreError: the file is missing, empty or damaged.

    """
    path = folder / ANSWERS_FILE
    answers = [_answer(row, where) for where, row in _rows(path, StoreError)]
    if not answers:
        raise StoreError(f"{path}: there are no answers", "hold out at least one pair and run again")
    return answers


def read_speed(folder: Path) -> dict[str, Any]:
    """The timings of an answers artifact; empty where none were taken.

    Raises:
        StoreError: the file is damaged.

    """
    path = folder / SPEED_FILE
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path}: the timings cannot be read ({error})", "run the evaluation again") from error
    if not isinstance(document, dict):
        raise StoreError(f"{path}: the timings are no JSON object", "run the evaluation again")
    return document


def read_items(folder: Path) -> list[dict[str, Any]]:
    """The held-out items of an artifact folder: objects with at least id, question and one answer.

    Raises:
        DataError: an item lacks one of them; the message names file and line.

    """
    items = []
    for where, row in _rows(folder / PAIRS_FILE, DataError):
        if not all(row.get(name) for name in ("id", "question", "answers")):
            raise DataError(f"{where}: an item needs an id, a question and an answer", "complete or remove it")
        items.append(row)
    return items


def _answer(row: Mapping[str, Any], where: str) -> Answer:
    try:
        text = row["text"]
        return Answer(
            id=str(row["id"]),
            question=str(row.get("question", "")),
            answers=tuple(map(str, row["answers"])),
            gold=tuple(map(str, row.get("gold") or ())),
            text=text if isinstance(text, str) else None,
            found=tuple(str(p.get("document", "")) for p in row.get("passages") or ()),
            passages=tuple(str(p.get("text", "")) for p in row.get("passages") or ()),
            unanswerable=row.get("unanswerable") is True,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{where}: this is no answer ({error!r})", "run the evaluation again") from error


def _rows(path: Path, kind: type[DataError | StoreError]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON-lines file, each with its place for messages."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise kind(f"{path}: cannot be read ({error})", "run the step that made it again") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise kind(f"{where}: not JSON ({error})", "run the step that made it again") from error
        if not isinstance(row, dict):
            raise kind(f"{where}: not a JSON object", "run the step that made it again")
        yield where, row
