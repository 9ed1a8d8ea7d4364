"""Architectures whose values are known: those of a table, or those that searches evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.landscape.landscape import Landscape
from nasbench_lab.spaces import Architectures, SearchSpace
from nasbench_lab.trace import Trace
from nasbench_lab.words import counted

Floats = NDArray[np.float64]

LEAST = 20
"""An explanation needs at least so many different architectures."""


@dataclass(frozen=True)
class Known:
    """Architectures with the values that explanations are made of.

    Args:
        name: The table or benchmark.
        space: The space of the architectures.
        objective: What the values are.
        architectures: ``(n, d)`` different architectures.
        values: ``(n,)`` their values, none of which is NaN.
        how: Where they come from, in words.
        drawn: Whether they are all architectures of the space or drawn uniformly from them, and not
            chosen by a search.
    """

    name: str
    space: SearchSpace
    objective: Objective
    architectures: Architectures
    values: Floats
    how: str
    drawn: bool

    def __post_init__(self) -> None:
        if len(self.values) < LEAST:
            raise QueryError(
                f"Expected at least {LEAST} different architectures with a value of "
                f"{self.objective.name} to explain {self.name!r}, but there are {len(self.values)}. "
                f"Evaluate more."
            )

    @property
    def scores(self) -> Floats:
        """``(n,)`` values turned so that more is better."""
        return self.values if self.objective.maximize else -self.values


def known_of_table(landscape: Landscape) -> Known:
    """The architectures of a table, or a sample of them if the space is large.

    Raises:
        QueryError: They are too few.
    """
    architectures, _, values = landscape.measured()
    table, column = landscape.table, landscape.column
    return Known(
        table.name,
        table.space,
        Objective(column.name, column.unit, column.maximize),
        architectures,
        values,
        landscape.how,
        drawn=table.coverage.share > 0.99,
    )


def known_of_runs(benchmark: TableBenchmark, traces: Sequence[Trace]) -> Known:
    """The architectures that runs evaluated, with the mean of the values that the runs saw.

    Only evaluations after the most epochs count, as values after fewer are not comparable. Failed
    evaluations, and those that are not known to keep to the constraints, are left out.

    Raises:
        QueryError: They are too few.
    """
    space, objective = benchmark.space, benchmark.objectives[0]
    usable = [np.isfinite(trace.scores()) for trace in traces]
    epochs = np.concatenate([trace.epoch[use] for trace, use in zip(traces, usable, strict=True)])
    most = int(epochs.max(initial=-1))
    usable = [use & (trace.epoch == most) for trace, use in zip(traces, usable, strict=True)]
    every = np.concatenate([t.architecture[use] for t, use in zip(traces, usable, strict=True)])
    seen = np.concatenate([t.values[use, 0] for t, use in zip(traces, usable, strict=True)])
    architectures, place, counts = np.unique(
        every.reshape(-1, len(space.decisions)), axis=0, return_inverse=True, return_counts=True
    )
    values = np.bincount(place.ravel(), seen, minlength=len(counts)) / np.maximum(counts, 1)
    how = f"{counted(len(architectures), 'architecture')} that {counted(len(traces), 'run')} evaluated"
    if len(epochs) > len(seen):
        left_out = counted(len(epochs) - len(seen), "evaluation")
        how += f" after {counted(most, 'epoch')}; {left_out} after fewer left out"
    return Known(benchmark.name, space, objective, architectures, values, how, drawn=False)
