"""The pipeline of a probe: the base model's source, the first retriever that fits, answers and their scores."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from kistack.advisor.candidates import options
from kistack.composition.composer import compose
from kistack.composition.pipeline import Bound, Given, Pipeline, Ref, System
from kistack.composition.requests import Request
from kistack.composition.workbench import Workbench
from kistack.domain.artifacts import Type
from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan, Step
from kistack.errors import KistackError, PlanError, Problem
from kistack.plugins.host import Host
from kistack.plugins.stages import Stage


def retriever_of(profile: Profile, host: Host) -> tuple[Step | None, str]:
    """The retriever that advice would name first and that composes here; else None and the reason."""
    if not profile.text("corpus.identity"):
        return None, "the scenario names no documents"
    reason = ""
    for step in options(profile, host, [])["retrieve"]:
        try:
            compose(Plan(steps=(step,)), profile, host, where="probe", evaluation=False)
        except PlanError as error:
            reason = reason or f"{step.use} cannot be used: {error.problems[0].message}"
        except KistackError as error:
            reason = reason or f"{step.use} cannot be used: {error.message}"
        else:
            return step, ""
    return None, reason or "no retriever is installed"


def probe_pipeline(
    profile: Profile,
    host: Host,
    retriever: Step | None,
    bare: Type,
    gold: Type | None,
    *,
    calibration: Calibration = UNCALIBRATED,
) -> Pipeline:
    """The nodes that answer and score: systems ``closed_book``, and ``gold_passage`` and ``retrieved`` where they can.

    Answers are not timed one by one. Every installed evaluator that reads answers alone scores them.

    Raises:
        PlanError: there is no base model, nothing opens it, or nothing scores answers.
    """
    plan = Plan(steps=(retriever,) if retriever is not None else ())
    start = compose(plan, profile, host, where="probe", evaluation=False, calibration=calibration)
    bench = Workbench(profile, host, plan.seed, calibration=calibration)
    bench.nodes = {n.key: n for n in start.nodes}
    model = start.delivered["model"]
    index = next((b for b in start.served.values() if b.type.kind == "index"), None)
    wanted: dict[str, tuple[Type, Bound | None]] = {"closed_book": (bare, None)}
    if gold is not None:
        wanted["gold_passage"] = (gold, None)
    if index is not None:
        wanted["retrieved"] = (bare, index)
    judges = _judges(host)
    systems = {n: _asked(bench, judges, System(n, model, passages), items) for n, (items, passages) in wanted.items()}
    if not judges:
        hint = "install a plugin with one, such as kistack-metrics"
        bench.problems.append(Problem("probe", "no installed evaluator scores answers", hint))
    if bench.problems:
        raise PlanError("probe", bench.problems)
    given = {t.identity: t for t in (bare, gold) if t is not None}
    return replace(start, nodes=tuple(bench.nodes.values()), given={**start.given, **given}, systems=systems)


def seconds_of(pipeline: Pipeline, done: Collection[str] = ()) -> float:
    """Expected seconds of the nodes whose keys are not among ``done``."""
    return sum(n.estimate.cost("seconds") for n in pipeline.nodes if n.key not in done)


def _judges(host: Host) -> list[Stage]:
    """Evaluators that read answers and nothing else, and whose numbers are no timings."""
    found = []
    for stage in host.stages_of("evaluate"):
        traits = host.traits(stage.name)
        if set(traits.consumes) == {"answers"} and not traits.timed:
            found.append(stage)
    return found


def _asked(bench: Workbench, judges: list[Stage], system: System, items: Type) -> System:
    """Add the nodes that put ``items`` to a system and score its answers."""
    inner = bench.inner()
    inner.slots = {"model": system.model, "items": Bound(Given(f"probe {system.name}", items), items)}
    if system.index is not None:
        inner.slots["index"] = system.index
    stage = bench.host.get("answer/items").stage
    where = f"probe {system.name}"
    settings = stage.Settings.model_validate({"latency_items": 0})
    node = inner.place(Request(stage, settings, where, purpose="evaluation"))
    if node is None:
        bench.problems += inner.problems
        return system
    inner.slots["answers"] = Bound(Ref(node.key, "answers"), node.outputs["answers"])
    scores: dict[str, Ref] = {}
    for judge in judges:
        inner.problems = []
        scored = inner.place(Request(judge, judge.Settings(), where, purpose="evaluation"))
        if scored is not None:
            scores[judge.name] = Ref(scored.key, next(iter(scored.outputs)))
    return replace(system, answers=Ref(node.key, "answers"), scores=scores)
