"""Compose: a plan and a profile become a pipeline, or all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kistack.composition.folding import fold
from kistack.composition.matching import main_out
from kistack.composition.pipeline import Bound, Given, Node, Pipeline, Ref, closure
from kistack.composition.requests import Request
from kistack.composition.selection import reads_selection, selection_notes
from kistack.composition.starting import given_types, place_sources
from kistack.composition.systems import systems_of
from kistack.composition.workbench import Workbench
from kistack.domain.artifacts import Opener, Type
from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, PlanError, Problem
from kistack.plugins.host import Host


def compose(
    plan: Plan,
    profile: Profile,
    host: Host,
    *,
    where: str = "plan",
    evaluation: bool = True,
    memo: dict[Any, Any] | None = None,
    calibration: Calibration = UNCALIBRATED,
) -> Pipeline:
    """Bind ``plan`` to the installed stages.

    Args:
        plan: the steps, used in the order given.
        profile: the facts of the scenario; its inputs and models fill the first slots.
        host: installed stages.
        where: what to call the plan in messages, for instance its file.
        evaluation: whether to add the nodes that measure it and the baselines.
        memo: nodes shared between plans of the same profile, host and calibration.
        calibration: what corrects the estimates; keys do not depend on it.

    Raises:
        PlanError: with every problem, each with its step and a remedy.
    """
    bench = Workbench(profile, host, plan.seed, memo, calibration)
    given = given_types(profile)
    for slot, found in given.items():
        bench.slots[slot] = Bound(Given(slot, found), found)
    bench.given = dict(bench.slots)
    sources = place_sources(bench, plan)
    start = dict(bench.slots)
    written = _place_steps(bench, plan, where)
    served = {s: b for s, (b, serve) in written.items() if serve and bench.slots.get(s) == b}
    delivered = _delivered(bench, plan, where)
    if bench.problems:
        raise PlanError(where, bench.problems)
    index = next((b for b in served.values() if b.type.kind == "index"), None)
    systems, notes = systems_of(bench, plan, start, delivered, index, measure=evaluation)
    _drop_unused_sources(bench, sources, delivered, served)
    _check_all_used(bench, plan, where, given, delivered, served)
    if bench.problems:
        raise PlanError(where, bench.problems)
    first = next((s for n, s in systems.items() if n not in {"baseline", "few-shot"}), systems["baseline"])
    return Pipeline(
        plan=plan,
        nodes=_in_order(bench.nodes),
        given={n.type.identity: n.type for n in _givens(bench)},
        delivered=delivered,
        served=served,
        systems=systems,
        estimate=fold(bench.nodes, given, delivered.values(), served.values(), first.serving),
        notes=(*notes, *selection_notes(bench.nodes, profile)),
    )


def _givens(bench: Workbench) -> list[Given]:
    found: dict[str, Given] = {}
    for node in bench.nodes.values():
        for sources in node.inputs.values():
            found.update({s.slot: s for s in sources if isinstance(s, Given)})
    return list(found.values())


def _place_steps(bench: Workbench, plan: Plan, where: str) -> dict[str, tuple[Bound, bool]]:
    """Place every step; returns what each slot was last written with, and whether it is served unasked."""
    written: dict[str, tuple[Bound, bool]] = {}
    for number, step in enumerate(plan.steps, 1):
        spot = f"{where}: step {number} ({step.use})"
        try:
            stage = bench.host.get(step.use).stage
        except InputError as error:
            bench.problems.append(Problem(spot, error.message, error.hint))
            bench.poisoned.add(step.as_ or _guess_slot(step))
            continue
        settings = bench.settings_of(stage, step.with_, spot)
        if settings is None:
            bench.poisoned.add(step.as_ or _guess_slot(step))
            continue
        traits = bench.host.guard(stage.name, "traits", partial(stage.traits, settings))
        if not traits.produces and traits.opens:
            if step.select:
                bench.problems.append(Problem(spot, *_nothing_to_select(step)))
            opener = Opener(stage.name, settings.model_dump(mode="json", exclude_defaults=True))
            bench.chosen.append((traits.opens, opener))
            continue
        main = main_out(traits)
        outs = {n: (o.slot or n) for n, o in traits.produces.items()}
        fault = _redirect_fault(step, traits.consumes, main, outs)
        if fault is not None:
            bench.problems.append(Problem(spot, *fault))
            bench.poisoned.update(outs.values())
            continue
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
    return written


def _nothing_to_select(step: Step) -> tuple[str, str]:
    return (
        f"{step.use} reads neither the scenario's documents nor its pairs, so there is nothing to select",
        "leave out select, or put it on the step that reads them",
    )


def _guess_slot(step: Step) -> str:
    return "index" if step.kind == "retrieve" else "model"


def _redirect_fault(
    step: Step, consumes: Mapping[str, Any], main: Any, outs: Mapping[str, str]
) -> tuple[str, str] | None:
    if step.as_ and not outs:
        return f"{step.use} writes nothing that could be called {step.as_!r}", "leave out 'as'"
    if main is None or not main.like or step.as_:
        return None
    port = consumes.get(main.like)
    own = (port.slot or main.like) if port is not None else main.like
    if step.from_.get(main.like, own) != own:
        slot = next(iter(outs.values()))
        return (
            f"{step.use} reads {step.from_[main.like]!r} as its {main.like} and would overwrite slot {slot!r}",
            f"say where its result goes: as: {step.from_[main.like]}",
        )
    return None


def _delivered(bench: Workbench, plan: Plan, where: str) -> dict[str, Bound]:
    delivered: dict[str, Bound] = {}
    for slot in plan.deliver:
        if slot in bench.poisoned:
            continue
        if slot not in bench.slots:
            filled = ", ".join(sorted(bench.slots)) or "none"
            hint = f"slots at the end: {filled}" + ("" if slot != "model" else "; name models.base in kistack.yaml")
            bench.problems.append(Problem(f"{where}: deliver", f"nothing has written slot {slot!r}", hint))
            continue
        delivered[slot] = bench.slots[slot]
    return delivered


def _drop_unused_sources(
    bench: Workbench, sources: set[str], delivered: Mapping[str, Bound], served: Mapping[str, Bound]
) -> None:
    """A teacher or embedder that no step reads is not fetched."""
    read = {parent for node in bench.nodes.values() for parent in node.parents()}
    read |= {b.source.node for b in (*delivered.values(), *served.values()) if isinstance(b.source, Ref)}
    for key in sources - read:
        bench.nodes.pop(key, None)


def _check_all_used(
    bench: Workbench,
    plan: Plan,
    where: str,
    given: Mapping[str, Type],
    delivered: Mapping[str, Bound],
    served: Mapping[str, Bound],
) -> None:
    """Every step must reach something delivered."""
    ends = [b.type.identity for b in (*delivered.values(), *served.values())]
    travelling = closure(ends, bench.nodes, given)
    todo = [i.rpartition("/")[0] for i in travelling]
    todo += [b.source.node for b in (*delivered.values(), *served.values()) if isinstance(b.source, Ref)]
    reached: set[str] = set()
    while todo:
        key = todo.pop()
        if key in reached or key not in bench.nodes:
            continue
        reached.add(key)
        todo += bench.nodes[key].parents()
    for node in bench.nodes.values():
        if node.step is not None and not node.auto and node.purpose == "step" and node.key not in reached:
            use = plan.steps[node.step].use
            bench.problems.append(
                Problem(
                    f"{where}: step {node.step + 1} ({use})",
                    "nothing that is delivered uses what it makes",
                    "remove the step, or deliver its slot",
                )
            )


def _in_order(nodes: Mapping[str, Node]) -> tuple[Node, ...]:
    """Nodes after all they read; otherwise in the order they were made, steps before evaluation."""
    ordered: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key in ordered:
            return
        for parent in node.parents():
            visit(nodes[parent])
        ordered[node.key] = node

    for node in sorted(nodes.values(), key=lambda n: n.purpose == "evaluation"):
        visit(node)
    return tuple(ordered.values())
