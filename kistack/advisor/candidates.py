"""Candidates: every subset of the four techniques, times what the registered stages suggest, composed and folded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kistack.advisor.placement import Placement, placed, placements
from kistack.composition.arranging import arrange
from kistack.composition.composer import compose
from kistack.composition.memo import Memo
from kistack.composition.pipeline import Pipeline
from kistack.composition.starting import MODEL_SLOTS, given_types
from kistack.domain.artifacts import FACETS, Type
from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, InvalidInput, KistackError, Problem
from kistack.plugins.environments import Environment
from kistack.plugins.host import Host
from kistack.plugins.selecting import part_names
from kistack.plugins.stages import TECHNIQUES, Stage

#: Suggestions kept of one technique, and plans judged in all: composing one takes about a millisecond.
PER_TECHNIQUE = 6
MOST_PLANS = 400
#: Of those, plans that place parts of the corpus apart: every way of placing them with the best guesses, and some more.
MOST_PLACED = 60

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


def options(profile: Profile, host: Host, notes: list[str], *, room: int = MOST_PLANS) -> dict[str, list[Step]]:
    """The steps worth judging of each technique, best guesses first, at most ``PER_TECHNIQUE`` of each.

    Where several stages serve one technique their suggestions alternate. A stage that raises is left out and noted.
    All combinations are at most ``room``.
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
    while _count(found) > room:
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
        if (own := _missing_environment(stage, host)) is not None:
            # Beside a suggestion that cannot be composed there would be less room for those that can.
            notes.append(f"{stage.name} was not judged: it needs its environment: {own.remedy}")
            return []
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


def _missing_environment(stage: Stage, host: Host) -> Environment | None:
    if any(f.is_required() for f in stage.Settings.model_fields.values()):
        return None
    own = host.traits(stage.name).environment
    return None if own is None or own.is_made else own


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


def placed_plans(
    whole: Sequence[Plan],
    ways: Sequence[Placement],
    known: Sequence[str],
    found: Mapping[str, Sequence[Step]],
    host: Host,
) -> list[Plan]:
    """``whole`` plans with the parts of the corpus placed each way, those of the best guesses first.

    Args:
        whole: plans that select nothing.
        ways: how to place the parts.
        known: the names of all parts.
        found: the steps worth judging, whose order says what is a better guess.
        host: the installed stages.
    """
    rank = {step: n for steps in map(list, found.values()) for n, step in enumerate(map(_mark, steps))}
    guessed = sorted(whole, key=lambda plan: sum(rank[_mark(s)] for s in plan.steps))
    suited = ((plan, way) for plan in guessed for way in ways if way.suits(plan.steps))
    return [
        plan.model_copy(update={"steps": placed(plan.steps, way, known, host)})
        for plan, way in itertools.islice(suited, MOST_PLACED)
    ]


def _mark(step: Step) -> str:
    return f"{step.use} {sorted(step.with_.items())}"


def candidates(
    profile: Profile, host: Host, notes: list[str], *, seed: int = 0, calibration: Calibration = UNCALIBRATED
) -> list[Composed]:
    """All candidates, those that cannot be composed too, with the composer's problems.

    Where parts of the corpus change at different rates, or some are private, plans that place them apart are among
    them. ``notes`` receives what could not be judged at all; ``calibration`` corrects the estimates.
    """
    memo = Memo()
    ways = placements(profile)
    found = options(profile, host, notes, room=MOST_PLANS - (MOST_PLACED if ways else 0))
    judged = []
    whole = []
    for plan, problems in plans(found, host, seed):
        judged.append(Composed(plan, None, problems) if problems else composed(plan, profile, host, memo, calibration))
        if judged[-1].pipeline is not None:
            whole.append(plan)
    if ways:
        apart = placed_plans(whole, ways, part_names(profile), found, host)
        judged += [composed(plan, profile, host, memo, calibration) for plan in apart]
    return judged


def composed(
    plan: Plan,
    profile: Profile,
    host: Host,
    memo: Memo | None = None,
    calibration: Calibration = UNCALIBRATED,
) -> Composed:
    """One plan composed without its evaluation, or its problems."""
    try:
        return Composed(plan, compose(plan, profile, host, evaluation=False, memo=memo, calibration=calibration))
    except InvalidInput as error:
        return Composed(plan, None, error.problems)
    except KistackError as error:
        return Composed(plan, None, (Problem("plan", error.message, error.hint),))
