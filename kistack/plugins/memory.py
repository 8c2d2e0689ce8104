"""The most memory that this process held at once: of the machine, and of its GPUs."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def resident_peak_bytes() -> int:
    """Peak resident memory: where Linux tells, since it was last reset, as a worker does when it begins a step.

    Elsewhere the whole life of the process counts.
    """
    # macOS counts bytes, others kilobytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return high_water_bytes() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def high_water_bytes() -> int:
    """Peak resident memory since the system's counter was last reset; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0


#: What tensors held of each GPU when the peak was last reset.
_HELD: dict[int, int] = {}


def gpu_peak_bytes() -> int:
    """Peak memory of tensors on one GPU, of several the fullest, since ``reset_gpu_peak``; 0 where none was added.

    PyTorch's allocator counts it (``torch.cuda.max_memory_allocated``). The core does not import PyTorch: the counter
    is read where a stage has loaded it. What the driver takes for a process, about half a gigabyte, is not in it.
    """
    peaks = [(device, int(cuda.max_memory_allocated(device))) for device, cuda in _gpus_in_use()]
    return max((peak for device, peak in peaks if peak > _HELD.get(device, 0)), default=0)


def reset_gpu_peak() -> None:
    """Let the peak begin at what is held now: a worker may have computed for another step before."""
    for device, cuda in _gpus_in_use():
        cuda.reset_peak_memory_stats(device)
        _HELD[device] = int(cuda.memory_allocated(device))


def _gpus_in_use() -> list[tuple[int, Any]]:
    """(number, ``torch.cuda``) of every GPU this process may use, once anything has been computed on one."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return []
    return [(device, cuda) for device in range(cuda.device_count())]
