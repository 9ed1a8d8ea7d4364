"""Tests: whether a difference between algorithms may be chance, and how large it is.

The choice of tests follows Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets",
JMLR 7 (2006): Wilcoxon's signed-rank test for two algorithms, Friedman's test with Nemenyi's for
several over many tables. The functions take any values. NaN, a run without a value, is left out with
its partners.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_lab.errors import QueryError
from nasbench_lab.stats.curves import numbers, ranks

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def wilcoxon_holm(samples: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon's signed-rank test of each pair of algorithms, corrected after Holm.

    Args:
        samples: A line per block that all algorithms share, such as a seed or a table, and a column
            per algorithm. A block counts for a pair if both have a value.

    Returns:
        A line per pair, in the order of the columns: ``a``, ``b``, ``n`` (blocks), ``difference``
        (mean of a - b, NaN if a value is infinite), ``effect`` and ``p`` (see ``signed_rank``),
        ``p_holm`` (over all pairs). With fewer than 6 blocks, no ``p`` can be below 0.05: draw no
        conclusion.
    """
    import pandas as pd

    lines = []
    for i, j in itertools.combinations(range(samples.shape[1]), 2):
        a, b = _pairs(samples.iloc[:, i], samples.iloc[:, j])
        test = signed_rank(a, b)
        finite = len(a) > 0 and bool(np.isfinite([a, b]).all())
        lines.append(
            {
                "a": samples.columns[i],
                "b": samples.columns[j],
                "n": len(a),
                "difference": mean_of(_differences(a, b)) if finite else math.nan,
                "effect": test.effect,
                "p": test.p,
            }
        )
    frame = pd.DataFrame(lines, columns=["a", "b", "n", "difference", "effect", "p"])
    return frame.assign(p_holm=holm(frame["p"]))


class SignedRank(NamedTuple):
    """The result of Wilcoxon's signed-rank test."""

    p: float
    """Two-sided p-value: 1 if all pairs tie, NaN if there is none."""
    effect: float
    """Rank-biserial correlation (Kerby 2014): the rank sum of pairs whose first value is larger, less
    that of pairs whose second is, as a share of both; from -1 to 1, and 0 if all pairs tie."""


def signed_rank(a: ArrayLike, b: ArrayLike) -> SignedRank:
    """Wilcoxon's signed-rank test of pairs, two-sided, with the direction of the difference.

    Pairs that tie are ranked but not counted (Pratt 1959): a pair in which both algorithms find the
    optimum is evidence for neither. Two values tie if they differ by less than a billionth of the
    larger, so rounding and the unit do not matter. The test is exact for up to 50 untied pairs and
    uses the normal approximation of ``scipy.stats.wilcoxon`` for more.
    With fewer than 6 untied pairs, p cannot be below 0.05: draw no conclusion.

    Args:
        a: ``(n,)`` values of one algorithm. Infinity is larger than any number; two of them tie.
        b: ``(n,)`` values of another on the same seeds or tables; a pair with a NaN is left out.

    Raises:
        QueryError: Different numbers of values.
    """
    p, effect = _signed_ranks(_differences(a, b)[None])
    return SignedRank(float(p[0]), float(effect[0]))


def wilcoxon_p(a: ArrayLike, b: ArrayLike) -> float:
    """The p-value of ``signed_rank``."""
    return signed_rank(a, b).p


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """The pairs with two values."""
    first, second = numbers(a), numbers(b)
    if first.shape != second.shape:
        raise QueryError(
            f"Pairs need as many values on both sides, but there are {first.size} and "
            f"{second.size}. Leave out what has no partner."
        )
    complete = ~(np.isnan(first) | np.isnan(second))
    return first[complete], second[complete]


def _differences(a: ArrayLike, b: ArrayLike) -> Floats:
    """``(pairs,)`` differences a - b where both have a value; 0 where only rounding differs."""
    first, second = _pairs(a, b)
    finite = np.abs(np.concatenate([first, second]))
    if np.max(finite, initial=0.0, where=np.isfinite(finite)) > _HUGE:
        first, second = first / 4, second / 4  # differences cannot overflow; ranks stay
    sizes = np.maximum(np.abs(first), np.abs(second))
    with np.errstate(invalid="ignore"):  # of two infinities of one sign, which tie
        differences = first - second
        differences[(np.abs(differences) <= _TIE * sizes) & np.isfinite(sizes)] = 0.0
    differences[first == second] = 0.0
    return differences


