"""The verbs of the Python API: thin doors to a scenario's workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kistack.bundle.workspace import Workspace
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Recommendation
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan
from kistack.domain.records import RunRecord, SystemScore
from kistack.domain.scenario import Scenario
from kistack.evaluation.probes import DEFAULT_PAIRS, Probe
from kistack.execution.events import Event

if TYPE_CHECKING:
    from kistack.bundle.differences import RunDifference
    from kistack.bundle.reproducing import Reproduction

#: Workspaces by the identity of their scenario, which is kept with it so that the identity stays taken.
_open: dict[int, tuple[Scenario, Workspace]] = {}


def workspace(scenario: Scenario) -> Workspace:
    """The workspace of a scenario; the same one for the same scenario object."""
    if id(scenario) not in _open:
        _open[id(scenario)] = (scenario, Workspace(scenario))
    return _open[id(scenario)][1]


def profile(scenario: Scenario, *, refresh: bool = False) -> Profile:
    """Measure hardware, documents, freshness, pairs and models.

    Raises:
        DataError: documents or pairs cannot be used.
        ModelError: a model cannot be found or read.
    """
    return workspace(scenario).profile(refresh=refresh)


def probe(scenario: Scenario, pairs: int = DEFAULT_PAIRS, *, on_event: Callable[[Event], None] | None = None) -> Probe:
    """Ask the base model some training pairs; the shares it answers replace assumptions of the advice from then on.

    Raises:
        InputError: there are no training pairs, or the metric is no share of items.
        PlanError: there is no base model, or nothing installed opens it or scores answers.
        KistackError: a step failed or was stopped; what was finished is kept.
    """
    return workspace(scenario).probe(pairs, on_event=on_event)


def advise(
    scenario: Scenario, *, changes: Mapping[str, object] | None = None, what_must_change: str = ""
) -> Recommendation:
    """Judge every combination of the four techniques for this scenario, and look for what would flip the choice.

    Args:
        scenario: what the user declares; it stays as it is.
        changes: a what-if: keys of the scenario file (``limits.memory``) and facts of the profile (``pairs.train``)
            with other values, as text or numbers.
        what_must_change: techniques (``distill``, ``retrieve+tune``, ``nothing``) to ask what must change for.

    Raises:
        InvalidInput: changes of unknown keys, or to values that do not fit, all at once.
        InputError: ``what_must_change`` names no techniques, or a policy cannot be used.
    """
    return workspace(scenario).advise(changes=changes, what_must_change=what_must_change)


def compose(plan: Plan, scenario: Scenario) -> Pipeline:
    """Bind a plan to the installed stages.

    Raises:
        PlanError: with every problem.
    """
    return workspace(scenario).compose(plan)


def run(
    plan: Plan | Pipeline,
    scenario: Scenario,
    *,
    on_event: Callable[[Event], None] | None = None,
    over_limits: bool = False,
) -> RunRecord:
    """Run a plan, measure it beside the baselines, and leave a bundle.

    ``over_limits`` runs it although it is expected to exceed a limit of the scenario or of a machine.

    Raises:
        PlanError: the plan does not compose, or is expected to exceed a limit.
        KistackError: the run failed; finished steps are kept.
    """
    place = workspace(scenario)
    pipeline = place.compose(plan) if isinstance(plan, Plan) else plan
    return place.run(pipeline, on_event=on_event, over_limits=over_limits)


def evaluate(plan: Plan | Pipeline, scenario: Scenario) -> Mapping[str, SystemScore]:
    """Run what is not done yet and return the scores of the baselines and of everything the plan delivers."""
    return run(plan, scenario).systems


def reproduce(
    origin: RunRecord | Path | str,
    scenario: Scenario,
    *,
    tolerance: float | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Reproduction:
    """Run a run again, every step of it, and say which answers, scores, sizes and digests differ.

    Args:
        origin: the run's record, its id or the beginning of one, ``last``, a manifest or a bundle's folder.
        scenario: whose documents, pairs and models it was run on.
        tolerance: the share (0 to 1) by which answers, scores and sizes may differ; default 0 on the same machine with
            the same versions, else 0.02.
        on_event: called with every event of the run.

    Raises:
        InputError: there is no such run, it did not end well, or the tolerance is no share.
        PlanError: the plan does not compose here.
        KistackError: the run failed.
    """
    from kistack.bundle.reproducing import reproduce as run_again

    return run_again(workspace(scenario), _name_of(origin), tolerance=tolerance, on_event=on_event)


def diff(first: RunRecord | str, second: RunRecord | str, scenario: Scenario) -> RunDifference:
    """What differs from one run to another: plan, facts, versions, numbers with paired intervals, changed items.

    Args:
        first: a run's record, its id or the beginning of one, or ``last``.
        second: the run to compare it with.
        scenario: whose project they were run in.

    Raises:
        InputError: there is no such run, or it has not ended.
    """
    from kistack.bundle.archive import find_run
    from kistack.bundle.differences import compare_runs

    project = workspace(scenario).project
    return compare_runs(find_run(project, _name_of(first)), find_run(project, _name_of(second)))


def _name_of(run: RunRecord | Path | str) -> str:
    return run.run if isinstance(run, RunRecord) else str(run)
