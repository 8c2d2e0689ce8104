"""The parts of the corpus one by one: how large each is, what may be done with it, which pairs are about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kistack.domain.facts import Fact, assumed, declared, measured
from kistack.domain.scenario import CorpusPart
from kistack.profiling.corpus import Corpus, part_names, safe_name
from kistack.profiling.documents import Document
from kistack.profiling.pairs import Pair
from kistack.profiling.tokens import estimate_total
from kistack.profiling.turnover import Place, place_of


def part_sizes(corpus: Corpus, names: Sequence[str]) -> dict[str, Fact]:
    """``corpus.parts`` and, of several parts, ``part.NAME.documents``, ``.tokens`` and ``.bytes``."""
    facts = {"corpus.parts": measured(", ".join(names), "the parts that a step may select, in the scenario's order")}
    if len(names) > 1:
        for name in names:
            facts |= _sizes(name, [d for d in corpus.documents if d.part == name])
    return facts


def folder_sizes(corpus: Corpus, folders: Iterable[Place]) -> dict[str, Fact]:
    """The same of folders within parts, named ``PART/FOLDER``; of one part alone documents need not name it."""
    held: dict[Place, list[Document]] = {place: [] for place in folders}
    parts = {part for part, _ in held}
    for document in corpus.documents:
        part, folder = place_of(document)
        for place in ((part, folder), *((p, folder) for p in parts if not part)):
            if place in held:
                held[place].append(document)
    return {n: f for place, documents in held.items() for n, f in _sizes("/".join(place), documents).items()}


def _sizes(name: str, documents: Sequence[Document]) -> dict[str, Fact]:
    prefix = f"part.{safe_name(name)}"
    texts = [d.text for d in documents]
    return {
        f"{prefix}.documents": measured(len(documents), f"documents of {name}"),
        f"{prefix}.tokens": measured(round(estimate_total(texts)), "estimated from words, digits and punctuation"),
        f"{prefix}.bytes": measured(sum(len(t.encode()) for t in texts), f"the texts of {name}", "B"),
    }


def part_marks(parts: Sequence[CorpusPart]) -> dict[str, Fact]:
    """``part.NAME.erasable`` and ``.per_user_access`` of several parts, as the scenario says."""
    facts: dict[str, Fact] = {}
    if len(parts) > 1:
        for name, part in zip(part_names(parts), parts, strict=True):
            for mark in ("erasable", "per_user_access"):
                stated = mark in part.model_fields_set
                value = bool(getattr(part, mark))
                facts[f"part.{name}.{mark}"] = (
                    declared(value, f"stated of {name} in the scenario")
                    if stated
                    else assumed(value, f"the scenario does not say so of {name}")
                )
    return facts


def pairs_by_part(train: Sequence[Pair], corpus: Corpus, names: Sequence[str]) -> dict[str, Fact]:
    """``part.NAME.train_pairs`` of several parts: training pairs whose gold documents all lie in that part."""
    if len(names) <= 1:
        return {}
    where: Mapping[str, str] = {d.id: d.part for d in corpus.documents}
    counts = dict.fromkeys(names, 0)
    for pair in train:
        parts = {where.get(gold) for gold in pair.gold}
        if len(parts) == 1 and (part := parts.pop()) in counts:
            counts[str(part)] += 1
    why = "training pairs whose gold documents all lie in"
    return {f"part.{n}.train_pairs": measured(count, f"{why} {n}") for n, count in counts.items()}