_TIE = 1e-9
"""Two values tie if they differ by at most this share of the larger. Means of the same numbers
differ in their last digits if the numbers were added up in another order."""

_HUGE = 1e307

_EXACT = 50
"""The most untied pairs for which the p-value is exact."""


def _signed_ranks(differences: Floats) -> tuple[Floats, Floats]:
    """``(comparisons,)`` p-values and effects of ``(comparisons, pairs)``; see ``signed_rank``."""
    from scipy.stats import rankdata, wilcoxon

    n = differences.shape[1]
    p, effect = np.full(len(differences), 1.0 if n else np.nan), np.zeros(len(differences))
    if not n:
        return p, np.full(len(differences), np.nan)
    sizes = rounded(differences)
    placed = np.where(sizes == 0, 0.0, rankdata(np.abs(sizes), axis=1))
    untied = (sizes != 0).sum(axis=1)
    positive = np.where(sizes > 0, placed, 0.0).sum(axis=1)
    total = placed.sum(axis=1)
    nonzero = untied > 0
    effect[nonzero] = 2.0 * positive[nonzero] / total[nonzero] - 1.0
    for i in np.flatnonzero(nonzero & (untied <= _EXACT)):
        # Ranks are multiples of 1/2, so their doubles are whole numbers.
        ranks_ = tuple(sorted((2.0 * placed[i][placed[i] > 0]).astype(int).tolist()))
        p[i] = _exact_p(ranks_, round(2.0 * positive[i]))
    if (many := untied > _EXACT).any():
        p[many] = wilcoxon(sizes[many], zero_method="pratt", axis=1).pvalue
    return p, effect


def _exact_p(doubled: tuple[int, ...], observed: int) -> float:
    """Two-sided p-value of a sum of doubled ranks among the sums of all subsets of the ranks."""
    at_most, total = _sums(doubled), sum(doubled)
    # The sums lie symmetrically around their middle.
    return float(min(1.0, 2.0 * at_most[min(observed, total - observed)]))


@functools.lru_cache(maxsize=64)  # without ties, all comparisons of one size have the same ranks
def _sums(doubled: tuple[int, ...]) -> Floats:
    """``(total + 1,)`` share of the subsets of the ranks whose sum is at most 0, 1 and so on."""
    ways = np.zeros(sum(doubled) + 1)
    ways[0], reached = 1.0, 0
    for rank in doubled:
        reached += rank
        ways[rank : reached + 1] += ways[: reached + 1 - rank].copy()
    return np.asarray(np.cumsum(ways) / 2.0 ** len(doubled))


def rounded(values: Floats) -> Floats:
    """Values to about 10 significant digits, so that rounding errors break no tie.

    Infinite values and NaN stay.
    """
    mantissa, exponent = np.frexp(values)
    with np.errstate(over="ignore"):  # the largest numbers cannot be rounded up
        result = np.ldexp(np.round(mantissa * 2.0**_BITS) / 2.0**_BITS, exponent)
    return np.asarray(np.where(np.isfinite(result), result, values))


_BITS = 33
"""Of ten digits."""


def mean_of(values: Floats) -> float:
    """The mean of numbers, even if their sum overflows; infinite if a number is."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
        if not math.isfinite(mean):
            mean = float((values / len(values)).sum())
    return mean


def holm(p: ArrayLike) -> Floats:
    """P-values corrected after Holm (1979), who steps down from the smallest.

    The correction bounds the chance that any true hypothesis is rejected. NaN stays, and does not
    count.
    """
    p = numbers(p)
    result = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    result[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return result


class Friedman(NamedTuple):
    """The results of Friedman's test and of Nemenyi's after it."""

    ranks: pd.Series
    """Average rank of each algorithm, 1 is best."""
    statistic: float
    """Friedman's chi-squared, corrected for ties."""
    p: float
    f: float
    """The less conservative statistic of Iman and Davenport (1980)."""
    f_p: float
    critical_difference: float
    """The least difference of two average ranks that is significant (Nemenyi 1963)."""
    pairwise: pd.DataFrame
    """Nemenyi's p-value of each pair."""
    n: int
    """How many tables."""
    alpha: float
    tables: list[str]
    """The names of these tables: the index of the scores."""


