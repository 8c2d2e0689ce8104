"""``quantize/openvino``: a causal language model in OpenVINO's format, its weights in eight or four bits."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import ClassVar

from kistack.domain.artifacts import UNQUANTIZED, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Effect, Estimate
from kistack.errors import StepFailed
from kistack.plugins import costs
from kistack.plugins.stages import Context, Out, Port, Settings, Stage, Traits
from kistack_openvino.kinds import Kind
from kistack_openvino.places import LIBRARIES, OPENVINO
from kistack_openvino.settings import QuantizerSettings

FORMAT = "openvino"

#: Seconds for loading the libraries, and weights traced, compressed and written per second. Measured on two busy cores:
#: 10 and 42 to 46 s of processor time for 134.5 M parameters.
_START_SECONDS, _WEIGHTS_PER_SECOND = 14.0, 4e6
#: What is answered again after the export: prompts, tokens of each, tokens of its answer.
_PROBES, _PROBE_TOKENS, _ANSWER_TOKENS = 6, 90, 16
#: Bytes of the graph and the tokenizer, beside the weights: per layer and per token of the vocabulary. Measured.
_GRAPH_BYTES, _LAYER_BYTES, _TOKEN_BYTES = 40e3, 86e3, 72.0
#: Memory of the libraries, and what it takes per parameter: the source in fp32, the export, and their logits. Measured.
_LIBRARY_BYTES, _PARAMETER_BYTES = 0.55e9, 7.3
#: Perplexity losses grow as models get smaller, by parameters in billions to this power.
#: Source: fit on the AWQ int4 results of the Qwen2 technical tables (0.5 B to 72 B).
_SIZE_POWER, _MEASURED_AT = -0.39, 8.0
_SMALL = 1e9


class OpenvinoQuantizer(Stage):
    """Writes OpenVINO's intermediate representation through optimum-intel, and proves that it answers as its source.

    Weights are compressed by NNCF without data: per row to eight bits, or in groups to four, asymmetrically. It runs
    in an environment of its own, for optimum-intel's pins exclude those of the other plugins.
    """

    name = "quantize/openvino"
    summary = "a model in OpenVINO's format in 8 or 4 bits, checked against its source"
    libraries = LIBRARIES
    Settings: ClassVar[type[Settings]] = QuantizerSettings

    def traits(self, settings: QuantizerSettings) -> Traits:
        """Reads an unquantized Hugging Face model, adapters merged before; nothing can be trained after it."""
        return Traits(
            consumes={
                "model": Port(
                    kind="model",
                    where={"format": "hf", "precision": UNQUANTIZED},
                    hint="quantize last, and a model that is not quantized yet",
                )
            },
            produces={"model": Out(kind="model", like="model", format=FORMAT, set={"precision": settings.kind})},
            packages=("openvino", "nncf", "optimum.intel", "torch", "transformers"),
            environment=OPENVINO,
            opt_in=True,
            processor=True,
        )

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[QuantizerSettings]:
        """Eight bits first; four where memory is short or the model is large enough to bear it."""
        model = inputs["model"]
        room = min(profile.number("scenario.limit_memory", float("inf")), costs.machine(profile, "serving").ram_free)
        small, smaller = QuantizerSettings(), QuantizerSettings(kind="int4")
        if _weight_bytes(model, small) > room / 2:
            return [smaller, small]
        return [small] if model.fact("params") < _SMALL else [small, smaller]

    def estimate(self, settings: QuantizerSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Tracing and compressing run over all weights; the check answers a few prompts in fp32 and in the new kind."""
        model, here = inputs["model"], costs.machine(profile, processor=True)
        params = model.fact("params")
        weights = _weight_bytes(model, settings)
        reading = costs.prefill_seconds(model, _PROBE_TOKENS + _ANSWER_TOKENS, here, "fp32")
        writing = costs.decode_seconds(
            model, _ANSWER_TOKENS, here, 4 * params, overhead_seconds=costs.eager_overhead(model, here)
        )
        beside = _GRAPH_BYTES + _LAYER_BYTES * model.fact("layers") + _TOKEN_BYTES * model.fact("vocab")
        return Estimate(
            costs={
                "seconds": _START_SECONDS + params / _WEIGHTS_PER_SECOND + _PROBES * (2 * reading + writing),
                "peak_bytes": _LIBRARY_BYTES + _PARAMETER_BYTES * params,
            },
            facts={"model": {"bytes": weights + beside, "bits": 8 * weights / params if params else 8.0}},
            quality=_effect(settings.spec, params),
        )

    def run(self, settings: QuantizerSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Write the model, its tokenizer, chat template and licence, and compare its answers with the source's.

        Raises:
            ModelError: a model or tokenizer that cannot be read, or that OpenVINO has no form for.
            StepFailed: nothing was saved, or the answers changed more than the kind may.

        """
        # NNCF takes standard output for its log.
        with contextlib.redirect_stdout(sys.stderr):
            return self._run(settings, ctx)

    def _run(self, settings: QuantizerSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        from kistack_openvino.comparing import compare
        from kistack_openvino.writing import write

        source, out = ctx.input("model").path, ctx.out("model")
        ctx.progress(0, 2, "parts")
        written = write(source, out, settings)
        if written.weights >= written.source_weights:
            raise StepFailed(
                f"{settings.kind} saves nothing: {written.weights} bytes of weights, {written.source_weights} before",
                "use a kind with fewer bits, or leave this model as it is",
            )
        ctx.progress(1, 2, "parts")
        drift = compare(source, out)
        drift.judge(settings)
        ctx.progress(2, 2, "parts")
        return {
            "model": {
                "bytes": written.bytes,
                "params": written.params,
                "bits": 8 * written.weights / written.params,
                "kl": drift.kl,
                "agreement": drift.agreement,
            }
        }


def _weight_bytes(model: Type, settings: QuantizerSettings) -> float:
    """Bytes of all matrices with their scales: a scale in fp16 and a zero point of as many bits as a weight.

    Vocabulary matrices have eight bits and one scale a row; a tied one is stored once.
    """
    vocabulary = costs.embedding_params(model) + costs.untied_params(model)
    rest = max(0.0, model.fact("params") - vocabulary)
    width = max(1.0, model.fact("hidden", 1.0))
    per_row = 8 + (16 + 8) / width
    kind = settings.spec
    inner = per_row if kind.bits == 8 else kind.bits + (16 + kind.bits) / settings.group  # noqa: PLR2004 - bits
    return (rest * inner + vocabulary * per_row) / 8


def _effect(kind: Kind, params: float) -> Effect:
    """Points lost, from a model of 8 billion parameters, larger for smaller ones."""
    scale = max(params / 1e9 / _MEASURED_AT, 1e-3) ** _SIZE_POWER if params else 1.0
    points = kind.points * scale
    spread = 0.5 + abs(points)
    return Effect(
        points=points,
        low=points - spread,
        high=min(points + spread, 1.0),
        conditions="post-training rounding of all matrices; change of the right token's probability",
        source="llama.cpp tools/perplexity/README.md (Llama 3 8B, mean Δp of the nearest layouts), scaled to size by "
        "the Qwen2 AWQ tables",
    )
