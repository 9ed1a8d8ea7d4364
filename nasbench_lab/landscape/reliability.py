"""How far the values of a table can be relied on: noise between trials, fewer epochs, other columns.

All of this goes over rows, the networks that were measured, each counted once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.tables.columns import Query
from nasbench_lab.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOP = 0.1
"""The share of the rows that counts as the top."""


def rank_correlation(a: Floats, b: Floats) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau-b over the entries that both have; NaN if they say nothing."""
    from scipy.stats import kendalltau, spearmanr

    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan"), float("nan")
    # The exact p-value is not wanted, and slow.
    tau = kendalltau(a, b, method="asymptotic").statistic
    return float(spearmanr(a, b).statistic), float(tau)


def top_rows(fitness: Floats, share: float) -> Ints:
    """The best rows: this share of those that have a value, at least one; ties in order of rows."""
    order = np.argsort(-fitness, kind="stable")
    n = int(np.isfinite(fitness).sum())
    return order[: min(n, max(1, round(share * n)))]


@dataclass(frozen=True)
class VarianceComponents:
    """What makes trials differ.

    Args:
        between: Variance of the true means of architectures, in the unit squared; at least 0.
        within: Variance of the trials of one architecture.
        architectures: How many there were.
        trials: How many in all.
    """

    between: float
    within: float
    architectures: int
    trials: int

    def reliability(self, trials: int = 1) -> float:
        """Intraclass correlation of the mean of some trials: ICC(1, k), by Spearman and Brown."""
        total = self.between + self.within / trials
        return self.between / total if total else float("nan")


def variance_components(trials: Floats) -> VarianceComponents:
    """Variance between and within architectures, by one-way random-effects analysis of variance.

    The estimators are those of Searle, Casella and McCulloch, "Variance Components", 1992, section
    3.6, for unequal numbers of trials; a negative variance between is set to 0.

    Args:
        trials: ``(rows, trials)`` values; NaN where there is none.
    """
    counts = (~np.isnan(trials)).sum(axis=1)
    trials, counts = trials[counts > 0], counts[counts > 0]
    a, n = len(counts), int(counts.sum())
    if a < 2 or n == a:
        return VarianceComponents(float("nan"), float("nan"), a, n)
    means = np.nansum(trials, axis=1) / counts
    within = float(np.nansum((trials - means[:, None]) ** 2)) / (n - a)
    grand = float(counts @ means) / n
    mean_square = float(counts @ (means - grand) ** 2) / (a - 1)
    n0 = (n - float(counts @ counts) / n) / (a - 1)
    return VarianceComponents(max(0.0, (mean_square - within) / n0), within, a, n)


@dataclass(frozen=True)
class Noise:
    """How far the trials of a column agree.

    Args:
        components: Of the trials of all rows.
        top: Of the rows with the best means, ``TOP`` of all. As they were chosen by their means,
            these vary less than the true means do; only ``within`` is to be read.
        n_trials: How many trials the column has.
        pairs: Per pair of trials the rank correlations over the rows that have both, of all and of
            the top. The top is chosen by the other trials here: rows that are best by the two that
            are compared would have made up with one what they lack in the other. NaN where there
            are no others.
        levels: Per tenth of the rows, by mean: how many, their mean, and the standard deviation of
            trials within a row.
    """

    components: VarianceComponents
    top: VarianceComponents
    n_trials: int
    pairs: pd.DataFrame
    levels: pd.DataFrame

    def summary(self) -> dict[str, float]:
        """Single figures: mean rank correlations over pairs of trials, and variance components.

        ``share_within`` is what of the variance of single trials is noise, ``reliability`` the rest,
        and ``reliability_of_mean`` that of the mean over as many trials as the column has.
        """
        components = self.components
        return {
            "spearman": float(self.pairs["spearman"].mean()),
            "kendall": float(self.pairs["kendall"].mean()),
            "top_spearman": float(self.pairs["top_spearman"].mean()),
            "top_kendall": float(self.pairs["top_kendall"].mean()),
            "variance_between": components.between,
            "variance_within": components.within,
            "share_within": 1.0 - components.reliability(),
            "reliability": components.reliability(),
            "reliability_of_mean": components.reliability(self.n_trials),
            "within_std": components.within**0.5,
            "top_within_std": self.top.within**0.5,
        }


