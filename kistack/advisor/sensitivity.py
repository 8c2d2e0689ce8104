"""Flip points: for each fact and limit the nearest value at which another set of techniques wins.

Each lever is followed outwards from its present value over a stated range. Between the last value under which the
choice stands and the first under which it does not, bisection narrows the flip to 5 %; both ends are kept.

Not every candidate is judged at every value. Of two candidates with the same techniques, one that is no better in
expected points and in every cost that a limit or the economy reads never decides whether those techniques win: where it
is feasible the other is too, is within the margin where it is, and is no dearer. So for limits, traffic and the margin
the best of each set of techniques in that sense stand for all, and what a candidate needs is known without judging.
Under facts that move the quality or the estimates themselves no such order is sure to last: each set is looked for by
its first candidate, and between the ends of a bracket only those who win there are followed. A flip found so is a
guess until all candidates are judged on both sides of it. The nearest flips are confirmed like that, or looked for
again among all, unless all would have to be composed for it; ``thorough`` confirms every one. What a search may begin
is bounded by counting predictions and compositions, not by time, so that advice stays deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kistack.advisor.changes import under
from kistack.advisor.choice import Judged
from kistack.advisor.composing import plan_key
from kistack.advisor.judging import Bench, Judgement
from kistack.advisor.levers import Direction, Lever, levers
from kistack.advisor.shortlists import Shortcut, contenders, firsts, is_untaught, representatives

#: The nearest flips, which are confirmed.
NEAREST = 5
#: A flip is known to this share of its value.
TOLERANCE = 0.05
#: Predictions and compositions that one look for flips may ask for: about a tenth of a second of one core.
_MOST_PREDICTIONS, _MOST_COMPOSITIONS = 60, 8
#: Sets of techniques, from the top, that are looked at under facts that ask for composing again.
_LEADING = 3
_DIRECTIONS: tuple[Direction, ...] = ("less", "more")

Good = Callable[[Judgement], bool]


@dataclass(frozen=True, slots=True)
class Flip:
    """A value of one fact under which other techniques win.

    ``until`` is the last value looked at under which they do not; ``distance`` the logarithm of ``at`` over ``now``
    (None where nothing is known now). ``winner`` is empty where nothing would be feasible. ``confirmed`` says that all
    candidates were judged on both sides, as a what-if would.
    """

    fact: str
    now: float | None
    at: float
    until: float
    direction: Direction
    winner: str
    sentence: str
    distance: float | None
    confirmed: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable names."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, and what was looked through: facts with their ranges, and those not fully so for their cost."""

    flips: tuple[Flip, ...]
    ranges: Mapping[str, tuple[float, float]]
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable names."""
        return {
            "flips": [f.to_json() for f in self.flips],
            "ranges": {n: list(ends) for n, ends in self.ranges.items()},
            "not_searched": list(self.left_out),
        }


def flips(bench: Bench, *, thorough: bool = False) -> Search:
    """The flip points of a recommendation, the nearest first; ``thorough`` looks without a bound on cost."""
    here = bench.judgement.winner
    return search(bench, lambda j: j.winner != here, thorough=thorough)


def search(bench: Bench, good: Good, among: Iterable[Judged] = (), *, thorough: bool = False) -> Search:
    """The nearest value of each lever, in each direction, under which ``good`` holds of the ranking.

    Args:
        bench: the candidates.
        good: what is looked for; it does not hold now.
        among: candidates to look at beside those that stand for all.
        thorough: look without a bound on cost.
    """
    allowance = _Allowance(bench, thorough=thorough)
    scout = Scout(bench, among, allowance)
    found: list[Flip] = []
    left_out: list[str] = []
    looked = levers(bench.profile, bench.judgement.order)
    for lever in looked:
        for direction in _DIRECTIONS:
            idle = not thorough and lever.idle
            flip = None if idle or allowance.spent else scout.nearest(lever, direction, good)
            if flip is not None:
                found.append(flip)
            elif idle or allowance.spent:
                left_out.append(lever.fact)
    found = _nearest_first(found)
    if not thorough:
        found = _confirmed_nearest(scout, {lever.fact: lever for lever in looked}, good, found)
    ranges = {lever.fact: (lever.low, lever.high) for lever in looked}
    return Search(tuple(found), ranges, tuple(dict.fromkeys(left_out)))


def _nearest_first(found: Iterable[Flip]) -> list[Flip]:
    return sorted(found, key=lambda f: (math.inf if f.distance is None else f.distance, f.fact, f.direction))


def _confirmed_nearest(scout: Scout, known: Mapping[str, Lever], good: Good, found: list[Flip]) -> list[Flip]:
    """The flips with the nearest confirmed by all candidates, or looked for again among them.

    Those that ask for composing all candidates again stay guesses.
    """
    for _ in range(2 * NEAREST):
        waiting = next((f for f in found[:NEAREST] if not f.confirmed and known[f.fact].effort != "composing"), None)
        if waiting is None:
            break
        found.remove(waiting)
        sure = scout.settle(waiting, known[waiting.fact], good)
        found = _nearest_first([*found, *([sure] if sure is not None else [])])
    return found


class _Allowance:
    """How much work a search may still ask for."""

    def __init__(self, bench: Bench, *, thorough: bool) -> None:
        self._bench = bench
        self.thorough = thorough
        self._start = (bench.predicted, bench.compositions.count)

    @property
    def spent(self) -> bool:
        """Whether nothing more should be begun."""
        predicted, composed = self._bench.predicted - self._start[0], self._bench.compositions.count - self._start[1]
        return not self.thorough and (predicted > _MOST_PREDICTIONS or composed > _MOST_COMPOSITIONS)


class Scout:
    """Looks at rankings under other values of one lever, with the candidates that can matter."""

    def __init__(self, bench: Bench, among: Iterable[Judged] = (), allowance: _Allowance | None = None) -> None:
        self.bench = bench
        self._allowance = allowance or _Allowance(bench, thorough=True)
        self._options = {o.number: o for o in bench.compositions.options(bench.profile)[0]}
        self._names = {o.key: o.name for o in self._options.values()}
        self._known = frozenset(self._names)
        order = bench.judgement.order
        self._extra = self._keys(among)
        self._standing: dict[str, frozenset[str]] = {}
        for judged in representatives(order):
            name = judged.candidate.name
            self._standing[name] = self._standing.get(name, frozenset()) | self._keys([judged])
        leading = firsts(order if self._allowance.thorough else contenders(order))
        self._first = self._keys(leading) | self._extra
        if not self._allowance.thorough:  # composing costs most
            leading = [j for n, j in enumerate(leading) if n < _LEADING or is_untaught(j)]
        self._leading = self._keys(leading) | self._extra

    def _keys(self, judged: Iterable[Judged]) -> frozenset[str]:
        return frozenset(self._options[j.number].key for j in judged)

    def nearest(self, lever: Lever, direction: Direction, good: Good) -> Flip | None:
        """The nearest value in one direction under which ``good`` holds; None where none does within the range."""
        if lever.effort != "limits":
            keys = self._leading if lever.effort == "composing" else self._first
            return self._searched(lever, direction, good, keys)
        shortcut = Shortcut(self.bench, lever)
        found = self._bracket(lever, direction, lambda v: good(shortcut.judge(v)))
        if found is not None:
            until, at = self._narrowed(lever, lambda v: good(shortcut.judge(v)), found)
            sides = [j for v in (until, at) for j in firsts(shortcut.judge(v).order)]
            keys = self._known if self._allowance.thorough else self._keys(contenders(sides)) | self._extra
            if (flip := self._confirmed(lever, direction, good, (until, at), keys)) is not None:
                return flip
        elif not self._suggests_anew(lever, direction):
            return None
        # Stages suggest something else under that value, or rules speak of it: look with what stands for all.
        return self._searched(lever, direction, good, frozenset().union(*self._standing.values()) | self._extra)

    def settle(self, flip: Flip, lever: Lever, good: Good) -> Flip | None:
        """The flip confirmed by all candidates, else the one that looking among all of them finds."""
        sure = self._confirmed(lever, flip.direction, good, (flip.until, flip.at), self._known)
        return sure or self._searched(lever, flip.direction, good, self._known)

    def _suggests_anew(self, lever: Lever, direction: Direction) -> bool:
        """Whether stages suggest other plans at the end of the range."""
        steps = lever.steps(direction)
        if not steps:
            return False
        options, _ = self.bench.compositions.options(under(self.bench.profile, {lever.fact: steps[-1]}))
        return any(o.key not in self._known for o in options)

    def _searched(
        self, lever: Lever, direction: Direction, good: Good, keys: frozenset[str], *, again: bool = False
    ) -> Flip | None:
        found = self._bracket(lever, direction, lambda v: good(self.look(lever, v, keys)))
        if found is None:
            return None
        # Between the two only those who win at its ends are followed; then all must say the same.
        ends = [self.bench.judgement, *(self.look(lever, v, keys) for v in found)]
        best = [j.best.candidate for j in ends if j.best is not None]
        names = {c.name for c in best}
        every = self._known if self._allowance.thorough else keys
        rivals = keys if again or keys == self._known else self._extra.union(plan_key(c.plan) for c in best)
        until, at = self._narrowed(lever, lambda v: good(self.look(lever, v, rivals, names)), found)
        flip = self._confirmed(lever, direction, good, (until, at), every)
        if flip is None and not again and not self._allowance.spent:
            return self._searched(lever, direction, good, every, again=True)
        return flip

    def look(self, lever: Lever, value: float, keys: frozenset[str], names: Container[str] | None = None) -> Judgement:
        """The ranking of some candidates under another value.

        What stages suggest only there takes part too: the first of each of the sets of techniques (default: those of
        ``keys``); all of it where ``keys`` are all there are.
        """
        profile = under(self.bench.profile, {lever.fact: value})
        if keys == self._known:
            return self.bench.judge(profile)
        names = {self._names[k] for k in keys} if names is None else names
        fresh: dict[str, str] = {}
        for option in self.bench.compositions.options(profile)[0]:
            if option.key not in self._known and option.name in names:
                fresh.setdefault(option.name, option.key)
        wanted = keys | frozenset(fresh.values())
        return self.bench.judge(profile, wanted=lambda o: o.key in wanted)

    def _bracket(self, lever: Lever, direction: Direction, good: Callable[[float], bool]) -> tuple[float, float] | None:
        """The last value that is not good and the first that is; None where none is within the range."""
        last = lever.now
        for value in lever.steps(direction, patient=self._allowance.thorough):
            if good(value):
                # Where nothing is known now, the far end must not be good itself, or nothing flips on the way.
                return None if last is None else (last, value)
            last = value
        return None

    def _narrowed(
        self, lever: Lever, good: Callable[[float], bool], bracket: tuple[float, float]
    ) -> tuple[float, float]:
        """The bracket within the tolerance, the good end with as few digits as that allows."""
        until, at = bracket
        while not lever.close(until, at, TOLERANCE) and (lever.linear or min(until, at) > 0):
            middle = lever.middle(until, at)
            if good(middle):
                at = middle
            else:
                until = middle
        for digits in (2, 3, 4):
            near = _shorter(at, digits, up=at > until)
            if lever.low <= near <= lever.high and lever.close(near, until, TOLERANCE) and good(near):
                return until, near
        return until, at

    def _confirmed(
        self, lever: Lever, direction: Direction, good: Good, ends: tuple[float, float], keys: frozenset[str]
    ) -> Flip | None:
        """The flip, if judging these candidates as a what-if says the same on both sides of it."""
        until, at = ends
        there = self.look(lever, at, keys)
        before = self.bench.judgement if until == lever.now else self.look(lever, until, keys)
        if not good(there) or good(before):
            return None
        distance = lever.distance(at)
        return Flip(
            fact=lever.fact,
            now=lever.now,
            at=at,
            until=until,
            direction=direction,
            winner=there.winner,
            sentence=sentence(there.winner, lever, direction, at),
            distance=None if math.isinf(distance) else round(distance, 4),
            confirmed=keys == self._known,
        )


def sentence(winner: str, lever: Lever, direction: Direction, at: float) -> str:
    """``retrieve+tune would win if the corpus changed less than once in 80 days (now once in 23 days)``."""
    condition = f"if {lever.condition(direction, at)} (now {lever.now_text})"
    if not winner:
        return f"no combination would keep the limits {condition}"
    return f"{winner} would win {condition}" if winner != "nothing" else f"the bare model would win {condition}"


def _shorter(value: float, digits: int, *, up: bool) -> float:
    if value <= 0:
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    ratio = value / step
    whole = math.ceil(ratio - 1e-9) if up else math.floor(ratio + 1e-9)
    return float(f"{whole * step:.{digits}g}")
