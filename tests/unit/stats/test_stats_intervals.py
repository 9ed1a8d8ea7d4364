"""Intervals against SciPy, statsmodels, and normal theory."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from nasbench_lab import stats
from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.stats.intervals import expanded_tail

NAN, INF = math.nan, math.inf


# Quantiles


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 10, 31, 100])
@pytest.mark.parametrize("q", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_quantile_intervals_agree_with_scipys(n, q, level):
    samples = np.random.default_rng(n).exponential(size=n)
    theirs = scipy.stats.quantile_test(samples, q=1.0, p=q).confidence_interval(level)
    expected = [-INF if math.isnan(theirs.low) else theirs.low]
    expected.append(INF if math.isnan(theirs.high) else theirs.high)
    low, high = stats.quantile_interval(samples, q, level)
    assert [float(low), float(high)] == expected


def test_the_order_statistics_of_a_quantile_interval_by_the_binomial_distribution():
    for n in range(1, 60):
        numbers = np.arange(1.0, n + 1)
        low, high = stats.quantile_interval(numbers)
        binomial = scipy.stats.binom(n, 0.5)
        # The interval misses below if fewer than `low` samples are below the median.
        first, last = (
            (0 if np.isneginf(low) else int(low)),
            (n + 1 if np.isinf(high) else int(high)),
        )
        assert binomial.cdf(first - 1) <= 0.025 < binomial.cdf(first)
        assert binomial.sf(last - 1) <= 0.025 < binomial.sf(last - 2)


def test_the_median_has_an_interval_from_six_runs_on():
    for n in range(8):
        low, high = stats.quantile_interval(np.arange(float(n)))
        assert (float(low), float(high)) == ((-INF, INF) if n < 6 else (0.0, n - 1.0))


def test_quantile_intervals_of_infinities_ties_and_several_columns():
    samples = np.full((10, 2, 3), 4.0)
    samples[3:, 0, 0] = INF
    samples[9, 0, 1] = INF
    samples[2, 1, 2] = NAN
    low, high = stats.quantile_interval(samples)
    assert low.shape == high.shape == (2, 3)
    assert (low[0, 0], high[0, 0]) == (4, INF)
    assert (low[0, 1], high[0, 1]) == (4, 4)
    assert np.isnan([low[1, 2], high[1, 2]]).all()
    assert (low[1, 1], high[1, 1]) == (4, 4)


# Shares


@pytest.mark.parametrize("n", [1, 3, 10, 100])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_agrees_with_statsmodels(n, level):
    for successes in {0, 1, n // 2, n}:
        theirs = proportion_confint(successes, n, alpha=1 - level, method="wilson")
        found = stats.wilson_interval(successes, n, level)
        np.testing.assert_allclose(found, theirs, rtol=1e-9, atol=1e-12)


def test_of_no_run_every_share_is_possible():
    assert stats.wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("successes", "n"), [(5, 3), (-1, 3), (1, 0)])
def test_impossible_successes_are_refused(successes, n):
    with pytest.raises(QueryError, match=f"Expected 0 to {n} successes of {n} runs"):
        stats.wilson_interval(successes, n)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_impossible_levels_are_refused(level):
    for interval in (
        lambda: stats.wilson_interval(1, 2, level),
        lambda: stats.quantile_interval([1.0, 2.0], level=level),
        lambda: stats.bootstrap_interval([1.0, 2.0], level),
    ):
        with pytest.raises(QueryError, match="between 0 and 1"):
            interval()


# The bootstrap


def test_the_expanded_tail_gives_students_interval_for_normal_means():
    # Resampled means of n values have a standard deviation of s / sqrt(n), divisor n.
    for n in (2, 3, 10, 100):
        half = -scipy.stats.norm.ppf(expanded_tail(0.9, n)) * math.sqrt((n - 1) / n)
        assert half == pytest.approx(scipy.stats.t.ppf(0.95, n - 1), rel=1e-9)
    assert expanded_tail(0.95, 10) < expanded_tail(0.95, 100) < 0.025
    assert expanded_tail(0.95, 100_000) == pytest.approx(0.025, rel=1e-3)
    assert expanded_tail(0.95, 1) == pytest.approx(0.025)
    half = -scipy.stats.norm.ppf(expanded_tail(0.95, 20, groups=2)) * math.sqrt(18 / 20)
    assert half == pytest.approx(scipy.stats.t.ppf(0.975, 18), rel=1e-9)


def test_of_no_run_there_is_no_interval():
    low, high = stats.bootstrap_interval(np.empty((0, 3)))
    assert np.isnan([low, high]).all()
    assert low.shape == (3,)


def test_the_bootstraps_resamples_are_drawn_alike():
    # The ends of many small samples together: the mean of the middle half of resamples is the mean.
    samples = np.arange(7.0)[:, None] ** 2 * np.ones(3)
    low, high = stats.bootstrap_interval(samples, level=1e-9, n_resamples=40_000)
    # The median of resampled means, by 7^7 ways: simulated apart from ours.
    rng = np.random.default_rng(1)
    theirs = np.median(rng.choice(samples[:, 0], size=(40_000, 7)).mean(axis=1))
    spread = samples[:, 0].std() / math.sqrt(7)
    # Six standard errors of the difference of two medians of 40,000.
    assert np.all(np.abs(low - theirs) < 6 * 1.25 * math.sqrt(2 / 40_000) * spread)
    np.testing.assert_allclose(low, high, atol=0.01 * spread)


def test_a_paired_difference_is_the_mean_of_differences():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 30))
    b = a + 0.1 * b
    difference, low, high = stats.bootstrap_difference(a, b, paired=True)
    assert difference == pytest.approx((a - b).mean())
    np.testing.assert_allclose((low, high), stats.bootstrap_interval(a - b), rtol=1e-12)
    apart = stats.bootstrap_difference(a, b, paired=False)
    assert apart[0] == pytest.approx(difference)
    assert apart[2] - apart[1] > 5 * (high - low)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (12, 60)])
def test_an_unpaired_difference_agrees_with_scipys(n, m):
    rng = np.random.default_rng(3)
    a, b = rng.gamma(2.0, size=n), 1 + rng.gamma(1.0, size=m)
    difference, low, high = stats.bootstrap_difference(a, b, paired=False)
    assert difference == pytest.approx(a.mean() - b.mean())
    theirs = scipy.stats.bootstrap(
        (a, b),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        confidence_level=1 - 2 * expanded_tail(0.95, n + m, groups=2),
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(6),
    ).confidence_interval
    # As for the mean: six standard deviations of the ends of 2,000 and of 20,000 resamples.
    tolerance = 6 * math.hypot(0.07, 0.022) * math.hypot(a.std() / n**0.5, b.std() / m**0.5)
    assert abs(low - theirs.low) < tolerance
    assert abs(high - theirs.high) < tolerance


def test_few_unpaired_values_reach_out_as_far_as_they_can():
    # Of 3 and 3 values, 1 in 729 resamples has the smallest difference there is. The tail of two
    # means, with 4 degrees of freedom, is 0.0003, less than that.
    a, b = np.array([1.0, 2.0, 4.0]), np.array([0.0, 0.5, 0.7])
    _, low, high = stats.bootstrap_difference(a, b, paired=False, n_resamples=40_000)
    np.testing.assert_allclose((low, high), (1.0 - 0.7, 4.0 - 0.0), rtol=1e-12)


def test_a_difference_leaves_out_what_has_no_value():
    a, b = np.random.default_rng(3).normal(size=(2, 12))
    a[2], b[5] = NAN, NAN
    both = ~(np.isnan(a) | np.isnan(b))
    expected = stats.bootstrap_difference(a[both], b[both], paired=True)
    assert stats.bootstrap_difference(a, b, paired=True) == expected
    expected = stats.bootstrap_difference(np.delete(a, 2), np.delete(b, 5), paired=False)
    assert stats.bootstrap_difference(a, b, paired=False) == expected
    assert np.isnan(stats.bootstrap_difference([NAN, 1.0], [1.0, NAN], paired=True)).all()
    assert stats.bootstrap_difference([NAN, 1.0], [1.0, NAN], paired=False) == (0, 0, 0)


def test_differences_at_their_ends():
    assert stats.bootstrap_difference([3.0], [1.0], paired=True) == (2, 2, 2)
    assert stats.bootstrap_difference([3.0], [1.0], paired=False) == (2, 2, 2)
    assert np.isnan(stats.bootstrap_difference([], [1.0], paired=False)).all()
    assert np.isnan(stats.bootstrap_difference([], [], paired=True)).all()
    with pytest.raises(QueryError, match="there are 2 and 1"):
        stats.bootstrap_difference([1.0, 2.0], [1.0], paired=True)


# Summaries


def test_lists_do_as_well_as_arrays():
    runs = [[3.0, 1, 1], [2, 2, 0.5]]
    for statistic in stats.STATISTICS:
        for found, expected in zip(
            stats.summarise(runs, statistic),
            stats.summarise(np.array(runs), statistic),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)
    for interval in (stats.bootstrap_interval, stats.quantile_interval):
        np.testing.assert_array_equal(interval(runs), interval(np.array(runs)))
        assert np.shape(interval([])) == (2,)
    # 3 and 2 from 0 to 2, 1 and 2 from 2 to 4.
    assert stats.area(runs, [1, 2, 4]).tolist() == [2.0, 2.0]
    with pytest.raises(QueryError, match="Expected numbers"):
        stats.bootstrap_interval([[1.0, 2.0], [1.0]])
    for curve in ([3.0, 1.0, 1.0], [[3.0, 1.0]]):
        with pytest.raises(QueryError, match="one value for each point"):
            stats.area(curve, [1, 2, 4])


def test_what_a_curve_and_its_band_can_be():
    samples = np.random.default_rng(2).exponential(size=(20, 5))
    centre, low, high = stats.summarise(samples)
    np.testing.assert_allclose(centre, samples.mean(axis=0))
    np.testing.assert_array_equal((low, high), stats.bootstrap_interval(samples))
    quartiles = np.quantile(samples, [0.5, 0.25, 0.75], axis=0)
    np.testing.assert_array_equal(stats.summarise(samples, "median"), quartiles)
    centre, low, high = stats.summarise(samples, "median_interval")
    np.testing.assert_array_equal(centre, np.median(samples, axis=0))
    np.testing.assert_array_equal((low, high), stats.quantile_interval(samples))
    with pytest.raises(UnknownNameError, match="Did you mean 'median'"):
        stats.summarise(samples, "medan")


@pytest.mark.parametrize("statistic", stats.STATISTICS)
def test_while_one_run_has_no_value_there_is_no_summary(statistic):
    samples = np.ones((8, 3))
    samples[2, 1] = NAN
    for part in stats.summarise(samples, statistic):
        assert np.isnan(part).tolist() == [False, True, False]
    for part in stats.summarise(np.empty((0, 2)), statistic):
        assert np.isnan(part).all()
        assert part.shape == (2,)
