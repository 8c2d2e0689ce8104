import math
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from kistack.errors import InputError
from kistack.evaluation.statistics import (
    PairedResult,
    bootstrap_interval,
    bootstrap_totals,
    items_needed,
    mean_with_interval,
    median_interval,
    paired_difference,
    quantile_interval,
    with_failures,
)

FINITE = st.floats(-1e3, 1e3, allow_nan=False)


def coverage(draw, truth, runs=300, **options):
    """Share of ``runs`` simulated samples whose interval holds the truth."""
    generator = np.random.default_rng(7)
    hits = 0
    for run in range(runs):
        low, high = bootstrap_interval(draw(generator), resamples=600, seed=run, **options)
        hits += low <= truth <= high
    return hits / runs


@pytest.mark.parametrize(
    ("name", "draw", "truth"),
    [
        ("right or wrong", lambda g: (g.random(100) < 0.5).astype(float), 0.5),
        ("mostly wrong", lambda g: (g.random(150) < 0.1).astype(float), 0.1),
        ("mostly right", lambda g: (g.random(150) < 0.9).astype(float), 0.9),
        ("normal", lambda g: g.normal(2.0, 1.0, 60), 2.0),
        ("shares", lambda g: g.beta(0.5, 2.0, 100), 0.2),
    ],
)
def test_the_interval_covers_the_true_mean_about_as_often_as_stated(name, draw, truth):
    assert 0.915 <= coverage(draw, truth) <= 0.985, name


@pytest.mark.parametrize("items", [20, 150])
def test_intervals_of_right_or_wrong_items_cover_every_share_as_stated(items):
    bounds = [bootstrap_interval([1.0] * right + [0.0] * (items - right)) for right in range(items + 1)]
    for share in (0.02, 0.05, 0.1, 0.3, 0.5, 0.8, 0.97):
        chances = stats.binom.pmf(range(items + 1), items, share)
        covered = sum(c for c, (low, high) in zip(chances, bounds, strict=True) if low <= share <= high)
        assert covered >= 0.945, share


def test_a_lower_level_covers_less():
    covered = coverage(lambda g: g.normal(0.0, 1.0, 80), 0.0, level=0.8)
    assert 0.73 <= covered <= 0.87


def test_a_skewed_sample_gets_an_interval_that_reaches_further_up():
    sample = np.concatenate([np.linspace(0.0, 1.0, 92), np.linspace(5.0, 20.0, 8)])
    low, high = bootstrap_interval(sample, resamples=4000)
    assert high - sample.mean() > 1.1 * (sample.mean() - low)


def test_the_interval_agrees_with_an_independent_bca():
    sample = np.random.default_rng(2).lognormal(0.0, 1.3, 90)
    low, high = bootstrap_interval(sample, resamples=20000)
    reference = stats.bootstrap(
        (sample,), np.mean, n_resamples=20000, method="BCa", rng=np.random.default_rng(3)
    ).confidence_interval
    assert low == pytest.approx(reference.low, rel=0.03)
    assert high == pytest.approx(reference.high, rel=0.03)


def test_all_wrong_is_not_a_certain_zero():
    low, high = bootstrap_interval(np.zeros(150))
    exact = stats.binomtest(0, 150).proportion_ci(0.95)
    assert (low, high) == pytest.approx((exact.low, exact.high))


def test_all_right_is_not_a_certain_one():
    exact = stats.binomtest(40, 40).proportion_ci(0.95)
    assert bootstrap_interval([1.0] * 40) == pytest.approx((exact.low, exact.high))


def test_any_other_constant_is_its_own_interval():
    assert bootstrap_interval([0.25] * 9) == (0.25, 0.25)


def test_the_same_seed_gives_the_same_bounds_and_another_does_not():
    sample = np.random.default_rng(4).random(50)
    assert bootstrap_interval(sample, seed=3) == bootstrap_interval(sample, seed=3)
    assert bootstrap_interval(sample, seed=3) != bootstrap_interval(sample, seed=4)


