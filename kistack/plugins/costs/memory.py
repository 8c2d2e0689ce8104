"""Bytes of models at rest and at work: files, key and value cache, what answering holds at its peak."""

from __future__ import annotations

from kistack.domain.artifacts import Type
from kistack.plugins.costs.gguf import file_bytes, vocabulary_bytes
from kistack.plugins.costs.machines import Machine
from kistack.plugins.costs.precision import HALF, LAYOUTS, bits, is_gguf
from kistack.plugins.costs.shapes import embedding_params, is_shaped, key_width, untied_params

#: Resident memory of a Python worker with torch, transformers and peft loaded, before any model. Measured.
WORKER_BYTES = 0.55e9
#: Bytes of a GGUF tokenizer per token of the vocabulary. Measured on a vocabulary of 49,152.
GGUF_TOKEN_BYTES = 37.0
#: Numbers per token of a prompt that a layer holds at once, as multiples of its widths: gate, up and their product; the
#: states going in, coming out, and normalised. Layers take turns. Source: fit on the memory columns of the Qwen2.5
#: speed benchmark (transformers, A100; its GB are 2^30): 0.5B to 14B agree within 8 %.
_PROMPT_FFN, _PROMPT_HIDDEN = 3.0, 3.0


def worker_bytes(m: Machine) -> float:
    """Memory of a Python worker beside its model, where that model lives: none of it is on a GPU.

    What the driver takes there for a process is not free to a model and is not counted as such (``gpu_free``).
    """
    return 0.0 if m.gpus else WORKER_BYTES


def model_bytes(model: Type, precision: str) -> float:
    """Bytes of the whole model stored in ``precision``.

    GGUF mixtures are counted tensor by tensor where the shape is known. Other layouts of 8 bits and less keep the
    vocabulary matrices (27 % of the parameters of a 0.5 B model with a vocabulary of 150,000) in 16 bits, or all but
    the input embedding quantized, as ``LAYOUTS`` says.
    """
    return sum(_parts(model, precision))


def read_bytes(model: Type, precision: str) -> float:
    """Bytes of weights that generating one token reads: all but the input embedding, of which it looks up one row.

    A tied matrix is read as the output head.
    """
    return _parts(model, precision)[1]


def _parts(model: Type, precision: str) -> tuple[float, float]:
    """(bytes that only a lookup reads, all others)."""
    name = precision.lower()
    width, params = bits(name), model.fact("params")
    one, untied = embedding_params(model), untied_params(model)
    if model.fact("headless"):
        # Of an encoder's vocabulary only rows are looked up, and libraries that quantize layers keep it.
        rest = width if is_gguf(name) else LAYOUTS[name].rest
        return one * rest / 8, max(0.0, params - one) * width / 8
    if is_gguf(name):
        if not is_shaped(model):
            return untied * width / 8, (params - untied) * width / 8
        lookup, _ = vocabulary_bytes(model, name)
        return lookup, file_bytes(model, name) - lookup
    layout = LAYOUTS[name]
    if width >= HALF:
        return untied * width / 8, (params - untied) * width / 8
    kept = min(params, one + untied)
    linear = (params - kept) * width / 8
    if not layout.head:
        return untied * layout.rest / 8, linear + min(one, kept) * layout.rest / 8
    # A quantized head is a matrix of its own, whether or not it was tied.
    return min(one, kept) * layout.rest / 8, linear + min(one, kept) * width / 8


def kv_cache_bytes(model: Type, tokens: float, batch: float = 1, width: float = 2) -> float:
    """Bytes of the key and value cache of ``batch`` sequences of ``tokens``, ``width`` bytes a number.

    2 · layers · kv_heads · head_dim · width · tokens · batch; a cache in 8 or 4 bits has ``width`` 1 or 0.5 plus its
    scales. Source: Hugging Face blog, KV cache quantization.
    """
    return 2 * model.fact("layers") * key_width(model) * width * tokens * batch


def prompt_bytes(model: Type, width: float = 2) -> float:
    """Bytes of activations that each token of a prompt takes while it is read, beside its place in the cache."""
    return width * (_PROMPT_FFN * model.fact("ffn") + _PROMPT_HIDDEN * model.fact("hidden"))


def inference_peak_bytes(
    model: Type,
    precision: str,
    prompt_tokens: float,
    new_tokens: float = 0.0,
    *,
    batch: float = 1,
    width: float = 2,
    cache_width: float | None = None,
) -> float:
    """Peak memory on the device of answering ``batch`` prompts at once, each ``prompt_tokens`` + ``new_tokens`` long.

    Weights, cache, the activations of the prompts, and one row of logits each (in ``width`` and in fp32). What the
    process holds beside the model (``worker_bytes``) is not in it.
    """
    cache = kv_cache_bytes(model, prompt_tokens + new_tokens, batch, width if cache_width is None else cache_width)
    logits = batch * model.fact("vocab") * (width + 4)
    activations = batch * max(1.0, prompt_tokens) * prompt_bytes(model, width)
    return model_bytes(model, precision) + cache + activations + logits
