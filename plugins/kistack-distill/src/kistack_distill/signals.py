"""``signals/topk``: what a teacher thinks of every next token, recorded once, put in by the composer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kistack_torch import estimates

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins import costs
from kistack.plugins.stages import Context, Need, Out, Port, Settings, Stage, Traits
from kistack_distill.settings import TopKSettings

#: Share of the peak matrix product that reading with all logits reaches. Measured, see README.
_EFFICIENCY_BF16, _EFFICIENCY_FP32 = 0.4, 0.5
#: Seconds for imports and loading; logits that exist at once with their temporaries.
_START_SECONDS, _LOGIT_BYTES = 12.0, 512 * 2**20


class TopKSignals(Stage):
    """A teacher's k largest logits at every position, and the weight of the rest at a few temperatures."""

    name = "signals/topk"
    summary = "a teacher's likeliest next tokens at every position of the pairs"
    libraries = ("torch", "transformers", "safetensors", "tokenizers", "kistack-torch")
    Settings: ClassVar[type[Settings]] = TopKSettings

    def traits(self, settings: TopKSettings) -> Traits:
        """Reads what the distiller reads: its teacher and its pairs."""
        return Traits(
            consumes={
                "teacher": Port(
                    kind="model",
                    where={"format": "hf"},
                    default="model",
                    hint="a teacher must give its logits: name a model in format hf",
                ),
                "pairs": Port(
                    kind="pairs",
                    where={"passages": "with"} if settings.passages == "require" else {},
                    prefer={"passages": "with"} if settings.passages == "auto" else {},
                    hint="name question-answer pairs in kistack.yaml",
                ),
            },
            produces={"signals": Out(kind="signals", format="topk")},
            needs=(Need(fact="count", at_least=1, port="pairs", hint="name question-answer pairs in kistack.yaml"),),
            packages=("torch", "transformers"),
            auto=True,
        )

    def resolve(self, settings: TopKSettings, profile: Profile, inputs: Mapping[str, Type]) -> TopKSettings:
        """Number format by the training machine."""
        return settings.model_copy(update={"dtype": estimates.chosen_dtype(settings.dtype, profile)})

    def estimate(self, settings: TopKSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """2·N FLOPs a token, the head included at every position."""
        teacher, here = inputs["teacher"], costs.machine(profile)
        dtype = estimates.chosen_dtype(settings.dtype, profile)
        tokens = estimates.pair_count(profile, inputs) * estimates.pair_tokens(inputs)
        work = 2 * (costs.layer_params(teacher) + costs.embedding_params(teacher)) * tokens
        peak = here.flops_bf16 if dtype == "bf16" else here.flops_fp32
        efficiency = _EFFICIENCY_BF16 if dtype == "bf16" else _EFFICIENCY_FP32
        size = tokens * (6.0 * settings.k + 4.0 * len(settings.temperatures))
        return Estimate(
            costs={
                "seconds": _START_SECONDS + work / (efficiency * peak),
                "peak_bytes": costs.worker_bytes(here)
                + costs.model_bytes(teacher, dtype)
                + _LOGIT_BYTES
                + 2 * size
                + 12.0 * settings.batch_tokens * (teacher.fact("hidden") + teacher.fact("ffn")),
                "scratch_bytes": size,
            },
            facts={"signals": {"bytes": size, "tokens": tokens, "count": estimates.pair_count(profile, inputs)}},
        )

    def run(self, settings: TopKSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Read every pair with the teacher and write ``signals.safetensors`` and ``signals.json``.

        Raises:
            DataError: pairs that cannot be read, or most of them too long.
            ModelError: a teacher that cannot be loaded.
            StepFailed: the teacher's logits are no numbers.
        """
        from kistack_distill.recording import record

        return {"signals": record(settings, ctx)}
