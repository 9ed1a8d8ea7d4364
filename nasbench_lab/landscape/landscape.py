"""The landscape of a table: local optima, distances to the optimum, ruggedness.

A *row* is a network that was measured; an *architecture* is a point of the search space. Isomorphic
architectures share a row, so a random architecture has some rows more often than others. The
statistics here count each architecture once, by the mean over the trials at the last epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, QueryError
from nasbench_lab.spaces import Architectures, SearchSpace
from nasbench_lab.tables.columns import Column, Query
from nasbench_lab.tables.coverage import ALL_BUT, ENOUGH
from nasbench_lab.tables.table import Table
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LIMIT = 200_000
"""The largest space that is enumerated; a sample is drawn from larger ones."""

SAMPLE = 20_000
"""Architectures in a sample."""

ASCENTS = 1_000
"""The number of architectures of a sample at which ascents start."""

STEPS = 100
"""Moves of a random walk."""

LAGS = 20

_BLOCK = 4096

ROUNDING = 1e-12
"""The largest relative difference of two values that counts as a rounding error."""


def merged(values: Floats, sizes: Floats | None = None) -> Floats:
    """Makes values equal that differ only by a rounding error.

    Means of the same numbers differ so if the numbers were added up in another order. The size of a
    rounding error depends on the two values alone, so neither other values nor the unit matter.

    Args:
        values: ``(n,)`` values; NaN stays.
        sizes: ``(n,)`` sizes of the numbers behind each value; by default the value's own size.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    size = np.abs(values if sizes is None else sizes)[order]
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.diff(ordered) > ROUNDING * np.minimum(size[1:], size[:-1])
    new = np.flatnonzero(np.append(True, apart | np.isnan(ordered[1:]))[: len(values)])
    result = np.empty_like(values, dtype=np.float64)
    result[order] = np.repeat(ordered[new], np.diff(np.append(new, len(values))))
    return result


