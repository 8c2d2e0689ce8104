"""Binding ports: finding what a stage reads, and putting in automatic stages where it does not fit yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kistack.composition.matching import alternatives, came_through, meets, virtual_type, with_article
from kistack.composition.pipeline import Bound, Ref
from kistack.composition.requests import Broken, Request, Unmet
from kistack.composition.selection import selected
from kistack.domain.artifacts import Type
from kistack.plugins.host import default_settings
from kistack.plugins.stages import Port, Stage, Traits

if TYPE_CHECKING:
    from kistack.composition.workbench import Workbench


def bind(bench: Workbench, request: Request, traits: Traits) -> dict[str, tuple[Bound, ...]]:
    """Every port's bounds, automatic stages put in.

    Raises:
        Unmet: a port cannot be met.
        Broken: a port reads a slot that a faulty step should have written.
    """
    unknown = sorted(set(request.redirect) - set(traits.consumes))
    if unknown:
        ports = ", ".join(traits.consumes) or "none"
        raise Unmet(f"{request.stage.name} has no port {unknown[0]!r} to redirect", f"its ports: {ports}")
    bound: dict[str, tuple[Bound, ...]] = {}
    empty: list[str] = []
    for name, port in traits.consumes.items():
        found = _from_slots(bench, request, name, port)
        if found:
            bound[name] = tuple(selected(bench, request, b) if b.type.kind == port.kind else b for b in found)
        else:
            empty.append(name)
    for name, found in list(bound.items()):
        port = traits.consumes[name]
        bound[name] = tuple(_fit(bench, request, name, port, b, bound) for b in found)
    for name in empty:
        made = _make(bench, request, name, traits.consumes[name], bound)
        if made is not None:
            bound[name] = (made,)
    return bound


def _from_slots(bench: Workbench, request: Request, name: str, port: Port) -> tuple[Bound, ...]:
    if port.many:
        return tuple(b for b in bench.slots.values() if b.type.kind == port.kind)
    slot = request.redirect.get(name) or port.slot or name
    for candidate in (slot, port.default):
        if candidate and candidate in bench.poisoned:
            raise Broken
        if candidate and candidate in bench.slots:
            return (bench.slots[candidate],)
    if name in request.redirect:
        raise Unmet(
            f"{request.stage.name} is to read slot {slot!r}, which nothing has written",
            f"filled here: {', '.join(sorted(bench.slots))}",
        )
    return ()


def _fit(
    bench: Workbench, request: Request, name: str, port: Port, found: Bound, others: Mapping[str, tuple[Bound, ...]]
) -> Bound:
    """``found`` as the port wants it, through an automatic stage where need be."""
    if found.type.kind != port.kind:
        raise Unmet(f"{request.stage.name} reads {port.kind} at {name!r}, not {found.type.kind}", port.hint)
    fault = meets(found.type, port.where)
    if fault:
        turned = _turn(bench, request, found, port.where, others)
        if turned is None:
            has = found.type.read(fault) or "unknown"
            raise Unmet(
                f"{request.stage.name} needs {name} with {fault} {' or '.join(alternatives(port.where[fault]))}, "
                f"but it is {has}" + came_through(found.type),
                port.hint,
            )
        found = turned
    if port.prefer and meets(found.type, port.prefer):
        turned = _turn(bench, request, found, {**port.where, **port.prefer}, others)
        found = turned or found
    return found


def _turn(
    bench: Workbench, request: Request, found: Bound, where: Mapping[str, str], others: Mapping[str, tuple[Bound, ...]]
) -> Bound | None:
    """What one automatic stage makes of ``found`` so that it meets ``where``; None where none does."""
    fitting: list[tuple[Stage, str, str]] = []
    for stage in bench.host.automatic():
        traits = bench.host.traits(stage.name)
        for out_name, out in traits.produces.items():
            port = traits.consumes.get(out.like)
            if out.kind != found.type.kind or port is None or port.kind != out.kind:
                continue
            if meets(found.type, port.where) or meets(virtual_type(found.type, out), where):
                continue
            if _reachable(bench, traits, out.like, others):
                fitting.append((stage, out_name, out.like))
    return _insert(bench, request, fitting, found, others)


def _reachable(bench: Workbench, traits: Traits, main: str, others: Mapping[str, tuple[Bound, ...]]) -> bool:
    for name, port in traits.consumes.items():
        if name == main or port.optional:
            continue
        held = others.get(name) or ((bench.slots[s],) if (s := port.slot or name) in bench.slots else ())
        if not held or held[0].type.kind != port.kind:
            return False
    return True


def _make(
    bench: Workbench, request: Request, name: str, port: Port, others: Mapping[str, tuple[Bound, ...]]
) -> Bound | None:
    """What fills an empty port: an automatic stage, nothing if it is optional."""
    fitting: list[tuple[Stage, str, str]] = []
    for stage in bench.host.automatic():
        traits = bench.host.traits(stage.name)
        for out_name, out in traits.produces.items():
            like = Type(out.kind, out.format, out.set)
            if out.kind == port.kind and not out.like and not meets(like, port.where):  # noqa: SIM102
                if _reachable(bench, traits, "", others):
                    fitting.append((stage, out_name, ""))
    made = _insert(bench, request, fitting, None, others)
    if made is None and not port.optional:
        raise Unmet(f"{request.stage.name} needs {with_article(port.kind)} at {name!r}, and there is none", port.hint)
    return made


def _insert(
    bench: Workbench,
    request: Request,
    fitting: Sequence[tuple[Stage, str, str]],
    found: Bound | None,
    others: Mapping[str, tuple[Bound, ...]],
) -> Bound | None:
    if not fitting:
        return None
    if len(fitting) > 1:
        names = " or ".join(sorted({s.name for s, _, _ in fitting}))
        raise Unmet(f"{request.stage.name}: {names} could prepare its input", "name one of them as a step before it")
    stage, out_name, main = fitting[0]
    # The automatic stage sees what the asking step sees: its bindings first, the slots behind them.
    inner = bench.inner()
    for port_name, bounds in others.items():
        if len(bounds) == 1:
            inner.slots[port_name] = bounds[0]
    if found is not None:
        port = bench.host.traits(stage.name).consumes[main]
        inner.slots[port.slot or main] = found
    node = inner.place(
        Request(
            stage=stage,
            settings=default_settings(stage),
            where=request.where,
            step=request.step,
            purpose=request.purpose,
            auto=True,
            select=request.select,
        )
    )
    if node is None:
        problem = inner.problems[0]
        raise Unmet(problem.message, problem.hint)
    return Bound(Ref(node.key, out_name), node.outputs[out_name])
