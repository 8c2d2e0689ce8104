"""The page of a run: the baselines beside the plan, predicted beside measured, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from kistack.domain.records import RunRecord, StepRecord, SystemScore
from kistack.errors import InputError
from kistack.evaluation.scoring import compare
from kistack.evaluation.statistics import PairedResult, items_needed
from kistack.reporting.blocks import Block, Bullets, Code, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, is_share, metric_text, shown, with_raw
from kistack.reporting.predictions import STEP_NUMBERS, of_plan, predictions_table, raw_of

RUN_DOCUMENT_SCHEMA = 1

#: Metrics in the order a reader asks for them; others follow by name.
_ORDER = (
    "contained", "exact_match", "f1", "judged_correct", "format_valid", "rouge_1", "rouge_2", "rouge_l", "bleu",
    "chrf", "perplexity", "log_likelihood",
    "hallucination_rate", "lexical_support", "entailment", "citation_precision",
    "abstention_accuracy", "answer_rate", "abstention_recall", "abstention_precision",
    "recall@1", "recall@3", "recall@5", "precision@1", "precision@3", "precision@5",
    "ndcg@1", "ndcg@3", "ndcg@5", "mrr",
    "latency_p50", "latency_p95", "first_token_p50", "tokens_per_second", "joules_per_answer", "peak_bytes", "bytes",
)  # fmt: skip
#: More questions than anyone would label.
_TOO_MANY = 100_000


def run_page(record: RunRecord, *, versus: Mapping[str, SystemScore] | None = None, metric: str = "") -> Page:
    """A finished (or failed) run.

    Args:
        record: the run.
        versus: further systems to show beside it, such as the same questions answered by retrieval alone.
        metric: the metric by which systems are compared; the first that has items where empty.
    """
    page: list[Block] = [Heading(f"Run {record.run}", 1)]
    techniques = "+".join(dict.fromkeys(s["use"].partition("/")[0] for s in record.plan.get("steps", []))) or "nothing"
    page.append(Paragraph(f"{techniques}: {record.status}, {shown(record.seconds, 's')}"))
    if record.error:
        page.append(Paragraph(f"Error: {record.error}"))
    systems = {**record.systems, **(versus or {})}
    if systems:
        page += [Heading("Measured on held-out questions"), systems_table(systems)]
        page += comparison_blocks(record.systems, versus or {}, metric)
        page += unavailable_blocks(systems)
    if record.predicted and any(n.startswith("plan") for n in record.systems):
        page += [Heading("Predicted and measured"), predictions_table(of_plan(record))]
    if record.steps:
        page += [Heading("Steps"), steps_table(record.steps)]
        page += told_blocks(record.steps)
    if record.bundle:
        page += [Heading("Bundle"), Code(record.bundle)]
    return page


def compared_by(system: SystemScore) -> str:
    """The metric by which a system is compared where none is named: the first that a reader asks for."""
    return next((m for m in _ORDER if m in system.items), "")


def metrics_of(systems: Iterable[SystemScore]) -> list[str]:
    """Their metrics in the order in which a reader asks for them."""
    known = {m for s in systems for m in s.metrics}
    return [m for m in _ORDER if m in known] + sorted(known - set(_ORDER))


def systems_table(systems: Mapping[str, SystemScore], *, linked: bool = False) -> Table:
    """Metrics by system, with intervals; ``linked``: each number leads to where those of its system come from."""
    rows = []
    for metric in metrics_of(systems.values()):
        cells = [metric_text(metric, s.metrics[metric]) if metric in s.metrics else DASH for s in systems.values()]
        rows.append((metric, *cells))
    links = {
        (r, c): f"#system-{n}"
        for r, row in enumerate(rows)
        for c, n in enumerate(systems, 1)
        if linked and row[c] != DASH
    }
    numeric = frozenset(range(1, len(systems) + 1))
    return Table(("metric", *systems), tuple(rows), numeric, "95 % intervals in brackets", links)


def comparison_blocks(own: Mapping[str, SystemScore], versus: Mapping[str, SystemScore], metric: str) -> list[Block]:
    """How each system of the plan differs from the others on the same questions."""
    lines: list[str] = []
    links: dict[int, str] = {}
    for name, system in own.items():
        if not name.startswith("plan"):
            continue
        wanted = metric or compared_by(system)
        others = {n: s for n, s in own.items() if not n.startswith("plan")} | dict(versus)
        for other_name, other in others.items():
            try:
                result = compare(system, other, wanted)
            except InputError:
                continue
            links[len(lines)] = f"#system-{name}"
            lines.append(f"{name} against {other_name}, {wanted}: {difference_text(wanted, result)}")
    return [Heading("Differences on the same questions"), Bullets(tuple(lines), links)] if lines else []


def difference_text(metric: str, result: PairedResult) -> str:
    """A paired difference in words: points with interval, wins and losses, and whether it shows anything."""
    scale, unit = (100, " points") if is_share(metric) else (1, "")
    return (
        f"{scale * result.mean:+.1f}{unit} [{scale * result.low:+.1f}, {scale * result.high:+.1f}], "
        f"{result.wins} won, {result.losses} lost, {result.ties} equal"
        + ("" if result.shown else f": {_undecided(result)}")
    )


def _undecided(result: PairedResult) -> str:
    """That no difference is shown, and what would settle it."""
    more = items_needed(result)
    if more is None:
        return "no difference shown"
    if more > _TOO_MANY:
        return f"no difference shown, nor would {_TOO_MANY:,} more questions show one of this size"
    return f"no difference shown; about {float(f'{more:.2g}'):,.0f} more questions would show one of this size"


def unavailable_blocks(systems: Mapping[str, SystemScore]) -> list[Block]:
    """What has no number and why; one line for each reason."""
    reasons: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for name, system in systems.items():
        for metric, why in system.unavailable.items():
            names, metrics = reasons.setdefault(why, ({}, {}))
            names[name] = metrics[metric] = None
    lines = [f"{', '.join(names)}: no {', '.join(metrics)}: {why}" for why, (names, metrics) in reasons.items()]
    return [Heading("Not available"), Bullets(tuple(lines))] if lines else []


def steps_table(steps: tuple[StepRecord, ...], link: str = "") -> Table:
    """What each step was predicted to take and took; ``link`` is where the numbers were recorded."""
    rows = []
    for step in steps:
        cells = [step.use + (" (auto)" if step.auto else ""), step.status]
        for name, unit in STEP_NUMBERS.items():
            predicted, measured = step.predicted.get(name), step.measured.get(name)
            cells.append(with_raw(predicted, raw_of(step, name), unit) if predicted else DASH)
            cells.append(shown(measured, unit) if measured else DASH)
        rows.append(tuple(cells))
    columns = (
        "step",
        "status",
        "time predicted",
        "measured",
        "memory predicted",
        "measured",
        "size predicted",
        "measured",
    )
    anchors = tuple(f"step-{number}" for number in range(len(rows)))
    links = {(r, c): link for r in range(len(rows)) for c in range(2, 8) if link}
    return Table(columns, tuple(rows), frozenset(range(2, 8)), links=links, anchors=anchors)


def told_blocks(steps: tuple[StepRecord, ...]) -> list[Block]:
    """What training steps say of themselves: losses, divergences."""
    lines = []
    for step in steps:
        # What it merely passes on from an input, another step has told.
        read = {(n.partition(".")[2], v) for n, v in step.facts.items()}
        own = {n: v for n, v in step.results.items() if (n.partition(".")[2], v) not in read}
        told = {n: v for n, v in own.items() if n.partition(".")[2].startswith(("kl", "loss", "agreement"))}
        if told:
            lines.append(f"{step.use}: " + ", ".join(f"{n} {v:.4g}" for n, v in told.items()))
    return [Heading("What the steps report"), Bullets(tuple(lines))] if lines else []


def run_document(record: RunRecord) -> dict[str, Any]:
    """The run as a JSON document with stable names (per-item numbers left out)."""
    return {
        "schema": RUN_DOCUMENT_SCHEMA,
        "run": record.run,
        "status": record.status,
        "plan": dict(record.plan),
        "seconds": record.seconds,
        "systems": {name: score_document(s) for name, s in record.systems.items()},
        "predicted": dict(record.predicted),
        "raw": dict(record.raw),
        "steps": [step_document(s) for s in record.steps],
        "bundle": record.bundle,
        "environment": dict(record.environment),
        "error": record.error,
    }


def score_document(system: SystemScore) -> dict[str, Any]:
    """One system: ``{metric: {value, ci95, unit}}``; a metric without a number gives its reason."""
    document: dict[str, Any] = {
        metric: {"value": m.value, "ci95": [m.low, m.high], "unit": m.unit} for metric, m in system.metrics.items()
    }
    document.update({metric: {"value": None, "unavailable": why} for metric, why in system.unavailable.items()})
    return document


def step_document(step: StepRecord) -> dict[str, Any]:
    """One step: what was predicted and what was measured, with stable names."""
    names = ("seconds", "peak_bytes", "bytes")
    document = asdict(step)
    return {
        **{n: document[n] for n in ("use", "status", "auto", "plugin", "key", "outputs", "deterministic", "error")},
        "predicted": {n: step.predicted.get(n) for n in names},
        "raw": {n: step.raw.get(n, step.predicted.get(n)) for n in names},
        "measured": {n: step.measured.get(n) for n in names},
        "results": dict(step.results),
    }
