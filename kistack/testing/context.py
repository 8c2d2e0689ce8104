"""A context that runs a stage in this process, in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact
from kistack.plugins.stages import Stage


@dataclass
class LocalContext:
    """A ``kistack.plugins.stages.Context`` over plain folders.

    ``given`` maps ports to artifacts (or sequences of them); ``sessions`` maps ports to opened sessions, fakes
    included. Outputs appear under ``root/out/NAME``; what the stage reported is in ``reports`` and ``lines``.
    """

    root: Path
    given: Mapping[str, Artifact | Sequence[Artifact]] = field(default_factory=dict)
    sessions: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    reports: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def scratch(self) -> Path:
        """The folder that survives a kill."""
        path = self.root / "scratch"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def input(self, port: str) -> Artifact:
        """The artifact at ``port``; KeyError where it is missing."""
        found = self.given[port]
        if isinstance(found, Artifact):
            return found
        raise KeyError(f"port {port!r} holds several artifacts: use inputs()")

    def inputs(self, port: str) -> Sequence[Artifact]:
        """All artifacts at ``port``."""
        found = self.given.get(port, ())
        return (found,) if isinstance(found, Artifact) else tuple(found)

    def out(self, name: str) -> Path:
        """The folder of output ``name``."""
        path = self.root / "out" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def open(self, port: str) -> Any:
        """The session given for ``port``; KeyError where none was."""
        return self.sessions[port]

    def progress(self, done: float, total: float, unit: str = "", **numbers: float) -> None:
        """Keep what was reported."""
        self.reports.append({"done": done, "total": total, "unit": unit, **numbers})

    def log(self, message: str) -> None:
        """Keep the line."""
        self.lines.append(message)


def run_stage(stage: Stage, ctx: LocalContext, settings: Any = None) -> dict[str, Artifact]:
    """Run ``stage`` and wrap its outputs as artifacts (digests are not computed; facets come from the outs).

    An out that is ``like`` a port starts from that artifact's format, facets and facts.
    """
    settings = stage.Settings() if settings is None else settings
    facts = stage.run(settings, ctx)
    made: dict[str, Artifact] = {}
    for name, out in stage.traits(settings).produces.items():
        source = ctx.inputs(out.like)[0] if out.like and ctx.inputs(out.like) else None
        made[name] = Artifact(
            kind=out.kind,
            format=out.format or (source.format if source else ""),
            path=ctx.out(name),
            digest="",
            key=f"test/{stage.name}/{name}",
            facets={**(source.facets if source else {}), **out.set},
            facts={**(source.facts if source else {}), **facts.get(name, {})},
            requires=tuple(a for port in out.requires for a in ctx.inputs(port)),
        )
    return made
