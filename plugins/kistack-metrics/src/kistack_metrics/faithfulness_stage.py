"""``evaluate/faithfulness``: whether answers say what the retrieved passages say, by their words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.stages import Context, Port, Settings, Stage, Traits
from kistack_metrics.common import SCORES, estimate_scoring
from kistack_metrics.reading import Answer, read_answers

if TYPE_CHECKING:
    from kistack.evaluation.scoring import Scores

_NOTHING_RETRIEVED = "nothing was retrieved: the system answers without passages"


class FaithfulnessScoring(Settings):
    """When an answer counts as supported."""

    threshold: float = Field(
        default=0.75, gt=0, le=1, description="least lexical support of an answer that is no hallucination"
    )


class EvaluateFaithfulness(Stage):
    """Lexical support by the passages, hallucination rate, and citation precision."""

    name = "evaluate/faithfulness"
    summary = "lexical support of the answers by their passages, hallucination rate, citation precision"
    libraries = ("numpy",)
    Settings = FaithfulnessScoring

    def traits(self, settings: FaithfulnessScoring) -> Traits:
        """Reads answers and the passages that travel with them: no model is opened."""
        return Traits(
            consumes={"answers": Port(kind="answers", where={"format": "jsonl"}, hint="answer the held-out questions")},
            produces={"scores": SCORES},
            metrics=("hallucination_rate", "lexical_support", "citation_precision"),
        )

    def estimate(self, settings: FaithfulnessScoring, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Reading answers and passages token by token."""
        return estimate_scoring(inputs["answers"], 2, 2e-3, 0.1, 55e6)

    def run(self, settings: FaithfulnessScoring, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Score every answer and write ``scores.json``."""
        from kistack.evaluation.scoring import Scores

        answers = read_answers(ctx.input("answers").path)
        scores = Scores(failed=[a.id for a in answers if a.text is None])
        retrieves = any(a.passages for a in answers)
        supports = [_support(a) for a in answers]
        scores.add_mean(
            "hallucination_rate",
            [_hallucinates(a, s, settings.threshold) for a, s in zip(answers, supports, strict=True)],
        )
        # An answer that abstains claims nothing, so there is nothing to support.
        claimed = [s for s in supports if s is not None]
        reason = "no answer claims anything" if retrieves else _NOTHING_RETRIEVED
        scores.add_part("lexical_support", claimed if retrieves else [], reason)
        if retrieves and len(claimed) == len(answers):
            scores.items["lexical_support"] = [0.0 if math.isnan(s) else s for s in claimed]
        _add_citations(scores, answers, retrieves=retrieves)
        ctx.progress(len(answers), len(answers), "answers")
        return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": len(answers)}}


def _support(answer: Answer) -> float | None:
    """Lexical support of an answer by its passages; NaN where it failed, None where it claims nothing."""
    from kistack_metrics.abstention import abstains
    from kistack_metrics.support import lexical_support

    if answer.text is None:
        return math.nan
    if abstains(answer.text, answer.accepted, wordings=answer.wordings):
        return None
    return lexical_support(answer.text, answer.passages, answer.question)


def _hallucinates(answer: Answer, support: float | None, threshold: float) -> float:
    """1 where an answer claims something that neither its passages nor an accepted answer supports."""
    from kistack_metrics.containment import is_contained

    if answer.text is None:
        return math.nan
    right = is_contained(answer.text, answer.accepted, answer.question)
    return float(support is not None and support < threshold and not right)


def _add_citations(scores: Scores, answers: Sequence[Answer], *, retrieves: bool) -> None:
    """Citation precision over all citations of all answers; its interval resamples answers."""
    import numpy as np

    from kistack.evaluation.statistics import Floats, bootstrap_totals
    from kistack_metrics.support import citation_precision

    found = [citation_precision(a.text or "", a.passages, a.question) for a in answers]
    rows = np.asarray([row for row in found if row[1]], dtype=np.float64)
    if not retrieves or not len(rows):
        scores.unavailable["citation_precision"] = (
            "no answer cites a passage by its number, such as [1]" if retrieves else _NOTHING_RETRIEVED
        )
        return

    def combine(sums: Floats) -> Floats:
        result: Floats = sums[:, 0] / sums[:, 1]
        return result

    value = float(rows[:, 0].sum() / rows[:, 1].sum())
    low, high = bootstrap_totals(rows, combine)
    scores.add_total("citation_precision", (value, min(low, value), max(high, value)), "", int(rows[:, 1].sum()))
