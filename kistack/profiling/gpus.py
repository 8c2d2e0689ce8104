"""Facts of GPUs: each by itself, with bandwidth and throughput from data sheets. Memory is never summed."""

from __future__ import annotations

import csv
import os
import re
from importlib import resources

from kistack.domain.facts import assumed, measured
from kistack.profiling.cache import Cache, Facts
from kistack.profiling.drivers import Gpu, has_driver, list_gpus
from kistack.units import format_size

#: Asking the driver takes up to seconds where it is not kept loaded; free memory changes in minutes.
_KEPT_SECONDS = 300
#: Free memory is rounded down to this: smaller differences are noise, not facts.
_GRAIN = 64 * 1024**2
_SPEEDS = (("bandwidth", "B/s"), ("flops_fp32", "FLOP/s"), ("flops_bf16", "FLOP/s"), ("flops_int8", "FLOP/s"))


def gpu_facts(cache: Cache, now: float) -> Facts:
    """``gpus`` and, where there are any, what ``describe`` says of them. Free memory is read every few minutes."""
    if not has_driver():
        return {"gpus": measured(0, "no driver of a GPU found")}
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    key = [int(now // _KEPT_SECONDS), [os.environ.get(name) for name in names]]
    return cache.facts("gpus", key, lambda: describe(list_gpus()))


def describe(gpus: list[Gpu]) -> Facts:
    """Facts of these GPUs.

    ``gpu0_name``, ``gpu0_total``, ``gpu0_free`` and so on for each; ``gpu_total`` and ``gpu_free`` are of the one with
    the least free memory, on which a model must fit; ``gpu_bandwidth`` and ``gpu_flops_…`` of the first.
    """
    if not gpus:
        return {"gpus": measured(0, "the driver lists no GPU this process may use")}
    facts: Facts = {"gpus": measured(len(gpus), ", ".join(g.name for g in gpus))}
    for number, gpu in enumerate(gpus):
        why = "the processor's memory, which it shares" if gpu.unified else "as its driver says"
        facts[f"gpu{number}_name"] = measured(gpu.name, f"index {gpu.index}" + (f", {gpu.uuid}" if gpu.uuid else ""))
        facts[f"gpu{number}_total"] = measured(gpu.total, why, "B")
        facts[f"gpu{number}_free"] = measured(_rounded(gpu.free), f"{why}, now", "B")
    if any(gpu.unified for gpu in gpus):
        facts["unified"] = measured(True, "GPU and processor use one memory")
    fullest = min(gpus, key=lambda g: g.free)
    every = ", ".join(format_size(g.free, 3) for g in gpus)
    facts["gpu_total"] = measured(fullest.total, f"of the fullest one, {fullest.name}", "B")
    facts["gpu_free"] = measured(_rounded(fullest.free), f"free on the fullest one, of {every}", "B")
    return facts | _speeds(gpus[0].name)


def _rounded(size: int) -> int:
    return size if size < _GRAIN else size // _GRAIN * _GRAIN


def _speeds(name: str) -> Facts:
    """What the data sheet of the GPU of that name says."""
    row = next((row for row in _table() if re.search(rf"\b{re.escape(row['match'])}\b", name)), None)
    if row is None:
        return {}
    return {f"gpu_{n}": assumed(float(row[n]), f"{name}: {row['source']}", unit) for n, unit in _SPEEDS if row[n]}


def _table() -> list[dict[str, str]]:
    text = resources.files("kistack.data").joinpath("gpus.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
