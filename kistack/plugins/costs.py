"""Costs by formula: bytes, seconds and memory of models on machines. Pure, fast, and the same for every command.

Constants stand beside their source. "Measured" means measured by this project on a 2-core x86-64 machine (AVX-512,
bf16) with a 135 M parameter Llama-family model, torch 2.13 and llama.cpp: absolute times wander by some ten percent.
All sizes are bytes, all times seconds, all rates per second.
"""

from __future__ import annotations

import difflib
import itertools
import math
from dataclasses import dataclass
from types import MappingProxyType

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.errors import InputError

# --- bits per stored weight, scales and zero points included

#: llama.cpp: bits per weight of the plain block types are exact (32 weights share one fp16 scale, ``_1`` types also a
#: minimum); those of the K- and IQ-types are of Llama-3.1-8B. Source: llama.cpp, tools/quantize/README.md.
_GGUF_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "q8_0": 8.5,
    "q6_k": 6.5633,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q5_k_m": 5.7036,
    "q5_k_s": 5.5704,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "q4_k_m": 4.8944,
    "q4_k_s": 4.6672,
    "iq4_xs": 4.4597,
    "q3_k_m": 3.9960,
    "q3_k_s": 3.6429,
    "q2_k": 3.1593,
}

#: Other layouts: bits plus (scale bits + zero bits) / group. int4 of GPTQ and AWQ: group 128, fp16 scale and zero.
#: NF4: block 64 with an fp32 absmax, 4.127 with double quantization. Source: QLoRA (arXiv:2305.14314); arithmetic.
_OTHER_BITS = {
    "fp32": 32.0,
    "fp16": 16.0,
    "bf16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
    "int4": 4.25,
    "int4-g128": 4.25,
    "int4-g64": 4.5,
    "int4-g32": 5.0,
    "nf4": 4.5,
    "nf4-dq": 4.127,
}

#: Precisions and their bits per weight.
BITS = MappingProxyType({**_GGUF_BITS, **_OTHER_BITS})

#: K-types need rows that are multiples of 256; other rows are stored in these. Source: llama.cpp, llama-quant.cpp.
_FALLBACK = {"q2": 4.5, "q3": 4.5, "iq4": 4.5, "q4": 5.5, "q5": 6.0, "q6": 8.5}
_SUPERBLOCK = 256

# --- machines that nobody measured

#: Per core, fp32 matrix product. Measured: 130 to 200 GFLOP/s a core with AVX-512; assumed less for other machines.
_FLOPS_PER_CORE = 60e9
#: What a matrix product gains from bf16 instructions. Measured: 411 against 200 GFLOP/s on one core.
_BF16_GAIN = 2.0
#: Copy bandwidth of an unmeasured machine, two memory channels.
_BANDWIDTH = 20e9

# --- what runtimes reach of the machine's measured figures

#: Share of the copy bandwidth that decoding in 16 bits reaches, on one GPU and on CPU cores. GPU: 0.55-0.85 over
#: llm-awq, gpt-fast, torchao and vLLM tables (A100, RTX 4090, Orin). CPU: llama.cpp, measured.
_DECODE_GPU, _DECODE_CPU = 0.62, 0.34
#: The same relative to 16 bits, by bits per weight: unpacking costs. Source: llama.cpp, tools/quantize/README.md
#: (F16 29.2, Q8_0 50.9, Q4_K_M 71.9, Q2_K 79.9 tokens/s on one device).
_DECODE_BY_BITS = ((3.2, 0.54), (4.9, 0.76), (8.5, 0.93), (16.0, 1.0))
#: Reading the KV cache reaches less than reading weights. Source: fit on the Qwen2.5 speed benchmark (vLLM, A100).
_KV_SHARE = 0.5

#: Share of the peak matrix product that a prompt reaches. CPU measured against 270 to 400 GFLOP/s in fp32, twice that
#: in bf16 (eager fp32 250-500 tokens/s, bf16 730-900, llama.cpp Q8_0 430); GPU: 38-58 % is good (Megatron-LM;
#: EleutherAI, Transformer Math 101).
_PREFILL_GPU, _PREFILL_FP32, _PREFILL_BF16, _PREFILL_QUANTIZED = 0.45, 0.28, 0.26, 0.28
#: Quantized weights do not speed prompts up on a GPU (pp512 Q4_K_M 0.89 of F16). Source: llama.cpp, quantize README.
_PREFILL_UNPACKING = 0.89

#: Share of the peak matrix product that training reaches. CPU measured (LoRA, 160 tokens/s fp32, 230 bf16); GPU:
#: 120-180 of 312 TFLOP/s per A100 (EleutherAI, Transformer Math 101).
_TRAIN_GPU, _TRAIN_FP32, _TRAIN_BF16 = 0.45, 0.26, 0.19

