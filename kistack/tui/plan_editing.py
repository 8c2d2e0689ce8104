"""A plan that is being edited: every edit is checked by the composer, and can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from kistack.composition.pipeline import Node, Pipeline
from kistack.domain.plan import Plan, Step
from kistack.domain.planfile import dump_plan
from kistack.domain.records import Estimate
from kistack.errors import InputError, InvalidInput, KistackError, Problem
from kistack.plugins.host import Host
from kistack.plugins.stages import TECHNIQUES, Stage
from kistack.reporting.numbers import shown, with_range

#: Kinds that are no steps of their own: the core or the scenario puts them in.
_NOT_STEPS = frozenset({"source", "evaluate", "profile", "answer", "select"})
#: What is told of a plan's estimate: cost, what to call it, its unit.
_TOLD = (
    ("seconds", "to build", "s"),
    ("peak_bytes", "memory to build", "B"),
    ("bytes", "to ship", "B"),
    ("latency_seconds", "an answer", "s"),
    ("serving_peak_bytes", "memory to serve", "B"),
    ("money", "to pay", "USD"),
)

Compose = Callable[[Plan], Pipeline]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a plan stands: its pipeline where it composes, else every problem."""

    pipeline: Pipeline | None
    problems: tuple[Problem, ...] = ()

    @property
    def estimate(self) -> Estimate:
        """What the whole plan is expected to cost; nothing where it does not compose."""
        return self.pipeline.estimate if self.pipeline is not None else Estimate()

    def nodes_of(self, step: int) -> tuple[Node, ...]:
        """The nodes of one step, with what was put in for it."""
        if self.pipeline is None:
            return ()
        return tuple(n for n in self.pipeline.steps if n.step == step)


