"""The job file: all that a worker needs to run one step, and what it answers."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kistack.errors as known_errors
from kistack.domain.artifacts import Artifact, Opener
from kistack.errors import InvalidInput, KistackError, PluginError, Problem, StepFailed, StoreError
from kistack.plugins.environments import Interpreter
from kistack.plugins.stages import Stage
from kistack.storage.files import read_json, write_json

JOB_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Remote:
    """A stage that opens an artifact in another environment: ``who`` names it and its plugin, in messages.

    ``stage`` is its class as ``module:Class``.
    """

    who: str
    stage: str
    interpreter: Interpreter

    @classmethod
    def of(cls, stage: Stage, plugin: str, interpreter: Interpreter) -> Remote:
        """A stage of a plugin, to be opened by that Python.

        Raises:
            PluginError: no other process can import its class.

        """
        return cls(f"{stage.name} (plugin {plugin})", reference_of(stage), interpreter)

    def to_json(self) -> dict[str, Any]:
        """A JSON document that ``from_json`` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Remote:
        """What ``to_json`` wrote."""
        own = document["interpreter"]
        return cls(document["who"], document["stage"], Interpreter(**{**own, "path": tuple(own["path"])}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step. ``stage`` and the openers' stages are written ``module:Class``.

    ``remotes`` are the ports that are opened in another environment than the step's.

    ``events``, ``log``, ``result`` and ``clock`` are files: the run's events, the step's log, the answer, and the
    seconds spent so far (it outlives a kill, as ``scratch`` does). ``lock`` keeps two workers out of one scratch.
    ``needed`` are the bytes of disk that the outputs are expected to take.
    """

    key: str
    use: str
    plugin: str
    stage: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, tuple[Artifact, ...]]
    openers: Mapping[str, Opener]
    outs: Mapping[str, Path]
    scratch: Path
    events: Path
    log: Path
    result: Path
    clock: Path
    lock: Path
    seed: int = 0
    needed: float = 0.0
    env: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    remotes: Mapping[str, Remote] = field(default_factory=dict)

    def write(self, file: Path) -> None:
        """Write the job file."""
        document = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        document["inputs"] = {p: [a.to_json() for a in artifacts] for p, artifacts in self.inputs.items()}
        document["openers"] = {p: {"stage": o.stage, "settings": dict(o.settings)} for p, o in self.openers.items()}
        document["remotes"] = {port: r.to_json() for port, r in self.remotes.items()}
        document["outs"] = {name: str(path) for name, path in self.outs.items()}
        for name in ("scratch", "events", "log", "result", "clock", "lock"):
            document[name] = str(document[name])
        document |= {"schema": JOB_SCHEMA, "settings": dict(self.settings), "env": dict(self.env)}
        write_json(file, document)

    @classmethod
    def read(cls, file: Path) -> Job:
        """The job in a file.

        Raises:
            StoreError: it is missing, torn, or of another schema.

        """
        document = read_json(file)
        if document is None or document.pop("schema", None) != JOB_SCHEMA:
            raise StoreError(f"{file} is not a job this worker can read", "run the plan again")
        document["inputs"] = {
            p: tuple(Artifact.from_json(a) for a in artifacts) for p, artifacts in document["inputs"].items()
        }
        document["openers"] = {p: Opener(o["stage"], o["settings"]) for p, o in document["openers"].items()}
        document["outs"] = {name: Path(path) for name, path in document["outs"].items()}
        for name in ("scratch", "events", "log", "result", "clock", "lock"):
            document[name] = Path(document[name])
        document["path"] = tuple(document["path"])
        document["remotes"] = {port: Remote.from_json(r) for port, r in document["remotes"].items()}
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker answers: facts by output and what was measured, or an error."""

    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    error: KistackError | None = None

    def write(self, file: Path) -> None:
        """Write the result file."""
        error = None if self.error is None else error_to_json(self.error)
        facts = {name: dict(f) for name, f in self.facts.items()}
        write_json(file, {"schema": JOB_SCHEMA, "facts": facts, "measured": dict(self.measured), "error": error})

    @classmethod
    def read(cls, file: Path, who: str = "") -> Outcome | None:
        """The answer in a result file; None where there is none that is whole. ``who`` names the step in errors."""
        document = read_json(file)
        if document is None:
            return None
        error = document["error"]
        return cls(document["facts"], document["measured"], None if error is None else error_from_json(error, who))


def error_to_json(error: KistackError) -> dict[str, Any]:
    """An error as a JSON document."""
    problems = [dataclasses.asdict(p) for p in error.problems] if isinstance(error, InvalidInput) else []
    return {
        "class": type(error).__name__,
        "exit_code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
        "what": getattr(error, "what", ""),
        "problems": problems,
    }


def error_from_json(document: Mapping[str, Any], who: str = "") -> KistackError:
    """The error of that class where kistack has it; a plugin's own class becomes StepFailed.

    ``who`` is put before a message that does not name the step.
    """
    lead = f"{who}: " if who and who not in document["message"] else ""
    cls = getattr(known_errors, document["class"], None)
    if not (isinstance(cls, type) and issubclass(cls, KistackError)):
        cls = known_errors.InputError if document["exit_code"] == known_errors.InputError.exit_code else StepFailed
    if issubclass(cls, InvalidInput):
        return cls(lead + document["what"], [Problem(**p) for p in document["problems"]])
    return cls(lead + document["message"], document["hint"])


def reference_of(stage: Stage) -> str:
    """How a worker finds the class of a stage: ``module:Class``.

    Raises:
        PluginError: the class was made in a function or in the main script, where no other process finds it.

    """
    cls = type(stage)
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        raise PluginError(
            f"stage {stage.name} cannot be run in a worker: {cls.__qualname__} is made in {cls.__module__}",
            "put the class at the top level of a module that can be imported",
        )
    return f"{cls.__module__}:{cls.__qualname__}"


def load_stage(reference: str) -> Stage:
    """An instance of the class that ``reference_of`` named.

    Raises:
        PluginError: it cannot be imported, or is no stage.

    """
    module, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{reference} cannot be imported: {error}", "reinstall the plugin") from error
    if not (isinstance(found, type) and issubclass(found, Stage)):
        raise PluginError(f"{reference} is not a stage", "report it to the plugin's author")
    return found()
