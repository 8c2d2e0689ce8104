"""Limits: what a candidate needs against what it may have. What exceeds one is rejected, and kept with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from kistack.advisor.candidates import Composed
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Rejection
from kistack.domain.facts import Profile
from kistack.domain.scenario import Scenario
from kistack.plugins.costs import Machine, machine
from kistack.units import format_count, format_duration, format_money, format_size

#: 95th percentile of an answer's time over its mean: answers and passages differ in length. Assumed.
P95_OVER_MEAN = 1.4
_DIGITS = 3


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
    if keeps(candidate.pipeline, given):
        return []
    return exceeded(candidate.pipeline, given)


def exceeded(pipeline: Pipeline, given: Bounds) -> list[Rejection]:
    """Every limit that a composed plan breaks by its own estimates."""
    costs = pipeline.estimate
    p95 = costs.cost("latency_seconds") * P95_OVER_MEAN
    serving, training = costs.cost("serving_peak_bytes"), costs.cost("peak_bytes")
    bundle, built = costs.cost("bytes"), costs.cost("scratch_bytes")
    found = [
        _exceeds("memory", serving, given.memory, format_size, "raise limits.memory to {}"),
        _exceeds("serving memory", serving, given.serve.memory, format_size, "serve where {} of memory are free"),
        _exceeds("training memory", training, given.train.memory, format_size, "train where {} of memory are free"),
        _exceeds("disk", bundle, given.disk, format_size, "raise limits.disk to {}"),
        _exceeds("serving disk", bundle, given.serve.disk_free, format_size, "free {} of disk where it serves"),
        _exceeds("training disk", built, given.train.disk_free, format_size, "free {} of disk where it trains"),
        _exceeds("latency", p95, given.latency, format_duration, "raise limits.latency_p95 to {}"),
        _exceeds("training time", costs.cost("seconds"), given.training, format_duration, "allow {} of training"),
        _exceeds("money", costs.cost("money"), given.money, format_money, "raise limits.money to {}"),
        _prompt_too_long(pipeline, given),
        *(_leaves(pipeline) if given.local_only else ()),
    ]
    return [r for r in found if r is not None]


def keeps(pipeline: Pipeline, given: Bounds) -> bool:
    """Whether ``exceeded`` would find nothing; said without putting anything into words."""
    cost = pipeline.estimate.costs.get
    serving, training = cost("serving_peak_bytes", 0.0), cost("peak_bytes", 0.0)
    bundle, built = cost("bytes", 0.0), cost("scratch_bytes", 0.0)
    return (
        serving <= min(given.memory, given.serve.memory)
        and training <= given.train.memory
        and bundle <= min(given.disk, given.serve.disk_free)
        and built <= given.train.disk_free
        and cost("latency_seconds", 0.0) * P95_OVER_MEAN <= given.latency
        and cost("seconds", 0.0) <= given.training
        and cost("money", 0.0) <= given.money
        and pipeline.estimate.facts.get("prompt", {}).get("tokens", 0.0) <= given.context
        and not (given.local_only and _leaves(pipeline))
    )


def _exceeds(
    limit: str, needs: float, allowed: float, shown: Callable[[float, int], str], remedy: str
) -> Rejection | None:
    return None if needs <= allowed else _rejection(limit, needs, allowed, shown, remedy)


@lru_cache(maxsize=4096)
def _rejection(limit: str, needs: float, allowed: float, shown: Callable[[float, int], str], remedy: str) -> Rejection:
    # The remedy is rounded up, so that following it does admit the candidate.
    admits = needs if needs <= 0 else _rounded_up(needs)
    return Rejection(limit, shown(needs, _DIGITS), shown(allowed, _DIGITS), remedy.format(shown(admits, _DIGITS)))


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
        "quality",
        f"at best {high:.0f} points",
        f"at least {asked:.0f}",
        f"lower task.at_least to {math.floor(high) / 100:.2f}",
    )
