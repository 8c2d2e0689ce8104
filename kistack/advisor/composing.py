"""Composed candidates that are kept: under changed facts only what had read one of them is made again.

Suggesting, composing and estimating are pure functions of the facts they read. A profile that takes note of every
read therefore tells exactly which changes matter to which plan, whatever stages are installed; no list of sections
has to say so. Limits, traffic and rates of change are read by hardly any stage, so a change of them costs nothing here;
the size of a model or the speed of a machine is read by nearly all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

#: Answers kept of one question: the first is that of the scenario as it is, the others are of changes.
_KEPT = 6
#: Names of facts that differ, and names of sections.
_Differing = tuple[frozenset[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Reads:
    """What some work read of a profile: each fact (None: not there), and each section that was read as a whole.

    The section of all facts is called by an empty text. ``taken`` are the facts they were read of.
    """

    taken: Present
    facts: dict[str, Fact | None] = field(default_factory=dict)
    sections: dict[str, Mapping[str, Fact]] = field(default_factory=dict)

    def joined(self, parts: Iterable[Reads]) -> Reads:
        """All of these and of several others that hold under the same facts."""
        whole = Reads(self.taken, dict(self.facts), dict(self.sections))
        for part in parts:
            whole.facts.update(part.facts)
            whole.sections.update(part.sections)
        return whole

    def about(self, section: str) -> Reads:
        """Those of one section, and those of all facts or of a section around it."""
        start = f"{section}."
        facts = {n: f for n, f in self.facts.items() if n.startswith(start)}
        around = {"", section, *(section[:n] for n, sign in enumerate(section) if sign == ".")}
        sections = {n: f for n, f in self.sections.items() if n in around or n.startswith(start)}
        return Reads(self.taken, facts, sections)


class Present:
    """The facts of a profile against which many reads are held; what was worked out is kept."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.facts = profile.facts
        self._sections: dict[str, dict[str, Fact]] = {}
        #: By the identity of other facts, which are kept so that it stays theirs.
        self._changed: dict[int, tuple[Present, _Differing]] = {}

    def section(self, prefix: str) -> dict[str, Fact]:
        """A section, cut out once."""
        if prefix not in self._sections:
            start = f"{prefix}." if prefix else ""
            self._sections[prefix] = {n[len(start) :]: f for n, f in self.facts.items() if n.startswith(start)}
        return self._sections[prefix]

    def changed_since(self, other: Present) -> _Differing:
        """The facts that are not the same there, and every section that one of them is in."""
        known = self._changed.get(id(other))
        if known is not None:
            return known[1]
        one, two = self.facts, other.facts
        names = one.keys() | two.keys()
        differ = frozenset(n for n in names if one.get(n) is not two.get(n) and one.get(n) != two.get(n))
        found = differ, frozenset(s for n in differ for s in _sections(n))
        self._changed[id(other)] = (other, found)
        return found

    def holds(self, reads: Reads) -> bool:
        """Whether the same work would read the same under these facts."""
        changed, sections = self.changed_since(reads.taken)
        return reads.facts.keys().isdisjoint(changed) and reads.sections.keys().isdisjoint(sections)


class Asked:
    """Everything that much work ever read: where none of it differs, none of the work need be looked at."""

    def __init__(self) -> None:
        self._facts: set[str] = set()
        self._sections: set[str] = set()

    def add(self, reads: Reads) -> None:
        """Take note of what one piece read."""
        self._facts |= reads.facts.keys()
        self._sections |= reads.sections.keys()

    def stands(self, was: Present, now: Present) -> bool:
        """Whether all of it would read under the facts of ``now`` what it read under those of ``was``."""
        changed, sections = now.changed_since(was)
        return self._facts.isdisjoint(changed) and self._sections.isdisjoint(sections)


def _sections(name: str) -> Iterator[str]:
    """The sections that a fact is in: that of all facts, then ever smaller ones."""
    yield ""
    for place, letter in enumerate(name):
        if letter == ".":
            yield name[:place]


class Watch:
    """A profile that keeps note of what is read of it, piece by piece."""

    def __init__(self, present: Present | Profile) -> None:
        self.plain = Present(present) if isinstance(present, Profile) else present
        self.parts: list[Reads] = [Reads(self.plain)]
        self.profile: Profile = _Watched(_Noting(self), self.plain.profile.schema)

    @property
    def reads(self) -> Reads:
        """All that was read so far."""
        return Reads(self.plain).joined(self.parts)

    def note(self, *known: Reads) -> None:
        """Add what other work read, and begin a new piece."""
        self.parts += (*known, Reads(self.plain))


