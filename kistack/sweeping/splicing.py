"""A model from one pipeline and an index from another, put together to answer the same held-out questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kistack.composition.folding import fold
from kistack.composition.pipeline import Bound, Given, Node, Pipeline, Ref
from kistack.composition.starting import given_types
from kistack.composition.systems import systems_of
from kistack.composition.workbench import Workbench
from kistack.domain.calibration import Calibration
from kistack.domain.facts import Profile
from kistack.errors import InputError, PlanError
from kistack.plugins.host import Host


def splice(model: Pipeline, index: Pipeline, profile: Profile, host: Host, calibration: Calibration) -> Pipeline:
    """What ``model`` delivers, searching what ``index`` serves, asked the held-out questions of ``profile``.

    Both pipelines are of the same plan, composed without evaluation on different documents; spliced with itself a
    pipeline is what it is, evaluated.

    Raises:
        PlanError: nothing opens the model.
        InputError: the profile has no held-out questions.
    """
    held_out = given_types(profile).get("items")
    if held_out is None:
        raise InputError("the scenario holds no questions out, so nothing can be asked", "name pairs under knowledge")
    known = {n.key: n for n in (*model.nodes, *index.nodes)}
    ends = [b for b in model.delivered.values() if b.type.kind == "model"]
    served = {slot: b for slot, b in index.served.items() if b.type.kind == "index"}
    bench = Workbench(profile, host, model.plan.seed, calibration=calibration)
    bench.nodes = _needed([*ends, *served.values()], known)
    items = Bound(Given("items", held_out), held_out)
    bench.slots = {"items": items, **model.delivered}
    passages = next(iter(served.values()), None)
    systems, notes = systems_of(bench, model.plan, {"items": items}, model.delivered, passages, measure=True)
    if not systems and "model" in model.delivered:  # the empty plan delivers the base model, which is the baseline
        start = {"items": items, "model": model.delivered["model"]}
        systems, notes = systems_of(bench, model.plan, start, {}, None, measure=True)
    if bench.problems:
        raise PlanError("staleness", bench.problems)
    given = {**model.given, **index.given, held_out.identity: held_out}
    serving = next(iter(systems.values())).serving
    used = {s.type.identity for n in bench.nodes.values() for sources in n.inputs.values()
            for s in sources if isinstance(s, Given)}  # fmt: skip
    return replace(
        model,
        nodes=tuple(bench.nodes.values()),
        given={identity: found for identity, found in given.items() if identity in used},
        served=served,
        systems=systems,
        estimate=fold(bench.nodes, given, model.delivered.values(), served.values(), serving),
        notes=tuple(notes),
    )


def _needed(ends: Iterable[Bound], known: dict[str, Node]) -> dict[str, Node]:
    """The nodes that these come from, each after all it reads."""
    ordered: dict[str, Node] = {}

    def visit(key: str) -> None:
        if key not in ordered:
            for parent in known[key].parents():
                visit(parent)
            ordered[key] = known[key]

    for end in ends:
        for identity in (end.type.identity, *end.type.needs):
            key = identity.rpartition("/")[0]
            if key in known:
                visit(key)
        if isinstance(end.source, Ref):
            visit(end.source.node)
    return ordered
