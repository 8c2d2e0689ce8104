"""Machines other than this one: by name, stated in the scenario, or described by a file that was exported there."""

from __future__ import annotations

import hashlib
import json

from kistack.domain.devices import Preset, find_preset
from kistack.domain.facts import Value, assumed, declared
from kistack.domain.machine import Device
from kistack.profiling.cache import Facts
from kistack.profiling.hardware import bf16_flops, read_machine
from kistack.units import format_size

#: The part of a machine's memory that its own system and other programs keep, where only the whole is stated.
_OTHERS_SHARE = 0.2

#: Facts of a preset and their units.
_PRESET = (
    ("cores", ""),
    ("ram_total", "B"),
    ("ram_free", "B"),
    ("disk_free", "B"),
    ("gpus", ""),
    ("gpu_total", "B"),
    ("gpu_free", "B"),
    ("bandwidth", "B/s"),
    ("flops_fp32", "FLOP/s"),
    ("flops_bf16", "FLOP/s"),
    ("flops_int8", "FLOP/s"),
    ("price_per_hour", "USD/h"),
    ("platform", ""),
    ("unified", ""),
)

#: Words by which a source may name facts of the table that it is for.
_TOPICS = {
    "cores": {"cores", "machine", "machine around it"},
    "isa": {"isa", "cores", "machine", "machine around it"},
    "ram_total": {"memory", "machine", "machine around it"},
    "ram_free": {"free", "machine", "machine around it"},
    "disk_free": {"free", "machine", "machine around it"},
    "gpu_free": {"free"},
    "price_per_hour": {"price"},
    "unified": {"free"},
}

_STATED = (  # field of Device, fact, unit
    ("ram", "ram_total", "B"),
    ("ram_free", "ram_free", "B"),
    ("disk", "disk_free", "B"),
    ("cores", "cores", ""),
    ("bandwidth", "bandwidth", "B/s"),
    ("flops_fp32", "flops_fp32", "FLOP/s"),
    ("flops_bf16", "flops_bf16", "FLOP/s"),
    ("flops_int8", "flops_int8", "FLOP/s"),
    ("gpus", "gpus", ""),
    ("gpu_memory", "gpu_free", "B"),
    ("price_per_hour", "price_per_hour", "USD/h"),
    ("platform", "platform", ""),
)


def machine_facts(device: Device, this: Facts, name: str) -> Facts:
    """The facts of a device, without a section's prefix; ``name`` is its key in the scenario (``serve_on``).

    Nothing stated: this machine. A preset or a file: its facts. Stated values go over those; without either, what
    decides speed and is not stated is taken from this machine and says so, and memory and disk stay unknown.

    Raises:
        InputError: the file is missing or was not exported by kistack.

    """
    if device.is_this:
        return dict(this)
    if device.preset is not None:
        facts = preset_facts(find_preset(device.preset))
    elif device.profile is not None:
        facts = read_machine(device.profile)
    else:
        facts = _like_this(device, this, name)
    if device.gpus == 0 and _has_gpu(facts):
        facts = _processor_alone(facts)
    for field, fact, unit in _STATED:
        value: Value = getattr(device, field)
        if value is not None:
            facts[fact] = declared(value, f"{name}.{field} in the scenario", unit)
    if device.isa is not None:
        facts["isa"] = declared(",".join(device.isa), f"{name}.isa in the scenario")
    if device.ram is not None and device.ram_free is None:
        free = int(device.ram * (1 - _OTHERS_SHARE))
        why = f"{1 - _OTHERS_SHARE:.0%} of the {format_size(device.ram)} stated: the rest is the system's"
        facts["ram_free"] = assumed(free, why, "B")
    if device.flops_fp32 is not None and device.flops_bf16 is None and not _has_gpu(facts):
        facts["flops_bf16"] = bf16_flops(str(facts["isa"].value), device.flops_fp32)
    stated = [[n, f.value] for n, f in sorted(facts.items()) if n not in {"ram_free", "disk_free", "fingerprint"}]
    fingerprint = hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:16]
    facts["fingerprint"] = declared(fingerprint, f"hash of what {name} states")
    return facts


def _has_gpu(facts: Facts) -> bool:
    return "gpus" in facts and bool(facts["gpus"].value)


def _processor_alone(facts: Facts) -> Facts:
    """A machine without its GPUs: what stands under plain names are their speeds, beside it the processor's."""
    kept = {n: f for n, f in facts.items() if not n.startswith(("gpu", "flops", "bandwidth", "cpu_", "unified"))}
    return kept | {n.removeprefix("cpu_"): f for n, f in facts.items() if n.startswith("cpu_")}


def preset_facts(preset: Preset) -> Facts:
    """The facts of a machine of the shipped table: assumed, with its sources as the reason."""
    facts: Facts = {"isa": assumed(",".join(preset.isa), _sources_of(preset, "isa"))}
    for fact, unit in _PRESET:
        value: Value = getattr(preset, fact)
        if value is not None:
            exact = int(value) if unit == "B" and isinstance(value, float) else value
            facts[fact] = assumed(exact, _sources_of(preset, fact), unit)
    return facts


def _sources_of(preset: Preset, fact: str) -> str:
    """What the table says of a fact: sources that name it before a colon, else those that name no fact at all."""
    topics = _TOPICS.get(fact, {fact, fact.partition("_")[0]})
    named = [(set(source.partition(":")[0].split(", ")), source) for source in preset.sources]
    known = set().union(*_TOPICS.values(), {name for name, _ in _PRESET}, {"flops"})
    general = [source for words, source in named if not words & known]
    chosen = [source for words, source in named if words & topics] or general
    rest = ["less what system and framework take"] if fact.endswith("_free") and chosen == general else []
    return f"{preset.title}: {'; '.join([*(chosen or preset.sources), *rest])}"


def _like_this(device: Device, this: Facts, name: str) -> Facts:
    """What decides speed, taken from this machine; matrix products grow with the stated cores."""
    facts: Facts = {"gpus": assumed(0, f"{name} states no GPU")}
    if _has_gpu(this):
        this = _processor_alone(this)
    scale = (device.cores or 1) / float(this["cores"].value or 1) if device.cores else 1.0
    for fact in ("cores", "isa", "bandwidth", "flops_fp32", "flops_bf16", "flops_int8", "platform"):
        if fact not in this:
            continue
        value, why = this[fact].value, f"not stated by {name}: as on this machine"
        if fact.startswith("flops") and scale != 1 and isinstance(value, int | float):
            value, why = float(f"{value * scale:.3g}"), f"{why}, times {scale:g} for its cores"
        facts[fact] = assumed(value, why, this[fact].unit)
    return facts
