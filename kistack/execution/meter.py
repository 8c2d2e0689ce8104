"""What a step costs: resident memory, processor time, and the threads it may use."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from kistack.plugins.memory import high_water_bytes

_CLEAR_REFS = Path("/proc/self/clear_refs")
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_VMSTAT = Path("/proc/vmstat")
_SAMPLE_SECONDS = 0.05


class PeakMemory:
    """The largest resident memory of this process, in bytes, between entering and leaving.

    On Linux the kernel's own high-water mark is reset and read (``proc_pid_clear_refs(5)``), so no peak is missed
    and what came before does not count; ``ru_maxrss`` would not do, for it starts at what the parent had. Elsewhere
    a thread samples.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._sampler: threading.Thread | None = None

    def __enter__(self) -> Self:
        if not (_reset_high_water() and high_water_bytes()):
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._sampler is None:
            self.bytes = high_water_bytes()
            return
        self._stop.set()
        self._sampler.join()

    def _sample(self) -> None:
        process = psutil.Process()
        while True:
            self.bytes = max(self.bytes, process.memory_info().rss)
            if self._stop.wait(_SAMPLE_SECONDS):
                self.bytes = max(self.bytes, process.memory_info().rss)
                return


def _reset_high_water() -> bool:
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """A process and its descendants now: processor seconds, bytes read and written, and the descendants' memory."""

    cpu_seconds: float
    io_bytes: int
    child_bytes: int


def resident_bytes() -> int:
    """Resident memory of this process now; 0 where the system does not say."""
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process().memory_info().rss)
    return 0


def tree_usage(pid: int) -> TreeUsage | None:
    """What a process and its descendants have used; None when it is gone."""
    try:
        root = psutil.Process(pid)
        children = root.children(recursive=True)
    except psutil.Error:
        return None
    cpu, moved, memory = 0.0, 0, 0
    for process in (root, *children):
        with contextlib.suppress(psutil.Error), process.oneshot():
            times = process.cpu_times()
            cpu += times.user + times.system
            if process is not root:
                memory += process.memory_info().rss
            if hasattr(process, "io_counters"):
                counters = process.io_counters()
                moved += counters.read_bytes + counters.write_bytes
    return TreeUsage(cpu, moved, memory)


def available_threads() -> int:
    """Threads for arithmetic: the physical cores this process may use, never more than its processor quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or allowed
    return max(1, min(allowed, physical, _quota()))


def _quota() -> int:
    """Whole processors that the control group grants; a large number where it sets no limit."""
    with contextlib.suppress(OSError, ValueError):
        granted, period = _CPU_MAX.read_text().split()
        if granted != "max":
            return max(1, math.ceil(int(granted) / int(period)))
    return 1 << 16


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since it started; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in _VMSTAT.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
