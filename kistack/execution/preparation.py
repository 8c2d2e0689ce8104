"""Between a node and its worker: the job file before, the outputs to keep after."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from kistack.composition.pipeline import Node, Pipeline
from kistack.domain.artifacts import Artifact, Opener
from kistack.errors import KistackError, PluginError
from kistack.execution.events import EVENTS_FILE
from kistack.execution.job import Job, Remote, reference_of
from kistack.execution.meter import available_threads
from kistack.plugins.environments import Environment, Interpreter, this_interpreter
from kistack.plugins.stages import Stage, Traits
from kistack.plugins.waiting import brief_waiting
from kistack.storage.results import Made, file_name
from kistack.storage.store import Store

#: Libraries that compute read one of these when they are loaded.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

_ALWAYS = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DO_NOT_TRACK": "1",
    # Without a fixed workspace, cuBLAS adds up in an order that differs from run to run.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


class Registry(Protocol):
    """Where stages are found by name."""

    def get(self, name: str) -> Any:
        """The entry of a stage; its ``stage`` is the instance."""
        ...


class Resolver:
    """Finds the stages that open artifacts."""

    def __init__(self, pipeline: Pipeline, registry: Registry | None) -> None:
        self._registry = registry
        self._own = {node.label: node.stage for node in pipeline.nodes}

    def stage(self, name: str) -> Stage:
        """The stage of that name: the host's, else the pipeline's own.

        Raises:
            PluginError: neither has it.
            InputError: the host knows no such stage.

        """
        if name in self._own:
            return self._own[name]
        if self._registry is None:
            raise PluginError(f"no plugin host to find {name} with", "call execute(…, hooks=host)")
        found: Stage = self._registry.get(name).stage
        return found

    def plugin(self, name: str) -> str:
        """The plugin that the stage of that name came from."""
        try:
            return str(getattr(self._registry.get(name), "plugin", "?")) if self._registry is not None else "?"
        except KistackError:
            return "?"

    def interpreter(self, node: Node) -> Interpreter:
        """The Python in which a node runs: its environment's, else this one.

        Raises:
            InputError: its environment is not made.

        """
        own = node.traits.environment
        if own is None:
            return this_interpreter()
        there = (s for s, e in self._openings(node).values() if e == own)
        return own.interpreter(node.label, [type(s).__module__ for s in (node.stage, *there)])

    def remotes(self, node: Node) -> dict[str, Remote]:
        """The ports that a node opens in another environment than its own.

        Raises:
            InputError: such an environment is not made.

        """
        found = {}
        for port, (stage, environment) in self._openings(node).items():
            if environment != node.traits.environment:
                python = interpreter_of(stage, environment, import_path())
                found[port] = Remote.of(stage, self.plugin(stage.name), python)
        return found

    def _openings(self, node: Node) -> dict[str, tuple[Stage, Environment | None]]:
        """By port what opens it, and in which environment."""
        found = {}
        for port, opener in node.openers.items():
            stage = self.stage(opener.stage)
            settings = stage.Settings.model_validate(dict(opener.settings))
            found[port] = stage, stage.traits(settings).environment
        return found

    def is_light(self, node: Node) -> bool:
        """Whether a node loads no library of its own and may share a worker with its like.

        What is timed, or reaches out to a network, runs alone.
        """
        stages = [node.stage, *(self.stage(o.stage) for o in node.openers.values())]
        return not any(s.libraries for s in stages) and not node.traits.timed and not node.traits.network


def file_stem(node: Node, index: int) -> str:
    """The name of a step's files in the run's folder, such as ``03-tune-lora``."""
    return f"{index:02}-{re.sub(r'[^A-Za-z0-9.]+', '-', node.label)}"


def environment(traits: Traits, threads: int = 0) -> dict[str, str]:
    """Environment variables of a stage's worker; ``threads`` 0 takes what the machine has."""
    count = str(threads or available_threads())
    offline = {} if traits.network else _OFFLINE
    return {**dict.fromkeys(_THREADS, count), **brief_waiting(), **_ALWAYS, **offline}


