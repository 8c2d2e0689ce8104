"""The demo's questions with their answers, split by product and by wording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date as Date  # noqa: N812 - the class is used as a type here, `date` names values
from typing import Any

from kistack.demo.releases import LATEST, ReleaseFact, facts_as_of
from kistack.demo.wordings import TEST_QUESTIONS, TRAIN_QUESTIONS, Split, choose, draw

#: How many pairs a project gets unless told otherwise.
TRAIN_PAIRS = 240
TEST_PAIRS = 150

#: Asked at the end of the demo, about products that no training pair mentions.
REAL_QUESTIONS = (
    "Until when can we stay on Python 3.12?",
    "We run Kubernetes 1.32: which version is the latest?",
    "What is the newest Ubuntu series?",
)

_HELD_OUT_PERCENT = 35


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its accepted answers (the first is the one to learn), and the document that holds it."""

    id: str
    question: str
    answers: tuple[str, ...]
    gold: tuple[str, ...]
    group: str
    split: Split
    date: str

    def to_json(self) -> dict[str, Any]:
        """The record as it stands in the pairs' file."""
        return asdict(self)


def split_of(product: str) -> Split:
    """The side on which all questions about a product stand, whatever the date."""
    return "test" if draw(f"side of {product}") % 100 < _HELD_OUT_PERCENT else "train"


def pairs_as_of(date: str = LATEST, train: int = TRAIN_PAIRS, test: int = TEST_PAIRS) -> tuple[Pair, ...]:
    """At most ``train`` and ``test`` pairs with the answers that held at ``date`` (ISO).

    Every product of a side gets its first question before any gets its second. The order within a side is mixed, so
    that any beginning of the list is a fair sample.

    Raises:
        DataError: it is not a date, or lies before the first of the table.

    """
    facts = [fact for fact in facts_as_of(date) if _is_askable(fact)]
    pairs: list[Pair] = []
    sides: tuple[tuple[Split, int], ...] = (("train", train), ("test", test))
    for split, limit in sides:
        chosen = _take_turns([f for f in facts if split_of(f.product) == split])[:limit]
        made = [_ask(fact, split) for fact in chosen]
        pairs += sorted(made, key=lambda pair: draw(pair.id))
    return tuple(pairs)


def accepted_answers(fact: ReleaseFact) -> tuple[str, ...]:
    """The value, and for a date the same day in words."""
    if fact.kind != "end_of_life":
        return (fact.value,)
    day = Date.fromisoformat(fact.value)
    month = day.strftime("%B")
    return (fact.value, f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}")


def _is_askable(fact: ReleaseFact) -> bool:
    """Whether its answer does not already stand in the question, as with version 24.04 of cycle 24.04."""
    return fact.value not in re.findall(r"[\w.]*\w", f"{fact.title} {fact.cycle}")


def _take_turns(facts: Sequence[ReleaseFact]) -> list[ReleaseFact]:
    """One fact of each product, then a second of each, and so on; a product's newest cycle comes first."""
    queues: dict[str, list[ReleaseFact]] = {}
    for fact in sorted(facts, key=lambda f: (f.kind != "newest_cycle", draw(f.id))):
        queues.setdefault(fact.product, []).append(fact)
    ranked = [(turn, draw(product), fact) for product, queue in queues.items() for turn, fact in enumerate(queue)]
    return [fact for *_, fact in sorted(ranked, key=lambda item: item[:2])]


def _ask(fact: ReleaseFact, split: Split) -> Pair:
    wordings = (TRAIN_QUESTIONS if split == "train" else TEST_QUESTIONS)[fact.kind]
    return Pair(
        id=f"{split}/{fact.id}",
        question=choose(wordings, f"question about {fact.id}").format(title=fact.title, cycle=fact.cycle),
        answers=accepted_answers(fact),
        gold=(fact.id,),
        group=fact.product,
        split=split,
        date=fact.since,
    )
