"""``runtime/llamacpp``: GGUF models answered by llama.cpp, in process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.errors import ModelError
from kistack.plugins import costs
from kistack.plugins.stages import Load, Opens, Settings, Stage, Traits
from kistack_gguf.native import has_logits
from kistack_gguf.settings import LlamaCppSettings
from kistack_gguf.sizes import Sizes, needed_bytes

#: Seconds per answer for rendering, tokenizing and the call (measured), and per generated token beside the arithmetic.
_ANSWER_SECONDS, _TOKEN_SECONDS = 0.01, 0.0005


class LlamaCppRuntime(Stage):
    """Opens GGUF through xllamacpp's server, and for log-likelihoods through cyllama where that is installed."""

    name = "runtime/llamacpp"
    summary = "llama.cpp in this process: fast answers on CPUs, quantized weights read from the file as they are"
    libraries = ("xllamacpp",)
    Settings: ClassVar[type[Settings]] = LlamaCppSettings

    def traits(self, settings: LlamaCppSettings) -> Traits:
        """Gives log-likelihoods only where the binding that has logits is installed."""
        gives = ("generate", "stream", "loglikelihood") if has_logits() else ("generate", "stream")
        return Traits(
            opens=(Opens(kind="model", format="gguf", gives=gives),),
            packages=("xllamacpp", "jinja2"),
            processor=True,
        )

    def serving(self, settings: LlamaCppSettings, profile: Profile, artifact: Type, load: Load) -> Estimate:
        """Prompts cost arithmetic; answers cost reading the weights once per token, for all answered at once.

        More questions than ``parallel`` wait for their turn, and all but one where answers must be repeatable.
        """
        here = costs.machine(profile, "serving", processor=True)
        at_once = 1 if load.repeatable else max(1, min(load.concurrency, settings.parallel))
        precision = artifact.facets.get("precision", "int8")
        weights = artifact.fact("bytes") or costs.model_bytes(artifact, precision)
        prompt = costs.prefill_seconds(artifact, load.prompt_tokens, here, precision)
        token = costs.decode_seconds(
            artifact, 1, here, weights, overhead_seconds=_TOKEN_SECONDS, context=load.prompt_tokens * at_once
        )
        compute = costs.prefill_seconds(artifact, 1, here, precision)
        step = max(token, at_once * compute)
        latency = _ANSWER_SECONDS + at_once * prompt + load.new_tokens * step
        trained = artifact.fact("context") or settings.context
        sizes = Sizes(int(min(settings.context, trained)), settings.parallel, settings.batch, settings.threads)
        cache = costs.kv_cache_bytes(artifact, 1)
        peak = needed_bytes(weights, cache, artifact.fact("hidden"), artifact.fact("vocab"), sizes)
        return Estimate(
            costs={
                "latency_seconds": latency * max(1.0, load.concurrency / at_once),
                "tokens_per_second": at_once * load.new_tokens / latency,
                "peak_bytes": peak,
            }
        )

    def open(self, settings: LlamaCppSettings, artifact: Artifact, parts: Mapping[str, Artifact]) -> Any:
        """A session on the artifact's ``.gguf`` file.

        Raises:
            ModelError: there is none or several, it does not fit the free memory, or llama.cpp refuses it.

        """
        from kistack_gguf.session import LlamaCppSession

        files = [artifact.path] if artifact.path.is_file() else sorted(artifact.path.glob("*.gguf"))
        if len(files) != 1:
            raise ModelError(
                f"{artifact.path}: holds {len(files)} .gguf files where one is needed", "give the path of one file"
            )
        return LlamaCppSession(files[0], settings)