class PlanEditor:
    """A plan under the user's hands.

    An edit that the composer would refuse, and that nothing later could make right, raises and leaves the plan as it
    is: a wrong order, a stage that cannot stand there, a setting of the wrong form. What other edits can make right
    (a step whose partner was removed) is kept and told among ``standing.problems``.

    Args:
        plan: the plan to begin with.
        host: installed stages.
        compose: composes a plan, without the evaluation.
    """

    def __init__(self, plan: Plan, host: Host, compose: Compose) -> None:
        self._plan = plan
        self._host = host
        self._compose = compose
        self._past: list[Plan] = []
        self._merging: tuple[int, str] | None = None
        self._standing: Standing | None = None

    # --- what it is

    @property
    def plan(self) -> Plan:
        """The plan as it is now."""
        return self._plan

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps."""
        return self._plan.steps

    @property
    def yaml(self) -> str:
        """The plan as a file would have it."""
        return dump_plan(self._plan)

    @property
    def standing(self) -> Standing:
        """Whether it composes, and what it is expected to cost."""
        if self._standing is None:
            self._standing = self._stand(self._plan)
        return self._standing

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._past)

    def stage(self, step: int) -> Stage | None:
        """The stage of a step; None where nothing installed has that name."""
        found = self._host.stages.get(self.steps[step].use)
        return None if found is None else found.stage

    def addable(self) -> list[Stage]:
        """Stages that can be steps, the four techniques first."""
        rank = {kind: n for n, kind in enumerate(TECHNIQUES)}
        found = [e.stage for n, e in self._host.stages.items() if n.partition("/")[0] not in _NOT_STEPS]
        return sorted(found, key=lambda s: (rank.get(s.name.partition("/")[0], len(rank)), s.name))

    def providers(self, step: int) -> list[Stage]:
        """Stages of the same kind as a step's."""
        return self._host.stages_of(self.steps[step].kind)

    # --- edits

    def add(self, use: str, after: int = -1) -> int:
        """Add a step with its default settings behind another, or at the nearest place where it composes.

        Returns where it stands now.

        Raises:
            InputError: there is no such stage, or it composes nowhere; with the composer's reason.
        """
        stage = self._host.get(use).stage
        if use.partition("/")[0] in _NOT_STEPS:
            raise InputError(f"{use} is no step of a plan", "the scenario and the core put it in where it is needed")
        wanted = min(max(after + 1, 0), len(self.steps))
        places = sorted(range(len(self.steps) + 1), key=lambda n: (abs(n - wanted), -n))
        refusals = []
        for place in places:
            changed = self._with_steps([*self.steps[:place], Step(use=use), *self.steps[place:]])
            standing = self._stand(changed)
            if _needs_settings(stage):
                # Nothing can be said of it before the user has filled in the form.
                break
            if not (new := self._new_problems(standing)):
                break
            refusals.append(new)
        else:
            raise _refusal(f"{use} cannot be added", refusals[0])
        self._become(changed, standing)
        return place

    def remove(self, step: int) -> None:
        """Remove a step; a step that needed it is told among the problems.

        Raises:
            InputError: there is no such step.
        """
        self._require(step)
        self._become(self._with_steps([s for n, s in enumerate(self.steps) if n != step]))

    def move(self, step: int, by: int) -> int:
        """Move a step so many places on (back, where negative); returns where it stands now.

        Raises:
            InputError: it would stand in a wrong order; with the composer's reason.
        """
        self._require(step)
        target = min(max(step + by, 0), len(self.steps) - 1)
        if target == step:
            return step
        steps = list(self.steps)
        steps.insert(target, steps.pop(step))
        changed = self._with_steps(steps)
        standing = self._stand(changed)
        if new := self._new_problems(standing):
            raise _refusal(f"{self.steps[step].use} cannot stand there", new)
        self._become(changed, standing)
        return target

    def provide(self, step: int, use: str) -> None:
        """Let another stage do a step; settings that it has too, and takes, are kept.

        Raises:
            InputError: there is no such stage, it is of another kind, or it cannot stand there.
        """
        self._require(step)
        stage = self._host.get(use).stage
        before = self.steps[step]
        if use == before.use:
            return
        if use.partition("/")[0] != before.kind:
            raise InputError(f"{use} is no {before.kind}", "add it as a step of its own")
        kept = {n: v for n, v in before.with_.items() if not fault_of(stage.Settings, {n: v}, n)}
        changed = self._replaced(step, before.model_copy(update={"use": use, "with_": kept}))
        standing = self._stand(changed)
        if not _needs_settings(stage) and (new := self._new_problems(standing)):
            raise _refusal(f"{use} cannot stand there", new)
        self._become(changed, standing)

    def set(self, step: int, name: str, value: Any) -> None:
        """Change a setting; the default is not spelled out. Changes of one setting in a row are undone at once.

        Raises:
            InputError: the stage has no such setting, or does not take that value.
        """
        self._require(step)
        stage = self._host.get(self.steps[step].use).stage
        fields = stage.Settings.model_fields
        if name not in fields:
            raise InputError(f"{stage.name} has no setting {name!r}", f"its settings: {', '.join(fields) or 'none'}")
        given = dict(self.steps[step].with_)
        if fault := fault_of(stage.Settings, {**given, name: value}, name):
            raise InputError(f"{name}: {fault}", fields[name].description or "")
        default = fields[name].get_default(call_default_factory=True, validated_data={})
        # 1 == True, but they are not the same setting.
        if not fields[name].is_required() and value == default and isinstance(value, bool) == isinstance(default, bool):
            given.pop(name, None)
        else:
            given[name] = _plain(value)
        changed = self._replaced(step, self.steps[step].model_copy(update={"with_": given}))
        if changed == self._plan:
            return
        # Written by hand, a plan must be able to hold it: raises where YAML cannot.
        dump_plan(changed)
        self._become(changed, merging=(step, name))

    def reset(self, step: int) -> None:
        """Give a step its default settings.

        Raises:
            InputError: there is no such step.
        """
        self._require(step)
        if self.steps[step].with_:
            self._become(self._replaced(step, self.steps[step].model_copy(update={"with_": {}})))

    def undo(self) -> None:
        """Take back the last edit.

        Raises:
            InputError: there is none.
        """
        if not self._past:
            raise InputError("there is nothing to undo", "edit the plan first")
        self._plan, self._standing, self._merging = self._past.pop(), None, None

    # --- inside

    def _require(self, step: int) -> None:
        if not 0 <= step < len(self.steps):
            raise InputError(f"the plan has no step {step + 1}", "add one first" if not self.steps else "choose one")

    def _with_steps(self, steps: Sequence[Step]) -> Plan:
        return self._plan.model_copy(update={"steps": tuple(steps)})

    def _replaced(self, step: int, by: Step) -> Plan:
        return self._with_steps([by if n == step else s for n, s in enumerate(self.steps)])

    def _stand(self, plan: Plan) -> Standing:
        try:
            return Standing(self._compose(plan))
        except InvalidInput as error:
            return Standing(None, error.problems)
        except KistackError as error:
            return Standing(None, (Problem("plan", error.message, error.hint),))

    def _new_problems(self, standing: Standing) -> list[Problem]:
        """Problems that the plan did not have before, wherever its steps stand now."""
        known = [(p.message, p.hint) for p in self.standing.problems]
        new = []
        for problem in standing.problems:
            if (problem.message, problem.hint) in known:
                known.remove((problem.message, problem.hint))
            else:
                new.append(problem)
        return new

    def _become(self, plan: Plan, standing: Standing | None = None, *, merging: tuple[int, str] | None = None) -> None:
        if merging is None or merging != self._merging:
            self._past.append(self._plan)
        self._plan, self._standing, self._merging = plan, standing, merging


