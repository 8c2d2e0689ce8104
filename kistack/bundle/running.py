"""Running a pipeline from end to end: steps, then evaluation, then the bundle, then the ledger."""

from __future__ import annotations

import datetime as dt
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from kistack.advisor.calibration import calibrate
from kistack.bundle.archive import PROFILE_FILE, RECORD_FILE
from kistack.bundle.manifest import ANSWER_TOKENS, BUNDLE_FOLDER, Licence, Manifest
from kistack.bundle.runs import PLAN_FILE
from kistack.bundle.totals import answering, foretold, observed
from kistack.bundle.writing import LICENCE_NAMES, write_bundle
from kistack.composition.pipeline import Bound, Given, Pipeline, Ref, System
from kistack.domain.artifacts import Artifact, Opener
from kistack.domain.calibration import points_kind
from kistack.domain.facts import Profile
from kistack.domain.records import Measurement, RunRecord, StepRecord, SystemScore
from kistack.errors import KistackError, StepFailed, StoreError
from kistack.evaluation.scoring import read_system
from kistack.execution.events import EVENTS_FILE, Event, EventLog, RunFinished, Warned
from kistack.execution.runner import Execution, execute
from kistack.plugins.builtins import longest_answer
from kistack.storage.files import storing

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

#: Distributions whose versions a record names, where they are installed.
_NAMED = ("kistack", "torch", "transformers", "peft", "llama-index-core", "lancedb", "gguf", "xllamacpp", "numpy")


def run(
    place: Workspace,
    pipeline: Pipeline,
    *,
    run_dir: Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    fresh: bool = False,
    cancelled: Callable[[], bool] | None = None,
) -> RunRecord:
    """Run ``pipeline`` in a project; see ``Workspace.run``."""
    folder = run_dir or place.project.new_run()
    given = place.inputs(pipeline)
    with storing(folder, "writing the plan"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PLAN_FILE).write_text(json.dumps(pipeline.plan.to_dict()), encoding="utf-8")
        (folder / PROFILE_FILE).write_text(json.dumps(place.profile().to_json()), encoding="utf-8")
    _announce(place, folder, on_event)
    execution = execute(
        pipeline,
        place.store,
        given,
        folder,
        hooks=place.host,
        on_event=on_event,
        fresh=fresh,
        cancelled=cancelled,
        final=False,
    )
    record = _record(place, pipeline, execution)
    error = execution.error
    if error is None:
        try:
            systems = scored(pipeline, execution)
            measured = observed(pipeline, execution.steps, systems, place.profile())
            record = replace(record, systems=systems, measured=measured)
            _require_answers(pipeline, execution)
            record = replace(record, bundle=str(_bundle(place, pipeline, execution, systems, folder)))
        except KistackError as caught:
            error = caught
            record = replace(record, status="failed", error=caught.message)
    _finish(place, folder, record, error, on_event)
    if error is not None:
        raise error
    return record


def _teller(folder: Path, on_event: Callable[[Event], None] | None) -> Callable[[Event], None]:
    log = EventLog(folder / EVENTS_FILE)

    def tell(event: Event) -> None:
        log.write(event)
        if on_event is not None:
            on_event(event)

    return tell


def _announce(place: Workspace, folder: Path, on_event: Callable[[Event], None] | None) -> None:
    """Tell the plugins that a run starts; what is wrong with following it is better known before than after."""
    tell = _teller(folder, on_event)
    for name in sorted(place.scenario.trackers.keys() - place.host.followers()):
        hint = "install it, or remove its section from kistack.yaml"
        tell(Warned(message=f"trackers.{name}: no plugin of this name follows runs", hint=hint))
    for line in place.host.call("kistack_run_started", run=folder.name, scenario=place.scenario, folder=folder):
        tell(Warned(message=line))


