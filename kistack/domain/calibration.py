"""Calibration: how far predictions of each kind were off so far, as plain numbers, and predictions corrected by them.

The numbers are fitted elsewhere, when a run ends; here they are read and applied. A prediction of a positive number is
multiplied by ``exp(offset)``, one in points is moved by ``offset``; ``half`` is the half-width of its 80 % interval on
the same scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from kistack.domain.facts import Profile
from kistack.domain.records import Estimate

CALIBRATION_SCHEMA = 1
#: From so many runs of a stage on a machine on, its own spread is believed; before, the interval is the prior's.
ENOUGH = 2
#: Half-width of an 80 % interval of a normal distribution, in standard deviations.
Z80 = 1.2815515655446004
#: Stands for every stage, or every machine, that no run has seen.
ANY = "*"
_WITH = " with "


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of one kind of number before anything has run.

    ``spread`` is the standard deviation of ln(measured/predicted), or of measured - predicted where ``points``;
    ``noise`` the part of it that differs between two runs of the same work on one machine. ``timed`` numbers depend on
    the machine beyond what its profile says.
    """

    spread: float
    noise: float
    source: str
    timed: bool = False
    points: bool = False

    @property
    def half(self) -> float:
        """Half-width of the 80 % interval."""
        return Z80 * self.spread


_WANDERS = "repeated work wanders by some ten percent (kistack/plugins/costs.py), on a busy machine by more: assumed"

#: Per kind of number. Measured: docs/log.md, release desk, before anything was calibrated.
PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "seconds": Prior(
            0.74,
            0.15,
            f"five steps measured 0.41 to 2.54 times their prediction, rms of ln 0.74; {_WANDERS}",
            timed=True,
        ),
        "peak_bytes": Prior(
            0.30, 0.05, "six steps measured 0.82 to 1.56 times their prediction, rms of ln 0.30; noise assumed"
        ),
        "bytes": Prior(
            0.25,
            0.01,
            "weights measured within a few percent, one bundle to three digits; small files of the tiny test project "
            "0.8 to 2.6 times their prediction; assumed between; noise assumed",
        ),
        "latency_seconds": Prior(
            0.30, 0.15, f"one measured 1.14 times its prediction; assumed twice as wide; {_WANDERS}", timed=True
        ),
        "tokens_per_second": Prior(0.40, 0.15, f"one measured 0.67 times its prediction; {_WANDERS}", timed=True),
        "serving_peak_bytes": Prior(0.60, 0.10, "one measured 0.55 times its prediction; noise assumed"),
        "quality": Prior(
            15.0,
            5.0,
            "one measured 16 points above its prediction, whose own interval has a standard deviation of 15; noise: "
            "binomial of 200 questions and settings that one set of techniques lumps together, assumed",
            points=True,
        ),
        "quality_probed": Prior(
            10.0,
            5.0,
            "a probe of 40 pairs replaces the widest assumptions and has a binomial standard deviation of 8 points "
            "itself; the rest and the noise assumed as without one",
            points=True,
        ),
    }
)

#: Costs of a step, and of an opened model, to the kind of number that they are.
STEP_KINDS: Mapping[str, str] = MappingProxyType({"seconds": "seconds", "peak_bytes": "peak_bytes", "bytes": "bytes"})
SOURCE_KINDS: Mapping[str, str] = MappingProxyType({"seconds": "seconds", "peak_bytes": "peak_bytes"})
SERVING_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "latency_seconds": "latency_seconds",
        "tokens_per_second": "tokens_per_second",
        "peak_bytes": "serving_peak_bytes",
    }
)


class Observed(NamedTuple):
    """One number as a stage stated it, before any correction, and as a run measured it.

    ``stage`` is the name of a stage (``work_of`` a step), for points the techniques of the plan; ``machine`` is a
    fingerprint.
    """

    run: str
    kind: str
    stage: str
    machine: str
    raw: float
    measured: float

    @property
    def error(self) -> float | None:
        """Measured against stated, on the kind's scale; None where it says nothing (not positive, not finite)."""
        prior = PRIORS.get(self.kind)
        if prior is None or not (math.isfinite(self.raw) and math.isfinite(self.measured)):
            return None
        if prior.points:
            return self.measured - self.raw
        return math.log(self.measured / self.raw) if self.raw > 0 and self.measured > 0 else None


@dataclass(frozen=True, slots=True)
class Correction:
    """By how much predictions of one kind and stage are moved on one machine, and how sure that is.

    ``runs`` is how many runs on this machine it rests on (of a kind that does not depend on the machine: on any),
    ``elsewhere`` how many on others.
    """

    offset: float = 0.0
    half: float = 0.0
    runs: int = 0
    elsewhere: int = 0

    @property
    def enough(self) -> bool:
        """Whether it rests on enough runs to speak for itself."""
        return self.runs >= ENOUGH


