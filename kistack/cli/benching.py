"""Commands that judge kistack itself: bench costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import JsonOption

group = typer.Typer(help="How good the advice and its predictions are.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Register the group of commands."""
    app.add_typer(group, name="bench")


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
