"""A row from a run: the numbers of the whole plan as if it had been built alone, whoever made its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kistack.bundle.totals import answering
from kistack.composition.pipeline import Pipeline
from kistack.domain.artifacts import Artifact
from kistack.domain.records import Measurement, RunRecord, SystemScore
from kistack.errors import KistackError
from kistack.storage.files import read_json
from kistack.sweeping.rows import Row, Work

SPEED_FILE = "speed.json"
_BASELINES = ("baseline", "few-shot")
#: Numbers of what serves: as they are predicted, as they are measured.
_SERVING = {
    "latency_seconds": "latency_p50",
    "tokens_per_second": "tokens_per_second",
    "serving_peak_bytes": "peak_bytes",
    "bytes": "bytes",
}


def measured_row(
    name: str, pipeline: Pipeline, record: RunRecord, artifact: Callable[[str], Artifact], metric: str
) -> Row:
    """The row of a finished run; ``artifact`` finds answers by their digest."""
    system = answering(pipeline)
    score = record.systems.get(system.name if system is not None else "baseline")
    done = works(pipeline, record)
    if score is None:
        return Row(name, "failed", record.run, "nothing was evaluated", work=done, bundle=record.bundle)
    if metric not in score.metrics:
        why = score.unavailable.get(metric) or next(iter(score.unavailable.values()), "no installed evaluator gives it")
        return Row(
            name,
            "failed",
            record.run,
            f"it has no {metric}: {why}",
            metrics=score.metrics,
            unavailable=score.unavailable,
            work=done,
            bundle=record.bundle,
        )
    return Row(
        name=name,
        status="done",
        run=record.run,
        metrics=score.metrics,
        items={**score.items, **_latencies(score, artifact)},
        measured=_whole(pipeline, record, score, metric),
        unavailable=score.unavailable,
        work=done,
        bundle=record.bundle,
    )


def systems_beside(record: RunRecord, metric: str) -> dict[str, Measurement]:
    """The deciding metric of the baselines."""
    return {n: record.systems[n].metrics[metric] for n in _BASELINES
            if n in record.systems and metric in record.systems[n].metrics}  # fmt: skip


def works(pipeline: Pipeline, record: RunRecord | None) -> tuple[Work, ...]:
    """The nodes as they ran, each with what making it took, in this run or whichever made it."""
    if record is None:
        return ()
    purposes = {n.key: n.purpose for n in pipeline.nodes}
    return tuple(
        Work(s.key, s.use, purposes.get(s.key, "step"), s.status, s.measured.get("seconds", 0.0), s.error)
        for s in record.steps
    )


def _whole(pipeline: Pipeline, record: RunRecord, score: SystemScore, metric: str) -> dict[str, float]:
    evaluating = {n.key for n in pipeline.nodes if n.purpose == "evaluation"}
    built = [s for s in record.steps if s.key not in evaluating]
    found = {
        "quality": 100 * score.metrics[metric].value,
        "seconds": sum(s.measured.get("seconds", 0.0) for s in built),
        "evaluation_seconds": sum(s.measured.get("seconds", 0.0) for s in record.steps if s.key in evaluating),
    }
    if peak := max((s.measured.get("peak_bytes", 0.0) for s in built), default=0.0):
        found["peak_bytes"] = peak
    found |= {told: score.metrics[m].value for told, m in _SERVING.items() if m in score.metrics}
    return found


def _latencies(score: SystemScore, artifact: Callable[[str], Artifact]) -> Mapping[str, tuple[float, ...]]:
    """Seconds of the answers that were timed one by one: the first few questions, the same in every combination."""
    if not score.answers:
        return {}
    try:
        document = read_json(artifact(score.answers).path / SPEED_FILE) or {}
    except KistackError:
        return {}
    values = document.get("latency_seconds")
    if not isinstance(values, list) or not values or any(not isinstance(v, int | float) for v in values):
        return {}
    return {"latency_seconds": tuple(float(v) for v in values)}
