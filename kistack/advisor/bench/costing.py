"""What a published option costs on the machines its comparison names, and which stated limits it breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kistack.advisor.bench.comparisons import Comparison, MachineFacts
from kistack.advisor.bench.options import GIB, Read, adapter_params, shape_of
from kistack.advisor.effects import EffectTable
from kistack.domain.advice import Rejection
from kistack.domain.devices import find_preset
from kistack.domain.records import Estimate
from kistack.errors import InputError
from kistack.plugins import costs
from kistack.plugins.costs import Machine
from kistack.units import format_size

#: Where a comparison names no machine, or only a kind of one.
_USUAL, _CPU, _PHONE = "a100-80", "server-16", "phone"
#: Machines that nobody outgrows: a service, or as many GPUs as it takes.
_UNBOUNDED = frozenset({"api", "cluster", "tpu"})
#: Tokens of a question, of three passages, of an answer, and of a whole corpus in the prompt where nobody says.
_QUESTION, _PASSAGES, _ANSWER, _CORPUS = 60.0, 400.0, 64.0, 50_000.0
#: Tokens computed at once in training, in sequences of 2,048.
_BATCH_TOKENS = 4096.0
#: An option has less of something than the base where it takes at most this share of it.
_LESS = 0.9
#: Memory in use beside the weights (EleutherAI, Transformer Math 101: about 1.2 times the weights).
_BESIDE = 1.2
_MILLI = 1e-3


def machine_of(facts: MachineFacts | None, *, training: bool = False) -> Machine:
    """The machine that a comparison names; a usual one where it names none."""
    device = (facts.device if facts is not None else None) or _USUAL
    plain = {"cpu": _CPU, "phone": _PHONE, "gpu": _USUAL}.get(device, device)
    try:
        preset = find_preset(plain)
    except InputError:
        preset = find_preset(_USUAL)
    memory = math.inf if device in _UNBOUNDED else preset.gpu_free or preset.ram_free
    if device.startswith("gpu-"):
        digits = "".join(c for c in device if c.isdigit())
        memory = float(digits) * GIB if digits else memory
    if facts is not None and facts.memory_gib:
        memory = facts.memory_gib * GIB
    count = max(1.0, facts.count or 1.0) if facts is not None else 1.0
    if device == "gpu" or facts is None or facts.device is None or (training and facts.count is None):
        memory = math.inf  # which one, or how many, is not said: that is not held against an option
    return Machine(
        cores=preset.cores,
        ram_free=preset.ram_free if preset.gpus else memory,
        bandwidth=preset.bandwidth,
        flops_fp32=preset.flops_fp32,
        flops_bf16=preset.flops_bf16 or preset.flops_fp32,
        gpus=preset.gpus,
        gpu_free=memory * count if preset.gpus else 0.0,
    )


def estimate_of(row: Comparison, read: Read, table: EffectTable) -> Estimate:
    """Costs of an option: answering and memory where it serves, time and memory where it trains, bytes."""
    figures = {name: p.value for name, p in table.priors.items()}
    serve, train = machine_of(row.facts.serve_on), machine_of(row.facts.train_on, training=True)
    size = read.model.fact("params") * read.bits / 8
    seconds, peak = _training(read, train)
    return Estimate(
        {
            "seconds": seconds,
            "peak_bytes": peak,
            "bytes": size,
            "latency_seconds": _latency(row, read, serve, figures),
            "serving_peak_bytes": _BESIDE * size,
            "money": 0.0,
        }
    )


def _latency(row: Comparison, read: Read, m: Machine, v: Mapping[str, float]) -> float:
    lookup = read.features.lookup if read.features.passages else ""
    corpus = row.facts.corpus.tokens if row.facts.corpus is not None else None
    added = {"always": _PASSAGES, "gated": 0.6 * _PASSAGES, "everything": corpus or _CORPUS}.get(lookup, 0.0)
    method = next((c.method for c in read.features.changes if c.kind == "quantize"), "")
    size = read.model.fact("params") * read.bits / 8
    reading = costs.prefill_seconds(read.model, _QUESTION + added, m, "bf16" if m.gpus else "fp32")
    if read.features.encoder:
        # No token is generated; integer arithmetic is what speeds an encoder up on a processor.
        return reading / (v["dynamic_speedup"] if method == "dynamic" and not m.gpus else 1.0)
    overhead = 2.9 * _MILLI if m.gpus else 0.0
    if m.gpus and read.bits < 16:  # noqa: PLR2004 - fewer bits are unpacked by further kernels
        overhead *= 1 + v["unpacking"]
    writing = costs.decode_seconds(read.model, _ANSWER, m, size, overhead)
    if method in {"dynamic", "activations"} and m.gpus:
        writing *= v["dynamic_slowdown"]
    return reading + writing


def _training(read: Read, m: Machine) -> tuple[float, float]:
    """(seconds, peak bytes) of what an option trains."""
    seconds = peak = 0.0
    for change in read.features.changes:
        if change.kind not in {"tune", "distill"}:
            continue
        params = read.model.fact("params")
        method = change.method if change.kind == "tune" else "full"
        adapts = method in {"lora", "qlora", "prefix", "ia3"}
        trained = (change.trained or adapter_params(params, 16)) if adapts else params
        precision = "nf4" if method == "qlora" else "bf16"
        low = change.objective == "low_memory_recipe"
        recipe = costs.Recipe(
            trainable=trained,
            batch_tokens=_BATCH_TOKENS,
            precision=precision,
            checkpointing=True,
            fused=True,
            optimizer="paged" if low else "adamw",
            master=not low,
            in_backward=low,
        )
        peak = max(peak, costs.training_peak_bytes(shape_of(params), recipe))
        tokens = max(change.tokens, 1e6)
        once = costs.train_seconds(params, trained, tokens, m, "bf16")
        # Unpacking four bits at every product takes time (torchtune README: 3,083 against 2,413 tokens/s).
        seconds += once * (1.28 if method == "qlora" else 1.0)
        if change.teacher:
            seconds += 2 * change.teacher * tokens / (0.45 * max(m.flops_bf16, m.flops_fp32))
    return seconds, peak


# --- limits


def rejected(row: Comparison, estimates: Sequence[Estimate], base: Estimate) -> list[list[Rejection]]:
    """The limits that each option breaks.

    A number is compared. A limit that is only called tight says that what the untouched base takes is too much: options
    that take about as much of it are rejected, where there are others.
    """
    limits = row.facts.limits
    found = [_over_numbers(row, e) for e in estimates]
    for name, value in (
        ("latency_seconds", limits.latency_ms),
        ("bytes", limits.bytes_gib),
        ("serving_peak_bytes", limits.memory_gib),
        ("latency_seconds", limits.cost),
    ):
        if value is None or value is False or (isinstance(value, float) and not isinstance(value, bool)):
            continue
        most = _LESS * base.cost(name)
        if any(e.cost(name) <= most for e in estimates):
            for rejections, e in zip(found, estimates, strict=True):
                if e.cost(name) > most:
                    rejections.append(Rejection(name, "as much as the base", "a tight limit", "take less of it"))
    return found


def _over_numbers(row: Comparison, e: Estimate) -> list[Rejection]:
    limits, found = row.facts.limits, []
    trains = e.cost("peak_bytes") > 0
    bounds = [
        ("memory", e.cost("serving_peak_bytes"), machine_of(row.facts.serve_on).memory),
        (
            "training memory",
            e.cost("peak_bytes"),
            machine_of(row.facts.train_on, training=True).memory if trains else math.inf,
        ),
    ]
    if isinstance(limits.memory_gib, float) and not isinstance(limits.memory_gib, bool):
        # A limit of memory is one of the machine the comparison is about: that which trains, where something trains.
        needed = e.cost("peak_bytes") if trains else e.cost("serving_peak_bytes")
        bounds.append(("limit of memory", needed, limits.memory_gib * GIB))
    if isinstance(limits.bytes_gib, float) and not isinstance(limits.bytes_gib, bool):
        bounds.append(("limit of size", e.cost("bytes"), limits.bytes_gib * GIB))
    if isinstance(limits.latency_ms, float) and not isinstance(limits.latency_ms, bool):
        bounds.append(("limit of latency", e.cost("latency_seconds"), limits.latency_ms * _MILLI))
    for name, needs, allowed in bounds:
        if needs > allowed:
            found.append(Rejection(name, format_size(needs, 3), format_size(allowed, 3), "allow more"))
    return found
