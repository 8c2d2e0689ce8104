"""``tune/lora``: a LoRA adapter trained on question-answer pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kistack_torch import estimates

from kistack.domain.artifacts import UNQUANTIZED, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins import costs
from kistack.plugins.stages import Context, Need, Out, Port, Settings, Stage, Traits
from kistack_peft.settings import LoraSettings

#: Fewer pairs teach their own wording rather than the task.
LEAST_PAIRS = 16

#: Examples to be seen in all where the number of epochs is left open: 2 epochs of 300 pairs taught a 135 M model to
#: answer from passages (88 of 100 held-out questions, against 41 untuned). Few pairs are repeated at most so often.
_SEEN, _MOST_EPOCHS = 600, 8
#: Where few pairs begin to ask for a smaller adapter, and many for a larger one.
_FEW, _MANY = 100, 2000

#: Share of the peak matrix product that training reaches, and seconds for imports and loading. Measured: 135 M
#: parameters in bf16, 211 tokens a pair, 724 tokens/s of two cores that multiply 800 GFLOP/s.
_EFFICIENCY_BF16, _EFFICIENCY_FP32, _START_SECONDS = 0.4, 0.5, 15.0


class LoraTuner(Stage):
    """Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685): W + alpha/rank * B A, with W frozen."""

    name = "tune/lora"
    summary = "a LoRA adapter trained on question-answer pairs, with their retrieved passages where there are any"
    libraries = ("torch", "transformers", "peft", "safetensors", "tokenizers", "kistack-torch")
    Settings: ClassVar[type[Settings]] = LoraSettings

    def traits(self, settings: LoraSettings) -> Traits:
        """Reads an unquantized model and pairs; leaves an adapter that needs the model beside it."""
        wanted = {"passages": "with"}
        pairs = Port(
            kind="pairs",
            where=wanted if settings.passages == "require" else {},
            prefer=wanted if settings.passages == "auto" else {},
            hint="name question-answer pairs in kistack.yaml; for pairs with passages put a retriever before this step",
        )
        return Traits(
            consumes={
                "model": Port(
                    kind="model",
                    where={"format": "hf", "precision": UNQUANTIZED},
                    hint="tune before quantizing: adapters are trained on 16-bit or 32-bit weights",
                ),
                "pairs": pairs,
            },
            produces={"model": Out(kind="model", like="model", format="hf+peft", requires=("model",))},
            before=("quantize/*",),
            needs=(
                Need(
                    fact="count",
                    at_least=LEAST_PAIRS,
                    port="pairs",
                    hint=f"collect at least {LEAST_PAIRS} pairs to train on, or leave tuning out",
                ),
            ),
            packages=("torch", "transformers", "peft"),
            seeded=True,
        )

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[LoraSettings]:
        """Few pairs: a small rank, or a cautious one; many: the default, or room for more."""
        count = estimates.pair_count(profile, inputs)
        epochs = choose_epochs(count)
        if count < _FEW:
            return [LoraSettings(rank=8, alpha=16, epochs=epochs), LoraSettings(epochs=max(1, epochs // 2))]
        if count < _MANY:
            return [LoraSettings(epochs=epochs), LoraSettings(rank=8, alpha=16, epochs=max(1, epochs - 1))]
        return [LoraSettings(epochs=epochs), LoraSettings(rank=32, alpha=64, epochs=epochs)]

    def resolve(self, settings: LoraSettings, profile: Profile, inputs: Mapping[str, Type]) -> LoraSettings:
        """Number format by the training machine, epochs by the number of pairs."""
        changes: dict[str, object] = {"dtype": estimates.chosen_dtype(settings.dtype, profile)}
        if settings.epochs == "auto":
            changes["epochs"] = choose_epochs(estimates.pair_count(profile, inputs))
        return settings.model_copy(update=changes)

    def estimate(self, settings: LoraSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """4·N FLOPs a token for the frozen layers, 6 for the adapter; logits for the answers only."""
        settings = self.resolve(settings, profile, inputs)
        model, here = inputs["model"], costs.machine(profile)
        adapter = costs.lora_params(model, settings.rank, known_targets(settings.targets))
        length = estimates.pair_tokens(inputs)
        assert settings.epochs != "auto"
        count = estimates.pair_count(profile, inputs)
        tokens = count * length * settings.epochs
        efficiency = None if here.gpus else _EFFICIENCY_BF16 if settings.dtype == "bf16" else _EFFICIENCY_FP32
        training = costs.train_seconds(
            costs.layer_params(model), adapter, tokens, here, settings.dtype, efficiency=efficiency
        )
        batches = estimates.micro_batches(
            count, settings.epochs, length, batch=settings.batch, budget=settings.batch_tokens
        )
        answers = inputs["pairs"].fact("answer_tokens", length)
        peak = estimates.training_bytes(
            model,
            adapter,
            here,
            batch=settings.batch,
            budget=settings.batch_tokens,
            length=length,
            looked_at=min(1.0, answers / length),
            dtype=settings.dtype,
            recompute=settings.recompute,
        )
        size = 4 * adapter + estimates.TOKENIZER_BYTES * model.fact("vocab")
        return Estimate(
            costs={
                "seconds": _START_SECONDS + max(training, costs.launch_seconds(model, batches, here)),
                "peak_bytes": peak,
                "scratch_bytes": adapter * estimates.CHECKPOINT_BYTES,
            },
            facts={"model": {"bytes": size, "trained": adapter}},
        )

    def run(self, settings: LoraSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Train and write the adapter.

        Raises:
            DataError: pairs that cannot be read, too few of them, or most of them too long.
            ModelError: a model that cannot be loaded, or has none of the named matrices.
            StepFailed: the loss is not a number.
        """
        from kistack_peft.tuning import tune

        return {"model": tune(settings, ctx)}


def choose_epochs(count: float) -> int:
    """How often to see each of ``count`` pairs."""
    return estimates.epochs_for(count, _SEEN, _MOST_EPOCHS)


def known_targets(targets: str) -> str:
    """The targets as ``costs.lora_params`` knows them: names it does not know are counted as all."""
    names = {n.strip() for n in targets.split(",")}
    usual = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    return targets if targets in {"all-linear", "attention", "mlp"} or names <= usual else "all-linear"
