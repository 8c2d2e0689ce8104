"""Levers: the facts and limits that may flip a recommendation, each with its range, its steps and its words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kistack.advisor.choice import Judged
from kistack.advisor.limits import P95_OVER_MEAN, Held, serving_bytes, training_bytes
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.costs import Machine, machine
from kistack.units import format_count, format_duration, format_money, format_share, format_size

Direction = Literal["less", "more"]
#: What judging again under another value asks for: the limits alone, the quality of every candidate, or composing.
Effort = Literal["limits", "quality", "composing"]

_DIGITS = 3
#: Steps over a range where judging is cheap, where every candidate's quality or estimate is worked out again, and
#: there too when nobody waits.
_CHEAP_STEPS, _DEAR_STEPS, _PATIENT_STEPS = 8, 1, 3


@dataclass(frozen=True, slots=True)
class Lever:
    """One fact or limit that may change, alone.

    ``low`` and ``high`` is the range that is looked through; ``now`` its value (None: no limit, or not known), and
    ``reference`` what nearness is measured from. ``less`` and ``more`` are half sentences with a place for the value.
    Where it is a limit, ``limit`` is what rejections call it, ``need`` what a candidate asks of it and ``needs`` the
    values at which some candidate begins to keep it; ``reverse`` says that a larger value is tighter. ``idle`` is a
    machine's limit, whose facts many estimates read, that no candidate breaks now.
    """

    fact: str
    less: str
    more: str
    show: Callable[[float], str]
    low: float
    high: float
    now: float | None
    effort: Effort
    reference: float | None = None
    linear: bool = False
    reverse: bool = False
    whole: bool = False
    idle: bool = False
    needs: tuple[float, ...] = field(default=(), repr=False)
    limit: str = ""
    need: Callable[[Judged], float] | None = field(default=None, repr=False)

    def steps(self, direction: Direction, *, patient: bool = False) -> list[float]:
        """Values to look at, from now outwards; more of them where ``patient``."""
        count = _CHEAP_STEPS if self.effort == "limits" else _PATIENT_STEPS if patient else _DEAR_STEPS
        start = self.now
        if self.effort == "limits" and self.needs:
            # A candidate keeps a limit that is exactly what it needs: look at each need, and just below it.
            edge = {v for n in self.needs for v in (n, n * (1 - 1e-6)) if self.low <= v <= self.high}
            if direction == "less":
                return sorted((v for v in edge if start is None or v < start), reverse=True)
            return sorted(v for v in edge if start is not None and v > start)
        end = self.low if direction == "less" else self.high
        if start is None:
            start, end = (self.high, self.low) if direction == "less" else (self.low, self.high)
            return [start, *self._between(start, end, count)]
        if (direction == "less") == (end >= start):
            return []
        if start <= 0 and not self.linear:
            return [self.low, *self._between(self.low, end, count)]
        return self._between(start, end, count)

    def _between(self, start: float, end: float, count: int) -> list[float]:
        if self.linear:
            return [start + (end - start) * n / count for n in range(1, count + 1)]
        found = [start * (end / start) ** (n / count) for n in range(1, count)]
        return [*(map(float, map(round, found)) if self.whole else found), end]

    def middle(self, one: float, other: float) -> float:
        """The value between two, on the lever's scale."""
        middle = (one + other) / 2 if self.linear or min(one, other) <= 0 else math.sqrt(one * other)
        return float(round(middle)) if self.whole else middle

    def close(self, one: float, other: float, tolerance: float) -> bool:
        """Whether two values differ by no more than that share of the larger (on a linear scale, of its range too)."""
        if self.whole and abs(one - other) <= 1:
            return True
        if self.linear and abs(one - other) <= tolerance * 0.02 * (self.high - self.low):
            return True
        return abs(one - other) <= tolerance * max(abs(one), abs(other))

    def distance(self, value: float) -> float:
        """How far a value is from now: the logarithm of their ratio; infinite where nothing is known now."""
        origin = self.now if self.now is not None else self.reference
        if origin is None or origin <= 0 or value <= 0:
            return math.inf
        return abs(math.log(value / origin))

    def condition(self, direction: Direction, value: float) -> str:
        """``the corpus changed less than once in 80 days``."""
        return (self.less if direction == "less" else self.more).format(self.show(value))

    @property
    def now_text(self) -> str:
        """The value as it is, for a sentence."""
        return "not stated" if self.now is None or (self.reverse and not self.now) else self.show(self.now)


