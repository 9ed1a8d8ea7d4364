"""How often intervals hold what they are to hold, by simulation of values such as regrets.

Run with ``pytest -m slow -s`` to see the figures. Tolerances are five binomial standard errors of the
simulation, beyond the figures given here.
"""

import math

import numpy as np
import pytest
import scipy.stats

from nasbench_lab import stats

RUNS = (10, 30, 100)

# Values, their mean, and the coverage of 95 % intervals of the mean for 10, 30 and 100 runs, which
# 20,000 simulations gave; the docstring of bootstrap_interval has the last line.
MEANS = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0, (0.945, 0.95, 0.95)),
    "skewed": (lambda rng, size: rng.exponential(size=size), 1.0, (0.91, 0.93, 0.94)),
    "skewed, 3 in 10 are 0": (
        lambda rng, size: rng.exponential(size=size) * (rng.random(size) < 0.7),
        0.7,
        (0.89, 0.93, 0.94),
    ),
}


def tolerance(coverage, n):
    return 5 * math.sqrt(coverage * (1 - coverage) / n)


def show(what, found):
    figures = ", ".join(f"{n} runs {share:.3f}" for n, share in zip(RUNS, found, strict=True))
    print(f"{what}: {figures}")


def mean_coverage(draw, mean, n_runs, n_sets):
    low, high = stats.bootstrap_interval(draw(np.random.default_rng(n_runs), (n_runs, n_sets)))
    return float(np.mean((low <= mean) & (mean <= high)))


def check_means(n_sets):
    for name, (draw, mean, expected) in MEANS.items():
        found = [mean_coverage(draw, mean, n, n_sets) for n in RUNS]
        show(f"bootstrap of the mean, {name}", found)
        for share, figure in zip(found, expected, strict=True):
            # A figure is given to 0.01, and all sets share one sequence of resamples.
            assert abs(share - figure) < 0.01 + tolerance(figure, n_sets)


def difference_coverage(n_runs, paired, n_sets):
    """Two algorithms with skewed regrets; paired, part of a regret is the seed's."""
    rng = np.random.default_rng(n_runs)
    held = 0
    for _ in range(n_sets):
        seeds = rng.exponential(size=n_runs) if paired else 0.0
        a, b = seeds + rng.exponential(size=n_runs), seeds + 0.5 * rng.exponential(size=n_runs)
        _, low, high = stats.bootstrap_difference(a, b, paired=paired)
        held += low <= 0.5 <= high
    return held / n_sets


def check_differences(n_sets):
    for paired in (True, False):
        found = [difference_coverage(n, paired, n_sets) for n in RUNS]
        show(f"bootstrap difference, {'paired' if paired else 'unpaired'}", found)
        for share, least in zip(found, (0.90, 0.925, 0.94), strict=True):
            assert least - tolerance(least, n_sets) < share < 0.965 + tolerance(0.965, n_sets)


def ert_coverage(n_runs, success, n_sets):
    """Times to a target without memory, so that the ERT is their mean, 1, under any budget."""
    budget = -math.log(1 - success)
    rng = np.random.default_rng(n_runs)
    held = 0
    for times in rng.exponential(size=(n_sets, n_runs)):
        low, high = stats.ert_interval(np.where(times <= budget, times, math.inf), budget)
        held += low <= 1 <= high
    return held / n_sets


def check_erts(n_sets):
    for success in (0.95, 0.7, 0.4):
        found = [ert_coverage(n, success, n_sets) for n in RUNS]
        show(f"ERT, success in {success:.0%} of runs", found)
        for share in found:
            assert 0.90 - tolerance(0.90, n_sets) < share < 0.96 + tolerance(0.96, n_sets)


def quantile_coverage(n_runs, zeros, n_sets):
    rng = np.random.default_rng(n_runs)
    samples = rng.exponential(size=(n_runs, n_sets))
    samples[rng.random(samples.shape) < zeros] = 0.0
    share = max(0.0, 0.5 - zeros) / (1 - zeros) if zeros else 0.5
    median = scipy.stats.expon.ppf(share)
    low, high = stats.quantile_interval(samples)
    return float(np.mean((low <= median) & (median <= high)))


def check_quantiles(n_sets):
    for zeros in (0.0, 0.3, 0.6):
        found = [quantile_coverage(n, zeros, n_sets) for n in RUNS]
        show(f"exact interval of the median, {zeros:.0%} are 0", found)
        for n, share in zip(RUNS, found, strict=True):
            # What the binomial distribution says, without ties; ties can only add to it.
            first = scipy.stats.binom.ppf(0.025, n, 0.5)
            exact = 1 - 2 * scipy.stats.binom.cdf(first - 1, n, 0.5)
            assert exact >= 0.95
            assert share > exact - tolerance(exact, n_sets)
            assert zeros or share < exact + tolerance(exact, n_sets)


def test_wilsons_interval_holds_95_per_cent_on_average_over_all_shares():
    found = []
    for n in RUNS:
        # No simulation is needed: the chance of each count of successes is known.
        ends = np.array([stats.wilson_interval(k, n) for k in range(n + 1)])
        p = (np.arange(1000) + 0.5) / 1000
        chances = scipy.stats.binom.pmf(np.arange(n + 1)[:, None], n, p)
        holds = (ends[:, :1] <= p) & (p <= ends[:, 1:])
        coverage = (chances * holds).sum(axis=0)
        found.append(coverage.mean())
        # It is known to fall to about 0.83 for shares next to 0 and 1 (Brown, Cai and DasGupta 2001).
        assert coverage.min() > 0.83
    show("Wilson, average over shares", found)
    assert all(abs(share - 0.95) < 0.01 for share in found)


def test_intervals_hold_what_they_are_to_hold():
    check_means(500)
    check_differences(150)
    check_erts(150)
    check_quantiles(1000)


@pytest.mark.slow
def test_intervals_hold_what_they_are_to_hold_in_many_simulations():
    check_means(20_000)
    check_differences(5_000)
    check_erts(3_000)
    check_quantiles(100_000)
