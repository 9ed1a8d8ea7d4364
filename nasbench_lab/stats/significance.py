"""Tests: whether a difference between algorithms may be chance, and how large it is.

What to test when follows Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets",
JMLR 7 (2006): Wilcoxon's signed-rank test for two algorithms, Friedman's test with Nemenyi's for
several over many tables. All work on any values of the user's; NaN, a run without a value, is left
out with its partners.
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
    """What Wilcoxon's signed-rank test says of pairs."""

    p: float
    """Two-sided p-value: 1 if all pairs tie, NaN if there is none."""
    effect: float
    """Rank-biserial correlation (Kerby 2014): the share of the ranks of the pairs in which the first
    is larger, less that of the others; from -1 to 1, and 0 if all pairs tie."""


def signed_rank(a: ArrayLike, b: ArrayLike) -> SignedRank:
    """Wilcoxon's signed-rank test of pairs, two-sided, with the direction of the difference.

    Pairs that tie are ranked but not counted (Pratt 1959): where both algorithms find the optimum,
    that is evidence for neither. Values tie that differ by less than a billionth of the larger, as
    rounding does, so the test is the same in any unit. All ways to sign the differences are counted
    for up to 50 untied pairs; for more, the normal approximation of ``scipy.stats.wilcoxon`` is used.
    With fewer than 6 untied pairs, p cannot be below 0.05: draw no conclusion.

    Args:
        a: ``(n,)`` values of one algorithm. Infinity is larger than any number; two of them tie.
        b: ``(n,)`` values of another, of the same seeds or tables; a pair with a NaN is left out.

    Raises:
        QueryError: Different numbers of values.
    """
    p, effect = _signed_ranks(_differences(a, b)[None])
    return SignedRank(float(p[0]), float(effect[0]))


def wilcoxon_p(a: ArrayLike, b: ArrayLike) -> float:
    """The p-value of ``signed_rank``."""
    return signed_rank(a, b).p


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """The pairs of which both values are known."""
    first, second = numbers(a), numbers(b)
    if first.shape != second.shape:
        raise QueryError(
            f"Pairs need as many values on both sides, but there are {first.size} and "
            f"{second.size}. Leave out what has no partner."
        )
    known = ~(np.isnan(first) | np.isnan(second))
    return first[known], second[known]


def _differences(a: ArrayLike, b: ArrayLike) -> Floats:
    """``(pairs,)`` differences a - b where both have a value; 0 where only rounding differs."""
    first, second = _pairs(a, b)
    finite = np.abs(np.concatenate([first, second]))
    if np.max(finite, initial=0.0, where=np.isfinite(finite)) > _HUGE:
        first, second = first / 4, second / 4  # ranks stay, and no difference is beyond all numbers
    sizes = np.maximum(np.abs(first), np.abs(second))
    with np.errstate(invalid="ignore"):  # of two infinities of one sign, which tie
        differences = first - second
        differences[(np.abs(differences) <= _TIE * sizes) & np.isfinite(sizes)] = 0.0
    differences[first == second] = 0.0
    return differences


_TIE = 1e-9
"""Values tie that differ by at most this part of the larger: means of the same numbers, added up in
another order, differ in their last digits."""

_HUGE = 1e307

_EXACT = 50
"""Up to so many untied pairs, all ways to sign them are counted."""


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
    some = untied > 0
    effect[some] = 2.0 * positive[some] / total[some] - 1.0
    for i in np.flatnonzero(some & (untied <= _EXACT)):
        # Ranks are halves at most, so twice them are whole numbers.
        ranks_ = tuple(sorted((2.0 * placed[i][placed[i] > 0]).astype(int).tolist()))
        p[i] = _exact_p(ranks_, round(2.0 * positive[i]))
    if (many := untied > _EXACT).any():
        p[many] = wilcoxon(sizes[many], zero_method="pratt", axis=1).pvalue
    return p, effect


def _exact_p(doubled: tuple[int, ...], observed: int) -> float:
    """Two-sided p-value of a sum of doubled ranks, among those of all ways to choose some of them."""
    at_most, total = _sums(doubled), sum(doubled)
    # The sums lie symmetrically around their middle.
    return float(min(1.0, 2.0 * at_most[min(observed, total - observed)]))


