"""What is evaluated: the baselines and every delivered model, each answered and scored by nodes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kistack.composition.folding import serving_of
from kistack.composition.pipeline import Bound, Ref, System
from kistack.composition.requests import Request, Unmet
from kistack.composition.workbench import Workbench
from kistack.domain.artifacts import Opener
from kistack.domain.calibration import SERVING_KINDS
from kistack.domain.plan import DEFAULT_EVALUATORS, Plan, Step
from kistack.domain.records import Estimate
from kistack.errors import InputError, KistackError, Problem
from kistack.plugins.host import Host
from kistack.plugins.stages import Stage

#: Pairs shown in the few-shot baseline's prompt.
FEW_SHOT = 3


def systems_of(
    bench: Workbench,
    plan: Plan,
    start: Mapping[str, Bound],
    delivered: Mapping[str, Bound],
    index: Bound | None,
    *,
    measure: bool,
) -> tuple[dict[str, System], list[str]]:
    """The systems to evaluate: the baseline, a few-shot prompt, and every delivered model."""
    notes: list[str] = []
    if measure:
        bench.problems += _unknown_evaluators(bench.host, plan)
    wanted: dict[str, tuple[Bound, Bound | None, int]] = {}
    if "model" in start:
        wanted["baseline"] = (start["model"], None, 0)
        if "pairs" in start and measure:
            wanted["few-shot"] = (start["model"], None, FEW_SHOT)
    models = {s: b for s, b in delivered.items() if b.type.kind == "model"}
    for slot, bound in models.items():
        if plan.steps:
            wanted["plan" if len(models) == 1 else f"plan:{slot}"] = (bound, index, 0)
    systems: dict[str, System] = {}
    for name, (model, passages, shots) in wanted.items():
        try:
            opener, _ = bench.opener(model.type, ("generate",), f"system {name!r}")
        except Unmet as unmet:
            bench.problems.append(Problem(f"deliver {name}", unmet.message, unmet.hint))
            continue
        system = System(name, model, passages, opener, serving=_serving(bench, model, opener, passages))
        systems[name] = _measured(bench, plan, system, shots) if measure and "items" in start else system
    if measure and "items" not in start:
        notes.append("nothing is evaluated: the scenario has no held-out questions")
    return systems, notes


def _unknown_evaluators(host: Host, plan: Plan) -> list[Problem]:
    """What the plan names under ``evaluate`` and nothing installed can do: its numbers would be missing in the end."""
    found = []
    for use in (entry.use for entry in plan.evaluate if entry.use != DEFAULT_EVALUATORS):
        known = [stage.name for stage in host.stages_of("evaluate")]
        if use in known:
            continue
        message, hint = f"{use} scores no answers", f"installed: {', '.join(known) or 'no evaluator'}"
        try:
            host.get(use)
        except InputError as error:
            message, hint = error.message, error.hint
        found.append(Problem(f"evaluate {use}", message, hint))
    return found


def _serving(bench: Workbench, model: Bound, opener: Opener, index: Bound | None) -> Estimate:
    """What one answer costs; plans of the same base share that of the baseline."""
    settings = repr(sorted(opener.settings.items()))
    mark = ("serving", model.type.identity, opener.stage, settings, index.type.identity if index is not None else "")
    known: Estimate | None = bench.memo.find(mark)
    if known is None:
        stated = serving_of(model, opener, index, bench.profile, bench.host)
        machine = bench.profile.text("serving.fingerprint")
        known = bench.calibration.corrected(stated, opener.stage, machine, SERVING_KINDS)
        bench.memo.keep(mark, known, after=[b.source for b in (model, index) if b is not None])
    return known


def _measured(bench: Workbench, plan: Plan, system: System, shots: int) -> System:
    """Add the nodes that answer the held-out questions with this system and score the answers."""
    inner = bench.inner()
    inner.slots["model"] = system.model
    inner.slots.pop("index", None)
    if system.index is not None:
        inner.slots["index"] = system.index
    answer = bench.host.get("answer/items").stage
    asked = answer.Settings.model_validate({"few_shot": shots} if shots else {})
    node = inner.place(Request(answer, asked, f"evaluate {system.name}", purpose="evaluation"))
    if node is None:
        bench.problems += inner.problems
        return system
    inner.slots["answers"] = Bound(Ref(node.key, "answers"), node.outputs["answers"])
    scores: dict[str, Ref] = {}
    unavailable: dict[str, str] = {}
    for stage, entry in _evaluators(bench, plan):
        inner.problems = []
        settings = inner.settings_of(stage, entry.with_, f"evaluate {stage.name}")
        if settings is None:
            bench.problems += [p for p in inner.problems if p not in bench.problems]
            continue
        where = f"evaluate {system.name}"
        scored = inner.place(Request(stage, settings, where, redirect=entry.from_, purpose="evaluation"))
        if scored is None:
            unavailable[stage.name] = inner.problems[0].message if inner.problems else "its input is missing"
        else:
            scores[stage.name] = Ref(scored.key, next(iter(scored.outputs)))
    return replace(system, answers=Ref(node.key, "answers"), scores=scores, unavailable=unavailable)


def _evaluators(bench: Workbench, plan: Plan) -> list[tuple[Stage, Step]]:
    """What scores the answers: what the plan names, and by default every evaluator that does not ask to be named."""
    named = {entry.use: entry for entry in plan.evaluate}
    defaults = not named or DEFAULT_EVALUATORS in named
    wanted = []
    for stage in bench.host.stages_of("evaluate"):
        if stage.name in named:
            wanted.append((stage, named[stage.name]))
        elif defaults and not _asks_to_be_named(bench, stage):
            wanted.append((stage, Step(use=stage.name)))
    return wanted


def _asks_to_be_named(bench: Workbench, stage: Stage) -> bool:
    try:
        return bench.host.traits(stage.name).opt_in
    except KistackError:
        return False  # what is wrong with it is told where it is placed
