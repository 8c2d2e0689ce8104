"""GPUs as their drivers name them: NVIDIA (its library, else its tool), AMD (its tool, else the system), Apple."""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits")
_ROCM = ("rocm-smi", "--showproductname", "--showuniqueid", "--showmeminfo", "vram", "--json")
_MIB, _GIB = 1024**2, 1024**3
_PATIENCE = 20
_AMD = "0x1002"
#: What a processor with graphics keeps for them; a GPU with less memory of its own runs no language model.
_LEAST = 2 * _GIB
#: Metal lets a program use two thirds of the memory up to 36 GB, three quarters beyond. Source: recommendedMaxWorking-
#: SetSize as llama.cpp prints it on M-series machines (10.67 GiB of 16, 48 GiB of 64).
_METAL_SHARE, _METAL_LARGE, _METAL_SHARE_LARGE = 2 / 3, 36e9, 3 / 4


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its name and memory in bytes; ``unified`` where the processor uses the same memory."""

    index: str
    uuid: str
    name: str
    total: int
    free: int
    unified: bool = False


def list_gpus(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> list[Gpu]:
    """The GPUs this process may use, of the first maker whose driver lists any; none where there is no driver."""
    nvidia = visible(ask_nvml() or ask_nvidia_smi(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if nvidia:
        return nvidia
    # HIP takes CUDA's variable too where its own is unset.
    names = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
    selection = next((os.environ[n] for n in names if n in os.environ), None)
    amd = visible(ask_rocm_smi() or read_amdgpu(sys, dev), selection)
    return amd or ask_metal()


def has_driver(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> bool:
    """Whether asking for GPUs is worth the time: a driver's files, tool or library are there."""
    if _is_apple() or any(shutil.which(q[0]) for q in (_QUERY, _ROCM)):
        return True
    return any((dev / name).exists() for name in ("nvidiactl", "kfd")) or (sys / "module/nvidia").exists()


def visible(gpus: list[Gpu], selection: str | None) -> list[Gpu]:
    """Those that a variable such as ``CUDA_VISIBLE_DEVICES`` leaves: all when unset, up to the first unknown one."""
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


def _answer(command: tuple[str, ...]) -> str:
    """What a tool prints; empty where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


# --- NVIDIA


def ask_nvml() -> list[Gpu]:
    """GPUs by nvidia-ml-py; none where it is not installed, finds no driver, or fails."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_nvml_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _nvml_gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        sizes = int(memory.total), int(memory.free)
    except nvml.NVMLError:
        # Integrated ones (Jetson, GB10) share the processor's memory and report none of their own.
        return Gpu(str(index), _text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle)), *_shared())
    return Gpu(str(index), _text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle)), *sizes)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _shared() -> tuple[int, int, bool]:
    """Total, free and ``unified`` of a GPU that uses the processor's memory."""
    seen = psutil.virtual_memory()
    return int(seen.total), int(seen.available), True


def ask_nvidia_smi() -> list[Gpu]:
    """GPUs by ``nvidia-smi``."""
    return parse_nvidia_smi(_answer(_QUERY))


def parse_nvidia_smi(text: str) -> list[Gpu]:
    """GPUs in its answer; one without figures of memory (as integrated ones report) has the processor's."""
    found: list[Gpu] = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != 5:  # noqa: PLR2004 - the five columns asked for
            continue
        index, uuid, name, total, free = (cell.strip() for cell in row)
        if total.isdigit() and free.isdigit():
            found.append(Gpu(index, uuid, name, int(total) * _MIB, int(free) * _MIB))
        else:
            found.append(Gpu(index, uuid, name, *_shared()))
    return found


# --- AMD


def ask_rocm_smi() -> list[Gpu]:
    """GPUs by ``rocm-smi``."""
    return parse_rocm_smi(_answer(_ROCM))


def parse_rocm_smi(text: str) -> list[Gpu]:
    """GPUs in its JSON answer ``{card0: {field: text}}``; the names of its fields differ between releases."""
    try:
        document = json.loads(text)
    except ValueError:
        return []
    if not isinstance(document, Mapping):
        return []
    found: list[Gpu] = []
    for card, fields in document.items():
        index = card.removeprefix("card")
        if not index.isdigit() or not isinstance(fields, Mapping):
            continue
        lower = {str(name).lower(): str(value) for name, value in fields.items()}
        total, used = (_integer(lower.get(f"vram total {what}(b)", "")) for what in ("memory ", "used memory "))
        names = (lower.get(name, "") for name in ("card series", "card model", "device name"))
        name = next((n for n in names if n and not n.startswith("0x")), "AMD GPU")
        if total >= _LEAST:
            found.append(Gpu(index, lower.get("unique id", ""), name, total, max(0, total - used)))
    return sorted(found, key=lambda gpu: int(gpu.index))


def read_amdgpu(sys: Path, dev: Path) -> list[Gpu]:
    """GPUs as the amdgpu driver lists them in ``/sys``, where ROCm's own device is there."""
    if not (dev / "kfd").exists():
        return []
    found: list[Gpu] = []
    for folder in sorted((sys / "class/drm").glob("card[0-9]*/device"), key=lambda f: _integer(f.parent.name[4:])):
        if _read(folder / "vendor") != _AMD:
            continue
        total, used = (_integer(_read(folder / f"mem_info_vram_{what}")) for what in ("total", "used"))
        if total >= _LEAST:
            name = _read(folder / "product_name") or f"AMD GPU {_read(folder / 'device')}"
            found.append(Gpu(str(len(found)), _read(folder / "unique_id"), name, total, max(0, total - used)))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _integer(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


# --- Apple


def _is_apple() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


def ask_metal() -> list[Gpu]:
    """The GPU of an Apple processor: it shares the memory, of which Metal grants a part."""
    if not _is_apple():
        return []
    seen = psutil.virtual_memory()
    share = _METAL_SHARE if seen.total <= _METAL_LARGE else _METAL_SHARE_LARGE
    free = min(int(seen.available), int(seen.total * share))
    name = _answer(("sysctl", "-n", "machdep.cpu.brand_string")).strip() or "Apple GPU"
    return [Gpu("0", "", name, int(seen.total), free, unified=True)]
