"""Seconds of reading prompts and writing answers: prompts are bound by arithmetic, answers by memory bandwidth."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from kistack.domain.artifacts import Type
from kistack.plugins.costs.machines import Machine
from kistack.plugins.costs.memory import kv_cache_bytes, read_bytes
from kistack.plugins.costs.precision import HALF, is_quantized
from kistack.plugins.costs.shapes import depth, layer_params, untied_params

# --- what runtimes reach of the machine's measured figures

#: Share of a GPU's specified bandwidth at which weights stream, and seconds per layer in which it waits for the next
#: kernel of a captured graph, plain and quantized. Source: fit on Llama-2-7B and Qwen2.5 0.5B to 14B, 16 to 4 bits, one
#: A100-80 (gpt-fast, torchao and Qwen2.5 speed benchmark); an RTX 4090 reaches 0.91 of the bandwidth, an RTX A6000
#: 0.81, an Orin 0.76 (llm-awq, tinychat/README.md).
_STREAM_GPU, _GAP_PLAIN, _GAP_QUANTIZED = 0.88, 50e-6, 70e-6
#: Unpacking a weight takes a GPU as long as reading so many bits more: shifts and masks of 4 to 6 bits; 2 and 3 bits in
#: separate planes; codebooks (IQ1 to IQ3). Source: llama.cpp, tools/quantize/README.md (Llama-3.1-8B in 22 types on one
#: device, F16 and Q8_0 taken as free). Where only the mean bits are known, they are interpolated.
_UNPACK_MASKED, _UNPACK_PLANES, _UNPACK_CODEBOOK = 0.6, 1.7, 2.6
_UNPACK_BY_BITS = ((2.0, 2.2), (3.5, _UNPACK_PLANES), (4.25, _UNPACK_MASKED), (6.6, _UNPACK_MASKED), (8.0, 0.0))
_PLANES, _CODEBOOKS = ("q2_", "q3_"), ("iq1_", "iq2_", "iq3_")
#: One sequence's KV cache is read in pieces too small to fill a GPU. Source: Qwen2.5 speed benchmark, prompts of 6,144
#: to 129,024 tokens (vLLM, A100): about 1 TB/s of 2.04 once the prompt's own time is taken off.
_KV_GPU = 0.5
#: Eager attention gives each key head to one processor of the GPU. Source: the same, transformers: 40 to 65 GB/s of
#: 2,039 for 2 to 8 key heads.
_KV_EAGER = 0.028
#: Weights in int8 whose activations are quantized on the way: the kernel pads one row to a whole tile. Source: torchao,
#: quantization/README.md (Llama-2-7B and Llama-3-8B, A100, int8dq: 64 and 65 GB/s).
_PADDED_GPU = {"torchao-int8-dynamic": 0.032}

#: Share of the sustained bandwidth that processor cores read weights with. Source: ggml-org/llama.cpp issue 26484
#: (Raspberry Pi 5: 9.8 to 10.6 of 11.4 GB/s over five quantizations).
_STREAM_CPU = 0.9
#: Weights that one core unpacks and multiplies per second, whatever their bits. Measured: 112 tokens/s in Q8_0 and 117
#: in Q4_1 with 2 cores and 134.5 M parameters, llama.cpp.
_WEIGHTS_PER_CORE = 7.6e9

#: Share of the peak matrix product that a prompt reaches. CPU measured against 270 to 400 GFLOP/s in fp32, twice that
#: in bf16 (eager fp32 250-500 tokens/s, bf16 730-900, llama.cpp Q8_0 430); GPU: 38-58 % is good (Megatron-LM;
#: EleutherAI, Transformer Math 101); 0.56 in 16 bits on an RTX 4090 (llm-awq, tinychat/README.md, time to first token).
_PREFILL_GPU, _PREFILL_FP32, _PREFILL_BF16, _PREFILL_QUANTIZED = 0.55, 0.28, 0.26, 0.28
#: Quantized weights do not speed prompts up on a GPU (pp512 Q4_K_M 0.89 of F16). Source: llama.cpp, quantize README.
_PREFILL_UNPACKING = 0.89

#: Seconds per layer and token that eager PyTorch spends outside the arithmetic. CPU measured (16 tokens/s in bf16
#: over 30 layers); GPU, where launching kernels runs beside them: 21 to 40 ms per token for 24 to 48 layers (Qwen2.5
#: speed benchmark, transformers on A100).
_EAGER_CPU, _EAGER_GPU = 1.8e-3, 0.87e-3
#: Formats whose eager kernels unpack and multiply in separate launches take so many times as long, those that do it in
#: one take less. Source: the same, beside bf16, 0.5B to 14B: GPTQ-int8 and AWQ 1.08 to 1.18 ms a layer, GPTQ-int4 0.8.
_LAUNCHES = {"gptq-int8": 1.28, "awq": 1.28, "gptq-int4": 0.92}
#: Seconds per token that a server spends on scheduling and sampling. Source: Qwen2.5 speed benchmark, vLLM 0.6 on A100,
#: what weights and gaps leave unexplained over 0.5B to 14B.
_SERVER = 2.0e-3


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds per token that a runtime spends beside reading weights.

    ``serial`` adds to them; ``hidden`` runs beside them, so that the longer of the two counts (kernels launched one by
    one while a GPU computes). ``cache_share`` is the share of a GPU's bandwidth at which its attention reads the cache.
    """

    serial: float = 0.0
    hidden: float = 0.0
    cache_share: float = _KV_GPU