def test_bounds_do_not_depend_on_how_resamples_are_cut_into_blocks(monkeypatch):
    sample = np.random.default_rng(5).random(40)
    whole = bootstrap_interval(sample, resamples=500)
    monkeypatch.setattr(sys.modules["kistack.evaluation.statistics"], "_BLOCK", 400)
    assert bootstrap_interval(sample, resamples=500) == whole


def test_a_failed_item_counts_as_a_failure_and_is_counted():
    values, failed = with_failures([1.0, math.nan, 1.0, math.nan])
    assert values.tolist() == [1.0, 0.0, 1.0, 0.0]
    assert failed == 2
    assert mean_with_interval([1.0, math.nan])[0] == 0.5


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], 3.0])
def test_no_items_is_refused_with_a_remedy(values):
    with pytest.raises(InputError) as caught:
        bootstrap_interval(values)
    assert caught.value.hint


@pytest.mark.parametrize("options", [{"level": 0.0}, {"level": 1.0}, {"resamples": 0}])
def test_a_level_or_count_without_meaning_is_refused(options):
    with pytest.raises(InputError):
        bootstrap_interval([0.0, 1.0], **options)


@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=40), st.integers(0, 5))
def test_the_interval_lies_within_the_sample_and_is_ordered(values, seed):
    low, high = bootstrap_interval(values, resamples=200, seed=seed)
    assert low <= high
    if set(values) not in ({0.0}, {1.0}):
        assert min(values) - 1e-9 <= low
        assert high <= max(values) + 1e-9


# --- paired


def test_a_difference_that_is_there_is_shown():
    generator = np.random.default_rng(6)
    hard = generator.random(200)
    a, b = (hard < 0.8).astype(float), (hard < 0.6).astype(float)
    result = paired_difference(a, b)
    assert result.shown
    assert result.low <= result.mean <= result.high
    assert result.wins == int((a > b).sum())
    assert result.losses == 0
    assert result.count == 200


def test_pairing_is_sharper_than_two_separate_intervals():
    hard = np.random.default_rng(8).random(200)
    a, b = (hard < 0.62).astype(float), (hard < 0.55).astype(float)
    result = paired_difference(a, b)
    apart = bootstrap_interval(a)[1] - bootstrap_interval(a)[0]
    assert result.high - result.low < apart
    assert result.shown


def test_noise_alone_is_shown_about_one_time_in_twenty():
    generator = np.random.default_rng(9)
    shown = sum(
        paired_difference(generator.random(100), generator.random(100), resamples=400, seed=n).shown for n in range(300)
    )
    assert shown / 300 < 0.09


def test_the_same_scores_differ_by_exactly_nothing():
    assert paired_difference([0.7, 0.0, 1.0], [0.7, 0.0, 1.0]) == PairedResult(0.0, 0.0, 0.0, 0, 0, 3)


def test_items_right_alike_differ_by_nothing_as_far_as_so_few_can_tell():
    few, many = (paired_difference([1.0, 0.0] * n, [1.0, 0.0] * n) for n in (5, 100))
    assert few.mean == many.mean == 0.0
    assert few.low < many.low < 0.0 < many.high < few.high < 0.4
    assert not few.shown


def test_wins_turn_round_where_lower_is_better():
    result = paired_difference([1.0, 2.0, 3.0], [2.0, 1.0, 5.0], lower_is_better=True)
    assert (result.wins, result.losses, result.ties) == (2, 1, 0)
    assert result.mean == pytest.approx(-2 / 3)


def test_a_failure_on_either_side_is_counted_once():
    result = paired_difference([math.nan, 1.0, 0.0], [math.nan, math.nan, 1.0])
    assert result.failed == 2
    assert (result.wins, result.losses, result.ties) == (1, 1, 1)


