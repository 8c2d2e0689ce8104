"""What-if: a scenario with some keys changed, and a profile with some facts changed. Nothing is written anywhere.

A change is ``key=value``. Keys are those of the scenario file (``limits.memory=2GiB``, ``knowledge.changes=2%/day``)
and facts of the profile (``pairs.train=50``, ``freshness.changed_per_day=1%/day``); values are read as the scenario
file reads them, those of facts by the fact's unit.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from kistack.domain.facts import Fact, Profile, Value, declared
from kistack.domain.machine import MACHINES, Device
from kistack.domain.scenario import Scenario
from kistack.domain.yamlfile import Place, Positions, validate
from kistack.errors import InputError, InvalidInput, Problem
from kistack.units import parse_duration, parse_money, parse_rate, parse_share, parse_size

WHAT = "changes"
_LINE = ":1"
_WHY = "changed for a what-if"

#: Facts that a profile may lack and a what-if may still state, with their unit.
OPTIONAL = {
    "scenario.at_least": "share",
    "scenario.limit_memory": "B",
    "scenario.limit_disk": "B",
    "scenario.limit_latency": "s",
    "scenario.limit_training": "s",
    "scenario.limit_money": "USD",
    "freshness.changed_per_day": "1/day",
    "pairs.train": "",
    "pairs.answers_in_corpus": "share",
    "probe.closed_book": "share",
    "probe.gold_passage": "share",
    "probe.recall": "share",
    "probe.pairs": "",
    "serving.ram_free": "B",
    "serving.gpu_free": "B",
    "serving.disk_free": "B",
    "serving.bandwidth": "B/s",
    "hardware.ram_free": "B",
    "hardware.gpu_free": "B",
    "hardware.disk_free": "B",
    "hardware.bandwidth": "B/s",
}
#: What follows from a model's parameters where only their number is changed: a model of the same proportions, whose
#: depth and width grow with the cube root (parameters are about layers times the square of the width).
_SHAPE = ("layers", "hidden", "heads", "kv_heads", "ffn")


@dataclass(frozen=True, slots=True)
class Change:
    """One change that was made: the key as it was given, and its value before and after, as text."""

    key: str
    before: str
    after: str


def split_changes(texts: Iterable[str]) -> dict[str, str]:
    """``key=value`` texts as a mapping.

    Raises:
        InvalidInput: one has no equals sign or no value, or a key stands twice.
    """
    found: dict[str, str] = {}
    problems = []
    for text in texts:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not key:
            problems.append(Problem("", f"{text!r} is not key=value", "write a change such as limits.memory=2GiB"))
        elif key in found:
            problems.append(Problem(key, "it is changed twice", "keep one of the two"))
        elif not value:
            hint = "write one, such as limits.memory=2GiB; limits.memory=null lifts a limit"
            problems.append(Problem(key, "no value stands after the equals sign", hint))
        found[key] = value
    if problems:
        raise InvalidInput(WHAT, problems)
    return found


@dataclass(slots=True)
class _Given(Positions):
    """Places of values that were given one by one."""

    def where(self, place: Place) -> str:
        """The key as a user writes it, with a line as ``validate`` sorts by."""
        return f"{'.'.join(str(part) for part in place)}{_LINE}"


@dataclass(slots=True)
class WhatIf:
    """Changes told apart: keys of the scenario and facts of the profile.

    Raises:
        InvalidInput: with every key that nothing has and every value that does not fit, all at once.
    """

    changes: Mapping[str, object]
    scenario: Scenario
    profile: Profile
    facts: dict[str, Fact] = field(init=False)
    changed: Scenario = field(init=False)

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        fields = set(Scenario.model_fields) - {"schema_"}
        own = {k: v for k, v in self.changes.items() if k.partition(".")[0] in fields and not self._is_fact(k)}
        facts: dict[str, Value] = {}
        for key, value in self.changes.items():
            if key in own:
                continue
            try:
                facts[key] = self._fact_value(key, value)
            except InputError as error:
                problems.append(Problem(key, error.message, error.hint))
        self.changed = self.scenario
        if own:
            try:
                self.changed = self._scenario_with(own)
            except InvalidInput as error:
                problems += [Problem("", p.message, p.hint) for p in error.problems]
        if problems:
            raise InvalidInput(WHAT, problems)
        self.facts = consequences(self.profile, facts)

    def _is_fact(self, key: str) -> bool:
        return key in self.profile

    def _fact_value(self, key: str, value: object) -> Value:
        unit = OPTIONAL.get(key, "")
        if key in self.profile:
            fact = self.profile[key]
            return read_value(value, fact.unit or unit, fact.value)
        if key in OPTIONAL:
            return read_value(value, unit, 0.0)
        names = list(dict.fromkeys((*self.profile, *OPTIONAL, *_scenario_keys())))
        close = difflib.get_close_matches(key, names, n=3, cutoff=0.6)
        section = key.partition(".")[0]
        near = close or sorted(n for n in names if n.partition(".")[0] == section)[:8]
        hint = f"did you mean {' or '.join(near)}?" if near else "write a key of kistack.yaml, or a fact of the profile"
        raise InputError("nothing has this key", hint)

    def _scenario_with(self, own: Mapping[str, object]) -> Scenario:
        data = self.scenario.to_dict()
        positions = _Given(Path(WHAT))
        # A key before those under it, in whatever order they were given.
        for key, value in sorted(own.items(), key=lambda item: item[0].count(".")):
            place = tuple(key.split("."))
            node = data
            for part in place[:-1]:
                inner = node.get(part)
                if not isinstance(inner, dict):
                    inner = node[part] = self._opened(part, inner)
                node = inner
            node[place[-1]] = _plain(value)
            positions.lines[place] = 1
        root = self.scenario.folder
        changed = validate(Scenario, data, positions, Path(WHAT), context={"root": root, "must_exist": True},
                           error=InvalidInput)  # fmt: skip
        changed._file = self.scenario.file  # noqa: SLF001 - the changed scenario belongs to the same project
        return changed

    def _opened(self, part: str, value: object) -> dict[str, Any]:
        """A value under which keys are changed: a machine given by its name keeps what the name stands for."""
        if part not in MACHINES or not isinstance(value, str | Path):
            return {}
        try:
            device = Device.model_validate(value, context={"root": self.scenario.folder})
        except ValidationError:  # told with the other mistakes, by its key
            return {"preset": value}
        return device.model_dump(mode="json", exclude_unset=True)

    def told(self, after: Profile) -> tuple[Change, ...]:
        """What was changed, from what to what; ``after`` is the profile under the changes."""
        before_data, after_data = self.scenario.model_dump(mode="json"), self.changed.model_dump(mode="json")
        made = []
        for key in self.changes:
            if key in self.facts or key in self.profile:
                one, two = (p.facts.get(key) for p in (self.profile, after))
                made.append(Change(key, _text(one.value if one else None), _text(two.value if two else None)))
            else:
                place = key.split(".")
                if key in MACHINES:
                    made.append(Change(key, *(_machine(getattr(s, key)) for s in (self.scenario, self.changed))))
                    continue
                made.append(Change(key, _text(_at(before_data, place)), _text(_at(after_data, place))))
        return tuple(made)


def _scenario_keys() -> list[str]:
    """The keys of a scenario file, dotted, to the second level."""
    keys = []
    for name, info in Scenario.model_fields.items():
        inner = getattr(info.annotation, "model_fields", None)
        keys += [f"{name}.{leaf}" for leaf in inner] if inner and name != "schema_" else [name]
    return keys


def _plain(value: object) -> object:
    """A text as YAML would read it; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _at(data: Any, place: Sequence[str]) -> object:
    for part in place:
        if not isinstance(data, Mapping) or part not in data:
            return None
        data = data[part]
    return data


