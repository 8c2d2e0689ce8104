"""The profiler of matrix products: what the machine reaches with PyTorch, by number format."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import Field

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.stages import Context, Out, Settings, Stage, Traits

OUT = "hardware"
FORMATS = ("fp32", "bf16", "int8")

#: Sides of the square products, smallest first: the largest is taken of which one product takes less than ``_LONG``.
#: Processors reach their figure at 1024; a GPU only with several times that.
_SIDES_CPU, _SIDES_GPU = (128, 256, 512, 1024), (1024, 2048, 4096, 8192)
_LONG = 0.15
_LEAST, _MOST = 3, 40
_MOST_THREADS = 64
#: Loading PyTorch, measured on two cores; the worker with it takes about this.
_START_SECONDS, _PEAK_BYTES = 4.0, 0.5e9

Work = Callable[[], object]
#: Makes the product of two square matrices of a side; None where this PyTorch cannot.
Prepare = Callable[[int], Work]


class MatmulSettings(Settings):
    """How long to measure."""

    seconds: float = Field(default=0.4, gt=0, le=10, description="seconds for each number format")


class Matmul(Stage):
    """fp32, bf16 and int8 products as linear layers do them, on the device that PyTorch would use."""

    name = "profile/matmul"
    summary = "matrix throughput by number format"
    libraries = ("torch",)
    Settings = MatmulSettings

    def traits(self, settings: Any) -> Traits:
        """One out: facts of the machine."""
        return Traits(
            produces={OUT: Out(kind="facts", format="json")},
            packages=("torch",),
            timed=True,
            deterministic=False,
        )

    def estimate(self, settings: Any, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Loading PyTorch, then the time that is set; the facts it will measure, as far as they are known."""
        known = {f"flops_{name}": profile.number(f"{OUT}.flops_{name}") for name in FORMATS}
        seconds = _START_SECONDS + 2 * len(FORMATS) * settings.seconds
        return Estimate({"seconds": seconds, "peak_bytes": _PEAK_BYTES}, {OUT: {"bytes": 1e3, **known}})

    def run(self, settings: Any, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Measure each format that this PyTorch multiplies; one it cannot is left out."""
        import torch

        device = torch.device(_device(torch))
        facts: dict[str, float] = {}
        notes: dict[str, dict[str, str]] = {}
        for done, name in enumerate(FORMATS):
            try:
                rate, how = measure(torch, device, name, settings.seconds)
            except (RuntimeError, TypeError, NotImplementedError, AttributeError) as error:
                # A format without a kernel on this device is no failure of the others.
                ctx.log(f"{name} is not multiplied here: {str(error).splitlines()[0]}")
                continue
            facts[f"flops_{name}"] = float(f"{rate:.3g}")
            notes[f"flops_{name}"] = {
                "unit": "FLOP/s",
                "why": f"{name} linear layers in torch {torch.__version__}, {how}",
            }
            ctx.progress(done + 1, len(FORMATS), "formats")
        text = json.dumps(notes)
        (ctx.out(OUT) / "facts.json").write_text(text, encoding="utf-8")
        return {OUT: {"bytes": float(len(text)), **facts}}


def _device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def measure(torch: Any, device: Any, name: str, seconds: float) -> tuple[float, str]:
    """Operations per second in a number format (two for each product and sum), and how that was measured.

    On a processor every core multiplies alone and is timed by its own clock, so that other programs take little away
    from the figure (as ``kistack.profiling.speed`` does with numpy); on a GPU the wall clock counts.

    Raises:
        RuntimeError: there is no kernel for it here (PyTorch raises kindred errors too).

    """
    prepare = _linear(torch, device, name)
    if device.type == "cpu":
        threads = min(torch.get_num_threads(), _MOST_THREADS)
        torch.set_num_threads(1)
        try:
            side = _largest(_SIDES_CPU, prepare, time.thread_time)
            rate = _together(threads, lambda: prepare(side), 2.0 * side**3, seconds)
        finally:
            torch.set_num_threads(threads)
        return rate, f"{side}x{side}, {threads} thread{'s' if threads > 1 else ''} at once, median"

    def finished() -> float:
        (torch.cuda if device.type == "cuda" else torch.mps).synchronize()
        return time.perf_counter()

    side = _largest(_SIDES_GPU, prepare, finished)
    rate = 2.0 * side**3 / _median(prepare(side), finished, seconds)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "the Apple GPU"
    return rate, f"{side}x{side} on {where}, median"


def _linear(torch: Any, device: Any, name: str) -> Prepare:
    """The product as a linear layer does it: the second matrix lies transposed."""

    def prepare(side: int) -> Work:
        if name == "int8":
            left = torch.randint(-128, 127, (side, side), dtype=torch.int8, device=device)
            right = left.clone().t()
            return lambda: torch._int_mm(left, right)  # noqa: SLF001 - the only int8 product there is
        dtype = torch.float32 if name == "fp32" else torch.bfloat16
        left = torch.rand(side, side, device=device).to(dtype)
        right = left.clone()
        return lambda: torch.nn.functional.linear(left, right)

    return prepare


def _largest(sides: tuple[int, ...], prepare: Prepare, clock: Callable[[], float]) -> int:
    """The largest side whose product does not take long: eight times what half of it took is the forecast."""
    chosen = sides[0]
    for side in sides:
        work = prepare(side)
        work()
        before = clock()
        work()
        taken = clock() - before
        chosen = side
        if 8 * taken > _LONG:
            break
    return chosen


def _median(work: Work, clock: Callable[[], float], seconds: float) -> float:
    """Seconds on ``clock`` that ``work`` takes, the median of repetitions over ``seconds`` on the wall."""
    work()
    taken: list[float] = []
    start = time.perf_counter()
    while len(taken) < _LEAST or (time.perf_counter() - start < seconds and len(taken) < _MOST):
        before = clock()
        work()
        taken.append(clock() - before)
    return max(statistics.median(taken), 1e-9)


def _together(threads: int, prepare: Callable[[], Work], amount: float, seconds: float) -> float:
    """Amount of work per second of all threads, each timed by the processor time it takes."""
    ready = threading.Barrier(threads)

    def repeat(_number: int) -> float:
        work = prepare()
        ready.wait()
        return amount / _median(work, time.thread_time, seconds)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(repeat, range(threads)))
