"""Policies: YAML files of rules that speak of conditions, never of a particular model or data set.

A file is ``{schema: 1, name, summary, rules: [...]}``; a rule is

    - id: changing-facts                       # unique over all loaded files
      when: freshness.changed_per_day > 0.001  # CEL; no ``when`` always holds
      strength: prefers                        # requires, forbids, prefers, avoids, notes
      techniques: [retrieve, retrieve+tune]    # any of these; a+b means both, kind/name* a stage, nothing the base
      points: 2                                # moved by prefers and avoids (default 0: the quality model counts it)
      because: one sentence
      sources: [where it is published]

``prefers`` and ``avoids`` move a candidate that has any of the techniques, ``forbids`` rejects it, ``requires``
rejects one that has none of them, ``notes`` says something (about the whole scenario where no technique is named).
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kistack.advisor.conditions import Condition, condition
from kistack.domain.advice import Strength
from kistack.domain.yamlfile import Positions, load_yaml, validate
from kistack.errors import InputError, InvalidInput, Problem
from kistack.plugins.stages import TECHNIQUES

_PART = re.compile(r"[a-z][a-z0-9-]*(/[a-z0-9.*?\[\]_-]+)?")


class _RuleText(BaseModel):
    """One rule as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="lower-case words joined by dashes")
    when: str = Field("", description="a CEL condition over the profile and the candidate; empty always holds")
    strength: Strength = Field(description="requires, forbids, prefers, avoids or notes")
    techniques: tuple[str, ...] = Field((), description=f"any of {', '.join(TECHNIQUES)}, a+b, kind/name, nothing")
    points: float = Field(0.0, ge=0, le=100, description="points that prefers adds and avoids takes")
    because: str = Field(min_length=10, description="one sentence that says why")
    sources: tuple[str, ...] = Field((), description="where it is published or measured")

    @field_validator("techniques")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in (p for entry in value for p in entry.split("+")):
            if part == "nothing" or part in TECHNIQUES or ("/" in part and _PART.fullmatch(part)):
                continue
            close = difflib.get_close_matches(part, TECHNIQUES, n=1)
            guess = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"{part!r} is no technique; {guess}use {', '.join(TECHNIQUES)} or kind/name")
        return value

    @model_validator(mode="after")
    def _fits(self) -> _RuleText:
        if self.strength != "notes" and not self.techniques:
            raise ValueError(f"{self.strength} needs techniques; say which it concerns")
        if self.points and self.strength not in {"prefers", "avoids"}:
            raise ValueError(f"{self.strength} moves no points; leave them out")
        return self