def test_systems_on_different_items_are_not_compared():
    with pytest.raises(InputError, match="2 items with 3"):
        paired_difference([1.0, 0.0], [1.0, 0.0, 1.0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
@example([(0.0, 0.0), (0.0, 2.44e-147)])
def test_swapping_the_systems_swaps_wins_and_losses(pairs):
    a, b = zip(*pairs, strict=True)
    one, two = paired_difference(a, b, resamples=100), paired_difference(b, a, resamples=100)
    assert (one.wins, one.losses, one.ties) == (two.losses, two.wins, two.ties)
    assert one.mean == pytest.approx(-two.mean)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e3, 1e150])
def test_an_interval_is_as_wide_whatever_the_unit(scale):
    values = np.random.default_rng(4).normal(1.0, 0.5, 40)
    low, high = bootstrap_interval(values, resamples=300)
    assert bootstrap_interval(values * scale, resamples=300) == pytest.approx((low * scale, high * scale), rel=1e-9)


# --- differences that are not shown


@pytest.mark.parametrize(
    ("name", "draw", "truth"),
    [
        (
            "right or wrong, 8 points apart",
            lambda g, n: ((h := g.random(n)) < 0.68, np.where(g.random(n) < 0.85, h, g.random(n)) < 0.60),
            0.08,
        ),
        ("few items differ", lambda g, n: ((h := g.random(n)) < 0.93, h < 0.90), 0.03),
        ("nothing apart", lambda g, n: (g.random(n) < 0.3, g.random(n) < 0.3), 0.0),
        ("shares", lambda g, n: ((h := g.beta(2, 2, n)), np.clip(h - 0.1 * g.random(n), -1, 1)), 0.05),
    ],
)
@pytest.mark.parametrize("items", [20, 40, 200])
def test_the_interval_of_a_difference_covers_it_about_as_often_as_stated(name, draw, truth, items):
    generator = np.random.default_rng(13)
    hits = 0
    for run in range(400):
        a, b = (np.asarray(side, dtype=float) for side in draw(generator, items))
        result = paired_difference(a, b, resamples=500, seed=run)
        hits += result.low <= truth <= result.high
    # Exact intervals of right or wrong items cannot cover less than stated without often covering more.
    assert hits / 400 >= 0.93, name


def test_so_many_items_show_such_a_difference_about_as_often_as_said():
    generator = np.random.default_rng(14)
    mean, spread = 0.06, 0.45
    known = PairedResult(mean, -0.01, 0.13, 0, 0, 100, spread=spread)
    needed = 100 + items_needed(known)
    assert needed == pytest.approx((1.959964 + 0.841621) ** 2 * (spread / mean) ** 2, abs=1)
    shown = 0
    for run in range(300):
        difference = generator.normal(mean, spread, needed)
        shown += paired_difference(difference, np.zeros(needed), resamples=400, seed=run).shown
    assert 0.74 <= shown / 300 <= 0.86


def test_a_difference_that_is_shown_needs_no_more_items():
    result = paired_difference([1.0] * 60 + [0.0] * 40, [0.0] * 60 + [0.0] * 40)
    assert result.shown
    assert items_needed(result) == 0


def test_a_smaller_difference_needs_more_items():
    wide = items_needed(PairedResult(0.04, -0.02, 0.1, 0, 0, 50, spread=0.4))
    narrow = items_needed(PairedResult(0.02, -0.04, 0.08, 0, 0, 50, spread=0.4))
    assert narrow > 3 * wide > 0
    assert items_needed(PairedResult(0.04, -0.02, 0.1, 0, 0, 50, spread=0.4), power=0.95) > wide


def test_equal_means_are_settled_by_no_number_of_items():
    assert items_needed(paired_difference([1.0, 0.0, 1.0], [1.0, 0.0, 1.0])) is None
    assert items_needed(paired_difference([1.0, 0.0], [0.0, 1.0])) is None
    assert items_needed(paired_difference([1.0], [0.5])) == 0


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_power_without_meaning_is_refused(power):
    with pytest.raises(InputError, match="power"):
        items_needed(PairedResult(0.1, -0.1, 0.3, 0, 0, 10, spread=1.0), power=power)


