"""The machine kistack runs on: cores, instructions, memory, disk, measured speed, GPUs; container limits respected."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from kistack.domain.facts import Fact, assumed, measured
from kistack.errors import InputError
from kistack.profiling.cache import Cache, Facts, default_folder
from kistack.profiling.gpus import gpu_facts
from kistack.units import format_size

#: What adds to the facts of this machine, and where it may keep what it measured.
Refine = Callable[[Facts, Cache], Facts]

#: Version of an exported machine's file.
MACHINE_SCHEMA = 1

#: What bf16 instructions gain over the fp32 figure of ``speed``. AVX-512 and ARM: twice the operations per instruction,
#: measured 411 (torch) against 200 GFLOP/s (numpy) per core of a machine with AVX-512 bf16. AMX: a cautious figure, its
#: peak is higher. Without such instructions values are converted on the way, which costs about half.
BF16_GAIN, AMX_GAIN, BF16_LOSS = 2.0, 2.5, 0.5

_MIB = 1024**2
#: Free memory is rounded down to this, free disk to ten times it: smaller differences are noise, not facts.
_GRAIN = 256 * _MIB
_COPIED = 128 * _MIB
_BUSY = 0.75  # load per core above which a measurement is repeated another time
_MOST_THREADS = 64
#: Each measuring thread multiplies alone; these tell the common linear-algebra libraries to add none of their own.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_SPEEDS = ("bandwidth", "flops_fp32", "flops_bf16", "flops_int8")
_CPU_FLAGS = (
    ("avx2", {"avx2", "avx2_0"}),
    ("avx512", {"avx512f"}),
    ("vnni", {"avx512_vnni", "avx_vnni", "avx512vnni"}),
    ("bf16", {"avx512_bf16", "bf16", "feat_bf16"}),
    ("amx", {"amx_bf16", "amx_tile", "amx_int8"}),
    ("neon", {"asimd", "neon", "advsimd"}),
    ("sve", {"sve", "sve2"}),
)


@dataclass(frozen=True)
class System:
    """Where the operating system's figures are read; tests give a folder of their own."""

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")

    def text(self, path: Path) -> str:
        """A small file's text, empty where there is none."""
        try:
            return path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def limits(self, controller: str, name: str) -> list[str]:
        """The values of a cgroup file in this process's group and those above it (version 2, then 1)."""
        found: list[str] = []
        for line in self.text(self.proc / "self/cgroup").splitlines():
            _, names, group = [*line.split(":", 2), "", ""][:3]
            if names and controller not in names.split(","):
                continue
            root = self.cgroup / names if names else self.cgroup
            folder = root / group.lstrip("/")
            # Inside a container the group's own path may not be visible: the root then holds its limits.
            places = [p for p in dict.fromkeys([folder, *folder.parents, root]) if p == root or root in p.parents]
            found += [self.text(place / name) for place in places]
        return [value for value in found if value]


def cores(system: System) -> Fact:
    """Processor cores this process may use: affinity, and the CPU quota of its control group."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    why = "cores this process may run on"
    quotas = [v.split() for v in system.limits("cpu", "cpu.max")]
    periods = system.limits("cpu", "cpu.cfs_period_us")
    quotas += [[q, p] for q, p in zip(system.limits("cpu", "cpu.cfs_quota_us"), periods, strict=False)]
    shares = [int(q) / int(p) for q, p in quotas if q.isdigit() and int(q) > 0 and int(p) > 0]
    if shares and min(shares) < count:
        return measured(max(1, round(min(shares))), f"CPU quota of {min(shares):g} cores ({count} visible)")
    return measured(count, why)


def instruction_sets(system: System) -> Fact:
    """Comma-separated names among avx2, avx512, vnni, bf16, amx, neon, sve."""
    lines = system.text(system.proc / "cpuinfo").splitlines()
    flags: set[str] = set()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() in {"flags", "features"}:
            flags = set(value.split())
            break
    if not flags and platform.system() == "Darwin":
        flags = _mac_flags()
    if not flags and platform.machine().lower() in {"arm64", "aarch64"}:
        return assumed("neon", "every 64-bit ARM processor has it")
    names = [name for name, any_of in _CPU_FLAGS if any_of & flags]
    return measured(",".join(names), "processor flags" if flags else "the system does not list processor flags")


def _mac_flags() -> set[str]:
    """What ``sysctl hw.optional`` says is there (``hw.optional.arm.FEAT_BF16: 1``), without its prefixes."""
    try:
        done = subprocess.run(["sysctl", "hw.optional"], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return set()
    pairs = (line.partition(":") for line in done.stdout.splitlines())
    return {name.rpartition(".")[2].lower() for name, _, value in pairs if value.strip() == "1"}


def memory(system: System) -> Facts:
    """``ram_total`` and ``ram_free``, bounded by the control group's limit."""
    seen = psutil.virtual_memory()
    total, free, why = seen.total, seen.available, "the system's memory"
    limits = [int(v) for v in system.limits("memory", "memory.max") if v.isdigit()]
    limits += [int(v) for v in system.limits("memory", "memory.limit_in_bytes") if v.isdigit()]
    if limits and min(limits) < total:
        total, why = min(limits), "the memory limit of the control group"
        used = [*system.limits("memory", "memory.current"), *system.limits("memory", "memory.usage_in_bytes"), "0"]
        free = min(free, max(0, total - int(used[0]) + _reclaimable(system)))
    free = free // _GRAIN * _GRAIN
    return {
        "ram_total": measured(total, why, "B"),
        "ram_free": measured(free, f"available now, rounded down to {format_size(_GRAIN)}", "B"),
    }


