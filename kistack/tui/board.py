"""The board: the candidates of a recommendation as rows, one for each set of techniques, and what a plot shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from kistack.advisor.choice import standing
from kistack.advisor.composing import Present
from kistack.reporting.numbers import DASH, shown

if TYPE_CHECKING:
    from kistack.advisor.choice import Judged
    from kistack.advisor.judging import Bench, Judgement
    from kistack.domain.advice import Candidate

#: The toggles: letter, kind of stage.
TOGGLES = {"r": "retrieve", "d": "distill", "t": "tune", "q": "quantize"}
#: Costs that quality can be held against: name of the cost, unit, words after a number.
COSTS = (("latency_seconds", "s", "per answer"), ("serving_peak_bytes", "B", "memory"), ("seconds", "s", "to build"),
         ("bytes", "B", "bundle"))  # fmt: skip
_AXES = {"latency_seconds": "latency", "serving_peak_bytes": "memory", "seconds": "time to build",
         "bytes": "size of the bundle"}  # fmt: skip
COLUMNS = ("R", "D", "T", "Q", "points", "80 %", "memory", "an answer", "bundle", "to build", "to fresh", "verdict")
#: Columns that are left out where there is no room, in this order.
_DISPENSABLE = ("bundle", "to fresh", "to build", "80 %")
_PADDING = 2
ON, OFF = "●", "·"


@dataclass(frozen=True, slots=True)
class Row:
    """The first candidate of a set of techniques.

    ``fresh`` are the seconds of making it again after the documents and pairs changed, ``settings`` how many
    candidates of the set were judged; ``best`` and ``front`` say whether it is recommended and whether none beats it.
    """

    candidate: Candidate
    number: int
    settings: int
    fresh: float | None
    best: bool
    front: bool

    @property
    def name(self) -> str:
        """Its techniques joined by plus."""
        return self.candidate.name

    @property
    def techniques(self) -> frozenset[str]:
        """Which of the four techniques it uses."""
        return frozenset(self.candidate.plan.techniques) & frozenset(TOGGLES.values())

    @property
    def known(self) -> bool:
        """Whether it could be composed, so that its numbers mean something."""
        return bool(self.candidate.estimate.costs)


def rows(judgement: Judgement, bench: Bench) -> tuple[Row, ...]:
    """One row for each set of techniques: the kept ones best first, then the rejected ones."""
    order = judgement.order
    sets = [j.candidate.plan.techniques for j in order]
    counts = Counter(sets)
    first: dict[tuple[str, ...], tuple[int, Judged]] = {}
    for place, (techniques, judged) in enumerate(zip(sets, order, strict=True)):
        known = first.get(techniques)
        # Of a set of which none is kept, one that could be composed says more than one that could not.
        if known is None or (not known[1].candidate.kept and known[1].prediction is None and judged.prediction):
            first[techniques] = (place, judged)
    best = standing(order, {place for place, _ in first.values()})
    present = Present(bench.profile)
    found = [
        Row(
            j.candidate,
            j.number,
            counts[techniques],
            _fresh(bench, present, j),
            place == 0 and j.candidate.kept,
            place in best,
        )
        for techniques, (place, j) in first.items()
    ]
    return tuple(sorted(found, key=lambda r: not r.candidate.kept))


def _fresh(bench: Bench, present: Present, judged: Judged) -> float | None:
    if judged.prediction is None:
        return None
    options, _ = bench.compositions.options(bench.profile, present)
    pipeline = bench.compositions.one(options[judged.number], bench.profile, present).pipeline
    return None if pipeline is None else pipeline.redo("corpus", "pairs").cost("seconds")


def cells(row: Row) -> tuple[str, ...]:
    """A row as texts, in the order of ``COLUMNS``."""
    c, e = row.candidate, row.candidate.estimate
    marks = tuple(ON if kind in row.techniques else OFF for kind in TOGGLES.values())
    if not row.known:
        return (*marks, *[DASH] * 7, verdict(row))
    return (
        *marks,
        f"{c.quality:.0f}",
        f"{c.low:.0f} to {c.high:.0f}",
        shown(e.cost("serving_peak_bytes"), "B"),
        shown(e.cost("latency_seconds"), "s"),
        shown(e.cost("bytes"), "B"),
        shown(e.cost("seconds"), "s"),
        DASH if row.fresh is None else shown(row.fresh, "s"),
        verdict(row),
    )


def fitting(rows_: Sequence[Row], width: int) -> list[int]:
    """The numbers of the columns that fit into so many cells."""
    texts = [COLUMNS, *map(cells, rows_)]
    wide = [max(len(line[n]) for line in texts) + _PADDING for n in range(len(COLUMNS))]
    shown_ = list(range(len(COLUMNS)))
    for name in _DISPENSABLE:
        if sum(wide[n] for n in shown_) <= width:
            break
        shown_.remove(COLUMNS.index(name))
    return shown_


def verdict(row: Row) -> str:
    """``recommended``, ``front``, ``kept``, or the limit that rejects it."""
    if row.candidate.rejections:
        first, *others = row.candidate.rejections
        return f"✗ {first.limit}" + (f" +{len(others)}" if others else "")
    return "★ recommended" if row.best else "◆ front" if row.front else "kept"


def with_techniques(rows_: Iterable[Row], techniques: frozenset[str]) -> Row | None:
    """The row of exactly these techniques."""
    return next((row for row in rows_ if row.techniques == techniques), None)


def toggled(row: Row, letter: str) -> frozenset[str]:
    """The row's techniques with one put in or taken out."""
    return row.techniques ^ {TOGGLES[letter]}