class _Noting(Mapping[str, Fact]):
    """Facts that note who is asked for."""

    __slots__ = ("held", "watch")

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.held = watch.plain.facts

    def __getitem__(self, name: str) -> Fact:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found  # type: ignore[no-any-return]

    def get(self, name: str, default: Any = None) -> Any:
        found = self.held.get(name)
        self.watch.parts[-1].facts[name] = found
        return default if found is None else found

    def __contains__(self, name: object) -> bool:
        return self.get(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        # Who goes through all facts depends on all of them, and on there being no others.
        self.section("")
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def section(self, prefix: str) -> dict[str, Fact]:
        found = self.watch.plain.section(prefix)
        self.watch.parts[-1].sections[prefix] = found
        return found


class _Watched(Profile):
    """A profile of noted facts; a section can be read without reading the others."""

    def section(self, prefix: str) -> dict[str, Fact]:
        noting = self.facts
        assert isinstance(noting, _Noting)
        return dict(noting.section(prefix))


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
        self._given: Reads | None = None

    def find(self, mark: Any) -> Any | None:
        watch = self._watch
        if self._given is None:  # what was read before the first node describes the scenario's own inputs
            self._given = watch.reads
        for reads, (value, behind) in self._kept.get(mark, ()):
            if watch.plain.holds(reads):
                watch.note(reads)
                self._behind.update(behind)
                return value
        watch.note()
        self._begun[mark] = len(watch.parts) - 1
        return None

    def keep(
        self,
        mark: Any,
        value: Any,
        *,
        made: Collection[str] = (),
        known: Iterable[str] = (),
        after: Iterable[Source] = (),
    ) -> None:
        parts = self._watch.parts[self._begun.pop(mark) :]
        parts += [self._given_behind(s) if isinstance(s, Given) else self._behind[s.node] for s in after]
        reads = Reads(self._watch.plain).joined(parts)
        self._behind.update(dict.fromkeys(made, reads))
        behind = {key: self._behind[key] for key in (*made, *known)}
        _keep(self._kept.setdefault(mark, []), reads, (value, behind))

    def _given_behind(self, source: Given) -> Reads:
        """What the type of a scenario's input was made of: documents say nothing of pairs."""
        assert self._given is not None
        return self._given.about("corpus") if source.slot == "corpus" else self._given


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
        self._asked = Asked()
        self._whole: tuple[Present, list[tuple[Option, Composed]]] | None = None

    def options(self, profile: Profile, present: Present | None = None) -> tuple[tuple[Option, ...], tuple[str, ...]]:
        """The plans that stages suggest under these facts, and notes about what could not be judged."""
        present = present or Present(profile)
        for reads, kept in self._options:
            if present.holds(reads):
                return kept
        watch, noted = Watch(present), list[str]()
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
        self._asked.add(watch.reads)
        return made, tuple(noted)

    def at(
        self, profile: Profile, wanted: Callable[[Option], bool] | None = None, present: Present | None = None
    ) -> Sequence[tuple[Option, Composed]]:
        """The candidates under these facts, or those ``wanted``; what read none of what changed is not made again.

        All of them are the same object as the last time where none was made again.
        """
        present = present or Present(profile)
        if wanted is not None:
            return [(o, self.one(o, profile, present)) for o in self.options(profile, present)[0] if wanted(o)]
        if self._whole is None or not self._asked.stands(self._whole[0], present):
            options = self.options(profile, present)[0]
            self._whole = present, [(o, self.one(o, profile, present)) for o in options]
        return self._whole[1]

    def one(self, option: Option, profile: Profile, present: Present | None = None) -> Composed:
        """One candidate under these facts."""
        if option.problems:
            return Composed(option.plan, None, option.problems)
        present = present or Present(profile)
        kept = self._composed.setdefault(option.key, [])
        for reads, made in kept:
            if present.holds(reads):
                return made
        watch = Watch(present)
        self._memo.start(watch)
        made = composed(option.plan, watch.profile, self._host, self._memo, self._calibration)
        _keep(kept, watch.reads, made)
        self._asked.add(watch.reads)
        self.count += 1
        return made
