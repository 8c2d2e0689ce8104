"""Documents, pairs, held-out items and answers about bridges that nobody has heard of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import ANSWERS_FILE, CORPUS_FILE, PAIRS_FILE, SPEED_FILE, Artifact
from kistack.domain.prompt import PromptTemplate
from kistack.plugins.builtins import write_jsonl

_COLOURS = ("red", "blue", "green", "black", "white", "grey", "brown", "pink")
_TOWNS = ("Aar", "Bex", "Cham", "Davos", "Egg")
_EACH = 8
_HELD_OUT = 8
#: As the tiny llama counts, for which nearly every letter is a token: system prompt, question and turn marks; a passage
#: more; an answer with the end of its turn.
_PROMPT_TOKENS, _PASSAGE_TOKENS, _ANSWER_TOKENS = 142, 66, 5


def facts() -> list[tuple[str, str]]:
    """(place, colour): what the documents say, 40 in all."""
    return [
        (f"{t} {n}", _COLOURS[(3 * i + n) % len(_COLOURS)]) for i, t in enumerate(_TOWNS) for n in range(1, _EACH + 1)
    ]


def sentence(place: str, colour: str) -> str:
    """What a document says."""
    return f"The bridge of {place} is painted {colour}."


def question(place: str) -> str:
    """What a pair asks."""
    return f"Which colour has the bridge of {place}?"


def tiny_corpus(folder: Path) -> Artifact:
    """Forty documents of one sentence: kind corpus, format jsonl, in the existing ``folder``."""
    rows = [
        {"id": f"{place}.md", "title": place, "text": sentence(place, colour), "date": "2026-01-01",
         "part": place.split()[0], "path": f"{place}.md"}
        for place, colour in facts()
    ]  # fmt: skip
    size = write_jsonl(folder / CORPUS_FILE, rows)
    numbers = {"count": float(len(rows)), "bytes": float(size), "tokens": 9.0 * len(rows)}
    return Artifact("corpus", "jsonl", folder, "", "tiny-corpus", {"content": "documents"}, numbers)


def tiny_pairs(folder: Path, *, passages: bool = False) -> Artifact:
    """Forty questions with their answers, and with the right passage if asked for: kind pairs, format jsonl."""
    return _asked(folder, "pairs", facts(), passages=passages)


def tiny_items(folder: Path, *, passages: bool = False) -> Artifact:
    """Eight held-out questions: kind items, format jsonl."""
    return _asked(folder, "items", facts()[:_HELD_OUT], passages=passages)


def _asked(folder: Path, kind: str, known: list[tuple[str, str]], *, passages: bool) -> Artifact:
    rows = []
    for number, (place, colour) in enumerate(known):
        row: dict[str, Any] = {
            "id": f"q{number}",
            "question": question(place),
            "answers": [colour],
            "gold": [f"{place}.md"],
            "group": place,
            "date": "2026-01-01",
        }
        if passages:
            row["passages"] = [_passage(place, colour)]
        rows.append(row)
    size = write_jsonl(folder / PAIRS_FILE, rows)
    PromptTemplate().write(folder)
    asked = _PROMPT_TOKENS + (_PASSAGE_TOKENS if passages else 0)
    numbers = {"count": len(rows), "bytes": size, "tokens": (asked + _ANSWER_TOKENS) * len(rows)}
    numbers |= {"prompt_tokens": asked, "answer_tokens": _ANSWER_TOKENS}
    facets = {"passages": "with" if passages else "without"}
    return Artifact(kind, "jsonl", folder, "", f"tiny-{kind}-{facets['passages']}", facets, _floats(numbers))


def _passage(place: str, colour: str) -> dict[str, Any]:
    return {
        "id": f"{place}.md",
        "text": sentence(place, colour),
        "document": f"{place}.md",
        "title": place,
        "score": 1.0,
    }


def tiny_answers(folder: Path) -> Artifact:
    """Answers to the held-out questions: right ones, wrong ones, an empty one and a refusal."""
    rows = []
    for number, (place, colour) in enumerate(facts()[:_HELD_OUT]):
        told = {5: "blue and yellow", 6: "", 7: "I don't know."}.get(number, f"It is {colour}.")
        rows.append(
            {
                "id": f"q{number}",
                "question": question(place),
                "answers": [colour],
                "gold": [f"{place}.md"],
                "group": place,
                "text": told,
                "passages": [_passage(place, colour)],
                "prompt_tokens": _PROMPT_TOKENS + _PASSAGE_TOKENS,
                "new_tokens": len(told.split()),
                "seconds": 0.02,
            }
        )
    size = write_jsonl(folder / ANSWERS_FILE, rows)
    speed = {
        "latency_seconds": [0.02] * len(rows),
        "first_token_seconds": [0.01] * len(rows),
        "query_seconds": [0.001] * len(rows),
        "tokens_per_second": 100.0,
        "batched_answers_per_second": 40.0,
        "batched_tokens_per_second": 160.0,
        "peak_bytes": 1e8,
        "energy_unavailable": "a test has no meter",
    }
    (folder / SPEED_FILE).write_text(json.dumps(speed, sort_keys=True), encoding="utf-8")
    numbers = {"count": float(len(rows)), "bytes": float(size)}
    return Artifact("answers", "jsonl", folder, "", "tiny-answers", {}, numbers)


def _floats(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}