def test_three_wins_of_three_are_no_certainty():
    won, lost = paired_difference([1.0] * 3, [0.0] * 3), paired_difference([0.0] * 3, [1.0] * 3)
    assert not won.shown
    assert (won.low, won.high) == pytest.approx((-lost.high, -lost.low))
    assert won.high == 1.0
    assert paired_difference([1.0] * 8, [0.0] * 8).shown


def test_the_interval_of_two_paired_proportions_is_the_published_one():
    # Bonett and Price 2012: of 100 pairs 14 won and 4 lost, (15 - 5) / 102 and its error by hand.
    a, b = [1.0] * 14 + [0.0] * 86, [0.0] * 14 + [1.0] * 4 + [0.0] * 82
    result = paired_difference(a, b)
    centre, error = 10 / 102, math.sqrt((20 / 102 - (10 / 102) ** 2) / 102)
    assert (result.low, result.high) == pytest.approx((centre - 1.959964 * error, centre + 1.959964 * error))


# --- sums over items


def test_a_ratio_of_sums_gets_its_interval_from_resampled_items():
    generator = np.random.default_rng(10)
    tokens = generator.integers(1, 12, 120).astype(float)
    loss = tokens * generator.normal(2.0, 0.4, 120)
    low, high = bootstrap_totals(np.column_stack([loss, tokens]), lambda t: t[:, 0] / t[:, 1])
    assert low < loss.sum() / tokens.sum() < high
    assert high - low < 0.3


def test_a_ratio_of_sums_covers_about_as_often_as_stated():
    generator = np.random.default_rng(11)
    hits = 0
    for run in range(200):
        tokens = generator.integers(1, 10, 80).astype(float)
        rows = np.column_stack([tokens * generator.normal(1.5, 0.5, 80), tokens])
        low, high = bootstrap_totals(rows, lambda t: t[:, 0] / t[:, 1], resamples=400, seed=run)
        hits += low <= 1.5 <= high
    assert 0.9 <= hits / 200 <= 0.99


@pytest.mark.parametrize("rows", [[], [1.0, 2.0], np.zeros((0, 2))])
def test_sums_over_no_items_are_refused(rows):
    with pytest.raises(InputError):
        bootstrap_totals(rows, lambda t: t[:, 0])


# --- quantiles


def test_quantile_bounds_cover_about_as_often_as_stated():
    generator = np.random.default_rng(12)
    truth = stats.lognorm(0.5).ppf(0.95)
    hits = sum(
        low <= truth <= high
        for _, low, high in (quantile_interval(generator.lognormal(0.0, 0.5, 200), 0.95) for _ in range(400))
    )
    assert 0.93 <= hits / 400 <= 1.0


def test_the_median_of_a_known_sample():
    value, low, high = median_interval(np.arange(1.0, 102.0))
    assert value == 51.0
    # Ranks 41 and 61 bound the median of 101 values (binomial table, 95 %).
    assert (low, high) == (41.0, 61.0)


def test_too_few_values_give_the_largest_as_bound():
    assert quantile_interval([3.0, 1.0, 2.0], 0.95)[2] == 3.0


def test_one_value_is_its_own_quantile():
    assert quantile_interval([2.5], 0.5) == (2.5, 2.5, 2.5)


def test_an_item_that_never_answered_is_infinitely_slow():
    value, _, high = quantile_interval([0.1, 0.2, math.nan, 0.3], 0.95)
    assert math.isinf(value)
    assert math.isinf(high)
    assert quantile_interval([0.1, 0.2, 0.3, math.nan, 0.15], 0.5)[0] == pytest.approx(0.2)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -1.0, 2.0])
def test_a_quantile_outside_the_sample_is_refused(quantile):
    with pytest.raises(InputError):
        quantile_interval([1.0], quantile)


@settings(max_examples=80, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_quantiles_agree_with_numpy_and_lie_within_their_bounds(values, quantile):
    value, low, high = quantile_interval(values, quantile)
    assert value == pytest.approx(float(np.quantile(values, quantile)), abs=1e-9)
    assert low <= value <= high