def _refusal(what: str, problems: Sequence[Problem]) -> InputError:
    hints = dict.fromkeys(p.hint for p in problems if p.hint)
    return InputError(f"{what}: " + "; ".join(p.message for p in problems), "\n".join(hints))


def _needs_settings(stage: Stage) -> bool:
    return any(f.is_required() for f in stage.Settings.model_fields.values())


def _plain(value: Any) -> Any:
    """A value as YAML holds it."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def fault_of(settings: type[BaseModel], values: Mapping[str, Any], name: str) -> str:
    """Why a stage does not take the value of one setting among others; empty where it does."""
    try:
        settings.model_validate(dict(values))
    except ValidationError as error:
        faults = error.errors()
        own = [f for f in faults if not f["loc"] or f["loc"][0] == name]
        # Another setting that is missing is told where it stands.
        return "; ".join(dict.fromkeys(_message(f) for f in own))
    return ""


def _message(fault: Any) -> str:
    text = str(fault["msg"])
    return text.removeprefix("Value error, ")


def estimate_line(standing: Standing) -> str:
    """What a plan is expected to cost, in one line with its intervals."""
    costs = standing.estimate
    told = [
        f"{with_range(costs.cost(name), costs.interval(name), unit)} {what}"
        for name, what, unit in _TOLD
        if costs.cost(name) > 0
    ]
    return " · ".join(told) if told else "no estimate: the plan does not compose"


def step_line(standing: Standing, step: int) -> str:
    """What one step is expected to cost, with what is put in for it; empty where that is not known."""
    nodes = standing.nodes_of(step)
    if not nodes:
        return ""
    seconds = sum(n.estimate.cost("seconds") for n in nodes)
    peak = max(n.estimate.cost("peak_bytes") for n in nodes)
    told = f"{shown(seconds, 's')}, {shown(peak, 'B')}"
    added = [n.label for n in nodes if n.auto]
    return told + (f" (with {', '.join(added)})" if added else "")


def problem_lines(standing: Standing) -> list[str]:
    """Every problem of a plan, each with its remedy."""
    return [f"{p}" + (f" → {p.hint}" if p.hint else "") for p in standing.problems]


def parse_plan(text: str) -> Plan:
    """The plan in a text as ``PlanEditor.yaml`` gives it.

    Raises:
        ValueError: it is none.
    """
    return Plan.model_validate(yaml.safe_load(text))
