"""A study of a table: spread of the values, effects of decisions, and the study as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError
from nasbench_lab.landscape.landscape import (
    STEPS,
    Autocorrelation,
    FitnessDistance,
    Landscape,
    LocalOptima,
    autocorrelation,
    fitness_distance,
    local_optima,
    random_walks,
    survey,
)
from nasbench_lab.landscape.reliability import (
    Noise,
    RankAgreement,
    fidelity,
    half_way,
    noise,
    rank_agreement,
)
from nasbench_lab.tables.columns import Column, Query
from nasbench_lab.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

COSTS = ("parameters", "params", "flops", "macs", "memory", "latency", "energy")
TIMES = ("train_time", "train_time_per_epoch", "total_time")
"""Quantities that are costs of an architecture; the name of a device may precede ``COSTS``."""

LARGEST = 1e150
"""The largest value whose variance can be computed."""

QUANTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9, "q95": 0.95, "q99": 0.99}


# Spread


def cost_columns(table: Table, column: Column) -> list[str]:
    """Names of the cost columns that belong to the same training as a column."""
    return [
        other.name
        for other in table.columns.values()
        if other != column
        and (other.quantity in TIMES or other.quantity.endswith(COSTS))
        and not np.isnan(table.values(other.name)).all()
        and all(
            getattr(other, key) in (None, getattr(column, key))
            for key in ("dataset", "trained_on", "schedule")
        )
    ]


def bulk(values: Floats) -> tuple[float, float]:
    """Limits of values without outliers, so that a few failures do not hide the rest.

    An outlier is more than four interquartile ranges from the quartiles.
    """
    low, q25, q75, high = np.quantile(values, [0.0, 0.25, 0.75, 1.0])
    reach = 4 * (q75 - q25)
    if not reach:
        return float(low), float(high)
    return max(float(low), float(q25 - reach)), min(float(high), float(q75 + reach))


def tolerance(table: Table, column: Column) -> float:
    """The size of one point: a percentage point; in other units 1 % of the range of ``bulk``."""
    if column.unit == "%":
        return 1.0
    values = table.values(column.name)
    low, high = bulk(values[~np.isnan(values)])
    return (high - low) / 100


def distribution(landscape: Landscape, columns: list[str]) -> pd.DataFrame:
    """The distribution of the values of columns over the architectures.

    Mean, standard deviation and quantiles count every architecture of the landscape once, so they
    describe a random architecture. Minimum, maximum and best are those of the whole table.

    Args:
        landscape: The architectures.
        columns: Names of columns.

    Returns:
        One line per column, in its unit. ``near_architectures``, ``near_share`` and ``near_rows``
        count the values within ``near`` of the best, see ``tolerance``.
    """
    import pandas as pd

    lines = []
    for name in columns:
        column, rows = landscape.table.column(name), landscape.table.values(name)
        values = rows[landscape.rows]
        values = values[~np.isnan(values)]
        n = len(values)
        values = values if n else np.full(1, np.nan)
        best, near = landscape.table.optimum(name), tolerance(landscape.table, column)
        within = near + 1e-9 * abs(best)  # allows for rounding
        close = int((np.abs(values - best) <= within).sum())
        lines.append(
            {
                "column": name,
                "unit": column.unit,
                "architectures": n,
                "rows": int((~np.isnan(rows)).sum()),
                "mean": values.mean(),
                "std": values.std(),
                "min": np.nanmin(rows),
                **{key: np.quantile(values, share) for key, share in QUANTILES.items()},
                "max": np.nanmax(rows),
                "best": best,
                "near": near,
                "near_architectures": close,
                "near_share": close / n if n else np.nan,
                "near_rows": int((np.abs(rows - best) <= within).sum()),
            }
        )
    return pd.DataFrame(lines)


# Decisions


def marginal_effects(landscape: Landscape) -> pd.DataFrame:
    """The average effect of each option of each decision.

    Returns:
        One line per option: the number of architectures with it, their mean and standard deviation,
        and ``effect``, their mean minus the mean of all architectures with the decision, in the
        column's unit.
    """
    import pandas as pd

    architectures, _, values = landscape.measured()
    exists = landscape.table.space.active(architectures)
    lines = []
    for i, decision in enumerate(landscape.table.space.decisions):
        overall = values[exists[:, i]].mean() if exists[:, i].any() else np.nan
        for j, option in enumerate(decision.options):
            chosen = values[(architectures[:, i] == j) & exists[:, i]]
            mean, std = (chosen.mean(), chosen.std()) if len(chosen) else (np.nan, np.nan)
            lines.append(
                {
                    "decision": decision.name,
                    "option": option,
                    "architectures": len(chosen),
                    "mean": mean,
                    "effect": mean - overall,
                    "std": std,
                }
            )
    return pd.DataFrame(lines)


def importance(landscape: Landscape) -> tuple[pd.DataFrame, float]:
    """The share of variance that each decision explains alone, and that all explain additively.

    The share of a decision is the variance of its options' means divided by the total variance: the
    main effect of functional analysis of variance (Hutter, Hoos and Leyton-Brown, ICML 2014). The
    shares add up to the second result over a full product space. If architectures are missing,
    options of different decisions may be correlated, and the shares overlap. The share of a decision
    that does not always exist is of the differences among the architectures that have it.

    Returns:
        One line per decision with its ``share``, and the R² of the linear regression on all options.
    """
    import pandas as pd

    architectures, _, values = landscape.measured()
    space = landscape.table.space
    centred = values - values.mean()
    total = float(centred @ centred)
    # One column number per option of each decision.
    exists = space.active(architectures)
    # Where a decision may not exist, that is one more option for the regression.
    counts = np.array(space.n_options) + ~exists.all(axis=0)
    k, offsets = int(counts.sum()), np.cumsum([0, *counts[:-1]])
    codes = np.where(exists, architectures, counts - 1) + offsets
    together = np.zeros((k, k))
    for column in codes.T:
        pairs = (column[:, None] * k + codes).ravel()
        together += np.bincount(pairs, minlength=k * k).reshape(k, k)
    sums = np.bincount(codes.ravel(), np.repeat(centred, len(offsets)), minlength=k)
    numbers = np.maximum(together.diagonal(), 1)
    between = np.add.reduceat(sums**2 / numbers, offsets)
    for i in np.flatnonzero(~exists.all(axis=0)):
        # A decision explains differences among the architectures that have it.
        absent = offsets[i] + counts[i] - 1
        present = max(int(exists[:, i].sum()), 1)
        between[i] -= sums[absent] ** 2 * (1 / numbers[absent] + 1 / present)
    # The options of a decision add up to 1, so the coefficients are not unique; the fit is.
    fitted = float(sums @ np.linalg.pinv(together, hermitian=True) @ sums)
    names = [decision.name for decision in space.decisions]
    shares = between / total if total else np.full(len(names), np.nan)
    frame = pd.DataFrame({"decision": names, "share": shares})
    return frame, fitted / total if total else float("nan")


# All of it


@dataclass(frozen=True)
class Analysis:
    """A whole study, made by ``analyse``. Each part is the result of the function of its name.

    Parts that do not apply are None; of a table that holds too little of its space, those on moves.
    """

    landscape: Landscape
    report: Column
    seed: int
    distribution: pd.DataFrame
    noise: Noise | None
    fidelity: pd.DataFrame | None
    agreement: RankAgreement | None
    marginal_effects: pd.DataFrame
    importance: pd.DataFrame
    additive_r2: float
    local_optima: LocalOptima | None
    fitness_distance: FitnessDistance | None
    autocorrelation: Autocorrelation | None

    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames of the study by name, without those that do not apply."""
        import pandas as pd

        optima, walks = self.local_optima, self.autocorrelation
        frames_by_name = {
            "distribution": self.distribution,
            "noise": self.noise and self.noise.pairs,
            "noise_levels": self.noise and self.noise.levels,
            "fidelity": self.fidelity,
            "marginal_effects": self.marginal_effects,
            "importance": self.importance,
            "local_optima": optima and self._optima_frame(optima),
            "fitness_distance": self.fitness_distance and self.fitness_distance.to_frame(),
            "autocorrelation": walks
            and pd.DataFrame(
                {
                    "lag": np.arange(len(walks.values)),
                    "autocorrelation": walks.values,
                    "pairs": walks.pairs,
                }
            ),
        }
        return {name: frame for name, frame in frames_by_name.items() if frame is not None}

    def _optima_frame(self, optima: LocalOptima) -> pd.DataFrame:
        import pandas as pd

        table = self.landscape.table
        return pd.DataFrame(
            {
                "row": optima.rows,
                "architecture": table.space.to_string(table.architectures[optima.rows]),
                "value": optima.values,
                "basin": optima.basins,
                "basin_share": optima.basins / optima.basins.sum(),
            }
        )

    def summary(self) -> dict[str, Any]:
        """All single numbers of the study, by part; None if a part does not apply."""
        table, column = self.landscape.table, self.landscape.column
        optima, walks, near = self.local_optima, self.autocorrelation, tolerance(table, column)
        best = table.optimum(column.name)
        return {
            "table": table.name,
            "source": dict(table.info.source),
            "column": column.name,
            "unit": column.unit,
            "report": self.report.name,
            "seed": self.seed,
            "studied": self.landscape.how,
            "coverage": table.coverage._asdict(),
            "neighbours_held": self.landscape.neighbours_held,
            "caveat": self.landscape.caveat or None,
            "distribution": self.distribution.to_dict(orient="records"),
            "noise": self.noise and self.noise.summary(),
            "agreement": self.agreement and asdict(self.agreement),
            "fidelity": None if self.fidelity is None else half_way(self.fidelity),
            "decisions": {
                "additive_r2": self.additive_r2,
                **dict(zip(self.importance["decision"], self.importance["share"], strict=True)),
            },
            "local_optima": optima
            and {
                "count": len(optima.rows),
                "share": optima.share,
                "all_found": optima.complete,
                "median": float(np.median(optima.values)),
                "ascents": int(optima.basins.sum()),
                "to_best": optima.share_within(best, 0.0),
                "point": near,
                "to_half_point": optima.share_within(best, near / 2),
                "to_point": optima.share_within(best, near),
            },
            "fitness_distance": self.fitness_distance
            and {
                "correlation": self.fitness_distance.correlation,
                "optima": self.fitness_distance.optima,
            },
            "walks": walks
            and {
                "walks": walks.walks,
                "steps": STEPS,
                "autocorrelation_1": float(walks.values[1]),
                "correlation_length": walks.length,
            },
        }