@functools.lru_cache(maxsize=64)  # without ties, all comparisons of one size have the same ranks
def _sums(doubled: tuple[int, ...]) -> Floats:
    """``(total + 1,)`` share of all ways to choose some of the ranks whose sum is at most each."""
    ways = np.zeros(sum(doubled) + 1)
    ways[0], reached = 1.0, 0
    for rank in doubled:
        reached += rank
        ways[rank : reached + 1] += ways[: reached + 1 - rank].copy()
    return np.asarray(np.cumsum(ways) / 2.0 ** len(doubled))


def rounded(values: Floats) -> Floats:
    """Values to about 10 significant digits, so that rounding errors break no tie.

    What is not finite stays.
    """
    mantissa, exponent = np.frexp(values)
    with np.errstate(over="ignore"):  # the largest numbers have nothing above to be rounded to
        result = np.ldexp(np.round(mantissa * 2.0**_BITS) / 2.0**_BITS, exponent)
    return np.asarray(np.where(np.isfinite(result), result, values))


_BITS = 33
"""Of ten digits."""


def mean_of(values: Floats) -> float:
    """The mean of numbers, also where their sum is beyond all numbers; infinite if one is."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
        if not math.isfinite(mean):
            mean = float((values / len(values)).sum())
    return mean


def holm(p: ArrayLike) -> Floats:
    """P-values corrected for their number after Holm (1979), step by step downwards.

    The chance that any true hypothesis is rejected is kept. NaN stays, and does not count.
    """
    p = numbers(p)
    result = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    result[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return result


class Friedman(NamedTuple):
    """What Friedman's test, and Nemenyi's after it, say of several algorithms on several tables."""

    ranks: pd.Series
    """Average rank of each algorithm, 1 is best."""
    statistic: float
    """Friedman's chi-squared, corrected for ties."""
    p: float
    f: float
    """The less conservative statistic of Iman and Davenport (1980)."""
    f_p: float
    critical_difference: float
    """Two average ranks that are at least so far apart differ significantly (Nemenyi 1963)."""
    pairwise: pd.DataFrame
    """Nemenyi's p-value of each pair."""
    n: int
    """How many tables."""
    alpha: float
    tables: list[str]
    """What these tables are called: the names of the lines."""


def friedman(scores: pd.DataFrame, maximize: bool = False, alpha: float = 0.05) -> Friedman:
    """Friedman's test whether algorithms differ over tables, with Nemenyi's of each pair.

    Demšar (2006), section 3.2.2. His chi-squared has no correction for ties, SciPy's, which is given
    here, does. The distributions are approximations that need more than about 10 tables and 5
    algorithms; with fewer, ``p`` is too large rather than too small.

    Args:
        scores: A line per table, and a column per algorithm.
        maximize: Whether more is better.
        alpha: The chance of an error that the critical difference allows.

    Raises:
        QueryError: Fewer than 3 algorithms or 2 tables, or a value is missing or no number.
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
    agreed = spare <= 1e-9 * n * (k - 1)  # on every table the same order
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

    # Without the names, which may be anything.
    p = np.asarray(posthoc_nemenyi_friedman(placed.T), np.float64)
    return pd.DataFrame(p, index=names, columns=names)


def critical_difference(k: int, n: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of average ranks (Demšar 2006, section 3.2.2).

    Args:
        k: How many algorithms, at least 2.
        n: On how many tables.
        alpha: The chance of finding a difference, among all pairs, where there is none.

    Raises:
        QueryError: Fewer than 2 algorithms, no table, or a chance not between 0 and 1.
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
    """On how many tables the critical difference is within reach: ranks differ by ``k - 1`` at most."""
    return next(n for n in itertools.count(2) if critical_difference(k, n, alpha) <= k - 1)


def cliques(ranks: pd.Series, difference: float) -> list[list[str]]:
    """Groups of algorithms that are not told apart: the bars of a critical-difference diagram.

    Args:
        ranks: Average rank of each algorithm.
        difference: The critical difference; ranks that are at least so far apart differ.

    Returns:
        The largest groups, each in the order of ranks, of at least two; they may overlap.
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

    Ties count half, so 0.5 is no difference; NaN is left out. Of an error or regret, below 0.5 means
    that ``a`` is better. NaN where one side is empty.
    """
    above, among = _known(a), np.sort(_known(b))
    if not (len(above) and len(among)):
        return math.nan
    below = np.searchsorted(among, above, side="left").sum()
    at_most = np.searchsorted(among, above, side="right").sum()
    return float((below + at_most) / (2 * len(above) * len(among)))


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """Cliff's delta (1993): how much more often ``a`` is above ``b`` than below, from -1 to 1."""
    return 2.0 * vargha_delaney(a, b) - 1.0


