"""Commands on bundles: ask."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import FolderOption, JsonOption, host


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(ask)


def ask(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder, or the id of a run ('last').")],
    question: Annotated[str, typer.Argument(help="The question; - reads one a line from standard input.")],
    folder: FolderOption = Path(),
    *,
    slot: Annotated[str, typer.Option("--slot", help="Which delivered model answers.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Ask a bundle; the answer comes with the passages it was given."""
    from kistack.bundle.opening import open_bundle
    from kistack.reporting.answers import answer_document, answer_page

    questions = [question] if question != "-" else [q.strip() for q in sys.stdin if q.strip()]
    with open_bundle(_find(bundle, folder), host=host()) as opened:
        answers = [opened.ask(q, slot=slot) for q in questions]
    document = {"schema": 1, "answers": [answer_document(a) for a in answers]}
    out.result([block for a in answers for block in answer_page(a)], document, as_json=as_json)


def _find(bundle: Path, folder: Path) -> Path:
    """The folder itself, or the bundle of the run of that name."""
    if bundle.exists():
        return bundle
    from kistack.bundle.manifest import BUNDLE_FOLDER
    from kistack.errors import InputError
    from kistack.storage.project import Project

    try:
        return Project.find(folder).run_folder(str(bundle)) / BUNDLE_FOLDER
    except InputError:
        raise InputError(
            f"there is no bundle {bundle}", "name a bundle's folder or a run's id: kistack runs lists them"
        ) from None
