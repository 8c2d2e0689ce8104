"""Follows runs: says at the start whether it can, and writes at the end."""

from __future__ import annotations

from pathlib import Path

from kistack.domain.scenario import Scenario
from kistack.plugins.hookspecs import hookimpl
from kistack_mlflow.settings import chosen


@hookimpl
def kistack_run_started(scenario: Scenario) -> None:
    """Raises where the settings are of no use, before hours are spent; MLflow itself is not opened yet."""
    chosen(scenario)


@hookimpl
def kistack_run_finished(scenario: Scenario, folder: Path) -> None:
    """Write the run, where the scenario or the environment names a store."""
    tracking = chosen(scenario)
    if tracking is None:
        return
    from kistack_mlflow.sending import send

    send(tracking, folder, scenario.name)
