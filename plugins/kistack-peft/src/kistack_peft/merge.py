"""``merge/peft``: an adapter folded into its base, put in by the composer where a stage needs plain weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kistack_torch import estimates

from kistack.domain.artifacts import UNQUANTIZED, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins import costs
from kistack.plugins.stages import Context, Out, Port, Settings, Stage, Traits
from kistack_peft.settings import MergeSettings

#: Tokens of the texts that are read again before and after (see ``probing``).
_PROBE_TOKENS = 600.0
#: Imports and loading twice; copies of the weights in fp32 that exist at once, the stored ones beside them.
_START_SECONDS, _COPIES = 15.0, 2.0


class PeftMerge(Stage):
    """W' = W + alpha/rank * B A, computed in fp32 and cast once to the format the base is stored in."""

    name = "merge/peft"
    summary = "an adapter folded into its base, checked to answer as before"
    libraries = ("torch", "transformers", "peft", "safetensors", "tokenizers", "kistack-torch")
    Settings: ClassVar[type[Settings]] = MergeSettings

    def traits(self, settings: MergeSettings) -> Traits:
        """The same content in another form, so it is no step of its own in the line of descent."""
        return Traits(
            consumes={
                "model": Port(
                    kind="model",
                    where={"format": "hf+peft", "precision": UNQUANTIZED},
                    hint="merge an adapter on an unquantized base",
                )
            },
            produces={
                "model": Out(kind="model", like="model", format="hf", set={"merged": "yes"}, same=True),
            },
            packages=("torch", "transformers", "peft"),
            auto=True,
            processor=True,
        )

    def estimate(self, settings: MergeSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Loading, one pass over the probe texts before and after, writing."""
        model, here = inputs["model"], costs.machine(profile, processor=True)
        precision = model.facets.get("precision", "bf16")
        size = costs.model_bytes(model, precision) + estimates.TOKENIZER_BYTES * model.fact("vocab")
        reading = 2 * costs.prefill_seconds(model, _PROBE_TOKENS, here, "fp32")
        logits = 3 * 4 * _PROBE_TOKENS * model.fact("vocab")
        return Estimate(
            costs={
                "seconds": _START_SECONDS + reading + 2 * size / here.bandwidth,
                "peak_bytes": costs.WORKER_BYTES + _COPIES * costs.model_bytes(model, "fp32") + logits,
            },
            facts={"model": {"bytes": size}},
        )

    def run(self, settings: MergeSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Merge, write, read back and compare.

        Raises:
            ModelError: the adapter was trained on another base.
            StepFailed: the merged model does not answer as the adapter on its base did.
        """
        from kistack_peft.merging import merge

        return {"model": merge(settings, ctx)}