def _reclaimable(system: System) -> int:
    """Bytes of cached files that the group counts as used but gives back when memory is asked for."""
    for line in "\n".join(system.limits("memory", "memory.stat")[:1]).splitlines():
        name, _, value = line.partition(" ")
        if name in {"inactive_file", "total_inactive_file"} and value.isdigit():
            return int(value)
    return 0


def disk(folder: Path) -> Fact:
    """Free bytes where ``folder`` lies (or its nearest existing parent)."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free // (10 * _GRAIN) * 10 * _GRAIN
    return measured(free, "free where the project lies", "B")


def processor(system: System) -> str:
    """The processor's name."""
    for line in system.text(system.proc / "cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in {"model name", "hardware", "cpu model"}:
            return value.strip()
    return platform.processor() or platform.machine()


# --- speed


def speed(folder: Cache, key: object, count: int, free: float) -> Facts:
    """``bandwidth`` and ``flops_fp32``, measured once per machine; once more when it was busy then and is idle now."""
    load = _load(count)
    kept = folder.read("speed", key)
    if kept is not None and (not kept["busy"].value or load > _BUSY):
        return {n: kept[n] for n in ("bandwidth", "flops_fp32")}
    try:
        facts = _measure_speed(count, free, load)
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        if kept is not None:
            return {n: kept[n] for n in ("bandwidth", "flops_fp32")}
        return _assumed_speed(count, str(error))
    busy = measured(load > _BUSY, f"load {load:.2f} per core")
    folder.write("speed", key, {**facts, "busy": busy})
    return facts


def _load(count: int) -> float:
    try:
        return os.getloadavg()[0] / count
    except (OSError, AttributeError):
        return 0.0


def _measure_speed(count: int, free: float, load: float) -> Facts:
    held_back = sorted(n for n in os.environ if n.startswith("OPENBLAS_") and n not in _ONE_THREAD)
    environment = {n: v for n, v in os.environ.items() if n not in held_back} | dict.fromkeys(_ONE_THREAD, "1")
    size = max(min(_COPIED, int(free) // 8), 4 * _MIB)
    threads = min(count, _MOST_THREADS)
    script = Path(__file__).with_name("speed.py")
    # -P: the script's folder must not shadow modules of the standard library.
    command = [sys.executable, "-P", str(script), str(threads), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=environment)
    found = json.loads(done.stdout)
    how = f"{threads} thread{'s' if threads > 1 else ''} at once, median"
    if held_back:
        how += f"; measured without {', '.join(held_back)}"
    if load > _BUSY:
        how += f"; other programs were running (load {load:.1f} per core), so this is rough"
    copied = f"copying {format_size(size)}, bytes read and written, {how}"
    return {
        "bandwidth": measured(_short(found["bandwidth"]), copied, "B/s"),
        "flops_fp32": measured(_short(found["flops_fp32"]), f"1024x1024 matrix products in numpy, {how}", "FLOP/s"),
    }


def _short(value: float) -> float:
    """Three significant digits: more would be noise."""
    return float(f"{value:.3g}")


def _assumed_speed(count: int, reason: str) -> Facts:
    why = f"could not be measured ({reason[:120]}); a cautious figure for a current machine"
    return {"bandwidth": assumed(20e9, why, "B/s"), "flops_fp32": assumed(40e9 * count, why, "FLOP/s")}


def bf16_flops(isa: str, flops_fp32: float) -> Fact:
    """bf16 matrix throughput by instruction set: measured only by profiler plugins."""
    names = isa.split(",")
    if "amx" in names:
        gain, reason = AMX_GAIN, "with AMX instructions"
    elif "bf16" in names:
        gain, reason = BF16_GAIN, "with bf16 instructions (411 against 200 GFLOP/s measured on an AVX-512 core)"
    else:
        gain, reason = BF16_LOSS, "without bf16 instructions: every value is converted"
    return assumed(_short(flops_fp32 * gain), f"{gain:g} times fp32, {reason}", "FLOP/s")


# --- all of it


def probe(folder: Path, cache: Cache, system: System | None = None) -> Facts:
    """The facts of this machine, without a section's prefix. ``folder`` is where the project's disk is.

    The first call takes one to two seconds, later ones milliseconds: speeds are cached by the machine's fingerprint.
    """
    system = system or System()
    facts: Facts = {"cores": cores(system), "isa": instruction_sets(system), **memory(system)}
    facts["disk_free"] = disk(folder)
    kind = f"{platform.system()}-{platform.machine()}".lower()
    facts["platform"] = measured(kind, processor(system))
    facts |= gpu_facts(cache, time.time())
    names = ("cores", "isa", "ram_total", "platform", "gpus")
    described = [[n, facts[n].value] for n in names] + [processor(system), facts["gpus"].why]
    fingerprint = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    facts["fingerprint"] = measured(fingerprint, "hash of processor, cores, memory, platform and GPUs")
    ram_free = float(facts["ram_free"].value or 0)
    own = speed(cache, fingerprint, int(facts["cores"].value or 1), ram_free)
    own["flops_bf16"] = bf16_flops(str(facts["isa"].value), float(own["flops_fp32"].value or 0))
    if not facts["gpus"].value:
        return facts | own
    # Some stages compute on the processor whatever GPUs there are, so both are known.
    on_gpu = {n: facts.pop(f"gpu_{n}") for n in _SPEEDS if f"gpu_{n}" in facts}
    return facts | (on_gpu or own) | {f"cpu_{name}": fact for name, fact in own.items()}


# --- as a file for another machine


def export_machine(path: Path, cache: Path | None = None, refine: Refine | None = None) -> Path:
    """Describe this machine in a file for ``train_on`` and ``serve_on`` of a scenario elsewhere; returns ``path``.

    ``refine`` adds what installed profilers measure.

    Raises:
        InputError: the file cannot be written.

    """
    kept = Cache(cache or default_folder())
    facts = probe(path.absolute().parent, kept)
    if refine is not None:
        facts = refine(facts, kept)
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    document = {
        "schema": MACHINE_SCHEMA,
        "kind": "machine",
        "exported": today,
        "facts": {name: asdict(fact) for name, fact in facts.items()},
    }
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "name a file in a folder that can be written") from error
    return path


def read_machine(path: Path) -> Facts:
    """The facts that ``export_machine`` wrote; each says when and where it comes from.

    Raises:
        InputError: the file is missing or was not exported by kistack.

    """
    remedy = "write it on that machine with: kistack profile --export FILE"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", remedy) from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: this is not JSON, so no exported machine", remedy) from error
    except ValueError as error:
        raise InputError(f"{path} is not UTF-8 text, so no exported machine", remedy) from error
    if not isinstance(document, Mapping) or document.get("kind") != "machine":
        raise InputError(f"{path} is no exported machine", remedy)
    if document.get("schema") != MACHINE_SCHEMA:
        raise InputError(
            f"{path} has schema {document.get('schema')!r}, this kistack reads {MACHINE_SCHEMA}", "export it again"
        )
    origin = f"exported on {document.get('exported', 'an unknown date')} ({path.name})"
    try:
        facts = {name: Fact(**fact) for name, fact in document["facts"].items()}
        return {name: replace(fact, why=f"{fact.why}; {origin}") for name, fact in facts.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no exported machine: its facts are damaged", remedy) from error
