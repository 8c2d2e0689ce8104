"""Labelled pairs: read with every mistake named, split without leakage, written as artifacts."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import PAIRS_FILE
from kistack.domain.prompt import PromptTemplate
from kistack.errors import DataError, InvalidInput, Problem
from kistack.profiling.tokens import TOKENS_PER_ANSWER_START, TOKENS_PER_MESSAGE, estimate_tokens
from kistack.units import UnitError, parse_date

#: Problems listed one by one before the rest is only counted.
MAX_PROBLEMS = 50

_FORM = 'one object a line: {"question": "…", "answer": "…"} (or "answers": ["…", "…"])'
_TABLE = "the first line names the columns: question,answer (or answers, joined by |); then one pair a line"
#: The answer of a question that the documents do not answer, unless the pair words it otherwise: what a model is to
#: learn to say.
ABSTENTION = "I don't know."
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "held-out", "heldout", "held_out", "eval", "evaluation"), "test"),
}


class InvalidPairs(InvalidInput, DataError):
    """Pairs with mistakes, each with its file and line."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its accepted answers, best first.

    ``gold`` are ids of the documents that hold the answer, ``group`` the entity it is about, ``split`` what the user
    declared (``train``, ``test`` or empty), ``where`` its file and line. ``unanswerable``: the documents do not answer
    it, so that the right thing is to say so; ``answers`` are then ways to say it.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    gold: tuple[str, ...] = ()
    group: str = ""
    date: dt.date | None = None
    split: str = ""
    where: str = field(default="", compare=False)
    unanswerable: bool = False

    def to_json(self) -> dict[str, Any]:
        """One row of ``pairs.jsonl``; that a question has no answer stands in it only where it is so."""
        return {
            **({"unanswerable": True} if self.unanswerable else {}),
            "id": self.id,
            "question": self.question,
            "answers": list(self.answers),
            "gold": list(self.gold),
            "group": self.group,
            "date": self.date.isoformat() if self.date else None,
        }


def read_pairs(paths: Sequence[Path]) -> tuple[Pair, ...]:
    """All pairs of these JSONL or CSV files, in their order.

    Recognized keys: ``question``, ``answer`` or ``answers``, ``gold``, ``group`` or ``entity``, ``date``, ``split``,
    ``id``, ``unanswerable``. In CSV several answers or gold ids are separated by ``|``. Other keys are left alone.

    A question that the documents do not answer is marked ``unanswerable: true``. It needs no answer and names no gold
    document; an answer that stands there is how the house says that it does not know (else ``ABSTENTION``).

    Raises:
        DataError: a file is missing or not text.
        InvalidPairs: every mistake of all files: bad JSON, missing fields, no answers, duplicate questions or ids.

    """
    reader = _PairReader()
    for path in paths:
        reader.read(path)
    if reader.problems:
        shown = reader.problems[:MAX_PROBLEMS]
        if len(reader.problems) > MAX_PROBLEMS:
            shown.append(Problem("", f"and {len(reader.problems) - MAX_PROBLEMS} more problems"))
        raise InvalidPairs(", ".join(p.name for p in paths), shown)
    return tuple(reader.pairs)