def moved(before: Row, after: Row) -> str:
    """What it changes to go from one row to another: ``+12 points, +340 MB memory, …``."""
    if not (before.known and after.known):
        which = before if not before.known else after
        why = which.candidate.rejections[0].needs if which.candidate.rejections else "it cannot be composed"
        return f"{which.name} cannot be composed: {why}"
    one, two = before.candidate, after.candidate
    parts = [f"{two.quality - one.quality:+.0f} points"]
    costs = [(two.estimate.cost(n) - one.estimate.cost(n), unit, what) for n, unit, what in COSTS]
    costs.append(((after.fresh or 0.0) - (before.fresh or 0.0), "s", "to be fresh again"))
    for by, unit, what in costs:
        if abs(by) > 1e-9:  # noqa: PLR2004 - less is rounding
            parts.append(f"{'+' if by > 0 else '-'}{shown(abs(by), unit)} {what}")
    return ", ".join(parts)


def toggling(before: Row, letter: str, after: Row | None) -> str:
    """What putting a technique in or taking it out would change, in a sentence."""
    kind = TOGGLES[letter]
    verb = "without" if kind in before.techniques else "with"
    if after is None:
        return f"{verb} {kind}: no stage that is installed makes such a plan"
    kept = "" if after.candidate.kept else f"; rejected: {after.candidate.rejections[0].limit}"
    return f"{verb} {kind}: {moved(before, after)}{kept}"


@dataclass(frozen=True, slots=True)
class Dots:
    """What a plot of quality against a cost shows: points by what they are, and the words of the axis."""

    kept: tuple[tuple[float, float], ...]
    front: tuple[tuple[float, float], ...]
    rejected: tuple[tuple[float, float], ...]
    best: tuple[float, float] | None
    picked: tuple[float, float] | None
    axis: str
    unit: str


def dots(judgement: Judgement, cost: int, picked: Row | None = None) -> Dots:
    """Quality against one of ``COSTS``; the front is the one of that cost alone."""
    name, unit, _ = COSTS[cost % len(COSTS)]

    def at(candidate: Candidate) -> tuple[float, float]:
        return candidate.estimate.cost(name), candidate.quality

    known = [j.candidate for j in judgement.order if j.prediction is not None]
    kept = sorted({at(c) for c in known if c.kept})
    best = judgement.best
    return Dots(
        kept=tuple(kept),
        front=tuple(_outline(kept)),
        rejected=tuple(sorted({at(c) for c in known if not c.kept})),
        best=at(best.candidate) if best is not None else None,
        picked=at(picked.candidate) if picked is not None and picked.known else None,
        axis=_AXES[name],
        unit=unit,
    )


def _outline(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points sorted by cost those that are better than every cheaper one."""
    found: list[tuple[float, float]] = []
    for cost, quality in points:
        if not found or quality > found[-1][1]:
            if found and found[-1][0] == cost:
                found.pop()
            found.append((cost, quality))
    return found


def rejecting(judgement: Judgement) -> list[tuple[str, int]]:
    """The limits that reject, with how many candidates each, most first."""
    rejected = judgement.order[len(judgement.kept) :]
    counts = Counter(chain.from_iterable([j.candidate.broken for j in rejected]))
    return counts.most_common()
