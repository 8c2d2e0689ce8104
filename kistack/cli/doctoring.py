"""The command that says whether kistack can work here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import FolderOption, JsonOption


class Form(StrEnum):
    """How the report is written."""

    text = "text"
    md = "md"
    json = "json"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor(
    folder: FolderOption = Path(),
    *,
    form: Annotated[Form, typer.Option("--format", help="As text, Markdown or JSON.")] = Form.text,
    as_json: JsonOption = False,
) -> None:
    """Versions, plugins, devices, models, store and extras in one report without secrets.

    Ends with 1 where something that kistack needs is broken.
    """
    from kistack.bundle.diagnosis import diagnose
    from kistack.plugins.host import load_host
    from kistack.reporting import markdown
    from kistack.reporting.doctor import doctor_page

    # Faults of plugins are part of the report, so they are not told beside it.
    found = diagnose(folder, load_host())
    if form is Form.md and not as_json:
        out.text(markdown.render(doctor_page(found)))
    else:
        out.result(doctor_page(found), found.to_json(), as_json=as_json or form is Form.json)
    if not found.usable:
        raise typer.Exit(1)
