"""A composed plan: stages resolved, kinds and order checked, estimates folded, keys known; ready to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kistack.domain.artifacts import Opener, Type
from kistack.domain.calibration import work_of
from kistack.domain.plan import Plan
from kistack.domain.records import Estimate
from kistack.plugins.stages import Settings, Stage, Traits


@dataclass(frozen=True, slots=True)
class Ref:
    """An output of a node."""

    node: str
    out: str


@dataclass(frozen=True, slots=True)
class Given:
    """An input that the scenario brings; ``type.identity`` is its key."""

    slot: str
    type: Type


Source = Ref | Given


@dataclass(frozen=True, slots=True)
class Bound:
    """What a slot holds: where it comes from and what it is."""

    source: Source
    type: Type


@dataclass(frozen=True)
class Node:
    """One stage with its settings and inputs. Nodes with equal keys are the same work."""

    key: str
    stage: Stage
    settings: Settings
    plugin: str
    traits: Traits
    inputs: Mapping[str, tuple[Source, ...]]
    types: Mapping[str, tuple[Type, ...]]
    openers: Mapping[str, Opener]
    outputs: Mapping[str, Type]
    estimate: Estimate
    seed: int = 0
    auto: bool = False
    step: int | None = None
    purpose: str = "step"  # step, source, or evaluation

    @property
    def label(self) -> str:
        """The stage's name."""
        return self.stage.name

    @property
    def work(self) -> str:
        """What its numbers are calibrated as."""
        return work_of(self.stage.name, (o.stage for o in self.openers.values()))

    @property
    def growth(self) -> float:
        """By what calibration multiplies the bytes of its outputs; their types keep what the stage stated."""
        stated = self.estimate.raw.get("bytes", 0.0)
        return self.estimate.made / stated if stated else 1.0

    def parents(self) -> Iterator[str]:
        """Keys of the nodes it reads."""
        for sources in self.inputs.values():
            for source in sources:
                if isinstance(source, Ref):
                    yield source.node


@dataclass(frozen=True)
class System:
    """Something to be evaluated: a delivered model with its indexes, or a baseline.

    ``opener`` is the runtime that answers, ``answers`` the output with its per-item answers, ``scores`` one output per
    evaluator; ``unavailable`` maps an evaluator that cannot run on it to the reason.
    """

    name: str
    model: Bound
    index: Bound | None = None
    opener: Opener | None = None
    answers: Ref | None = None
    scores: Mapping[str, Ref] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    serving: Estimate = field(default_factory=Estimate)


@dataclass(frozen=True)
class Pipeline:
    """A plan bound to resolved stages.

    ``nodes`` are in an order that can be run; ``delivered`` are the slots of the bundle; ``systems`` what is evaluated
    (``baseline``, ``few-shot`` and each delivered model), ``notes`` what the reader should know.
    """

    plan: Plan
    nodes: tuple[Node, ...]
    given: Mapping[str, Type]
    delivered: Mapping[str, Bound]
    served: Mapping[str, Bound]
    systems: Mapping[str, System]
    estimate: Estimate
    notes: tuple[str, ...] = ()

    def node(self, key: str) -> Node:
        """The node with that key; KeyError where there is none."""
        for node in self.nodes:
            if node.key == key:
                return node
        raise KeyError(key)

    @property
    def steps(self) -> tuple[Node, ...]:
        """The nodes that make the bundle: without the evaluation."""
        return tuple(n for n in self.nodes if n.purpose != "evaluation")

    def redo(self, *slots: str) -> Estimate:
        """What it costs to be fresh again after these scenario slots changed (evaluation left out)."""
        stale: set[str] = set()
        seconds = money = peak = 0.0
        for node in self.steps:
            touched = any(
                (isinstance(s, Given) and s.slot in slots) or (isinstance(s, Ref) and s.node in stale)
                for sources in node.inputs.values()
                for s in sources
            )
            if touched:
                stale.add(node.key)
                seconds += node.estimate.cost("seconds")
                money += node.estimate.cost("money")
                peak = max(peak, node.estimate.cost("peak_bytes"))
        return Estimate({"seconds": seconds, "money": money, "peak_bytes": peak})

    def describe(self) -> dict[str, Any]:
        """A JSON document of what would run: stages, settings, keys, estimates, what was put in automatically."""
        return {
            "plan": self.plan.to_dict(),
            "nodes": [
                {
                    "use": n.label,
                    "plugin": n.plugin,
                    "key": n.key,
                    "auto": n.auto,
                    "step": n.step,
                    "purpose": n.purpose,
                    "settings": n.settings.model_dump(mode="json"),
                    "inputs": {p: [_source_name(s) for s in sources] for p, sources in n.inputs.items()},
                    "predicted": dict(n.estimate.costs),
                    "raw": dict(n.estimate.raw),
                    "intervals": {name: list(ends) for name, ends in n.estimate.intervals.items()},
                }
                for n in self.nodes
            ],
            "delivers": sorted({*self.delivered, *self.served}),
            "systems": {name: {"unavailable": dict(s.unavailable)} for name, s in self.systems.items()},
            "predicted": dict(self.estimate.costs),
            "raw": dict(self.estimate.raw),
            "intervals": {name: list(ends) for name, ends in self.estimate.intervals.items()},
            "notes": list(self.notes),
        }


def _source_name(source: Source) -> str:
    return source.slot if isinstance(source, Given) else f"{source.node[:12]}/{source.out}"


def closure(identities: Iterable[str], nodes: Mapping[str, Node], given: Mapping[str, Type]) -> dict[str, Type]:
    """The types with these identities and all that must travel with them, each once."""
    known = {t.identity: t for t in given.values()}
    for node in nodes.values():
        known.update({t.identity: t for t in node.outputs.values()})
    found: dict[str, Type] = {}
    todo = list(identities)
    while todo:
        identity = todo.pop()
        if identity in found or identity not in known:
            continue
        found[identity] = known[identity]
        todo += known[identity].needs
    return found
