"""The demo: *release desk*, from bare facts to a bundle that answers, on a real model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kistack.cli.output import out
from kistack.cli.places import JsonOption, host
from kistack.errors import InputError
from kistack.reporting.blocks import Block, Bullets, Code, Heading, Page, Paragraph

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.domain.plan import Plan
    from kistack.domain.records import RunRecord, SystemScore

DEMO_SCHEMA = 1
DEMO_FOLDER = Path("release-desk")
METRIC = "contained"
VERSUS = "retrieve"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(demo)


def demo(
    plan: Annotated[
        str, typer.Option("--plan", help="Techniques to run instead of the advice, such as retrieve+tune+quantize.")
    ] = "",
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo's project is made.")] = DEMO_FOLDER,
    *,
    project_only: Annotated[bool, typer.Option("--project-only", help="Only write the demo's project.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Profile, advise, run, measure and ask: the whole of kistack on facts about software releases."""
    from kistack.bundle.opening import open_bundle
    from kistack.bundle.workspace import Workspace
    from kistack.demo.pairs import REAL_QUESTIONS
    from kistack.demo.project import write_project

    if project_only:
        out.text(str(write_project(folder)))
        return
    _show(_opening(folder), as_json=as_json)
    write_project(folder)
    place = Workspace.find(folder, host=host(), notify=out.say)
    chosen = _decide(place, plan, as_json=as_json)
    record = _run(place, chosen)
    versus = {VERSUS: _beside(place, chosen, record)}
    answers = []
    with open_bundle(record.bundle, host=place.host) as bundle:
        answers = [bundle.ask(question) for question in REAL_QUESTIONS]
    _show(_closing(place, record, versus, answers), as_json=as_json)
    if as_json:
        out.result((), _document(record, versus), as_json=True)


def _show(page: Page, *, as_json: bool) -> None:
    """Pages are the result for a reader; where a program reads, they are said beside it."""
    from kistack.reporting.terminal import render

    if not as_json:
        out.result(page)
    elif not out.quiet:
        render(page, out.stderr)


def _opening(folder: Path) -> Page:
    return [
        Heading("kistack demo: release desk", 1),
        Paragraph(
            "A release desk answers questions about software releases: which version is the latest, when support "
            f"ends. The facts change every week. The project lies in {folder}; nothing outside it is written."
        ),
    ]


def _decide(place: Workspace, techniques: str, *, as_json: bool) -> Plan:
    """Show profile and advice; the plan to run is the advised one unless another was asked for."""
    from kistack.composition.arranging import plan_of
    from kistack.domain.planfile import dump_plan
    from kistack.reporting.advice import advice_page
    from kistack.reporting.profiles import profile_page

    other = plan_of(techniques, place.host) if techniques else None
    out.say("profiling …")
    _show(profile_page(place.profile(), brief=True), as_json=as_json)
    out.say(f"how each fact came about: kistack profile -C {place.project.root}")
    advice = place.advise()
    _show(advice_page(advice), as_json=as_json)
    if not advice.kept and other is None:
        raise InputError("no combination keeps the demo's limits on this machine", "choose one: kistack demo --plan …")
    chosen = other if other is not None else advice.best.plan
    name = "+".join(chosen.techniques) or "nothing"
    heading = f"Running {name}" + (" (asked for)" if other is not None else " (advised)")
    _show([Heading(heading), Code(dump_plan(chosen), "yaml")], as_json=as_json)
    return chosen


def _run(place: Workspace, plan: Plan) -> RunRecord:
    from kistack.cli.progress import RunDisplay

    pipeline = place.compose(plan)
    with RunDisplay() as display:
        return place.run(pipeline, on_event=display)


def _beside(place: Workspace, plan: Plan, record: RunRecord) -> SystemScore:
    """The same questions answered by retrieval alone, from the same index (the plan's own settings of it)."""
    from dataclasses import replace

    from kistack.composition.arranging import plan_of
    from kistack.domain.plan import Step

    own = tuple(step for step in plan.steps if step.kind == VERSUS) or plan_of(VERSUS, place.host).steps
    if own == plan.steps:
        return replace(record.systems["plan"], name=VERSUS)
    # Answers are compared: what measured the plan measures them too, but for what puts the model to work once more.
    measured = dict.fromkeys(step.use for step in record.steps if step.use.startswith("evaluate/"))
    reading = [use for use in measured if not any(p.opened for p in place.host.traits(use).consumes.values())]
    alone = plan.model_copy(update={"steps": own, "evaluate": tuple(Step(use=use) for use in reading)})
    out.say("the same questions with retrieve alone …")
    return replace(_run(place, alone).systems["plan"], name=VERSUS)


def _closing(place: Workspace, record: RunRecord, versus: dict[str, SystemScore], answers: list[Any]) -> Page:
    from kistack.reporting.answers import answer_page
    from kistack.reporting.runs import run_page

    page: list[Block] = [*run_page(record, versus=versus, metric=METRIC)]
    page.append(Heading("Three questions, with the sources each answer was given", 1))
    for answer in answers:
        page += answer_page(answer)
    page += [
        Heading("Next", 1),
        Bullets(
            (
                f'kistack ask {record.bundle} "Which is the latest version of …?"',
                f"kistack report -C {place.project.root} --format md",
                f"kistack advise -C {place.project.root} --all",
                "kistack demo --plan retrieve+distill+tune+quantize",
                "kistack init: the same with your own documents",
            )
        ),
    ]
    return page


def _document(record: RunRecord, versus: dict[str, SystemScore]) -> dict[str, Any]:
    from kistack.evaluation.scoring import compare
    from kistack.reporting.runs import score_document, step_document

    advised = record.systems.get("plan", record.systems["baseline"])

    def difference(other: SystemScore) -> dict[str, Any]:
        found = compare(advised, other, METRIC)
        return {METRIC: {"value": found.mean, "ci95": [found.low, found.high]}}

    return {
        "schema": DEMO_SCHEMA,
        "plan": dict(record.plan),
        "baseline": score_document(record.systems["baseline"]),
        "advised": score_document(advised),
        "difference": difference(record.systems["baseline"]),
        "versus": {name: difference(system) for name, system in versus.items()},
        "systems": {name: score_document(s) for name, s in {**record.systems, **versus}.items()},
        "steps": [step_document(s) for s in record.steps],
        "bundle": record.bundle,
    }
