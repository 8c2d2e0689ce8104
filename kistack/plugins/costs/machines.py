"""The figures of a machine that costs depend on, read from a profile."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kistack.domain.facts import Profile

#: Per core, fp32 matrix product. Measured: 130 to 200 GFLOP/s a core with AVX-512; assumed less for other machines.
_FLOPS_PER_CORE = 60e9
#: What a matrix product gains from bf16 instructions. Measured: 411 against 200 GFLOP/s on one core.
_BF16_GAIN = 2.0
#: Copy bandwidth of an unmeasured machine, two memory channels.
_BANDWIDTH = 20e9


@dataclass(frozen=True, slots=True)
class Machine:
    """The figures of one machine that costs depend on.

    ``bandwidth`` (B/s) and the matrix products ``flops_fp32`` and ``flops_bf16`` (FLOP/s) are those of the device the
    model runs on: the GPU where ``gpus`` is not 0. Free memory and disk nobody knows are infinite: unknown is not held
    against a plan. ``unified``: GPU and processor use one memory. ``price_per_hour`` is in US dollars, 0 where it costs
    nothing or nobody says.
    """

    cores: int = 1
    ram_free: float = math.inf
    disk_free: float = math.inf
    bandwidth: float = _BANDWIDTH
    flops_fp32: float = _FLOPS_PER_CORE
    flops_bf16: float = 0.0
    gpus: int = 0
    gpu_free: float = 0.0
    unified: bool = False
    price_per_hour: float = 0.0

    @property
    def bf16_is_native(self) -> bool:
        """Whether bf16 arithmetic is faster here than fp32 (instructions for it exist)."""
        return self.flops_bf16 > 1.2 * self.flops_fp32

    @property
    def memory(self) -> float:
        """Bytes free where models live: of one GPU, else of the main memory."""
        return self.gpu_free if self.gpus else self.ram_free

    def fits(self, peak_bytes: float) -> bool:
        """Whether work that holds ``peak_bytes`` at once runs here."""
        return peak_bytes <= self.memory

    def matrix_product(self, precision: str) -> tuple[float, bool]:
        """(peak FLOP/s, whether bf16 instructions do it) for weights stored in ``precision``."""
        if self.gpus:
            fast = precision != "fp32"
            return (max(self.flops_bf16, self.flops_fp32) if fast else self.flops_fp32), fast
        if precision == "bf16":
            return self.flops_bf16, self.bf16_is_native
        # CPUs convert fp16 on the way: bf16 instructions do not help it.
        return self.flops_fp32, False


def machine(profile: Profile, section: str = "hardware", *, processor: bool = False) -> Machine:
    """The machine of a section of the profile: ``hardware`` trains, ``serving`` answers.

    A section without any facts falls back to ``hardware``; a figure nobody measured to a cautious assumption.
    ``processor`` asks for the machine as a stage sees it that computes on the processor, whatever GPUs there are.
    """
    if section != "hardware" and not profile.section(section):
        section = "hardware"
    cores = max(1, int(profile.number(f"{section}.cores", 1)))
    isa = profile.text(f"{section}.isa").lower()
    gpus = int(profile.number(f"{section}.gpus"))
    speeds = f"{section}.cpu_" if processor and gpus else f"{section}."
    gpus = 0 if processor else gpus
    flops = profile.number(f"{speeds}flops_fp32") or cores * _FLOPS_PER_CORE
    assumed_gain = _BF16_GAIN if "bf16" in isa or "amx" in isa else 0.5
    return Machine(
        cores=cores,
        ram_free=profile.number(f"{section}.ram_free", math.inf),
        disk_free=profile.number(f"{section}.disk_free", math.inf),
        bandwidth=profile.number(f"{speeds}bandwidth") or _BANDWIDTH,
        flops_fp32=flops,
        flops_bf16=profile.number(f"{speeds}flops_bf16") or flops * assumed_gain,
        gpus=gpus,
        gpu_free=profile.number(f"{section}.gpu_free", math.inf) if gpus else 0.0,
        unified=bool(gpus and profile.number(f"{section}.unified")),
        price_per_hour=profile.number(f"{section}.price_per_hour"),
    )
