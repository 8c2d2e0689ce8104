"""Limits: what a candidate needs against what it may have. What exceeds one is rejected, and kept with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import le
from typing import NamedTuple

from kistack.advisor.candidates import Composed
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Rejection
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.domain.scenario import Scenario
from kistack.plugins.costs import Machine, machine
from kistack.units import format_count, format_duration, format_money, format_size

#: 95th percentile of an answer's time over its mean: answers and passages differ in length. Assumed.
P95_OVER_MEAN = 1.4
_DIGITS = 3
#: Limits with how they are shown and what would admit a plan that breaks them, in the order of ``needs``.
_LIMITS: tuple[tuple[str, Callable[[float, int], str], str], ...] = (
    ("memory", format_size, "raise limits.memory to {}"),
    ("serving GPU memory", format_size, "serve where {} of GPU memory are free"),
    ("serving memory", format_size, "serve where {} of memory are free"),
    ("training GPU memory", format_size, "train where {} of GPU memory are free"),
    ("training memory", format_size, "train where {} of memory are free"),
    ("disk", format_size, "raise limits.disk to {}"),
    ("serving disk", format_size, "free {} of disk where it serves"),
    ("training disk", format_size, "free {} of disk where it trains"),
    ("latency", format_duration, "raise limits.latency_p95 to {}"),
    ("training time", format_duration, "allow {} of training"),
    ("money", format_money, "raise limits.money to {}"),
)
#: All that a plan's own estimates are held against.
NAMES = (*(name for name, *_ in _LIMITS), "context", "local_only")
#: What is rejected under this name has too few points.
QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the scenario and the machines allow; infinite where nothing is said."""

    memory: float
    disk: float
    latency: float
    training: float
    money: float
    local_only: bool
    at_least: float
    train: Machine
    serve: Machine
    context: float


def bounds(scenario: Scenario, profile: Profile) -> Bounds:
    """The limits of a scenario on its machines.

    The profile's ``scenario.limit_*`` facts count where they are known (they can be changed for a what-if), else what
    the scenario itself says.
    """
    limits = scenario.limits

    def limit(name: str, declared: float | None) -> float:
        if f"scenario.{name}" in profile:
            return profile.number(f"scenario.{name}", math.inf)
        return math.inf if declared is None else float(declared)

    at_least = limit("at_least", scenario.task.at_least)
    return Bounds(
        memory=limit("limit_memory", limits.memory),
        disk=limit("limit_disk", limits.disk),
        latency=limit("limit_latency", limits.latency_p95),
        training=limit("limit_training", limits.training_time),
        money=limit("limit_money", limits.money),
        local_only=bool(profile.number("scenario.local_only", float(limits.local_only))),
        at_least=0.0 if math.isinf(at_least) else at_least,
        train=machine(profile, "hardware"),
        serve=machine(profile, "serving"),
        context=profile.number("model.context") or math.inf,
    )


def rejections(candidate: Composed, given: Bounds) -> list[Rejection]:
    """Every limit that a candidate breaks; one that cannot be composed breaks none but that."""
    if candidate.pipeline is None:
        return [Rejection("compose", p.message, p.where, p.hint) for p in candidate.problems]
    return exceeded(candidate.pipeline, given)


def exceeded(pipeline: Pipeline, given: Bounds) -> list[Rejection]:
    """Every limit that a composed plan breaks by its own estimates."""
    sides = zip(_LIMITS, needs(pipeline, given), allowed(given), strict=False)
    found = [_rejection(*limit, need, most) for limit, need, most in sides if not need <= most]
    if (long := _prompt_too_long(pipeline, given)) is not None:
        found.append(long)
    return found + (_leaves(pipeline) if given.local_only else [])


class Held(NamedTuple):
    """Bytes that a plan holds at once: of one GPU, and of the machine's own memory."""

    gpu: float
    main: float


def serving_bytes(estimate: Estimate, here: Machine) -> Held:
    """What answering holds on a machine.

    All of it is the machine's own where there is no GPU, and also where GPU and processor use one memory.
    """
    total = estimate.cost("serving_peak_bytes")
    gpu = total * estimate.facts.get("memory", {}).get("serving_gpu", 1.0) if here.gpus else 0.0
    return Held(gpu, total if here.unified else total - gpu)