def _days(value: float) -> str:
    return "never" if value <= 0 else f"once in {format_count(1 / value)} days"


def _size(value: float) -> str:
    return format_size(value, _DIGITS)


def _time(value: float) -> str:
    return format_duration(value, _DIGITS)


def _share(value: float) -> str:
    return format_share(value, _DIGITS)


def _count(value: float) -> str:
    return format_count(value)


def _money(value: float) -> str:
    return format_money(value, _DIGITS)


def _points(value: float) -> str:
    return f"{value:.3g} points"


def _rate(value: float) -> str:
    return f"{format_size(value, _DIGITS)}/s"


#: Fact, half sentences, how it is shown, lowest and highest value, effort, whether the scale is linear. The ranges
#: are what is met in practice: content that changes once in 270 years to every other day, one question a day to a
#: million, models from a tenth to twenty times the size, and so on.
_FACTS: tuple[tuple[str, str, str, Callable[[float], str], float, float, Effort, bool], ...] = (
    ("freshness.changed_per_day", "the corpus changed less than {}", "the corpus changed more than {}", _days,
     1e-5, 0.5, "quality", False),
    ("scenario.queries_per_day", "less than {} questions a day were asked", "more than {} questions a day were asked",
     _count, 1.0, 1e6, "limits", False),
    ("scenario.indifference", "differences of {} already mattered", "differences of {} did not matter", _points,
     0.0, 25.0, "limits", True),
    ("scenario.horizon_days", "it had to serve for less than {} days", "it had to serve for more than {} days", _count,
     1.0, 3650.0, "quality", False),
    ("probe.closed_book", "the untouched model answered less than {} of the questions without passages",
     "the untouched model answered more than {} of the questions without passages", _share, 0.0, 1.0, "quality", True),
    ("probe.recall", "the passages held the answer for less than {} of the questions",
     "the passages held the answer for more than {} of the questions", _share, 0.0, 1.0, "quality", True),
    ("pairs.train", "there were less than {} pairs to train on", "there were more than {} pairs to train on", _count,
     1 / 30, 30.0, "composing", False),
    ("model.params", "the base model had less than {} parameters", "the base model had more than {} parameters", _count,
     0.1, 20.0, "composing", False),
    ("serving.bandwidth", "the memory that serves were slower than {}", "the memory that serves were faster than {}",
     _rate, 0.1, 10.0, "composing", False),
)  # fmt: skip
#: What a reader calls the facts of all levers.
TOPICS = {
    "freshness.changed_per_day": "how fast the documents change",
    "scenario.queries_per_day": "how many questions a day are asked",
    "scenario.indifference": "the differences in quality that do not matter",
    "scenario.horizon_days": "how long it is to serve",
    "probe.closed_book": "what the untouched model answers by itself",
    "probe.recall": "how often the passages hold the answer",
    "pairs.train": "the number of training pairs",
    "model.params": "the size of the base model",
    "serving.bandwidth": "the speed of the memory that serves",
    "scenario.limit_memory": "the limit on memory",
    "scenario.limit_disk": "the limit on disk",
    "scenario.limit_latency": "the limit on an answer's time",
    "scenario.limit_training": "the limit on training time",
    "scenario.limit_money": "the limit on money",
    "scenario.at_least": "the least acceptable quality",
    "serving.ram_free": "the free memory where it serves",
    "serving.gpu_free": "the free GPU memory where it serves",
    "hardware.ram_free": "the free memory where it trains",
    "hardware.gpu_free": "the free GPU memory where it trains",
}
#: Those of them whose range is relative to the present value, so that it makes sense for any model and machine.
_RELATIVE = frozenset({"pairs.train", "model.params", "serving.bandwidth"})
#: Facts that are counts.
_WHOLE = frozenset({"pairs.train"})
#: Facts that may be unknown and still flip the choice once they are measured.
_PROBES = frozenset({"probe.closed_book", "probe.recall"})

_Need = Callable[[Judged], float]


def _cost(name: str, scale: float = 1.0) -> _Need:
    def need(judged: Judged) -> float:
        estimate: Estimate = judged.candidate.estimate
        return scale * estimate.cost(name)

    return need


