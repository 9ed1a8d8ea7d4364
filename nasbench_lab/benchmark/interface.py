"""The interface of benchmarks, for tables and real training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_lab.algorithm import Evaluation, Work
from nasbench_lab.clock import counts_seconds
from nasbench_lab.errors import BenchmarkError, QueryError
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.tables.columns import Constraint

MISSING = {
    "pool": "searches move among the measured architectures only",
    "fail": "evaluations of other architectures fail, and are charged",
    "free": "evaluations of other architectures fail, and cost nothing of the budget",
    "fallback": "another benchmark evaluates other architectures",
}
"""What may come of the architectures that a benchmark has no values of, in words."""


@dataclass(frozen=True)
class Objective:
    """A quantity that a search optimises.

    Args:
        name: The name, such as ``"valid_accuracy"``.
        unit: The unit, such as ``"%"``.
        maximize: Whether more is better.
    """

    name: str
    unit: str
    maximize: bool = True


class Benchmark(ABC):
    """A space, objectives and a clock. Tables and real training answer through this interface.

    A child sets ``name``, ``space`` and ``objectives``, and overrides ``evaluate``. What an
    architecture is worth must depend on the arguments of ``evaluate`` alone, noise being drawn from
    its ``rng``; then runs repeat to the bit.

    Example:
        >>> from nasbench_lab.spaces import Decision
        >>> class Quadratic(Benchmark):
        ...     name = "quadratic"
        ...     space = SearchSpace("square", [Decision(k, tuple(range(9)), True) for k in "xy"])
        ...     objectives = (Objective("height", "m"),)
        ...
        ...     def evaluate(self, architecture, epoch=None, rng=None, since=None):
        ...         x, y = architecture
        ...         return Evaluation((10.0 - (x - 6) ** 2 - (y - 2) ** 2,), cost=1.0)
        >>> Quadratic().evaluate((6, 3))
        Evaluation(values=(9.0,), cost=1.0, epoch=None, row=-1, violation=0.0)
    """

    name: str
    space: SearchSpace
    objectives: tuple[Objective, ...]
    clock: str = "evaluations"
    """One of ``CLOCKS``: what costs are; 1 for each evaluation, or seconds."""
    measured: bool = False
    """Whether costs are seconds that were measured, so that no run repeats to the bit."""
    epochs: int | None = None
    """Epochs of a full evaluation, or None if the benchmark does not know."""
    fidelities: tuple[int, ...] = ()
    """The epochs after which it can evaluate, ascending; empty if it knows only the end."""
    noisy: bool = False
    """Whether evaluations draw from ``rng``."""
    constraints: tuple[Constraint, ...] = ()
    """The constraints on architectures."""
    missing: str = "fail"
    """What comes of architectures that it has no values of: one of ``MISSING``."""
    dataset: str | None = None
    """The data set that the networks are trained for, or None if the benchmark does not know."""
    files: Path | None = None
    """The folder with the files of that data set, for algorithms that train on it themselves."""
    best_value: float | None = None
    """The best possible value of the first objective, if it is known."""
    reported: Objective | None = None
    """What results are reported in, such as test accuracy; None for the first objective."""

    @property
    def fingerprint(self) -> str:
        """A checksum of the data that it looks values up in; empty if it has none."""
        return ""

    def report_value(self, architecture: Architecture) -> float:
        """What an architecture is worth in ``reported``, NaN if nobody knows.

        Comparisons ask for it after a run, of the architectures that were its incumbents. No search
        ever sees it. A benchmark that sets ``reported`` overrides it.

        Raises:
            QueryError: The benchmark reports nothing besides its objectives.
        """
        raise QueryError(f"{self.name!r} reports nothing besides its objectives.")

    def charge(self, work: Work) -> float:
        """The price of an algorithm's own work, in the unit of the clock.

        If the clock counts evaluations, passes count as the trainings that they are worth, and seconds
        nothing. If it counts seconds, work takes its own seconds. A benchmark that knows what a pass
        over its training data takes overrides this.

        Raises:
            BenchmarkError: The clock counts seconds, and this benchmark neither measures them nor
                knows what the passes take.
        """
        if not counts_seconds(self.clock):
            return work.epochs / self.epochs if self.epochs else 0.0
        if work.passes is None or self.measured:
            return work.seconds
        raise BenchmarkError(
            f"{self.name!r} counts simulated seconds, and does not know how many a pass over its "
            f"training data takes. Override charge(work), or choose the clock 'evaluations'."
        )

    def entry(self, architecture: Architecture) -> tuple[int, float]:
        """What is known of an architecture that was not trained.

        Returns:
            Its entry in the benchmark's table, or -1; and by how much it violates the constraints,
            NaN if only a training would tell.
        """
        return -1, math.nan if self.constraints else 0.0

    @abstractmethod
    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """Evaluates one architecture.

        Args:
            architecture: An architecture of ``space``.
            epoch: After how many epochs, or None for all.
            rng: The generator of a random trial's noise; never the search's own generator.
            since: The epoch up to which this trial was trained before. It is only given if the clock
                is ``resume``, which charges the epochs after it.

        Returns:
            One value for each objective, and the cost; NaN values if the evaluation failed.

        Raises:
            InvalidArchitectureError: The architecture is not of the space.
            QueryError: The benchmark does not know that epoch.
        """
