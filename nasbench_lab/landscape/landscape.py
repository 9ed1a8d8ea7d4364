"""What the landscape of a table is like to walk in: local optima, distances, ruggedness.

Two things are told apart. A *row* is a network that was measured; an *architecture* is a point of the
search space. Isomorphic architectures share a row, so that a random architecture is of some rows more
often than of others. What is said here goes over architectures, each counted once, and looks at the
mean over the trials at the last epoch.
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
from nasbench_lab.tables.table import Table
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LIMIT = 200_000
"""Spaces of at most so many architectures are gone through; of larger ones a sample is drawn."""

SAMPLE = 20_000
"""Architectures in a sample."""

ASCENTS = 1_000
"""Architectures of a sample that ascents start from."""

ENOUGH, ALL_BUT = 0.5, 0.99
"""What share of its architectures' neighbours a table holds where its moves mean something, as a
statement about the part that it holds; and where they stand for the whole space."""

STEPS = 100
"""Moves of a random walk."""

LAGS = 20

_BLOCK = 4096

ROUNDING = 1e-12
"""Values that differ by less, as a share of their own size, are equal but for rounding."""


def merged(values: Floats, sizes: Floats | None = None) -> Floats:
    """Values among which those that differ by a rounding error only are equal.

    Means of the same numbers that were added up in another order are such. What counts as a rounding
    error depends on the two values alone, so that neither another value nor the unit matters.

    Args:
        values: ``(n,)`` values; NaN stays.
        sizes: ``(n,)`` sizes of the numbers that each was made of; by default its own.
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
    """The architectures that a study is of, and where the table has each.

    Args:
        table: The table.
        column: The column that is studied.
        architectures: ``(n, d)`` architectures.
        rows: ``(n,)`` the row of each.
        complete: Whether these are all that the table holds, or a sample.
        how: How they were chosen, for people.
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
        """The share of the architectures' neighbours that the table has a value of.

        Where the landscape is a sample, that is of some ``ASCENTS`` of its architectures.
        """
        many, _, _ = self.measured()
        if not self.complete:
            many = many[:: -(-len(many) // ASCENTS)]
        held = there = 0
        for block in _blocks(many):
            near, counts = _neighbours(self.table.space, block)
            rows = self.table.row(near.reshape(-1, near.shape[2])).reshape(near.shape[:2])
            known = (rows >= 0) & np.isfinite(self.fitness[rows])
            held += int((known & (np.arange(near.shape[1]) < counts[:, None])).sum())
            there += int(counts.sum())
        return held / there if there else 1.0

    @property
    def caveat(self) -> str:
        """What a study of moves cannot mean, if the table holds a part of the space; else empty."""
        share = self.neighbours_held
        if share >= ALL_BUT:
            return ""
        percent = f"{np.floor(1000 * share) / 10:g} % of the neighbours of its architectures"
        if share < ENOUGH:
            return (
                f"the table holds only {percent}: local optima, ascents, fitness–distance "
                f"correlation and random walks say nothing of the space"
            )
        return (
            f"the table holds {percent}: local optima, ascents, fitness–distance correlation and "
            f"random walks are those of the part that it holds, not of the space"
        )

    def measured(self) -> tuple[Architectures, Ints, Floats]:
        """Architectures, rows and values without those that have no value."""
        held = ~np.isnan(self.values)
        return self.architectures[held], self.rows[held], self.values[held]


def survey(table: Table, column: Query | str | None = None, seed: int = 0) -> Landscape:
    """Chooses the architectures to study: all that the table holds, or a sample of a large space.

    Args:
        table: The table.
        column: What is studied; the table's objective by default.
        seed: Of the sample.

    Raises:
        QueryError: The table has no such column, it is empty, or it names no objective.
    """
    if not (column or table.info.objective):
        raise QueryError(
            f"{table.name!r} names no objective. Name the column to study, one of "
            f"{', '.join(table.columns)}."
        )
    found = table.column(column or table.info.objective)
    result = _chosen(table, found, seed)
    if np.isnan(result.values).all():
        raise QueryError(
            f"Column {found.name!r} of {table.name!r} holds no value of any architecture. Name "
            f"another, one of {', '.join(table.columns)}."
        )
    return result


def _chosen(table: Table, column: Column, seed: int) -> Landscape:
    space = table.space
    if space.size <= LIMIT:
        try:
            every = space.at(np.arange(space.size))
            rows = table.row(every)
            held = rows >= 0
            how = f"all {space.size:,} architectures of the space"
            if not held.all():
                how = f"the {held.sum():,} of {space.size:,} architectures that the table holds"
            return Landscape(table, column, every[held], rows[held], True, how)
        except InvalidArchitectureError:
            pass  # not every combination of options is an architecture
    drawn = space.sample(np.random.default_rng([seed, 0]), SAMPLE)
    rows = table.row(drawn)
    held = (rows >= 0) & ~np.isnan(table.values(column.name)[rows])
    if held.sum() >= SAMPLE // 20:
        how = f"{held.sum():,} of {SAMPLE:,} architectures drawn at random, that the table holds"
        return Landscape(table, column, drawn[held], rows[held], False, how)
    rows = np.flatnonzero(table.architectures[:, 0] >= 0)
    how = f"one architecture of each of {counted(len(rows), 'row')}, as random ones are seldom "
    "in the table"
    return Landscape(table, column, table.architectures[rows], rows, False, how)


# Moves


def _neighbours(space: SearchSpace, many: Architectures) -> tuple[Architectures, Ints]:
    """``(n, m, d)`` neighbours, and ``(n,)`` how many each has; itself fills up the other places."""
    try:
        near = space.neighbours(many)
        counts = np.full(len(many), near.shape[1])
    except InvalidArchitectureError:
        # They have unequal numbers of neighbours, which are only told one by one.
        lists = [space.neighbours(tuple(one)) for one in many.tolist()]
        counts = np.array([len(some) for some in lists])
        near = np.repeat(many[:, None], counts.max(), axis=1)
        for place, some in zip(near, lists, strict=True):
            place[: len(some)] = np.reshape(some, (len(some), many.shape[1]))
    return near if near.shape[1] else many[:, None], counts


def _steepest(landscape: Landscape, many: Architectures) -> tuple[Architectures, Ints]:
    """For each architecture its best strictly better neighbour, or itself, and the row of that."""
    near, _ = _neighbours(landscape.table.space, many)
    # It comes first itself, and of equals the first is taken: it moves only to what is better.
    near = np.concatenate([many[:, None], near], axis=1)
    rows = landscape.table.row(near.reshape(-1, near.shape[2])).reshape(near.shape[:2])
    best = np.where(rows >= 0, landscape.fitness[rows], -np.inf).argmax(axis=1)
    each = np.arange(len(many))
    return near[each, best], rows[each, best]


def _blocks(many: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (many[i : i + _BLOCK] for i in range(0, len(many), _BLOCK))


@dataclass(frozen=True)
class LocalOptima:
    """Where steepest ascents end.

    Args:
        rows: ``(k,)`` rows that are local optima, from best to worst.
        values: ``(k,)`` their values.
        basins: ``(k,)`` how many ascents end there.
        share: Of all rows, or of the starting points of a sample, those that are local optima.
        complete: Whether every architecture was a starting point, so that these are all there are.
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

    A row is a local optimum if no neighbour of any architecture that shares it has a strictly better
    value; what the table lacks is no better. An ascent goes to the best of these neighbours until
    there is none. So architectures that share a row are one network, which no move between
    them leaves, while of a plateau of several rows with one value each may be an optimum.

    Where the landscape is a sample, ascents start from ``ASCENTS`` of its architectures, and each
    knows the neighbours of the architecture that it is at, not those of others that share the row.

    Args:
        landscape: The architectures.
        seed: Chooses the starting points from a sample.
    """
    many, rows, _ = landscape.measured()
    fitness = landscape.fitness
    if landscape.complete:
        above = np.concatenate([_steepest(landscape, block)[1] for block in _blocks(many)])
        # Of several architectures that share a row, the one with the best move is written last.
        order = np.argsort(fitness[above], kind="stable")
        end = np.arange(len(fitness))
        end[rows[order]] = above[order]
        held = np.unique(rows)
        share = float((end[held] == held).mean())
        while not np.array_equal(end, end[end]):
            end = end[end]
        basins = np.bincount(end[rows], minlength=len(fitness))
    else:
        starts = np.random.default_rng([seed, 1]).permutation(len(many))[:ASCENTS]
        many, end = many[starts], rows[starts]
        going = np.arange(len(many))
        while going.size:
            many[going], after = _steepest(landscape, many[going])
            moved = after != end[going]
            end[going] = after
            going = going[moved]
        share = float((end == rows[starts]).mean())
        basins = np.bincount(end, minlength=len(fitness))
    found = np.flatnonzero(basins)
    found = found[np.argsort(-fitness[found], kind="stable")]
    values = landscape.table.values(landscape.column.name)[found]
    return LocalOptima(found, values, basins[found], share, landscape.complete)


@dataclass(frozen=True)
class FitnessDistance:
    """How value falls with the distance to the global optimum.

    Args:
        distances: ``(n,)`` fewest moves from each architecture to one with the best value.
        values: ``(n,)`` their values.
        correlation: Pearson's, of distance and value, where more counts as better: -1 is a straight
            way to the optimum, 0 none, and above 0 values lead away from it.
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
            some = self.values[self.distances == distance]
            q25, median, q75 = np.quantile(some, [0.25, 0.5, 0.75])
            line = {"distance": distance, "architectures": len(some), "mean": some.mean()}
            line |= {"std": some.std(), "min": some.min(), "q25": q25, "median": median}
            lines.append(line | {"q75": q75, "max": some.max()})
        return pd.DataFrame(lines)


