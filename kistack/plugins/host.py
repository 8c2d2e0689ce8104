"""The host: finds plugins, loads them one by one, and keeps what they register.

A plugin that fails to import, misspells a hook or raises is reported with its name and left out; everything else
keeps working. The core's own stages come in by the same door.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from kistack.errors import InputError, KistackError, PluginError
from kistack.plugins import builtins, hookspecs, patience
from kistack.plugins.environments import Environment
from kistack.plugins.loading import Loading, harmless, register
from kistack.plugins.registering import REGISTRATIONS, fault_of
from kistack.plugins.stages import TECHNIQUES, Settings, Stage, Traits

if TYPE_CHECKING:
    from kistack.domain.advice import Candidate, Reason
    from kistack.domain.artifacts import Artifact
    from kistack.domain.facts import Profile

ENTRY_POINT_GROUP = "kistack"
DISABLE_VARIABLE = "KISTACK_DISABLE_PLUGINS"


@dataclass(frozen=True, slots=True)
class PluginState:
    """One plugin: its state is ``ok``, ``failed`` or ``disabled``; ``errors`` say what was wrong with it.

    ``seconds`` it took to import, ``notes`` are what its author should mend before the next version of kistack.
    """

    name: str
    distribution: str = ""
    version: str = ""
    state: str = "ok"
    errors: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered stage and the plugin it came from."""

    stage: Stage
    plugin: str


