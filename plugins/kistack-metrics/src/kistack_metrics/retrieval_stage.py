"""``evaluate/retrieval``: whether the documents that hold the answer were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.stages import Context, Port, Settings, Stage, Traits
from kistack_metrics.common import SCORES, estimate_scoring
from kistack_metrics.ranking import ndcg_at, precision_at, recall_at, reciprocal_rank
from kistack_metrics.reading import Answer, read_answers

if TYPE_CHECKING:
    from kistack.evaluation.scoring import Scores


#: Metrics of the first k passages, each named with ``@k``.
_RANKED = {"recall": recall_at, "precision": precision_at, "ndcg": ndcg_at}


class RetrievalScoring(Settings):
    """How found passages are judged."""

    cutoffs: tuple[PositiveInt, ...] = Field(
        default=(1, 3, 5),
        min_length=1,
        max_length=10,
        description="numbers of passages to compute recall, precision and nDCG at",
    )


class EvaluateRetrieval(Stage):
    """Recall, precision and nDCG at k and mean reciprocal rank, by the documents that the passages come from."""

    name = "evaluate/retrieval"
    summary = "recall, precision and nDCG at k and mean reciprocal rank of the retrieved passages"
    libraries = ("numpy",)
    Settings = RetrievalScoring

    def traits(self, settings: RetrievalScoring) -> Traits:
        """Reads the passages that travel with the answers: no index is opened."""
        cutoffs = sorted(set(settings.cutoffs))
        return Traits(
            consumes={"answers": Port(kind="answers", where={"format": "jsonl"}, hint="answer the held-out questions")},
            produces={"scores": SCORES},
            metrics=(*(f"{name}@{k}" for k in cutoffs for name in _RANKED), "mrr"),
        )

    def estimate(self, settings: RetrievalScoring, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Reading the answers. Measured: 0.3 s and 70 MB for the worker."""
        return estimate_scoring(inputs["answers"], 3 * len(settings.cutoffs) + 1, 5e-4, 0.1, 53e6)

    def run(self, settings: RetrievalScoring, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Score the passages of every answer that has gold documents."""
        from kistack.evaluation import scoring

        answers = read_answers(ctx.input("answers").path)
        scores = scoring.Scores()
        judged = [a for a in answers if a.gold]
        reason = _missing(answers, judged)
        for k in sorted(set(settings.cutoffs)):
            for name, measure in _RANKED.items():
                values = [measure(a.found, a.gold, k) for a in judged]
                _add(scores, f"{name}@{k}", values, len(answers), reason or _too_few(answers, k))
        _add(scores, "mrr", [reciprocal_rank(a.found, a.gold) for a in judged], len(answers), reason)
        if judged and len(judged) < len(answers):
            ctx.log(f"retrieval is judged on {len(judged)} of {len(answers)} items: the others name no gold document")
        return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": len(judged)}}


def _missing(answers: Sequence[Answer], judged: Sequence[Answer]) -> str:
    """Why nothing can be judged; empty if something can."""
    if not any(a.found for a in answers):
        return "nothing was retrieved: the system answers without passages"
    if not judged:
        return "no item names the documents that hold its answer (gold)"
    return ""


def _too_few(answers: Sequence[Answer], k: int) -> str:
    """Why a number at ``k`` would only repeat that of a smaller cutoff; empty if it would not."""
    most = max(len(a.found) for a in answers)
    return f"at most {most} passages were retrieved for a question" if most < k else ""


def _add(scores: Scores, metric: str, values: Sequence[float], items: int, reason: str) -> None:
    if reason:
        scores.unavailable[metric] = reason
        return
    scores.add_mean(metric, values)
    if len(values) < items:
        # Numbers per item line up with the answers or are not given at all.
        del scores.items[metric]
