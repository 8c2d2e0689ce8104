"""Commands that measure combinations side by side: sweep, staleness."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import FolderOption, JsonOption, OverLimitsOption, workspace_at
from kistack.errors import InputError, StepFailed

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.sweeping.notebook import Notebook
    from kistack.sweeping.rows import Sweep
    from kistack.sweeping.running import Running
    from kistack.sweeping.selection import Request

PlansOption = Annotated[
    str, typer.Option("--plans", help="Only these, separated by commas: retrieve+tune, nothing, or plan files.")
]
BudgetOption = Annotated[
    str, typer.Option("--budget", help="The time it may take in all, such as 45m; the same command goes on.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(sweep)
    app.command()(staleness)


def sweep(  # noqa: PLR0913 - one parameter per option
    folder: FolderOption = Path(),
    *,
    plans: PlansOption = "",
    front: Annotated[bool, typer.Option("--front", help="Only those on the predicted Pareto front.")] = False,
    settings: Annotated[
        str, typer.Option("--settings", help="each: every set as advised; same: a technique is set alike in all.")
    ] = "each",
    evaluate: Annotated[
        str, typer.Option("--evaluate", help="Only these evaluators, such as answers,retrieval,speed; default: all.")
    ] = "",
    budget: BudgetOption = "",
    over_limits: OverLimitsOption = False,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed combinations again.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin a new sweep instead of going on with the last.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Run on without this terminal.")] = False,
    show: Annotated[str, typer.Option("--show", help="Only show a sweep as it stands: its id, or last.")] = "",
    sweep_id: Annotated[str, typer.Option("--sweep-id", hidden=True)] = "",
    as_json: JsonOption = False,
) -> None:
    """Measure the 16 combinations side by side: what each technique does, and what following the advice costs."""
    from kistack.sweeping.running import Running
    from kistack.sweeping.selection import Request

    if show:
        _show(folder, show, as_json=as_json)
        return
    request = Request(_listed(plans), front, settings, _listed(evaluate))  # type: ignore[arg-type]  # checked there
    seconds = _seconds(budget)
    how = Running(seconds, over_limits, retry, fresh, sweep_id, None, out.say)
    place = workspace_at(folder)
    if detach:
        _detach(place, request, how, budget, as_json=as_json)
        return
    _report(_run(place, request, how), as_json=as_json)


def _listed(plans: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in plans.split(",") if part.strip())


def _seconds(budget: str) -> float | None:
    from kistack.units import UnitError, parse_duration

    if not budget:
        return None
    try:
        return parse_duration(budget)
    except UnitError as error:
        raise InputError(f"--budget {error.message}", error.hint) from error


def _run(place: Workspace, request: Request, how: Running) -> Sweep:
    from dataclasses import replace

    from kistack.cli.progress import RunDisplay
    from kistack.sweeping.running import run_sweep

    with RunDisplay() as display:
        return run_sweep(place, request, replace(how, on_event=display))


def _report(found: Sweep, *, as_json: bool) -> None:
    from kistack.reporting.sweeps import sweep_document, sweep_page

    # Each resamples the questions for every effect, which takes seconds.
    if as_json:
        out.result([], sweep_document(found), as_json=True)
    else:
        out.result(sweep_page(found))
    if found.combinations and not found.done() and all(c.name in found.rows for c in found.combinations):
        raise StepFailed("no combination could be measured", "see the errors in the table")


def _show(folder: Path, sweep: str, *, as_json: bool) -> None:
    from kistack.storage.project import Project
    from kistack.sweeping.notebook import Notebook
    from kistack.sweeping.running import finished

    book = Notebook.find(Project.find(folder), sweep)
    _report(finished(book), as_json=as_json)
    out.say(f"it is {_state(book)}")


def _state(book: Notebook) -> str:
    from kistack.execution.detach import status_of

    status = status_of(book.folder)
    if status.status == "running":
        return f"running (process {status.pid})"
    return "running" if book.is_held else "not running"


def _detach(place: Workspace, request: Request, how: Running, budget: str, *, as_json: bool) -> None:
    from kistack.execution.detach import launch
    from kistack.reporting.blocks import Heading
    from kistack.sweeping.running import opened

    book = opened(place, request, how)
    command = [sys.executable, "-m", "kistack", "--quiet", "sweep", "-C", str(place.project.root)]
    command += ["--sweep-id", book.sweep, "--settings", request.settings, "--json"]
    # The child starts in the project's folder: files are named so that it finds them.
    plans = [str(Path(p).absolute()) if Path(p).is_file() else p for p in request.plans]
    command += ["--plans", ",".join(plans)] if plans else []
    command += ["--evaluate", ",".join(request.evaluate)] if request.evaluate else []
    command += ["--budget", budget] if budget else []
    flags = {"--front": request.front, "--over-limits": how.over_limits, "--retry": how.retry}
    command += [name for name, wanted in flags.items() if wanted]
    with book.locked():
        pass  # says so now where another process runs it
    pid = launch(command, book.folder, cwd=place.project.root)
    out.result([Heading(book.sweep)], {"schema": 1, "sweep": book.sweep, "pid": pid}, as_json=as_json)
    out.say(
        f"see how it stands: kistack sweep --show {book.sweep}; watch its run: kistack attach; stop it: kistack cancel"
    )


def staleness(
    folder: FolderOption = Path(),
    *,
    since: Annotated[str, typer.Option("--since", help="The dated snapshot to build on; default: the latest.")] = "",
    plan: Annotated[
        str, typer.Option("--plan", help="Techniques or a plan file; default: as advised on the old documents.")
    ] = "",
    over_limits: OverLimitsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build on an older state of the documents, ask about what has changed since, re-index, retrain, and ask again."""
    from kistack.cli.progress import RunDisplay
    from kistack.reporting.staleness import staleness_page
    from kistack.sweeping.staleness import run_staleness

    place = workspace_at(folder)
    with RunDisplay() as display:
        found = run_staleness(place, since=since, plan=plan, over_limits=over_limits, on_event=display, notify=out.say)
    out.result(staleness_page(found), found.to_json(), as_json=as_json)
