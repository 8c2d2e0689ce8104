"""Commands on what is installed and kept: models, plugins, store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.isolating import environments
from kistack.cli.output import out
from kistack.cli.places import FolderOption, JsonOption, host, workspace_at
from kistack.errors import InputError, PluginError, StoreError
from kistack.plugins import API_VERSION
from kistack.plugins.creating import KINDS, create_plugin
from kistack.reporting.blocks import Block, Bullets, Heading, Paragraph, Table
from kistack.reporting.numbers import DASH, shown

models = typer.Typer(no_args_is_help=True, help="Models that a scenario or the demo names.")
plugins = typer.Typer(invoke_without_command=True, help="Installed plugins and their stages; how to make one.")
store = typer.Typer(no_args_is_help=True, help="What kistack keeps in .kistack/store.")


def add_to(app: typer.Typer) -> None:
    """Register the command groups."""
    app.add_typer(models, name="models")
    plugins.add_typer(environments, name="env")
    app.add_typer(plugins, name="plugins")
    app.add_typer(store, name="store")


@models.command("list")
def models_list(folder: FolderOption = Path(), *, as_json: JsonOption = False) -> None:
    """The models that this project's scenario names, and where they come from."""
    profile = workspace_at(folder).profile()
    sections = [s for s in ("model", "teacher", "embedder") if f"{s}.reference" in profile]
    names = ("reference", "source", "format", "params", "bytes", "precision", "licence")
    rows = [{"slot": s, **{n: profile[f"{s}.{n}"].value for n in names if f"{s}.{n}" in profile}} for s in sections]
    table = Table(
        ("slot", "reference", "source", "parameters", "size", "precision", "licence"),
        tuple(
            (
                s,
                profile.text(f"{s}.reference"),
                profile.text(f"{s}.source"),
                shown(profile.number(f"{s}.params")),
                shown(profile.number(f"{s}.bytes"), "B"),
                profile.text(f"{s}.precision") or DASH,
                profile.text(f"{s}.licence") or DASH,
            )
            for s in sections
        ),
        frozenset({3, 4}),
    )
    out.result([Heading("Models", 1), table], {"schema": 1, "models": rows}, as_json=as_json)


