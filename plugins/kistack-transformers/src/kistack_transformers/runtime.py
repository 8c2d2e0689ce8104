"""The eager runtime: opens Hugging Face folders with PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.errors import ModelError
from kistack.plugins.costs import (
    Machine,
    decode_seconds,
    eager_overhead,
    kv_cache_bytes,
    machine,
    model_bytes,
    prefill_seconds,
    prompt_bytes,
    worker_bytes,
)
from kistack.plugins.stages import Load, Opens, Settings, Stage, Traits
from kistack_transformers import folders
from kistack_transformers.gguf_files import WIDTHS

_ADAPTER = "adapter_config.json"
#: Adapters that add virtual tokens to the prompt: they need a decoder that knows them.
_VIRTUAL = frozenset({"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT"})


class RuntimeSettings(Settings):
    """How a model is opened."""

    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="number format to compute in; auto is bf16 where the processor multiplies it in hardware",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="where to compute; auto is decided where the model is opened, for a bundle may move"
    )
    batch: int = Field(default=0, ge=0, le=1024, description="answers written at once; 0 decides by free memory")


class TransformersRuntime(Stage):
    """Opens models as they were trained, unquantized or with an adapter on top; batches are its strength."""

    name = "runtime/transformers"
    summary = "eager PyTorch: batched greedy answers, streaming, log-likelihoods"
    libraries = ("torch", "transformers")
    Settings = RuntimeSettings

    def traits(self, settings: RuntimeSettings) -> Traits:
        """What it opens, and what sessions can do."""
        gives = ("generate", "stream", "loglikelihood")
        return Traits(
            opens=(Opens(kind="model", format="hf|hf+peft", gives=gives),),
            packages=("torch", "transformers"),
            processor=settings.device == "cpu",
        )

    def resolve(self, settings: RuntimeSettings, profile: Profile, inputs: Mapping[str, Type]) -> RuntimeSettings:
        """The number format that ``auto`` stands for on this machine.

        Device and batch stay open: they follow the machine on which the model is opened and do not change what it says
        beyond rounding.
        """
        if settings.dtype != "auto":
            return settings
        return settings.model_copy(update={"dtype": _expected_dtype(machine(profile, "hardware"), settings)})

    def estimate(self, settings: RuntimeSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """It writes nothing; ``serving`` has its costs."""
        return Estimate()

    def serving(self, settings: RuntimeSettings, profile: Profile, artifact: Type, load: Load) -> Estimate:
        """Weights, cache and activations; prompts by arithmetic, answers by memory bandwidth and overhead.

        Answers asked for at once are written as one batch: their prompts add up, their decoding steps are shared.
        """
        here = machine(profile, "serving", processor=settings.device == "cpu")
        precision = settings.dtype if settings.dtype != "auto" else _expected_dtype(here, settings)
        width, together = WIDTHS[precision], max(1, load.concurrency)
        tokens = load.prompt_tokens + load.new_tokens
        weights = model_bytes(artifact, precision)
        activations = prompt_bytes(artifact, width) * load.prompt_tokens
        cache = kv_cache_bytes(artifact, tokens, together, width)
        logits = together * artifact.fact("vocab") * (width + 4)
        # weights of another format lie mapped beside their cast copies while they are loaded (measured)
        beside = artifact.fact("bytes") if artifact.facets.get("precision", precision) != precision else 0.0
        peak = worker_bytes(here) + weights + beside + cache + together * activations + logits
        reading = together * prefill_seconds(artifact, load.prompt_tokens, here, precision)
        writing = decode_seconds(
            artifact,
            load.new_tokens,
            here,
            overhead_seconds=eager_overhead(artifact, here),
            context=together * tokens,
            precision=precision,
            batch=together,
        )
        latency = reading + writing
        rate = together * load.new_tokens / latency if latency else 0.0
        return Estimate({"peak_bytes": peak, "latency_seconds": latency, "tokens_per_second": rate})

    def open(self, settings: RuntimeSettings, artifact: Artifact, parts: Mapping[str, Artifact]) -> Any:
        """A session of the model at ``artifact.path``; an adapter is put on the artifact ``parts["base"]``.

        Raises:
            ModelError: the model or its adapter cannot be read, or does not fit into free memory.

        """
        adapter = artifact.path if artifact.format == "hf+peft" else None
        place = _base_of(artifact, parts) if adapter else artifact.path
        if adapter is not None:
            _check_adapter(adapter)
        folders.describe(place, "model")

        from kistack_torch.devices import choose_device, choose_dtype, dtype_name, free_bytes, threads
        from kistack_torch.models import load_model, load_tokenizer

        device = choose_device(settings.device)
        dtype, reason = choose_dtype(device, settings.dtype)
        width = WIDTHS[dtype_name(dtype)]
        stored = folders.weights(place)
        added = folders.weights(adapter).params if adapter is not None else 0.0
        _check_memory(place, width * (stored.params + added), free_bytes(device), device)

        import torch

        from kistack_transformers.session import Loaded, TransformersSession

        torch.set_num_threads(threads())
        tokenizer = load_tokenizer(adapter if adapter is not None and _has_tokenizer(adapter) else place)
        model = load_model(place, dtype=dtype, device=device, adapter=adapter)
        shape = Type("model", facts=folders.shape(folders.read_json(place / folders.CONFIG)))
        per_token = kv_cache_bytes(shape, 1, 1, width) + prompt_bytes(shape, width)
        context = int(shape.fact("context")) or _UNBOUNDED
        return TransformersSession(
            Loaded(model, tokenizer, device, context, per_token, f"{reason}, on {device}"), settings.batch
        )


#: A context no prompt reaches: models whose positions have no end state none.
_UNBOUNDED = 1 << 20


def _expected_dtype(here: Machine, settings: RuntimeSettings) -> str:
    """What ``auto`` will turn out to be on a machine known by its figures only."""
    if settings.device == "mps":
        return "fp16"
    on_gpu = settings.device == "cuda" or (settings.device == "auto" and here.gpus > 0)
    return "bf16" if on_gpu or here.bf16_is_native else "fp32"


def _base_of(artifact: Artifact, parts: Mapping[str, Artifact]) -> Path:
    base = parts.get("base") or next(iter(artifact.requires), None)
    if base is None:
        raise ModelError(f"{artifact.path}: an adapter without its base", "copy the bundle again, with all its parts")
    return base.path


def _check_adapter(path: Path) -> None:
    """Refuse adapters that this runtime would run wrongly."""
    config = folders.read_json(path / _ADAPTER)
    kind = str(config.get("peft_type", ""))
    if kind in _VIRTUAL:
        raise ModelError(f"{path}: adapters of type {kind} are not supported", "train a LoRA adapter instead")
    if not any(path.glob(f"*{folders.WEIGHTS}")):
        raise ModelError(f"{path}: an adapter without safetensors", "train the adapter again")


def _has_tokenizer(path: Path) -> bool:
    return (path / "tokenizer.json").is_file() or (path / "tokenizer_config.json").is_file()


def _check_memory(path: Path, needed: float, free: float, device: str) -> None:
    if needed > free:
        raise ModelError(
            f"{path}: the model needs {needed / 1e9:.2f} GB of memory on {device} and {free / 1e9:.2f} GB are free",
            "free some memory, choose a smaller number format (dtype: bf16), or quantize the model",
        )
