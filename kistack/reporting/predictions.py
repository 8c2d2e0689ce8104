"""Every number of a run that was both predicted and measured: of the plan as a whole, and step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kistack.domain.records import RunRecord, StepRecord
from kistack.reporting.blocks import Table
from kistack.reporting.numbers import DASH, ratio, shown, with_raw

#: Predicted cost to the metric that measures it.
_MEASURED_BY = {
    "latency_seconds": ("latency_p50", "s"),
    "tokens_per_second": ("tokens_per_second", "1/s"),
    "serving_peak_bytes": ("peak_bytes", "B"),
    "bytes": ("bytes", "B"),
}
#: Numbers of a step.
STEP_NUMBERS = {"seconds": "s", "peak_bytes": "B", "bytes": "B"}


@dataclass(frozen=True, slots=True)
class Foretold:
    """A number that was predicted as ``predicted``, before calibration as ``raw``, and came out as ``measured``.

    ``of`` is what it belongs to: ``plan``, or a step's number from 0.
    """

    name: str
    unit: str
    predicted: float
    raw: float
    measured: float
    of: int | None = None


def of_plan(record: RunRecord) -> list[Foretold]:
    """The numbers of the plan as a whole."""
    plan = next((s for n, s in record.systems.items() if n.startswith("plan")), None)
    found = []
    for cost, (metric, unit) in _MEASURED_BY.items():
        if plan is not None and cost in record.predicted and metric in plan.metrics:
            predicted = record.predicted[cost]
            found.append(Foretold(metric, unit, predicted, record.raw.get(cost, predicted), plan.metrics[metric].value))
    if "quality" in record.predicted and "quality" in record.measured:
        predicted = record.predicted["quality"]
        measured = record.measured["quality"]
        found.append(Foretold("points", "", predicted, record.raw.get("quality", predicted), measured))
    found += _summed(record.steps, "time to build", builds)
    found += _summed(record.steps, "time to evaluate", lambda s: not builds(s))
    found += _highest(record)
    return found


def _summed(steps: tuple[StepRecord, ...], name: str, wanted: Any) -> Iterator[Foretold]:
    done = [s for s in steps if "seconds" in s.measured and wanted(s)]
    if done:
        measured = sum(s.measured["seconds"] for s in done)
        predicted = sum(s.predicted.get("seconds", 0.0) for s in done)
        yield Foretold(name, "s", predicted, sum(raw_of(s, "seconds") for s in done), measured)


def _highest(record: RunRecord) -> Iterator[Foretold]:
    measured = max((s.measured.get("peak_bytes", 0.0) for s in record.steps if builds(s)), default=0.0)
    predicted = record.predicted.get("peak_bytes", 0.0)
    if measured and predicted:
        yield Foretold("memory to build", "B", predicted, record.raw.get("peak_bytes", predicted), measured)


def of_steps(steps: tuple[StepRecord, ...]) -> list[Foretold]:
    """The numbers of each step, where both are known."""
    return [
        Foretold(f"{step.use}: {name}", unit, step.predicted[name], raw_of(step, name), step.measured[name], number)
        for number, step in enumerate(steps)
        for name, unit in STEP_NUMBERS.items()
        if step.predicted.get(name) and step.measured.get(name)
    ]


def builds(step: StepRecord) -> bool:
    """Whether a step belongs to what is built, not to its evaluation."""
    return step.use.partition("/")[0] not in {"answer", "evaluate"}


def raw_of(step: StepRecord, name: str) -> float:
    """A number of a step as it was before calibration."""
    return step.raw.get(name, step.predicted.get(name, 0.0))


def predictions_table(found: list[Foretold], link: str = "") -> Table:
    """Predicted beside measured; ``link`` is where the numbers of the plan come from, steps have their own."""
    rows, links = [], {}
    for number, f in enumerate(found):
        told = with_raw(f.predicted, f.raw, f.unit) if f.predicted else DASH
        rows.append((f.name, told, shown(f.measured, f.unit), ratio(f.measured, f.predicted)))
        target = f"#step-{f.of}" if f.of is not None else link
        links.update({(number, column): target for column in (1, 2) if target})
    columns = ("number", "predicted", "measured", "measured/predicted")
    caption = "raw: before calibration by earlier runs"
    return Table(columns, tuple(rows), frozenset({1, 2, 3}), caption, links)


def predictions_document(record: RunRecord) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"number": f.name, "unit": f.unit, "predicted": f.predicted, "raw": f.raw, "measured": f.measured}
        for f in (*of_plan(record), *of_steps(record.steps))
    ]
