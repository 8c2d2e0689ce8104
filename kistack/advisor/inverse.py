"""The inverse question: what must change for plans with these techniques to be recommended.

A plan answers to ``retrieve+tune`` if it has at least these techniques, whatever else it has: who asks what must change
for distillation is served by a plan that also quantizes. ``nothing`` asks for the bare model alone.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kistack.advisor.changes import under
from kistack.advisor.choice import Judged
from kistack.advisor.judging import Bench, Judgement
from kistack.advisor.levers import Direction, Lever, levers
from kistack.advisor.sensitivity import Flip, Search, search, sentence
from kistack.errors import InputError
from kistack.plugins.stages import TECHNIQUES
from kistack.units import format_count

NOTHING = "nothing"
#: Candidates whose limits are lifted to look for a second change.
_LIFTED = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What must change for ``target`` to win.

    ``already`` says that it does. ``single`` are changes that suffice alone, the smallest first; ``pairs`` are changes
    of two things at once, looked for only where none suffices alone. ``why`` says what stands in the way where nothing
    within the ranges helps.
    """

    target: str
    already: bool
    single: tuple[Flip, ...] = ()
    pairs: tuple[tuple[Flip, Flip], ...] = ()
    why: str = ""
    looked: Search | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words, a sentence for each way."""
        if self.already:
            return (f"nothing must change: {self.target} is recommended as it is",)
        if self.single:
            return tuple(f.sentence for f in self.single)
        if self.pairs:
            return tuple(f"{two.sentence}, and {_half(one)}" for one, two in self.pairs)
        return (self.why,)

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable names."""
        return {
            "for": self.target,
            "means": "the bare model alone" if self.target == NOTHING else "at least these techniques",
            "already": self.already,
            "single": [f.to_json() for f in self.single],
            "pairs": [[one.to_json(), two.to_json()] for one, two in self.pairs],
            "why": self.why,
            "ranges": {n: list(ends) for n, ends in self.looked.ranges.items()} if self.looked else {},
            "sentences": list(self.sentences),
        }


def _half(flip: Flip) -> str:
    """The condition of a sentence: what stands after its first ``if``."""
    return flip.sentence.partition(" if ")[2]


def read_target(text: str) -> str:
    """The techniques in ``distill``, ``for=distill`` or ``retrieve+tune``, in the order of a plan.

    Raises:
        InputError: one is no technique.
    """
    named = [part.strip() for part in text.removeprefix("for=").split("+")]
    if named == [NOTHING]:
        return NOTHING
    for part in named:
        if part not in TECHNIQUES:
            close = difflib.get_close_matches(part, [*TECHNIQUES, NOTHING], n=1)
            guess = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(
                f"{part!r} is no technique", f"{guess}ask for {', '.join(TECHNIQUES)}, some joined by plus, or nothing"
            )
    return "+".join(t for t in TECHNIQUES if t in named)


def what_must_change(bench: Bench, target: str) -> Answer:
    """The smallest changes under which the best candidate with these techniques wins.

    Every fact and limit is changed alone first; where none suffices, the limits that reject the candidates are lifted
    to what they need, two at a time or together with one other change.

    Raises:
        InputError: ``target`` names no techniques.
    """
    target = read_target(target)

    def good(judgement: Judgement) -> bool:
        return answers(judgement.winner, target)

    if good(bench.judgement):
        return Answer(target, already=True)
    among = [j for j in bench.judgement.order if answers(j.candidate.name, target) and j.prediction is not None]
    looked = search(bench, good, among[:_LIFTED], thorough=True)
    if looked.flips:
        return Answer(target, already=False, single=_each(looked.flips), looked=looked)
    pairs = _pairs(bench, target, among)
    return Answer(target, already=False, pairs=pairs, why="" if pairs else _why(bench, target, among), looked=looked)


def answers(name: str, target: str) -> bool:
    """Whether a candidate of this name has what was asked for."""
    if target == NOTHING:
        return name == NOTHING
    return set(target.split("+")) <= set(name.split("+"))


