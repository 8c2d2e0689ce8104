"""``runtime/openvino``: models in OpenVINO's format, answered by its CPU runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.errors import ModelError
from kistack.plugins import costs
from kistack.plugins.stages import Load, Opens, Settings, Stage, Traits
from kistack_openvino.places import LIBRARIES, OPENVINO
from kistack_openvino.settings import RuntimeSettings

MODEL_FILE = "openvino_model.xml"

#: Memory of the process before it loads a model, and multiples of the files that it then holds. Measured: 425 MB, then
#: 603 MB with 141 MB of files.
_LIBRARY_BYTES, _COPIES = 0.43e9, 1.3
#: Bytes of logits held at once: the model gives those of every prompt token, and they are copied once.
_LOGITS_BYTES = 2 * 256e6
#: Share of the matrix product that a prompt reaches, and seconds per layer and token around the kernels. Measured: 980
#: prompt tokens and 49 new ones a second where llama.cpp reads 430 and writes 112 (2 cores, 134.5 M parameters).
_PREFILL, _LAYER_SECONDS = 0.6, 0.38e-3
#: Bytes of a number in the cache.
_CACHE_BYTES = {"int8": 1.0, "fp16": 2.0}
#: Seconds per weight in four bits that is unpacked for a single answer, by core. Measured: 8 tokens/s, where eight
#: bits give 49.
_UNPACK_SECONDS = 1.5e-9


class OpenvinoRuntime(Stage):
    """Opens OpenVINO's format through optimum-intel, in an environment of its own; whoever asks needs none of it."""

    name = "runtime/openvino"
    summary = "OpenVINO on CPUs: batched greedy answers, streaming, log-likelihoods"
    libraries = LIBRARIES
    Settings: ClassVar[type[Settings]] = RuntimeSettings

    def traits(self, settings: RuntimeSettings) -> Traits:
        """What it opens, and what sessions can do."""
        gives = ("generate", "stream", "loglikelihood")
        return Traits(
            opens=(Opens(kind="model", format="openvino", gives=gives),),
            packages=("openvino", "optimum.intel", "torch", "transformers"),
            environment=OPENVINO,
            processor=True,
        )

    def estimate(self, settings: RuntimeSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """It writes nothing; ``serving`` has its costs."""
        return Estimate()

    def serving(self, settings: RuntimeSettings, profile: Profile, artifact: Type, load: Load) -> Estimate:
        """Prompts cost arithmetic; answers cost reading the weights once per token, for all answered at once.

        More questions than ``batch`` wait for their turn.
        """
        here = costs.machine(profile, "serving", processor=True)
        at_once = max(1, min(load.concurrency, settings.batch))
        precision = artifact.facets.get("precision", "int8")
        weights = artifact.fact("bytes") or costs.model_bytes(artifact, precision)
        tokens = load.prompt_tokens + load.new_tokens
        width = _CACHE_BYTES[settings.cache]
        prompt = costs.prefill_seconds(artifact, load.prompt_tokens, here, precision, _PREFILL)
        layers = artifact.fact("layers") * _LAYER_SECONDS
        token = costs.decode_seconds(artifact, 1, here, weights, layers, context=tokens * at_once)
        if precision == "int4":
            token += artifact.fact("params") * _UNPACK_SECONDS / here.cores
        step = max(token, layers + at_once * costs.prefill_seconds(artifact, 1, here, precision, _PREFILL))
        latency = at_once * prompt + load.new_tokens * step
        cache = costs.kv_cache_bytes(artifact, tokens, at_once, width)
        logits = min(_LOGITS_BYTES, 2 * 4 * artifact.fact("vocab") * at_once * load.prompt_tokens)
        peak = _LIBRARY_BYTES + _COPIES * weights + cache + logits
        return Estimate(
            costs={
                "latency_seconds": latency * max(1.0, load.concurrency / at_once),
                "tokens_per_second": at_once * load.new_tokens / latency if latency else 0.0,
                "peak_bytes": peak,
            }
        )

    def open(self, settings: RuntimeSettings, artifact: Artifact, parts: Mapping[str, Artifact]) -> Any:
        """A session of the model in the artifact's folder.

        Raises:
            ModelError: no model in OpenVINO's format lies there, or it cannot be read.

        """
        if not (artifact.path / MODEL_FILE).is_file():
            raise ModelError(
                f"{artifact.path}: holds no {MODEL_FILE}", "quantize the model anew: {use: quantize/openvino}"
            )
        from kistack_openvino.session import open_session

        return open_session(artifact.path, settings)
