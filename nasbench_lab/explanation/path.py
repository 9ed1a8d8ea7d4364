"""The shortest path of single changes from an architecture to the best, with the gain of each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.landscape.landscape import LIMIT, Landscape, moves_to, neighbours_of
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace
from nasbench_lab.tables.columns import Query

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]

MOST = 50_000
"""The most architectures at equal distance that are followed."""


@dataclass(frozen=True)
class Path:
    """A path of single changes.

    Args:
        steps: A line per architecture, the start first: ``change`` (how many changes led here),
            ``changed`` (what the last one was), ``architecture``, ``value``, ``gain`` (of the last
            change, positive if it is better), and ``reported``.
        loses: By how much the changes that lose lose together; 0 if none does.
    """

    steps: pd.DataFrame
    loses: float

    @property
    def changes(self) -> int:
        """The number of changes."""
        return len(self.steps) - 1


def shortest_path(
    landscape: Landscape,
    report: Query | str,
    start: Architecture,
    goal_rows: Ints,
) -> Path | None:
    """The best of the shortest paths of single changes from an architecture to others.

    A change is a move of the space's neighbour relation. All architectures on the way have a value in
    the table. Of all shortest paths, the result is the one whose changes lose least, so that no change
    loses if there is such a path; and among equals the one that has the best values on its way.

    Args:
        landscape: The table and its column.
        report: The column whose values stand beside; they decide nothing.
        start: Where the path begins; it has a value.
        goal_rows: ``(k,)`` rows of the table where it may end; of isomorphic architectures in a space
            that is too large to enumerate, only the table's own.

    Returns:
        None if there is no path, or it is not known how far architectures are from the goal: the
        space is too large to enumerate and has decisions with conditions, or the start is in so many
        decisions different that the paths are too many.
    """
    for distance in _distances(landscape, goal_rows):
        if (way := _way(landscape, start, distance)) is not None:
            return Path(_steps(landscape, report, way[0]), way[1])
    return None


def _way(
    landscape: Landscape, start: Architecture, distance: Callable[[Architectures], Ints]
) -> tuple[Architectures, float] | None:
    """The best way on which each change leads one nearer to the goal, and what it loses."""
    table, space = landscape.table, landscape.table.space
    first = np.array([start])
    left = int(distance(first)[0])
    if left < 0:
        return None
    layers = [first]
    loss, total = np.zeros(1), landscape.fitness[table.row(first)]
    parents: list[Ints] = []
    for remaining in range(left - 1, -1, -1):
        near, counts = neighbours_of(space, layers[-1])
        before = np.repeat(np.arange(len(near)), counts)
        reached = near[np.arange(near.shape[1]) < counts[:, None]]
        kept = distance(reached) == remaining
        rows = table.row(reached[kept])
        with_value = (rows >= 0) & np.isfinite(landscape.fitness[rows])
        reached, rows = reached[kept][with_value], rows[with_value]
        before = before[kept][with_value]
        if not len(reached):
            return None
        here = landscape.fitness[rows]
        there = landscape.fitness[table.row(layers[-1])][before]
        lost, sums = loss[before] + np.maximum(there - here, 0.0), total[before] + here
        layer, place = np.unique(reached, axis=0, return_inverse=True)
        if len(layer) > MOST:
            return None
        # The best way to each architecture comes first.
        order = np.lexsort((-sums, lost, place.ravel()))
        best = order[np.unique(place.ravel()[order], return_index=True)[1]]
        layers.append(layer)
        parents.append(before[best])
        loss, total = lost[best], sums[best]
    at = int(np.lexsort((-total, loss))[0])
    loses, way = float(loss[at]), [layers[-1][at]]
    for layer, parent in zip(layers[-2::-1], parents[::-1], strict=True):
        at = int(parent[at])
        way.append(layer[at])
    return np.array(way[::-1]), loses


def _distances(landscape: Landscape, goal_rows: Ints) -> Iterator[Callable[[Architectures], Ints]]:
    """Functions that say how many changes architectures are from the nearest goal, -1 for no way.

    The first counts the decisions that differ, where a change is one of these. If it finds no way,
    there may be a longer one around what is unknown, and the second knows it from all architectures.
    Of a space that is too large to enumerate there is none, and none at all if it has conditions.
    """
    table, space = landscape.table, landscape.table.space
    goals, allowed = table.architectures[goal_rows], None
    with suppress(InvalidArchitectureError):  # not every combination of options is an architecture
        if space.size <= LIMIT:
            every = space.at(np.arange(space.size))
            rows = table.row(every)
            allowed = (rows >= 0) & np.isfinite(landscape.fitness[rows])
            goals = every[np.isin(rows, goal_rows) & allowed]
    if not len(goals):
        return
    plain = type(space).neighbours is SearchSpace.neighbours
    if not space.conditional and (plain or allowed is None):
        yield lambda some: np.min([(some != goal).sum(axis=1) for goal in goals], axis=0)
    if allowed is not None:
        to_goal = moves_to(space, goals, allowed)
        yield lambda some: to_goal[space.index(some)]


def _steps(landscape: Landscape, report: Query | str, way: Architectures) -> pd.DataFrame:
    import pandas as pd

    table, space = landscape.table, landscape.table.space
    rows = table.row(way)
    values = table.values(landscape.column.name)[rows]
    gains = np.diff(landscape.fitness[rows], prepend=np.nan)
    changed = ["", *(changes(space, a, b) for a, b in itertools.pairwise(way.tolist()))]
    return pd.DataFrame(
        {
            "change": np.arange(len(way)),
            "changed": changed,
            "architecture": space.to_string(way),
            "value": values,
            "gain": gains,
            "reported": table.values(report)[rows],
        }
    )


def changes(space: SearchSpace, before: Any, after: Any) -> str:
    """What differs between two architectures: ``edge 1<-0: none → skip_connect``."""
    exists = space.active(np.array([before, after]))
    texts = []
    for i, decision in enumerate(space.decisions):
        one, other = (
            str(decision.options[a[i]]) if here else "–"
            for a, here in zip((before, after), exists[:, i], strict=True)
        )
        if one != other:
            texts.append(f"{decision.name}: {one} → {other}")
    return "; ".join(texts)
