"""None of this: when no combination of the techniques is the answer, why, and what to do instead.

What a condition over the profile can say is a rule of the policies; here is what depends on the candidates, and what
to do instead of each.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from kistack.advisor.choice import Judged
from kistack.advisor.features import Features, features_of
from kistack.advisor.judging import Bench
from kistack.units import format_count

#: What to do where one of these rules holds.
_INSTEAD = {
    "a-lookup-would-do": "index the documents by the words of the questions, or keep a table; measure that first",
    "corpus-fits-the-prompt": "put the whole corpus into a cached prompt and measure it beside the recommended plan",
    "base-knows-it-already": "run the model as it is, and retrieve only where it is unsure",
}
#: A base model up to so many times as large is thought of, in steps of this factor.
_LARGEST, _STEP = 1000.0, 1.25


@dataclass(frozen=True, slots=True)
class Alternative:
    """Something other than the techniques: the reason, what to do, and who says so."""

    id: str
    because: str
    instead: str
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable names."""
        return {**asdict(self), "sources": list(self.sources)}


def alternatives(bench: Bench) -> tuple[Alternative, ...]:
    """What may serve better than any candidate under the bench's facts."""
    judgement = bench.judgement
    found = [Alternative(r.id, r.because, _INSTEAD[r.id], r.sources) for r in judgement.held if r.id in _INSTEAD]
    if not any(a.id == "base-knows-it-already" for a in found):
        found += _bare_model_is_near(bench)
    return (*found, *_out_of_reach(bench))


def _bare_model_is_near(bench: Bench) -> list[Alternative]:
    """The bare model is within the margin of the best that can be had."""
    judgement = bench.judgement
    kept = judgement.kept
    bare = next((j for j in kept if not j.candidate.plan.steps), None)
    if bare is None:
        return []
    best = max(kept, key=lambda j: j.candidate.quality)
    if best.candidate.quality - bare.candidate.quality > judgement.margin:
        return []
    because = (
        f"the bare model is expected to reach {bare.candidate.quality:.0f} points and the best combination "
        f"{best.candidate.quality:.0f}: {judgement.margin:g} points do not matter here"
    )
    return [Alternative("bare-model-is-enough", because, "run the model as it is, with a good prompt")]


def _out_of_reach(bench: Bench) -> list[Alternative]:
    """No candidate, limits aside, is expected to reach what the task asks for."""
    asked = 100 * bench.profile.number("scenario.at_least", bench.scenario.task.at_least or 0.0)
    known = [j for j in bench.judgement.order if j.prediction is not None]
    if not known or not asked:
        return []
    best = max(known, key=lambda j: j.candidate.quality)
    if best.candidate.quality >= asked:
        return []
    because = (
        f"the best combination, {best.candidate.name}, is expected to reach {best.candidate.quality:.0f} of the "
        f"{asked:.0f} points asked for, limits aside: none of the four techniques closes that gap"
    )
    enough = _base_that_reaches(bench, best, asked)
    larger = (
        f"a base model of about {format_count(enough, 2)} parameters would reach it in the same plan by the quality "
        "model"
        if enough
        else f"no base model up to {_LARGEST:.0f} times as large would by the quality model: better pairs, better "
        "documents or an easier task must"
    )
    return [
        Alternative(
            "gap-needs-another-model",
            because,
            f"{larger}; full fine-tuning changes more than an adapter does, given many more pairs",
            ("Biderman et al. 2024, LoRA Learns Less and Forgets Less, arXiv:2405.09673",),
        )
    ]


def _base_that_reaches(bench: Bench, best: Judged, asked: float) -> float | None:
    """Parameters of the smallest larger base with which this plan is expected to reach ``asked`` points."""
    features = _features(bench, best)
    assert best.prediction is not None
    beside = best.candidate.quality - best.prediction.points
    times = _STEP
    while times <= _LARGEST:
        size = features.params * times
        if bench.prediction(replace(features, params=size)).points + beside >= asked:
            return size
        times *= _STEP
    return None


def _features(bench: Bench, judged: Judged) -> Features:
    options, _ = bench.compositions.options(bench.profile)
    found = bench.compositions.one(options[judged.number], bench.profile)
    assert found.pipeline is not None
    return features_of(bench.profile, found.pipeline)
