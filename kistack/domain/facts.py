"""Facts with their source, and the profile they make up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Origin = Literal["declared", "measured", "assumed"]
Value = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Fact:
    """A value with its unit (empty for plain counts and texts), where it comes from, and why it holds."""

    value: Value
    unit: str
    source: Origin
    why: str


def declared(value: Value, why: str, unit: str = "") -> Fact:
    """A fact the user states."""
    return Fact(value, unit, "declared", why)


def measured(value: Value, why: str, unit: str = "") -> Fact:
    """A fact kistack observed itself."""
    return Fact(value, unit, "measured", why)


def assumed(value: Value, why: str, unit: str = "") -> Fact:
    """A fact taken from a table or a default because nobody declared or measured it."""
    return Fact(value, unit, "assumed", why)


@dataclass(frozen=True)
class Profile:
    """The frozen facts that one scenario meets.

    Names are dotted, the first part is the section: ``hardware.ram_free``, ``serving.ram_free``,
    ``corpus.tokens``, ``freshness.changed_per_day``, ``pairs.train``, ``model.params``, ``teacher.params``,
    ``scenario.task``. Sizes are bytes, times seconds, rates per second unless the fact's unit says otherwise.
    """

    facts: Mapping[str, Fact]
    schema: int = 1
    _digest: str = field(default="", repr=False, compare=False)

    def __getitem__(self, name: str) -> Fact:
        return self.facts[name]

    def __contains__(self, name: object) -> bool:
        return name in self.facts

    def __iter__(self) -> Iterator[str]:
        return iter(self.facts)

    def number(self, name: str, default: float = 0.0) -> float:
        """The fact as a float; ``default`` where it is missing or not a number."""
        fact = self.facts.get(name)
        if fact is None or isinstance(fact.value, str) or fact.value is None:
            return default
        return float(fact.value)

    def text(self, name: str, default: str = "") -> str:
        """The fact as a string; ``default`` where it is missing."""
        fact = self.facts.get(name)
        return default if fact is None or fact.value is None else str(fact.value)

    def section(self, prefix: str) -> dict[str, Fact]:
        """All facts whose name starts with ``prefix.``, without that prefix."""
        return {n[len(prefix) + 1 :]: f for n, f in self.facts.items() if n.startswith(prefix + ".")}

    def tree(self) -> dict[str, Any]:
        """The bare values, nested by the dots of their names (what policy conditions read)."""
        root: dict[str, Any] = {}
        for name, fact in self.facts.items():
            *parents, leaf = name.split(".")
            node = root
            for part in parents:
                node = node.setdefault(part, {})
            node[leaf] = fact.value
        return root

    def updated(self, facts: Mapping[str, Fact]) -> Profile:
        """A profile with ``facts`` put over this one's."""
        return Profile({**self.facts, **facts}, self.schema)

    def to_json(self) -> dict[str, Any]:
        """A JSON document: ``{schema, facts: {name: {value, unit, source, why}}}``."""
        return {
            "schema": self.schema,
            "facts": {
                n: {"value": f.value, "unit": f.unit, "source": f.source, "why": f.why} for n, f in self.facts.items()
            },
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Profile:
        """The profile that ``to_json`` wrote."""
        return cls({n: Fact(**f) for n, f in document["facts"].items()}, int(document["schema"]))

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON form: equal facts have equal digests."""
        if not self._digest:
            text = json.dumps(self.to_json(), sort_keys=True)
            object.__setattr__(self, "_digest", hashlib.sha256(text.encode()).hexdigest())
        return self._digest
