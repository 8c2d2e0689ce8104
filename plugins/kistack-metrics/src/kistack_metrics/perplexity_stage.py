"""``evaluate/perplexity``: how probable the model finds the gold answers, by token and as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.prompt import Passage, Prompt, template_of
from kistack.domain.records import Estimate
from kistack.errors import StepFailed
from kistack.plugins.builtins import PYTHON_BYTES
from kistack.plugins.sessions import IndexSession, LogLikelihood, ModelSession
from kistack.plugins.stages import Context, Load, Port, Settings, Stage, Traits
from kistack_metrics.common import SCORES, estimate_scoring
from kistack_metrics.reading import read_items

if TYPE_CHECKING:
    from kistack.evaluation.scoring import Scores

_METRICS = ("perplexity", "log_likelihood")

#: exp() of more overflows.
_MOST_NATS = 700.0

#: Copies of one prompt's logits in fp32 that exist at once. Measured.
_LOGIT_COPIES = 4


class PerplexityScoring(Settings):
    """How gold answers are scored."""

    batch: int = Field(default=16, ge=1, le=1024, description="answers scored at once")
    most: int = Field(
        default=64, ge=0, description="items scored at most, evenly spaced over all of them; 0 scores every one"
    )


class EvaluatePerplexity(Stage):
    """Perplexity and log-likelihood of the first gold answer of each item, given its prompt.

    exp(-Σ log p / Σ tokens): natural-log probabilities of the answer's tokens given the prompt and the tokens before,
    summed over all items and divided by the number of answer tokens of all items (a long answer weighs more). The
    prompt is the items' own wording in the model's chat template, with the passages that the system's index returns
    where it has one, else those that the items carry, if any; its tokens are not scored. Whether the end-of-turn token
    counts as part of the answer is the runtime's choice, so compare perplexities of one runtime and vocabulary only.
    Lower is better, 1 is certainty. The log-likelihood is Σ log p of a whole answer in nats, averaged over items: every
    answer weighs alike, and a long one is less probable; 0 is certainty. Of more than ``most`` items only so many are
    scored (its interval narrows slowly, its time grows with every prompt); there are numbers per item only where all of
    them are.
    """

    name = "evaluate/perplexity"
    summary = "perplexity and log-likelihood of the gold answers given their prompts"
    libraries = ("numpy",)
    Settings = PerplexityScoring

    def traits(self, settings: PerplexityScoring) -> Traits:
        """Opens the model with a runtime that gives log-likelihoods."""
        return Traits(
            consumes={
                "model": Port(
                    kind="model",
                    opened=True,
                    gives=("loglikelihood",),
                    hint="install a runtime that gives log-likelihoods of this format",
                ),
                "items": Port(kind="items", where={"format": "jsonl"}, hint="hold out some pairs for evaluation"),
                "index": Port(kind="index", opened=True, gives=("search",), optional=True),
            },
            produces={"scores": SCORES},
            metrics=_METRICS,
        )

    def estimate(self, settings: PerplexityScoring, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """One pass over prompts and answers by the machine's arithmetic; memory as the runtime says, and the logits."""
        from kistack.plugins.costs import WORKER_BYTES, machine, prefill_seconds

        model, items, index = inputs["model"], inputs["items"], inputs.get("index")
        tokens = items.fact("prompt_tokens", 64.0) + items.fact("answer_tokens", 16.0)
        if index is not None:
            tokens += index.fact("passages", 3.0) * index.fact("passage_tokens", 50.0)
        seconds = prefill_seconds(model, tokens, machine(profile), model.facets.get("precision", "fp32"))
        load = Load(prompt_tokens=tokens, new_tokens=1, concurrency=settings.batch)
        opened = model.serves(load).cost("peak_bytes") if model.serves else WORKER_BYTES + 1.2 * model.fact("bytes")
        peak = PYTHON_BYTES + opened + _LOGIT_COPIES * 4 * tokens * model.fact("vocab", 5e4)
        if index is not None and index.serves:
            peak += index.serves(Load()).cost("peak_bytes")
        count = items.fact("count", 100.0)
        share = min(1.0, settings.most / count) if settings.most and count else 1.0
        return estimate_scoring(items, len(_METRICS), seconds * share, 10.0, peak)

    def run(self, settings: PerplexityScoring, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Score every gold answer and write ``scores.json``."""
        from kistack.evaluation import scoring

        folder = ctx.input("items").path
        held = read_items(folder)
        if not held:
            raise StepFailed("no held-out item to score", "hold out some pairs for evaluation")
        items = evenly_spaced(held, settings.most)
        template = template_of(folder)
        asked = [
            (template.render(item["question"], passages), str(item["answers"][0]))
            for item, passages in zip(items, _passages(ctx, items), strict=True)
        ]
        found = _score(ctx, asked, settings.batch)
        scores = scoring.Scores(failed=[str(i["id"]) for i, f in zip(items, found, strict=True) if _is_bad(f)])
        if scores.failed:
            shown = ", ".join(scores.failed[:10])
            why = f"{len(scores.failed)} answers got no probability: {shown}"
            scores.unavailable.update(dict.fromkeys(_METRICS, why))
        else:
            _add_perplexity(scores, found)
            scores.add_mean("log_likelihood", [f.total for f in found], "nats")
            if len(items) < len(held):
                # Numbers per item are compared item by item, so they stand for all of them or for none.
                for metric in _METRICS:
                    del scores.items[metric]
        return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": len(items)}}


def evenly_spaced(items: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """At most ``most`` of the items (0: all), spread over the whole list: the same ones for every system."""
    if not most or len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]


def _passages(ctx: Context, items: Sequence[Mapping[str, Any]]) -> list[list[Passage]]:
    """The passages of each item: what the index returns, else what the items carry."""
    if not ctx.inputs("index"):
        return [[Passage(**p) for p in item.get("passages") or ()] for item in items]
    index: IndexSession = ctx.open("index")
    return index.search([item["question"] for item in items])


def _score(ctx: Context, asked: Sequence[tuple[Prompt, str]], batch: int) -> list[LogLikelihood]:
    """Log-likelihoods in the order of ``asked``, computed in batches so that progress can be shown."""
    model: ModelSession = ctx.open("model")
    found: list[LogLikelihood] = []
    for start in range(0, len(asked), batch):
        found += model.loglikelihood(asked[start : start + batch])
        ctx.progress(len(found), len(asked), "answers")
    return found


def _is_bad(found: LogLikelihood) -> bool:
    """No tokens, no number, or so improbable that its perplexity is beyond what a float holds."""
    return found.tokens < 1 or not math.isfinite(found.total) or -found.total / found.tokens > _MOST_NATS


def _add_perplexity(scores: Scores, found: Sequence[LogLikelihood]) -> None:
    import numpy as np

    from kistack.evaluation.statistics import Floats, bootstrap_totals

    def combine(sums: Floats) -> Floats:
        result: Floats = np.exp(-sums[:, 0] / sums[:, 1])
        return result

    rows = np.asarray([(f.total, f.tokens) for f in found], dtype=np.float64)
    low, high = bootstrap_totals(rows, combine)
    value = float(combine(rows.sum(axis=0, keepdims=True))[0])
    scores.items["perplexity"] = combine(rows).tolist()
    scores.add_total("perplexity", (value, min(low, value), max(high, value)), "", len(found))
