"""Candidates: every subset of the four techniques, times what the registered stages suggest, composed and folded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kistack.composition.arranging import arrange
from kistack.composition.composer import compose
from kistack.composition.pipeline import Pipeline
from kistack.composition.starting import MODEL_SLOTS, given_types
from kistack.domain.artifacts import FACETS, Type
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, InvalidInput, KistackError, Problem
from kistack.plugins.host import Host
from kistack.plugins.stages import TECHNIQUES, Stage

#: Suggestions kept of one technique, and plans judged in all: composing one takes about a millisecond.
PER_TECHNIQUE = 6
MOST_PLANS = 400

_NUMBERS = ("params", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context", "bytes")


@dataclass(frozen=True, slots=True)
class Composed:
    """A plan and what became of it: its pipeline, or the problems that keep it from being composed."""

    plan: Plan
    pipeline: Pipeline | None
    problems: tuple[Problem, ...] = ()


def starting_types(profile: Profile) -> dict[str, Type]:
    """What the slots hold before the first step, as the profile describes it; no stage is asked."""
    found = given_types(profile)
    for slot, section in MODEL_SLOTS.items():
        facts = {n: profile.number(f"{section}.{n}") for n in _NUMBERS if f"{section}.{n}" in profile}
        if not facts and not profile.text(f"{section}.reference"):
            continue
        facets = {n: profile.text(f"{section}.{n}") for n in FACETS if f"{section}.{n}" in profile}
        kind = "embedder" if slot == "embedder" else "model"
        found[slot] = Type(kind, profile.text(f"{section}.format"), facets, facts, profile.text(f"{section}.identity"))
    return found


def options(profile: Profile, host: Host, notes: list[str]) -> dict[str, list[Step]]:
    """The steps worth judging of each technique, best guesses first, at most ``PER_TECHNIQUE`` of each.

    Where several stages serve one technique their suggestions alternate. A stage that raises is left out and noted.
    """
    slots = starting_types(profile)
    found: dict[str, list[Step]] = {}
    for technique in TECHNIQUES:
        each = [_suggested(stage, profile, host, slots, notes) for stage in host.stages_of(technique)]
        mixed = [step for round_ in itertools.zip_longest(*each) for step in round_ if step is not None]
        if not mixed:
            why = "what is installed for it suggests nothing here" if each else "nothing is installed for it"
            notes.append(f"{technique} was not judged: {why}")
        found[technique] = mixed[:PER_TECHNIQUE]
    while _count(found) > MOST_PLANS:
        widest = max(TECHNIQUES, key=lambda t: len(found[t]))
        found[widest].pop()
    return found


def _count(found: Mapping[str, Sequence[Step]]) -> int:
    total = 1
    for steps in found.values():
        total *= 1 + len(steps)
    return total


def _suggested(stage: Stage, profile: Profile, host: Host, slots: Mapping[str, Type], notes: list[str]) -> list[Step]:
    try:
        inputs = _inputs_of(stage, host, slots)
        suggested = host.guard(stage.name, "suggest", partial(stage.suggest, profile, inputs))
        dumped = [s.model_dump(mode="json", exclude_defaults=True) for s in suggested]
    except KistackError as error:
        notes.append(f"{stage.name} was not judged: {error.message}")
        return []
    unique: list[dict[str, Any]] = []
    for settings in dumped:
        if settings not in unique:
            unique.append(settings)
    return [Step.model_validate({"use": stage.name, "with": settings}) for settings in unique]


def _inputs_of(stage: Stage, host: Host, slots: Mapping[str, Type]) -> dict[str, Type]:
    """The types at a stage's ports if it came first in a plan."""
    if any(f.is_required() for f in stage.Settings.model_fields.values()):
        return dict(slots)
    inputs = {}
    for name, port in host.traits(stage.name).consumes.items():
        held = slots.get(port.slot or name) or slots.get(port.default)
        if held is not None and held.kind == port.kind:
            inputs[name] = held
    return inputs


def plans(found: Mapping[str, Sequence[Step]], host: Host, seed: int = 0) -> Iterator[tuple[Plan, tuple[Problem, ...]]]:
    """Every subset of the techniques times its steps, arranged in an order; doing nothing comes first."""
    for size in range(len(TECHNIQUES) + 1):
        for techniques in itertools.combinations(TECHNIQUES, size):
            for steps in itertools.product(*(found[t] for t in techniques)):
                try:
                    yield Plan(seed=seed, steps=arrange(steps, host)), ()
                except InputError as error:
                    problem = Problem("plan", error.message, error.hint)
                    yield Plan(seed=seed, steps=tuple(steps)), (problem,)


def candidates(profile: Profile, host: Host, notes: list[str], *, seed: int = 0) -> list[Composed]:
    """All candidates, those that cannot be composed too, with the composer's problems.

    ``notes`` receives what could not be judged at all.
    """
    memo: dict[Any, Any] = {}
    judged = []
    for plan, problems in plans(options(profile, host, notes), host, seed):
        judged.append(Composed(plan, None, problems) if problems else composed(plan, profile, host, memo))
    return judged


def composed(plan: Plan, profile: Profile, host: Host, memo: dict[Any, Any] | None = None) -> Composed:
    """One plan composed without its evaluation, or its problems."""
    try:
        return Composed(plan, compose(plan, profile, host, evaluation=False, memo=memo))
    except InvalidInput as error:
        return Composed(plan, None, error.problems)
    except KistackError as error:
        return Composed(plan, None, (Problem("plan", error.message, error.hint),))