class _PairReader:
    """Collects pairs and problems over several files."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.problems: list[Problem] = []
        self._asked: dict[tuple[str, dt.date | None], str] = {}
        self._ids: dict[str, str] = {}

    def read(self, path: Path) -> None:
        suffix = path.suffix.lower()
        rows: Callable[[str, str], Iterator[tuple[str, Mapping[str, Any]]]] | None
        rows = {".jsonl": self._json_lines, ".ndjson": self._json_lines, ".csv": self._csv_rows}.get(suffix)
        if rows is None:
            raise DataError(f"pairs file {path} is neither JSONL nor CSV", "name a .jsonl or .csv file")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise DataError(f"pairs file {path}: {error.strerror}", "correct knowledge.pairs") from error
        except UnicodeDecodeError as error:
            raise DataError(f"pairs file {path} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            self._problem(f"{path.name}:{line}", "a NUL byte stands in this line", "save the file as UTF-8 text")
            return
        before = len(self.pairs) + len(self.problems)
        for where, row in rows(text, path.name):
            self._add(where, row)
        if len(self.pairs) + len(self.problems) == before:
            raise DataError(f"pairs file {path} holds no pairs", _TABLE if suffix == ".csv" else _FORM)

    def _problem(self, where: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(where, message, hint))

    def _json_lines(self, text: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for number, line in enumerate(text.split("\n"), 1):
            where = f"{name}:{number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                spot = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
                why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                self._problem(where, f"not JSON: {why.removesuffix(' at')}{spot}", _FORM)
                continue
            if isinstance(row, dict):
                yield where, row
            else:
                self._problem(where, f"{line.strip()[:40]} is not an object", _FORM)

    def _csv_rows(self, text: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        csv.field_size_limit(max(csv.field_size_limit(), len(text)))
        reader = csv.DictReader(io.StringIO(text), strict=True)
        try:
            for row in reader:
                where = f"{name}:{reader.line_num}"
                if None in row:
                    self._problem(where, "more cells than the header has columns", "quote cells that hold commas")
                    continue
                cells: dict[str, Any] = {str(k).strip().lower(): v for k, v in row.items() if v}
                for key in ("answers", "gold"):
                    if key in cells:
                        cells[key] = [part.strip() for part in cells[key].split("|")]
                yield where, cells
        except csv.Error as error:
            self._problem(f"{name}:{reader.line_num}", f"not CSV: {error}", "quote cells that hold commas or quotes")

    def _add(self, where: str, row: Mapping[str, Any]) -> None:
        known = len(self.problems)
        question = row.get("question")
        if not isinstance(question, str) or not question.strip():
            keys = ", ".join(row) or "nothing"
            self._problem(where, f"no question (found: {keys[:80]})", _FORM)
            question = ""
        answers = self._texts(where, row, "answers", _listed(row.get("answers")) + _listed(row.get("answer")))
        gold = self._texts(where, row, "gold", _listed(row.get("gold")))
        unanswerable = self._flag(where, row.get("unanswerable"))
        if unanswerable and gold:
            self._problem(where, f"unanswerable, yet gold names {gold[0]!r}", "remove one of the two")
        if unanswerable and not answers:
            answers = (ABSTENTION,)
        if not answers and known == len(self.problems):
            hint = f'{_FORM}; if the documents do not answer it: "unanswerable": true'
            self._problem(where, f"no answer to {question[:100]!r}", hint)
        split = self._split(where, row.get("split"))
        date = self._date(where, row.get("date"))
        group = str(row.get("group") or row.get("entity") or "").strip()
        question = question.strip()
        self._once(where, question, date)
        ident = str(row.get("id") or "") or f"q{hashlib.sha256(f'{question}|{date}'.encode()).hexdigest()[:16]}"
        if question and (first := self._ids.setdefault(ident, where)) != where and row.get("id"):
            self._problem(where, f"the id {ident!r} stands twice (first at {first})", "give every pair its own id")
        if known == len(self.problems):
            self.pairs.append(Pair(ident, question, answers, gold, group, date, split, where, unanswerable))

    def _once(self, where: str, question: str, date: dt.date | None) -> None:
        key = (question_key(question), date)
        if question and (first := self._asked.setdefault(key, where)) != where:
            self._problem(
                where,
                f"duplicate question {question[:100]!r} (first at {first})",
                "keep one, and list several accepted answers in answers",
            )

    def _texts(self, where: str, row: Mapping[str, Any], key: str, values: list[Any]) -> tuple[str, ...]:
        texts = [str(v).strip() for v in values if isinstance(v, str | int | float) and not isinstance(v, bool)]
        if len(texts) < len(values):
            self._problem(where, f"{key} {row.get(key, row.get('answer'))!r} is no text", "write text, or a list of it")
        return tuple(dict.fromkeys(t for t in texts if t))

    def _split(self, where: str, value: object) -> str:
        if value in (None, ""):  # a list is no key of a set
            return ""
        split = _SPLITS.get(str(value).strip().lower())
        if split is None:
            self._problem(where, f"split {value!r} is not accepted", "accepted: train, test")
        return split or ""

    def _flag(self, where: str, value: object) -> bool:
        if value in (None, ""):  # a list is no key of a set
            return False
        flag = _FLAGS.get(str(value).strip().lower())
        if flag is None:
            self._problem(where, f"unanswerable {value!r} is not accepted", "accepted: true, false")
        return flag or False

    def _date(self, where: str, value: object) -> dt.date | None:
        if value in (None, ""):  # a list is no key of a set
            return None
        try:
            return parse_date(value)
        except UnitError as error:
            self._problem(where, f"date: {error.message}", error.hint)
            return None


def question_key(question: str) -> str:
    """Equal for questions that differ only in case, spacing or closing punctuation (not in ``3`` and ``3+``)."""
    return " ".join(question.casefold().split()).rstrip(" ?.!")


def _listed(value: object) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list) else [value]


# --- writing


def prompt_tokens(pair: Pair, template: PromptTemplate) -> float:
    """Estimated tokens of the chat for a bare question, before the answer."""
    messages = template.render(pair.question)
    return TOKENS_PER_ANSWER_START + sum(TOKENS_PER_MESSAGE + estimate_tokens(m["content"]) for m in messages)


def lines_of(pairs: Sequence[Pair]) -> bytes:
    """The pairs as ``pairs.jsonl``."""
    rows = (json.dumps(p.to_json(), ensure_ascii=False, sort_keys=True) for p in pairs)
    return "".join(row + "\n" for row in rows).encode()


def identity(pairs: Sequence[Pair], template: PromptTemplate) -> str:
    """SHA-256 of the pairs and of the wording they are rendered with."""
    wording = json.dumps(template.to_json(), sort_keys=True).encode()
    return hashlib.sha256(lines_of(pairs) + wording).hexdigest()


def pair_facts(pairs: Sequence[Pair], template: PromptTemplate) -> dict[str, float]:
    """The facts of a pairs artifact: count, mean prompt_tokens and answer_tokens, tokens, bytes, passages (0)."""
    count = max(1, len(pairs))
    prompts = sum(prompt_tokens(p, template) for p in pairs)
    answers = sum(estimate_tokens(p.answers[0]) for p in pairs)
    return {
        "count": len(pairs),
        "prompt_tokens": round(prompts / count, 1),
        "answer_tokens": round(answers / count, 1),
        "tokens": round(prompts + answers),
        "bytes": len(lines_of(pairs)),
        "passages": 0,
    }


def write_pairs(pairs: Sequence[Pair], folder: Path, template: PromptTemplate | None = None) -> dict[str, float]:
    """Write a pairs (or items) artifact into an existing folder: pairs and wording; returns its facts."""
    template = template or PromptTemplate()
    (folder / PAIRS_FILE).write_bytes(lines_of(pairs))
    template.write(folder)
    return pair_facts(pairs, template)
