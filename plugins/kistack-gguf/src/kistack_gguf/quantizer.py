"""``quantize/gguf``: a Llama-family model as one GGUF file, in the kind of weights that is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import ClassVar

from kistack.domain.artifacts import UNQUANTIZED, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Effect, Estimate
from kistack.errors import StepFailed
from kistack.plugins import costs
from kistack.plugins.stages import Context, Out, Port, Settings, Stage, Traits
from kistack_gguf.kinds import KINDS, Kind
from kistack_gguf.settings import GgufSettings

MODEL_FILE = "model.gguf"

#: Weights quantized and written per second (measured on one core, Q8_0), and seconds for loading the libraries.
_WEIGHTS_PER_SECOND, _START_SECONDS = 30e6, 10.0
#: What is answered again after the export: prompts, tokens of each, positions compared, seconds per position.
_PROBES, _PROBE_TOKENS, _ANSWER_TOKENS, _POSITION_SECONDS = 8, 120, 16, 0.005
#: Perplexity losses grow as models get smaller, by parameters in billions to this power.
#: Source: fit on the AWQ int4 results of the Qwen2 technical tables (0.5 B to 72 B).
_SIZE_POWER, _MEASURED_AT = -0.39, 8.0
_SMALL = 1e9


class GgufQuantizer(Stage):
    """Writes GGUF and proves that it still answers as its source."""

    name = "quantize/gguf"
    summary = "a Llama-family model as one GGUF file for llama.cpp, checked against its source"
    libraries = ("gguf", "numpy")
    Settings: ClassVar[type[Settings]] = GgufSettings

    def traits(self, settings: GgufSettings) -> Traits:
        """Reads an unquantized Hugging Face model, adapters merged before; nothing can be trained after it."""
        return Traits(
            consumes={
                "model": Port(
                    kind="model",
                    where={"format": "hf", "precision": UNQUANTIZED, "family": "llama"},
                    hint="quantize last, and only models of the Llama family (family: llama)",
                )
            },
            produces={
                "model": Out(kind="model", like="model", format="gguf", set={"precision": settings.spec.precision})
            },
            packages=("gguf", "tokenizers", "torch", "transformers", "xllamacpp"),
            processor=True,
        )

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[GgufSettings]:
        """Eight bits first; four where memory is short or the model is large enough to bear it; else 16 beside it."""
        model = inputs["model"]
        room = min(profile.number("scenario.limit_memory", float("inf")), costs.machine(profile, "serving").ram_free)
        if _file_bytes(model, KINDS["Q8_0"]) > room / 2:
            return [GgufSettings(kind="Q4_0"), GgufSettings(kind="Q8_0")]
        other = GgufSettings(kind="F16") if model.fact("params") < _SMALL else GgufSettings(kind="Q4_0")
        return [GgufSettings(), other]

    def estimate(self, settings: GgufSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Writing runs over all weights once; the check answers a few prompts in fp32 and in the new kind."""
        model, here, kind = inputs["model"], costs.machine(profile, processor=True), settings.spec
        params = model.fact("params")
        size = _file_bytes(model, kind)
        reading = costs.prefill_seconds(model, _PROBE_TOKENS + _ANSWER_TOKENS, here, "fp32")
        writing = costs.decode_seconds(
            model, _ANSWER_TOKENS, here, 4 * params, overhead_seconds=costs.eager_overhead(model, here)
        )
        scoring = 2 * _ANSWER_TOKENS * _POSITION_SECONDS
        check = _PROBES * (2 * reading + scoring) + writing
        return Estimate(
            costs={
                "seconds": _START_SECONDS + params / _WEIGHTS_PER_SECOND + check,
                "peak_bytes": costs.WORKER_BYTES + 4 * params + size,
            },
            facts={"model": {"bytes": size, "bits": 8 * size / params if params else kind.bits}},
            quality=_effect(kind, params),
        )

    def run(self, settings: GgufSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Write ``model.gguf`` and the licence beside it, and compare its answers with the source's.

        Raises:
            ModelError: a model or tokenizer that has no form in GGUF.
            StepFailed: nothing was saved, or the answers changed more than the kind may.

        """
        from kistack_gguf.check import compare, judge
        from kistack_gguf.export import LICENCE_FILES, export

        source, kind, out = ctx.input("model").path, settings.spec, ctx.out("model")
        target = out / MODEL_FILE
        written = export(source, target, kind, lambda done, total: ctx.progress(done, total, "weights"))
        if written.matrix_bytes > written.source_matrix_bytes or (
            kind.quantized and written.matrix_bytes == written.source_matrix_bytes
        ):
            raise StepFailed(
                f"{kind.name} saves nothing: {written.matrix_bytes} bytes of weights, {written.source_matrix_bytes} "
                "before",
                "use a kind with fewer bits, or leave this model as it is",
            )
        if written.fallbacks:
            ctx.log(f"{written.fallbacks} matrices stay in F16: their rows are no multiple of 32")
        for name in LICENCE_FILES:
            if (source / name).exists():
                shutil.copyfile(source / name, out / name)
        drift = compare(source, target, lambda done, total: ctx.progress(done, total, "prompts answered again"))
        judge(drift, kind, settings.tolerance)
        facts = {
            "bytes": written.bytes,
            "params": written.params,
            "bits": 8 * written.matrix_bytes / written.params,
            "agreement": drift.agreement,
            "kl_measured": float(drift.kl is not None),
        }
        if drift.kl is not None:
            facts["kl"] = drift.kl
        else:
            ctx.log("compared by greedy answers only: no logits without cyllama")
        return {"model": facts}


def _file_bytes(model: Type, kind: Kind) -> float:
    """Weights in their kinds, vectors in fp32, and the tokenizer."""
    vocabulary = costs.embedding_params(model) + costs.untied_params(model)
    rest = max(0.0, model.fact("params") - vocabulary)
    return (rest * kind.bits + vocabulary * KINDS[kind.head].bits) / 8 + costs.GGUF_TOKEN_BYTES * model.fact("vocab")


def _effect(kind: Kind, params: float) -> Effect:
    """Points lost, from a model of 8 billion parameters, larger for smaller ones."""
    scale = max(params / 1e9 / _MEASURED_AT, 1e-3) ** _SIZE_POWER if params else 1.0
    points = kind.points * scale
    spread = 0.3 + abs(points)
    return Effect(
        points=points,
        low=points - spread,
        high=min(points + spread, 1.0),
        conditions="post-training rounding of all matrices; change of the right token's probability",
        source="llama.cpp tools/perplexity/README.md (Llama 3 8B, mean Δp), scaled to size by the Qwen2 AWQ tables",
    )
