"""Calibration from the ledger: fitted when a run ends, stored as plain coefficients.

The error of a number, ln(measured/stated) (of quality: measured - stated points), is modelled per kind as

    error = kind + stage + machine + stage at machine + noise        (sizes and points: kind + stage + noise)

with every term drawn around 0, so that few runs move little and a stage that has not run takes what its kind shows.
That is ridge regression on one-hot columns scaled by the terms' standard deviations (a random-effects model: Henderson,
Best linear unbiased estimation and prediction under a selection model, Biometrics 31, 1975). Runs far from the median
of their like are weighted down first (Huber, Robust estimation of a location parameter, Ann. Math. Statist. 35, 1964,
with weights that fall with the square of the distance), so that one wild run does not decide.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kistack.domain.calibration import ANY, PRIORS, UNCALIBRATED, Calibration, Correction, Observed, Prior

if TYPE_CHECKING:
    from kistack.storage.project import Project

#: How the prior variance beyond noise divides over the terms. Assumed: what is wrong is mostly a stage's own formula,
#: and of points mostly what all plans share (the base model, the questions).
_TIMED = {"kind": 0.10, "stage": 0.55, "machine": 0.20, "pair": 0.15}
_SIZES = {"kind": 0.15, "stage": 0.85}
_POINTS = {"kind": 0.50, "stage": 0.50}
#: The prior noise counts as much as so many repeated runs. Assumed.
_PRIOR_RUNS = 4
#: Below these a number says nothing of others of its kind: starting a process, an empty interpreter, the frame of a
#: file. Assumed.
_SMALL = {"seconds": 5.0, "peak_bytes": 1e8, "bytes": 1e6}
#: Distance from the median of its like, in standard deviations of noise, from which on a run counts less.
_FAR = 3.0
#: Median absolute deviation to standard deviation of a normal distribution.
_MAD = 1.4826
#: A group whose median can tell which of its runs is the wild one.
_GROUP = 3


@dataclass(frozen=True, slots=True)
class _Row:
    """One observation with the error of its prediction."""

    error: float
    run: str
    stage: str
    machine: str
    small: bool = False


def calibrate(project: Project) -> Calibration:
    """Fit a project's calibration to its ledger and keep it; returns it.

    Raises:
        StoreError: the ledger cannot be read or the file not be written.

    """
    found = fit(project.ledger().observed())
    project.keep_calibration(found)
    return found


def fit(observed: Iterable[Observed]) -> Calibration:
    """The corrections that these observations bear out; none where there are none."""
    rows: dict[str, list[_Row]] = defaultdict(list)
    runs: set[str] = set()
    for one in observed:
        error = one.error
        if error is not None:
            place = one.machine if PRIORS[one.kind].timed else ANY
            small = max(one.raw, one.measured) < _SMALL.get(one.kind, 0.0)
            rows[one.kind].append(_Row(error, one.run, one.stage, place, small))
            runs.add(one.run)
    if not rows:
        return UNCALIBRATED
    found: dict[tuple[str, str, str], Correction] = {}
    for kind, own in sorted(rows.items()):
        for (stage, machine), correction in _fitted(PRIORS[kind], _telling(own)).items():
            found[kind, stage, machine] = correction
    return Calibration(found, len(runs))


def _telling(rows: Sequence[_Row]) -> list[_Row]:
    """Without what is small beside work of the same stage that is not: unpacking a model is no copying of a file."""
    large = {row.stage for row in rows if not row.small}
    return [row for row in rows if not (row.small and row.stage in large)]


@dataclass(frozen=True, slots=True)
class _Noise:
    """How much repeated work differs, and what each row counts because of it."""

    weights: list[float]
    squares: list[float]  # of each row's distance from the median of its like; far ones count less
    prior: float

    def variance(self, own: Sequence[int], groups: int) -> tuple[float, int]:
        """Variance over the rows ``own``, which form ``groups``, with its degrees of freedom; the prior included."""
        freedom = _PRIOR_RUNS + len(own) - groups
        total = _PRIOR_RUNS * self.prior**2 + sum(self.squares[n] for n in own)
        return total / freedom, freedom

    def of_stage(self, stage: str, rows: Sequence[_Row]) -> tuple[float, int]:
        """``variance`` over the rows of one stage: some repeat to the byte, others wander."""
        own = [n for n, row in enumerate(rows) if row.stage == stage]
        return self.variance(own, len({rows[n].machine for n in own}))


def _noise(prior: Prior, rows: Sequence[_Row]) -> _Noise:
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        groups[row.stage, row.machine].append(row.error)
    middle = {place: statistics.median(errors) for place, errors in groups.items()}
    away = [abs(row.error - middle[row.stage, row.machine]) for row in rows]
    telling = [d for row, d in zip(rows, away, strict=True) if len(groups[row.stage, row.machine]) >= _GROUP]
    far = _FAR * max(prior.noise, _MAD * statistics.median(telling) if telling else 0.0)
    weights = [1.0 if d <= far else (far / d) ** 2 for d in away]
    return _Noise(weights, [d * min(d, far) for d in away], prior.noise)


def _fitted(prior: Prior, rows: Sequence[_Row]) -> dict[tuple[str, str], Correction]:
    """Corrections for every stage and machine of the rows, and for those that no run has seen."""
    import numpy as np
    from scipy.stats import t as student
    from sklearn.linear_model import Ridge

    terms = _Terms(prior, rows)
    noise = _noise(prior, rows)
    variance, _ = noise.variance(range(len(rows)), len(terms.pairs))
    spreads = {stage: noise.of_stage(stage, rows) for stage in terms.stages}
    x = np.array([terms.columns(row.stage, row.machine) for row in rows])
    weights = np.array([w / spreads[row.stage][0] for w, row in zip(noise.weights, rows, strict=True)])
    ridge = Ridge(alpha=1.0, fit_intercept=False, solver="cholesky")
    ridge.fit(x, np.array([row.error for row in rows]), sample_weight=weights)
    posterior = np.linalg.inv((x.T * weights) @ x + np.eye(x.shape[1]))
    # What no run has shown is not claimed: terms that add up could leave the range of the data.
    lowest = min(0.0, *(row.error for row in rows))
    highest = max(0.0, *(row.error for row in rows))
    found = {}
    for stage in (*terms.stages, ANY):
        own = [n for n, row in enumerate(rows) if row.stage == stage]
        spread, freedom = spreads.get(stage, (variance, _PRIOR_RUNS))
        for machine in (*terms.machines, ANY) if prior.timed else (ANY,):
            here = np.array(terms.columns(stage, machine))
            unsure = float(here @ posterior @ here) + terms.unseen(stage, machine) + spread
            half = float(student.ppf(0.9, freedom)) * math.sqrt(unsure)
            runs = {rows[n].run for n in own if rows[n].machine == machine}
            correction = Correction(
                offset=min(highest, max(lowest, float(here @ ridge.coef_))),
                half=half,
                runs=len(runs),
                elsewhere=len({rows[n].run for n in own} - runs),
            )
            found[stage, machine] = _widened(correction, prior)
    return found


def _widened(correction: Correction, prior: Prior) -> Correction:
    """Too few runs cannot tell luck from rule: then the interval is at least the prior's."""
    if correction.enough or correction.half >= prior.half:
        return correction
    return Correction(correction.offset, prior.half, correction.runs, correction.elsewhere)