#: Share of the fp32 peak that a small sentence encoder reaches on CPU cores, in batches. Measured (MiniLM-L6, 22.7 M).
_EMBED_CPU = 0.38

#: Seconds per layer and token that eager PyTorch spends outside the arithmetic. CPU measured (16 tokens/s in bf16
#: over 30 layers); GPU: 20-25 ms per token for 24-28 layers (Qwen2.5 speed benchmark, transformers on A100).
_EAGER_CPU, _EAGER_GPU = 1.8e-3, 0.85e-3

#: Resident memory of a Python worker with torch, transformers and peft loaded, before any model. Measured.
WORKER_BYTES = 0.55e9
#: Adam in fp32: weight, gradient and two moments of every trained parameter. Source: Transformer Math 101.
_ADAM_BYTES = 16.0
#: Mixed precision keeps a 16-bit copy beside them. Source: Hugging Face, model memory anatomy (18 B per parameter).
_MIXED_BYTES = 18.0
#: Logits, their gradient and two temporaries of cross-entropy, in fp32. Measured.
_LOGIT_COPIES = 4.0


@dataclass(frozen=True, slots=True)
class Machine:
    """The figures of one machine that costs depend on.

    ``bandwidth`` (B/s) and the matrix products ``flops_fp32`` and ``flops_bf16`` (FLOP/s) are those of the device the
    model runs on: the GPU where ``gpus`` is not 0. Free memory and disk nobody knows are infinite: unknown is not held
    against a plan.
    """

    cores: int = 1
    ram_free: float = math.inf
    disk_free: float = math.inf
    bandwidth: float = _BANDWIDTH
    flops_fp32: float = _FLOPS_PER_CORE
    flops_bf16: float = 0.0
    gpus: int = 0
    gpu_free: float = 0.0

    @property
    def bf16_is_native(self) -> bool:
        """Whether bf16 arithmetic is faster here than fp32 (instructions for it exist)."""
        return self.flops_bf16 > 1.2 * self.flops_fp32

    @property
    def memory(self) -> float:
        """Bytes free where models live: of one GPU, else of the main memory."""
        return self.gpu_free if self.gpus else self.ram_free


def machine(profile: Profile, section: str = "hardware") -> Machine:
    """The machine of a section of the profile: ``hardware`` trains, ``serving`` answers.

    A section without any facts falls back to ``hardware``; a figure nobody measured to a cautious assumption.
    """
    if section != "hardware" and not profile.section(section):
        section = "hardware"
    cores = max(1, int(profile.number(f"{section}.cores", 1)))
    isa = profile.text(f"{section}.isa").lower()
    flops = profile.number(f"{section}.flops_fp32") or cores * _FLOPS_PER_CORE
    assumed_gain = _BF16_GAIN if "bf16" in isa or "amx" in isa else 0.5
    gpus = int(profile.number(f"{section}.gpus"))
    return Machine(
        cores=cores,
        ram_free=profile.number(f"{section}.ram_free", math.inf),
        disk_free=profile.number(f"{section}.disk_free", math.inf),
        bandwidth=profile.number(f"{section}.bandwidth") or _BANDWIDTH,
        flops_fp32=flops,
        flops_bf16=profile.number(f"{section}.flops_bf16") or flops * assumed_gain,
        gpus=gpus,
        gpu_free=profile.number(f"{section}.gpu_free", math.inf) if gpus else 0.0,
    )


# --- bytes


def bits(precision: str) -> float:
    """Bits per weight of a precision, group overhead included; upper and lower case are the same.

    Raises:
        InputError: no such precision; the hint names close ones.

    """
    found = BITS.get(precision.lower())
    if found is None:
        close = difflib.get_close_matches(precision.lower(), BITS, n=3, cutoff=0.3) or sorted(BITS)
        raise InputError(f"unknown precision {precision!r}", f"use one of: {', '.join(close)}")
    return found


def is_quantized(precision: str) -> bool:
    """Whether weights are stored in fewer than 16 bits."""
    return bits(precision) < bits("bf16")


def embedding_params(model: Type) -> float:
    """Parameters of one vocabulary matrix (input embedding or output head)."""
    return model.fact("vocab") * model.fact("hidden")


def untied_params(model: Type) -> float:
    """Parameters of the input embedding where the output head is a matrix of its own, else 0.

    Told from the shape: what the layers and one vocabulary matrix do not explain is a second one. A lookup reads one
    row, so these weights count on disk and in memory but not in the time per token.
    """
    one = embedding_params(model)
    layers = model.fact("layers") * sum(a * b for a, b in _linears(model).values())
    return one if one and model.fact("params") - layers - one > one / 2 else 0.0


