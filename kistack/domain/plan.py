"""A plan: pure data, a straight-line program over named slots."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

PLAN_SCHEMA = 1

#: Under ``evaluate``: every evaluator that runs when a plan names none.
DEFAULT_EVALUATORS = "defaults"


class Step(BaseModel):
    """One use of a stage.

    ``with`` are its settings, ``from`` redirects a port to another slot, ``as`` writes the main output to
    another slot. ``select`` names parts of the corpus (``!name`` all but that one): the step reads only documents of
    these parts, and only pairs whose gold documents all lie in them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    use: str
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with")
    from_: Mapping[str, str] = Field(default_factory=dict, alias="from")
    as_: str = Field(default="", alias="as")
    select: tuple[str, ...] = ()

    @field_validator("select", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("select")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not name.removeprefix("!").strip():
                raise ValueError(f"{name!r} names no part of the corpus")
        return value

    @property
    def kind(self) -> str:
        """The kind of stage: the part of ``use`` before the slash."""
        return self.use.partition("/")[0]

    def to_dict(self) -> dict[str, Any]:
        """The shortest mapping that reads back as this step."""
        out: dict[str, Any] = {"use": self.use}
        if self.with_:
            out["with"] = dict(self.with_)
        if self.from_:
            out["from"] = dict(self.from_)
        if self.as_:
            out["as"] = self.as_
        if self.select:
            out["select"] = list(self.select)
        return out


def _evaluator(entry: object) -> object:
    """An entry under ``evaluate`` as a step has it: ``answers`` is short for ``evaluate/answers``."""
    if isinstance(entry, str):
        entry = {"use": entry}
    if isinstance(entry, Mapping) and isinstance(use := entry.get("use"), str) and use != DEFAULT_EVALUATORS:
        return {**entry, "use": use if "/" in use else f"evaluate/{use}"}
    return entry


class Plan(BaseModel):
    """Steps over slots, which start as the scenario's.

    ``base`` replaces the scenario's base model where it is not empty. ``deliver`` names the slots that make up the
    bundle; ``evaluate`` the evaluators to run, by name (``answers`` or ``evaluate/answers``) or with settings as a step
    has them (empty: every one that fits, but for those that ask to be named; the name ``defaults`` stands for these
    beside others).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: int = Field(default=PLAN_SCHEMA, alias="schema")
    seed: int = Field(default=0, ge=0, lt=2**31)
    base: str = ""
    steps: tuple[Step, ...] = ()
    deliver: tuple[str, ...] = ("model",)
    evaluate: tuple[Step, ...] = ()

    @field_validator("evaluate", mode="before")
    @classmethod
    def _with_settings(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        return tuple(_evaluator(entry) for entry in value)

    @field_validator("evaluate")
    @classmethod
    def _evaluators(cls, value: tuple[Step, ...]) -> tuple[Step, ...]:
        for entry in value:
            if entry.as_ or entry.select:
                raise ValueError(f"{entry.use} under evaluate takes no 'as' and no 'select'; leave them out")
        names = [entry.use for entry in value]
        for use in names:
            if names.count(use) > 1:
                raise ValueError(f"{use} stands twice under evaluate; name it once")
        return value

    @field_validator("schema_")
    @classmethod
    def _known_schema(cls, value: int) -> int:
        if not 1 <= value <= PLAN_SCHEMA:
            raise ValueError(f"plan schema {value} is newer than this kistack reads ({PLAN_SCHEMA})")
        return value

    @cached_property
    def techniques(self) -> tuple[str, ...]:
        """The kinds of its steps, in order, each once."""
        return tuple(dict.fromkeys(s.kind for s in self.steps))

    def to_dict(self) -> dict[str, Any]:
        """The shortest mapping that reads back as this plan."""
        out: dict[str, Any] = {"schema": self.schema_, "seed": self.seed}
        if self.base:
            out["base"] = self.base
        out["steps"] = [s.to_dict() for s in self.steps]
        if self.deliver != ("model",):
            out["deliver"] = list(self.deliver)
        if self.evaluate:
            out["evaluate"] = [e.use if not (e.with_ or e.from_) else e.to_dict() for e in self.evaluate]
        return out