def _finish(
    place: Workspace,
    folder: Path,
    record: RunRecord,
    error: KistackError | None,
    on_event: Callable[[Event], None] | None,
) -> None:
    """Write the record, the ledger's row and the last event; tell the plugins."""
    tell = _teller(folder, on_event)
    with storing(folder, "writing the record"):
        (folder / RECORD_FILE).write_text(json.dumps(record.to_json(), indent=1), encoding="utf-8")
    place.project.ledger().append(record)
    if (fault := _calibrate(place, record)) is not None:
        tell(fault)
    for line in place.host.call("kistack_run_finished", record=record, scenario=place.scenario, folder=folder):
        tell(Warned(message=line))
    message, hint = (error.message, error.hint) if error is not None else ("", "")
    tell(RunFinished(run=record.run, status=record.status, seconds=record.seconds, error=message, hint=hint))


def _calibrate(place: Workspace, record: RunRecord) -> Warned | None:
    """Let later predictions profit from what this run measured; what goes wrong here does not cost the run."""
    if not any(step.status == "done" for step in record.steps):
        return None
    try:
        calibrate(place.project)
    except Exception as error:  # noqa: BLE001 - everything is kept already, and the next run fits anew
        return Warned(message=f"predictions could not be calibrated: {error}")
    return None


def _record(place: Workspace, pipeline: Pipeline, execution: Execution) -> RunRecord:
    told = foretold(pipeline, place.profile(), place.calibration())
    system = answering(pipeline)
    return RunRecord(
        run=execution.run,
        status=execution.status,
        plan=pipeline.plan.to_dict(),
        profile=place.profile().digest,
        environment=environment(place.profile(), pipeline),
        steps=execution.steps,
        predicted=told.predicted,
        raw=told.raw,
        points_kind=points_kind(place.profile()),
        runtime=system.opener.stage if system is not None and system.opener is not None else "",
        started=execution.started,
        seconds=execution.seconds,
        error=execution.error.message if execution.error is not None else "",
    )