@models.command("fetch")
def models_fetch(
    what: Annotated[str, typer.Argument(help="demo: the models of the demo; or a model reference.")],
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Install the demo's models, or fetch a model of the hub into its cache."""
    if what == "demo":
        from kistack.demo.models import DEMO_MODELS, fetch

        for line in fetch(DEMO_MODELS):
            if not quiet:
                out.say(line)
        return
    from kistack.profiling.models import claim

    claimed = claim(what, host().sources())
    stage = claimed.stage
    # A source of models elsewhere can bring them here; one of local files has nothing to fetch.
    if bring := getattr(stage, "fetch", None):
        bring(claimed.settings)
    found = stage.inspect(claimed.settings)
    if not quiet:
        out.say(f"{what}: {stage.name}, {shown(found.fact('params'))} parameters, {shown(found.fact('bytes'), 'B')}")


@plugins.callback()
def plugins_main(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Installed plugins and their stages; how to make one."""
    if context.invoked_subcommand is None:
        plugins_list(as_json=as_json)


@plugins.command("list")
def plugins_list(*, as_json: JsonOption = False) -> None:
    """Every plugin with its state, its stages, what keeps some from running, and what is wrong with it."""
    from kistack.plugins.installing import lacking

    loaded = host()
    rows = tuple((p.name, p.distribution, p.version, p.state, ", ".join(p.stages) or DASH) for p in loaded.plugins)
    page: list[Block] = [Heading("Plugins", 1), Table(("plugin", "distribution", "version", "state", "stages"), rows)]
    unready = {name: own.remedy for name, own in lacking(loaded).items()}
    if unready:
        lines = tuple(f"{name} needs its environment: {remedy}" for name, remedy in unready.items())
        page += [Heading("Not ready"), Bullets(lines)]
    if loaded.problems:
        page += [Heading("Problems"), Bullets(loaded.problems)]
    notes = tuple(f"plugin {p.name}: {note}" for p in loaded.plugins for note in p.notes)
    if notes:
        page += [Heading("For their authors"), Bullets(notes)]
    document = {
        "schema": 1,
        "api": API_VERSION,
        "plugins": [
            {
                "name": p.name,
                "distribution": p.distribution,
                "version": p.version,
                "state": p.state,
                "stages": list(p.stages),
                "errors": list(p.errors),
                "notes": list(p.notes),
            }
            for p in loaded.plugins
        ],
        "unready": unready,
        "clashes": {name: list(who) for name, who in loaded.clashes.items()},
    }
    out.result(page, document, as_json=as_json)


@plugins.command("new")
def plugins_new(
    name: Annotated[str, typer.Argument(help="Its name: lower-case words joined by hyphens.")],
    *,
    kind: Annotated[str, typer.Option("--kind", help=f"What it brings: {', '.join(KINDS)}.")],
    into: Annotated[Path, typer.Option("--into", help="Folder in which the package's folder is made.")] = Path(),
) -> None:
    """Write a complete plugin package with one working stage: install it, test it, then make it yours."""
    made = create_plugin(name, kind, into, taken=host().stages)
    root = next(p for p in made if p.name == "pyproject.toml").parent
    out.text("\n".join(str(path) for path in made))
    out.say(f"next: pip install -e {root}[test], then pytest {root} and kistack plugins list")


@plugins.command("check")
def plugins_check(
    plugin: Annotated[str, typer.Argument(help="The plugin, or its distribution: see kistack plugins list.")],
    *,
    stage: Annotated[str, typer.Option("--stage", help="One stage of it only.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Hold the stages of a plugin to the contract, on tiny inputs; takes seconds to minutes."""
    from kistack.testing import ConformanceError, check_stage, stages_of

    try:
        names = [n for n in stages_of(plugin) if stage in {"", n}]
    except LookupError as error:
        raise InputError(str(error), "see: kistack plugins list") from error
    if not names:
        raise InputError(f"plugin {plugin} has no stage {stage!r}", "see: kistack plugins list")
    reports = []
    for name in names:
        out.say(f"checking {name}")
        try:
            reports.append(check_stage(name))
        except ConformanceError as error:
            reports.append(error.report)
    statuses = ("passed", "expected", "skipped", "failed")
    counts = tuple((r.stage, *(str(sum(x.status == s for x in r.results)) for s in statuses)) for r in reports)
    page: list[Block] = [
        Heading(f"The contract, kept by {plugin}", 1),
        Table(("stage", *statuses), counts, frozenset({1, 2, 3, 4})),
    ]
    faults = [(r.stage, x) for r in reports for x in r.results if x.status == "failed"]
    if faults:
        lines = tuple(f"{name}: {x.check.name}: {x.message} (remedy: {x.remedy})" for name, x in faults)
        page += [Heading("Not kept"), Bullets(lines)]
    if unsaid := tuple(f"{r.stage}: {x.check.name}: {x.message}" for r in reports for x in r.unsaid):
        page += [Heading("Nothing said"), Bullets(unsaid)]
    rows = [
        {"stage": r.stage, "check": x.check.name, "status": x.status, "message": x.message, "remedy": x.remedy}
        for r in reports
        for x in r.results
    ]
    out.result(page, {"schema": 1, "results": rows}, as_json=as_json)
    if failed := [r.stage for r in reports if r.of("failed")]:
        verb = "does" if len(failed) == 1 else "do"
        raise PluginError(f"{', '.join(failed)} {verb} not keep the contract", "mend what is listed")


@store.command("du")
def store_du(folder: FolderOption = Path(), *, as_json: JsonOption = False) -> None:
    """How much disk the store takes, and what for."""
    usage = workspace_at(folder).project.store().du()
    rows = (
        ("artifacts", shown(usage.artifacts, "B")),
        ("checkpoints of unfinished steps", shown(usage.scratch, "B")),
        ("records and locks", shown(usage.other, "B")),
        ("free on that disk", shown(usage.free, "B")),
    )
    page: list[Block] = [
        Heading("Store", 1),
        Paragraph(f"{shown(usage.total, 'B')} for {usage.steps} finished steps"),
        Table(("what", "size"), rows, frozenset({1})),
    ]
    out.result(page, {"schema": 1, "total": usage.total, **asdict(usage)}, as_json=as_json)


@store.command("gc")
def store_gc(
    folder: FolderOption = Path(),
    *,
    keep: Annotated[int, typer.Option("--keep", min=0, help="Runs to keep, the newest first.")] = 5,
    budget: Annotated[str, typer.Option("--budget", help="Disk the store may take, such as 5GB.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Remove what no kept run needs, the oldest first; with a budget, no more than it takes."""
    from kistack.units import parse_size

    project = workspace_at(folder).project
    ledger = project.ledger()
    newest = [r.run for r in sorted(ledger.runs(), key=lambda r: r.started, reverse=True)[:keep]]
    limit = float(parse_size(budget)) if budget else None
    collected = project.store().gc(keep=ledger.roots(newest), budget=limit)
    page = [
        Paragraph(
            f"{shown(collected.freed, 'B')} freed ({collected.artifacts} artifacts, {collected.steps} steps); "
            f"{shown(collected.left, 'B')} left."
        )
    ]
    out.result(page, {"schema": 1, **asdict(collected)}, as_json=as_json)


@store.command("verify")
def store_verify(folder: FolderOption = Path(), *, as_json: JsonOption = False) -> None:
    """Read everything in the store and compare it with its digest; damaged artifacts are dropped."""
    damage = workspace_at(folder).project.store().verify(drop=True)
    lines = tuple(f"{d.digest[:12]} ({', '.join(d.outputs)}): {d.fault}" for d in damage)
    page: list[Block] = [Bullets(lines) if lines else Paragraph("Everything is as it was made.")]
    out.result(page, {"schema": 1, "damaged": [asdict(d) for d in damage]}, as_json=as_json)
    if damage:
        raise StoreError(f"{len(damage)} artifacts were damaged and dropped", "the next run that needs them makes them")