@dataclass(frozen=True)
class Calibration:
    """All corrections, by kind, stage and machine; without any, predictions stay and intervals are the prior's."""

    corrections: Mapping[tuple[str, str, str], Correction] = field(default_factory=dict)
    runs: int = 0

    def of(self, kind: str, stage: str, machine: str = ANY) -> Correction:
        """The correction of a number: of this stage on this machine, else of what comes nearest to it.

        Raises:
            KeyError: there is no such kind of number.

        """
        prior = PRIORS[kind]
        place = machine if prior.timed else ANY
        for near in ((stage, place), (stage, ANY), (ANY, place), (ANY, ANY)):
            if (found := self.corrections.get((kind, *near))) is not None:
                return found
        return Correction(half=prior.half)

    def corrected(
        self, estimate: Estimate, stage: str, machine: str, kinds: Mapping[str, str] = STEP_KINDS
    ) -> Estimate:
        """The estimate with its costs moved, their 80 % intervals, and beside them what the stage stated."""
        costs, raw = dict(estimate.costs), dict(estimate.raw)
        intervals = dict(estimate.intervals)
        facts = estimate.facts
        for name, kind in kinds.items():
            stated = estimate.made if name == "bytes" else costs.get(name, 0.0)
            if not (stated > 0 and math.isfinite(stated)):
                continue
            found = self.of(kind, stage, machine)
            factor = math.exp(found.offset)
            intervals[name] = (stated * factor * math.exp(-found.half), stated * factor * math.exp(found.half))
            if not found.offset:
                continue
            raw[name] = stated
            if name == "bytes":
                facts = {out: _grown(numbers, factor) for out, numbers in facts.items()}
            else:
                costs[name] = stated * factor
        return replace(estimate, costs=costs, facts=facts, raw=raw, intervals=intervals)

    def _best_known(self, stage: str, machine: str) -> Correction:
        """The correction of a stage's time, of whatever it opens that most runs have shown."""
        works = {work for kind, work, _ in self.corrections if kind == "seconds" and work.partition(_WITH)[0] == stage}
        return max((self.of("seconds", work, machine) for work in sorted(works | {stage})), key=lambda c: c.runs)

    def describe(self, stages: Iterable[str], machine: str) -> str:
        """One line: how many runs the times of these stages rest on here, and which lack runs."""
        counts = {stage: self._best_known(stage, machine) for stage in stages}
        known = [f"{_runs(c.runs)} of {stage}" for stage, c in counts.items() if c.enough]
        lacking = [
            f"{_runs(c.runs)} of {stage} here" + (f" ({c.elsewhere} elsewhere)" if c.elsewhere else "")
            for stage, c in counts.items()
            if not c.enough
        ]
        told = [f"calibrated by {', '.join(known)} here"] if known else []
        told += [f"not calibrated: {', '.join(lacking)}; interval is the prior's"] if lacking else []
        return "predicted costs: " + "; ".join(told) if told else ""

    def to_json(self) -> dict[str, Any]:
        """A JSON document that ``from_json`` reads back."""
        return {
            "schema": CALIBRATION_SCHEMA,
            "runs": self.runs,
            "corrections": [
                {
                    "kind": kind,
                    "stage": stage,
                    "machine": machine,
                    "offset": c.offset,
                    "half": c.half,
                    "runs": c.runs,
                    "elsewhere": c.elsewhere,
                }
                for (kind, stage, machine), c in sorted(self.corrections.items())
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Calibration:
        """The calibration that ``to_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the document is not of that form, or of another schema.

        """
        if document["schema"] != CALIBRATION_SCHEMA:
            raise ValueError(f"calibration of schema {document['schema']!r}")
        found = {}
        for row in document["corrections"]:
            offset, half = float(row["offset"]), float(row["half"])
            if not (math.isfinite(offset) and math.isfinite(half) and half >= 0):
                raise ValueError(f"no correction: offset {offset}, half {half}")
            key = (str(row["kind"]), str(row["stage"]), str(row["machine"]))
            found[key] = Correction(offset, half, int(row["runs"]), int(row["elsewhere"]))
        return cls(found, int(document["runs"]))


def _grown(numbers: Mapping[str, float], factor: float) -> dict[str, float]:
    return {n: v * factor if n == "bytes" else v for n, v in numbers.items()}


def work_of(stage: str, opened: Iterable[str]) -> str:
    """What a step's numbers are calibrated as: its stage, and the stages through which it opens what it reads.

    The same questions answered through another runtime take another time and another memory.
    """
    through = ", ".join(sorted(set(opened)))
    return f"{stage}{_WITH}{through}" if through else stage


def points_kind(profile: Profile) -> str:
    """The kind of number that expected points are: a probe changes what they rest on, and so how far they are off."""
    return "quality_probed" if profile.number("probe.pairs") else "quality"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


#: Nothing has run: predictions stay as stated.
UNCALIBRATED = Calibration()
