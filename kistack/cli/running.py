"""Commands on runs: run, runs, attach, cancel, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kistack.cli.output import out
from kistack.cli.places import FolderOption, ForceOption, JsonOption, OverLimitsOption, check_free, workspace_at
from kistack.errors import InputError, StepFailed
from kistack.reporting.blocks import Heading, Table
from kistack.reporting.numbers import DASH, percent, shown

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

RunArgument = Annotated[str, typer.Argument(help="A run's id, the beginning of one, or 'last'.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(run)
    app.command()(runs)
    app.command()(attach)
    app.command()(cancel)
    app.command()(report)


def run(
    plan: Annotated[Path, typer.Argument(help="A plan file, as kistack advise -o writes it.")],
    folder: FolderOption = Path(),
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Run on without this terminal.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make every step again.")] = False,
    over_limits: OverLimitsOption = False,
    run_id: Annotated[str, typer.Option("--run-id", hidden=True)] = "",
    as_json: JsonOption = False,
) -> None:
    """Run a plan: its steps, the baselines beside it, the measurements, and a bundle that answers."""
    from kistack.cli.progress import RunDisplay
    from kistack.domain.planfile import load_plan
    from kistack.reporting.runs import run_document, run_page

    place = workspace_at(folder)
    pipeline = place.compose(load_plan(plan), where=str(plan))
    if not over_limits:
        place.admit(pipeline, where=str(plan))
    if detach:
        _detach(place, plan, fresh=fresh, as_json=as_json)
        return
    run_dir = place.project.runs / run_id if run_id else None
    with RunDisplay() as display:
        record = place.run(pipeline, run_dir=run_dir, on_event=display, fresh=fresh, over_limits=True)
    out.result(run_page(record), run_document(record), as_json=as_json)
    out.say(f'ask it: kistack ask {record.run} "…"')


def _detach(place: Workspace, plan: Path, *, fresh: bool, as_json: bool) -> None:
    from kistack.bundle.runs import start_detached

    run_dir, pid = start_detached(place.project, plan, fresh=fresh)
    out.result([Heading(run_dir.name)], {"schema": 1, "run": run_dir.name, "pid": pid}, as_json=as_json)
    out.say(f"watch it: kistack attach {run_dir.name}; stop it: kistack cancel {run_dir.name}")


def runs(folder: FolderOption = Path(), *, as_json: JsonOption = False) -> None:
    """The runs of this project, the newest last."""
    from kistack.execution.detach import list_runs
    from kistack.storage.project import Project

    found = list_runs(Project.find(folder).runs)
    rows = tuple(
        (
            r.run,
            r.status,
            f"{r.done}/{r.total}",
            r.use or DASH,
            percent(r.share) if r.use else DASH,
            shown(r.seconds, "s"),
        )
        for r in found
    )
    document = {
        "schema": 1,
        "runs": [
            {"run": r.run, "status": r.status, "done": r.done, "total": r.total, "use": r.use, "seconds": r.seconds,
             "error": r.error}
            for r in found
        ],
    }  # fmt: skip
    table = Table(("run", "status", "steps", "now", "of it", "time"), rows, frozenset({4, 5}))
    out.result([Heading("Runs", 1), table], document, as_json=as_json)


def attach(run: RunArgument = "last", folder: FolderOption = Path()) -> None:
    """Watch a run until it ends; ctrl-C leaves it alone."""
    from kistack.cli.progress import RunDisplay
    from kistack.execution.detach import attach as follow_run
    from kistack.storage.project import Project

    with RunDisplay() as display:
        status = follow_run(Project.find(folder).run_folder(run), display)
    out.text(f"{status.run}: {status.status}")
    if status.status in {"failed", "killed"}:
        raise StepFailed(status.error or f"run {status.run} was {status.status}", "see: kistack report " + status.run)


def cancel(run: RunArgument, folder: FolderOption = Path()) -> None:
    """Stop a run; what it has finished is kept."""
    from kistack.execution.detach import cancel as stop_run
    from kistack.storage.project import Project

    status = stop_run(Project.find(folder).run_folder(run))
    out.text(f"{status.run}: {status.status}")


def report(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SWEEP|sweep|advice",
            help="A run's id, its beginning, 'last', a sweep's id, 'sweep' or 'advice'.",
        ),
    ] = "last",
    folder: FolderOption = Path(),
    *,
    form: Annotated[str, typer.Option("--format", help="text, md, json or html.")] = "text",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it to this file.")] = None,
    force: ForceOption = False,
    sweep: Annotated[
        Path | None,
        typer.Option("--sweep", help="Effects to show beside: what sweep --json wrote (default: the last sweep)."),
    ] = None,
) -> None:
    """The report of a run: baselines beside the plan, predicted beside measured, examples, and where numbers come from.

    Of 'sweep', the last one; of 'advice', that of today. As HTML it is one file with plots that needs no network.
    """
    from kistack.reporting.verbs import FORMATS

    if form not in FORMATS:
        raise InputError(f"there is no report format {form!r}", f"use {', '.join(FORMATS)}")
    check_free(output, force=force)
    text = _reported(subject, folder, form, sweep, output)
    if output is not None:
        output.write_text(text, encoding="utf-8")
        out.say(f"written to {output}")
    else:
        out.text(text)


def _reported(subject: str, folder: Path, form: Any, sweep: Path | None, output: Path | None) -> str:
    """The text of a report."""
    from kistack.bundle.archive import find_run
    from kistack.reporting.evidence import gather, latest_effects
    from kistack.reporting.verbs import report as told
    from kistack.reporting.verbs import report_run
    from kistack.storage.project import Project
    from kistack.sweeping.notebook import Notebook

    project = Project.find(folder)
    # a sweep's whole id begins the ids of all its runs
    swept = next((n for n in Notebook.all(project) if n.sweep == subject), None)
    if sweep is not None and (swept or subject in {"sweep", "advice"}):
        raise InputError(f"--sweep stands beside a run, not beside {subject!r}", "leave out --sweep, or name a run")
    if swept or subject == "sweep":
        return told((swept or Notebook.find(project, "last")).read(), form)
    if subject == "advice":
        return told(workspace_at(folder).advise(), form)
    kept = find_run(project, subject)
    evidence = gather(kept, _advising(folder), latest_effects(project) if sweep is None else _document(sweep))
    return report_run(evidence, form, base=output.parent if output is not None else None)


def _advising(folder: Path) -> Workspace | None:
    """The project, where its scenario can still be read; a report does not need it."""
    from kistack.errors import KistackError

    try:
        return workspace_at(folder)
    except KistackError as error:
        out.warn(f"the scenario cannot be read, so the report goes without the advice: {error.message}")
        return None


def _document(path: Path) -> dict[str, Any]:
    """A JSON object in a file."""
    import json

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "name a JSON file that a sweep wrote") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object", "name a JSON file that a sweep wrote")
    return found
