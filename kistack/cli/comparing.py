"""Commands that hold runs against each other: reproduce, diff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import FolderOption, JsonOption, workspace_at


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(reproduce)
    app.command()(diff)


def reproduce(
    origin: Annotated[str, typer.Argument(help="A manifest.json, a bundle's folder, a run's id, or 'last'.")] = "last",
    folder: FolderOption = Path(),
    *,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            help="Share by which answers, scores and sizes may differ (0.02: 2 points). "
            "Default: 0 on the same machine and versions, else 0.02.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a run again, every step of it, and say which answers, scores, sizes and digests differ.

    Ends with 1 where they differ beyond the tolerance.
    """
    from kistack.bundle.reproducing import reproduce as run_again
    from kistack.cli.progress import RunDisplay
    from kistack.reporting.differences import reproduction_page

    place = workspace_at(folder)
    with RunDisplay() as display:
        found = run_again(place, origin, tolerance=tolerance, on_event=display)
    out.result(reproduction_page(found), found.to_json(), as_json=as_json)
    if not found.reproduced:
        raise typer.Exit(1)


def diff(
    first: Annotated[str, typer.Argument(help="A run's id, the beginning of one, or 'last'.")],
    second: Annotated[str, typer.Argument(help="The run to compare it with.")],
    folder: FolderOption = Path(),
    *,
    as_json: JsonOption = False,
) -> None:
    """What differs from one run to another: plan, facts, versions, numbers with paired intervals, changed items."""
    from kistack.bundle.archive import find_run
    from kistack.bundle.differences import compare_runs
    from kistack.reporting.differences import difference_page
    from kistack.storage.project import Project

    project = Project.find(folder)
    found = compare_runs(find_run(project, first), find_run(project, second))
    out.result(difference_page(found), found.to_json(), as_json=as_json)
