"""The page of a composed plan: what would run, what is done already, what it is expected to cost."""

from __future__ import annotations

from collections.abc import Collection

from kistack.composition.pipeline import Node, Pipeline
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, shown


def check_page(pipeline: Pipeline, cached: Collection[str] = ()) -> Page:
    """Every node with its settings and prediction; ``cached`` are the keys that need not run."""
    page: list[Block] = [Heading("Plan", 1)]
    techniques = "+".join(pipeline.plan.techniques) or "nothing"
    e = pipeline.estimate
    page.append(
        Paragraph(
            f"{techniques}: composes. {shown(e.cost('seconds'), 's')} to build, "
            f"{shown(e.cost('peak_bytes'), 'B')} of memory, {shown(e.cost('bytes'), 'B')} to ship, "
            f"{shown(e.cost('evaluation_seconds'), 's')} to evaluate."
        )
    )
    rows = tuple(_row(node, node.key in cached) for node in pipeline.nodes)
    columns = ("use", "settings", "time", "memory", "state", "key")
    page.append(Table(columns, rows, frozenset({2, 3})))
    if pipeline.notes:
        page += [Heading("Notes"), Bullets(pipeline.notes)]
    unavailable = [f"{n}: {m}: {why}" for n, s in pipeline.systems.items() for m, why in s.unavailable.items()]
    if unavailable:
        page += [Heading("Not available"), Bullets(tuple(unavailable))]
    return page


def _row(node: Node, done: bool) -> tuple[str, ...]:
    settings = node.settings.model_dump(mode="json", exclude_defaults=True)
    told = ", ".join(f"{n}={v}" for n, v in settings.items()) or DASH
    name = node.label + (" (auto)" if node.auto else "")
    costs = node.estimate
    return (
        name,
        told,
        shown(costs.cost("seconds"), "s"),
        shown(costs.cost("peak_bytes"), "B"),
        "done already" if done else "to run",
        node.key[:12],
    )
