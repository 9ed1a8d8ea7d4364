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
    """Spearman's rho and Kendall's tau-b over the entries of both; NaN for fewer than 3 or equal."""
    from scipy.stats import kendalltau, spearmanr

    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan"), float("nan")
    # The exact p-value would be slow, and no p-value is needed.
    tau = kendalltau(a, b, method="asymptotic").statistic
    return float(spearmanr(a, b).statistic), float(tau)


def top_rows(fitness: Floats, share: float) -> Ints:
    """This share of the rows with a value, at least one; best first, ties in order of rows."""
    order = np.argsort(-fitness, kind="stable")
    n = int(np.isfinite(fitness).sum())
    return order[: min(n, max(1, round(share * n)))]


@dataclass(frozen=True)
class VarianceComponents:
    """The variance of trials between and within architectures.

    Args:
        between: Variance of the true means of architectures, in the unit squared; at least 0.
        within: Variance of the trials of one architecture.
        architectures: The number of architectures.
        trials: The number of trials of all of them.
    """

    between: float
    within: float
    architectures: int
    trials: int

    def reliability(self, trials: int = 1) -> float:
        """Intraclass correlation of the mean of ``trials`` trials: ICC(1, k), by Spearman-Brown."""
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
        components: Variance components of all rows.
        top: Variance components of the share ``TOP`` of rows with the best means. Read ``within``
            only: the means chose these rows, so they vary less than the true means.
        n_trials: How many trials the column has.
        pairs: A line per pair of trials: rank correlations over all rows with both, and over the
            top rows. The other trials choose the top rows here, as a choice by the compared trials
            would bias the correlation. NaN if there are no other trials.
        levels: A line per tenth of the rows by mean: their number, their mean, and the standard
            deviation of trials within a row.
    """

    components: VarianceComponents
    top: VarianceComponents
    n_trials: int
    pairs: pd.DataFrame
    levels: pd.DataFrame

    def summary(self) -> dict[str, float]:
        """Single numbers: mean rank correlations over pairs of trials, and variance components.

        ``share_within`` is the share of noise in the variance of a single trial, ``reliability`` the
        rest, and ``reliability_of_mean`` the reliability of the mean over all trials of the column.
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
        n_rows = int((~np.isnan(trials[:, [a, b]]).any(axis=1)).sum())
        if not n_rows:
            continue
        spearman, kendall = rank_correlation(trials[:, a], trials[:, b])
        others = np.delete(trials, [a, b], axis=1)
        counts = (~np.isnan(others)).sum(axis=1)
        by_others = np.where(counts, np.nansum(others, axis=1) / np.maximum(counts, 1), np.nan)
        chosen = top_rows(_fitness(by_others, table.column(column).maximize), TOP)
        top_spearman, top_kendall = rank_correlation(trials[chosen, a], trials[chosen, b])
        pairs.append(
            {
                "trial_a": names[a],
                "trial_b": names[b],
                "rows": n_rows,
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
            "rows": len(rows),
            "mean": means[rows].mean(),
            "within_std": np.sqrt(_pooled_variance(trials[rows])),
        }
        for level, rows in enumerate(np.array_split(repeated, min(10, len(repeated))), start=1)
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
    """How well the values after fewer epochs rank the rows, compared with those at the end.

    Args:
        table: The table.
        column: The column's name.

    Returns:
        A line per epoch: Spearman's and Kendall's correlation with the last epoch, and the share of
        the last epoch's top 1 % and 10 % that this epoch's top has too. None if the column has one
        epoch.
    """
    import pandas as pd

    details = table.column(column)
    if details.epochs is None or len(details.epochs) < 2:
        return None
    sign = 1.0 if details.maximize else -1.0
    last = table.values(column)
    lines = []
    for epoch in details.epochs:
        now = table.values(Query(column, epoch=epoch))
        both = ~(np.isnan(now) | np.isnan(last))
        if not both.any():
            continue
        spearman, kendall = rank_correlation(now, last)
        line = {"epoch": epoch, "rows": both.sum(), "spearman": spearman, "kendall": kendall}
        for name, share in (("top_1pct", 0.01), ("top_10pct", TOP)):
            top = top_rows(sign * last[both], share)
            common = np.intersect1d(top, top_rows(sign * now[both], share))
            line[f"overlap_{name}"] = len(common) / len(top)
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
    """How well one column ranks rows as another does, such as validation and test accuracy.

    Args:
        spearman: Spearman's rho over all rows.
        kendall: Kendall's tau-b over all rows.
        top_spearman: Spearman's rho over the share ``TOP`` of rows that are best by the first column.
        top_kendall: Kendall's tau-b over the same rows.
        regret: Regret in the second column of the row that is best by the first, in the second's
            unit; the mean over rows that tie.
        reverse_regret: The same with the columns exchanged, in the first's unit.
    """

    spearman: float
    kendall: float
    top_spearman: float
    top_kendall: float
    regret: float
    reverse_regret: float


def rank_agreement(table: Table, first: str, second: str) -> RankAgreement | None:
    """How well one column ranks as another; None if they are the same or no row has both."""
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