def _text(value: object) -> str:
    if value is None:
        return "not stated"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        stated = {k: v for k, v in value.items() if v is not None}
        return ", ".join(f"{k}: {_text(v)}" for k, v in stated.items()) or "nothing stated"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _machine(device: Device) -> str:
    """What a reader calls a machine."""
    if device.is_this:
        return "this machine"
    stated = device.model_dump(mode="json", exclude_none=True)
    name = device.preset or (str(device.profile) if device.profile else "")
    rest = {k: v for k, v in stated.items() if k not in {"preset", "profile"}}
    return ", ".join(filter(None, (name, _text(rest) if rest else "")))


_PARSERS: dict[str, Callable[[object], float]] = {
    "B": parse_size,
    "s": parse_duration,
    "share": parse_share,
    "USD": parse_money,
    "1/day": parse_rate,
}


def read_value(value: object, unit: str, like: Value) -> Value:
    """A fact's value from what a user wrote: by its unit, else by the kind of value it replaces.

    Raises:
        InputError: it does not fit.
    """
    if isinstance(like, bool):
        read = _plain(value)
        if not isinstance(read, bool):
            raise InputError(f"{value!r} is neither yes nor no", "write yes or no")
        return read
    if isinstance(like, str):
        return str(value)
    text = str(value).strip()
    number = _number(text.removesuffix(unit).strip())
    if number is None and text[-1:].lower() in _MULTIPLES and unit not in _PARSERS:
        number = _number(text[:-1])
        number = None if number is None else number * _MULTIPLES[text[-1:].lower()]
    if number is None:
        number = _with_unit(text, unit)
    if not math.isfinite(number) or number < 0:
        raise InputError(f"{value!r} is not a finite number of zero or more", "write one")
    if unit == "share" and number > 1:
        raise InputError(f"{value!r} lies outside 0 to 100 %", "write a share such as 80% or 0.8")
    return number


