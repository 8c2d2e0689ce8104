"""What a sweep is made of: combinations to measure, and a row for each with what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kistack.domain.plan import Plan
from kistack.domain.records import Measurement
from kistack.plugins.stages import TECHNIQUES

SWEEP_SCHEMA = 1

#: Nothing more is to be done about a row of these.
FINAL = frozenset({"done", "failed", "refused", "impossible"})


def set_name(techniques: Sequence[str]) -> str:
    """Techniques joined by plus in the order in which they are usually run; ``nothing`` where there are none."""
    known = [t for t in TECHNIQUES if t in techniques]
    return "+".join([*known, *(t for t in techniques if t not in TECHNIQUES)]) or "nothing"


@dataclass(frozen=True, slots=True)
class Combination:
    """A plan that a sweep is to measure.

    ``roles`` say what it stands for: ``advised``, ``factorial`` (the one plan of its set of techniques from which
    effects are computed), ``habit`` (only there to be compared with). ``predicted`` are the numbers of the whole plan
    as they were told before the sweep began, ``intervals`` their 80 % intervals. ``rejections`` are the limits and
    rules that the advice rejects it by; ``refused`` are those of them that forbid running it, in words; ``problem`` is
    why it cannot be composed at all.
    """

    name: str
    plan: Mapping[str, Any]
    roles: tuple[str, ...] = ()
    predicted: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rejections: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    problem: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)  # expected, by the key of the node

    @property
    def techniques(self) -> tuple[str, ...]:
        """The kinds of its steps."""
        return Plan.model_validate(self.plan).techniques

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Combination:
        """What ``asdict`` wrote."""
        data = dict(document)
        data["intervals"] = {n: (float(low), float(high)) for n, (low, high) in data["intervals"].items()}
        for name in ("roles", "rejections", "refused"):
            data[name] = tuple(data[name])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Work:
    """One node of a combination: ``status`` says whether this run made it, ``seconds`` what making it took whenever."""

    key: str
    use: str
    purpose: str  # step, source, or evaluation
    status: str
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A combination as it was measured.

    ``status``: done; failed (``error`` says why); refused (it exceeds a limit); impossible (it cannot be composed);
    cut (the budget ended in its middle). ``measured`` are numbers of the whole plan under the names of what is
    predicted: ``quality`` in points (0 to 100), ``seconds`` of all its steps as if it had been built alone, and so on.
    ``items`` are numbers per held-out question, in the questions' order; ``latency_seconds`` among them covers the
    first few. ``beside`` has the deciding metric of the baselines. ``spent`` is the wall clock this row cost.
    """

    name: str
    status: str
    run: str = ""
    error: str = ""
    spent: float = 0.0
    metrics: Mapping[str, Measurement] = field(default_factory=dict)
    items: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, Measurement] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    work: tuple[Work, ...] = ()
    bundle: str = ""

    @property
    def done(self) -> bool:
        """Whether it was measured."""
        return self.status == "done"

    def to_json(self) -> dict[str, Any]:
        """A JSON document that ``from_json`` reads back."""
        return {"schema": SWEEP_SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Row:
        """The row that ``to_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: the document is not of that form.
        """
        data = {n: v for n, v in document.items() if n != "schema"}
        for name in ("metrics", "beside"):
            data[name] = {n: Measurement(**m) for n, m in data[name].items()}
        data["items"] = {n: tuple(float(v) for v in values) for n, values in data["items"].items()}
        data["work"] = tuple(Work(**w) for w in data["work"])
        return cls(**data)


@dataclass(frozen=True)
class Sweep:
    """A sweep as it stands: what was asked for, the combinations in the order they are run, and a row for each so far.

    ``status``: done (every combination has its row), budget (it ran out), or unfinished. ``metric`` decides quality;
    ``lower`` says that less of it is better. ``machine`` says whether what was measured here is what serves there.
    """

    sweep: str
    started: str
    metric: str
    combinations: tuple[Combination, ...]
    rows: Mapping[str, Row]
    request: Mapping[str, Any] = field(default_factory=dict)
    status: str = "unfinished"
    limits: Mapping[str, float] = field(default_factory=dict)
    rule: str = ""
    notes: tuple[str, ...] = ()
    serves_here: bool = True

    @property
    def advised(self) -> Combination | None:
        """The combination that the advice names first; None where nothing is feasible or it is not among these."""
        return next((c for c in self.combinations if "advised" in c.roles), None)

    @property
    def spent(self) -> float:
        """Seconds of wall clock that the rows cost."""
        return sum(row.spent for row in self.rows.values())

    def done(self) -> dict[str, Row]:
        """The rows that were measured, by name."""
        return {c.name: self.rows[c.name] for c in self.combinations if c.name in self.rows and self.rows[c.name].done}