@dataclass(frozen=True)
class Landscape:
    """The architectures of a study and their rows of the table.

    Args:
        table: The table.
        column: The column that is studied.
        architectures: ``(n, d)`` architectures.
        rows: ``(n,)`` the row of each.
        complete: Whether these are all architectures of the table, not a sample.
        how: The choice of the architectures in words.
    """

    table: Table
    column: Column
    architectures: Architectures
    rows: Ints
    complete: bool
    how: str

    @cached_property
    def values(self) -> Floats:
        """``(n,)`` values of the architectures in the column's unit; NaN where there is none."""
        return self.table.values(self.column.name)[self.rows]

    @cached_property
    def fitness(self) -> Floats:
        """``(rows,)`` values of all rows of the table, turned so that more is better; -inf for NaN.

        Means of the same numbers that were added up in another order are equal.
        """
        sizes = np.nan_to_num(np.abs(self.table.trials(self.column.name))).max(axis=1)
        values = merged(self.table.values(self.column.name), sizes.astype(np.float64))
        return np.where(np.isnan(values), -np.inf, values if self.column.maximize else -values)

    @cached_property
    def neighbours_held(self) -> float:
        """The share of the architectures' neighbours that have a value in the table.

        It is computed for about ``ASCENTS`` architectures if the landscape is a sample.
        """
        architectures, _, _ = self.measured()
        if not self.complete:
            architectures = architectures[:: -(-len(architectures) // ASCENTS)]
        with_value = total = 0
        for block in _blocks(architectures):
            near, counts = neighbours_of(self.table.space, block)
            rows = self.table.row(near.reshape(-1, near.shape[2])).reshape(near.shape[:2])
            valued = (rows >= 0) & np.isfinite(self.fitness[rows])
            with_value += int((valued & (np.arange(near.shape[1]) < counts[:, None])).sum())
            total += int(counts.sum())
        return with_value / total if total else 1.0

    @property
    def is_sparse(self) -> bool:
        """Whether the table holds too little of the space for a study of moves."""
        return self.table.coverage.share < ENOUGH and self.neighbours_held < ENOUGH

    @property
    def caveat(self) -> str:
        """What a study cannot mean if the table holds a part of the space; else empty."""
        share = self.neighbours_held
        if share >= ALL_BUT:
            return ""
        moves = "local optima, ascents, fitness–distance correlation and random walks"
        percent = f"{np.floor(1000 * share) / 10:g} % of the neighbours of its architectures"
        if share >= ENOUGH:
            text = (
                f"the table holds {percent}: {moves} are those of the part that it holds, not of the "
                f"space"
            )
        else:
            left_out = " and are left out" if self.is_sparse else ""
            text = f"the table holds only {percent}: {moves} say nothing of the space{left_out}"
        if self.table.coverage.share < ENOUGH:
            text += (
                f". It holds {self.table.coverage}: means, quantiles and effects of decisions are "
                f"those of what was measured, and decisions of which combinations are missing may "
                f"stand for each other"
            )
        return text

    def measured(self) -> tuple[Architectures, Ints, Floats]:
        """The architectures that have a value, with rows and values."""
        valued = ~np.isnan(self.values)
        return self.architectures[valued], self.rows[valued], self.values[valued]


def survey(table: Table, column: Query | str | None = None, seed: int = 0) -> Landscape:
    """Chooses the architectures to study: all that the table holds, or a sample of a large space.

    Args:
        table: The table.
        column: The column to study; by default the table's objective.
        seed: The seed of the sample.

    Raises:
        QueryError: The table has no such column, it is empty, or it names no objective.
    """
    if not (column or table.info.objective):
        raise QueryError(
            f"{table.name!r} names no objective. Name the column to study, one of "
            f"{', '.join(table.columns)}."
        )
    studied = table.column(column or table.info.objective)
    result = _chosen(table, studied, seed)
    if np.isnan(result.values).all():
        raise QueryError(
            f"Column {studied.name!r} of {table.name!r} holds no value of any architecture. Name "
            f"another, one of {', '.join(table.columns)}."
        )
    return result


def _chosen(table: Table, column: Column, seed: int) -> Landscape:
    space = table.space
    if space.size <= LIMIT:
        try:
            every = space.at(np.arange(space.size))
            rows = table.row(every)
            in_table = rows >= 0
            how = f"all {space.size:,} architectures of the space"
            if not in_table.all():
                how = f"the {in_table.sum():,} of {space.size:,} architectures that the table holds"
            return Landscape(table, column, every[in_table], rows[in_table], True, how)
        except InvalidArchitectureError:
            pass  # not every combination of options is an architecture
    drawn = space.sample(np.random.default_rng([seed, 0]), SAMPLE)
    rows = table.row(drawn)
    in_table = (rows >= 0) & ~np.isnan(table.values(column.name)[rows])
    if in_table.sum() >= SAMPLE // 20:
        how = (
            f"{in_table.sum():,} of {SAMPLE:,} architectures drawn at random, that the table holds"
        )
        return Landscape(table, column, drawn[in_table], rows[in_table], False, how)
    rows = np.flatnonzero(table.architectures[:, 0] >= 0)
    how = (
        f"one architecture of each of {counted(len(rows), 'row')}, as random ones are seldom in "
        "the table"
    )
    return Landscape(table, column, table.architectures[rows], rows, False, how)


# Moves


def neighbours_of(space: SearchSpace, architectures: Architectures) -> tuple[Architectures, Ints]:
    """``(n, m, d)`` neighbours, padded with the architecture itself, and ``(n,)`` their numbers."""
    try:
        near = space.neighbours(architectures)
        counts = np.full(len(architectures), near.shape[1])
    except InvalidArchitectureError:
        # Architectures with unequal numbers of neighbours are asked for them one by one.
        lists = [space.neighbours(tuple(numbers)) for numbers in architectures.tolist()]
        counts = np.array([len(neighbours) for neighbours in lists])
        near = np.repeat(architectures[:, None], counts.max(), axis=1)
        for place, neighbours in zip(near, lists, strict=True):
            place[: len(neighbours)] = np.reshape(neighbours, (-1, architectures.shape[1]))
    return near if near.shape[1] else architectures[:, None], counts


def _steepest(landscape: Landscape, architectures: Architectures) -> tuple[Architectures, Ints]:
    """The best strictly better neighbour of each architecture, else itself; and its row."""
    near, _ = neighbours_of(landscape.table.space, architectures)
    # The architecture itself comes first and wins ties, so it moves only to a better one.
    near = np.concatenate([architectures[:, None], near], axis=1)
    rows = landscape.table.row(near.reshape(-1, near.shape[2])).reshape(near.shape[:2])
    best = np.where(rows >= 0, landscape.fitness[rows], -np.inf).argmax(axis=1)
    each = np.arange(len(architectures))
    return near[each, best], rows[each, best]


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (array[i : i + _BLOCK] for i in range(0, len(array), _BLOCK))


@dataclass(frozen=True)
class LocalOptima:
    """Where steepest ascents end.

    Args:
        rows: ``(k,)`` rows that are local optima, from best to worst.
        values: ``(k,)`` their values.
        basins: ``(k,)`` how many ascents end there.
        share: The share of local optima among all rows, or among the starting points of a sample.
        complete: Whether every architecture was a starting point, so these are all local optima.
    """

    rows: Ints
    values: Floats
    basins: Ints
    share: float
    complete: bool

    def share_within(self, best: float, distance: float) -> float:
        """The share of ascents that end within a distance of a value."""
        near = np.abs(self.values - best) <= distance + 1e-9 * abs(best)
        return float(self.basins[near].sum() / self.basins.sum())


def local_optima(landscape: Landscape, seed: int = 0) -> LocalOptima:
    """Follows steepest ascents over the neighbour relation of the space.

    The neighbours of a row are those of all architectures that share it. A row is a local optimum if
    none of its neighbours has a strictly better value; a neighbour without a value is not better. An
    ascent goes to the best neighbour until none is better. So architectures that share a row count
    as one network, while each row of a plateau may be an optimum.

    If the landscape is a sample, ascents start from ``ASCENTS`` of its architectures, and follow the
    neighbours of the current architecture only, not those of others that share its row.

    Args:
        landscape: The architectures.
        seed: Chooses the starting points from a sample.
    """
    architectures, rows, _ = landscape.measured()
    fitness = landscape.fitness
    if landscape.complete:
        above = np.concatenate([_steepest(landscape, block)[1] for block in _blocks(architectures)])
        # Architectures that share a row are written in order of their moves, the best move last.
        order = np.argsort(fitness[above], kind="stable")
        end = np.arange(len(fitness))
        end[rows[order]] = above[order]
        distinct = np.unique(rows)
        share = float((end[distinct] == distinct).mean())
        while not np.array_equal(end, end[end]):
            end = end[end]
        basins = np.bincount(end[rows], minlength=len(fitness))
    else:
        starts = np.random.default_rng([seed, 1]).permutation(len(architectures))[:ASCENTS]
        architectures, end = architectures[starts], rows[starts]
        going = np.arange(len(architectures))
        while going.size:
            architectures[going], after = _steepest(landscape, architectures[going])
            moved = after != end[going]
            end[going] = after
            going = going[moved]
        share = float((end == rows[starts]).mean())
        basins = np.bincount(end, minlength=len(fitness))
    optima = np.flatnonzero(basins)
    optima = optima[np.argsort(-fitness[optima], kind="stable")]
    values = landscape.table.values(landscape.column.name)[optima]
    return LocalOptima(optima, values, basins[optima], share, landscape.complete)


@dataclass(frozen=True)
class FitnessDistance:
    """The relation of value and distance to the global optimum.

    Args:
        distances: ``(n,)`` fewest moves from each architecture to one with the best value.
        values: ``(n,)`` their values.
        correlation: Pearson's correlation of distance and value, signed so that more is better: at
            -1 values lead straight to the optimum, above 0 away from it.
        optima: How many architectures have the best value.
    """

    distances: Ints
    values: Floats
    correlation: float
    optima: int

    def to_frame(self) -> pd.DataFrame:
        """One line per distance, with the spread of the values there."""
        import pandas as pd

        lines = []
        for distance in np.unique(self.distances).tolist():
            values = self.values[self.distances == distance]
            q25, median, q75 = np.quantile(values, [0.25, 0.5, 0.75])
            line = {"distance": distance, "architectures": len(values), "mean": values.mean()}
            line |= {"std": values.std(), "min": values.min(), "q25": q25, "median": median}
            lines.append(line | {"q75": q75, "max": values.max()})
        return pd.DataFrame(lines)


def fitness_distance(landscape: Landscape) -> FitnessDistance | None:
    """Correlation of fitness and distance to the optimum (Jones and Forrest, ICGA 1995).

    The distance is the fewest moves of the neighbour relation to any architecture with the best
    value; moves may pass through architectures that the table lacks. Breadth-first search counts
    them; in a large product space they are the decisions that differ. In other large spaces it is
    unknown which architectures share the best row, and the result is None.
    """
    table, space = landscape.table, landscape.table.space
    architectures, rows, values = landscape.measured()
    best = landscape.fitness == landscape.fitness.max()
    if landscape.complete:
        distances = moves_to(space, architectures[best[rows]])[space.index(architectures)]
    elif not space.conditional and all(
        getattr(type(space), name) is getattr(SearchSpace, name)
        for name in ("neighbours", "canonical")
    ):
        targets = table.architectures[best]
        distances = np.min([(architectures != target).sum(axis=1) for target in targets], axis=0)
    else:
        return None
    reached = distances >= 0
    distances, values = distances[reached], values[reached]
    fitness = landscape.fitness[rows[reached]]
    r = float("nan")
    if len(values) and np.ptp(distances) and np.ptp(fitness):
        r = float(np.corrcoef(distances, fitness)[0, 1])
    return FitnessDistance(distances, values, r, int((distances == 0).sum()))


def moves_to(
    space: SearchSpace, targets: Architectures, allowed: NDArray[np.bool_] | None = None
) -> Ints:
    """``(size,)`` fewest moves from each combination of options to a target; -1 if there is no way.

    Args:
        space: The space.
        targets: ``(k, d)`` architectures.
        allowed: ``(size,)`` which architectures a way may lead through; all by default.
    """
    result = np.full(space.size, -1)
    front, steps = space.index(targets), 0
    while front.size:
        result[front] = steps
        steps += 1
        for block in _blocks(front):
            near, _ = neighbours_of(space, space.at(block))
            reached = space.index(near.reshape(-1, near.shape[2]))
            new = result[reached] < 0
            result[reached[new if allowed is None else new & allowed[reached]]] = steps
        front = np.flatnonzero(result == steps)
    return result


@dataclass(frozen=True)
class Autocorrelation:
    """Autocorrelation of the values along random walks.

    Args:
        values: ``(lags + 1,)`` correlation of values that are 0, 1, … moves apart; NaN if there are
            no such pairs.
        pairs: ``(lags + 1,)`` the number of pairs.
        walks: How many walks.
    """

    values: Floats
    pairs: Ints
    walks: int

    @property
    def length(self) -> float:
        """Correlation length in moves, ``-1 / ln |r(1)|`` (Stadler, J. Math. Chem. 20, 1996)."""
        r = abs(float(self.values[1])) if len(self.values) > 1 else float("nan")
        if r in (0.0, 1.0):
            return 0.0 if r == 0 else float("inf")
        return float(-1 / np.log(r))


def random_walks(landscape: Landscape, walks: int, steps: int = STEPS, seed: int = 0) -> Floats:
    """``(walks, steps + 1)`` values along random walks; NaN where the table has none.

    A walk starts at a random architecture of the space. Each move goes to a random neighbour, also
    to one that the table lacks.
    """
    rng, space = np.random.default_rng([seed, 2]), landscape.table.space
    current = space.sample(rng, walks)
    values = landscape.table.values(landscape.column.name)
    result = np.full((walks, steps + 1), np.nan)
    for t in range(steps + 1):
        rows = landscape.table.row(current)
        result[:, t] = np.where(rows >= 0, values[rows], np.nan)
        near, counts = neighbours_of(space, current)
        current = near[np.arange(walks), (rng.random(walks) * counts).astype(np.int64)]
    return result


def autocorrelation(walks: Floats, lags: int = LAGS) -> Autocorrelation:
    """Autocorrelation of the values along walks (Weinberger, Biol. Cybernetics 63, 1990).

    Mean and variance are those of all values of all walks; pairs that lack a value are left out.

    Args:
        walks: ``(walks, steps + 1)`` values.
        lags: The largest number of moves between two values.
    """
    valid = ~np.isnan(walks)
    mean, variance = (walks[valid].mean(), walks[valid].var()) if valid.any() else (0.0, 0.0)
    deviations = np.where(valid, walks - mean, 0.0)
    values, pairs = [], []
    for lag in range(min(lags, walks.shape[1] - 1) + 1):
        end = walks.shape[1] - lag
        n = int((valid[:, :end] & valid[:, lag:]).sum())
        covariance = (deviations[:, :end] * deviations[:, lag:]).sum() / n if n else np.nan
        values.append(covariance / variance if variance else np.nan)
        pairs.append(n)
    return Autocorrelation(np.array(values), np.array(pairs), len(walks))