def fitness_distance(landscape: Landscape) -> FitnessDistance | None:
    """Correlation of fitness and distance to the optimum (Jones and Forrest, ICGA 1995).

    The distance is the fewest moves of the neighbour relation to any architecture with the best
    value, through architectures of the space whether the table has them or not. It is counted by
    breadth-first search, or in a large product space as decisions that differ. In other large spaces
    it is not known which architectures share the best row, and the result is None.
    """
    table, space = landscape.table, landscape.table.space
    many, rows, values = landscape.measured()
    best = landscape.fitness == landscape.fitness.max()
    if landscape.complete:
        distances = _distances(space, many[best[rows]])[space.index(many)]
    elif all(
        getattr(type(space), name) is getattr(SearchSpace, name)
        for name in ("neighbours", "canonical")
    ):
        targets = table.architectures[best]
        distances = np.min([(many != target).sum(axis=1) for target in targets], axis=0)
    else:
        return None
    reached = distances >= 0
    distances, values = distances[reached], values[reached]
    fitness = landscape.fitness[rows[reached]]
    r = float("nan")
    if len(values) and np.ptp(distances) and np.ptp(fitness):
        r = float(np.corrcoef(distances, fitness)[0, 1])
    return FitnessDistance(distances, values, r, int((distances == 0).sum()))


