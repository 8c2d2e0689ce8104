"""Scores: what evaluators leave, read into the score of one system, and two systems compared item by item."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import ANSWERS_FILE, Artifact
from kistack.domain.records import Measurement, SystemScore
from kistack.errors import InputError, StoreError
from kistack.evaluation.statistics import PairedResult, mean_with_interval, paired_difference, with_failures

#: Name of the file in a scores artifact.
SCORES_FILE = "scores.json"

#: Metrics of which less is better; of every other one, more is.
LOWER_IS_BETTER = frozenset(
    {
        "perplexity", "latency_p50", "latency_p95", "first_token_p50", "query_p50", "peak_bytes", "bytes", "failed",
        "hallucination_rate", "joules_per_answer", "judge_failed",
    }
)  # fmt: skip
#: What an item that failed counts as, where 0 would be the best there is; of other metrics it is 0.
_FAILURE = {"hallucination_rate": 1.0}
#: Metrics whose numbers have no worst value: one that is missing leaves the whole metric without a number.
_UNBOUNDED = frozenset({"perplexity", "log_likelihood"})


@dataclass
class Scores:
    """The content of a scores artifact while an evaluator fills it.

    ``items``: per metric one number per item, in the order of the answers; NaN is a failed item. ``totals``: per
    metric the number of the whole system with its interval. ``unavailable``: metrics without a number, and why.
    ``failed``: ids of the items that counted as failures.
    """

    items: dict[str, list[float]] = field(default_factory=dict)
    totals: dict[str, Measurement] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def add_mean(self, metric: str, values: Sequence[float], unit: str = "") -> None:
        """A metric whose total is the mean over all items, with its bootstrap interval.

        A failed item (NaN) counts as the worst value: 0, or 1 where less is better. A metric without a worst value
        becomes unavailable.

        Raises:
            InputError: there are no items.

        """
        filled, failed = with_failures(values, _FAILURE.get(metric, 0.0))
        if failed and metric in _UNBOUNDED:
            self.unavailable[metric] = f"{failed} of {len(values)} items failed, and no number stands for a failure"
            return
        self.items[metric] = filled.tolist()
        self.add_total(metric, mean_with_interval(self.items[metric]), unit, len(values))

    def add_part(self, metric: str, values: Sequence[float], reason: str) -> None:
        """A mean over some of the items only, without numbers per item; ``reason`` says why there may be none."""
        if values:
            filled, _ = with_failures(values, _FAILURE.get(metric, 0.0))
            self.add_total(metric, mean_with_interval(filled.tolist()), "", len(values))
        else:
            self.unavailable[metric] = reason

    def add_total(self, metric: str, value: tuple[float, float, float], unit: str = "", count: int = 1) -> None:
        """A metric whose total ``(value, low, high)`` was computed elsewhere; unavailable unless it is finite."""
        if not all(math.isfinite(number) for number in value):
            self.unavailable[metric] = "it is not a finite number: items that failed decide it"
            return
        mean, low, high = map(float, value)
        self.totals[metric] = Measurement(mean, low, high, unit, count)

    def to_json(self) -> dict[str, Any]:
        """A JSON document that ``from_json`` reads back."""
        return {
            "items": self.items,
            "totals": {
                metric: {"value": m.value, "low": m.low, "high": m.high, "unit": m.unit, "count": m.count}
                for metric, m in self.totals.items()
            },
            "unavailable": self.unavailable,
            "failed": self.failed,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Scores:
        """The scores that ``to_json`` wrote; a metric with items and no total gets the mean of its items.

        Raises:
            KeyError, TypeError, ValueError: the document is not of that form.

        """
        scores = cls(
            items={
                metric: [math.nan if v is None else float(v) for v in values]
                for metric, values in document.get("items", {}).items()
            },
            totals={
                metric: Measurement(
                    value=float(total["value"]),
                    low=float(total["low"]),
                    high=float(total["high"]),
                    unit=str(total.get("unit", "")),
                    count=int(total.get("count", 1)),
                )
                for metric, total in document.get("totals", {}).items()
            },
            unavailable={metric: str(reason) for metric, reason in document.get("unavailable", {}).items()},
            failed=[str(item) for item in document.get("failed", [])],
        )
        for metric, values in scores.items.items():
            if metric not in scores.totals and metric not in scores.unavailable:
                scores.add_mean(metric, values)
        return scores

    def write(self, folder: Path) -> int:
        """Write ``scores.json`` into a scores artifact; its size in bytes."""
        text = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True) + "\n"
        return (folder / SCORES_FILE).write_bytes(text.encode())


def read_scores(folder: Path) -> Scores:
    """The scores of one artifact folder.

    Raises:
        StoreError: the file is missing or not of the form that ``Scores.write`` leaves.

    """
    path = folder / SCORES_FILE
    try:
        return Scores.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path}: the scores cannot be read ({error})", "remove the artifact and run the evaluation again"
        ) from error


def read_system(name: str, scores: Sequence[Artifact], answers: Artifact | None = None) -> SystemScore:
    """One system from the artifacts that its evaluators left, and the answers they scored.

    Items come in the order of the answers. A metric that one evaluator could not compute and another could is
    available.

    Raises:
        StoreError: an artifact cannot be read, or scores another number of items than there are answers.
        InputError: two evaluators give the same metric.

    """
    metrics: dict[str, Measurement] = {}
    items: dict[str, tuple[float, ...]] = {}
    unavailable: dict[str, str] = {}
    expected = None if answers is None else _count_answers(answers.path)
    for artifact in scores:
        found = read_scores(artifact.path)
        for metric in found.totals.keys() & metrics.keys():
            raise InputError(
                f"two evaluators give the metric {metric!r}", "name one of them under evaluate in the plan"
            )
        for metric, values in found.items.items():
            if expected is not None and len(values) != expected:
                raise StoreError(
                    f"{artifact.path}: {metric} has {len(values)} items where {expected} were answered",
                    "run the evaluation again",
                )
            filled, failed = with_failures(values, _FAILURE.get(metric, 0.0))
            if not (failed and metric in _UNBOUNDED):
                items[metric] = tuple(filled.tolist())
        metrics.update(found.totals)
        unavailable.update(found.unavailable)
    return SystemScore(
        name=name,
        metrics=metrics,
        items=items,
        answers="" if answers is None else answers.digest,
        unavailable={metric: reason for metric, reason in unavailable.items() if metric not in metrics},
    )


def compare(a: SystemScore, b: SystemScore, metric: str, *, level: float = 0.95, seed: int = 0) -> PairedResult:
    """How ``a`` differs from ``b`` in ``metric`` on the same items, by a paired bootstrap over items.

    Raises:
        InputError: either has no per-item numbers of that metric, or they answered different numbers of items.

    """
    for system in (a, b):
        if metric not in system.items:
            why = system.unavailable.get(metric, "it has no number per item")
            raise InputError(
                f"{system.name} cannot be compared by {metric!r}: {why}",
                f"compare by one of: {', '.join(sorted(a.items.keys() & b.items.keys())) or 'nothing they share'}",
            )
    return paired_difference(
        a.items[metric], b.items[metric], level=level, seed=seed, lower_is_better=metric in LOWER_IS_BETTER
    )


def _count_answers(folder: Path) -> int:
    path = folder / ANSWERS_FILE
    try:
        with path.open("rb") as lines:
            return sum(1 for line in lines if line.strip())
    except OSError as error:
        raise StoreError(f"{path}: the answers cannot be read ({error})", "run the evaluation again") from error