class _Terms:
    """The columns of the regression, each scaled by the standard deviation that its term has before any run.

    A stage whose numbers are all small has its own terms only: it neither takes what its kind shows nor shows it.
    """

    def __init__(self, prior: Prior, rows: Sequence[_Row]) -> None:
        self.stages = sorted({row.stage for row in rows})
        self.machines = sorted({row.machine for row in rows})
        self.pairs = sorted({(row.stage, row.machine) for row in rows})
        self._apart = {row.stage for row in rows} - {row.stage for row in rows if not row.small}
        shares = _TIMED if prior.timed else _POINTS if prior.points else _SIZES
        beyond = prior.spread**2 - prior.noise**2
        self.variances = {term: share * beyond for term, share in shares.items()}

    def _levels(self, stage: str, machine: str) -> dict[str, tuple[Any, list[Any]]]:
        levels: dict[str, tuple[Any, list[Any]]] = {
            "kind": ("", [""]),
            "stage": (stage, self.stages),
            "machine": (machine, self.machines),
            "pair": ((stage, machine), self.pairs),
        }
        return {term: levels[term] for term in self.variances if stage not in self._apart or term in {"stage", "pair"}}

    def columns(self, stage: str, machine: str) -> list[float]:
        """The row of one stage on one machine; what no run has seen has no column."""
        row: list[float] = []
        own = self._levels(stage, machine)
        for term, (_, known) in self._levels(ANY, machine).items():
            scale = math.sqrt(self.variances[term]) if term in own else 0.0
            row += [scale if level == own.get(term, ("",))[0] else 0.0 for level in known]
        return row

    def unseen(self, stage: str, machine: str) -> float:
        """The variance of those terms that no run has seen."""
        levels = self._levels(stage, machine)
        return sum(self.variances[term] for term, (here, known) in levels.items() if here not in known)