def _linears(model: Type) -> dict[str, tuple[float, float]]:
    """(inputs, outputs) of the linear projections of one Llama-style layer, by their usual names."""
    hidden, ffn = model.fact("hidden"), model.fact("ffn")
    heads = max(1.0, model.fact("heads", 1.0))
    head_dim = model.fact("head_dim") or hidden / heads
    keys = (model.fact("kv_heads") or heads) * head_dim
    queries = heads * head_dim
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, ffn),
        "up_proj": (hidden, ffn),
        "down_proj": (ffn, hidden),
    }


def model_bytes(model: Type, precision: str) -> float:
    """Bytes of the whole model stored in ``precision``.

    GGUF types also quantize the vocabulary matrices; other layouts of 8 bits and less keep them in 16 bits (which is
    27 % of the parameters of a 0.5 B model with a vocabulary of 150,000). K-types of models whose rows are no multiple
    of 256 are stored in the next larger plain type.
    """
    name = precision.lower()
    width, params = bits(name), model.fact("params")
    if name in _OTHER_BITS and width < bits("bf16"):
        kept = min(params, embedding_params(model) + untied_params(model))
        return ((params - kept) * width + kept * bits("bf16")) / 8
    if name in _GGUF_BITS and ("_k" in name or name.startswith("iq")) and model.fact("hidden") % _SUPERBLOCK:
        width = max(width, _FALLBACK[name.partition("_")[0]])
    return params * width / 8


def kv_cache_bytes(model: Type, tokens: float, batch: float = 1, width: float = 2) -> float:
    """Bytes of the key and value cache of ``batch`` sequences of ``tokens``, ``width`` bytes a number.

    2 · layers · kv_heads · head_dim · width · tokens · batch. Source: Hugging Face blog, KV cache quantization.
    """
    return 2 * model.fact("layers") * _linears(model)["k_proj"][1] * width * tokens * batch


# --- seconds


def _flops(m: Machine, precision: str) -> tuple[float, bool]:
    """(peak matrix product, whether bf16 instructions do it) for weights stored in ``precision``."""
    if m.gpus:
        return (m.flops_fp32 if precision == "fp32" else max(m.flops_bf16, m.flops_fp32)), precision != "fp32"
    if precision == "bf16":
        return m.flops_bf16, m.bf16_is_native
    # CPUs convert fp16 on the way: bf16 instructions do not help it.
    return m.flops_fp32, False


def _read_per_token(model: Type, weight_bytes: float) -> float:
    """Bytes of ``weight_bytes`` that one token reads: all but the input embedding of an untied model."""
    params = model.fact("params")
    return weight_bytes * (1 - untied_params(model) / params) if params else weight_bytes


def prefill_seconds(model: Type, tokens: float, m: Machine, precision: str, efficiency: float | None = None) -> float:
    """Seconds to read a prompt of ``tokens``: 2·N·T FLOPs for the layers, 2·L·d·T² for attention.

    ``efficiency`` is the share of the machine's peak matrix product that is reached (default: by device and
    precision). The vocabulary matrices do not count: the head runs for the last token only.
    """
    name = precision.lower()
    peak, fast = _flops(m, name)
    if efficiency is None:
        if m.gpus:
            efficiency = _PREFILL_GPU * (_PREFILL_UNPACKING if is_quantized(name) else 1.0)
        elif is_quantized(name):
            efficiency = _PREFILL_QUANTIZED
        else:
            efficiency = _PREFILL_BF16 if fast else _PREFILL_FP32
    layers = max(0.0, model.fact("params") - embedding_params(model) - untied_params(model))
    attention = 2 * model.fact("layers") * model.fact("hidden") * tokens**2
    return (2 * layers * tokens + attention) / (efficiency * peak)


def decode_seconds(
    model: Type,
    tokens: float,
    m: Machine,
    weight_bytes: float,
    overhead_seconds: float = 0.0,
    efficiency: float | None = None,
    context: float = 0.0,
) -> float:
    """Seconds to generate ``tokens`` one after another: bound by memory bandwidth.

    t = overhead + weight_bytes / (efficiency · bandwidth) + KV bytes / (half of that), per token. ``weight_bytes`` are
    the model's stored bytes, ``overhead_seconds`` what the runtime spends per token beside reading weights,
    ``context`` the mean number of tokens in the cache. ``efficiency`` defaults to the device's share of its copy
    bandwidth, less for fewer bits per weight.
    """
    params = model.fact("params")
    if efficiency is None:
        stored = 8 * weight_bytes / params if params else 16.0
        efficiency = (_DECODE_GPU if m.gpus else _DECODE_CPU) * interpolate(_DECODE_BY_BITS, stored)
    read = _read_per_token(model, weight_bytes) / (efficiency * m.bandwidth)
    cache = kv_cache_bytes(model, context) / (_KV_SHARE * efficiency * m.bandwidth)
    return tokens * (overhead_seconds + read + cache)