def training_bytes(estimate: Estimate, here: Machine) -> Held:
    """What the step that needs most holds, on the GPU and in the machine's own memory."""
    memory, peak = estimate.facts.get("memory", {}), estimate.cost("peak_bytes")
    if not here.gpus:
        return Held(0.0, peak)
    return Held(memory.get("gpu_peak_bytes", peak), memory.get("main_peak_bytes", 0.0))


def needs(pipeline: Pipeline, given: Bounds) -> tuple[float, ...]:
    """What a composed plan needs of each of ``NAMES``, on these machines."""
    estimate = pipeline.estimate
    cost = estimate.costs.get
    size = cost("bytes", 0.0)
    return (
        cost("serving_peak_bytes", 0.0),
        *serving_bytes(estimate, given.serve),
        *training_bytes(estimate, given.train),
        size,
        size,
        cost("scratch_bytes", 0.0),
        cost("latency_seconds", 0.0) * P95_OVER_MEAN,
        cost("seconds", 0.0),
        cost("money", 0.0),
        estimate.facts.get("prompt", {}).get("tokens", 0.0),
        float(bool(_leaves(pipeline))),
    )


def allowed(given: Bounds) -> tuple[float, ...]:
    """The most of each of ``NAMES``."""
    serve, train = given.serve, given.train
    return (
        given.memory,
        serve.gpu_free,
        serve.ram_free,
        train.gpu_free,
        train.ram_free,
        given.disk,
        serve.disk_free,
        train.disk_free,
        given.latency,
        given.training,
        given.money,
        given.context,
        0.0 if given.local_only else math.inf,
    )


def broken(needed: tuple[float, ...], most: tuple[float, ...]) -> tuple[str, ...]:
    """The names of the limits that ``exceeded`` would tell of."""
    if within(needed, most):  # of thousands most break none
        return ()
    return tuple(name for name, need, limit in zip(NAMES, needed, most, strict=True) if not need <= limit)


def within(needed: tuple[float, ...], most: tuple[float, ...]) -> bool:
    """Whether ``exceeded`` would find nothing; said without putting anything into words."""
    return all(map(le, needed, most))


def _rejection(limit: str, shown: Callable[[float, int], str], remedy: str, needs: float, allowed: float) -> Rejection:
    words, admits = _needed(needs, shown, remedy)
    return Rejection(limit, words, _allowed(allowed, shown), admits)


@lru_cache(maxsize=32_768)
def _needed(needs: float, shown: Callable[[float, int], str], remedy: str) -> tuple[str, str]:
    """What is needed, and what would admit it: rounded up, so that following it does admit the candidate."""
    admits = needs if needs <= 0 else _rounded_up(needs)
    return shown(needs, _DIGITS), remedy.format(shown(admits, _DIGITS))


@lru_cache(maxsize=64)
def _allowed(allowed: float, shown: Callable[[float, int], str]) -> str:
    return shown(allowed, _DIGITS)


def _rounded_up(value: float) -> float:
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value * (1 + 1e-9) / step) * step


def _prompt_too_long(pipeline: Pipeline, given: Bounds) -> Rejection | None:
    tokens = pipeline.estimate.facts.get("prompt", {}).get("tokens", 0.0)
    if tokens <= given.context:
        return None
    return Rejection(
        "context",
        f"{format_count(tokens)} tokens of prompt",
        f"{format_count(given.context)} tokens of context",
        "retrieve fewer or shorter passages, or name a model with a longer context",
    )


def _leaves(pipeline: Pipeline) -> list[Rejection]:
    """Stages that talk to other machines; fetching a model is no leak of the user's data."""
    talking = {n.label: n for n in pipeline.nodes if n.traits.network and n.purpose != "source"}
    return [
        Rejection(
            "local_only", f"{n.label} talks to other machines", "nothing may leave this machine", "use a local stage"
        )
        for n in talking.values()
    ]


def below_least(high: float, given: Bounds) -> Rejection | None:
    """A candidate whose interval of points ends below what the task asks for."""
    asked = 100 * given.at_least
    if high >= asked:
        return None
    return Rejection(
        QUALITY,
        f"at best {high:.0f} points",
        f"at least {asked:.0f}",
        f"lower task.at_least to {math.floor(high) / 100:.2f}",
    )
