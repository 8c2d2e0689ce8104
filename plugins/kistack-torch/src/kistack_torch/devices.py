"""Which device computes, in which number format, with how many threads, and why."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import psutil
import torch

from kistack.errors import InputError

#: Names of number formats as they stand in settings, and what torch calls them.
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def available_devices() -> tuple[str, ...]:
    """Device kinds usable here, fastest first; ``cpu`` is always the last."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, "cpu")


def choose_device(wanted: str = "auto") -> str:
    """The device kind to compute on: ``cuda``, ``mps`` or ``cpu``.

    Raises:
        InputError: ``wanted`` names a device that is not usable here.

    """
    usable = available_devices()
    if wanted == "auto":
        return usable[0]
    if wanted not in usable:
        raise InputError(f"device {wanted!r} is not usable on this machine", f"use one of: auto, {', '.join(usable)}")
    return wanted


def choose_dtype(device: str, wanted: str = "auto") -> tuple[torch.dtype, str]:
    """The number format to compute in, and the reason in one sentence.

    ``wanted`` is ``auto``, ``fp32``, ``bf16`` or ``fp16``. ``auto`` takes bf16 where the device multiplies it in
    hardware (on CPUs: AVX512-BF16 or AMX; emulated bf16 is slower than fp32), fp16 on Apple GPUs, else fp32.

    Raises:
        InputError: an unknown format.

    """
    if wanted != "auto":
        if wanted not in DTYPES:
            raise InputError(f"number format {wanted!r} is unknown", f"use one of: auto, {', '.join(DTYPES)}")
        return DTYPES[wanted], f"{wanted} because the settings ask for it"
    if device == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16, "bf16 because this GPU multiplies it in hardware"
        return torch.float16, "fp16 because this GPU has no bf16 units"
    if device == "mps":
        return torch.float16, "fp16 because Apple GPUs multiply it in hardware"
    return _choose_cpu_dtype()


def _choose_cpu_dtype() -> tuple[torch.dtype, str]:
    able = torch.cpu.get_capabilities()
    for feature, label in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16"), ("arm_bf16", "Arm BF16")):
        if able.get(feature):
            return torch.bfloat16, f"bf16 because this CPU multiplies it in hardware ({label})"
    return torch.float32, "fp32 because this CPU would emulate bf16, which is slower"


def dtype_name(dtype: torch.dtype) -> str:
    """``fp32``, ``bf16`` or ``fp16``; torch's own name for any other."""
    return next((name for name, known in DTYPES.items() if known == dtype), str(dtype).removeprefix("torch."))


def threads() -> int:
    """How many CPU cores this process may use (its affinity mask, not the machine's total)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


#: Where Linux says how much memory a container may take and has taken (cgroup version 2).
_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: str = "cpu") -> float:
    """Bytes that a model may still take on ``device``: of a GPU's memory, else of the machine's or the container's."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    free = float(psutil.virtual_memory().available)
    limit, used = (_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit is None or used is None:
        return free
    return min(free, limit - used + (_cached(_CGROUP / "memory.stat") or 0.0))


def _number(path: Path) -> float | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return float(text) if text.isdigit() else None  # "max" means no limit


def _cached(path: Path) -> float | None:
    """Bytes of file cache that counts as used but is given up when asked for."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("inactive_file ")), None)


def set_deterministic(seed: int) -> None:
    """Make everything that follows in this process repeatable: seeds, kernels, and the number of threads.

    Sums over threads depend on how many there are, so the same bytes are promised for the same number of cores.
    """
    # cuBLAS reads it when its handle is made: it must stand before the first product on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries below draw from the global generator
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads())
