"""GPUs as ``nvidia-smi`` names them, with bandwidth and throughput from data sheets."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources

from kistack.domain.facts import Fact, assumed, measured
from kistack.profiling.cache import Cache, Facts
from kistack.units import format_size

#: Asking the driver takes up to seconds where it is not kept loaded; free memory changes in minutes.
_KEPT_SECONDS = 300
_QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits")
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its name and memory in bytes."""

    index: str
    uuid: str
    name: str
    total: int
    free: int


def list_gpus() -> list[Gpu]:
    """The GPUs this process may use; none where there is no driver."""
    if shutil.which(_QUERY[0]) is None:
        return []
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return visible(parse(done.stdout), os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse(text: str) -> list[Gpu]:
    """GPUs in the answer of ``nvidia-smi``; those without memory figures (as some report) count as empty."""
    found: list[Gpu] = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != 5:  # noqa: PLR2004 - the five columns asked for
            continue
        index, uuid, name, total, free = (cell.strip() for cell in row)
        sizes = [int(cell) * _MIB if cell.isdigit() else 0 for cell in (total, free)]
        found.append(Gpu(index, uuid, name, *sizes))
    return found


def visible(gpus: list[Gpu], selection: str | None) -> list[Gpu]:
    """Those that ``CUDA_VISIBLE_DEVICES`` leaves: all when it is unset, up to the first unknown one when set."""
    if selection is None:
        return gpus
    chosen: list[Gpu] = []
    for name in selection.split(","):
        match = next(
            (g for g in gpus if name.strip() and (g.index == name.strip() or g.uuid.startswith(name.strip()))), None
        )
        if match is None:
            break
        chosen.append(match)
    return chosen


def gpu_facts(cache: Cache, now: float) -> Facts:
    """``gpus`` and, where there are any, ``gpu_free`` and the speeds of one as ``gpu_bandwidth``, ``gpu_flops_…``."""
    if shutil.which(_QUERY[0]) is None:
        return {"gpus": measured(0, "no NVIDIA driver found")}
    key = [int(now // _KEPT_SECONDS), os.environ.get("CUDA_VISIBLE_DEVICES")]
    return cache.facts("gpus", key, lambda: describe(list_gpus()))


def describe(gpus: list[Gpu]) -> Facts:
    """Facts of these GPUs. Memory is never summed: a model must fit on the one with the least free."""
    if not gpus:
        return {"gpus": measured(0, "the driver lists no GPU this process may use")}
    names = ", ".join(g.name for g in gpus)
    free = ", ".join(format_size(g.free, 3) for g in gpus)
    facts: dict[str, Fact] = {
        "gpus": measured(len(gpus), names),
        "gpu_free": measured(min(g.free for g in gpus), f"free on the fullest one, of {free}", "B"),
    }
    known = next((row for row in _table() if re.search(rf"\b{re.escape(row['match'])}\b", gpus[0].name)), None)
    if known is not None:
        for column, unit in (("bandwidth", "B/s"), ("flops_fp32", "FLOP/s"), ("flops_bf16", "FLOP/s")):
            facts[f"gpu_{column}"] = assumed(float(known[column]), f"{gpus[0].name}: {known['source']}", unit)
    return facts


def _table() -> list[dict[str, str]]:
    text = resources.files("kistack.data").joinpath("gpus.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
