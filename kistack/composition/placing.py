"""Placing a plan's steps one after the other; plans that begin alike share what their first steps leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kistack.composition.matching import main_out
from kistack.composition.pipeline import Bound, Node, Ref, Source
from kistack.composition.requests import Request
from kistack.composition.selection import reads_selection
from kistack.composition.workbench import Workbench
from kistack.domain.artifacts import Opener
from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, Problem
from kistack.plugins.stages import Opens, Settings, Stage, Traits

#: What each slot was last written with, and whether it is served unasked.
Written = dict[str, tuple[Bound, bool]]


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a bench stands after some steps without problems."""

    slots: Mapping[str, Bound]
    nodes: Mapping[str, Node]
    chosen: tuple[tuple[tuple[Opens, ...], Opener], ...]
    written: Mapping[str, tuple[Bound, bool]]

    @classmethod
    def of(cls, bench: Workbench, written: Written) -> _Standing:
        return cls({**bench.slots}, {**bench.nodes}, tuple(bench.chosen), {**written})

    def restore(self, bench: Workbench) -> Written:
        bench.slots.update(self.slots)
        bench.nodes.update(self.nodes)
        bench.chosen[:] = self.chosen
        return {**self.written}


def place_steps(bench: Workbench, plan: Plan, where: str) -> Written:
    """Place every step of a plan; problems are left on the bench."""
    mark: tuple[Any, ...] = ("steps", plan.base, bench.seed)
    marks = [mark := (*mark, _mark(step)) for step in plan.steps]
    done, written = 0, Written()
    for number in range(len(marks), 0, -1):
        kept: _Standing | None = None if bench.problems else bench.memo.find(marks[number - 1])
        if kept is not None:
            done, written = number, kept.restore(bench)
            break
    for number, step in enumerate(plan.steps[done:], done + 1):
        _place(bench, step, number, f"{where}: step {number} ({step.use})", written)
        if not bench.problems and number < len(marks):
            bench.memo.keep(marks[number - 1], _Standing.of(bench, written), known=bench.nodes, after=_behind(bench))
    return written


def _mark(step: Step) -> str:
    return f"{step.use} {sorted(step.with_.items())} {sorted(step.from_.items())} {step.as_} {step.select}"


def _behind(bench: Workbench) -> Iterable[Source]:
    """All that steps may have read without asking for it by name."""
    yield from (b.source for b in bench.given.values())
    yield from (Ref(key, "") for key in bench.nodes)


def _place(bench: Workbench, step: Step, number: int, spot: str, written: Written) -> None:
    """Place one step: its node, and what its slots hold from now on."""
    known = _usable(bench, step, spot)
    if known is None:
        bench.poisoned.add(step.as_ or _guess_slot(step))
        return
    stage, settings, traits = known
    if not traits.produces and traits.opens:
        if step.select:
            bench.problems.append(Problem(spot, *_nothing_to_select(step)))
        opener = Opener(stage.name, settings.model_dump(mode="json", exclude_defaults=True))
        bench.chosen.append((traits.opens, opener))
        return
    outs = {n: (o.slot or n) for n, o in traits.produces.items()}
    fault = _redirect_fault(step, traits, outs)
    if fault is not None:
        bench.problems.append(Problem(spot, *fault))
        bench.poisoned.update(outs.values())
        return
    node = bench.place(Request(stage, settings, spot, redirect=step.from_, step=number - 1, select=step.select))
    if step.select and node is not None and not reads_selection(bench.nodes, node):
        bench.problems.append(Problem(spot, *_nothing_to_select(step)))
    for position, (name, out) in enumerate(traits.produces.items()):
        slot = step.as_ if position == 0 and step.as_ else outs[name]
        if node is None:
            bench.poisoned.add(slot)
            continue
        bound = Bound(Ref(node.key, name), node.outputs[name])
        bench.slots[slot] = bound
        bench.poisoned.discard(slot)
        written[slot] = (bound, out.serve)


def _usable(bench: Workbench, step: Step, spot: str) -> tuple[Stage, Settings, Traits] | None:
    """The step's stage with its settings and traits, or None after the problems were noted."""
    try:
        stage = bench.host.get(step.use).stage
    except InputError as error:
        bench.problems.append(Problem(spot, error.message, error.hint))
        return None
    settings = bench.settings_of(stage, step.with_, spot)
    if settings is None:
        return None
    return stage, settings, bench.host.guard(stage.name, "traits", partial(stage.traits, settings))


def _nothing_to_select(step: Step) -> tuple[str, str]:
    return (
        f"{step.use} reads neither the scenario's documents nor its pairs, so there is nothing to select",
        "leave out select, or put it on the step that reads them",
    )


def _guess_slot(step: Step) -> str:
    return "index" if step.kind == "retrieve" else "model"


def _redirect_fault(step: Step, traits: Traits, outs: Mapping[str, str]) -> tuple[str, str] | None:
    main = main_out(traits)
    if step.as_ and not outs:
        return f"{step.use} writes nothing that could be called {step.as_!r}", "leave out 'as'"
    if main is None or not main.like or step.as_:
        return None
    port = traits.consumes.get(main.like)
    own = (port.slot or main.like) if port is not None else main.like
    if step.from_.get(main.like, own) != own:
        slot = next(iter(outs.values()))
        return (
            f"{step.use} reads {step.from_[main.like]!r} as its {main.like} and would overwrite slot {slot!r}",
            f"say where its result goes: as: {step.from_[main.like]}",
        )
    return None
