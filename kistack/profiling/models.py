"""The models a scenario names: each described by the source plugin that it belongs to."""

from __future__ import annotations

import datetime as dt
import importlib.util
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Type
from kistack.domain.facts import Fact, declared, measured
from kistack.domain.scenario import Scenario
from kistack.errors import InputError, KistackError, ModelError, PluginError
from kistack.plugins.stages import Stage
from kistack.profiling.cache import Cache, Facts, stamp

Sources = Iterable[tuple[str, Stage]]

#: What a source may tell beyond its type, each by an optional method of the same name taking its settings.
_OPTIONAL = ("licence", "knowledge_cutoff")
_BYTES = {"bytes"}


@dataclass(frozen=True, slots=True)
class Claim:
    """The source stage that fetches a reference, the plugin it came from, and the settings it would use."""

    plugin: str
    stage: Stage
    settings: Any


def claim(reference: str, sources: Sources) -> Claim:
    """The one source that claims this model reference.

    Raises:
        ModelError: none does (what is installed is named), or several do.

    """
    listed = list(sources)
    found: list[Claim] = []
    failed: list[str] = []
    for plugin, stage in listed:
        try:
            settings = stage.claims(reference)
        except KistackError as error:
            raise ModelError(f"model {reference!r}: {error.message}", error.hint) from error
        except Exception as error:  # noqa: BLE001 - a plugin that raises must not lose the other sources
            failed.append(f"{stage.name} of {plugin} raised {type(error).__name__}: {error}")
            continue
        if settings is not None:
            found.append(Claim(plugin, stage, settings))
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(f"{c.stage.name} of {c.plugin}" for c in found)
        raise ModelError(f"model {reference!r} is claimed by {names}", "uninstall one, or write another reference")
    installed = ", ".join(sorted(stage.name for _, stage in listed)) or "none"
    raise ModelError(
        f"no source knows the model {reference!r}" + "".join(f" ({f})" for f in failed),
        f"use package:NAME, hub:ORG/NAME, a folder or a .gguf file (sources installed: {installed})",
    )


def model_facts(scenario: Scenario, sources: Sources, cache: Cache, today: dt.date) -> Facts:
    """The facts ``model.*``, ``teacher.*``, ``embedder.*`` and of every other name in ``models``.

    Raises:
        ModelError: one or more references are unknown or cannot be read; all are named.
        PluginError: a source raised something else.

    """
    listed = list(sources)
    facts: Facts = {}
    errors: list[KistackError] = []
    for name, reference in scenario.models.references.items():
        try:
            found = _described(reference, claim(reference, listed), cache, today)
        except InputError as error:
            errors.append(error)
            continue
        given = "base" if name == "model" else name
        facts[f"{name}.reference"] = declared(reference, f"models.{given} in the scenario")
        facts |= {f"{name}.{key}": fact for key, fact in found.items()}
    if len(errors) == 1:
        raise errors[0]
    if errors:
        hints = "\n".join(dict.fromkeys(e.hint for e in errors if e.hint))
        raise ModelError("\n".join(e.message for e in errors), hints)
    return facts


def _described(reference: str, claimed: Claim, cache: Cache, today: dt.date) -> Facts:
    stage = claimed.stage
    key = [reference, stage.name, stage.version, claimed.plugin, _stamp(reference, stage, today)]
    return cache.facts("model", key, lambda: _inspect(reference, claimed))


def _stamp(reference: str, stage: Stage, today: dt.date) -> str:
    """What changes when the model's files, or the source's own code, change."""
    places: list[Path] = []
    path = Path(reference)
    scheme, _, rest = reference.partition(":")
    if path.exists():
        places.append(path)
    elif scheme == "package" and rest:
        try:
            spec = importlib.util.find_spec(rest.partition("/")[0])
        except (ImportError, ValueError):
            spec = None
        places += [Path(p) for p in (spec.submodule_search_locations or ())] if spec is not None else []
    source = inspect.getsourcefile(type(stage))
    places += [Path(source).parent] if source else []
    # Elsewhere (a hub's cache) nobody says what changed: such models are looked at again every day.
    return stamp(places) + ("" if len(places) > 1 else today.isoformat())


def _inspect(reference: str, claimed: Claim) -> Facts:
    stage, settings = claimed.stage, claimed.settings
    try:
        found = stage.inspect(settings)
        told = {n: getattr(stage, n)(settings) for n in _OPTIONAL if callable(getattr(stage, n, None))}
    except KistackError:
        raise
    except Exception as error:
        message = f"{stage.name} of plugin {claimed.plugin} failed on {reference!r}: {type(error).__name__}: {error}"
        raise PluginError(message, "report it to the plugin's authors, or name the model differently") from error
    return _facts_of(found, told, claimed)


def _facts_of(found: Type, told: dict[str, Any], claimed: Claim) -> Facts:
    why = f"read by {claimed.stage.name}"
    facts: dict[str, Fact] = {
        "source": measured(claimed.stage.name, f"the source that claims it, of plugin {claimed.plugin}"),
        "format": measured(found.format, why),
        "identity": measured(found.identity, why),
    }
    facts |= {n: measured(v, why, "B" if n in _BYTES else "") for n, v in found.facts.items()}
    facts |= {n: measured(v, why) for n, v in found.facets.items()}
    facts |= {n: measured(str(v), why) for n, v in told.items() if v}
    return facts