def interpolate(table: tuple[tuple[float, float], ...], x: float) -> float:
    """Piecewise linear through ``table``, flat beyond its ends."""
    if x <= table[0][0]:
        return table[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(table):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return table[-1][1]


def eager_overhead(model: Type, m: Machine) -> float:
    """Seconds per token that eager PyTorch adds to decoding (``overhead_seconds`` of ``decode_seconds``)."""
    return model.fact("layers") * (_EAGER_GPU if m.gpus else _EAGER_CPU)


def train_seconds(
    params: float, trainable: float, tokens: float, m: Machine, precision: str, efficiency: float | None = None
) -> float:
    """Seconds to train on ``tokens`` (all tokens over all epochs).

    Full training takes 6·N FLOPs per token (2 forward, 4 backward); adapters 4·N + 6·N_adapter, because the frozen
    weights need no gradient of their own. Sources: Transformer Math 101; Thinking Machines, LoRA Without Regret
    (slightly more than two thirds).
    """
    peak, fast = _flops(m, precision.lower())
    if efficiency is None:
        efficiency = _TRAIN_GPU if m.gpus else (_TRAIN_BF16 if fast else _TRAIN_FP32)
    per_token = 6 * params if trainable >= params else 4 * params + 6 * trainable
    return per_token * tokens / (efficiency * peak)


def train_peak_bytes(
    model: Type,
    trainable: float,
    batch_tokens: float,
    sequence: float,
    precision: str,
    checkpointing: bool = False,
    logit_tokens: float | None = None,
) -> float:
    """Peak memory of training ``trainable`` parameters with ``batch_tokens`` tokens in sequences of ``sequence``.

    Worker + weights + 16 bytes per trained parameter (18 with a 16-bit copy) + activations + logits. ``logit_tokens``
    are the positions whose logits exist at once (default: all of the batch; less where the loss looks only at
    answers or runs in chunks). On a GPU the worker's own memory is not on the device: subtract ``WORKER_BYTES``.
    """
    params = model.fact("params")
    name = precision.lower()
    width = 4.0 if name == "fp32" else 2.0
    if trainable >= params:
        weights = params * (_ADAM_BYTES if name == "fp32" else _MIXED_BYTES)
    else:
        weights = model_bytes(model, name) + trainable * _ADAM_BYTES
    activations = activation_bytes(model, batch_tokens, width, checkpointing=checkpointing)
    logits = (batch_tokens if logit_tokens is None else logit_tokens) * model.fact("vocab") * 4 * _LOGIT_COPIES
    mask = batch_tokens * sequence * width
    return WORKER_BYTES + weights + activations + logits + mask


def activation_bytes(model: Type, batch_tokens: float, width: float, *, checkpointing: bool = False) -> float:
    """Bytes of the activations kept for the backward pass; ``width`` bytes a number.

    Without recomputation per token and layer: norms, projections and their adapters (21 · hidden), gate, up, their
    product and its inputs (5 · ffn); fused attention keeps no weights. With checkpointing the layers' inputs
    and one layer's activations. Source: Korthikanti et al., arXiv:2205.05198, with SwiGLU and LoRA counted as
    transformers keeps them.
    """
    hidden, layers = model.fact("hidden"), model.fact("layers")
    layer = batch_tokens * width * (21 * hidden + 5 * model.fact("ffn"))
    return batch_tokens * width * hidden * layers + layer if checkpointing else layers * layer


def lora_params(model: Type, rank: int, targets: str = "all-linear") -> float:
    """Parameters of a LoRA adapter: rank · (inputs + outputs) of every adapted projection of every layer.

    ``targets``: ``all-linear``, ``attention``, ``mlp``, or names joined by commas (``q_proj,v_proj``). Source: LoRA,
    arXiv:2106.09685.

    Raises:
        InputError: a name that is no projection of the layer.

    """
    shapes = _linears(model)
    groups = {
        "all-linear": tuple(shapes),
        "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
        "mlp": ("gate_proj", "up_proj", "down_proj"),
    }
    names = groups.get(targets) or tuple(t.strip() for t in targets.split(",") if t.strip())
    unknown = [n for n in names if n not in shapes]
    if unknown or not names:
        raise InputError(
            f"unknown projections {', '.join(unknown) or targets!r}", f"use {', '.join([*groups, *shapes])}"
        )
    return model.fact("layers") * rank * sum(sum(shapes[n]) for n in names)


def embed_seconds(embedder: Type, tokens: float, m: Machine) -> float:
    """Seconds to embed ``tokens`` in batches: 2·N FLOPs a token, N without the embedding table."""
    params = max(0.0, embedder.fact("params") - embedding_params(embedder))
    efficiency = _PREFILL_GPU if m.gpus else _EMBED_CPU
    return 2 * params * tokens / (efficiency * _flops(m, "fp32")[0])