def environment(profile: Profile, pipeline: Pipeline) -> dict[str, str]:
    """What a measurement depends on: machine, Python and the versions of the libraries that compute.

    Libraries of a plugin's own environment are told after its name: ``openvino/nncf``.
    """
    found = {
        "machine": profile.text("hardware.fingerprint"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for name in _NAMED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for node in pipeline.nodes:
        if (own := node.traits.environment) is not None:
            found |= {f"{own.name}/{name}": own.version(name) for name in node.stage.libraries}
    return found


def scored(pipeline: Pipeline, execution: Execution) -> dict[str, SystemScore]:
    """The score of every system of a pipeline that has run.

    Raises:
        StoreError: an artifact cannot be read.
        InputError: two evaluators give the same metric.
    """
    by_key = {step.key: step for step in execution.steps}
    return {name: _score(execution, system, by_key) for name, system in pipeline.systems.items()}


def _require_answers(pipeline: Pipeline, execution: Execution) -> None:
    """A metric may be missing, but what the plan delivers must have answered: what cannot is no bundle.

    Raises:
        StepFailed: a delivered model could not be opened or did not answer.
    """
    delivered = [b.type.identity for b in pipeline.delivered.values()]
    for system in pipeline.systems.values():
        if system.answers is None or system.model.type.identity not in delivered:
            continue
        step = next((s for s in execution.steps if s.key == system.answers.node), None)
        if step is not None and step.status == "failed":
            raise StepFailed(
                f"what the plan delivers cannot answer: {step.error}",
                "everything made is kept: mend that, and the same command measures it and writes the bundle",
            )


def _score(execution: Execution, system: System, steps: Mapping[str, StepRecord]) -> SystemScore:
    """One system's metrics; what failed or could not be had is told with its reason."""
    unavailable = dict(system.unavailable)
    scores = []
    for evaluator, ref in system.scores.items():
        found = execution.artifacts.get(_identity(ref))
        if found is not None:
            scores.append(found)
        else:
            step = steps.get(ref.node)
            unavailable[evaluator] = step.error if step is not None and step.error else "its answers are missing"
    answers = execution.artifacts.get(_identity(system.answers)) if system.answers is not None else None
    score = read_system(system.name, scores, answers)
    metrics = dict(score.metrics)
    size = sum(a.fact("bytes") for a in _travelling(execution, system).values())
    metrics["bytes"] = Measurement(size, size, size, "B")
    if system.answers is not None and (step := steps.get(system.answers.node)) is not None:
        peak = step.measured.get("peak_bytes", 0.0)
        if peak:
            metrics["peak_bytes"] = Measurement(peak, peak, peak, "B")
    return replace(score, metrics=metrics, unavailable={**score.unavailable, **unavailable})


def _identity(ref: Ref) -> str:
    return f"{ref.node}/{ref.out}"


def _artifact(execution: Execution, bound: Bound, opener: Opener | None) -> Artifact:
    source = bound.source
    identity = source.type.identity if isinstance(source, Given) else _identity(source)
    return replace(execution.artifacts[identity], opener=opener)


def _travelling(execution: Execution, system: System) -> dict[str, Artifact]:
    """The artifacts a system needs to answer, by digest."""
    found: dict[str, Artifact] = {}

    def add(artifact: Artifact) -> None:
        if artifact.digest not in found:
            found[artifact.digest] = artifact
            for other in artifact.requires:
                add(other)

    for bound in (system.model, system.index):
        if bound is not None:
            add(_artifact(execution, bound, None))
    return found


def _bundle(
    place: Workspace, pipeline: Pipeline, execution: Execution, systems: Mapping[str, SystemScore], folder: Path
) -> Path:
    """Write what the plan delivers; the empty plan delivers the base model as it is."""
    models: dict[str, Artifact] = {}
    index: Artifact | None = None
    for slot, bound in pipeline.delivered.items():
        if bound.type.kind != "model":
            continue
        system = next((s for s in pipeline.systems.values() if s.model == bound), None)
        models[slot] = _artifact(execution, bound, system.opener if system is not None else None)
    for bound in pipeline.served.values():
        if bound.type.kind == "index":
            index = _artifact(execution, bound, bound.type.opener)
    if not models:
        raise StoreError("the plan delivers no model, so there is no bundle", "deliver a model slot")
    profile = place.profile()
    manifest = Manifest(
        name=place.scenario.name,
        run=execution.run,
        created=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        kistack=metadata.version("kistack"),
        plan=pipeline.plan.to_dict(),
        profile=profile.digest,
        prompt=place.scenario.template.to_json(),
        parts={},
        models={},
        max_new_tokens=_longest(profile, pipeline),
        licences=_licences(place, profile),
        environment=environment(profile, pipeline),
        scores={
            name: {m: {"value": v.value, "low": v.low, "high": v.high} for m, v in s.metrics.items()}
            for name, s in systems.items()
        },
    )
    target = folder / BUNDLE_FOLDER
    write_bundle(target, manifest, models, index)
    return target


def _longest(profile: Profile, pipeline: Pipeline) -> int:
    """How long an answer of the bundle may become: as long as one that was measured, and some length in any case."""
    prompt = pipeline.estimate.facts.get("prompt", {}).get("tokens", 0.0)
    return max(
        ANSWER_TOKENS, longest_answer(profile.number("pairs.answer_tokens"), profile.number("model.context"), prompt)
    )


def _licences(place: Workspace, profile: Profile) -> tuple[Licence, ...]:
    """Licences of the data and of the models in use, with the texts that lie beside the documents."""
    found = []
    if licence := profile.text("corpus.licence"):
        text = next((p for part in place.scenario.knowledge.corpus for p in _beside(part.path) if p.is_file()), None)
        found.append(Licence(of="data", licence=licence, text=str(text) if text is not None else ""))
    found += [
        Licence(of=f"{section} {profile.text(f'{section}.reference')}", licence=licence)
        for section in ("model", "teacher", "embedder")
        if (licence := profile.text(f"{section}.licence"))
    ]
    return tuple(found)


def _beside(path: Path) -> list[Path]:
    """Where a licence text of documents may lie: in their folder, or next to it."""
    folder = path if path.is_dir() else path.parent
    return [place / name for place in (folder, folder.parent) for name in LICENCE_NAMES]
