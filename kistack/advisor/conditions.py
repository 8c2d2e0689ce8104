"""Conditions of rules: CEL over the facts of a profile and of one candidate.

Names are the profile's sections (``freshness.changed_per_day``) and ``candidate``. All numbers are doubles: compare
with any literal, calculate with ``2.0``. A fact nobody knows makes the condition not hold; ``has(section.fact)`` asks.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import machinery
from importlib.util import module_from_spec
from typing import Any

from kistack.domain.facts import Profile
from kistack.errors import InputError

#: Sections of the profile that conditions may read; a section without facts is empty, so its facts are missing.
SECTIONS = (
    "hardware",
    "serving",
    "corpus",
    "freshness",
    "pairs",
    "items",
    "model",
    "teacher",
    "embedder",
    "scenario",
    "probe",
)
CANDIDATE = "candidate"
#: What ``candidate`` offers.
CANDIDATE_FIELDS = (
    "techniques",
    "stages",
    "settings",
    "bits",
    "passages",
    "student_ratio",
    "trains_on",
    "trains_on_private",
    "trained_with_passages",
)

_ENGINE = "cel.cel"

_STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_ROOT = re.compile(r"(?<![.\w])([A-Za-z_]\w*)\s*(?:\.\s*([A-Za-z_]\w*)(?!\s*\())?")
_BOUND = re.compile(r"\.(?:all|exists|exists_one|filter|map)\s*\(\s*(\w+)\s*,")
_CALL = re.compile(r"(?<![.\w])[A-Za-z_]\w*\s*\(")
_WORDS = {"true", "false", "null", "in"}

#: Facts that may be told as a list of names or a count: conditions read whether there are any.
_FLAGS = ("erasable", "per_user_access", "local_only")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. ``reads`` are the (section, fact) pairs it mentions; fact is empty for a whole section."""

    text: str
    program: Any
    reads: frozenset[tuple[str, str]]

    @property
    def asks_candidate(self) -> bool:
        """Whether it depends on the candidate, not only on the profile."""
        return any(section == CANDIDATE for section, _ in self.reads)

    def reads_any(self, names: frozenset[str]) -> bool:
        """Whether it reads one of these facts of the profile."""
        return any(
            f"{section}.{leaf}" in names if leaf else any(n.startswith(f"{section}.") for n in names)
            for section, leaf in self.reads
            if section != CANDIDATE
        )


def condition(text: str) -> Condition:
    """Compile one condition; an empty one always holds.

    Raises:
        InputError: it does not parse, or names something that no profile has.
    """
    if not text.strip():
        return Condition("", None, frozenset())
    program = compiled(text)
    reads = _reads(text)
    for section, name in sorted(reads):
        if section not in SECTIONS and section != CANDIDATE:
            close = difflib.get_close_matches(section, [*SECTIONS, CANDIDATE], n=1)
            guess = f"did you mean {close[0]!r}? " if close else ""
            listed = f"conditions read {', '.join(SECTIONS)} and {CANDIDATE}"
            raise InputError(f"condition names {section!r}, which no profile has", guess + listed)
        if section == CANDIDATE and name not in {*CANDIDATE_FIELDS, ""}:
            raise InputError(f"a candidate has no {name!r}", f"it has {', '.join(CANDIDATE_FIELDS)}")
    return Condition(text, program, reads)


@cache
def _engine() -> Any:
    """The compiled part of ``cel``, loaded where the first policy is.

    Its package would import a command line of its own too, and with that 0.1 s of libraries for terminals. The engine
    can be started once in a process only, so it takes the place that the package looks for it in, before or after.
    """
    if (loaded := sys.modules.get(_ENGINE)) is not None:
        return loaded
    package = machinery.PathFinder.find_spec("cel")
    places = list(package.submodule_search_locations or ()) if package is not None else []
    found = machinery.PathFinder.find_spec(_ENGINE, places)
    if found is None or found.loader is None:
        import cel

        return cel
    engine = module_from_spec(found)
    found.loader.exec_module(engine)
    sys.modules[_ENGINE] = engine
    return engine


