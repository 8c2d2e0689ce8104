"""The page of the advisor held against published comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, percent, significant


def comparisons_page(document: Mapping[str, Any]) -> Page:
    """Scores first, then blanket habits, what the advice rests on, and every comparison."""
    rows = document["rows"]
    page: list[Block] = [
        Heading("Advice against published comparisons", 1),
        Paragraph(
            f"{len(rows)} comparisons: the first choice is one that may be put first in "
            f"{percent(document['agreement'])}, "
            f"{percent(document['lopo_agreement'])} with the comparison's own paper left out of the advisor; "
            f"{document['avoid_violations']} times it is one that must not be. Mean normalised regret "
            f"{significant(document['regret'], 3)}."
        ),
        Heading("Blanket habits, where they are offered"),
        _habits(document["habits"]),
        Heading("Agreement with one fact unknown"),
        Table(("fact", "agreement"), tuple((n, percent(v)) for n, v in document["ablation"].items()), frozenset({1})),
        Heading("Comparisons"),
        Table(
            ("comparison", "first choice", "may be first", "regret", "without its paper"),
            tuple(_row(r) for r in rows),
            frozenset({3}),
        ),
    ]
    if document["unscorable"]:
        page += [
            Heading("Not scored"),
            Bullets(tuple(f"{name}: it says that it decides nothing" for name in document["unscorable"])),
        ]
    return page


def _habits(habits: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = tuple(
        (
            name,
            str(h["offered"]),
            str(h["agree"]),
            str(h["avoid_violations"]),
            DASH if h["regret"] is None else significant(h["regret"], 3),
            DASH if h["advisor_regret"] is None else significant(h["advisor_regret"], 3),
        )
        for name, h in habits.items()
    )
    columns = ("habit", "offered", "agrees", "must not be", "its regret", "the advisor's there")
    return Table(columns, rows, frozenset({1, 2, 3, 4, 5}))


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    chosen = row["chosen"] or f"none ({row['failed']})"
    mark = "" if row["agrees"] else " (must not be)" if row["violates"] else " (not among them)"
    other = "the same" if row["lopo_chosen"] == row["chosen"] else str(row["lopo_chosen"])
    return row["id"], chosen + mark, ", ".join(row["recommend"]), significant(row["regret"], 2), other