def _with_unit(text: str, unit: str) -> float:
    """A number written with a unit."""
    if unit in _PARSERS:
        return float(_PARSERS[unit](text))
    if unit.endswith("/s"):
        return parse_rate(text, "s")
    if unit == "day":
        return parse_duration(text) / _DAY
    raise InputError(f"{text!r} is no number", "write a number such as 50, 0.5 or 7e9")


_DAY = 86_400.0
_MULTIPLES = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


def _number(text: str) -> float | None:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return None


def consequences(profile: Profile, values: Mapping[str, Value]) -> dict[str, Fact]:
    """The facts of a what-if: those that were changed, and those that cannot stay as they were beside them.

    A model of other size has other bytes and another shape; more pairs take more bytes; content that changes faster
    has a shorter half-life.
    """
    facts = {
        name: declared(value, _WHY, profile[name].unit if name in profile else OPTIONAL.get(name, ""))
        for name, value in values.items()
    }
    for name, fact in list(facts.items()):
        for other, value in _following(profile, name, fact.value):
            if other not in facts:
                why = f"follows from {name}, {_WHY}"
                facts[other] = declared(value, why, profile[other].unit if other in profile else "")
    return facts


def under(profile: Profile, values: Mapping[str, Value]) -> Profile:
    """The profile with facts changed, and what follows from them."""
    return profile.updated(consequences(profile, values))


def _following(profile: Profile, name: str, value: Value) -> list[tuple[str, Value]]:
    section, _, leaf = name.partition(".")
    before = profile.number(name)
    if isinstance(value, str) or value is None:
        return []
    new = float(value)
    if leaf == "params" and before > 0 and new > 0:
        scale = (new / before) ** (1 / 3)
        shape = [(f"{section}.{n}", float(max(1, round(profile.number(f"{section}.{n}") * scale)))) for n in _SHAPE]
        found: list[tuple[str, Value]] = [(n, v) for n, v in shape if n in profile]
        if f"{section}.bytes" in profile:
            found.append((f"{section}.bytes", profile.number(f"{section}.bytes") * new / before))
        return found
    if name == "pairs.train" and before > 0 and "pairs.train_bytes" in profile:
        return [("pairs.train_bytes", profile.number("pairs.train_bytes") * new / before)]
    if name == "freshness.changed_per_day" and "freshness.half_life_days" in profile:
        return [("freshness.half_life_days", math.log(2) / new if new > 0 else None)]
    return []
