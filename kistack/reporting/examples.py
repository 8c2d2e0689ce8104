"""Items that one system won and another lost, side by side with the sources each was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kistack.bundle.archive import KeptRun, Row
from kistack.bundle.differences import item_key
from kistack.domain.records import SystemScore
from kistack.evaluation.scoring import LOWER_IS_BETTER
from kistack.reporting.blocks import Block, Heading, Paragraph, Side, SideBySide

#: Shown of each kind in documents, and where a page scrolls by.
MANY, FEW = 8, 3
#: An answer with at least this share of its metric is called right.
_RIGHT = 0.5
#: Longer sources and answers are cut here.
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Example:
    """An item that two systems answered differently well; ``kind`` is ``won``, ``lost`` or ``neither``.

    ``rows`` are the answers' rows, ``scores`` the metric's numbers, by system: the first is the one judged.
    """

    kind: str
    rows: Mapping[str, Row]
    scores: Mapping[str, float]

    @property
    def question(self) -> str:
        """The question that was put."""
        return str(next(iter(self.rows.values())).get("question", ""))

    @property
    def expected(self) -> str:
        """The answer that counts; other wordings of it are left out."""
        found = next(iter(self.rows.values())).get("answers") or ("",)
        return str(found[0])


def examples_of(kept: KeptRun, metric: str, system: str, other: str) -> list[Example] | None:
    """Items on which ``system`` and ``other`` differ in ``metric``, and those on which both scored nothing.

    In the order of the items. None where either has no answers kept or no number per item.
    """
    found = {name: _scored(kept, name, metric) for name in (system, other)}
    if any(rows is None for rows in found.values()):
        return None
    one, two = (rows or {} for rows in found.values())
    return [
        Example(
            _kind(one[key][1], two[key][1], metric),
            {system: one[key][0], other: two[key][0]},
            {system: one[key][1], other: two[key][1]},
        )
        for key in one
        if key in two and (one[key][1] != two[key][1] or one[key][1] == 0)
    ]


def _kind(one: float, two: float, metric: str) -> str:
    if one == two:
        return "neither"
    return "won" if (one < two) == (metric in LOWER_IS_BETTER) else "lost"


def _scored(kept: KeptRun, system: str, metric: str) -> dict[str, tuple[Row, float]] | None:
    rows = kept.answers(system)
    score: SystemScore | None = kept.record.systems.get(system)
    if rows is None or score is None or len(score.items.get(metric, ())) != len(rows):
        return None
    return {item_key(row): (row, value) for row, value in zip(rows, score.items[metric], strict=True)}


def example_blocks(kept: KeptRun, metric: str, systems: Sequence[tuple[str, str]], most: int) -> list[Block]:
    """A part of a page for each pair of systems: counts, then up to ``most`` of each kind."""
    page: list[Block] = []
    for system, other in systems:
        found = examples_of(kept, metric, system, other)
        if found is None:
            page.append(Paragraph(f"{system} against {other}: the answers are no longer in the store."))
            continue
        counts = {kind: [e for e in found if e.kind == kind] for kind in ("won", "lost", "neither")}
        told = f"{len(counts['won'])} won, {len(counts['lost'])} lost, {len(counts['neither'])} that neither got right"
        page.append(Heading(f"{system} against {other}: {told}", 3))
        for kind, heading in (("won", "Won"), ("lost", "Lost"), ("neither", "Neither")):
            if counts[kind]:
                shown = counts[kind][:most]
                page.append(Paragraph(f"{heading} ({len(shown)} of {len(counts[kind])})"))
                page += [_side_by_side(e) for e in shown]
    return [Heading("Examples won and lost", anchor="examples"), *page] if page else []


def _side_by_side(example: Example) -> SideBySide:
    sides = tuple(
        Side(name, _cut(str(row.get("text", ""))), example.scores[name] >= _RIGHT, tuple(sources_of(row)))
        for name, row in example.rows.items()
    )
    return SideBySide(example.question, example.expected, sides)


def sources_of(row: Row) -> Iterable[str]:
    """The passages that an answer was given, each with its document."""
    for passage in row.get("passages") or ():
        yield f"{_cut(str(passage.get('text', '')))} ({passage.get('document', '')})"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def examples_document(kept: KeptRun, metric: str, system: str, other: str) -> dict[str, Any] | None:
    """All of them for programs: ``{won, lost, neither: [{id, question, expected, answers, scores, sources}]}``."""
    found = examples_of(kept, metric, system, other)
    if found is None:
        return None
    document: dict[str, Any] = {"won": [], "lost": [], "neither": []}
    for example in found:
        document[example.kind].append(
            {
                "id": item_key(next(iter(example.rows.values()))),
                "question": example.question,
                "expected": example.expected,
                "answers": {name: row.get("text", "") for name, row in example.rows.items()},
                "scores": dict(example.scores),
                "sources": {
                    name: [p.get("document", "") for p in row.get("passages") or ()]
                    for name, row in example.rows.items()
                },
            }
        )
    return document
