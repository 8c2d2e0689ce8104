"""What the quality of a candidate depends on: what was done to its model, from which data, and what it may look up.

``features_of`` reads it off a composed pipeline. A plugin's stage that the quality model does not know by name counts
as the usual method of its technique.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kistack.composition.pipeline import Bound, Given, Node, Pipeline, Ref
from kistack.composition.selection import Parts, passed_on, selected_parts
from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Effect
from kistack.errors import InputError
from kistack.plugins.costs import bits
from kistack.plugins.selecting import part_names

#: A model whose size nobody knows is taken for one of this many parameters.
UNKNOWN_PARAMS = 1e9
#: An index that is made again within this time is refreshed daily, else weekly.
_QUICK_REFRESH = 3_600.0

Lookup = Literal["", "always", "gated", "everything"]


@dataclass(frozen=True, slots=True)
class Change:
    """One stage on the way from the base model to the delivered one.

    ``kind`` is the technique, ``method`` how it is done: of tuning ``lora``, ``qlora``, ``full``, ``prefix``,
    ``partial``, ``ia3`` or ``rl``; of distilling ``response``, ``feature``, ``relation``, ``on_policy``, ``sequence``
    or ``sequence_rationale``; of quantizing ``weight``, ``int8`` (scales not shared by groups), ``dynamic``,
    ``activations`` or ``qat``. ``data`` is what it learnt from: ``qa``, ``instructions``, ``labels``, ``raw_text`` or
    ``paraphrases``.

    ``pairs`` and ``tokens`` are how much of it, ``with_passages`` whether those pairs showed passages. ``ratio`` is the
    share of parameters it keeps, ``narrower`` whether it keeps all layers, ``teacher`` its teacher's parameters (0:
    none), ``bits`` the stored bits per weight before and after it, ``trained`` the parameters an adapter has (0: all),
    ``objective`` a variant that some figures speak of (``contrastive``, ``fp4``).
    """

    kind: str
    stage: str
    with_passages: bool = False
    pairs: float = 0.0
    tokens: float = 0.0
    ratio: float = 1.0
    teacher: float = 0.0
    bits: tuple[float, float] = (16.0, 16.0)
    declared: Effect | None = None
    method: str = ""
    data: str = "qa"
    trained: float = 0.0
    narrower: bool = False
    objective: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of what is asked about: its share, how much of it changes per day, and where its knowledge is put."""

    name: str
    share: float
    hazard: float
    indexed: bool = True
    taught: bool = True


@dataclass(frozen=True, slots=True)
class Features:
    """What a prediction of quality reads. Equal features have equal quality.

    ``passages`` per question (0: nothing is retrieved), ``lookup`` when: always, gated (only where the model is
    unsure), or everything (the whole corpus in the prompt). ``hazard`` is the share of content changed per day,
    ``retrain_days`` and ``refresh_days`` how long weights and index are left as they are. ``measured`` are shares that
    a probe observed (``closed_book``, ``reading``, ``recall``, ``skill``) with the standard deviation of so small a
    sample; they replace priors. ``popular`` is 0 for rare facts to 1 for popular ones. ``forgetting_matters``: what
    else the model can do must survive. ``parts`` are there where knowledge is placed by how fast it changes.
    """

    task: str
    metric: str
    params: float
    passages: float
    changes: tuple[Change, ...]
    hazard: float
    horizon_days: float
    refresh_days: float
    retrieval_effect: Effect | None = None
    measured: tuple[tuple[str, float, float], ...] = ()
    trains_on: frozenset[str] = field(default=frozenset(), compare=False)
    lookup: Lookup = "always"
    retrain_days: float = 0.0
    popular: float = 0.0
    encoder: bool = False
    forgetting_matters: bool = False
    parts: tuple[Share, ...] = ()


#: Pairs of a probe that does not say how many it asked.
_PROBE_PAIRS = 40.0
_PROBED = {"closed_book": "probe.closed_book", "reading": "probe.gold_passage", "recall": "probe.recall"}
#: Methods that the quality model tells apart, by words that occur in the names of stages.
_METHODS = {
    "tune": ("qlora", "lora", "prefix", "ia3", "full", "partial", "rl"),
    "distill": ("sequence_rationale", "sequence", "on_policy", "on-policy", "feature", "relation", "response"),
    "quantize": ("qat", "dynamic", "activations", "int8"),
}
_USUAL = {"tune": "lora", "distill": "response", "quantize": "weight"}


def features_of(profile: Profile, pipeline: Pipeline) -> Features:
    """The features of a composed candidate."""
    nodes = {n.key: n for n in pipeline.nodes}
    model = _delivered_model(pipeline)
    line = _line(model, nodes)
    root = _root(line, model)
    index = next((b for b in pipeline.served.values() if b.type.kind == "index"), None)
    retriever = nodes.get(index.source.node) if index is not None and isinstance(index.source, Ref) else None
    horizon = profile.number("scenario.horizon_days", 90.0)
    usual = 1.0 if index_seconds(pipeline) <= _QUICK_REFRESH else 7.0
    return Features(
        task=profile.text("scenario.task", "facts"),
        metric=profile.text("scenario.metric", "contained"),
        params=root.fact("params") or UNKNOWN_PARAMS,
        passages=max(1.0, index.type.fact("passages", 3.0)) if index is not None else 0.0,
        changes=tuple(_change(n) for n in line),
        hazard=max(0.0, profile.number("freshness.changed_per_day")),
        horizon_days=horizon,
        refresh_days=profile.number("scenario.refresh_days") or min(usual, max(horizon, 1e-9)),
        retrieval_effect=retriever.estimate.quality if retriever is not None else None,
        measured=probed(profile),
        trains_on=_given_behind(line, nodes),
        retrain_days=min(horizon, profile.number("scenario.retrain_days") or horizon),
        forgetting_matters=bool(profile.number("scenario.limit_forgetting")),
        parts=_parts(profile, pipeline),
    )


