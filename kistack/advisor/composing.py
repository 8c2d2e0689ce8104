"""Composed candidates that are kept: under changed facts only what had read one of them is made again.

Suggesting, composing and estimating are pure functions of the facts they read. A profile that takes note of every
read therefore tells exactly which changes matter to which plan, whatever stages are installed; no list of sections
has to say so. Limits, traffic and rates of change are read by hardly any stage, so a change of them costs nothing here;
the size of a model or the speed of a machine is read by nearly all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kistack.advisor.candidates import MOST_PLACED, MOST_PLANS, Composed, composed, options, placed_plans, plans
from kistack.advisor.placement import placements
from kistack.composition.memo import Memo
from kistack.composition.pipeline import Given, Source
from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.domain.facts import Fact, Profile
from kistack.domain.plan import Plan
from kistack.errors import Problem
from kistack.plugins.host import Host
from kistack.plugins.selecting import part_names

#: One read: the name of a fact with what was found, or the name of a section with all of it.
Read = tuple[str, Any]
#: The section that stands for all facts.
_ALL = ""
_SECTION = "section "
#: Answers kept of one question: the first is that of the scenario as it is, the others are of changes.
_KEPT = 6


@dataclass(frozen=True, slots=True)
class Reads:
    """What some work read of a profile: each fact (None: not there), and each section that was read as a whole."""

    facts: Mapping[str, Fact | None]
    sections: Mapping[str, Mapping[str, Fact]]

    @classmethod
    def of(cls, log: Iterable[Read]) -> Reads:
        """The reads of a log."""
        last = dict(log)
        sections = {n: last.pop(n) for n in [n for n in last if n.startswith(_SECTION)]}
        return cls(last, sections)

    def log(self) -> Iterator[Read]:
        """The reads as a log."""
        yield from self.facts.items()
        yield from self.sections.items()

    def without(self, changed: frozenset[str]) -> bool:
        """Whether nothing that was read is among these names of facts, which are all that changed."""
        if not changed:
            return True
        if not self.facts.keys().isdisjoint(changed):
            return False
        prefixes = [name.removeprefix(_SECTION) for name in self.sections]
        return not any(not p or any(name.startswith(f"{p}.") for name in changed) for p in prefixes)

    def hold(self, present: Present) -> bool:
        """Whether the same work would read the same under these facts."""
        get = present.facts.get
        for name, found in self.facts.items():
            other = get(name)
            if other is not found and other != found:
                return False
        return all(present.section(name) == found for name, found in self.sections.items())


class Present:
    """The facts of a profile against which many reads are held; a section is cut out once."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.facts = profile.facts
        self._sections: dict[str, dict[str, Fact]] = {}

    def section(self, name: str) -> dict[str, Fact]:
        """A section by its name in a log."""
        if name not in self._sections:
            self._sections[name] = _section(self.facts, name.removeprefix(_SECTION))
        return self._sections[name]


def _section(facts: Mapping[str, Fact], prefix: str) -> dict[str, Fact]:
    start = f"{prefix}." if prefix else ""
    return {n[len(start) :]: f for n, f in facts.items() if n.startswith(start)}


def changed_names(before: Mapping[str, Fact], after: Mapping[str, Fact]) -> frozenset[str]:
    """The names of facts that are not the same, or are there only once."""
    if before is after:
        return frozenset()
    differing = {n for n, fact in after.items() if (old := before.get(n)) is not fact and old != fact}
    return frozenset(differing | (before.keys() - after.keys()))


class Watch:
    """A profile that keeps a log of what is read of it."""

    def __init__(self, profile: Profile) -> None:
        self.plain = Present(profile)
        self.log: list[Read] = []
        self.profile: Profile = _Watched(_Noting(profile.facts, self.log), profile.schema)

    @property
    def reads(self) -> Reads:
        """All that was read so far."""
        return Reads.of(self.log)


