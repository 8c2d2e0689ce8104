"""``evaluate/abstention``: whether a system answers when it should and abstains when it should."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.stages import Context, Port, Settings, Stage, Traits
from kistack_metrics.common import SCORES, estimate_scoring
from kistack_metrics.reading import read_answers

#: Numbers that stand only where some item has no answer.
_ABSTENTION = ("abstention_accuracy", "abstention_recall", "abstention_precision")
_NONE_UNANSWERABLE = "no item is marked unanswerable in the pairs (unanswerable: true)"


class AbstentionScoring(Settings):
    """How declining to answer is recognised."""

    wordings: tuple[str, ...] = Field(
        default=(), description="further answers that mean that the system does not know, in its own language or style"
    )


class EvaluateAbstention(Stage):
    """Answered where there is an answer, declined where there is none."""

    name = "evaluate/abstention"
    summary = "whether it answers when it should and abstains when it should"
    libraries = ("numpy",)
    Settings = AbstentionScoring

    def traits(self, settings: AbstentionScoring) -> Traits:
        """Reads answers only: no model is opened."""
        return Traits(
            consumes={"answers": Port(kind="answers", where={"format": "jsonl"}, hint="answer the held-out questions")},
            produces={"scores": SCORES},
            metrics=("answer_rate", *_ABSTENTION),
        )

    def estimate(self, settings: AbstentionScoring, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Reading the answers."""
        return estimate_scoring(inputs["answers"], 1, 5e-4, 0.1, 53e6)

    def run(self, settings: AbstentionScoring, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Judge every item by whether it was answered, not by what was said."""
        from kistack.evaluation.scoring import Scores
        from kistack_metrics.abstention import Decisions, abstains

        answers = read_answers(ctx.input("answers").path)
        said = [
            None if a.text is None else abstains(a.text, a.accepted, wordings=(*settings.wordings, *a.wordings))
            for a in answers
        ]
        found = Decisions(tuple(a.unanswerable for a in answers), tuple(said))
        scores = Scores(failed=[a.id for a in answers if a.text is None])
        scores.add_part("answer_rate", found.answered, "every item is marked unanswerable")
        if found.declined:
            scores.add_mean("abstention_accuracy", found.right)
            scores.add_part("abstention_recall", found.declined, "")
            scores.add_part("abstention_precision", found.justified, "it never abstained")
        else:
            scores.unavailable.update(dict.fromkeys(_ABSTENTION, _NONE_UNANSWERABLE))
        return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": len(answers)}}