@cache
def compiled(text: str) -> Any:
    """The program of an expression, its names unchecked.

    Raises:
        InputError: it does not parse.
    """
    try:
        return _engine().compile(text)
    except ValueError as error:
        first = next((line for line in str(error).splitlines() if "ERROR" in line), str(error).splitlines()[0])
        reason = first.rpartition("ERROR: ")[2]
        raise InputError(
            f"condition does not parse: {reason}", "write a CEL expression, such as pairs.train >= 100"
        ) from error


def _reads(text: str) -> frozenset[tuple[str, str]]:
    """The names a condition reads, without strings, functions and variables of macros."""
    bare = _STRINGS.sub('""', text)
    bound = set(_BOUND.findall(bare)) | _WORDS
    calls = {m.group().rstrip("( \t\n") for m in _CALL.finditer(bare)}
    found = set()
    for match in _ROOT.finditer(bare):
        root, leaf = match.group(1), match.group(2) or ""
        if root not in bound and not (root in calls and not leaf):
            found.add((root, leaf))
    return frozenset(found)


def facts_of(profile: Profile) -> dict[str, dict[str, Any]]:
    """The facts that conditions read: numbers as doubles, unknown ones left out, every section there."""
    tree: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, fact in profile.facts.items():
        section, _, leaf = name.partition(".")
        if section in tree and fact.value is not None:
            value = fact.value
            if section == "scenario" and leaf in _FLAGS:
                value = bool(value)
            tree[section][leaf] = (
                float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
            )
    return tree


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition holds, or why nobody can tell."""

    holds: bool
    fault: str = ""


def executed(program: Any, variables: Mapping[str, Any]) -> Verdict:
    """What a compiled condition gives for these variables; a name that is missing among them holds nothing."""
    try:
        result = program.execute(variables)
    except KeyError:
        return Verdict(holds=False)
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        return Verdict(holds=False, fault=str(error).split(". ")[0])
    if not isinstance(result, bool):
        return Verdict(holds=False, fault=f"it gives {result!r}, not true or false")
    return Verdict(result)


class Judge:
    """Evaluates conditions over one profile; what depends only on the profile is evaluated once."""

    def __init__(self, profile: Profile) -> None:
        self._facts = facts_of(profile)
        self._verdicts: dict[tuple[str, str], Verdict] = {}

    @property
    def faults(self) -> dict[str, str]:
        """Conditions that could not be evaluated so far, with what was wrong."""
        return {text: v.fault for (text, _), v in self._verdicts.items() if v.fault}

    def ask(self, when: Condition, candidate: Mapping[str, Any] | None = None) -> Verdict:
        """Whether ``when`` holds for this profile and, where it asks for one, this candidate."""
        if when.program is None:
            return Verdict(holds=True)
        view: dict[str, Any] = {}
        if when.asks_candidate:
            given = dict(candidate or {})
            wanted = {leaf for section, leaf in when.reads if section == CANDIDATE}
            view = given if "" in wanted else {n: v for n, v in given.items() if n in wanted}
        key = (when.text, repr(view))
        if key not in self._verdicts:
            self._verdicts[key] = self._evaluate(when, view)
        return self._verdicts[key]

    def _evaluate(self, when: Condition, view: Mapping[str, Any]) -> Verdict:
        # Converting a whole profile for every candidate is what would cost: pass on only what is read.
        variables: dict[str, Any] = {CANDIDATE: dict(view)} if when.asks_candidate else {}
        for section, leaf in when.reads:
            if section == CANDIDATE:
                continue
            held = self._facts[section]
            part = variables.setdefault(section, {})
            part.update(held if not leaf else {leaf: held[leaf]} if leaf in held else {})
        return executed(when.program, variables)