class _Noting(Mapping[str, Fact]):
    """Facts that note who is asked for."""

    __slots__ = ("held", "log")

    def __init__(self, held: Mapping[str, Fact], log: list[Read]) -> None:
        self.held = held
        self.log = log

    def __getitem__(self, name: str) -> Fact:
        found = self.held.get(name)
        self.log.append((name, found))
        if found is None:
            raise KeyError(name)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        found = self.held.get(name)
        self.log.append((name, found))
        return default if found is None else found

    def __contains__(self, name: object) -> bool:
        return self.get(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        # Who goes through all facts depends on all of them, and on there being no others.
        self.log.append((_SECTION + _ALL, dict(self.held)))
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


class _Watched(Profile):
    """A profile of noted facts; a section can be read without reading the others."""

    def section(self, prefix: str) -> dict[str, Fact]:
        noting = self.facts
        assert isinstance(noting, _Noting)
        found = _section(noting.held, prefix)
        noting.log.append((_SECTION + prefix, found))
        return dict(found)


def _keep(kept: list[tuple[Reads, Any]], reads: Reads, value: Any) -> None:
    kept.append((reads, value))
    if len(kept) > _KEPT:
        del kept[1]


class _Memo(Memo):
    """What plans share while they are composed, each with what making it read.

    A value also depends on what the nodes it was made from depend on: their types are made of facts that their keys do
    not show.
    """

    def __init__(self) -> None:
        super().__init__()
        #: Under each mark, of every time it was made: what that read, the value, and what was read behind its nodes.
        self._kept: dict[Any, list[tuple[Reads, tuple[Any, dict[str, Reads]]]]] = {}
        self.start(Watch(Profile({})))

    def start(self, watch: Watch) -> None:
        """Begin to compose a plan."""
        self._watch = watch
        self._begun: dict[Any, int] = {}
        self._behind: dict[str, Reads] = {}
        self._given: list[Read] | None = None

    def find(self, mark: Any) -> Any | None:
        log = self._watch.log
        if self._given is None:  # what was read before the first node describes the scenario's own inputs
            self._given = list(log)
        for reads, (value, behind) in self._kept.get(mark, ()):
            if reads.hold(self._watch.plain):
                log.extend(reads.log())
                self._behind.update(behind)
                return value
        self._begun[mark] = len(log)
        return None

    def keep(self, mark: Any, value: Any, nodes: Iterable[str] = (), after: Iterable[Source] = ()) -> None:
        log = list(self._watch.log[self._begun.pop(mark) :])
        for source in after:
            log.extend(self._given_behind(source) if isinstance(source, Given) else self._behind[source.node].log())
        reads = Reads.of(log)
        behind = {key: self._behind.setdefault(key, reads) for key in nodes}
        _keep(self._kept.setdefault(mark, []), reads, (value, behind))

    def _given_behind(self, source: Given) -> list[Read]:
        """What the type of a scenario's input was made of: documents say nothing of pairs."""
        corpus = source.slot == "corpus"
        return [r for r in self._given or () if not corpus or r[0].startswith("corpus.")]


def plan_key(plan: Plan) -> str:
    """A text that is equal for equal plans."""
    return json.dumps(plan.to_dict(), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Option:
    """One plan among the candidates: its number among them all, and its key."""

    number: int
    key: str
    plan: Plan
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """Its techniques joined by plus, as candidates are called."""
        return "+".join(self.plan.techniques) or "nothing"


class Compositions:
    """The candidates of a scenario under any facts, composed when they are first asked for."""

    def __init__(self, host: Host, *, seed: int = 0, calibration: Calibration = UNCALIBRATED) -> None:
        self._host = host
        self._calibration = calibration
        self._seed = seed
        self._memo = _Memo()
        self._options: list[tuple[Reads, tuple[tuple[Option, ...], tuple[str, ...]]]] = []
        self._composed: dict[str, list[tuple[Reads, Composed]]] = {}
        self._arranged: dict[str, tuple[Option, ...]] = {}
        #: Plans composed so far, those composed again among them.
        self.count = 0

    def options(self, profile: Profile, present: Present | None = None) -> tuple[tuple[Option, ...], tuple[str, ...]]:
        """The plans that stages suggest under these facts, and notes about what could not be judged."""
        present = present or Present(profile)
        for reads, kept in self._options:
            if reads.hold(present):
                return kept
        watch, noted = Watch(profile), list[str]()
        ways = placements(watch.profile)
        steps = options(watch.profile, self._host, noted, room=MOST_PLANS - (MOST_PLACED if ways else 0))
        # Most changes of facts change no suggestion, and then the plans are the same.
        mark = repr((steps, ways))
        if mark not in self._arranged:
            made_of = list(plans(steps, self._host, self._seed))
            if ways:
                whole = [plan for plan, problems in made_of if not problems]
                known = part_names(watch.profile)
                made_of += [(plan, ()) for plan in placed_plans(whole, ways, known, steps, self._host)]
            self._arranged[mark] = tuple(
                Option(n, plan_key(plan), plan, problems) for n, (plan, problems) in enumerate(made_of)
            )
        made = self._arranged[mark]
        _keep(self._options, watch.reads, (made, tuple(noted)))
        return made, tuple(noted)

    def at(self, profile: Profile, wanted: Callable[[Option], bool] | None = None) -> list[tuple[Option, Composed]]:
        """The candidates under these facts, or those ``wanted``; what read none of what changed is not made again."""
        present = Present(profile)
        found, _ = self.options(profile, present)
        return [(o, self.one(o, profile, present)) for o in found if wanted is None or wanted(o)]

    def one(self, option: Option, profile: Profile, present: Present | None = None) -> Composed:
        """One candidate under these facts."""
        if option.problems:
            return Composed(option.plan, None, option.problems)
        present = present or Present(profile)
        kept = self._composed.setdefault(option.key, [])
        for reads, made in kept:
            if reads.hold(present):
                return made
        watch = Watch(profile)
        self._memo.start(watch)
        made = composed(option.plan, watch.profile, self._host, self._memo, self._calibration)
        _keep(kept, watch.reads, made)
        self.count += 1
        return made
