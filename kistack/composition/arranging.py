"""Arranging: putting steps into an order that composes, for the advisor and for ``a+b+c``."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from kistack.domain.plan import Plan, Step
from kistack.errors import InputError
from kistack.plugins.host import Host
from kistack.plugins.stages import TECHNIQUES


def arrange(steps: Sequence[Step], host: Host) -> tuple[Step, ...]:
    """The steps in an order that their stages' ``before`` and ``after`` allow.

    Among those that are free, indexes come first (trainers learn from their passages), then distillation, tuning,
    quantization and whatever else, in the order given.

    Raises:
        InputError: the rules of the stages form a circle.
    """
    rank = {kind: n for n, kind in enumerate(TECHNIQUES)}
    waiting = sorted(steps, key=lambda s: rank.get(s.kind, len(rank)))
    ordered: list[Step] = []
    while waiting:
        for step in waiting:
            if not any(_must_precede(other, step, host) for other in waiting if other is not step):
                ordered.append(step)
                waiting = [s for s in waiting if s is not step]
                break
        else:
            names = ", ".join(s.use for s in waiting)
            raise InputError(f"no order satisfies the rules of {names}", "leave one of them out")
    return tuple(ordered)


def _must_precede(first: Step, second: Step, host: Host) -> bool:
    if first.use not in host.stages or second.use not in host.stages:
        return False
    before = any(fnmatch.fnmatchcase(second.use, p) for p in host.traits(first.use).before)
    after = any(fnmatch.fnmatchcase(first.use, p) for p in host.traits(second.use).after)
    return before or after


def plan_of(techniques: str, host: Host, *, seed: int = 0) -> Plan:
    """The plan that ``retrieve+tune+quantize`` means: one stage of each kind, with its default settings, arranged.

    A part may name a stage (``tune/lora``) where several of a kind are installed; stages that have to be named
    (``Traits.opt_in``) are meant only where there is no other. ``nothing`` is the empty plan.

    Raises:
        InputError: an unknown technique, or several stages to choose from.
    """
    steps = []
    for part in (p.strip() for p in techniques.split("+")):
        if part in {"", "nothing"}:
            continue
        if "/" in part:
            steps.append(Step(use=host.get(part).stage.name))
            continue
        stages = host.stages_of(part) if part in TECHNIQUES else []
        if not stages:
            known = ", ".join(TECHNIQUES)
            raise InputError(f"no technique {part!r} is installed", f"join any of: {known}, nothing")
        usual = [s for s in stages if not host.is_named_only(s.name)] or stages
        if len(usual) > 1:
            names = " or ".join(s.name for s in stages)
            raise InputError(f"several stages can {part}", f"name one: {names}")
        steps.append(Step(use=usual[0].name))
    return Plan(seed=seed, steps=arrange(steps, host))
