"""Intervals for what was measured on a sample of items: bootstrap, paired differences, quantiles.

Everything here is deterministic: the same values and seed give the same bounds. A NaN is a failed item: it takes
the value of a failure and is counted, never averaged away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kistack.errors import InputError

Floats = NDArray[np.float64]

#: Resampled values held in memory at once; bounds the bootstrap to a few tens of MB however many items there are.
_BLOCK = 2_000_000

#: Differences of this share of their spread are rounding.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class PairedResult:
    """The mean difference of two systems on the same items, with its interval.

    ``wins`` counts items on which the first is better, ``losses`` on which it is worse. ``failed`` counts items
    on which either had no number (it entered as a failure). ``mean`` is first minus second, ``spread`` the standard
    deviation of the differences.
    """

    mean: float
    low: float
    high: float
    wins: int
    losses: int
    ties: int
    failed: int = 0
    spread: float = 0.0

    @property
    def count(self) -> int:
        """How many items were compared."""
        return self.wins + self.losses + self.ties

    @property
    def shown(self) -> bool:
        """Whether the interval excludes no difference at all."""
        return self.low > 0 or self.high < 0


def with_failures(values: ArrayLike, failure: float = 0.0) -> tuple[Floats, int]:
    """``values`` (n,) with every NaN replaced by ``failure``, and how many there were.

    Raises:
        InputError: there is no value at all, or they are not a plain list of numbers.

    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(f"expected one number per item, got an array of shape {array.shape}", "pass a flat list")
    if array.size == 0:
        raise InputError("no items to compute an interval from", "evaluate at least one item")
    missing = np.isnan(array)
    return np.where(missing, failure, array), int(missing.sum())


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0, failure: float = 0.0
) -> tuple[float, float]:
    """Interval of the mean of ``values`` (n,) by the bias-corrected and accelerated bootstrap (BCa).

    Efron, "Better Bootstrap Confidence Intervals", JASA 82 (1987). A sample of only zeros or only ones has no
    spread to resample; there the exact binomial bound (Clopper and Pearson, 1934) is given, so that 0 of 150
    reads as at most 2.4 %, not as a certain 0. Any other constant sample has that value as both bounds.

    Raises:
        InputError: no values, or a level or number of resamples that makes no sense.

    """
    _check(level, resamples)
    array, _ = with_failures(values, failure)
    first = float(array[0])
    if np.all(array == first):
        return _constant_interval(first, array.size, level)
    means = np.concatenate([array[index].mean(axis=1) for index in _resamples(array.size, resamples, seed)])
    return _bca(array, means, level)


