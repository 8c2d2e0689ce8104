"""The staleness test: what becomes of a plan as the facts change, and what each way of catching up costs.

A plan is built on an older snapshot of the documents and the pairs that held then, and asked today's held-out questions
three times: as it was built; with its index made again from today's documents; and built anew on everything of today.
The questions whose answers have changed since show what staleness costs, those whose answers stood what catching up
must not spoil. Then the advice is asked at both dates. Nothing of the stale states enters the calibration: predictions
are of the day on which a plan was built.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kistack.advisor.recommend import advise
from kistack.bundle.running import scored
from kistack.bundle.workspace import Workspace
from kistack.composition.arranging import plan_of
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Recommendation
from kistack.domain.plan import Plan
from kistack.domain.planfile import load_plan
from kistack.domain.records import Measurement, StepRecord
from kistack.errors import InputError, StepFailed
from kistack.evaluation.statistics import PairedResult, mean_with_interval, paired_difference
from kistack.execution.runner import execute
from kistack.storage.files import remove
from kistack.sweeping.drift import Earlier, earlier
from kistack.sweeping.rows import set_name
from kistack.sweeping.splicing import splice

if TYPE_CHECKING:
    from kistack.execution.events import Event

STALENESS_SCHEMA = 1
STATES = ("built", "reindexed", "retrained")


@dataclass(frozen=True, slots=True)
class State:
    """One of ``STATES``: the deciding metric per group of questions with its 95 % interval.

    ``seconds`` is the work that brings the plan here from having been built on the older documents: the time of the
    steps that are not shared with it. For ``built`` it is all of its steps.
    """

    name: str
    scores: Mapping[str, Measurement]
    seconds: float
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advised:
    """What the advice names at both dates, and whether it holds.

    ``holds`` compares the sets of techniques; ``same_plan`` the settings too. ``gives_up`` are the points that the
    earlier choice is expected to be behind today's, over the horizon, as today's facts have it.
    """

    then: str
    now: str
    holds: bool
    same_plan: bool
    gives_up: float | None = None
    moved: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Staleness:
    """What the test found.

    ``groups`` counts the held-out questions by what became of their answers. ``differences`` are paired over the same
    questions: ``reindexed`` and ``retrained`` each minus the state before, per group, in the unit of the metric.
    """

    study: str
    started: str
    as_of: str
    plan: Mapping[str, Any]
    metric: str
    groups: Mapping[str, int]
    learnt: tuple[int, int]
    states: tuple[State, ...]
    differences: Mapping[str, Mapping[str, PairedResult]]
    advice: Advised

    @property
    def techniques(self) -> str:
        """The plan's techniques joined by plus."""
        return set_name(Plan.model_validate(self.plan).techniques)

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable keys."""
        return {"schema": STALENESS_SCHEMA, "techniques": self.techniques, **asdict(self)}


def run_staleness(
    place: Workspace,
    *,
    since: str = "",
    plan: str = "",
    over_limits: bool = False,
    on_event: Callable[[Event], None] | None = None,
    notify: Callable[[str], None] = lambda _line: None,
) -> Staleness:
    """Test a plan for staleness; see ``kistack.staleness``."""
    folder = place.project.prepare() / "staleness" / _name(place, since, plan)
    past = earlier(place.scenario, since, folder)
    then = Workspace(past.scenario, host=place.host, notify=notify)
    notify(f"{len(past.groups['changed'])} held-out answers have changed since {past.as_of}; profiling both states …")
    advice = (_advise(then), _advise(place))
    chosen = _plan(place, advice[0], plan)
    before = then.compose(chosen, where=f"on the documents of {past.as_of}", evaluation=False)
    after = place.compose(chosen, where="on today's documents", evaluation=False)
    if not over_limits:
        place.admit(after)
    pairs = {"built": (before, before), "reindexed": (before, after), "retrained": (after, after)}
    asked = {n: splice(*p, place.profile(), place.host, place.calibration()) for n, p in pairs.items()}
    states, scores = _states(place, then, folder, asked, past, on_event, notify)
    found = Staleness(
        study=folder.name,
        started=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        as_of=past.as_of.isoformat(),
        plan=chosen.to_dict(),
        metric=place.scenario.task.metric,
        groups={name: len(numbers) for name, numbers in past.groups.items()},
        learnt=(past.learnt, past.pairs),
        states=states,
        differences=_differences(scores, past.groups),
        advice=_advised(advice, (then, place)),
    )
    place.project.ledger().keep_study(found.study, "staleness", "done", found.started, found.to_json())
    return found


def _name(place: Workspace, since: str, plan: str) -> str:
    """The same folder for the same question, so that the same command goes on."""
    mark = hashlib.sha256(f"{place.scenario.to_dict()}|{since}|{plan}".encode()).hexdigest()[:8]
    return f"staleness-{since or 'latest'}-{mark}"


def _advise(place: Workspace) -> Recommendation:
    return advise(place.scenario, place.profile(), place.host, calibration=place.calibration())


def _plan(place: Workspace, then: Recommendation, plan: str) -> Plan:
    """The plan that was asked for, or the one that was advised on the older documents."""
    if plan:
        path = Path(plan)
        if path.suffix in {".yaml", ".yml", ".json"} or path.is_file():
            return load_plan(path)
        wanted = set_name([p.strip() for p in plan.split("+") if p.strip() not in {"", "nothing"}])
        found = next((c.plan for c in then.candidates if set_name(c.plan.techniques) == wanted), None)
        return found if found is not None else plan_of(plan, place.host)
    if not then.kept:
        raise InputError("no combination keeps the limits on the older documents", "name one with --plan")
    return then.best.plan


# --- running


def _states(
    place: Workspace,
    then: Workspace,
    folder: Path,
    asked: Mapping[str, Pipeline],
    past: Earlier,
    on_event: Callable[[Event], None] | None,
    notify: Callable[[str], None],
) -> tuple[tuple[State, ...], dict[str, np.ndarray]]:
    metric = place.scenario.task.metric
    states, scores = [], {}
    built: set[str] = set()
    for name, pipeline in asked.items():
        notify(f"{name}: {'+'.join(pipeline.plan.techniques) or 'nothing'}, asked today's questions")
        steps, values = _asked(place, then, folder / name, pipeline, on_event)
        own = [s for s in steps if pipeline.node(s.key).purpose != "evaluation" and s.key not in built]
        if name == "built":
            built = {s.key for s in own}
        scores[name] = values
        told = {
            group: Measurement(*mean_with_interval(values[list(numbers)].tolist()), "", len(numbers))
            for group, numbers in past.groups.items()
            if numbers
        }
        seconds = sum(s.measured.get("seconds", 0.0) for s in own)
        states.append(State(name, told, seconds, tuple(s.use for s in own)))
        if metric and values.size != sum(map(len, past.groups.values())):
            raise StepFailed(f"{name} answered {values.size} questions", "run the same command again")
    return tuple(states), scores


def _asked(
    place: Workspace,
    then: Workspace,
    run_dir: Path,
    pipeline: Pipeline,
    on_event: Callable[[Event], None] | None,
) -> tuple[Sequence[StepRecord], np.ndarray]:
    """Run a pipeline; the steps that ran and the deciding metric question by question.

    Raises:
        KistackError: a step failed or was stopped; what is finished is kept, and the same command goes on.
    """
    own = _given_of(place)
    given = {
        **then.inputs(_only(pipeline, lambda identity: identity not in own)),
        **place.inputs(_only(pipeline, lambda identity: identity in own)),
    }
    execution = execute(pipeline, place.store, given, run_dir, hooks=place.host, on_event=on_event).require()
    score = next(iter(scored(pipeline, execution).values()))
    metric = place.scenario.task.metric
    if metric not in score.items:
        why = score.unavailable.get(metric) or next((s.error for s in execution.steps if s.error), "nothing gives it")
        raise StepFailed(f"the answers have no {metric} one by one: {why}", "name another metric under task.metric")
    remove(run_dir / "jobs")
    return execution.steps, np.array(score.items[metric])


def _given_of(place: Workspace) -> set[str]:
    from kistack.composition.starting import given_types

    return {found.identity for found in given_types(place.profile()).values()}


def _only(pipeline: Pipeline, wanted: Callable[[str], bool]) -> Pipeline:
    from dataclasses import replace

    return replace(pipeline, given={i: t for i, t in pipeline.given.items() if wanted(i)})


# --- what it says


def _differences(
    scores: Mapping[str, np.ndarray], groups: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, PairedResult]]:
    """Each state minus the one before, over the same questions."""
    found: dict[str, dict[str, PairedResult]] = {}
    for before, after in itertools.pairwise(STATES):
        found[after] = {
            group: paired_difference(scores[after][list(numbers)], scores[before][list(numbers)])
            for group, numbers in groups.items()
            if numbers
        }
    return found


def _advised(advice: tuple[Recommendation, Recommendation], places: tuple[Workspace, Workspace]) -> Advised:
    then, now = ((a.best if a.kept else None) for a in advice)
    names = [set_name(b.plan.techniques) if b is not None else "nothing feasible" for b in (then, now)]
    gives_up = None
    if then is not None and now is not None:
        likeliest = [c for c in advice[1].candidates if set_name(c.plan.techniques) == names[0]]
        same = next((c for c in likeliest if c.plan == then.plan), next(iter(likeliest), None))
        gives_up = None if same is None else now.quality - same.quality
    profiles = [p.profile() for p in places]
    moved = {}
    for fact in ("corpus.documents", "corpus.tokens", "corpus.changed_per_day", "pairs.train"):
        told = [str(p[fact].value) if fact in p else "unknown" for p in profiles]
        if told[0] != told[1]:
            moved[fact] = (told[0], told[1])
    same_plan = then is not None and now is not None and then.plan == now.plan
    return Advised(names[0], names[1], names[0] == names[1], same_plan, gives_up, moved)
