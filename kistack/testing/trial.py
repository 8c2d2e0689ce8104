"""Runs of a stage in a process of its own, as a run of kistack would have it, with everything noted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact, Opener
from kistack.execution.events import read_events
from kistack.execution.job import Job, Outcome, Remote, load_stage, reference_of
from kistack.execution.preparation import environment, import_path, interpreter_of
from kistack.plugins.environments import Environment
from kistack.plugins.stages import Stage


@dataclass(frozen=True, slots=True)
class Asked:
    """A run to be tried: ``given`` and ``openers`` by port; ``scratch`` survives where it is named again."""

    label: str
    stage: Stage
    settings: Any
    given: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    openers: Mapping[str, Opener] = field(default_factory=dict)
    seed: int = 0
    scratch: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. ``outcome`` is None where the process ended without an answer or was ended for taking too long.

    ``network``, ``pickles``, ``stdout`` and ``left`` are what the observer noted; ``stray``: a forked process came back
    out of the stage. ``events`` are what it told; ``cwd`` are files that it left in the folder it was started in, and
    ``temporary`` those it left where temporary files go.
    """

    outcome: Outcome | None
    outs: Mapping[str, Path]
    log: Path
    ended: str = ""
    network: tuple[str, ...] = ()
    pickles: tuple[str, ...] = ()
    stdout: str = ""
    left: tuple[str, ...] = ()
    stray: bool = False
    cwd: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    events: tuple[Any, ...] = ()

    @property
    def error(self) -> str:
        """The error in one line; empty where it went well."""
        if self.outcome is None:
            return self.ended or "its process ended without an answer"
        return "" if self.outcome.error is None else self.outcome.error.message.splitlines()[0]


def attempt(
    root: Path, asked: Sequence[Asked], plugin: str, *, seconds: float, die: float | None = None
) -> list[Tried]:
    """Run what is asked, one after the other in one process that has ``seconds`` for all of it.

    With ``die`` the process is killed after so many seconds. All of it runs in the environment of the first stage.

    Raises:
        InputError: an environment of a stage's own is not made.

    """
    root.mkdir(parents=True, exist_ok=True)
    files = [_prepare(root, one, plugin) for one in asked]
    report = root / f"{asked[0].label}.report"
    places = {name: root / f"{asked[0].label}.{name}" for name in ("cwd", "tmp")}
    for place in places.values():
        place.mkdir(exist_ok=True)
    options = [] if die is None else ["--die", str(die)]
    own = asked[0].stage.traits(asked[0].settings).environment
    python = interpreter_of(asked[0].stage, own)
    command = python.command("kistack.testing.observer", str(report), *options, *(str(f) for f in files))
    ended = _run(command, python.variables(), root / f"{asked[0].label}.process.log", places, seconds)
    noted = _noted(report)
    strays = report.with_suffix(".strays")
    came_back = strays.read_text().split() if strays.exists() else []
    return [_tried(Job.read(f), noted, came_back, places, ended) for f in files]


def _run(
    command: Sequence[str], variables: Mapping[str, str], log: Path, places: Mapping[str, Path], seconds: float
) -> str:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=places["cwd"],
            start_new_session=True,
            env={**variables, "TMPDIR": str(places["tmp"])},
        )
        try:
            code = process.wait(seconds)
            return "" if code == 0 else f"its process ended with status {code}"
        except subprocess.TimeoutExpired:
            return f"it had not ended after {seconds:.0f} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _prepare(root: Path, asked: Asked, plugin: str) -> Path:
    folder = root / asked.label
    traits = asked.stage.traits(asked.settings)
    outs = {name: folder / "out" / name for name in traits.produces}
    scratch = root / "scratch" / (asked.scratch or asked.label)
    for made in (folder, scratch, *outs.values()):
        made.mkdir(parents=True, exist_ok=True)
    openers = dict(asked.openers)
    for port, artifacts in asked.given.items():
        if port not in openers and artifacts and artifacts[0].opener is not None:
            openers[port] = artifacts[0].opener
    job = Job(
        key=asked.label,
        use=asked.stage.name,
        plugin=plugin,
        stage=reference_of(asked.stage),
        settings=asked.settings.model_dump(mode="json"),
        inputs=dict(asked.given),
        openers=openers,
        outs=outs,
        scratch=scratch,
        events=folder / "events.jsonl",
        log=folder / "log",
        result=folder / "result.json",
        clock=scratch.with_name(scratch.name + ".clock"),
        lock=scratch.with_name(scratch.name + ".lock"),
        seed=asked.seed,
        env=environment(traits, threads=1),
        path=import_path() if traits.environment is None else (),
        remotes=_remotes(openers, traits.environment, plugin),
    )
    job.write(folder / "job.json")
    return folder / "job.json"


def _remotes(openers: Mapping[str, Opener], own: Environment | None, plugin: str) -> dict[str, Remote]:
    """The ports that are opened in another environment than ``own``."""
    found = {}
    for port, opener in openers.items():
        try:
            stage = load_stage(opener.stage)
            environment = stage.traits(stage.Settings.model_validate(dict(opener.settings))).environment
        except Exception:  # noqa: BLE001, S112 - a plugin may raise anything; the run will tell
            continue
        if environment != own:
            python = interpreter_of(stage, environment, import_path())
            found[port] = Remote.of(stage, plugin, python)
    return found


def _noted(report: Path) -> dict[str, dict[str, Any]]:
    if not report.exists():
        return {}
    return {note["key"]: note for note in map(json.loads, report.read_text(encoding="utf-8").splitlines())}


def _tried(
    job: Job, noted: Mapping[str, Mapping[str, Any]], came_back: Sequence[str], places: Mapping[str, Path], ended: str
) -> Tried:
    note = noted.get(job.key, {})
    outcome = Outcome.read(job.result, job.use)
    return Tried(
        outcome=outcome,
        outs=job.outs,
        log=job.log,
        ended="" if outcome is not None else ended,
        network=tuple(note.get("network", ())),
        pickles=tuple(note.get("pickles", ())),
        stdout=note.get("stdout", ""),
        left=tuple(note.get("left", ())),
        stray=job.key in came_back,
        cwd=_files(places["cwd"]),
        temporary=_files(places["tmp"]),
        events=tuple(read_events(job.events)) if job.events.exists() else (),
    )


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()))[:20]