def _each(found: Sequence[Flip]) -> tuple[Flip, ...]:
    """The smallest change of each fact."""
    first: dict[str, Flip] = {}
    for flip in found:
        first.setdefault(flip.fact, flip)
    return tuple(first.values())


def _pairs(bench: Bench, target: str, among: Sequence[Judged]) -> tuple[tuple[Flip, Flip], ...]:
    """Pairs of changes, the first of which lifts a limit that rejects a candidate."""
    by_limit = {lever.limit: lever for lever in levers(bench.profile, bench.judgement.order) if lever.limit}
    found: dict[tuple[str, str], tuple[Flip, Flip]] = {}
    tried: set[tuple[str, float]] = set()
    for judged in sorted(among, key=lambda j: (len(j.candidate.rejections), -j.candidate.quality))[: 4 * _LIFTED]:
        limits = {r.limit for r in judged.candidate.rejections}
        if not limits or not limits <= by_limit.keys() or len(limits) > 2:  # noqa: PLR2004 - two changes make a pair
            continue
        for limit in sorted(limits):
            lever = by_limit[limit]
            lifted = _lifted(judged, lever)
            if (lever.fact, lifted.at) in tried or len(tried) > 2 * _LIFTED:
                continue
            tried.add((lever.fact, lifted.at))
            bench_there = bench.under(under(bench.profile, {lever.fact: lifted.at}))
            if answers(bench_there.judgement.winner, target):
                continue  # that alone suffices, and would have been found
            second = search(bench_there, lambda j: answers(j.winner, target), [judged], thorough=True)
            for flip in second.flips:
                if flip.fact != lever.fact:
                    key = (min(lever.fact, flip.fact), max(lever.fact, flip.fact))
                    found.setdefault(key, (replace(lifted, winner=flip.winner), flip))
    return tuple(sorted(found.values(), key=lambda pair: sum(_far(f) for f in pair)))


def _far(flip: Flip) -> float:
    return math.inf if flip.distance is None else flip.distance


def _lifted(judged: Judged, lever: Lever) -> Flip:
    """The change that admits a candidate by one limit."""
    assert lever.need is not None
    need = lever.need(judged)
    step = 10.0 ** (math.floor(math.log10(need)) - 2) if need > 0 else 1.0
    at = float(f"{(math.floor(need / step) if lever.reverse else math.ceil(need / step)) * step:.3g}")
    direction: Direction = "less" if lever.reverse else "more"
    far = lever.distance(at)
    return Flip(
        lever.fact, lever.now, at, need, direction, judged.candidate.name,
        sentence(judged.candidate.name, lever, direction, at), None if math.isinf(far) else round(far, 4),
    )  # fmt: skip


def _why(bench: Bench, target: str, among: Sequence[Judged]) -> str:
    """What stands in the way of a target that no change within the ranges admits."""
    asked = [j for j in bench.judgement.order if answers(j.candidate.name, target)]
    start = f"no change of one fact or limit within the ranges, and no pair that lifts a limit, makes {target} win"
    if not asked:
        return f"{start}: nothing installed suggests a plan with it here"
    if not among:
        reason = asked[0].candidate.rejections[0]
        return f"{start}: no such plan can be composed ({reason.needs}; {reason.admits})"
    barred = [r for j in among for r in j.candidate.rejections if r.limit.startswith("rule")]
    if barred and all(any(r.limit.startswith("rule") for r in j.candidate.rejections) for j in among):
        return f"{start}: {barred[0].limit} forbids it ({barred[0].needs})"
    best = max(among, key=lambda j: j.candidate.quality)
    said = f"{start}: {best.candidate.name} is expected to reach {best.candidate.quality:.0f} points"
    first = bench.judgement.best
    if first is None:
        return f"{said}, and no combination keeps every limit"
    behind = first.candidate.quality - best.candidate.quality
    if behind > bench.judgement.margin:
        return f"{said}, {format_count(behind, 2)} fewer than {first.candidate.name}"
    return f"{said}, but {first.candidate.name} is cheaper to serve and keep fresh"