def analyse(
    table: Table,
    column: Query | str | None = None,
    report: Query | str | None = None,
    *,
    seed: int = 0,
    walks: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Analysis:
    """Studies a table; moves between architectures only if it holds enough of the space for that.

    Args:
        table: The table.
        column: The column to study; by default the table's objective.
        report: The column to compare it with; by default the one that the table reports.
        seed: The seed of samples and random walks.
        walks: How many walks; by default 1,000, or 100 if the space is too large to enumerate.
        progress: Called with the number of finished parts, of all parts, and the next part's name.

    Raises:
        QueryError: The table cannot answer, names no objective, or holds values that overflow when
            they are squared.
    """
    landscape = survey(table, column, seed)
    name = landscape.column.name
    judged = table.column(report or table.info.report or name)
    if report is None and np.isnan(table.values(judged.name)).all():
        judged = landscape.column
    walks = walks or (1000 if landscape.complete else 100)
    columns = dict.fromkeys([name, judged.name, *cost_columns(table, landscape.column)])
    for studied in columns:
        largest = float(np.nanmax(np.abs(table.values(studied)), initial=0.0))
        if largest > LARGEST:
            raise QueryError(
                f"Expected values up to {LARGEST:g}, whose squares can be added up, but column "
                f"{studied!r} of {table.name!r} has {largest:g}. Leave such values out or change "
                f"the unit."
            )
    parts: dict[str, Callable[[], Any]] = {
        "distribution": lambda: distribution(landscape, list(columns)),
        "noise": lambda: noise(table, name),
        "fidelity": lambda: fidelity(table, name),
        "agreement": lambda: rank_agreement(table, name, judged.name),
        "marginal effects": lambda: marginal_effects(landscape),
        "importance": lambda: importance(landscape),
    }
    moves: dict[str, Callable[[], Any]] = {
        "local optima": lambda: local_optima(landscape, seed),
        "fitness distance": lambda: fitness_distance(landscape),
        "autocorrelation": lambda: autocorrelation(random_walks(landscape, walks, seed=seed)),
    }
    results: dict[str, Any] = {}
    if landscape.is_sparse:
        results = dict.fromkeys(name.replace(" ", "_") for name in moves)
    else:
        parts |= moves
    for done, (part, compute) in enumerate(parts.items()):
        if progress is not None:
            progress(done, len(parts), part)
        results[part.replace(" ", "_")] = compute()
    frame, results["additive_r2"] = results.pop("importance")
    return Analysis(landscape, judged, seed, importance=frame, **results)