def noise(table: Table, column: str) -> Noise | None:
    """How far the trials of a column agree at the last epoch; None if no row has several.

    Args:
        table: The table.
        column: The column's name.
    """
    import pandas as pd

    trials = np.asarray(table.trials(column), dtype=np.float64)
    if (table.counts(column) > 1).sum() < 2:
        return None
    means, names = table.values(column), table.column(column).trials
    best = top_rows(_fitness(means, table.column(column).maximize), TOP)
    pairs = []
    for a, b in itertools.combinations(range(len(names)), 2):
        both = int((~np.isnan(trials[:, [a, b]]).any(axis=1)).sum())
        if not both:
            continue
        spearman, kendall = rank_correlation(trials[:, a], trials[:, b])
        others = np.delete(trials, [a, b], axis=1)
        known = (~np.isnan(others)).sum(axis=1)
        by_others = np.where(known, np.nansum(others, axis=1) / np.maximum(known, 1), np.nan)
        chosen = top_rows(_fitness(by_others, table.column(column).maximize), TOP)
        top_spearman, top_kendall = rank_correlation(trials[chosen, a], trials[chosen, b])
        pairs.append(
            {
                "trial_a": names[a],
                "trial_b": names[b],
                "rows": both,
                "spearman": spearman,
                "kendall": kendall,
                "top_spearman": top_spearman,
                "top_kendall": top_kendall,
            }
        )
    repeated = np.flatnonzero(table.counts(column) > 1)
    repeated = repeated[np.argsort(means[repeated], kind="stable")]
    levels = [
        {
            "level": level,
            "rows": len(some),
            "mean": means[some].mean(),
            "within_std": np.sqrt(_pooled_variance(trials[some])),
        }
        for level, some in enumerate(np.array_split(repeated, min(10, len(repeated))), start=1)
    ]
    return Noise(
        variance_components(trials),
        variance_components(trials[best]),
        len(names),
        pd.DataFrame(pairs),
        pd.DataFrame(levels),
    )


def _fitness(values: Floats, maximize: bool) -> Floats:
    return np.nan_to_num(values if maximize else -values, nan=-np.inf)


def _pooled_variance(trials: Floats) -> float:
    """Variance within rows that each have several trials."""
    deviations = trials - np.nanmean(trials, axis=1, keepdims=True)
    return float(np.nansum(deviations**2) / ((~np.isnan(trials)).sum() - len(trials)))


def fidelity(table: Table, column: str) -> pd.DataFrame | None:
    """How well the values after fewer epochs rank the rows as those at the end do.

    Args:
        table: The table.
        column: The column's name.

    Returns:
        Per epoch Spearman's and Kendall's correlation with the last, and the share of the last
        epoch's top 1 % and 10 % that is in that of this epoch; None if the column has one epoch.
    """
    import pandas as pd

    held = table.column(column)
    if held.epochs is None or len(held.epochs) < 2:
        return None
    sign = 1.0 if held.maximize else -1.0
    last = table.values(column)
    lines = []
    for epoch in held.epochs:
        now = table.values(Query(column, epoch=epoch))
        both = ~(np.isnan(now) | np.isnan(last))
        if not both.any():
            continue
        spearman, kendall = rank_correlation(now, last)
        line = {"epoch": epoch, "rows": both.sum(), "spearman": spearman, "kendall": kendall}
        for name, share in (("top_1pct", 0.01), ("top_10pct", TOP)):
            wanted = top_rows(sign * last[both], share)
            found = np.intersect1d(wanted, top_rows(sign * now[both], share))
            line[f"overlap_{name}"] = len(found) / len(wanted)
        lines.append(line)
    return pd.DataFrame(lines)


def half_way(frame: pd.DataFrame) -> dict[str, float]:
    """The line of ``fidelity`` for the epoch nearest half of the training.

    ``from_epoch`` is the first epoch whose rank correlation with the last is 0.9 or more.
    """
    nearest = (frame["epoch"] - frame["epoch"].max() / 2).abs().argmin()
    line: dict[str, float] = frame.iloc[[nearest]].to_dict(orient="records")[0]
    close = frame["epoch"][frame["spearman"] >= 0.9]
    return {**line, "from_epoch": int(close.iloc[0]) if len(close) else float("nan")}


@dataclass(frozen=True)
class RankAgreement:
    """How far one column stands for another, such as validation for test accuracy.

    Args:
        spearman: Rank correlation over all rows.
        kendall: Likewise, tau-b.
        top_spearman: Over the rows that are best by the first column, ``TOP`` of all.
        top_kendall: Likewise, tau-b.
        regret: How far the row that is best by the first column is from the best of the second, in
            the second's unit; the mean over rows that tie.
        reverse_regret: The same with the columns exchanged, in the first's unit.
    """

    spearman: float
    kendall: float
    top_spearman: float
    top_kendall: float
    regret: float
    reverse_regret: float


def rank_agreement(table: Table, first: str, second: str) -> RankAgreement | None:
    """How far one column stands for another; None if they are the same or no row has both."""
    a, b = table.values(first), table.values(second)
    both = ~(np.isnan(a) | np.isnan(b))
    if table.column(first) == table.column(second) or not both.any():
        return None
    a, b = a[both], b[both]
    up, down = (table.column(name).maximize for name in (first, second))
    best_a, best_b = (x.max() if more else x.min() for x, more in ((a, up), (b, down)))
    best = top_rows(a if up else -a, TOP)
    return RankAgreement(
        *rank_correlation(a, b),
        *rank_correlation(a[best], b[best]),
        float(np.abs(b[np.isclose(a, best_a, rtol=1e-9, atol=0)] - best_b).mean()),
        float(np.abs(a[np.isclose(b, best_b, rtol=1e-9, atol=0)] - best_a).mean()),
    )