class _PolicyText(BaseModel):
    """One policy file as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(1, alias="schema", description="the version of this file's form: 1")
    name: str = Field(min_length=1, description="a name for the policy")
    summary: str = Field("", description="what it is for")
    rules: tuple[_RuleText, ...] = Field(description="the rules")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, its condition compiled. ``where`` is its file and line, ``points`` is signed."""

    id: str
    when: Condition
    strength: Strength
    techniques: tuple[str, ...]
    points: float
    because: str
    sources: tuple[str, ...]
    policy: str
    where: str

    def concerns(self, techniques: Sequence[str], stages: Sequence[str]) -> bool:
        """Whether a candidate with these techniques and stages has any of the rule's techniques."""
        return any(_has(entry, techniques, stages) for entry in self.techniques)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy file."""

    name: str
    summary: str
    path: Path
    rules: tuple[Rule, ...]


def _has(entry: str, techniques: Sequence[str], stages: Sequence[str]) -> bool:
    if entry == "nothing":
        return not stages
    return all(
        part in techniques or any(fnmatch.fnmatchcase(s, part) for s in stages) if "/" in part else part in techniques
        for part in entry.split("+")
    )


def policies_folder() -> Path:
    """The folder of shipped policies: inside an installed wheel, else of the checkout."""
    package = Path(__file__).parents[1]
    inside = package / "_policies"
    return inside if inside.is_dir() else package.parent / "policies"


def shipped_policies() -> tuple[str, ...]:
    """The names of the shipped policies, ``default`` first."""
    names = {p.stem for p in policies_folder().glob("*.yaml")}
    return tuple(sorted(names, key=lambda n: (n != "default", n)))


def policy_paths(names: Iterable[str], extra: Iterable[Path] = ()) -> list[Path]:
    """The files of policies by name or path, and further files, each once.

    Raises:
        InputError: no shipped policy has that name.
    """
    folder = policies_folder()
    found: dict[Path, None] = {}
    for name in names:
        if name.endswith((".yaml", ".yml")) or "/" in name:
            found[Path(name)] = None
            continue
        path = folder / f"{name}.yaml"
        if not path.exists():
            shipped = shipped_policies()
            close = difflib.get_close_matches(name, shipped, n=1)
            guess = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(
                f"no policy is called {name!r}", f"{guess}shipped: {', '.join(shipped)}; or give the path of a file"
            )
        found[path] = None
    found.update(dict.fromkeys(Path(p) for p in extra))
    return list(found)


def load_policies(paths: Iterable[Path]) -> tuple[Rule, ...]:
    """All rules of these files, as ``read_policies``."""
    return tuple(rule for policy in read_policies(paths) for rule in policy.rules)


def read_policies(paths: Iterable[Path]) -> tuple[Policy, ...]:
    """The policies in these files.

    Raises:
        InputError: a file cannot be read.
        InvalidInput: every mistake of every file, each with its line; conditions are compiled, ids must be unique.
    """
    problems: list[Problem] = []
    rules: dict[str, Rule] = {}
    policies: list[Policy] = []
    files = list(paths)
    for path in files:
        before = len(rules)
        try:
            data, positions = load_yaml(path, error=InvalidInput, collect=True)
        except InvalidInput as error:
            problems += error.problems
            continue
        text: _PolicyText | None = None
        try:
            text = validate(_PolicyText, data, positions, path, error=InvalidInput)
        except InvalidInput as error:
            problems += error.problems
        conditions = _conditions(data, positions, problems)
        for number, rule in enumerate(text.rules if text is not None else ()):
            where = positions.where(("rules", number, "id"))
            if rule.id in rules:
                first = rules[rule.id]
                problems.append(Problem(where, f"rule {rule.id!r} stands also at {first.where}", "rename one of them"))
            elif number in conditions and text is not None:
                rules[rule.id] = _rule(rule, conditions[number], text.name, where)
        if text is not None:
            policies.append(Policy(text.name, text.summary, Path(path), tuple(rules.values())[before:]))
    if problems:
        what = ", ".join(str(p) for p in files) if len(files) == 1 else "policies"
        raise InvalidInput(what, problems)
    return tuple(policies)


def _conditions(data: Any, positions: Positions, problems: list[Problem]) -> dict[int, Condition]:
    """The compiled conditions by number of their rule; what does not compile is added to ``problems``."""
    compiled: dict[int, Condition] = {}
    listed = data.get("rules") if isinstance(data, dict) else None
    for number, rule in enumerate(listed if isinstance(listed, list) else ()):
        text = rule.get("when", "") if isinstance(rule, dict) else ""
        if not isinstance(text, str):
            continue
        try:
            compiled[number] = condition(text)
        except InputError as error:
            problems.append(Problem(positions.where(("rules", number, "when")), error.message, error.hint))
    return compiled


def _rule(text: _RuleText, when: Condition, policy: str, where: str) -> Rule:
    sign = -1.0 if text.strength == "avoids" else 1.0
    return Rule(
        id=text.id,
        when=when,
        strength=text.strength,
        techniques=text.techniques,
        points=sign * text.points or 0.0,
        because=text.because,
        sources=text.sources,
        policy=policy,
        where=where,
    )
