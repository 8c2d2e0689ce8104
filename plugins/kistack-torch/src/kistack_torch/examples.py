"""Pairs of a ``pairs.jsonl`` as examples to train on, worded and encoded as they will be asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kistack.domain.artifacts import PAIRS_FILE
from kistack.domain.prompt import Message, Passage, PromptTemplate
from kistack.errors import DataError
from kistack_torch.batching import Example

#: Whether passages that lie with the pairs are shown to the model: where there are any, not at all, or they must be.
PassageUse = Literal["auto", "never", "require"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its first answer, the entity it is about, and the passages retrieved for it."""

    id: str
    question: str
    answer: str
    group: str = ""
    passages: tuple[Passage, ...] = ()

    def messages(self, template: PromptTemplate, *, with_passages: bool) -> list[Message]:
        """The chat that asks it."""
        return template.render(self.question, self.passages if with_passages else ())


def read_pairs(folder: Path) -> list[Pair]:
    """The pairs of an artifact's folder, in order.

    Raises:
        DataError: no such file, a line that is no JSON object, or a pair without question or answer; with the line.
    """
    path = folder / PAIRS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read: {error}", "the folder of pairs needs a pairs.jsonl in UTF-8"
        ) from error
    return [_pair(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _pair(line: str, where: str) -> Pair:
    try:
        row: dict[str, Any] = json.loads(line)
        answers = [str(a) for a in row["answers"] if str(a).strip()]
        question = str(row["question"])
        passages = tuple(
            Passage(
                id=str(p["id"]),
                text=str(p["text"]),
                document=str(p.get("document", "")),
                title=str(p.get("title", "")),
                score=float(p.get("score", 0.0)),
            )
            for p in row.get("passages") or ()
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{where}: not a pair: {type(error).__name__}: {error}",
            'a pair is {"id": …, "question": …, "answers": [...]}',
        ) from error
    if not question.strip() or not answers:
        raise DataError(f"{where}: a pair needs a question and at least one answer", "fill them in or drop the line")
    return Pair(str(row.get("id", "")), question, answers[0], str(row.get("group") or ""), passages)


def uses_passages(pairs: Sequence[Pair], use: PassageUse) -> bool:
    """Whether the prompts show passages.

    Raises:
        DataError: they are required and some pair has none.
    """
    bare = sum(not p.passages for p in pairs)
    if use == "require" and bare:
        raise DataError(
            f"{bare} of {len(pairs)} pairs carry no passages, and the settings require them",
            "put a retriever before this step, or set passages: auto",
        )
    return use != "never" and bare < len(pairs)


def encode_pairs(
    pairs: Sequence[Pair],
    encode: Callable[[Sequence[Message], str], tuple[list[int], int]],
    *,
    with_passages: bool,
    max_length: int,
    template: PromptTemplate | None = None,
) -> tuple[list[Example], int]:
    """The pairs as examples, and how many were left out because they are longer than ``max_length`` tokens.

    Nothing is cut: a prompt without its end, or an answer without its beginning, teaches something else.
    ``encode`` turns messages and answer into token ids and the length of the prompt.

    Raises:
        DataError: more than half of the pairs are too long.
    """
    wording = template or PromptTemplate()
    examples: list[Example] = []
    for pair in pairs:
        ids, prompt = encode(pair.messages(wording, with_passages=with_passages), pair.answer)
        if len(ids) <= max_length:
            examples.append(Example(tuple(ids), prompt, pair.id, pair.group))
    left_out = len(pairs) - len(examples)
    if left_out > len(pairs) / 2:
        raise DataError(
            f"{left_out} of {len(pairs)} pairs are longer than max_length = {max_length} tokens",
            "raise max_length, or retrieve fewer or shorter passages",
        )
    return examples, left_out


def hold_out(
    pairs: Sequence[Pair], share: float, seed: int, *, least: int = 8, most: int = 48
) -> tuple[list[int], list[int]]:
    """Indices of pairs to learn from, and of pairs to judge by; no entity (``group``) is on both sides.

    Groups are taken in an order that depends on their names and the seed only, until ``share`` of the pairs (at least
    ``least``, at most ``most``) are held out. Pairs without a group are entities of their own. Where one group holds
    nearly everything, single pairs are taken, since something must be left to learn from.
    """
    wanted = min(most, max(least, round(share * len(pairs))), len(pairs) // 2)
    groups: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs):
        groups.setdefault(f"group/{pair.group}" if pair.group else f"pair/{index}/{pair.id}", []).append(index)
    held: set[int] = set()
    for name in sorted(groups, key=lambda g: _rank(g, seed)):
        if len(held) >= wanted:
            break
        if len(held) + len(groups[name]) <= 2 * wanted:
            held.update(groups[name])
    if not held:
        held.update(sorted(range(len(pairs)), key=lambda i: _rank(f"{i}/{pairs[i].id}", seed))[:wanted])
    return [i for i in range(len(pairs)) if i not in held], sorted(held)


def _rank(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
