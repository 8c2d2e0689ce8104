"""Selection: a step that reads some parts of the corpus only, and which parts a pipeline's index and weights hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kistack.composition.pipeline import Bound, Given, Node, Pipeline, Ref, Source
from kistack.composition.requests import Request, Unmet
from kistack.domain.facts import Profile
from kistack.plugins.builtins import PairsPassages
from kistack.plugins.selecting import SelectDocuments, SelectPairs, SelectSettings, pairs_are_told_apart, part_names

if TYPE_CHECKING:
    from kistack.composition.workbench import Workbench

#: The scenario's slots that can be selected from, and the stage that does.
_SELECTS = {"corpus": SelectDocuments.name, "pairs": SelectPairs.name}
_SLOTS = {stage: slot for slot, stage in _SELECTS.items()}

#: Names of parts; None stands for all of them.
Parts = frozenset[str] | None


def selected(bench: Workbench, request: Request, found: Bound) -> Bound:
    """What a port of ``request`` reads of ``found``: of the scenario's own corpus or pairs the selected parts only.

    What an earlier step made is passed on as it is: that step said what went into it.

    Raises:
        Unmet: a part is unknown, or nothing is left.
    """
    source = found.source
    if not request.select or not isinstance(source, Given) or source.slot not in _SELECTS:
        return found
    stage = bench.host.get(_SELECTS[source.slot]).stage
    inner = bench.inner()
    inner.slots = dict(bench.given)
    settings = SelectSettings(parts=request.select)
    node = inner.place(Request(stage, settings, request.where, step=request.step, purpose=request.purpose, auto=True))
    if node is None:
        problem = inner.problems[0]
        raise Unmet(problem.message, problem.hint)
    return Bound(Ref(node.key, source.slot), node.outputs[source.slot])


def reads_selection(nodes: Mapping[str, Node], node: Node) -> bool:
    """Whether a selection lies before ``node``, directly or through what was put in for it."""
    todo = [node]
    while todo:
        for parent in (nodes[key] for key in todo.pop().parents()):
            if parent.label in _SLOTS:
                return True
            if parent.auto:
                todo.append(parent)
    return False


def passed_on(node: Node) -> Mapping[str, tuple[Source, ...]]:
    """The inputs whose content goes into what a node makes: a selection of pairs only looks at the corpus."""
    if node.label == SelectPairs.name:
        return {port: sources for port, sources in node.inputs.items() if port == "pairs"}
    return node.inputs


def selected_parts(pipeline: Pipeline) -> dict[str, Parts]:
    """The parts of the corpus that a pipeline answers from.

    Returns:
        ``index``: the parts whose documents are searched; ``weights``: the parts that trainers selected for the
        delivered models, their teachers included. None where everything is read, the empty set where nothing is:
        there is no index, or nothing was trained. Passages that trainers are shown do not count as learnt.
    """
    nodes = {n.key: n for n in pipeline.nodes}
    indexes = [b.source for b in pipeline.served.values() if b.type.kind == "index"]
    return {
        "index": _behind(indexes, nodes, {"corpus"}),
        "weights": _behind(_models(pipeline), nodes, {"corpus", "pairs"}, stop="index"),
    }


def trained_parts(pipeline: Pipeline) -> Parts:
    """The parts of the corpus of which anything reached the delivered weights: pairs, documents, passages shown.

    None for everything, the empty set for nothing.
    """
    nodes = {n.key: n for n in pipeline.nodes}
    return _behind(_models(pipeline), nodes, {"corpus", "pairs"})


def selects_pairs(pipeline: Pipeline) -> bool:
    """Whether any step reads selected pairs."""
    return any(n.label == SelectPairs.name for n in pipeline.nodes)


def _models(pipeline: Pipeline) -> list[Source]:
    return [b.source for b in pipeline.delivered.values() if b.type.kind == "model"]


def _behind(sources: Iterable[Source], nodes: Mapping[str, Node], slots: set[str], stop: str = "") -> Parts:
    """The parts that were read from the scenario's ``slots`` on the way here, not looking behind a kind ``stop``."""
    found: set[str] = set()
    seen: set[Source] = set()
    todo = list(sources)
    while todo:
        source = todo.pop()
        if isinstance(source, Given):
            if source.slot in slots:
                return None
            continue
        node = nodes.get(source.node)
        if source in seen or node is None or (stop and node.outputs[source.out].kind == stop):
            continue
        seen.add(source)
        if node.label in _SLOTS:
            if _SLOTS[node.label] in slots:
                if any(name.startswith("!") for name in node.settings.parts):  # type: ignore[attr-defined]
                    return None  # nobody knows yet which parts are left
                found.update(node.settings.parts)  # type: ignore[attr-defined]
            continue
        todo += [s for found_at in passed_on(node).values() for s in found_at]
    return frozenset(found)


def selection_notes(nodes: Mapping[str, Node], profile: Profile) -> list[str]:
    """What a reader should know of a plan's selections: pairs nobody can place, and pairs the index does not cover."""
    if not any(n.label in _SLOTS for n in nodes.values()):
        return []
    notes = []
    told_apart = pairs_are_told_apart(profile)
    if any(n.label == SelectPairs.name for n in nodes.values()):
        if told_apart is False:
            notes.append("no training pair names its gold documents: a selection of parts keeps all of them")
        elif (unnamed := _unnamed(profile)) != 0:
            some = (
                "pairs that name no gold document" if unnamed is None else f"{unnamed:.0f} pairs name no gold document:"
            )
            which = "are left out" if unnamed is None else "those among the training pairs are left out"
            unless = "" if told_apart else ", unless no training pair names any"
            notes.append(f"{some} {which} where a step selects parts{unless}")
    for node in nodes.values():
        if node.label != PairsPassages.name or node.purpose != "step":
            continue
        learnt = _behind(node.inputs["pairs"], nodes, {"pairs"})
        found = _behind(node.inputs["index"], nodes, {"corpus"})
        if found is None:
            continue
        absent = (frozenset(part_names(profile)) if learnt is None else learnt) - found
        if absent:
            notes.append(
                f"training pairs about {', '.join(sorted(absent))} are shown passages of {', '.join(sorted(found))}, "
                "which do not hold their answers: they learn the answers, and to pass such passages over"
            )
    return list(dict.fromkeys(notes))


def _unnamed(profile: Profile) -> float | None:
    """How many pairs, held-out ones included, name no gold document; None where nobody knows."""
    if not {"pairs.gold", "pairs.train", "pairs.test"} <= set(profile):
        return None
    return max(0.0, profile.number("pairs.train") + profile.number("pairs.test") - profile.number("pairs.gold"))