def friedman(scores: pd.DataFrame, maximize: bool = False, alpha: float = 0.05) -> Friedman:
    """Friedman's test whether algorithms differ over tables, with Nemenyi's test of each pair.

    See Demšar (2006), section 3.2.2. His chi-squared has no correction for ties; the one here,
    SciPy's, has. The distributions are approximations that need more than about 10 tables and 5
    algorithms; with fewer, ``p`` tends to be too large.

    Args:
        scores: A line per table, and a column per algorithm.
        maximize: Whether more is better.
        alpha: The chance of an error that the critical difference allows.

    Raises:
        QueryError: There are fewer than 3 algorithms or 2 tables, or a value is missing or no number.
    """
    import pandas as pd
    from scipy.stats import f, friedmanchisquare

    values = numbers(scores)
    n, k = values.shape
    if n < 2 or k < 3:
        raise QueryError(
            f"Friedman's test needs at least 3 algorithms and 2 tables, but there are {k} and {n}. "
            f"Compare two algorithms with wilcoxon_holm."
        )
    if np.isnan(values).any():
        raise QueryError(
            f"Friedman's test needs a value of every algorithm on every table, but "
            f"{int(np.isnan(values).sum())} are missing. Leave out those lines or columns."
        )
    placed = ranks(rounded(values).T, maximize)
    average = pd.Series(placed.mean(axis=1), index=scores.columns, name="rank")
    if np.all(placed == placed[0]):
        statistic, p = 0.0, 1.0
    else:
        statistic, p = map(float, friedmanchisquare(*placed))
    spare = n * (k - 1) - statistic
    agreed = spare <= 1e-9 * n * (k - 1)  # the order is the same on all tables
    fisher = math.inf if agreed else (n - 1) * statistic / spare
    return Friedman(
        ranks=average,
        statistic=statistic,
        p=p,
        f=fisher,
        f_p=float(f.sf(fisher, k - 1, (k - 1) * (n - 1))),
        critical_difference=critical_difference(k, n, alpha),
        pairwise=_nemenyi(placed, scores.columns),
        n=n,
        alpha=alpha,
        tables=[str(name) for name in scores.index],
    )


def _nemenyi(placed: Floats, names: pd.Index) -> pd.DataFrame:
    import pandas as pd
    from scikit_posthocs import posthoc_nemenyi_friedman

    # The names are left out, as they may be anything.
    p = np.asarray(posthoc_nemenyi_friedman(placed.T), np.float64)
    return pd.DataFrame(p, index=names, columns=names)


