"""Folding: what a whole plan costs, from what its nodes say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kistack.composition.pipeline import Bound, Node, closure
from kistack.composition.soundness import checked
from kistack.domain.artifacts import Opener, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Effect, Estimate
from kistack.plugins.builtins import PYTHON_BYTES, serving_load
from kistack.plugins.host import Host

#: Numbers of what serves, and their names among those of a whole plan.
_SERVED = {
    "latency_seconds": "latency_seconds",
    "tokens_per_second": "tokens_per_second",
    "peak_bytes": "serving_peak_bytes",
}


def fold(
    nodes: Mapping[str, Node],
    given: Mapping[str, Type],
    delivered: Iterable[Bound],
    served: Iterable[Bound],
    serving: Estimate,
) -> Estimate:
    """Costs of a plan.

    Seconds and money add over the distinct nodes; memory is the largest of theirs; ``scratch_bytes`` is the disk it
    takes while it is built (everything made is kept until the store is cleared, so that is what all nodes leave plus
    the largest scratch); ``bytes`` is the bundle, all that must travel included; serving numbers come from
    ``serving``. Evaluation is told apart as ``evaluation_seconds``. ``facts["memory"]`` says what of it is whose on a
    machine with GPUs: ``main_peak_bytes`` of steps that compute on the processor, ``gpu_peak_bytes`` of the others, and
    the share ``serving_gpu`` of what serves.

    Intervals add end by end: what is wrong about a machine or a model is wrong in all its steps at once. ``raw`` are
    the same sums over what the stages stated, where calibration moved any of it.
    """
    steps = [n for n in nodes.values() if n.purpose != "evaluation"]
    evaluation = [n for n in nodes.values() if n.purpose == "evaluation"]
    parts = closure([b.type.identity for b in (*delivered, *served)], nodes, given)
    bundle = [(_maker(t, nodes), t.fact("bytes")) for t in parts.values()]
    left = sum(t.fact("bytes") * n.growth for n in steps for t in n.outputs.values())
    costs = {
        "seconds": sum(n.estimate.cost("seconds") for n in steps),
        "evaluation_seconds": sum(n.estimate.cost("seconds") for n in evaluation),
        "money": sum(n.estimate.cost("money") for n in nodes.values()),
        "peak_bytes": max((n.estimate.cost("peak_bytes") for n in steps), default=0.0),
        "scratch_bytes": left + max((n.estimate.cost("scratch_bytes") for n in steps), default=0.0),
        "bytes": sum(size * (maker.growth if maker is not None else 1.0) for maker, size in bundle),
        **{told: serving.cost(name) for name, told in _SERVED.items()},
    }
    raw: dict[str, float] = {}
    if any(n.estimate.raw for n in nodes.values()):
        raw = {
            "seconds": sum(n.estimate.stated("seconds") for n in steps),
            "evaluation_seconds": sum(n.estimate.stated("seconds") for n in evaluation),
            "peak_bytes": max((n.estimate.stated("peak_bytes") for n in steps), default=0.0),
            "bytes": sum(size for _, size in bundle),
        }
    raw |= {told: serving.raw[name] for name, told in _SERVED.items() if name in serving.raw}
    main, gpu = (
        max((n.estimate.cost("peak_bytes") for n in steps if n.traits.processor == here), default=0.0)
        for here in (True, False)
    )
    memory = {**serving.facts.get("memory", {}), "main_peak_bytes": main, "gpu_peak_bytes": gpu}
    facts = {**serving.facts, "memory": memory}
    return Estimate(costs, facts, _effects(steps), raw, _intervals(steps, bundle, serving))


def _maker(made: Type, nodes: Mapping[str, Node]) -> Node | None:
    return nodes.get(made.identity.rpartition("/")[0])


def _intervals(
    steps: Iterable[Node], bundle: Iterable[tuple[Node | None, float]], serving: Estimate
) -> dict[str, tuple[float, float]]:
    """The 80 % intervals of the sums."""
    seconds, memory = ([n.estimate.interval(name) for n in steps] for name in ("seconds", "peak_bytes"))
    sizes = [(size * low, size * high) for maker, size in bundle for low, high in [_scale(maker)]]
    found = {
        "seconds": (sum(low for low, _ in seconds), sum(high for _, high in seconds)),
        "peak_bytes": (max((low for low, _ in memory), default=0.0), max((high for _, high in memory), default=0.0)),
        "bytes": (sum(low for low, _ in sizes), sum(high for _, high in sizes)),
    }
    return found | {told: serving.intervals[name] for name, told in _SERVED.items() if name in serving.intervals}


def _scale(maker: Node | None) -> tuple[float, float]:
    """The ends of an output's bytes relative to what its stage stated."""
    if maker is None or "bytes" not in maker.estimate.intervals:
        return 1.0, 1.0
    low, high = maker.estimate.intervals["bytes"]
    stated = maker.estimate.raw.get("bytes", maker.estimate.made)
    return low / stated, high / stated


def _effects(steps: Iterable[Node]) -> Effect | None:
    """The sum of the effects that stages declare; widths add as independent errors do."""
    declared = [n.estimate.quality for n in steps if n.estimate.quality is not None]
    if not declared:
        return None
    points = sum(e.points for e in declared)
    down = sum((e.points - e.low) ** 2 for e in declared) ** 0.5
    up = sum((e.high - e.points) ** 2 for e in declared) ** 0.5
    return Effect(
        points,
        points - down,
        points + up,
        "; ".join(e.conditions for e in declared if e.conditions),
        "; ".join(e.source for e in declared if e.source),
    )


def serving_of(model: Bound, opener: Opener | None, index: Bound | None, profile: Profile, host: Host) -> Estimate:
    """Costs of one answer on the serving machine: latency and memory add over what is opened.

    ``facts["memory"]["serving_gpu"]`` is the share of the memory that is a GPU's where there are any.
    """
    passages = 0.0
    query = memory = gpu = 0.0
    if index is not None and index.type.opener is not None:
        found = _serving(index.type, index.type.opener, profile, host, 0.0)
        passages = found.facts.get("passages", {}).get("tokens", 0.0)
        query = found.cost("query_seconds")
        memory += found.cost("peak_bytes")
        gpu += found.cost("peak_bytes") * _on_gpu(index.type.opener, host)
    costs: dict[str, float] = {"query_seconds": query}
    if opener is not None:
        opened = _serving(model.type, opener, profile, host, passages)
        costs["tokens_per_second"] = opened.cost("tokens_per_second")
        costs["latency_seconds"] = opened.cost("latency_seconds") + query
        memory += opened.cost("peak_bytes")
        gpu += opened.cost("peak_bytes") * _on_gpu(opener, host)
    costs["peak_bytes"] = memory + PYTHON_BYTES
    load = serving_load(profile, passages)
    share = {"serving_gpu": gpu / costs["peak_bytes"]}
    return Estimate(costs, {"prompt": {"tokens": load.prompt_tokens}, "memory": share})


def _on_gpu(opener: Opener, host: Host) -> bool:
    stage = host.get(opener.stage).stage
    traits = host.guard(stage.name, "traits", lambda: stage.traits(stage.Settings(**opener.settings)))
    return not traits.processor


def _serving(found: Type, opener: Opener, profile: Profile, host: Host, passages: float) -> Estimate:
    stage = host.get(opener.stage).stage
    settings = stage.Settings(**opener.settings)
    load = serving_load(profile, passages)
    return checked(host, stage.name, "serving", lambda: stage.serving(settings, profile, found, load))
