"""Commands that judge kistack itself: bench calibration."""

from __future__ import annotations

from pathlib import Path

import typer

from kistack.cli.output import out
from kistack.cli.places import FolderOption, JsonOption

group = typer.Typer(help="How good the advice and its predictions are.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Register the group of commands."""
    app.add_typer(group, name="bench")


@group.command()
def calibration(folder: FolderOption = Path(), *, as_json: JsonOption = False) -> None:
    """How often what runs measured lies in the 80 % interval predicted from the other runs, by kind of number."""
    from kistack.advisor.bench.calibration import bench_calibration
    from kistack.reporting.benches import calibration_page
    from kistack.storage.project import Project

    found = bench_calibration(Project.find(folder).ledger().observed())
    out.result(calibration_page(found), found.to_json(), as_json=as_json)
