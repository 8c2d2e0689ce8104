"""The stage under test: its plugin, its specimens, and its runs, each made once when a check first asks for it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact, Opener, Type
from kistack.domain.facts import Profile, measured
from kistack.domain.records import Estimate
from kistack.errors import PluginError
from kistack.execution.job import reference_of
from kistack.plugins import builtins, patience
from kistack.plugins.environments import Environment
from kistack.plugins.host import Host, load_host
from kistack.plugins.stages import Stage, Traits
from kistack.storage.hashing import digest_of, survey
from kistack.testing.findings import Fault, Skip
from kistack.testing.lightness import exercise, served, type_to_json
from kistack.testing.owners import Plugin
from kistack.testing.probing import probe_lightness
from kistack.testing.rehearsal import RESULT_FILE, Audition
from kistack.testing.specimens import ROW_FILES, NoSpecimen, Specimens, artifact_of, emptied
from kistack.testing.trial import Asked, Tried, attempt

#: A run on specimens that takes longer hangs, whatever it says of itself.
LONGEST_SECONDS = 300.0


class Subject:
    """A stage and all that checks ask about it. ``root`` is a folder of the test's own."""

    def __init__(
        self,
        stage: Stage,
        plugin: Plugin | None,
        root: Path,
        *,
        settings: Any = None,
        inputs: Mapping[str, Artifact] | None = None,
        readme: Path | None = None,
    ) -> None:
        self.stage = stage
        self.plugin = plugin
        self.root = root
        self._settings = settings
        self._inputs = dict(inputs or {})
        self._readme = readme

    # --- who it is

    @property
    def name(self) -> str:
        """The stage's name, or its class's where it has none."""
        return str(getattr(self.stage, "name", type(self.stage).__name__))

    @property
    def kind(self) -> str:
        """The prefix of its name."""
        return self.name.partition("/")[0]

    @cached_property
    def host(self) -> Host:
        """All installed plugins, and the one under test."""
        if self.plugin is None or self.plugin.distribution:
            return load_host()
        return load_host(extra={self.plugin.name: self.plugin.object})

    @cached_property
    def alone(self) -> Host:
        """The core and the plugin under test, nothing else."""
        if self.plugin is None:
            raise Skip("no plugin registers it")
        extra = {} if self.plugin.object is builtins else {self.plugin.name: self.plugin.object}
        return load_host(entry_points=False, extra=extra)

    @cached_property
    def settings(self) -> Any:
        """The settings that the test names, else the defaults, else those with which it claims a specimen."""
        if self._settings is not None:
            given = self._settings
            return given if not isinstance(given, Mapping) else self.stage.Settings.model_validate(dict(given))
        needed = [n for n, f in self.stage.Settings.model_fields.items() if f.is_required()]
        if not needed:
            return self.stage.Settings()
        if self.kind == "source" and "reference" in needed:
            for place in self._references():
                if (claimed := self.stage.claims(place)) is not None:
                    return claimed
        raise Skip(f"it needs settings ({', '.join(needed)}): check_stage(…, settings={{…}})")

    def _references(self) -> list[str]:
        """References to models that are here: folders and files of specimens."""
        found = []
        for kind, form in (("model", "hf"), ("model", "gguf")):
            try:
                folder = self.specimens.of(kind, [form]).path
            except NoSpecimen:
                continue
            found += [str(folder), *(str(p) for p in sorted(folder.glob("*.gguf")))]
        return found

    @cached_property
    def traits(self) -> Traits:
        """Its traits under these settings."""
        settings = self.settings
        try:
            return self.stage.traits(settings)
        except Exception as error:
            raise Skip(f"its traits cannot be asked for: {error}") from error

    @property
    def environment(self) -> Environment | None:
        """Its own environment; None where it has none, or where its traits cannot be asked for."""
        try:
            found: Environment | None = getattr(self.traits, "environment", None)
        except Skip:
            return None
        return found

    def need_environment(self) -> None:
        """Skip what cannot be tried without its environment, where that is not made."""
        if self.environment is not None and not self.environment.is_made:
            raise Skip(f"see environment: {self.environment.name} is not made")

    @property
    def label(self) -> str:
        """Plugin and stage, as errors name them."""
        return f"{self.name} (plugin {self.plugin.name if self.plugin else '?'})"

    @cached_property
    def readme(self) -> Path | None:
        """The README of its distribution: the one given, else beside the ``pyproject.toml`` above its module."""
        if self._readme is not None:
            return self._readme
        module = sys.modules.get(type(self.stage).__module__)
        start = Path(getattr(module, "__file__", None) or "/")
        for folder in list(start.parents)[:5]:
            if (folder / "pyproject.toml").exists():
                return folder / "README.md"
        return None

    # --- what it is given

    @cached_property
    def specimens(self) -> Specimens:
        """The tiny artifacts."""
        return Specimens(self.root / "specimens", self.host)

    @cached_property
    def given(self) -> dict[str, tuple[Artifact, ...]]:
        """An artifact for each of its ports."""
        found: dict[str, tuple[Artifact, ...]] = {}
        for port, asked in self.traits.consumes.items():
            if port in self._inputs:
                found[port] = (self._inputs[port],)
                continue
            try:
                found[port] = (self.specimens.for_port(asked),)
            except NoSpecimen as missing:
                if not asked.optional:
                    raise Fault(
                        f"port {port!r} cannot be filled: nothing installed makes {missing}",
                        f"install a plugin that does, offer one (kistack_make_specimen), or check_stage(…, inputs="
                        f"{{{port!r}: artifact}})",
                    ) from missing
        return found

    @cached_property
    def types(self) -> dict[str, Type]:
        """What is known of its inputs when composing."""
        return {port: self._type(port, artifacts[0]) for port, artifacts in self._filled().items()}

    def _filled(self) -> dict[str, tuple[Artifact, ...]]:
        try:
            return self.given
        except Fault as fault:
            raise Skip(f"see inputs: {fault.message}") from fault

    def _type(self, port: str, artifact: Artifact) -> Type:
        return Type(
            kind=artifact.kind,
            format=artifact.format,
            facets=dict(artifact.facets),
            facts=dict(artifact.facts),
            identity=artifact.key,
            needs=tuple(a.key for a in artifact.requires),
            opener=artifact.opener,
            serves=served if self.traits.consumes[port].opened else None,
        )

    @cached_property
    def profile(self) -> Profile:
        """The facts of an ordinary laptop with a tiny model; nothing of it depends on this machine."""
        numbers = {
            "cores": 2.0,
            "ram_free": 16e9,
            "disk_free": 100e9,
            "bandwidth": 30e9,
            "flops_fp32": 2e11,
            "gpus": 0.0,
        }
        facts = {f"{machine}.{n}": v for machine in ("hardware", "serving") for n, v in numbers.items()}
        facts |= {"model.params": 53728.0, "model.bytes": 224341.0, "pairs.train": 40.0, "pairs.test": 8.0}
        facts |= {
            "pairs.prompt_tokens": 45.0,
            "pairs.answer_tokens": 4.0,
            "corpus.documents": 40.0,
            "corpus.tokens": 360.0,
        }
        texts = {"hardware.isa": "avx2", "serving.isa": "avx2", "scenario.task": "facts"}
        known: dict[str, float | str] = {**facts, **texts}
        return Profile({n: measured(v, "made for a test") for n, v in known.items()})

    def ask(self, what: str, *given: Any) -> Any:
        """The answer of a pure method, which may hang.

        Raises:
            Fault: it did not answer.

        """
        try:
            with patience.within(patience.CALL_SECONDS):
                return getattr(self.stage, what)(*given)
        except patience.TooLong:
            raise Fault(f"{what} {patience.unanswered()}", "compute it from what is given: wait for nothing") from None

    @cached_property
    def resolved(self) -> Any:
        """The settings as a step of a plan has them."""
        settings, types = self.settings, self.types
        try:
            return self.ask("resolve", settings, self.profile, types)
        except Exception as error:
            raise Skip(f"its settings cannot be resolved: {error}") from error

    @cached_property
    def estimate(self) -> Estimate:
        """What it says of itself."""
        try:
            found = self.ask("estimate", self.resolved, self.profile, self.types)
        except Exception as error:
            raise Skip(f"it cannot be asked for its estimate: {error}") from error
        if not isinstance(found, Estimate):
            raise Skip(f"its estimate is {type(found).__name__}")
        return found

    # --- in the user's process

    @cached_property
    def calls(self) -> dict[str, Any]:
        """Its pure methods, called in this process."""
        return exercise(self.stage, self.settings, self.profile, self.types)

    @cached_property
    def light(self) -> dict[str, Any]:
        """Its import and its pure methods in a fresh process: see ``lightness``. ``stdout`` is what it printed."""
        module = self.plugin.module if self.plugin else type(self.stage).__module__
        return probe_lightness(self.root, [module], self._request())

    def _request(self) -> dict[str, Any]:
        try:
            settings, types = self.settings.model_dump(mode="json"), self.types
        except Skip:
            return {"stage": ""}
        documents = {port: type_to_json(found) for port, found in types.items()}
        reference = reference_of(self.stage)
        return {"stage": reference, "settings": settings, "types": documents, "profile": self.profile.to_json()}

    # --- its runs

    def attempt(self, *asked: Asked, die: float | None = None) -> list[Tried]:
        """Runs in one process of their own."""
        name = self.plugin.name if self.plugin else "?"
        self.need_environment()
        return attempt(self.root / "runs", asked, name, seconds=LONGEST_SECONDS, die=die)

    def asked(self, label: str, **changes: Any) -> Asked:
        """A run on the specimens."""
        return dataclasses.replace(Asked(label, self.stage, self.resolved, self._filled()), **changes)

    @cached_property
    def reference(self) -> str:
        """How a worker finds its class."""
        return reference_of(self.stage)

    @cached_property
    def first(self) -> Tried:
        """The first run, alone in its process."""
        if not self.runs:
            raise Skip("it has nothing to run")
        self.before  # noqa: B018 - before anything runs
        try:
            return self.attempt(self.asked("first"))[0]
        except PluginError as error:
            raise Skip(error.message) from error

    @cached_property
    def before(self) -> dict[str, list[str]]:
        """Digests of its inputs before the first run."""
        return self.digests()

    def digests(self) -> dict[str, list[str]]:
        """Digests of its inputs' files as they are now."""
        return {port: [digest_of(survey(a.path)) for a in artifacts] for port, artifacts in self._filled().items()}

    @property
    def runs(self) -> bool:
        """Whether it writes anything; a runtime only opens."""
        return bool(self.traits.produces)

    @cached_property
    def done(self) -> Tried:
        """The first run where it went well."""
        if self.first.error:
            raise Skip("see runs: it failed")
        return self.first

    @cached_property
    def made(self) -> dict[str, Artifact]:
        """What the first run left."""
        outcome = self.done.outcome
        assert outcome is not None
        return {
            name: artifact_of(
                self.stage, self.resolved, self.traits, name, self.done.outs[name], self.given, outcome.facts[name]
            )
            for name in self.traits.produces
        }

    @cached_property
    def later(self) -> dict[str, Tried]:
        """Further runs, one after the other in one process: ``again``, and ``other`` with another seed."""
        if self.done.outcome is None:
            raise Skip("it did not run")
        asked = [self.asked("again"), self.asked("other", seed=7)]
        return dict(zip(("again", "other"), self.attempt(*asked), strict=True))

    @cached_property
    def spoiled(self) -> dict[str, Tried]:
        """Runs on inputs that are not there: ``empty-PORT`` without a row, ``gone-PORT`` without a file."""
        if not self.runs or not self.given:
            raise Skip("it reads nothing")
        self.done  # noqa: B018 - else an error says nothing about the input
        asked = {}
        for port, artifacts in self.given.items():
            asked_of = self.traits.consumes[port]
            kept_away = any(n.port == port and n.fact == "count" and n.at_least >= 1 for n in self.traits.needs)
            if artifacts[0].kind in ROW_FILES and not kept_away:
                asked[f"empty-{port}"] = emptied(artifacts[0], self.root / "empty" / port)
            if not asked_of.opened and not asked_of.optional and not any(n.startswith("gone-") for n in asked):
                folder = self.root / "gone" / port
                folder.mkdir(parents=True)
                asked[f"gone-{port}"] = dataclasses.replace(artifacts[0], path=folder, requires=())
        if not asked:
            raise Skip("it reads no files by itself")
        runs = [self.asked(n, given={**self.given, n.partition("-")[2]: (a,)}) for n, a in asked.items()]
        return dict(zip(asked, self.attempt(*runs), strict=True))

    @cached_property
    def opened(self) -> dict[str, dict[str, Any]]:
        """What came of opening, per format: what ``Audition`` tried, and what was noted meanwhile."""
        self.need_environment()
        found = {}
        for opens in self.traits.opens:
            for form in opens.format.split("|"):
                found[form] = self._audition(self._to_open(opens.kind, form))
        return found

    def _to_open(self, kind: str, form: str) -> Artifact:
        own = [a for a in self.made.values() if (a.kind, a.format) == (kind, form)] if self.runs else []
        given = [a for a in self._inputs.values() if (a.kind, a.format) == (kind, form)]
        try:
            return (own or given or [self.specimens.of(kind, [form])])[0]
        except NoSpecimen as missing:
            raise Fault(
                f"it cannot be tried: nothing installed makes {missing}",
                "offer one (kistack_make_specimen), or check_stage(…, inputs={'model': artifact})",
            ) from missing

    def _audition(self, artifact: Artifact) -> dict[str, Any]:
        opener = Opener(self.reference, self.settings.model_dump(mode="json"))
        stage = Audition()
        label = f"open-{artifact.format}"
        asked = Asked(label, stage, stage.Settings(), {"opened": (artifact,)}, {"opened": opener})
        [tried] = self.attempt(asked)
        file = tried.outs["tried"] / RESULT_FILE
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        noted = {"error": tried.error, "stdout": tried.stdout, "network": tried.network, "left": tried.left}
        return {**found, **noted, "artifact": artifact}