def critical_difference(k: int, n: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of average ranks (Demšar 2006, section 3.2.2).

    Args:
        k: How many algorithms, at least 2.
        n: How many tables.
        alpha: The chance that any pair is found to differ although none does.

    Raises:
        QueryError: There are fewer than 2 algorithms or no table, or alpha is not between 0 and 1.
    """
    from scipy.stats import studentized_range

    if k < 2 or n < 1 or not 0 < alpha < 1:
        raise QueryError(
            f"Expected at least 2 algorithms, a table and an alpha between 0 and 1, but got {k}, "
            f"{n} and {alpha}."
        )
    q = float(studentized_range.ppf(1.0 - alpha, k, np.inf)) / math.sqrt(2.0)
    return q * math.sqrt(k * (k + 1) / (6.0 * n))


def tables_needed(k: int, alpha: float = 0.05) -> int:
    """The least number of tables at which the critical difference is at most ``k - 1``.

    Average ranks cannot differ by more.
    """
    return next(n for n in itertools.count(2) if critical_difference(k, n, alpha) <= k - 1)


def cliques(ranks: pd.Series, difference: float) -> list[list[str]]:
    """Groups of algorithms that are not told apart: the bars of a critical-difference diagram.

    Args:
        ranks: Average rank of each algorithm.
        difference: The critical difference.

    Returns:
        The largest groups of two or more, each in the order of ranks; they may overlap.
    """
    ordered = ranks.sort_values(kind="stable")
    names, values = list(ordered.index), ordered.to_numpy()
    groups: list[list[str]] = []
    reached = 0
    for i, value in enumerate(values):
        end = int(np.searchsorted(values, value + difference, side="left"))
        if end > max(reached, i + 1):
            groups.append(names[i:end])
            reached = end
    return groups


def vargha_delaney(a: ArrayLike, b: ArrayLike) -> float:
    """Vargha and Delaney's A12 (2000): the chance that a value of ``a`` is above one of ``b``.

    Ties count half, so 0.5 is no difference; NaN is left out. If the values are errors or regrets,
    ``a`` is better below 0.5. NaN if a side is empty.
    """
    above, among = _without_nan(a), np.sort(_without_nan(b))
    if not (len(above) and len(among)):
        return math.nan
    below = np.searchsorted(among, above, side="left").sum()
    at_most = np.searchsorted(among, above, side="right").sum()
    return float((below + at_most) / (2 * len(above) * len(among)))


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """Cliff's delta (1993): the chance that ``a`` is above ``b``, less that of below; -1 to 1."""
    return 2.0 * vargha_delaney(a, b) - 1.0


class SeedsNeeded(NamedTuple):
    """How many seeds a comparison needs."""

    n: int | None
    """The least number that was tried and has the power; None if there is none."""
    power: pd.DataFrame
    """``seeds`` tried and their ``power``: the share of simulated comparisons with p < alpha."""


def seeds_needed(
    a: ArrayLike,
    b: ArrayLike,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    paired: bool = True,
    max_seeds: int = 1000,
    n_simulations: int = 500,
    seed: int = 0,
) -> SeedsNeeded:
    """How many seeds tell two algorithms apart, by simulation from pilot runs.

    Comparisons with each number of seeds are drawn from the pilot runs with replacement and tested:
    pairs with Wilcoxon's signed-rank test, unpaired values with the Mann-Whitney test. The power is
    the share of comparisons with ``p < alpha``. It assumes that the algorithms differ as the pilot
    runs do, so few pilot runs give a rough guess.

    Args:
        a: ``(n,)`` values of one algorithm.
        b: ``(m,)`` values of another.
        power: The chance of finding the difference.
        alpha: The chance of finding a difference where there is none.
        paired: Whether ``a[i]`` and ``b[i]`` have the same seed.
        max_seeds: The largest number to try.
        n_simulations: How many comparisons to draw for each number; with 500, the power has a
            standard error of at most 0.022.
        seed: Of the drawing.

    Raises:
        QueryError: A side has no value, the sides of pairs differ in length, a chance is not between
            0 and 1, or there is less than 1 seed or simulation.
    """
    import pandas as pd

    if not (0 < power < 1 and 0 < alpha < 1):
        raise QueryError(f"Expected power and alpha between 0 and 1 but got {power} and {alpha}.")
    if max_seeds < 1 or n_simulations < 1:
        raise QueryError(
            f"Expected at least 1 seed to try and 1 simulation but got max_seeds={max_seeds} and "
            f"n_simulations={n_simulations}."
        )
    sides: list[Floats] = [_differences(a, b)] if paired else [_without_nan(a), _without_nan(b)]
    if not all(len(side) for side in sides):
        raise QueryError("Expected pilot runs of both algorithms, but one side has no value.")
    powers: dict[int, float] = {}

    def enough(n: int) -> bool:
        rng = np.random.default_rng([seed, n])
        drawn = [side[rng.integers(len(side), size=(n_simulations, n))] for side in sides]
        p = _signed_ranks(drawn[0])[0] if paired else _rank_sum_p(*drawn)
        powers[n] = float(np.mean(p < alpha))
        return powers[n] >= power

    tried = [n for n in _SEEDS if n < max_seeds] + [max_seeds]
    least = next((n for n in tried if enough(n)), None)
    if least is not None:
        # Bisect between the last number that was too small and the first that was enough.
        low = max((n for n in powers if n < least), default=1)
        while least - low > 1:
            middle = (low + least) // 2
            low, least = (low, middle) if enough(middle) else (middle, least)
    lines = [{"seeds": n, "power": powers[n]} for n in sorted(powers)]
    return SeedsNeeded(least, pd.DataFrame(lines))


_SEEDS = (3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 896, 1280, 1792, 2560)
"""Numbers of seeds that are tried first; each is about the square root of 2 times the one before."""


def _without_nan(values: ArrayLike) -> Floats:
    """The values that are not NaN."""
    array = numbers(values)
    return np.asarray(array[~np.isnan(array)])


def _rank_sum_p(a: Floats, b: Floats) -> Floats:
    """``(comparisons,)`` p-values of the Mann-Whitney test of ``(comparisons, n)`` values."""
    from scipy.stats import mannwhitneyu

    together = np.concatenate([a, b], axis=1)
    p = np.ones(len(a))
    varied = together.min(axis=1) < together.max(axis=1)
    if varied.any():
        p[varied] = mannwhitneyu(a[varied], b[varied], axis=1).pvalue
    return p
