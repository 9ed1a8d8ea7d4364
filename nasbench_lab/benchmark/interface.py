"""The interface of benchmarks, for tables and real training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from nasbench_lab.algorithm import Evaluation
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
    """A space, objectives and a clock. Tables and real training answer through this interface."""

    name: str
    space: SearchSpace
    objectives: tuple[Objective, ...]
    clock: str
    """One of ``CLOCKS``."""
    epochs: int | None
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
            The validation metrics and the cost; NaN values if the evaluation failed.

        Raises:
            InvalidArchitectureError: The architecture is not of the space.
            QueryError: The benchmark does not know that epoch.
        """
