"""The settings: documented, with units and bounds, and the same after a round trip."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pydantic
import yaml

from kistack.plugins.stages import Settings
from kistack.testing.findings import Fault, Skip, check
from kistack.testing.subject import Subject

_MOST_SUGGESTED = 16
#: Names of settings that measure something, and words that say in what.
_QUANTITIES = {
    "age", "budget", "bytes", "context", "delay", "interval", "latency", "length", "memory", "period", "seconds",
    "size", "time", "timeout", "tokens", "wait",
}  # fmt: skip
_UNITS = re.compile(
    r"\b(seconds?|minutes?|hours?|days?|ms|milliseconds?|bytes?|[KMGT]i?B|tokens?|characters?|letters?|words?|sentences?"
    r"|passages?|documents?|pairs?|items?|questions?|answers?|samples?|steps?|rows?|files?|share|percent)\b|%",
    re.IGNORECASE,
)


@check("settings-documented", "describes every setting")
def settings_documented(subject: Subject) -> None:
    """The description is the help of the command line, the label of the wizard's form and a row of the docs."""
    for name, field in subject.stage.Settings.model_fields.items():
        if not (field.description or "").strip():
            raise Fault(f"setting {name!r} has no description", f"{name}: … = Field(…, description='what it decides')")


@check("settings-units", "says in which unit a setting measures")
def settings_units(subject: Subject) -> None:
    """A number named for a time, a size or a length says in its name or its description what it counts."""
    for name, field in subject.stage.Settings.model_fields.items():
        if _is_number(field.annotation) and set(name.split("_")) & _QUANTITIES:
            told = f"{name.replace('_', ' ')} {field.description or ''}"
            if not _UNITS.search(told):
                raise Fault(
                    f"setting {name!r} does not say its unit", "name it in the description: seconds, tokens, bytes"
                )


@check("settings-bounded", "states the range of every number it takes")
def settings_bounded(subject: Subject) -> None:
    """A number outside of it is refused when the plan is read, not hours later in a worker."""
    for name, field in subject.stage.Settings.model_fields.items():
        bounded = any(hasattr(m, b) for m in field.metadata for b in ("ge", "gt", "le", "lt"))
        if _is_number(field.annotation) and not bounded:
            raise Fault(f"setting {name!r} takes any number", f"{name}: … = Field(…, ge=…, le=…)")


@check("settings-round-trip", "has settings that are the same after JSON, YAML and the schema")
def settings_round_trip(subject: Subject) -> None:
    """Settings travel in plans (YAML), job files and manifests (JSON), and the wizard reads their JSON schema."""
    for number, found in enumerate(_several(subject)):
        try:
            text = json.dumps(found.model_dump(mode="json"), allow_nan=False)
            back = type(found).model_validate(json.loads(text))
            read = type(found).model_validate(yaml.safe_load(yaml.safe_dump(found.model_dump(mode="json"))))
        except (ValueError, TypeError, yaml.YAMLError) as error:
            raise Fault(
                f"settings {number} cannot be written and read: {error}".splitlines()[0], "use plain types"
            ) from error
        if back != found or read != found:
            raise Fault(
                f"settings {found!r} come back as {back!r}", "use types that JSON keeps: no sets, no own classes"
            )
    subject.stage.Settings.model_json_schema()


@check("settings-strict", "refuses unknown settings and keeps those given from being changed")
def settings_strict(subject: Subject) -> None:
    """A misspelt setting must not pass as if it had been taken; a key is computed from settings that stay."""
    found = subject.settings
    try:
        type(found).model_validate({**found.model_dump(), "no_such_setting": 1})
    except pydantic.ValidationError:
        pass
    else:
        raise Fault("an unknown setting is taken", "leave model_config as kistack.plugins.stages.Settings has it")
    if not type(found).model_config.get("frozen"):
        raise Fault("its settings can be changed", "leave model_config as kistack.plugins.stages.Settings has it")
    unknown = sorted(subject.stage.open_settings - set(type(found).model_fields))
    if unknown:
        raise Fault(f"open_settings names {unknown[0]!r}, which is no setting", "name settings of this stage")


@check("suggests", "suggests a few valid settings, the same each time")
def suggests(subject: Subject) -> None:
    """Sixteen combinations times all suggestions are judged: a few that are worth it, each valid as it stands."""
    call = subject.calls["suggest"]
    if "error" in call:
        raise Fault(f"suggest raised {call['error']}", "suggest must answer for any profile")
    found = subject.ask("suggest", subject.profile, subject.types)
    if not isinstance(found, list) or not all(isinstance(s, subject.stage.Settings) for s in found):
        raise Fault("suggest returns something else than a list of its Settings", "return [self.Settings(…), …]")
    if len(found) > _MOST_SUGGESTED:
        raise Fault(f"it suggests {len(found)} settings", f"suggest {_MOST_SUGGESTED} at most: the advice tries each")
    if [s.model_dump() for s in subject.ask("suggest", subject.profile, subject.types)] != [
        s.model_dump() for s in found
    ]:
        raise Fault("it suggests something else each time", "derive suggestions from profile and inputs alone")


@check("resolves", "turns every auto into a value, once and for all")
def resolves(subject: Subject) -> None:
    """Resolved settings are hashed: ``auto`` must be gone, and resolving again must change nothing.

    A runtime may leave ``auto`` where only the machine that opens the model can decide.
    """
    call = subject.calls["resolve"]
    if "error" in call:
        raise Fault(f"resolve raised {call['error']}", "resolve must answer for any profile")
    once = subject.resolved
    if not isinstance(once, Settings):
        raise Fault(f"resolve returns {type(once).__name__}", "return settings.model_copy(update={…})")
    twice = subject.ask("resolve", once, subject.profile, subject.types)
    if twice != once:
        raise Fault("resolving resolved settings changes them", "return settings as they are once no auto is left")
    left = [n for n, v in once.model_dump().items() if v == "auto" and n not in subject.stage.open_settings]
    if left and subject.runs:
        raise Fault(f"setting {left[0]!r} is still auto after resolve", "decide it from profile and inputs")


def _several(subject: Subject) -> list[Any]:
    found = [subject.settings]
    try:
        found += [s for s in subject.ask("suggest", subject.profile, subject.types) if isinstance(s, Settings)]
    except Skip:
        pass
    except Exception as error:
        raise Skip(f"see suggests: {error}") from error
    return found


def _is_number(annotation: Any) -> bool:
    kinds = [annotation, *get_args(annotation)]
    return any(k in {int, float} for k in kinds) and bool not in kinds