def import_path() -> tuple[str, ...]:
    """What this process can import, its worker can: entries such as the folder of a script come last there."""
    return tuple(dict.fromkeys(os.path.abspath(p) for p in sys.path))  # noqa: PTH100 - '' means here


def interpreter_of(stage: Stage, own: Environment | None, path: Iterable[str] | None = None) -> Interpreter:
    """The Python of a stage's own environment; where it has none this one, which is to search ``path``.

    Raises:
        InputError: the environment is not made.

    """
    if own is not None:
        return own.interpreter(stage.name, [type(stage).__module__])
    return this_interpreter(path)


def prepare_job(  # noqa: PLR0913 - a job is made of all this
    node: Node,
    inputs: Mapping[str, tuple[Artifact, ...]],
    folders: Mapping[str, Path],
    *,
    resolve: Resolver,
    store: Store,
    run_dir: Path,
    stem: str,
    threads: int = 0,
) -> Job:
    """The job of a node.

    Raises:
        PluginError: a stage's class cannot be imported by another process, or is not found.

    """
    scratch = store.scratch(node.key)
    return Job(
        key=node.key,
        use=node.label,
        plugin=node.plugin,
        stage=reference_of(node.stage),
        settings=node.settings.model_dump(mode="json"),
        inputs=dict(inputs),
        openers={port: Opener(reference_of(resolve.stage(o.stage)), o.settings) for port, o in node.openers.items()},
        outs=folders,
        scratch=scratch,
        events=run_dir / EVENTS_FILE,
        log=run_dir / "logs" / f"{stem}.log",
        result=run_dir / "jobs" / f"{stem}.result.json",
        clock=store.clock(node.key),
        lock=store.root / "locks" / f"worker-{file_name(node.key)}.lock",
        seed=node.seed,
        needed=disk_needed(node),
        env=environment(node.traits, threads),
        # An environment of its own finds what it needs by itself.
        path=import_path() if node.traits.environment is None else (),
        remotes=resolve.remotes(node),
    )


def made_of(
    node: Node,
    inputs: Mapping[str, tuple[Artifact, ...]],
    known: Mapping[str, Artifact],
    folders: Mapping[str, Path],
    facts: Mapping[str, Mapping[str, float]],
) -> dict[str, Made]:
    """The outputs of a step as the store keeps them.

    Format, facets and what must travel with an output are as composed. Its numbers start from those of the artifact
    it is like and are replaced by what the stage says; bytes are never inherited.
    """
    made = {}
    names = _port_names(node, inputs)
    for name, virtual in node.outputs.items():
        out = node.traits.produces[name]
        like = inputs.get(out.like, ())
        inherited = {n: v for n, v in like[0].facts.items() if n != "bytes"} if like else {}
        made[name] = Made(
            folder=folders[name],
            kind=virtual.kind,
            format=virtual.format,
            facets=virtual.facets,
            facts={**inherited, **facts.get(name, {})},
            requires=tuple(known[identity] for identity in virtual.needs),
            ports=tuple(names.get(identity, "") for identity in virtual.needs),
            opener=virtual.opener,
        )
    return made


def _port_names(node: Node, inputs: Mapping[str, tuple[Artifact, ...]]) -> dict[str, str]:
    """Identity to port name: the node's own ports, and those of what came with its inputs."""
    names: dict[str, str] = {}
    for port, artifacts in inputs.items():
        for virtual, artifact in zip(node.types[port], artifacts, strict=True):
            names.setdefault(virtual.identity, port)
            for inner, needed in zip(artifact.ports, virtual.needs, strict=False):
                names.setdefault(needed, inner)
    return names


def predicted(node: Node) -> dict[str, float]:
    """The costs that a node's estimate states, with the bytes of all its outputs."""
    made = node.estimate.made
    return {**node.estimate.costs, **({"bytes": made} if made else {})}


def stated(node: Node) -> dict[str, float]:
    """The same as the stage itself states it, before calibration."""
    return {name: node.estimate.raw.get(name, value) for name, value in predicted(node).items()}


def disk_needed(node: Node) -> float:
    """Bytes of disk that a node is expected to take while it runs."""
    return predicted(node).get("bytes", 0.0) + node.estimate.cost("scratch_bytes")
