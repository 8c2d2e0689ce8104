"""Shortlists: which candidates must be looked at under other facts, and what a limit does without judging again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kistack.advisor.changes import under
from kistack.advisor.choice import Judged, chosen, economy_of
from kistack.advisor.judging import Bench, Judgement
from kistack.advisor.levers import Lever
from kistack.domain.advice import Rejection

_COSTS = ("latency_seconds", "serving_peak_bytes", "bytes", "seconds", "money", "peak_bytes", "scratch_bytes")
#: Techniques of plans that train nothing.
_UNTAUGHT = frozenset({"retrieve", "quantize"})
#: Rejections that no lever lifts.
_FIXED = frozenset({"local_only", "context"})


def firsts(order: Sequence[Judged]) -> list[Judged]:
    """The first candidate of each set of techniques, those that can be composed before those that cannot."""
    found: dict[str, Judged] = {}
    for judged in sorted(order, key=lambda j: j.prediction is None):
        found.setdefault(judged.candidate.name, judged)
    return list(found.values())


def contenders(order: Sequence[Judged]) -> list[Judged]:
    """Those whose interval of points reaches that of the best, and those that train nothing.

    The others would have to gain more than all that is uncertain about them.
    """
    known = [j for j in order if j.prediction is not None]
    best = next((j for j in known if j.candidate.kept), None) or max(
        known, key=lambda j: j.candidate.quality, default=None
    )
    least = 0.0 if best is None else best.candidate.low
    return [j for j in known if j.candidate.high >= least or is_untaught(j)]


def is_untaught(judged: Judged) -> bool:
    """Whether the plan trains nothing."""
    return not {*judged.candidate.plan.techniques} - _UNTAUGHT


def representatives(order: Sequence[Judged]) -> list[Judged]:
    """Of each set of techniques the candidates that none of the same set equals or beats in all that decides."""
    groups: dict[str, list[tuple[tuple[float, ...], Judged]]] = {}
    for judged in order:
        if judged.prediction is not None:
            groups.setdefault(judged.candidate.name, []).append((_axes(judged), judged))
    found = []
    for group in groups.values():
        standing: list[tuple[float, ...]] = []
        for axes, judged in sorted(group, key=lambda pair: (*pair[0], pair[1].number)):
            if not any(all(a <= b for a, b in zip(one, axes, strict=True)) for one in standing):
                standing.append(axes)
                found.append(judged)
    return found


def _axes(judged: Judged) -> tuple[float, ...]:
    """What decides about a candidate: smaller is better. Rules that reject it count, limits do not."""
    candidate, upkeep = judged.candidate, judged.upkeep
    barred = sum(r.limit.startswith("rule") or r.limit in _FIXED for r in candidate.rejections)
    prompt = candidate.estimate.facts.get("prompt", {}).get("tokens", 0.0)
    memory = candidate.estimate.facts.get("memory", {})
    answering, gpu = candidate.estimate.cost("serving_peak_bytes"), memory.get("serving_gpu", 1.0)
    return (
        float(barred),
        -candidate.quality,
        -candidate.high,
        upkeep.refreshing,
        float(len(candidate.plan.steps)),
        prompt,
        *(candidate.estimate.cost(n) for n in _COSTS),
        # Of two that need as much in all, one may fit beside a small GPU.
        answering * gpu,
        answering * (1 - gpu),
        memory.get("gpu_peak_bytes", 0.0),
        memory.get("main_peak_bytes", 0.0),
    )


class Shortcut:
    """Rankings under other values of a limit, of the margin or of the traffic, without judging anything again.

    Only who keeps that limit, or what answering costs, is worked out anew. What stages suggest and rules say under
    the value is not: a flip found so must be confirmed.
    """

    def __init__(self, bench: Bench, lever: Lever) -> None:
        self._lever = lever
        base = bench.judgement
        if lever.now is None:  # a limit that is stated at all already moves rules that ask for it
            base = bench.judge(under(bench.profile, {lever.fact: lever.high}))
        self._base = base
        self._traffic = bench.profile.number("scenario.queries_per_day", 100.0)
        self._economy = {j.number: economy_of(j) for j in base.order}
        self._both = [self._with_and_without(j) for j in base.order]

    def judge(self, value: float) -> Judgement:
        """The ranking, of which only the first place and who is kept can be relied on."""
        lever, base = self._lever, self._base
        if lever.fact == "scenario.indifference":
            return self._ranking(base.order, value)
        if lever.fact == "scenario.queries_per_day":
            times = value / self._traffic if self._traffic else 0.0
            return self._ranking([_busier(j, times) for j in base.order], base.margin, fresh=True)
        return self._ranking(self._limited(value), base.margin)

    def _ranking(self, judged: Sequence[Judged], margin: float, *, fresh: bool = False) -> Judgement:
        first = chosen(judged, margin, economy_of if fresh else lambda j: self._economy[j.number])
        return Judgement(tuple(sorted(judged, key=lambda j: (j is not first, not j.candidate.kept))), margin)

    def _limited(self, value: float) -> list[Judged]:
        """The candidates, with that limit kept or broken."""
        reverse = self._lever.reverse
        return [
            whole if need is None else broken if (need < value if reverse else need > value) else whole
            for need, whole, broken in self._both
        ]

    def _with_and_without(self, judged: Judged) -> tuple[float | None, Judged, Judged]:
        """What a candidate needs of the limit, and what it is where it keeps it and where it breaks it."""
        lever = self._lever
        if lever.need is None or judged.prediction is None:
            return None, judged, judged
        need = lever.need(judged)
        others = tuple(r for r in judged.candidate.rejections if r.limit != lever.limit)
        broken = (*others, Rejection(lever.limit, lever.show(need), "", ""))
        return need, _rejected(judged, others), _rejected(judged, broken)


def _rejected(judged: Judged, rejections: tuple[Rejection, ...]) -> Judged:
    return replace(judged, candidate=judged.candidate.with_rejections(rejections))


def _busier(judged: Judged, times: float) -> Judged:
    """The candidate under so many times the traffic."""
    return replace(judged, upkeep=replace(judged.upkeep, answering=judged.upkeep.answering * times))
