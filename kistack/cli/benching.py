"""Commands that judge kistack itself: bench advice, bench costs, bench calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import FolderOption, JsonOption

group = typer.Typer(help="How good the advice and its predictions are.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Register the group of commands."""
    app.add_typer(group, name="bench")


@group.command()
def advice(
    file: Annotated[Path, typer.Argument(help="A YAML file of published comparisons: a list under scenarios.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Rank the options of published comparisons, and say how often the advisor puts first what came out best."""
    from kistack.advisor.bench.advice import bench_advice
    from kistack.advisor.bench.comparisons import read_comparisons
    from kistack.reporting.comparisons import comparisons_page

    document = bench_advice(read_comparisons(file))
    out.result(comparisons_page(document), document, as_json=as_json)


@group.command()
def costs(
    file: Annotated[Path, typer.Argument(help="A YAML file of measured costs: a list under measured.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Predict published sizes, speeds and peaks of memory, and say how far off the cost model is."""
    from kistack.advisor.bench.costs import score_costs
    from kistack.advisor.bench.rows import load_rows
    from kistack.reporting.costs import costs_page

    scores = score_costs(load_rows(file))
    out.result(costs_page(scores), scores.to_json(), as_json=as_json)


@group.command()
def calibration(folder: FolderOption = Path(), *, as_json: JsonOption = False) -> None:
    """How often what runs measured lies in the 80 % interval predicted from the other runs, by kind of number."""
    from kistack.advisor.bench.calibration import bench_calibration
    from kistack.reporting.benches import calibration_page
    from kistack.storage.project import Project

    found = bench_calibration(Project.find(folder).ledger().observed())
    out.result(calibration_page(found), found.to_json(), as_json=as_json)
