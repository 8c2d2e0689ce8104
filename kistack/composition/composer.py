"""Compose: a plan and a profile become a pipeline, or all problems at once."""

from __future__ import annotations

from collections.abc import Mapping

from kistack.composition.folding import fold
from kistack.composition.memo import Memo
from kistack.composition.pipeline import Bound, Given, Node, Pipeline, Ref, closure
from kistack.composition.placing import place_steps
from kistack.composition.selection import selection_notes
from kistack.composition.starting import given_types, place_sources
from kistack.composition.systems import systems_of
from kistack.composition.workbench import Workbench
from kistack.domain.artifacts import Type
from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan
from kistack.errors import PlanError, Problem
from kistack.plugins.host import Host


def compose(
    plan: Plan,
    profile: Profile,
    host: Host,
    *,
    where: str = "plan",
    evaluation: bool = True,
    memo: Memo | None = None,
    calibration: Calibration = UNCALIBRATED,
) -> Pipeline:
    """Bind ``plan`` to the installed stages.

    Args:
        plan: the steps, used in the order given.
        profile: the facts of the scenario; its inputs and models fill the first slots.
        host: installed stages.
        where: what to call the plan in messages, for instance its file.
        evaluation: whether to add the nodes that measure it and the baselines.
        memo: what is shared between plans of the same profile, host and calibration.
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
    written = place_steps(bench, plan, where)
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
