"""The verbs of the Python API for what is measured side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kistack.bundle.verbs import workspace
from kistack.domain.scenario import Scenario
from kistack.sweeping.rows import Sweep
from kistack.sweeping.running import Running, run_sweep
from kistack.sweeping.selection import Request, SettingsOf
from kistack.sweeping.staleness import Staleness, run_staleness
from kistack.units import parse_duration

if TYPE_CHECKING:
    from kistack.execution.events import Event


def _silent(_line: str) -> None:
    """Nobody listens."""


def sweep(  # noqa: PLR0913 - keyword arguments with defaults
    scenario: Scenario,
    *,
    plans: Sequence[str] = (),
    front: bool = False,
    settings: SettingsOf = "each",
    evaluate: Sequence[str] = (),
    budget: float | str | None = None,
    over_limits: bool = False,
    retry: bool = False,
    fresh: bool = False,
    on_event: Callable[[Event], None] | None = None,
    notify: Callable[[str], None] = _silent,
) -> Sweep:
    """Measure the combinations of the four techniques side by side; steps and baselines that they share are made once.

    The same call goes on with a sweep that was stopped, killed or ran out of its budget.

    Args:
        scenario: what the user declares.
        plans: sets of techniques (``retrieve+tune``, ``nothing``) or plan files; default all sixteen sets.
        front: those on the predicted Pareto front instead.
        settings: ``each`` set as it would be advised, or every technique the ``same`` in all of them.
        evaluate: the evaluators to run (``answers``, ``speed``); default every one that fits.
        budget: seconds, or a text such as ``45m``: the wall clock that it may cost in all.
        over_limits: also run what is expected to exceed a limit.
        retry: run failed combinations again.
        fresh: begin a new sweep.
        on_event: called with every event of the runs.
        notify: called with a line about what is going on.

    Returns:
        The sweep; ``kistack.report`` renders it, with effects, regret and predictions.

    Raises:
        InputError: an unknown technique or plan file, or the sweep is running already.
        Cancelled: it was stopped; what was finished is kept.
        StoreError: nothing can be kept.
    """
    seconds = parse_duration(budget) if isinstance(budget, str) else budget
    how = Running(seconds, over_limits, retry, fresh, "", on_event, notify)
    return run_sweep(workspace(scenario), Request(tuple(plans), front, settings, tuple(evaluate)), how)


def staleness(
    scenario: Scenario,
    *,
    since: str = "",
    plan: str = "",
    over_limits: bool = False,
    on_event: Callable[[Event], None] | None = None,
    notify: Callable[[str], None] = _silent,
) -> Staleness:
    """Build a plan on older documents and ask it what has changed since; re-index, retrain, ask again.

    Args:
        scenario: what the user declares; ``knowledge.snapshots`` are the older states.
        since: the date of the snapshot (ISO); default the latest.
        plan: techniques or a plan file; default what is advised on the older documents.
        over_limits: run it although it is expected to exceed a limit.
        on_event: called with every event of the runs.
        notify: called with a line about what is going on.

    Raises:
        InputError: there is no such snapshot, or no held-out question has another answer now.
        KistackError: a step failed or was stopped; the same call goes on.
    """
    return run_staleness(
        workspace(scenario), since=since, plan=plan, over_limits=over_limits, on_event=on_event, notify=notify
    )
