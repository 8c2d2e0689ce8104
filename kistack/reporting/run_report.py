"""The full report of a run, from what was measured to where every number comes from."""

from __future__ import annotations

from typing import Any

from kistack.reporting.blocks import Block, Bullets, Code, Heading, Page, Paragraph
from kistack.reporting.effects import effects_blocks
from kistack.reporting.evidence import Evidence
from kistack.reporting.examples import FEW, MANY, example_blocks, examples_document
from kistack.reporting.figures import (
    loss_figures,
    metric_figures,
    prediction_figures,
    quality_figures,
    timeline_figures,
)
from kistack.reporting.freshness import freshness_blocks, freshness_document
from kistack.reporting.numbers import shown
from kistack.reporting.predictions import predictions_document
from kistack.reporting.provenance import Places, provenance_blocks
from kistack.reporting.runs import comparison_blocks, run_document, steps_table, told_blocks, unavailable_blocks


def full_page(evidence: Evidence, places: Places | None = None, *, documents: bool = False) -> Page:
    """A run from beginning to end.

    Args:
        evidence: what is known of it.
        places: how the document refers to files.
        documents: with record and manifest in full, and more examples: for a document that folds.

    Raises:
        InputError: the sweep's document is not of its form.
    """
    kept = evidence.kept
    record = kept.record
    where = places or Places()
    page: list[Block] = [
        Heading(f"Run {record.run}", 1),
        Paragraph(f"{record.techniques}: {record.status}, {shown(record.seconds, 's')}"),
    ]
    if record.error:
        page.append(Paragraph(f"Error: {record.error}"))
    if record.systems:
        page += metric_figures(record.systems)
        page += comparison_blocks(record.systems, {}, evidence.metric)
        page += unavailable_blocks(record.systems)
        page += quality_figures(evidence)
    if evidence.sweep is not None:
        page += effects_blocks(evidence.sweep)
    page += prediction_figures(record)
    page += loss_figures(evidence)
    if evidence.profile is not None:
        page += freshness_blocks(evidence.profile, evidence.index_seconds)
    page += example_blocks(kept, evidence.metric, evidence.rivals, MANY if documents else FEW)
    if record.steps:
        page += timeline_figures(evidence, steps_table(record.steps, where.link(kept.record_path)))
        page += told_blocks(record.steps)
    if record.bundle:
        page += [Heading("Bundle"), Code(record.bundle)]
    if evidence.notes:
        page += [Heading("Notes"), Bullets(evidence.notes)]
    return [*page, *provenance_blocks(kept, where, documents=documents)]


def full_document(evidence: Evidence) -> dict[str, Any]:
    """The same for programs: the run's document with what stands around it."""
    kept = evidence.kept
    document = run_document(kept.record)
    examples = {
        f"{plan} against {other}": examples_document(kept, evidence.metric, plan, other)
        for plan, other in evidence.rivals
    }
    document |= {
        "metric": evidence.metric,
        "predictions": predictions_document(kept.record),
        "losses": _losses(evidence),
        "examples": examples,
        "freshness": None if evidence.profile is None else freshness_document(evidence.profile, evidence.index_seconds),
        "candidates": _candidates(evidence),
        "sweep": evidence.sweep,
        "files": {"record": _text(kept.record_path), "manifest": _text(kept.manifest_path)},
        "notes": list(evidence.notes),
    }
    return document


def _losses(evidence: Evidence) -> dict[str, list[list[float]]]:
    """Per step (its use): [share of the work done, loss]."""
    found: dict[str, list[list[float]]] = {}
    for step in evidence.kept.record.steps:
        points = [
            [e.done / e.total, e.numbers["loss"]]
            for e in evidence.kept.progress_of(step.key)
            if e.total and e.numbers.get("loss") is not None
        ]
        if points:
            found[step.use] = points
    return found


def _candidates(evidence: Evidence) -> list[dict[str, Any]]:
    """What the advice expects of the combinations within the limits, with the front's members marked."""
    advice = evidence.advice
    if advice is None:
        return []
    return [
        {
            "name": c.name,
            "points": {"value": c.quality, "low": c.low, "high": c.high},
            "costs": dict(c.estimate.costs),
            "front": number in advice.front,
        }
        for number, c in enumerate(advice.candidates)
        if c.kept
    ]


def _text(path: object) -> str | None:
    return None if path is None else str(path)