def _distances(space: SearchSpace, targets: Architectures) -> Ints:
    """``(size,)`` fewest moves from each combination of options to a target; -1 where none lead."""
    result = np.full(space.size, -1)
    front, steps = space.index(targets), 0
    while front.size:
        result[front] = steps
        steps += 1
        for block in _blocks(front):
            near, _ = _neighbours(space, space.at(block))
            reached = space.index(near.reshape(-1, near.shape[2]))
            result[reached[result[reached] < 0]] = steps
        front = np.flatnonzero(result == steps)
    return result


@dataclass(frozen=True)
class Autocorrelation:
    """How alike the values along random walks are.

    Args:
        values: ``(lags + 1,)`` correlation of values so many moves apart, from 0 on; NaN where there
            are no two such.
        pairs: ``(lags + 1,)`` how many pairs of values each is of.
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

    Each starts at a random architecture of the space and goes on to one of the neighbours, all
    equally likely, whether the table has it or not.
    """
    rng, space = np.random.default_rng([seed, 2]), landscape.table.space
    current = space.sample(rng, walks)
    values = landscape.table.values(landscape.column.name)
    result = np.full((walks, steps + 1), np.nan)
    for t in range(steps + 1):
        rows = landscape.table.row(current)
        result[:, t] = np.where(rows >= 0, values[rows], np.nan)
        near, counts = _neighbours(space, current)
        current = near[np.arange(walks), (rng.random(walks) * counts).astype(np.int64)]
    return result


def autocorrelation(walks: Floats, lags: int = LAGS) -> Autocorrelation:
    """Autocorrelation of the values along walks (Weinberger, Biol. Cybernetics 63, 1990).

    Mean and variance are those of all values of all walks; pairs that lack a value are left out.

    Args:
        walks: ``(walks, steps + 1)`` values.
        lags: Up to how many moves apart.
    """
    known = ~np.isnan(walks)
    mean, variance = (walks[known].mean(), walks[known].var()) if known.any() else (0.0, 0.0)
    deviations = np.where(known, walks - mean, 0.0)
    values, pairs = [], []
    for lag in range(min(lags, walks.shape[1] - 1) + 1):
        end = walks.shape[1] - lag
        n = int((known[:, :end] & known[:, lag:]).sum())
        covariance = (deviations[:, :end] * deviations[:, lag:]).sum() / n if n else np.nan
        values.append(covariance / variance if variance else np.nan)
        pairs.append(n)
    return Autocorrelation(np.array(values), np.array(pairs), len(walks))