def bootstrap_totals(
    rows: ArrayLike,
    combine: Callable[[Floats], Floats],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a number computed from sums over items, such as corpus BLEU or perplexity.

    ``rows`` (n, m) are the sufficient statistics of each item; ``combine`` maps sums (r, m) to numbers (r,). Items
    are resampled, their rows summed, and the sums combined; Koehn, "Statistical Significance Tests for Machine
    Translation Evaluation", EMNLP 2004.

    Raises:
        InputError: no rows, or a level or number of resamples that makes no sense.

    """
    _check(level, resamples)
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] == 0:  # noqa: PLR2004 - two axes: items and statistics
        raise InputError("no items to compute an interval from", "evaluate at least one item")
    totals = [table[index].sum(axis=1) for index in _resamples(table.shape[0], resamples, seed, table.shape[1])]
    drawn = np.concatenate([combine(block) for block in totals])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    failure: float = 0.0,
    lower_is_better: bool = False,
) -> PairedResult:
    """How much better ``a`` is than ``b`` on the same items (both (n,), same order).

    Comparing item by item, not system by system, lets what makes an item hard for both cancel out. The interval is BCa
    on the differences; where every item is right or wrong it is that of two paired proportions.

    Raises:
        InputError: different numbers of items, or none.

    """
    first, failed_first = np.asarray(a, dtype=np.float64), np.isnan(np.asarray(a, dtype=np.float64))
    second, failed_second = np.asarray(b, dtype=np.float64), np.isnan(np.asarray(b, dtype=np.float64))
    if first.shape != second.shape:
        raise InputError(
            f"cannot pair {first.size} items with {second.size}", "compare systems that answered the same items"
        )
    one, other = with_failures(first, failure)[0], with_failures(second, failure)[0]
    difference = one - other
    _check(level, resamples)
    if np.isin(one, (0, 1)).all() and np.isin(other, (0, 1)).all():
        low, high = _proportions_interval(difference, level)
    else:
        low, high = _difference_interval(difference, level, resamples, seed)
    better = difference < 0 if lower_is_better else difference > 0
    ties = int((difference == 0).sum())
    wins = int(better.sum())
    return PairedResult(
        mean=float(difference.mean()),
        low=low,
        high=high,
        wins=wins,
        losses=difference.size - wins - ties,
        ties=ties,
        failed=int((failed_first | failed_second).sum()),
        spread=float(difference.std(ddof=1)) if difference.size > 1 else 0.0,
    )


def items_needed(result: PairedResult, *, level: float = 0.95, power: float = 0.8) -> int | None:
    """How many more items would show this difference, were it as large and as spread as it was here.

    The sample size of a paired comparison of means, n = ((z_(1+level)/2 + z_power) · spread / mean)² (Cohen,
    *Statistical Power Analysis for the Behavioral Sciences*, 1988, chapter 2): with n items in all, so many of a
    hundred repetitions (``power``) give an interval that excludes zero. 0 where the difference is shown already, None
    where no number would do: the means are equal, or nothing varied. It is worked out from a difference that is itself
    uncertain, so take it for an order of magnitude.

    Raises:
        InputError: a level or power that makes no sense.

    """
    _check(level, 1)
    if not 0 < power < 1:
        raise InputError(f"power {power} is not between 0 and 1", "give for instance 0.8")
    if result.shown:
        return 0
    if result.spread <= 0 or abs(result.mean) <= _NOTHING * result.spread:
        return None
    normal = NormalDist()
    wanted = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)
    return max(1, math.ceil((wanted * result.spread / result.mean) ** 2) - result.count)


def quantile_interval(
    values: ArrayLike, quantile: float, *, level: float = 0.95, failure: float = math.inf
) -> tuple[float, float, float]:
    """A quantile of ``values`` (n,), such as latency p95, and its bounds: ``(value, low, high)``.

    The bounds are order statistics whose ranks the binomial distribution gives, free of any assumption on the
    distribution (David and Nagaraja, *Order Statistics*, 7.1). With too few values for the level they are the
    smallest or largest value. A failed item counts as infinitely slow.

    Raises:
        InputError: no values, or a quantile outside 0 to 1.

    """
    _check(level, 1)
    if not 0 < quantile < 1:
        raise InputError(f"quantile {quantile} is not between 0 and 1", "give for instance 0.95")
    ordered = np.sort(with_failures(values, failure)[0])
    tail = (1 - level) / 2
    below = _binomial_cdf(ordered.size, quantile)
    lower = int(np.searchsorted(below, tail, side="right")) - 1
    upper = int(np.searchsorted(below, 1 - tail, side="left"))
    value = _quantile(ordered, quantile)
    low = float(ordered[max(lower, 0)])
    high = float(ordered[min(upper, ordered.size - 1)])
    return value, min(low, value), max(high, value)


def median_interval(values: ArrayLike, *, level: float = 0.95) -> tuple[float, float, float]:
    """The median of ``values`` (n,) and its bounds: ``(value, low, high)``."""
    return quantile_interval(values, 0.5, level=level)


def mean_with_interval(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """The mean of ``values`` (n,), failures as zero, and its bounds: ``(value, low, high)``."""
    array, _ = with_failures(values)
    low, high = bootstrap_interval(array, level=level, resamples=resamples, seed=seed)
    mean = float(array.mean())
    return mean, min(low, mean), max(high, mean)


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise InputError(f"confidence level {level} is not between 0 and 1", "give for instance 0.95")
    if resamples < 1:
        raise InputError(f"cannot draw {resamples} resamples", "draw at least 1000")


def _resamples(items: int, resamples: int, seed: int, width: int = 1) -> Iterator[NDArray[np.int64]]:
    """Blocks (r, items) of item numbers drawn with replacement, ``resamples`` rows in all."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // (items * width))
    for start in range(0, resamples, rows):
        yield generator.integers(0, items, size=(min(rows, resamples - start), items))


def _difference_interval(difference: Floats, level: float, resamples: int, seed: int) -> tuple[float, float]:
    """BCa interval of the mean difference; a difference that never varies is its own interval."""
    first = float(difference[0])
    if np.all(difference == first):
        return first, first
    return bootstrap_interval(difference, level=level, resamples=resamples, seed=seed)


def _proportions_interval(difference: Floats, level: float) -> tuple[float, float]:
    """Interval of the mean of differences (n,) between right-or-wrong items, each -1, 0 or 1.

    Bonett and Price, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired
    Data", JEBS 37 (2012). Of items that differ there are often only a handful, too few to resample: with 5 % won and
    2 % lost of 40 items a bootstrap interval of 95 % covered 85 % (tests simulate it).
    """
    count = difference.size + 2
    won, lost = (float((difference == side).sum() + 1) / count for side in (1, -1))
    centre = won - lost
    reach = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt((won + lost - centre**2) / count)
    mean = float(difference.mean())
    return min(max(centre - reach, -1.0), mean), max(min(centre + reach, 1.0), mean)


def _constant_interval(value: float, items: int, level: float) -> tuple[float, float]:
    """Bounds for a sample that is the same number throughout."""
    if value not in {0.0, 1.0}:
        return value, value
    unseen = 1 - ((1 - level) / 2) ** (1 / items)
    return (0.0, unseen) if value == 0.0 else (1 - unseen, 1.0)


def _bca(sample: Floats, drawn: Floats, level: float) -> tuple[float, float]:
    """Bounds from resampled means (r,), corrected for bias and for a spread that grows with the mean."""
    normal = NormalDist()
    observed = sample.mean()
    # Ties (frequent with right-or-wrong items) count half on either side, else the bias would be invented.
    share = float(((drawn < observed).mean() + (drawn <= observed).mean()) / 2)
    floor = 0.5 / drawn.size
    bias = normal.inv_cdf(min(max(share, floor), 1 - floor))
    centred = sample - observed  # the jackknife of a mean, up to a factor that cancels below
    # So does this one: without it the powers of very small or large numbers leave what a float can hold.
    centred = centred / np.abs(centred).max()
    acceleration = float((centred**3).sum() / (6 * ((centred**2).sum() ** 1.5)))
    bounds = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.inv_cdf(tail)
        denominator = 1 - acceleration * z
        bounds.append(normal.cdf(bias + z / denominator) if denominator > 0 else float(z > 0))
    low, high = np.quantile(drawn, bounds)
    return float(low), float(high)


def _quantile(ordered: Floats, quantile: float) -> float:
    """Linear interpolation between order statistics; infinite where a failed item decides it."""
    position = quantile * (ordered.size - 1)
    below, above = ordered[math.floor(position)], ordered[math.ceil(position)]
    if not math.isfinite(above):
        return math.inf if math.ceil(position) != math.floor(position) or math.isinf(below) else float(below)
    return float(below + (above - below) * (position - math.floor(position)))


def _binomial_cdf(trials: int, chance: float) -> Floats:
    """P(X <= k) for k = 0 … trials, X binomial."""
    k = np.arange(trials + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    chances = factorials[-1] - factorials - factorials[::-1] + k * math.log(chance) + (trials - k) * math.log1p(-chance)
    cumulative: Floats = np.minimum(np.cumsum(np.exp(chances)), 1.0)
    return cumulative