_LIMITS: tuple[tuple[str, str, str, Callable[[float], str], _Need], ...] = (
    ("scenario.limit_memory", "memory", "of memory while serving", _size, _cost("serving_peak_bytes")),
    ("scenario.limit_disk", "disk", "of disk for what is deployed", _size, _cost("bytes")),
    ("scenario.limit_latency", "latency", "for 95 % of the answers", _time, _cost("latency_seconds", P95_OVER_MEAN)),
    ("scenario.limit_training", "training time", "of training", _time, _cost("seconds")),
    ("scenario.limit_money", "money", "of money", _money, _cost("money")),
)


def levers(profile: Profile, judged: Sequence[Judged]) -> list[Lever]:
    """The levers of a scenario, those that are judged with least effort first.

    ``judged`` are the candidates, the recommended one first: their needs are where limits begin to bind.
    """
    known = [j for j in judged if j.prediction is not None]
    found = [*_limits(profile, known), *_machines(profile, known)]
    for fact, less, more, show, low, high, effort, linear in _FACTS:
        now = profile.number(fact, math.nan)
        missing = math.isnan(now)
        if missing and (fact not in _PROBES or profile.text("scenario.task") == "behaviour"):
            continue
        if fact in _RELATIVE and now <= 0:
            continue
        ends = (now * low, now * high) if fact in _RELATIVE else (low, high)
        if whole := fact in _WHOLE:
            ends = (max(1.0, math.floor(ends[0])), math.ceil(ends[1]))
        found.append(Lever(fact, less, more, show, *ends, None if missing else now, effort, linear=linear, whole=whole))
    return sorted(found, key=lambda lever: ("limits", "quality", "composing").index(lever.effort))


def _limits(profile: Profile, judged: Sequence[Judged]) -> list[Lever]:
    found = []
    for fact, limit, what, show, need in _LIMITS:
        found += _limit(profile, fact, limit, f"less than {{}} {what} were allowed", f"{{}} {what} were allowed", show,
                        need, judged)  # fmt: skip
    found += _limit(
        profile, "scenario.at_least", "quality", "{} were good enough", "at least {} were asked for", _share,
        lambda j: j.candidate.high / 100, judged, reverse=True,
    )  # fmt: skip
    return found


def _machines(profile: Profile, judged: Sequence[Judged]) -> list[Lever]:
    """Free memory of the machines that train and serve: that of a GPU where there is one, and their own."""
    found = []
    for section, what, verb, held in (
        ("serving", "serving", "serves", serving_bytes),
        ("hardware", "training", "trains", training_bytes),
    ):
        here = machine(profile, section)
        kinds = (("gpu_free", "GPU memory", 0), ("ram_free", "memory", 1))
        for device, memory, part in kinds if here.gpus else kinds[1:]:
            found += _limit(
                profile, f"{section}.{device}", f"{what} {memory}",
                f"less than {{}} of {memory} were free where it {verb}",
                f"{{}} of {memory} were free where it {verb}", _size, _held(held, here, part), judged, machine=True,
            )  # fmt: skip
    return found


def _held(held: Callable[[Estimate, Machine], Held], here: Machine, part: int) -> _Need:
    def need(judged: Judged) -> float:
        return held(judged.candidate.estimate, here)[part]

    return need


def _limit(  # noqa: PLR0913, PLR0917 - what makes one lever
    profile: Profile,
    fact: str,
    limit: str,
    less: str,
    more: str,
    show: Callable[[float], str],
    need: _Need,
    judged: Sequence[Judged],
    *,
    reverse: bool = False,
    machine: bool = False,
) -> list[Lever]:
    """The lever of a limit; none where nothing needs anything of it. ``reverse``: a larger value is tighter."""
    needs = tuple(sorted({n for j in judged if (n := need(j)) > 0}))
    if not needs:
        return []
    now = profile.number(fact, math.nan)
    stated = not math.isnan(now)
    # Beyond all needs nothing changes: a limit that nobody reaches is none.
    low, high = (0.0 if reverse else needs[0] / 2), (1.0 if reverse else needs[-1] * 2)
    if reverse and not stated:
        now, stated = 0.0, True
    reference = None if stated else need(judged[0])
    edges = tuple(itertools.chain(needs, (n * (1 + 1e-6) for n in needs))) if reverse else needs
    return [
        Lever(fact, less, more, show, low, high, now if stated else None, "limits", reference, reverse=reverse,
              idle=machine and not any(r.limit == limit for j in judged for r in j.candidate.rejections),
              needs=edges, limit=limit, need=need)
    ]  # fmt: skip
