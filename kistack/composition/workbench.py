"""Composing in progress: slots, nodes and problems while a plan is put together."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import machinery
from importlib import util as importing
from typing import Any

from pydantic import ValidationError

from kistack.composition.binding import bind
from kistack.composition.keys import key_of
from kistack.composition.matching import main_out, output_types
from kistack.composition.memo import Memo
from kistack.composition.pipeline import Bound, Node
from kistack.composition.requests import Broken, Request, Unmet
from kistack.composition.soundness import checked
from kistack.domain.artifacts import FACETS, Opener, Type
from kistack.domain.calibration import SOURCE_KINDS, STEP_KINDS, UNCALIBRATED, Calibration, work_of
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.errors import KistackError, Problem
from kistack.plugins.host import Host, default_settings
from kistack.plugins.stages import Load, Need, Opens, Settings, Stage, Traits

_INCOMPLETE = "its environment's lock file lacks it: report it to the plugin's author"


class Workbench:
    """Slots, nodes and problems while a plan is composed.

    A ``memo`` shared between plans of one scenario keeps nodes by what they read, so that what candidates have in
    common is composed once. What stages state of themselves is corrected by ``calibration`` as soon as it is stated;
    the types of what they make keep the stated numbers, so that later stages, keys and the next calibration do too.
    """

    def __init__(
        self,
        profile: Profile,
        host: Host,
        seed: int,
        memo: Memo | None = None,
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        self.profile = profile
        self.host = host
        self.seed = seed
        self.slots: dict[str, Bound] = {}
        #: The scenario's own inputs, whatever the slots of their names hold by now.
        self.given: Mapping[str, Bound] = {}
        self.poisoned: set[str] = set()
        self.nodes: dict[str, Node] = {}
        self.problems: list[Problem] = []
        #: Runtimes that the plan names as steps: they open whatever they can, baselines included.
        self.chosen: list[tuple[tuple[Opens, ...], Opener]] = []
        self.memo = Memo() if memo is None else memo
        self.calibration = calibration

    # --- settings

    def settings_of(self, stage: Stage, given: Mapping[str, Any], where: str) -> Settings | None:
        """Validated settings, or None after the problems were noted."""
        try:
            return stage.Settings.model_validate(dict(given))
        except ValidationError as error:
            known = ", ".join(sorted(stage.Settings.model_fields)) or "none"
            for fault in error.errors():
                name = ".".join(str(p) for p in fault["loc"])
                if fault["type"] == "extra_forbidden":
                    message, hint = f"{stage.name} has no setting {name!r}", f"its settings: {known}"
                else:
                    told = fault["msg"].removeprefix("Value error, ")
                    # A rule about several settings has no place of its own.
                    message = f"{stage.name}: " + (f"{name} = {fault.get('input')!r}: {told}" if name else told)
                    about = stage.Settings.model_fields.get(str(fault["loc"][0]) if fault["loc"] else "")
                    hint = f"its settings: {known}" if not name else ""
                    if about is not None and about.description:
                        hint = f"{name}: {about.description}"
                self.problems.append(Problem(where, message, hint))
            return None

    def inner(self) -> Workbench:
        """A bench with a copy of the slots that adds its nodes to this one."""
        bench = Workbench(self.profile, self.host, self.seed, self.memo, self.calibration)
        bench.nodes = self.nodes
        bench.slots = {**self.slots}
        bench.given = self.given
        bench.chosen = self.chosen
        return bench

    def place(self, request: Request) -> Node | None:
        """Bind, check and add one stage; None after the problems were noted. Slots are not written here."""
        try:
            traits: Traits = self.host.guard(
                request.stage.name, "traits", lambda: request.stage.traits(request.settings)
            )
            bound = bind(self, request, traits)
            openers = self._openers(request, traits, bound)
            self._check(request, traits, bound)
            return self._node(request, traits, bound, openers)
        except Broken:
            return None
        except Unmet as unmet:
            self.problems.append(Problem(request.where, unmet.message, unmet.hint))
        except KistackError as error:
            self.problems.append(Problem(request.where, error.message, error.hint))
        return None

    def _openers(
        self, request: Request, traits: Traits, bound: dict[str, tuple[Bound, ...]]
    ) -> dict[str, tuple[Opener, Stage]]:
        openers: dict[str, tuple[Opener, Stage]] = {}
        for name, port in traits.consumes.items():
            if port.opened and name in bound:
                openers[name] = self.opener(bound[name][0].type, port.gives, f"{request.stage.name} at {name!r}")
        return openers

    def opener(self, found: Type, gives: Sequence[str], who: str) -> tuple[Opener, Stage]:
        """What opens this artifact: the stage its plan names, else the only installed one that can.

        Raises:
            Unmet: none is installed, several are, or the named one cannot do what is asked.
        """
        chosen = found.opener or self._chosen(found)
        if chosen is not None:
            stage = self.host.get(chosen.stage).stage
            traits = stage.traits(stage.Settings(**chosen.settings))
            able = {g for o in traits.opens for g in o.gives}
            missing = [g for g in gives if g not in able]
            if missing:
                raise Unmet(f"{stage.name} has no {missing[0]}, which {who} asks of it", "use another runtime")
            _check_environment(stage, traits)
            return chosen, stage
        able_stages = self.host.openers(found.kind, found.format, gives)
        what = f"{found.kind} {found.format}".strip()
        if not able_stages:
            others = self.host.openers(found.kind, found.format)
            lacking = f" (what is installed for it, {others[0].name}, has no {' and '.join(gives)})" if others else ""
            raise Unmet(f"nothing installed opens {what} for {who}{lacking}", "install a plugin that opens it")
        if len(able_stages) > 1:
            names = " or ".join(s.name for s in able_stages)
            raise Unmet(f"{names} could open {what}", f"name one as a step: {{use: {able_stages[0].name}}}")
        stage = able_stages[0]
        _check_environment(stage, self.host.traits(stage.name))
        settings = self.host.guard(
            stage.name, "resolve", lambda: stage.resolve(default_settings(stage), self.profile, {found.kind: found})
        )
        return Opener(stage.name, settings.model_dump(mode="json", exclude_defaults=True)), stage

    def _chosen(self, found: Type) -> Opener | None:
        for opens, opener in reversed(self.chosen):
            if any(o.covers(found.kind, found.format) for o in opens):
                return opener
        return None

    def _check(self, request: Request, traits: Traits, bound: Mapping[str, tuple[Bound, ...]]) -> None:
        stage = request.stage
        _check_environment(stage, traits)
        sites, hint = ((), "install it") if traits.environment is None else (traits.environment.sites, _INCOMPLETE)
        for package in traits.packages:
            if not is_installed(package, sites):
                raise Unmet(f"{stage.name} needs the Python package {package!r}, which is not installed", hint)
        for one, other, facet in traits.agree:
            values = {bound[port][0].type.read(facet) for port in (one, other) if port in bound} - {""}
            if len(values) > 1:
                raise Unmet(
                    f"{stage.name}: {one} and {other} differ in {facet}",
                    f"{FACETS.get(facet, facet)}; choose models that share it",
                )
        for need in traits.needs:
            self._check_need(stage, need, bound)
        main = main_out(traits)
        line = bound[main.like][0].type.line if main is not None and main.like in bound else ()
        for earlier in line:
            self._check_order(stage, traits, earlier)

    def _check_need(self, stage: Stage, need: Need, bound: Mapping[str, tuple[Bound, ...]]) -> None:
        known = [b.type.facts[need.fact] for b in bound.get(need.port, ()) if need.fact in b.type.facts]
        if not need.port and need.fact in self.profile:
            known = [self.profile.number(need.fact)]
        for value in known:
            if value < need.at_least:
                of = f" of {need.port}" if need.port else ""
                raise Unmet(f"{stage.name} needs {need.fact}{of} at least {need.at_least:g}, not {value:g}", need.hint)

    def _check_order(self, stage: Stage, traits: Traits, earlier: str) -> None:
        if any(fnmatch.fnmatchcase(earlier, p) for p in traits.excludes):
            raise Unmet(f"{stage.name} cannot follow {earlier} on the same model", "leave one of them out")
        if any(fnmatch.fnmatchcase(earlier, p) for p in traits.before):
            raise Unmet(f"{stage.name} must come before {earlier}", f"put {stage.name} earlier in the plan")
        if earlier in self.host.stages:
            other = self.host.traits(earlier)
            if any(fnmatch.fnmatchcase(stage.name, p) for p in other.after):
                raise Unmet(f"{earlier} must come after {stage.name}", f"put {stage.name} earlier in the plan")

    def _node(
        self,
        request: Request,
        traits: Traits,
        bound: Mapping[str, tuple[Bound, ...]],
        openers: Mapping[str, tuple[Opener, Stage]],
    ) -> Node:
        stage = request.stage
        identities = {n: tuple(b.type.identity for b in bs) for n, bs in bound.items()}
        mark = (
            stage.name,
            request.settings.model_dump_json(),
            request.content,
            tuple(sorted(identities.items())),
            tuple(sorted((n, o.stage, repr(sorted(o.settings.items()))) for n, (o, _) in openers.items())),
            self.seed,
        )
        node: Node | None = self.memo.find(mark)
        if node is None:
            single = {n: bs[0].type for n, bs in bound.items() if bs}
            settings = self.host.guard(
                stage.name, "resolve", lambda: stage.resolve(request.settings, self.profile, single)
            )
            served = single | {n: self._served(single[n], *o) for n, o in openers.items()}
            told = checked(self.host, stage.name, "estimate", lambda: stage.estimate(settings, self.profile, served))
            traits = self.host.guard(stage.name, "traits", lambda: stage.traits(settings))
            key = key_of(
                stage,
                settings,
                traits,
                inputs=identities,
                openers=openers,
                seed=self.seed,
                profile=self.profile,
                extra=request.content,
            )
            node = Node(
                key=key,
                stage=stage,
                settings=settings,
                plugin=self.host.stages[stage.name].plugin,
                traits=traits,
                inputs={n: tuple(b.source for b in bs) for n, bs in bound.items()},
                types={n: tuple(b.type for b in bs) for n, bs in bound.items()},
                openers={n: o for n, (o, _) in openers.items()},
                outputs=output_types(stage, settings, traits, key, bound, told.facts),
                estimate=self._calibrated(told, request, openers),
                seed=self.seed if traits.seeded else 0,
                auto=request.auto,
                step=request.step,
                purpose=request.purpose,
            )
            self.memo.keep(mark, node, made=(key,), after=[b.source for bs in bound.values() for b in bs])
        kept = self.nodes.get(node.key)
        if kept is None or (kept.auto and not request.auto):
            if (node.step, node.purpose, node.auto) != (request.step, request.purpose, request.auto):
                node = replace(node, step=request.step, purpose=request.purpose, auto=request.auto)
            self.nodes[node.key] = node
        return self.nodes[node.key]

    def _served(self, found: Type, opener: Opener, stage: Stage) -> Type:
        """The type with what opening it costs where the step runs."""

        def serves(load: Load) -> Estimate:
            here = training_as_serving(self.profile)
            settings = stage.Settings(**opener.settings)
            return checked(self.host, stage.name, "serving", lambda: stage.serving(settings, here, found, load))

        return replace(found, serves=serves)

    def _calibrated(self, told: Estimate, request: Request, openers: Mapping[str, tuple[Opener, Stage]]) -> Estimate:
        # The bytes of a source are read off its files, not predicted.
        kinds = SOURCE_KINDS if request.purpose == "source" else STEP_KINDS
        machine = self.profile.text("hardware.fingerprint")
        work = work_of(request.stage.name, (opener.stage for opener, _ in openers.values()))
        return self.calibration.corrected(told, work, machine, kinds)


def training_as_serving(profile: Profile) -> Profile:
    """The profile of answering on the machine that trains."""
    if profile.text("serving.fingerprint") == profile.text("hardware.fingerprint"):
        return profile
    others = {n: f for n, f in profile.facts.items() if not n.startswith("serving.")}
    return Profile(others, profile.schema).updated({f"serving.{n}": f for n, f in profile.section("hardware").items()})


def _check_environment(stage: Stage, traits: Traits) -> None:
    if traits.environment is not None and not traits.environment.is_made:
        raise Unmet(*traits.environment.lack(stage.name))


@cache
def is_installed(package: str, sites: tuple[str, ...] = ()) -> bool:
    """Whether a module can be imported, here or from ``sites``; the packages it lies in are not imported.

    Looked up once a process.
    """
    top, *rest = package.split(".")
    spec = machinery.PathFinder.find_spec(top, list(sites)) if sites else importing.find_spec(top)
    name = top
    for part in rest:
        if spec is None:
            return False
        name = f"{name}.{part}"
        spec = machinery.PathFinder.find_spec(name, list(spec.submodule_search_locations or ()))
    return spec is not None
