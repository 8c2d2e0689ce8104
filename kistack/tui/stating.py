"""What the user states in the wizard: changes of the scenario, taken in at once and written only when asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kistack.advisor.changes import WhatIf
from kistack.domain.facts import Profile
from kistack.domain.machine import MACHINES
from kistack.domain.scenario import SCENARIO_FILE, Scenario, load_scenario
from kistack.domain.yamledit import Key, edited
from kistack.domain.yamlfile import Positions, plain_yaml, validate
from kistack.errors import InputError
from kistack.profiling.assembly import scenario_facts
from kistack.storage.files import storing, write_atomic
from kistack.units import format_duration

if TYPE_CHECKING:
    from kistack.tui.session import Session

#: Sections whose keys say what is wanted: a change of them changes no fact that is measured.
_KEPT = 8
_GOALS = frozenset({"task", "traffic", "upkeep", "limits", "indifference", "horizon"})


def stated(session: Session, changes: Mapping[str, str] = {}) -> Scenario:
    """The scenario as its file states it, under the changes made so far and these.

    Raises:
        InputError: no project is open.
        InvalidInput: changes of unknown keys, or to values that do not fit.
    """
    if session.saved is None:
        raise InputError("no project is open", "open one first")
    both = {**session.changes, **changes}
    if not both:
        return session.saved
    # A key that is pressed asks for the same several times.
    mark = tuple(both.items())
    saved, known = session.restated.get(mark, (None, None))
    if known is None or saved is not session.saved:
        known = WhatIf({k: _written(k, v) for k, v in both.items()}, session.saved, Profile({})).changed
        if len(session.restated) >= _KEPT:
            session.restated.clear()
        session.restated[mark] = (session.saved, known)
    return known


def _written(key: str, text: str) -> str:
    """A text as it would stand in the file: a model that is not named is an empty text, a limit none at all."""
    return text if text.strip() or not key.startswith("models.") else "''"


def adopt(session: Session, changes: Mapping[str, str]) -> None:
    """Take changes into the session; nothing is written.

    Goals keep the facts and the composed candidates; anything else asks for profiling again.

    Raises:
        InvalidInput: as ``stated``; nothing was taken.
    """
    scenario = stated(session, changes)
    assert session.place is not None
    assert session.saved is not None
    # What stands in the file anyway is no change.
    both = {**session.changes, **changes}
    session.changes = {k: v for k, v in both.items() if v != value_text(session.saved, k)}
    session.scenario = scenario
    session.advice = None
    light = all(key.partition(".")[0] in _GOALS for key in changes)
    if light and session.profile is not None:
        session.profile = session.profile.updated(scenario_facts(scenario))
        session.facts = dict(session.profile.facts)
        session.place = session.place.restated(scenario, session.profile)
        session.bench = session.bench and session.bench.under(session.profile, scenario)
        return
    session.profile = session.bench = None
    session.place = session.place.restated(scenario)


def save(session: Session) -> Path:
    """Write the changes into the scenario's file: only the lines of the changed keys are touched.

    Raises:
        InputError: there is nothing to save, the file was changed meanwhile so that it does not fit, or it cannot be
            edited without touching something else.
        StoreError: the file cannot be written.
    """
    if session.saved is None or session.place is None:
        raise InputError("no project is open", "open one first")
    if not session.changes:
        raise InputError("nothing was changed", "change a goal or a fact first")
    path = session.saved.file or session.folder / SCENARIO_FILE
    text = edited(path.read_text(encoding="utf-8"), edits(session.changes, stated(session)))
    _check(text, path)
    with storing(path, "saving the scenario"):
        write_atomic(path, text)
    session.saved = session.scenario = load_scenario(path)
    session.changes = {}
    session.place = session.place.restated(session.saved, session.profile)
    return path


def _check(text: str, path: Path) -> None:
    """Refuse a text that would not be read as a scenario; the file is as it was.

    Raises:
        InvalidInput: with every mistake.
    """
    context = {"root": path.parent, "must_exist": True}
    validate(Scenario, plain_yaml(text), Positions(path), path, context=context)


def edits(changes: Mapping[str, str], scenario: Scenario) -> dict[Key, Any]:
    """The changes as values of keys in the file; a machine of which facts are stated is written as a whole."""
    found: dict[Key, Any] = {}
    whole = scenario.to_dict()
    for key, text in changes.items():
        place = tuple(key.split("."))
        if place[0] in MACHINES and len(place) > 1:
            found[place[:1]] = whole.get(place[0], "this")
        else:
            found[place] = plain_yaml(text) if text.strip() else None
    return found


def value_text(scenario: Scenario, key: str) -> str:
    """The value of a key as a user writes it; empty where nothing is stated."""
    node: Any = scenario
    for part in key.split("."):
        node = getattr(node, part, None)
        if node is None:
            return ""
    if key == "horizon":
        return format_duration(scenario.horizon)
    if isinstance(node, float) and key == "indifference":
        return f"{node:g}"
    head, _, leaf = key.partition(".")
    dumped = scenario.model_dump(mode="json")[head]
    value = dumped.get(leaf) if leaf and isinstance(dumped, dict) else dumped
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        stated_ = {n: v for n, v in value.items() if v is not None}
        return str(stated_.get("preset") or stated_.get("profile") or "this") if key in MACHINES else str(stated_)
    return "" if value is None else str(value)


def describe(key: str) -> str:
    """What a key of the scenario's file means, as its own description says."""
    model: Any = Scenario
    told = ""
    for part in key.split("."):
        info = model.model_fields.get(part) if model is not None else None
        if info is None:
            return told
        told = info.description or ""
        annotation = info.annotation
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return told
