"""``evaluate/speed``: how fast the answers came and what memory they took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.stages import Context, Port, Settings, Stage, Traits
from kistack_metrics.common import SCORES, estimate_scoring
from kistack_metrics.reading import read_speed

#: Metrics that are quantiles of a list in ``speed.json``: metric to (list, quantile).
_QUANTILES = {
    "latency_p50": ("latency_seconds", 0.5),
    "latency_p95": ("latency_seconds", 0.95),
    "first_token_p50": ("first_token_seconds", 0.5),
    "query_p50": ("query_seconds", 0.5),
}
#: Metrics that were measured once: metric to unit.
_SINGLES = {"tokens_per_second": "1/s", "joules_per_answer": "J", "peak_bytes": "B"}


class EvaluateSpeed(Stage):
    """Latency p50 and p95, time to the first token, search time, tokens per second, energy and peak memory."""

    name = "evaluate/speed"
    summary = "latency p50 and p95, time to first token, tokens per second, energy, peak memory"
    libraries = ("numpy",)

    def traits(self, settings: Settings) -> Traits:
        """Timings of this machine: never reused on another."""
        return Traits(
            consumes={"answers": Port(kind="answers", where={"format": "jsonl"}, hint="answer the held-out questions")},
            produces={"scores": SCORES},
            metrics=(*_QUANTILES, *_SINGLES),
            timed=True,
        )

    def estimate(self, settings: Settings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Reading one small file. Measured: 0.3 s and 70 MB for the worker."""
        return estimate_scoring(inputs["answers"], 0, 0.0, 0.1, 48e6)

    def run(self, settings: Settings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Summarise ``speed.json``."""
        from kistack.evaluation.scoring import Scores
        from kistack.evaluation.statistics import quantile_interval

        speed = read_speed(ctx.input("answers").path)
        scores = Scores()
        for metric, (source, quantile) in _QUANTILES.items():
            times = _seconds(speed.get(source))
            if any(times):
                scores.add_total(metric, quantile_interval(times, quantile), "s", len(times))
            else:
                scores.unavailable[metric] = "it was not timed"
        for metric, unit in _SINGLES.items():
            value = speed.get(metric)
            if isinstance(value, int | float) and value > 0:
                scores.add_total(metric, (float(value),) * 3, unit)
            else:
                why = speed.get("energy_unavailable") if metric == "joules_per_answer" else None
                scores.unavailable[metric] = str(why or "it was not measured")
        return {
            "scores": {"bytes": scores.write(ctx.out("scores")), "count": len(_seconds(speed.get("latency_seconds")))}
        }


def _seconds(values: Any) -> Sequence[float]:
    """The times of a list; one that is missing is a NaN, which counts as never answered."""
    return [math.nan if v is None else float(v) for v in values] if isinstance(values, list) else []
