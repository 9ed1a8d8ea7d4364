"""Intervals: how certain a statistic of some runs is."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.stats.curves import numbers

Floats = NDArray[np.float64]

STATISTICS = {
    "mean": "mean and 95 % bootstrap interval",
    "median": "median and quartiles",
    "median_interval": "median and its exact 95 % interval",
}
"""What a curve and its band can show."""


def summarise(samples: ArrayLike, statistic: str = "mean") -> tuple[Floats, Floats, Floats]:
    """Centre, lower and upper end over runs.

    Args:
        samples: ``(runs, …)`` values, such as curves; infinite, or NaN, where a run has none.
        statistic: One of ``STATISTICS``.

    Returns:
        Three arrays of the shape of one run. They are NaN wherever a run is NaN, and if there is no
        run. A mean is also NaN where a run is infinite.

    Raises:
        UnknownNameError: There is no such statistic.
    """
    if statistic not in STATISTICS:
        raise UnknownNameError("statistic", statistic, STATISTICS)
    samples = numbers(samples)
    if not len(samples):
        nothing = np.full(samples.shape[1:], np.nan)
        return nothing, nothing, nothing
    if statistic == "median":
        low, centre, high = quantiles(samples, (0.25, 0.5, 0.75))
        return centre, low, high
    if statistic == "median_interval":
        return quantiles(samples, (0.5,))[0], *quantile_interval(samples)
    finite = np.isfinite(samples).all(axis=0)
    values = np.where(finite, samples, 0.0)
    with np.errstate(over="ignore"):
        mean = values.mean(axis=0)
    mean = np.where(np.isfinite(mean), mean, (values / len(values)).sum(axis=0))
    centre, low, high = (
        np.where(finite, one, np.nan) for one in (mean, *bootstrap_interval(values))
    )
    return centre, low, high


def quantiles(samples: ArrayLike, shares: Sequence[float]) -> Floats:
    """``(shares, …)`` quantiles over runs as NumPy interpolates them, also of infinite values."""
    samples = numbers(samples)
    places = np.asarray(shares) * (len(samples) - 1)
    below, above = np.floor(places).astype(int), np.ceil(places).astype(int)
    ordered = np.sort(samples, axis=0)
    low, high = ordered[below], ordered[above]
    weight = (places - below).reshape(-1, *[1] * (samples.ndim - 1))
    with np.errstate(invalid="ignore", over="ignore"):
        usual = np.quantile(samples, shares, axis=0)
        large = low * (1.0 - weight) + high * weight  # where high - low is beyond all numbers
    between = np.where(np.isfinite(usual), usual, large)
    # Minus infinity lies between minus infinity and a number; else the infinite value counts.
    between = np.where(np.isneginf(low), low, np.where(np.isinf(high), high, between))
    unknown = np.isnan(samples).any(axis=0)
    return np.where(unknown, np.nan, np.where(weight == 0, low, between))


def bootstrap_interval(
    samples: ArrayLike, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[Floats, Floats]:
    """Bootstrap interval of the mean: the expanded percentile interval of Hesterberg (2015).

    Runs are resampled whole, so that the band of a curve is made from curves. The plain percentile
    interval (Efron and Tibshirani 1993, chapter 13) is too narrow for few runs; the expanded one
    reaches as much further out as Student's t does for normal values ("What Teachers Should Know
    About the Bootstrap", The American Statistician 69).

    Intervals of few skewed values stay too narrow. Exponential values of which 3 in 10 are 0 are
    like regrets of which some runs find the optimum: 95 % intervals held their mean in 89 % of
    simulations with 10 runs, 93 % with 30 and 94 % with 100 (plain ones in 85, 91 and 94 %).

    Args:
        samples: ``(runs, …)`` values.
        level: The chance that the interval is to hold the mean.
        n_resamples: How many resamples.
        seed: Of the resampling; the same samples always give the same interval.

    Returns:
        Lower and upper ends, of the shape of one run. Both are the value of a single run, and NaN
        without a run.
    """
    samples = numbers(samples)
    if not len(samples):
        return np.full(samples.shape[1:], np.nan), np.full(samples.shape[1:], np.nan)
    tail = expanded_tail(level, len(samples))
    means = _resampled(samples, n_resamples, seed)
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return low.reshape(samples.shape[1:]), high.reshape(samples.shape[1:])


def expanded_tail(level: float, n: int, groups: int = 1) -> float:
    """The share of resamples beyond each end of an expanded percentile interval.

    Args:
        level: The chance that the interval is to hold the estimated quantity.
        n: The number of values.
        groups: The number of groups that the values form, each with its own mean.
    """
    from scipy.special import ndtr, stdtrit

    tail, freedom = _tail(level), n - groups
    if freedom < 1:
        return tail
    # Resamples vary less than samples, by freedom / n in variance. Student's t accounts for the
    # spread being an estimate.
    return float(ndtr(math.sqrt(n / freedom) * stdtrit(freedom, tail)))


def _tail(level: float) -> float:
    """The chance to be beyond each end of an interval."""
    if not 0 < level < 1:
        raise QueryError(f"Expected a level between 0 and 1, such as 0.95, but got {level!r}.")
    return (1.0 - level) / 2.0


def _resampled(samples: Floats, n_resamples: int, *seed: int) -> Floats:
    """``(resamples, …)`` means of runs drawn with replacement, each run flattened."""
    n = len(samples)
    return _weights(n, n_resamples, seed) @ samples.reshape(n, -1)


@functools.lru_cache(maxsize=4)  # the same for all curves of a figure
def _weights(n: int, n_resamples: int, seed: tuple[int, ...]) -> Floats:
    """``(resamples, n)`` the share of each run in each resample."""
    draws = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    draws += n * np.arange(n_resamples)[:, None]
    counts = np.bincount(draws.ravel(), minlength=n_resamples * n)
    return counts.reshape(n_resamples, n) / n


def quantile_interval(
    samples: ArrayLike, q: float = 0.5, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Exact interval of a quantile, whatever the distribution (Conover 1999, section 3.2).

    The number of runs below the quantile is binomial, so two order statistics enclose the quantile.
    The chance of a miss on each side is at most ``(1 - level) / 2``; ties make it smaller.

    Args:
        samples: ``(runs, …)`` values, infinite where, say, a target was never reached.
        q: Which quantile, between 0 and 1; the median by default.
        level: The least chance that the interval holds the quantile.

    Returns:
        Lower and upper ends, of the shape of one run. With too few runs an end is infinite: a 95 %
        interval of the median needs 6. NaN wherever a run is NaN.
    """
    from scipy.stats import binom

    samples, tail = numbers(samples), _tail(level)
    n = len(samples)
    # The order statistics by number: 0 is minus infinity, n + 1 infinity.
    first, last = (int(binom.ppf(p, n, q)) for p in (tail, 1.0 - tail))
    ordered = np.sort(samples, axis=0)
    unknown = np.isnan(samples).any(axis=0)
    low = ordered[first - 1] if first > 0 else np.full(samples.shape[1:], -np.inf)
    high = ordered[last] if last < n else np.full(samples.shape[1:], np.inf)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, such as a success rate (Wilson 1927).

    Args:
        successes: How many runs succeeded.
        n: How many runs there are; without any, the interval is 0 to 1.
        level: The chance that the interval is to hold the share, on average over shares.

    Raises:
        QueryError: More successes than runs, or a negative number.
    """
    from scipy.stats import binomtest

    _tail(level)
    if not 0 <= successes <= n:
        raise QueryError(f"Expected 0 to {n} successes of {n} runs but got {successes}.")
    if not n:
        return 0.0, 1.0
    interval = binomtest(int(successes), int(n)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Difference of two means, ``a - b``, with its expanded percentile bootstrap interval.

    Args:
        a: ``(n,)`` values of one algorithm; NaN, a run without a value, is left out.
        b: ``(m,)`` values of another; a pair is left out if a value of it is NaN.
        paired: Whether ``a[i]`` and ``b[i]`` belong together; pairs are then resampled, else each
            side on its own.
        level: The chance that the interval is to hold the difference.
        n_resamples: How many resamples.
        seed: Of the resampling.

    Returns:
        Difference, lower and upper end; NaN if a side has no values.

    Raises:
        QueryError: Pairs of different numbers.
    """
    a, b = numbers(a), numbers(b)
    if paired and len(a) != len(b):
        raise QueryError(
            f"Pairs need as many values on both sides, but there are {len(a)} and {len(b)}. Leave "
            f"out what has no partner, or compare with paired=False."
        )
    valid_a, valid_b = ~np.isnan(a), ~np.isnan(b)
    if paired:
        valid_a = valid_b = valid_a & valid_b
    a, b = a[valid_a], b[valid_b]
    if not (len(a) and len(b)):
        return math.nan, math.nan, math.nan
    difference = float(a.mean() - b.mean())
    if paired:
        low, high = bootstrap_interval(a - b, level, n_resamples, seed)
        return difference, float(low), float(high)
    tail = expanded_tail(level, len(a) + len(b), groups=2)
    means = (_resampled(side, n_resamples, seed, i) for i, side in enumerate((a, b)))
    low, high = np.quantile(np.subtract(*means), [tail, 1.0 - tail])
    return difference, float(low), float(high)