def eager_overhead(model: Type, m: Machine, precision: str = "") -> Overhead:
    """What eager PyTorch spends per token beside decoding (``overhead_seconds`` of ``decode_seconds``)."""
    layers = model.fact("layers")
    if not m.gpus:
        return Overhead(serial=layers * _EAGER_CPU)
    launches = layers * _EAGER_GPU * _LAUNCHES.get(precision.lower(), 1.0)
    return Overhead(hidden=launches, cache_share=_KV_EAGER)


def runtime_overhead(runtime: str, model: Type, m: Machine, precision: str = "") -> Overhead:
    """The overhead of a kind of runtime: ``eager``, ``server`` (vLLM and its like), or a compiled one (any other)."""
    if runtime == "eager":
        return eager_overhead(model, m, precision)
    return Overhead(serial=_SERVER) if runtime == "server" else Overhead()


def prefill_seconds(model: Type, tokens: float, m: Machine, precision: str, efficiency: float | None = None) -> float:
    """Seconds to read a prompt of ``tokens``: 2·N·T FLOPs for the layers, 2·L·d·T² for attention.

    ``efficiency`` is the share of the machine's peak matrix product that is reached (default: by device and
    precision). The vocabulary matrices do not count: the head runs for the last token only.
    """
    name = precision.lower()
    if name == "bf16" and not m.gpus and not m.bf16_is_native:
        name = "fp32"  # what runtimes compute in where bf16 has no instructions
    peak, fast = m.matrix_product(name)
    share = _prefill_share(m, name, fast=fast) if efficiency is None else efficiency
    attention = 2 * depth(model) * model.fact("hidden") * tokens**2
    return (2 * layer_params(model) * tokens + attention) / (share * peak)


def _prefill_share(m: Machine, precision: str, *, fast: bool) -> float:
    if m.gpus:
        return _PREFILL_GPU * (_PREFILL_UNPACKING if is_quantized(precision) else 1.0)
    if is_quantized(precision):
        return _PREFILL_QUANTIZED
    return _PREFILL_BF16 if fast else _PREFILL_FP32


def decode_seconds(  # noqa: PLR0913 - each of them decides the time
    model: Type,
    tokens: float,
    m: Machine,
    weight_bytes: float = 0.0,
    overhead_seconds: float | Overhead = 0.0,
    efficiency: float | None = None,
    context: float = 0.0,
    *,
    precision: str = "",
    batch: float = 1.0,
) -> float:
    """Seconds to generate ``tokens`` one after another, ``batch`` sequences at once: bound by memory bandwidth.

    Per step: overhead + gaps between kernels + weight bytes / (share · bandwidth) + KV bytes / (share · bandwidth), or
    the arithmetic of the batch where that takes longer. ``precision`` says which weights are read; without it
    ``weight_bytes``, the model's stored bytes, are taken to be spread evenly. ``overhead_seconds`` is what the runtime
    spends per token beside reading weights, ``context`` the mean number of tokens in the cache, all sequences together.
    ``efficiency`` is the share of the bandwidth that weights are read with (default: by device and bits per weight).
    """
    read = read_bytes(model, precision) if precision else _read_evenly(model, weight_bytes)
    over = overhead_seconds if isinstance(overhead_seconds, Overhead) else Overhead(overhead_seconds)
    weights = model.fact("params") - untied_params(model)
    cache = kv_cache_bytes(model, context)
    if m.gpus:
        stored = 8 * read / weights if weights else HALF
        share = _PADDED_GPU.get(precision.lower(), _STREAM_GPU) if efficiency is None else efficiency
        unpacking = weights * _unpack_bits(precision.lower(), stored) / 8 if efficiency is None else 0.0
        gap = _GAP_QUANTIZED if stored < HALF else _GAP_PLAIN
        busy = ((read + unpacking) / share + cache / over.cache_share) / m.bandwidth + model.fact("layers") * gap
    else:
        share = _STREAM_CPU if efficiency is None else efficiency
        busy = max((read + cache) / (share * m.bandwidth), weights / (_WEIGHTS_PER_CORE * m.cores))
    if batch > 1:
        busy = max(busy, batch * prefill_seconds(model, 1, m, precision or "bf16"))
    return tokens * (over.serial + max(over.hidden, busy))


def answer_seconds(
    model: Type, prompt_tokens: float, new_tokens: float, m: Machine, precision: str, runtime: str = "compiled"
) -> float:
    """Seconds from a prompt to the end of its answer, alone on the machine."""
    reading = prefill_seconds(model, prompt_tokens, m, precision)
    overhead = runtime_overhead(runtime, model, m, precision)
    context = prompt_tokens + new_tokens / 2
    return reading + decode_seconds(model, new_tokens, m, 0.0, overhead, context=context, precision=precision)


def _unpack_bits(precision: str, stored: float) -> float:
    """Bits that unpacking a weight is worth on a GPU."""
    if precision.startswith(_CODEBOOKS):
        return _UNPACK_CODEBOOK
    if precision.startswith(_PLANES):
        return _UNPACK_PLANES
    return interpolate(_UNPACK_BY_BITS, stored)


def _read_evenly(model: Type, weight_bytes: float) -> float:
    """Bytes of ``weight_bytes`` that one token reads: all but the input embedding of an untied model."""
    params = model.fact("params")
    return weight_bytes * (1 - untied_params(model) / params) if params else weight_bytes


def interpolate(table: tuple[tuple[float, float], ...], x: float) -> float:
    """Piecewise linear through ``table``, flat beyond its ends."""
    if x <= table[0][0]:
        return table[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(table):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return table[-1][1]
