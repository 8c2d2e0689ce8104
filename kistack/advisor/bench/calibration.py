"""How well predictions are calibrated: every run of the ledger predicted from the others.

Of each kind of number: the share of measurements that lie in the stated 80 % interval, and the median distance
between measured and predicted, as stages state it and as it is corrected.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kistack.advisor.calibration import fit
from kistack.domain.calibration import PRIORS, Calibration, Observed

CALIBRATION_BENCH_SCHEMA = 1
#: The coverage that the intervals state.
STATED = 0.8
#: Runs below which a coverage says nothing: of fewer than five, an interval that is right covers all or misses one.
LEAST_RUNS = 5


@dataclass(frozen=True, slots=True)
class Coverage:
    """One kind of number over the ledger.

    ``covered`` is the share inside the 80 % interval; ``raw`` and ``calibrated`` are medians of
    |ln(measured/predicted)|, of quality of |measured - predicted| in points; None where nothing was observed.
    """

    kind: str
    runs: int
    observations: int
    covered: float | None
    raw: float | None
    calibrated: float | None

    @property
    def enough(self) -> bool:
        """Whether there are runs enough for the coverage to mean something."""
        return self.runs >= LEAST_RUNS


@dataclass(frozen=True, slots=True)
class CalibrationBench:
    """Coverage by kind of number; ``runs`` is how many runs have told anything."""

    runs: int
    kinds: tuple[Coverage, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable names."""
        return {
            "schema": CALIBRATION_BENCH_SCHEMA,
            "runs": self.runs,
            "stated": STATED,
            "least_runs": LEAST_RUNS,
            "kinds": {
                c.kind: {n: v for n, v in asdict(c).items() if n != "kind"} | {"enough": c.enough} for c in self.kinds
            },
        }


def bench_calibration(observed: Sequence[Observed]) -> CalibrationBench:
    """Predict every run from the others, and compare."""
    usable = [one for one in observed if one.error is not None]
    runs = sorted({one.run for one in usable})
    raw: dict[str, list[float]] = defaultdict(list)
    calibrated: dict[str, list[float]] = defaultdict(list)
    inside: dict[str, list[bool]] = defaultdict(list)
    seen: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        others = fit(one for one in usable if one.run != run)
        for one in usable:
            if one.run == run:
                away, covered = _missed(one, others)
                raw[one.kind].append(abs(one.error or 0.0))
                calibrated[one.kind].append(away)
                inside[one.kind].append(covered)
                seen[one.kind].add(run)
    return CalibrationBench(
        len(runs),
        tuple(
            Coverage(
                kind=kind,
                runs=len(seen[kind]),
                observations=len(raw[kind]),
                covered=statistics.mean(inside[kind]) if inside[kind] else None,
                raw=statistics.median(raw[kind]) if raw[kind] else None,
                calibrated=statistics.median(calibrated[kind]) if calibrated[kind] else None,
            )
            for kind in PRIORS
        ),
    )


def _missed(one: Observed, others: Calibration) -> tuple[float, bool]:
    """How far from its corrected prediction a number was measured, and whether the interval holds it."""
    correction = others.of(one.kind, one.stage, one.machine)
    away = abs((one.error or 0.0) - correction.offset)
    return away, away <= correction.half
