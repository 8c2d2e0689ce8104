"""What the composer says to a stage that is given what its traits exclude."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from kistack.composition.matching import main_out
from kistack.composition.pipeline import Bound, Given
from kistack.composition.requests import Request
from kistack.composition.workbench import Workbench
from kistack.domain.artifacts import Type
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import Host, load_host
from kistack.plugins.stages import Stage
from kistack.testing.findings import Skip
from kistack.testing.rehearsal import RehearsedIndex, RehearsedModel
from kistack.testing.subject import Subject

#: What no port asks for.
_OTHER = "something-else"


class _Pair:
    """The stage under test, and what opens the stand-ins for its inputs."""

    def __init__(self, stage: type[Stage]) -> None:
        self._stage = stage

    @hookimpl
    def kistack_register_runtimes(self) -> Sequence[type[Stage]]:
        """Stands in for every runtime."""
        return [RehearsedModel]

    @hookimpl
    def kistack_register_retrievers(self) -> Sequence[type[Stage]]:
        """Stands in for every retriever."""
        return [RehearsedIndex, *self._of("retrieve")]

    @hookimpl
    def kistack_register_tuners(self) -> Sequence[type[Stage]]:
        """The stage, if it is one."""
        return self._of("tune")

    @hookimpl
    def kistack_register_distillers(self) -> Sequence[type[Stage]]:
        """The stage, if it is one."""
        return self._of("distill")

    @hookimpl
    def kistack_register_quantizers(self) -> Sequence[type[Stage]]:
        """The stage, if it is one."""
        return self._of("quantize")

    @hookimpl
    def kistack_register_evaluators(self) -> Sequence[type[Stage]]:
        """The stage, if it is one."""
        return self._of("evaluate")

    @hookimpl
    def kistack_register_stages(self) -> Sequence[type[Stage]]:
        """The stage, if its kind has no hook of its own."""
        own = {"retrieve", "tune", "distill", "quantize", "evaluate", "runtime", "profile", "source"}
        return [] if self._stage.name.partition("/")[0] in own else [self._stage]

    def _of(self, kind: str) -> list[type[Stage]]:
        return [self._stage] if self._stage.name.partition("/")[0] == kind else []


def refusals(subject: Subject) -> dict[str, str]:
    """For each thing that the traits exclude, what it was and what the composer said of it (nothing: it was taken).

    Raises:
        Skip: the stage reads nothing, or does not compose with what it asks for.

    """
    stage, traits = subject.stage, subject.traits
    types = {port: dataclasses.replace(found, opener=None) for port, found in subject.types.items()}
    if not types:
        raise Skip("it reads nothing")
    host = subject.host if stage.name.startswith("pairs/") else load_host(
        entry_points=False, extra={"tested": _Pair(type(stage))}
    )  # fmt: skip
    if stage.name in subject.alone.stages and subject.alone.stages[stage.name].plugin == "kistack":
        raise Skip("it belongs to the core")
    if said := _place(subject, host, types):
        raise Skip(f"it does not compose with its own specimens: {said}")
    tried: dict[str, str] = {}
    for port, wanted in traits.consumes.items():
        for key in wanted.where if port in types else ():
            what = f"{port} with another {key}"
            tried[what] = _place(subject, host, {**types, port: _with(types[port], key)})
    for need in traits.needs:
        if need.port in types:
            facts = {**types[need.port].facts, need.fact: need.at_least - 1}
            less = dataclasses.replace(types[need.port], facts=facts)
            tried[f"{need.port} with {need.fact} below {need.at_least:g}"] = _place(
                subject, host, {**types, need.port: less}
            )
    main = main_out(traits)
    if main is not None and main.like in types:
        for pattern in (*traits.excludes, *traits.before):
            line = (pattern.replace("*", "other"),)
            after = {**types, main.like: dataclasses.replace(types[main.like], line=line)}
            tried[f"coming after {pattern}"] = _place(subject, host, after)
    return tried


def _with(found: Type, key: str) -> Type:
    if key == "format":
        return dataclasses.replace(found, format=_OTHER)
    return dataclasses.replace(found, facets={**found.facets, key: _OTHER})


def _place(subject: Subject, host: Host, types: Mapping[str, Type]) -> str:
    """What the composer says of the stage with these inputs; nothing where it takes them."""
    bench = Workbench(subject.profile, host, 0)
    for port, found in types.items():
        slot = subject.traits.consumes[port].slot or port
        bench.slots[slot] = Bound(Given(slot, found), found)
    bench.given = dict(bench.slots)
    bench.place(Request(subject.stage, subject.settings, "plan: step 1", step=0))
    return "; ".join(f"{p.message}" for p in bench.problems)
