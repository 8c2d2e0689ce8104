"""What a probe asks: some training pairs, always the same ones, and the passages that hold their answers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kistack.domain.artifacts import PAIRS_FILE, Type
from kistack.domain.prompt import Passage, PromptTemplate
from kistack.plugins.builtins import write_jsonl
from kistack.profiling.corpus import Corpus, normalized
from kistack.profiling.documents import Document
from kistack.profiling.pairs import Pair, pair_facts
from kistack.profiling.tokens import estimate_tokens
from kistack.storage.store import Writer

#: Words of a gold passage: what open-domain question answering cuts documents into (Karpukhin et al. 2020, "Dense
#: Passage Retrieval for Open-Domain Question Answering", section 4.1).
PASSAGE_WORDS = 100


@dataclass(frozen=True)
class Questions:
    """Items to be answered: their type, whose identity is the hash of their content, and what writes them."""

    type: Type
    write: Writer


def sampled(train: Sequence[Pair], count: int) -> tuple[Pair, ...]:
    """The first ``count`` training pairs in the order of their hashes.

    Never held-out items: they decide in the end whether a plan was worth it, and advice that had looked at them would
    be measured by what it was fitted to. The same pairs every time, spread over the files, and a larger sample holds
    the smaller one. What the documents do not answer is not asked.
    """
    asked = [p for p in train if not p.unanswerable]
    return tuple(sorted(asked, key=lambda p: hashlib.sha256(f"{p.id}\n{p.question}".encode()).digest())[:count])


def bare_questions(pairs: Sequence[Pair], template: PromptTemplate) -> Questions:
    """The pairs without passages."""
    return _questions([p.to_json() for p in pairs], pair_facts(pairs, template), template, "without")


def gold_questions(pairs: Sequence[Pair], corpus: Corpus, template: PromptTemplate) -> Questions | None:
    """The pairs that name gold documents, each with a passage of every one; None where no pair does."""
    documents = {d.id: d for d in corpus.documents}
    given = {p.id: [gold_passage(p, documents[g]) for g in p.gold if g in documents] for p in pairs}
    named = [p for p in pairs if given[p.id]]
    if not named:
        return None
    facts = pair_facts(named, template)
    shown = sum(estimate_tokens(passage.text) for p in named for passage in given[p.id])
    facts["prompt_tokens"] = round(facts["prompt_tokens"] + shown / len(named), 1)
    rows = [{**p.to_json(), "passages": [asdict(passage) for passage in given[p.id]]} for p in named]
    return _questions(rows, facts, template, "with")


def gold_passage(pair: Pair, document: Document) -> Passage:
    """The piece of a gold document, at most ``PASSAGE_WORDS`` long, that an accepted answer stands in.

    Of several, or where the answer stands nowhere literally, the one with the most words of the question.
    """
    words = list(re.finditer(r"\S+", document.text))
    starts = range(0, max(1, len(words) - PASSAGE_WORDS // 2), PASSAGE_WORDS // 2)
    pieces = [words[s : s + PASSAGE_WORDS] for s in starts]
    texts = [document.text[p[0].start() : p[-1].end()] for p in pieces if p] or [""]
    asked = set(normalized(pair.question).split())

    def fit(text: str) -> tuple[bool, int]:
        return holds(text, pair.answers), len(asked & set(normalized(text).split()))

    best = max(range(len(texts)), key=lambda n: (*fit(texts[n]), -n))
    return Passage(f"{document.id}#{best}", texts[best], document.id, document.title)


def holds(text: str, answers: Sequence[str]) -> bool:
    """Whether an accepted answer stands in a text, case, spacing and punctuation apart."""
    padded = f" {normalized(text)} "
    return any(f" {wanted} " in padded for wanted in map(normalized, answers) if wanted)


def found(row: Mapping[str, Any]) -> bool:
    """Whether the passages of one answered question come from a gold document or hold an accepted answer."""
    passages = row["passages"]
    return any(p["document"] in row["gold"] for p in passages) or any(
        holds(p["text"], row["answers"]) for p in passages
    )


def _questions(
    rows: Sequence[Mapping[str, Any]], facts: Mapping[str, float], template: PromptTemplate, passages: str
) -> Questions:
    content = json.dumps(["probe", list(rows), template.to_json()], sort_keys=True)
    identity = hashlib.sha256(content.encode()).hexdigest()
    kept = {n: float(v) for n, v in facts.items() if n != "passages"}

    def write(folder: Any) -> None:
        write_jsonl(folder / PAIRS_FILE, rows)
        template.write(folder)

    return Questions(Type("items", "jsonl", {"passages": passages}, kept, identity), write)
