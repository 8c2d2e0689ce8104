"""``evaluate/answers``: the generated texts against the accepted answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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

#: The names that ``run`` gives its numbers; importing the packages that compute some of them would be dear.
_METRICS = ("contained", "exact_match", "f1", "rouge_1", "rouge_2", "rouge_l", "bleu", "chrf", "failed")
#: Why corpus BLEU is left out where no reference is long enough for it.
_NO_BLEU = "no accepted answer has the four tokens that BLEU needs"


class AnswerScoring(Settings):
    """How generated texts are judged."""

    strict: bool = Field(
        default=False,
        description="whether any other version or date makes an answer wrong, even one that the question mentions",
    )


class EvaluateAnswers(Stage):
    """Contained answer, exact match, token F1, ROUGE, BLEU and chrF.

    An item that has no answer is right, by the first three, where the system abstains: 1, else 0 (as in SQuAD 2.0). The
    others compare with its wording.
    """

    name = "evaluate/answers"
    summary = "contained answer, exact match, token F1, ROUGE-1/2/L, BLEU and chrF of the generated texts"
    libraries = ("rouge-score", "sacrebleu", "numpy")
    Settings = AnswerScoring

    def traits(self, settings: AnswerScoring) -> Traits:
        """Reads answers only: no model is opened."""
        return Traits(
            consumes={"answers": Port(kind="answers", where={"format": "jsonl"}, hint="answer the held-out questions")},
            produces={"scores": SCORES},
            metrics=_METRICS,
            packages=("rouge_score", "sacrebleu"),
        )

    def estimate(self, settings: AnswerScoring, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Mostly the import of the reference packages. Measured: 3 s and 245 MB, under 1 ms an item."""
        return estimate_scoring(inputs["answers"], 8, 1e-3, 2.3, 190e6)

    def run(self, settings: AnswerScoring, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Score every answer and write ``scores.json``."""
        from kistack.evaluation import scoring
        from kistack_metrics.abstention import abstains
        from kistack_metrics.containment import is_contained
        from kistack_metrics.normalisation import exact_match, token_f1

        answers = read_answers(ctx.input("answers").path)
        scores = scoring.Scores(failed=[a.id for a in answers if a.text is None])
        if scores.failed:
            ctx.log(f"{len(scores.failed)} items without an answer count as wrong: {', '.join(scores.failed[:10])}")
            scores.add_total("failed", (float(len(scores.failed)),) * 3, "items", len(answers))
        metrics: dict[str, Callable[[str, Answer], float]] = {
            "contained": lambda text, a: float(is_contained(text, a.answers, a.question, strict=settings.strict)),
            "exact_match": lambda text, a: exact_match(text, a.answers),
            "f1": lambda text, a: token_f1(text, a.answers),
        }

        def score(judge: Callable[[str, Answer], float], a: Answer) -> float:
            if a.text is None:
                return math.nan
            return float(abstains(a.text, wordings=a.wordings)) if a.unanswerable else judge(a.text, a)

        for metric, judge in metrics.items():
            scores.add_mean(metric, [score(judge, a) for a in answers])
        _add_overlap(scores, answers)
        ctx.progress(len(answers), len(answers), "answers")
        return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": len(answers)}}


def _add_overlap(scores: Scores, answers: Sequence[Answer]) -> None:
    """ROUGE, BLEU and chrF; a failed item is an empty text, which shares nothing."""
    from kistack_metrics.overlap import bleu, chrf, is_measurable, rouge

    texts = [a.text or "" for a in answers]
    references = [a.answers for a in answers]
    for metric, values in rouge(texts, references).items():
        scores.add_mean(metric, values)
    measures = {"chrf": (chrf, "chrF")}
    if is_measurable(references):
        measures["bleu"] = (bleu, "BLEU")
    else:
        scores.unavailable["bleu"] = _NO_BLEU
    for metric, (measure, unit) in measures.items():
        found = measure(texts, references)
        scores.items[metric] = found.sentences
        scores.add_total(metric, (found.value, found.low, found.high), unit, len(answers))
