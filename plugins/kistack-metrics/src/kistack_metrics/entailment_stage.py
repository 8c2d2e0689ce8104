"""``evaluate/entailment``: whether the passages entail the answers, as a language model that is given judges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.prompt import Prompt
from kistack.domain.records import Estimate
from kistack.plugins.builtins import PYTHON_BYTES
from kistack.plugins.sessions import LogLikelihood, ModelSession
from kistack.plugins.stages import Context, Load, Port, Settings, Stage, Traits
from kistack_metrics.common import SCORES, estimate_scoring
from kistack_metrics.reading import Answer, read_answers

#: The two verdicts whose probabilities are compared.
_YES, _NO = "Yes", "No"

_QUESTION = (
    "Premise: {premise}\n\nHypothesis: {hypothesis}\n\n"
    "Does the premise entail the hypothesis, so that everything it says follows from the premise? Answer Yes or No."
)

#: Tokens of the wording above, and of a passage or claim where nobody knows better.
_WORDING_TOKENS = 60.0


class EntailmentScoring(Settings):
    """How claims are put to the model."""

    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="probability of Yes against No from which a claim counts as entailed"
    )
    batch: int = Field(default=16, ge=1, le=1024, description="claims judged at once")


class EvaluateEntailment(Stage):
    """Share of an answer's sentences that its passages entail, as a given language model judges.

    Each sentence, after the question it answers, is the hypothesis, the passages together the premise; it counts as
    entailed where the model finds *Yes* likelier than *No* by ``threshold`` (the verdict of Honovich et al., "TRUE:
    Re-evaluating Factual Consistency Evaluation", NAACL 2022, read off a generative model's own probabilities). The
    model is that of the slot ``teacher``; ``from: {judge: SLOT}`` names another. How far its verdicts can be trusted
    depends on that model alone: check it on labelled examples first.
    """

    name = "evaluate/entailment"
    summary = "share of an answer's sentences that its passages entail, as the teacher judges"
    libraries = ("numpy",)
    Settings = EntailmentScoring

    def traits(self, settings: EntailmentScoring) -> Traits:
        """Runs where a plan names it: it opens a second model."""
        return Traits(
            consumes={
                "answers": Port(kind="answers", where={"format": "jsonl"}, hint="answer the held-out questions"),
                "judge": Port(
                    kind="model",
                    slot="teacher",
                    opened=True,
                    gives=("loglikelihood",),
                    hint="name models.teacher, opened by a runtime that gives log-likelihoods",
                ),
            },
            produces={"scores": SCORES},
            metrics=("entailment",),
            opt_in=True,
        )

    def estimate(self, settings: EntailmentScoring, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Two passes over passages and claim, for one claim an answer."""
        from kistack.plugins.costs import WORKER_BYTES, machine, prefill_seconds

        judge, answers = inputs["judge"], inputs["answers"]
        tokens = _WORDING_TOKENS + 2 * profile.number("pairs.prompt_tokens", 60.0) + 150.0
        seconds = 2 * prefill_seconds(judge, tokens, machine(profile), judge.facets.get("precision", "fp32"))
        load = Load(prompt_tokens=tokens, new_tokens=1, concurrency=settings.batch)
        opened = judge.serves(load).cost("peak_bytes") if judge.serves else WORKER_BYTES + 1.2 * judge.fact("bytes")
        return estimate_scoring(answers, 1, seconds, 10.0, PYTHON_BYTES + opened)

    def run(self, settings: EntailmentScoring, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Judge every sentence of every answer that claims something."""
        from kistack.evaluation.scoring import Scores

        answers = read_answers(ctx.input("answers").path)
        scores = Scores(failed=[a.id for a in answers if a.text is None])
        if not any(a.passages for a in answers):
            scores.unavailable["entailment"] = "nothing was retrieved: the system answers without passages"
            return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": 0}}
        claims = [_claims(a) for a in answers]
        asked = [_ask(a, claim) for a, own in zip(answers, claims, strict=True) for claim in own or ()]
        verdicts = iter(entailed(ctx, asked, settings.batch))
        values: list[float] = []
        for answer, own in zip(answers, claims, strict=True):
            if own is None:  # abstained: nothing is claimed
                continue
            judged = [next(verdicts) for _ in own]
            values.append(_share(judged, settings.threshold) if answer.text is not None else math.nan)
            if answer.text is not None and math.isnan(values[-1]):
                scores.failed.append(answer.id)
                ctx.log(f"{answer.id}: the judge gave no probability, which counts as not entailed")
        if len(values) == len(answers):
            scores.add_mean("entailment", values)
        else:
            scores.add_part("entailment", values, "no answer claims anything")
        return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": len(values)}}


def entailed(ctx: Context, asked: Sequence[Prompt], batch: int) -> list[float]:
    """For each prompt the probability of Yes against No; NaN where the model gave no number."""
    judge: ModelSession = ctx.open("judge")
    found: list[float] = []
    for start in range(0, len(asked), batch):
        prompts = asked[start : start + batch]
        scored = judge.loglikelihood([(p, verdict) for p in prompts for verdict in (_YES, _NO)])
        found += [_probability(yes, no) for yes, no in zip(scored[::2], scored[1::2], strict=True)]
        ctx.progress(len(found), len(asked), "claims")
    return found


def premise_and_claim(premise: str, hypothesis: str) -> Prompt:
    """The prompt that asks whether ``premise`` entails ``hypothesis``."""
    return [{"role": "user", "content": _QUESTION.replace("{premise}", premise).replace("{hypothesis}", hypothesis)}]


def _claims(answer: Answer) -> list[str] | None:
    """The sentences of an answer; empty where it failed, None where it abstains."""
    from kistack_metrics.abstention import abstains
    from kistack_metrics.support import citations_removed, sentences

    if answer.text is None:
        return []
    if abstains(answer.text, answer.accepted, wordings=answer.wordings):
        return None
    return sentences(citations_removed(answer.text)) or None


def _ask(answer: Answer, claim: str) -> Prompt:
    premise = "\n".join(answer.passages) or "(nothing)"
    return premise_and_claim(premise, f"{answer.question} {claim}" if answer.question else claim)


def _probability(yes: LogLikelihood, no: LogLikelihood) -> float:
    if not (yes.tokens and no.tokens and math.isfinite(yes.total) and math.isfinite(no.total)):
        return math.nan
    return 1 / (1 + math.exp(min(700.0, no.total - yes.total)))


def _share(judged: Sequence[float], threshold: float) -> float:
    """Share of sentences that are entailed; NaN where one of them got no verdict."""
    if any(math.isnan(p) for p in judged):
        return math.nan
    return sum(p >= threshold for p in judged) / len(judged)
