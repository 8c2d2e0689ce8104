"""What is predicted and what was observed: never the same type, for their difference is the calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: Units of every cost name that an estimate or a measurement may carry.
COST_UNITS: dict[str, str] = {
    "seconds": "s",
    "peak_bytes": "B",
    "bytes": "B",
    "scratch_bytes": "B",
    "money": "USD",
    "latency_seconds": "s",
    "tokens_per_second": "1/s",
    "query_seconds": "s",
}

#: Version of ``RunRecord.to_json``. 2: what was stated before calibration stands beside what was predicted.
RUN_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Effect:
    """A change in answer quality, in points (0 to 100), with its interval, conditions and source."""

    points: float
    low: float
    high: float
    conditions: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stage expects of itself.

    ``costs`` use the names of ``COST_UNITS``: ``seconds`` (wall clock), ``peak_bytes`` (memory where it
    computes: of a GPU, else resident memory of the worker), ``scratch_bytes`` (disk beyond its outputs), ``money``; for
    an opened artifact ``latency_seconds`` (one answer), ``tokens_per_second``, ``query_seconds``, ``peak_bytes``.
    ``facts`` give, per output, the numbers that later steps need (``bytes`` always).

    A stage fills these. Calibration moves them, keeps in ``raw`` what was stated of the numbers it moved (``bytes``:
    of all outputs together), and gives the 80 % intervals in ``intervals``.
    """

    costs: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    quality: Effect | None = None
    raw: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def cost(self, name: str, default: float = 0.0) -> float:
        """One number of ``costs``."""
        return self.costs.get(name, default)

    def stated(self, name: str, default: float = 0.0) -> float:
        """The number as it was before calibration moved it."""
        return self.raw.get(name, self.costs.get(name, default))

    def interval(self, name: str) -> tuple[float, float]:
        """The 80 % interval of a number; both ends are the number itself where nothing is said of it."""
        value = self.costs.get(name, 0.0)
        return self.intervals.get(name, (value, value))

    @property
    def made(self) -> float:
        """Bytes of all outputs."""
        return sum(numbers.get("bytes", 0.0) for numbers in self.facts.values())


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number that was observed, with a 95 % interval where it was sampled (else equal bounds)."""

    value: float
    low: float
    high: float
    unit: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One node of a pipeline as it ran: what was predicted, what was measured, what it left.

    ``predicted`` is what the user was told, ``raw`` what the stage had stated before it was calibrated. ``facts`` are
    numbers of what it read (``pairs.count``), ``results`` of what it made (``model.bytes``). ``work`` is what its
    numbers are calibrated as: the stage with whatever it opens; the stage alone where it is empty.
    """

    use: str
    key: str
    status: str  # done, reused, failed, cancelled
    plugin: str = ""
    auto: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    predicted: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)  # output name to artifact digest
    facts: Mapping[str, float] = field(default_factory=dict)
    deterministic: bool = True
    error: str = ""
    version: str = ""  # of the stage
    results: Mapping[str, float] = field(default_factory=dict)
    raw: Mapping[str, float] = field(default_factory=dict)
    work: str = ""


@dataclass(frozen=True, slots=True)
class SystemScore:
    """One evaluated system (the baseline, or what a plan delivers): its metrics and what was unavailable.

    ``metrics`` are per metric name; ``items`` the artifact digest of its per-item answers;
    ``unavailable`` maps a metric to the reason it has no number.
    """

    name: str
    metrics: Mapping[str, Measurement] = field(default_factory=dict)
    items: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    answers: str = ""
    unavailable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run: plan, profile, environment, steps, scores and status.

    ``predicted`` are costs and points (``quality``) of the plan as a whole as the user was told them, ``raw`` the same
    before calibration, ``measured`` what this run itself measured of them. ``runtime`` is the stage that answers,
    ``points_kind`` the kind of number that the points were predicted as.
    """

    run: str
    status: str  # done, failed, cancelled, running
    plan: Mapping[str, Any]
    profile: str  # digest
    environment: Mapping[str, str]
    steps: tuple[StepRecord, ...] = ()
    systems: Mapping[str, SystemScore] = field(default_factory=dict)
    predicted: Mapping[str, float] = field(default_factory=dict)
    bundle: str = ""
    started: str = ""
    seconds: float = 0.0
    error: str = ""
    schema: int = RUN_SCHEMA
    raw: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    runtime: str = ""
    points_kind: str = "quality"

    @property
    def techniques(self) -> str:
        """The kinds of the plan's steps joined by plus, ``nothing`` where it has none."""
        kinds = dict.fromkeys(str(s["use"]).partition("/")[0] for s in self.plan.get("steps", ()))
        return "+".join(kinds) or "nothing"

    def told_of(self, number: str) -> tuple[str, str]:
        """The kind of a number of the whole plan, and what calibrates it: the runtime, for points the techniques."""
        return (self.points_kind, self.techniques) if number == "quality" else (number, self.runtime)

    def to_json(self) -> dict[str, Any]:
        """A JSON document that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunRecord:
        """The record that ``to_json`` wrote, now or in schema 1, where nothing was calibrated."""
        data = {**document, "schema": RUN_SCHEMA}
        steps = data.get("steps", ())
        if document.get("schema", 1) == 1:
            steps = [{**s, "raw": s.get("predicted", {})} for s in steps]
            data["raw"] = data.get("predicted", {})
        data["steps"] = tuple(StepRecord(**s) for s in steps)
        data["systems"] = {
            name: SystemScore(
                name=s["name"],
                metrics={m: Measurement(**v) for m, v in s["metrics"].items()},
                items={m: tuple(v) for m, v in s["items"].items()},
                answers=s["answers"],
                unavailable=s["unavailable"],
            )
            for name, s in data.get("systems", {}).items()
        }
        return cls(**data)
