"""``distill/response``: a student taught by the token distributions of its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kistack_torch import estimates

from kistack.domain.artifacts import UNQUANTIZED, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins import costs
from kistack.plugins.stages import Context, Need, Out, Port, Settings, Stage, Traits
from kistack_distill.layers import kept_layers
from kistack_distill.settings import ResponseSettings

LEAST_PAIRS = 32

#: Examples to be seen in all where the number of epochs is left open; few pairs are repeated at most so often.
_SEEN, _MOST_EPOCHS = 1000, 8
#: Share of the peak matrix product that training reaches with the head at every position. Measured: 81 M parameters in
#: bf16, 654 tokens/s of two cores that multiply 800 GFLOP/s.
_EFFICIENCY_BF16, _EFFICIENCY_FP32 = 0.4, 0.45
#: Pairs held out at most (see ``kistack_torch.examples.hold_out``); each is read twice by teacher and student.
_MOST_HELD_OUT = 48
#: Seconds for imports and loading; logits of teacher and student that exist at once while they are compared.
_START_SECONDS, _READING_BYTES = 12.0, 768 * 2**20


class ResponseDistiller(Stage):
    """Response-based distillation (Hinton et al. 2015): the pairs' answers and the teacher's distributions."""

    name = "distill/response"
    summary = "a smaller student taught by its teacher's token distributions"
    libraries = ("torch", "transformers", "safetensors", "tokenizers", "kistack-torch")
    Settings: ClassVar[type[Settings]] = ResponseSettings

    def traits(self, settings: ResponseSettings) -> Traits:
        """A student begins a line of descent of its own, whatever became of its teacher before."""
        wanted = {"passages": "with"}
        plain = {"format": "hf", "precision": UNQUANTIZED}
        ports = {
            "teacher": Port(
                kind="model",
                where=plain,
                default="model",
                hint="distil before quantizing: the teacher must be in 16 or 32 bits",
            ),
            "pairs": Port(
                kind="pairs",
                where=wanted if settings.passages == "require" else {},
                prefer=wanted if settings.passages == "auto" else {},
                hint="name question-answer pairs in kistack.yaml; for pairs with passages put a retriever before this",
            ),
            "signals": Port(
                kind="signals", where={"format": "topk"}, hint="install a plugin that records a teacher (signals/topk)"
            ),
        }
        given = settings.student == "given"
        if given:
            ports["model"] = Port(kind="model", where=plain, hint="distil before quantizing")
        return Traits(
            consumes=ports,
            produces={
                "model": Out(
                    kind="model",
                    like="model" if given else "teacher",
                    format="hf",
                    set={"precision": "bf16"},
                    fresh=True,
                )
            },
            agree=(("model", "teacher", "vocabulary"),) if given else (),
            needs=(
                Need(
                    fact="count",
                    at_least=LEAST_PAIRS,
                    port="pairs",
                    hint=f"collect at least {LEAST_PAIRS} pairs, or leave distillation out",
                ),
            ),
            packages=("torch", "transformers"),
            seeded=True,
        )

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[ResponseSettings]:
        """Half the layers; a third of them where the teacher has many."""
        count = estimates.pair_count(profile, inputs)
        epochs = choose_epochs(count)
        layers = (inputs.get("teacher") or inputs.get("model") or Type("model")).fact("layers")
        suggested = [ResponseSettings(epochs=epochs)]
        if layers >= _DEEP:
            suggested.append(ResponseSettings(keep_every=3, epochs=epochs))
        return suggested

    def resolve(self, settings: ResponseSettings, profile: Profile, inputs: Mapping[str, Type]) -> ResponseSettings:
        """Number format by the training machine, epochs by the number of pairs."""
        changes: dict[str, object] = {"dtype": estimates.chosen_dtype(settings.dtype, profile)}
        if settings.epochs == "auto":
            changes["epochs"] = choose_epochs(estimates.pair_count(profile, inputs))
        return settings.model_copy(update=changes)

    def estimate(self, settings: ResponseSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """6·N FLOPs a token for the student, its head included, and reading the held-out pairs twice."""
        settings = self.resolve(settings, profile, inputs)
        assert settings.epochs != "auto"
        teacher, here = inputs["teacher"], costs.machine(profile)
        student = student_type(settings, inputs)
        params = student.fact("params")
        count, length = estimates.pair_count(profile, inputs), estimates.pair_tokens(inputs)
        judged = min(_MOST_HELD_OUT, settings.held_out * count)
        tokens = (count - judged) * length * settings.epochs
        head = costs.embedding_params(student)
        computed = costs.layer_params(student) + head
        bf16 = settings.dtype == "bf16"
        efficiency = None if here.gpus else _EFFICIENCY_BF16 if bf16 else _EFFICIENCY_FP32
        peak = here.flops_bf16 if bf16 else here.flops_fp32
        reading = 4 * judged * length * (computed + costs.layer_params(teacher) + head) / (0.5 * peak)
        training = costs.train_seconds(computed, computed, tokens, here, settings.dtype, efficiency=efficiency)
        batches = estimates.micro_batches(
            count - judged, settings.epochs, length, batch=settings.batch, budget=settings.batch_tokens
        )
        training = max(training, costs.launch_seconds(student, batches, here))
        size = 2 * params + estimates.TOKENIZER_BYTES * student.fact("vocab")
        return Estimate(
            costs={
                "seconds": 2 * _START_SECONDS + reading + training,
                "peak_bytes": max(
                    estimates.training_bytes(
                        student,
                        params,
                        here,
                        batch=settings.batch,
                        budget=settings.batch_tokens,
                        length=length,
                        looked_at=1.0,
                        dtype=settings.dtype,
                        recompute=settings.recompute,
                    ),
                    costs.worker_bytes(here)
                    + costs.model_bytes(teacher, settings.dtype)
                    + costs.model_bytes(student, settings.dtype)
                    + _READING_BYTES,
                ),
                "scratch_bytes": params * estimates.CHECKPOINT_BYTES,
            },
            facts={"model": {"params": params, "layers": student.fact("layers"), "bytes": size}},
        )

    def run(self, settings: ResponseSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Make the student, teach it, write it, and measure how near it came to its teacher.

        Raises:
            DataError: pairs that cannot be read, too few, most of them too long, or signals of other pairs.
            ModelError: a model that cannot be loaded or cut, or whose vocabulary is not its teacher's.
            StepFailed: the loss is not a number.
        """
        from kistack_distill.distilling import distill

        return {"model": distill(settings, ctx)}


#: Layers from which on a third of them is worth judging.
_DEEP = 12


def choose_epochs(count: float) -> int:
    """How often to see each of ``count`` pairs."""
    return estimates.epochs_for(count, _SEEN, _MOST_EPOCHS)


def student_type(settings: ResponseSettings, inputs: Mapping[str, Type]) -> Type:
    """The student's numbers: the given model's, or the teacher's with fewer layers."""
    if settings.student == "given":
        return inputs["model"]
    teacher = inputs["teacher"]
    layers = int(teacher.fact("layers"))
    if not layers:
        return teacher
    kept = len(kept_of(layers, settings))
    params = teacher.fact("params") - (1 - kept / layers) * costs.layer_params(teacher)
    return Type("model", "hf", teacher.facets, {**teacher.facts, "layers": kept, "params": params})


def kept_of(layers: int, settings: ResponseSettings) -> tuple[int, ...]:
    """The layers that a student keeps under these settings."""
    return kept_layers(layers, settings.keep_every)
