"""A plan as a whole: what was predicted of it, and what a run itself measured of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kistack.advisor.features import features_of
from kistack.advisor.quality import predict
from kistack.composition.pipeline import Pipeline, System
from kistack.domain.calibration import Calibration, points_kind
from kistack.domain.facts import Profile, assumed
from kistack.domain.records import StepRecord, SystemScore

#: Numbers of what serves, to the metric that measures them.
_SERVING = {
    "latency_seconds": "latency_p50",
    "tokens_per_second": "tokens_per_second",
    "serving_peak_bytes": "peak_bytes",
}


class Foretold(NamedTuple):
    """Costs and points of a plan as the user is told them, and as they were before calibration."""

    predicted: dict[str, float]
    raw: dict[str, float]


def foretold(pipeline: Pipeline, profile: Profile, calibration: Calibration) -> Foretold:
    """What is predicted of a plan; ``quality`` are the points of its held-out questions right after it was built."""
    predicted = dict(pipeline.estimate.costs)
    raw = {name: pipeline.estimate.raw.get(name, value) for name, value in predicted.items()}
    if pipeline.plan.steps:
        raw["quality"] = predict(features_of(_unchanged(profile), pipeline)).points
        moved = calibration.of(points_kind(profile), "+".join(pipeline.plan.techniques)).offset
        predicted["quality"] = min(100.0, max(0.0, raw["quality"] + moved))
    return Foretold(predicted, raw)


def _unchanged(profile: Profile) -> Profile:
    """The profile on the day of the run: what is measured then has had no time to become stale."""
    changing = [n for n in profile if n.endswith(".changed_per_day")]
    return profile.updated(dict.fromkeys(changing, assumed(0.0, "measured right after it was built", "share")))


def answering(pipeline: Pipeline) -> System | None:
    """The first system that the plan delivers; None where it delivers the base model as it is."""
    return next((s for name, s in pipeline.systems.items() if name.startswith("plan")), None)


def observed(
    pipeline: Pipeline, steps: Sequence[StepRecord], scores: Mapping[str, SystemScore], profile: Profile
) -> dict[str, float]:
    """What this run measured of its plan, by the names of what is predicted.

    Nothing where the answers were there already, for then another run measured them; times and memory only where it
    serves on the machine it was predicted for.
    """
    system = answering(pipeline)
    if system is None or system.answers is None or system.name not in scores:
        return {}
    made = next((s for s in steps if s.key == system.answers.node), None)
    if made is None or made.status != "done" or made.measured.get("resumed"):
        return {}
    metrics = scores[system.name].metrics
    found: dict[str, float] = {}
    if profile.text("serving.fingerprint") == profile.text("hardware.fingerprint"):
        found = {name: metrics[metric].value for name, metric in _SERVING.items() if metric in metrics}
    points = metrics.get(profile.text("scenario.metric", "contained"))
    if points is not None:
        found["quality"] = 100 * points.value
    return found