def _parts(profile: Profile, pipeline: Pipeline) -> tuple[Share, ...]:
    """What is asked about by part of the corpus, where the profile tells how fast each changes.

    What is asked about a part is taken to be as much as the training pairs about it say, else as its text.
    """
    names = part_names(profile)
    if len(names) < 2 or not any(f"part.{n}.changed_per_day" in profile for n in names):  # noqa: PLR2004 - one is all
        return ()
    found = selected_parts(pipeline)
    asked = {n: profile.number(f"part.{n}.train_pairs") for n in names}
    if not sum(asked.values()):
        asked = {n: profile.number(f"part.{n}.tokens", 1.0) for n in names}
    total = sum(asked.values()) or 1.0
    overall = profile.number("freshness.changed_per_day")
    return tuple(
        Share(
            n,
            asked[n] / total,
            max(0.0, profile.number(f"part.{n}.changed_per_day", overall)),
            indexed=_holds(found["index"], n),
            taught=_holds(found["weights"], n),
        )
        for n in sorted(names)
    )


def _holds(parts: Parts, name: str) -> bool:
    return parts is None or name in parts


def probed(profile: Profile) -> tuple[tuple[str, float, float], ...]:
    """The shares that a probe observed, each with the standard deviation its number of pairs leaves.

    Agresti and Coull 1998.
    """
    count = profile.number("probe.pairs") or _PROBE_PAIRS
    found = []
    for name, fact in _PROBED.items():
        if fact in profile:
            share = profile.number(fact)
            middle = (share * count + 2) / (count + 4)
            found.append((name, share, math.sqrt(middle * (1 - middle) / (count + 4))))
    return tuple(found)


def index_seconds(pipeline: Pipeline) -> float:
    """Seconds to make the indexes of a pipeline again."""
    indexing = [n for n in pipeline.steps if any(t.kind == "index" for t in n.outputs.values())]
    return sum(n.estimate.cost("seconds") for n in indexing)


def _delivered_model(pipeline: Pipeline) -> Bound | None:
    return next((b for b in pipeline.delivered.values() if b.type.kind == "model"), None)


def _line(model: Bound | None, nodes: Mapping[str, Node]) -> list[Node]:
    """The nodes that made the delivered model out of the base, oldest first, without the source."""
    line: list[Node] = []
    source = model.source if model is not None else None
    while isinstance(source, Ref) and source.node in nodes:
        node = nodes[source.node]
        if node.purpose == "source":
            break
        line.append(node)
        like = node.traits.produces[source.out].like
        source = next(iter(node.inputs.get(like, ())), None)
    return line[::-1]


def _root(line: list[Node], model: Bound | None) -> Type:
    if line:
        like = next(iter(line[0].traits.produces.values())).like
        return next(iter(line[0].types.get(like, ())), Type("model"))
    return model.type if model is not None else Type("model")


def _change(node: Node) -> Change:
    out_name, out = next(iter(node.traits.produces.items()))
    before = next(iter(node.types.get(out.like, ())), Type("model"))
    after = node.outputs[out_name]
    pairs = next((t for types in node.types.values() for t in types if t.kind == "pairs"), Type("pairs"))
    count = pairs.fact("count")
    tokens = pairs.fact("tokens") or count * (pairs.fact("prompt_tokens", 60) + pairs.fact("answer_tokens", 10))
    teacher = next(iter(node.types.get("teacher", ())), None)
    # An adapter's own size says nothing of the model it travels with.
    whole = not out.requires
    kept = after.fact("params") / before.fact("params") if whole and before.fact("params") else 1.0
    return Change(
        kind=node.stage.name.partition("/")[0],
        stage=node.stage.name,
        with_passages=pairs.facets.get("passages") == "with",
        pairs=count,
        tokens=tokens,
        ratio=min(1.0, kept) if kept > 0 else 1.0,  # whatever a stage states, a model has parameters
        teacher=teacher.fact("params") if teacher is not None else 0.0,
        bits=(stored_bits(before), stored_bits(after if whole else before)),
        declared=node.estimate.quality,
        method=method_of(node.stage.name),
    )


def method_of(stage: str) -> str:
    """How a stage does its technique, told from its name; the usual way where the name does not say."""
    kind, _, name = stage.partition("/")
    found = next((m for m in _METHODS.get(kind, ()) if m in name), _USUAL.get(kind, ""))
    return found.replace("-", "_")


def stored_bits(model: Type) -> float:
    """Bits per weight of a model: of its precision, else of its bytes, else 16."""
    precision = model.facets.get("precision", "")
    if precision:
        try:
            return bits(precision)
        except InputError:
            pass
    params, size = model.fact("params"), model.fact("bytes")
    return 8 * size / params if params and size else 16.0


def _given_behind(line: list[Node], nodes: Mapping[str, Node]) -> frozenset[str]:
    """The scenario's own slots whose content the delivered weights learnt from."""
    found: set[str] = set()
    seen: set[str] = set()
    todo = list(line)
    while todo:
        node = todo.pop()
        if node.key in seen:
            continue
        seen.add(node.key)
        for sources in passed_on(node).values():
            for source in sources:
                if isinstance(source, Given):
                    found.add(source.slot)
                elif source.node in nodes:
                    todo.append(nodes[source.node])
    return frozenset(found)