class Host:
    """Loaded plugins and what they registered. Make one with ``load_host``."""

    def __init__(self, manager: pluggy.PluginManager, plugins: Sequence[Loading]) -> None:
        self._manager = manager
        self._loading = {p.name: p for p in plugins}
        self.stages: dict[str, Entry] = {}
        self.clashes: dict[str, tuple[str, ...]] = {}
        self._traits: dict[str, Traits] = {}
        self._given_up: set[tuple[str, str]] = set()
        self._openers: dict[tuple[str, str, frozenset[str]], list[Stage]] = {}
        self._collect()

    @property
    def plugins(self) -> tuple[PluginState, ...]:
        """Every plugin found, in order of name."""
        states = []
        for p in sorted(self._loading.values(), key=lambda p: p.name):
            state = "disabled" if p.disabled else "failed" if p.errors else "ok"
            states.append(
                PluginState(
                    name=p.name,
                    distribution=p.distribution,
                    version=p.version,
                    state=state,
                    errors=tuple(p.errors),
                    stages=tuple(sorted(p.stages)),
                    seconds=p.seconds,
                    notes=tuple(p.notes),
                )
            )
        return tuple(states)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for everything that is wrong with a plugin."""
        lines = [f"plugin {p.name}: {e}" for p in self.plugins for e in p.errors]
        lines += [f"stage {n} is claimed by {' and '.join(who)}: not usable" for n, who in self.clashes.items()]
        return tuple(lines)

    def get(self, name: str) -> Entry:
        """The stage of that name.

        Raises:
            InputError: no plugin registers it (close names and what is installed are said), or several do.

        """
        if name in self.clashes:
            who = " and ".join(self.clashes[name])
            raise InputError(
                f"stage {name!r} is claimed by two plugins: {who}",
                f"uninstall one of them, or set {DISABLE_VARIABLE} to the name of one",
            )
        if name in self.stages:
            return self.stages[name]
        kind = name.partition("/")[0]
        installed = sorted(n for n in self.stages if n.partition("/")[0] == kind)
        close = difflib.get_close_matches(name, installed, n=3) or difflib.get_close_matches(name, self.stages, n=3)
        if close:
            hint = "did you mean " + " or ".join(close) + "?"
        elif installed:
            hint = f"installed of that kind: {', '.join(installed)}"
        else:
            hint = f"installed: {', '.join(sorted(self.stages)) or 'no stages'}"
        for state, why in (("failed", "did not load"), ("disabled", "are switched off")):
            missing = [p.name for p in self.plugins if p.state == state]
            hint += f" (plugins that {why}: {', '.join(missing)})" if missing else ""
        raise InputError(f"no installed plugin has a stage {name!r}", hint)

    def stages_of(self, kind: str) -> list[Stage]:
        """All usable stages of one kind, by name; of a technique, those that a plan has to name come last."""
        names = sorted(n for n in self.stages if n.partition("/")[0] == kind)
        return [self.stages[n].stage for n in sorted(names, key=self.is_named_only)]

    def is_named_only(self, name: str) -> bool:
        """Whether a technique's stage is never meant by the technique alone (``Traits.opt_in``)."""
        if name.partition("/")[0] not in TECHNIQUES or not _can_default(self.stages[name].stage):
            return False
        try:
            return self.traits(name).opt_in
        except KistackError:
            return False

    def sources(self) -> list[tuple[str, Stage]]:
        """The sources of models, each with the plugin it came from, by name."""
        return [(e.plugin, e.stage) for n, e in sorted(self.stages.items()) if n.partition("/")[0] == "source"]

    def traits(self, name: str) -> Traits:
        """A stage's traits under its default settings (cached)."""
        if name not in self._traits:
            stage = self.stages[name].stage
            self._traits[name] = self.guard(name, "traits", lambda: stage.traits(default_settings(stage)))
        return self._traits[name]

    def automatic(self) -> list[Stage]:
        """Stages that the composer may put in by itself, by name."""
        return [stage for name, stage in self._defaulting if self.traits(name).auto]

    def openers(self, kind: str, fmt: str, gives: Iterable[str] = ()) -> list[Stage]:
        """Stages that open this kind and format and whose session can do all of ``gives``, by name."""
        asked = (kind, fmt, frozenset(gives))
        if asked not in self._openers:
            self._openers[asked] = [
                stage
                for name, stage in self._defaulting
                if any(o.covers(kind, fmt) and asked[2] <= set(o.gives) for o in self.traits(name).opens)
            ]
        return list(self._openers[asked])

    def defaulting(self) -> list[Stage]:
        """The stages that need no settings, by name."""
        return [stage for _, stage in self._defaulting]

    @cached_property
    def _defaulting(self) -> list[tuple[str, Stage]]:
        """The stages that need no settings, by name. Composing asks for them for every port."""
        return [(n, e.stage) for n, e in sorted(self.stages.items()) if _can_default(e.stage)]

    def guard(self, name: str, what: str, call: Callable[[], Any]) -> Any:
        """Call into a stage; anything but kistack's own errors arrives as PluginError with the plugin's name.

        What a stage does not come back with when it is asked about itself (``patience.PURE``) is given up, once: it is
        not asked the same again.
        """
        if (name, what) in self._given_up:
            raise self.fault(name, what, patience.unanswered())
        try:
            with harmless(), patience.within(patience.CALL_SECONDS) if what in patience.PURE else nullcontext():
                return call()
        except KistackError:
            raise
        except patience.TooLong:
            self._given_up.add((name, what))
            raise self.fault(name, what, patience.unanswered()) from None
        except Exception as error:
            raise self.fault(name, what, f"raised {type(error).__name__}: {error}") from error

    def fault(self, name: str, what: str, fault: str) -> PluginError:
        """The error that blames a stage, with its plugin's name."""
        plugin = self.stages[name].plugin if name in self.stages else "?"
        return PluginError(
            f"plugin {plugin}: {name}.{what} {fault}",
            f"report it to the plugin's author, or switch it off with {DISABLE_VARIABLE}={plugin}",
        )

    def environments(self) -> list[tuple[str, Environment]]:
        """Environments that plugins declare, each with its plugin."""
        found = []
        for plugin, result in self._each("kistack_register_environments"):
            for own in result if isinstance(result, Sequence) else [result]:
                if isinstance(own, Environment):
                    found.append((plugin, own))
                else:
                    self._loading[plugin].errors.append(f"kistack_register_environments: {own!r} is no Environment")
        return found

    def policies(self) -> list[Path]:
        """Policy files that plugins bring."""
        return [Path(p) for _, result in self._each("kistack_register_policies") for p in result]

    @property
    def has_judges(self) -> bool:
        """Whether any plugin has something to say of candidates."""
        return bool(self._manager.hook.kistack_judge_candidate.get_hookimpls())

    def judge(self, candidate: Candidate, profile: Profile) -> list[Reason]:
        """Plugins' own reasons for or against a candidate."""
        results = self._each("kistack_judge_candidate", candidate=candidate, profile=profile)
        return [reason for _, result in results for reason in result]

    def extras(self) -> dict[str, dict[str, str]]:
        """What extras of plugins would add, by distribution and extra: the ``EXTRAS`` of their ``hooks.py``."""
        told: dict[str, dict[str, str]] = {}
        for name, loading in self._loading.items():
            found = getattr(self._manager.get_plugin(name), "EXTRAS", None)
            if isinstance(found, Mapping) and loading.distribution:
                told[loading.distribution] = {str(k): str(v) for k, v in found.items()}
        return told

    def followers(self) -> set[str]:
        """Plugins that are told when a run starts or ends."""
        hooks = (self._manager.hook.kistack_run_started, self._manager.hook.kistack_run_finished)
        return {impl.plugin_name for hook in hooks for impl in hook.get_hookimpls()}

    def make_specimen(self, kind: str, form: str, folder: Path) -> Artifact | None:
        """A tiny artifact for tests from the first plugin that offers one; None where none does."""
        found = self._each("kistack_make_specimen", kind=kind, format=form, folder=folder)
        return found[0][1] if found else None

    def call(self, hook: str, **arguments: Any) -> list[str]:
        """Call a lifecycle hook of every plugin; returns one line for each that raised."""
        before = {n: len(p.errors) for n, p in self._loading.items()}
        self._each(hook, **arguments)
        return [f"plugin {n}: {e}" for n, p in self._loading.items() for e in p.errors[before[n] :]]

    def _each(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        # pluggy's own call stops at the first plugin that raises and loses the others' results.
        results: list[tuple[str, Any]] = []
        for impl in getattr(self._manager.hook, hook).get_hookimpls():
            plugin = self._loading[impl.plugin_name]
            try:
                with harmless():
                    result = impl.function(**{a: arguments[a] for a in impl.argnames})
            except KistackError as error:
                # Raised on purpose, so it reads as what is wrong and what to do, not as a fault of the plugin's code.
                plugin.errors.append(f"{error.message} ({error.hint})" if error.hint else error.message)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and must not harm the others
                plugin.errors.append(f"{hook} raised {type(error).__name__}: {error}")
            else:
                if result is not None:
                    results.append((impl.plugin_name, result))
        return results

    def _collect(self) -> None:
        claims: dict[str, list[tuple[str, type[Stage]]]] = {}
        for hook, kind in REGISTRATIONS.items():
            for plugin, classes in self._each(hook):
                try:
                    listed = list(classes)
                except TypeError:
                    self._loading[plugin].errors.append(f"{hook} must return a list of classes, not {classes!r}")
                    continue
                for cls in listed:
                    fault = fault_of(cls, kind)
                    if fault:
                        self._loading[plugin].errors.append(f"{hook}: {fault}")
                    else:
                        claims.setdefault(cls.name, []).append((plugin, cls))
        for name, claimants in sorted(claims.items()):
            plugins = sorted({plugin for plugin, _ in claimants})
            if len(claimants) > 1:
                self.clashes[name] = tuple(plugins) if len(plugins) > 1 else (plugins[0], f"{plugins[0]} again")
                continue
            plugin, cls = claimants[0]
            try:
                self.stages[name] = Entry(cls(), plugin)
            except Exception as error:  # noqa: BLE001 - see _each
                self._loading[plugin].errors.append(f"{name} cannot be created: {type(error).__name__}: {error}")
                continue
            self._loading[plugin].stages.append(name)


def default_settings(stage: Stage) -> Settings:
    """The stage's settings where the user gives none."""
    return stage.Settings()


def _can_default(stage: Stage) -> bool:
    return _needs_nothing(stage.Settings)


@cache
def _needs_nothing(settings: type[Settings]) -> bool:
    return not any(f.is_required() for f in settings.model_fields.values())


def load_host(
    *,
    strict: bool = False,
    disabled: Iterable[str] | None = None,
    extra: Mapping[str, Any] | None = None,
    entry_points: bool = True,
) -> Host:
    """Load the core's own stages, then every installed plugin.

    Args:
        strict: raise for the first plugin at fault instead of leaving it out.
        disabled: plugins to leave out (default: the names in ``KISTACK_DISABLE_PLUGINS``, ``all`` for every one).
        extra: further plugins by name: any object or module with hook implementations.
        entry_points: whether to look for installed plugins at all.

    Raises:
        PluginError: a plugin is at fault and ``strict`` is set.

    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    if disabled is None:
        disabled = [n.strip() for n in os.environ.get(DISABLE_VARIABLE, "").split(",") if n.strip()]
    off = set(disabled)
    found: list[Loading] = []

    core = Loading("kistack", "kistack", _own_version())
    found.append(core)
    register(manager, core, lambda: builtins)
    if entry_points:
        for point in sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
            dist = point.dist
            loading = Loading(point.name, dist.name if dist else "", dist.version if dist else "")
            found.append(loading)
            if loading.name in off or "all" in off:
                loading.disabled = True
            else:
                register(manager, loading, point.load)
    for name, plugin in (extra or {}).items():
        loading = Loading(name, disabled=name in off)
        found.append(loading)
        if not loading.disabled:
            register(manager, loading, lambda plugin=plugin: plugin)  # type: ignore[misc]
    host = Host(manager, found)
    if strict and host.problems:
        raise PluginError(host.problems[0], "mend or uninstall the plugin, or run without --strict")
    return host


@cache
def default_host() -> Host:
    """The host of all installed plugins, loaded once in a process."""
    return load_host()


def _own_version() -> str:
    try:
        return metadata.version("kistack")
    except metadata.PackageNotFoundError:
        return "0"