class SeedsNeeded(NamedTuple):
    """How many seeds a comparison needs."""

    n: int | None
    """The least number of those tried that has the power; None if none has."""
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

    Comparisons of each number of seeds are drawn from the pilot runs with replacement, and tested as
    they would be: with Wilcoxon's signed-rank test, or, unpaired, with that of Mann and Whitney. The
    power is the share of them with ``p < alpha``. It is that of algorithms that differ just as the
    pilot runs do; of few pilot runs, it is a rough guess.

    Args:
        a: ``(n,)`` values of one algorithm.
        b: ``(m,)`` values of another.
        power: The chance of finding the difference.
        alpha: The chance of finding one where there is none.
        paired: Whether ``a[i]`` and ``b[i]`` belong together, by their seed.
        max_seeds: The most to try.
        n_simulations: How many comparisons to draw for each number; of 500, the power has a standard
            error of at most 0.022.
        seed: Of the drawing.

    Raises:
        QueryError: A side has no value, pairs of different numbers, a chance not between 0 and 1, or
            fewer than 1 seed or simulation.
    """
    import pandas as pd

    if not (0 < power < 1 and 0 < alpha < 1):
        raise QueryError(f"Expected power and alpha between 0 and 1 but got {power} and {alpha}.")
    if max_seeds < 1 or n_simulations < 1:
        raise QueryError(
            f"Expected at least 1 seed to try and 1 simulation but got max_seeds={max_seeds} and "
            f"n_simulations={n_simulations}."
        )
    sides: list[Floats] = [_differences(a, b)] if paired else [_known(a), _known(b)]
    if not all(len(side) for side in sides):
        raise QueryError("Expected pilot runs of both algorithms, but one side has no value.")
    known: dict[int, float] = {}

    def enough(n: int) -> bool:
        rng = np.random.default_rng([seed, n])
        drawn = [side[rng.integers(len(side), size=(n_simulations, n))] for side in sides]
        p = _signed_ranks(drawn[0])[0] if paired else _rank_sum_p(*drawn)
        known[n] = float(np.mean(p < alpha))
        return known[n] >= power

    tried = [n for n in _SEEDS if n < max_seeds] + [max_seeds]
    found = next((n for n in tried if enough(n)), None)
    if found is not None:
        # Between the last number that was too small and the first that was not, by halves.
        low = max((n for n in known if n < found), default=1)
        while found - low > 1:
            middle = (low + found) // 2
            low, found = (low, middle) if enough(middle) else (middle, found)
    lines = [{"seeds": n, "power": known[n]} for n in sorted(known)]
    return SeedsNeeded(found, pd.DataFrame(lines))


_SEEDS = (3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 896, 1280, 1792, 2560)
"""Numbers of seeds that are tried first, about the square root of 2 apart."""


def _known(values: ArrayLike) -> Floats:
    """The values that are not NaN."""
    array = numbers(values)
    return np.asarray(array[~np.isnan(array)])


def _rank_sum_p(a: Floats, b: Floats) -> Floats:
    """``(comparisons,)`` p-values of the Mann-Whitney test of ``(comparisons, n)`` values."""
    from scipy.stats import mannwhitneyu

    together = np.concatenate([a, b], axis=1)
    p = np.ones(len(a))
    some = together.min(axis=1) < together.max(axis=1)
    if some.any():
        p[some] = mannwhitneyu(a[some], b[some], axis=1).pvalue
    return p
