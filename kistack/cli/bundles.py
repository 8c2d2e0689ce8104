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
    """The folder itself, the bundle in a run's folder, or the bundle of the run of that name."""
    from kistack.bundle.archive import RECORD_FILE
    from kistack.bundle.manifest import BUNDLE_FOLDER
    from kistack.errors import InputError
    from kistack.storage.project import Project

    run = bundle
    if not bundle.exists():
        try:
            project = Project.find(folder)
        except InputError as error:
            raise InputError(f"there is no bundle {bundle}", f"name a bundle's folder; {error.message}") from None
        try:
            run = project.run_folder(str(bundle))
        except InputError as error:
            raise InputError(f"there is no bundle {bundle}, and {error.message}", error.hint) from None
    elif not (bundle / RECORD_FILE).is_file():
        return bundle
    if not (run / BUNDLE_FOLDER).is_dir():
        raise InputError(f"run {run.name} left no bundle", f"see why: kistack report {run.name}")
    return run / BUNDLE_FOLDER
