"""NSGA-II, a genetic algorithm for several objectives.

Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II",
IEEE Transactions on Evolutionary Computation 6(2), 2002; on architectures: Lu et al., GECCO 2019
(arXiv 1810.03522).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms._variation import CROSSOVERS, check_rate, cross, mutate_genes, one_change
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_choice, check_number
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import Architecture, SearchSpace

Floats = NDArray[np.float64]

_Result = tuple[Architecture, tuple[float, ...], float]
"""Architecture, values, violation."""

_Member = tuple[int, float, Architecture]
"""Rank of its front, minus crowding distance, architecture: the fitter of two is the lesser."""


class NSGA2(SearchAlgorithm):
    """A population that survives by front, and within a front by distance from its neighbours.

    A generation of children waits for all its results, and then competes with its parents. What
    violates a constraint is behind all that does not, the more the further (section VI of the
    paper); failed evaluations come last. Trials that were asked elsewhere compete as well. With one
    objective, this is an elitist genetic algorithm.

    Args:
        space: The space to search.
        population_size: N of the paper.
        crossover: One of ``uniform``, ``single_point`` and ``multi_point`` (two points).
        crossover_rate: The chance that two parents are crossed; otherwise both are copied.
        mutation_rate: The chance that a decision changes; by default one over the number of
            decisions with several options.
        **kwargs: ``seed``, ``maximize`` and ``fidelities`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        population_size: int = 20,
        crossover: str = "uniform",
        crossover_rate: float = 0.9,
        mutation_rate: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        if self._weights is not None:
            raise HyperparameterError("Expected no weights: all objectives count by themselves.")
        if mutation_rate is None:
            mutation_rate = one_change(space)
        check_number("population_size", population_size, whole=True, low=1)
        check_choice("crossover", crossover, tuple(CROSSOVERS))
        check_rate("crossover_rate", crossover_rate)
        check_rate("mutation_rate", mutation_rate)
        self.population_size = population_size
        self.crossover = crossover
        self.crossover_rate = crossover_rate
        self.mutation_rate = mutation_rate
        self._to_ask = [space.sample(self.rng) for _ in range(population_size)]
        self._pending: set[int] = set()
        # The population of the last generation, and what has been told since.
        self._results: list[_Result] = []

    def ask(self) -> Trial | None:
        if not self._to_ask:
            return None
        trial = self.trial(self._to_ask.pop())
        self._pending.add(trial.number)
        return trial

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self._pending.discard(trial.number)
        succeeded = all(map(math.isfinite, evaluation.values))
        violation = evaluation.violation if succeeded else math.inf
        self._results.append((trial.architecture, evaluation.values, violation))
        if not self._to_ask and not self._pending:
            population = self._survive()
            while len(self._to_ask) < self.population_size:
                self._to_ask.extend(self._breed(population))
            del self._to_ask[self.population_size :]

    def _survive(self) -> list[_Member]:
        """Keeps the best fronts and, of the one that does not fit in whole, the least crowded."""
        values = np.array([values for _, values, _ in self._results]) * self._signs
        values[np.isinf(values)] = np.nan  # failed, as it is not finite
        violations = np.array([violation for _, _, violation in self._results])
        population: list[_Member] = []
        kept: list[_Result] = []
        for rank, front in enumerate(non_dominated_sort(values, violations)):
            crowded = -crowding_distance(values[front])
            room = self.population_size - len(kept)
            for i in np.argsort(crowded, kind="stable")[:room].tolist():
                kept.append(self._results[front.item(i)])
                population.append((rank, crowded.item(i), kept[-1][0]))
        self._results = kept
        return population

    def _breed(self, population: list[_Member]) -> list[Architecture]:
        """Two children of parents that each won a tournament of two."""
        *draws, u = self.rng.random(5).tolist()
        drawn = [population[int(draw * len(population))] for draw in draws]
        children = min(drawn[:2], key=_fitness)[2], min(drawn[2:], key=_fitness)[2]
        if u < self.crossover_rate:
            children = cross(self.space, *children, self.crossover, self.rng)
        return [mutate_genes(self.space, a, self.mutation_rate, self.rng) for a in children]


def _fitness(member: _Member) -> tuple[int, float]:
    return member[:2]


def non_dominated_sort(values: Floats, violations: Floats) -> list[NDArray[np.int64]]:
    """Sorts into fronts by constraint-domination (section III-A and definition 1 of the paper).

    Args:
        values: ``(n, m)`` values; more is better.
        violations: ``(n,)`` violations of constraints, 0 where they hold.

    Returns:
        Positions in ascending order: first of what nothing dominates, then of what is dominated by
        the first front only, and so on.
    """
    one, other = values[:, None], values
    dominates = (one >= other).all(axis=2) & (one > other).any(axis=2)
    dominates &= np.maximum.outer(violations, violations) == 0
    dominates |= violations[:, None] < violations
    n_dominating = dominates.sum(axis=0)
    fronts = []
    while (front := np.flatnonzero(n_dominating == 0)).size:
        fronts.append(front)
        n_dominating -= dominates[front].sum(axis=0)
        n_dominating[front] = -1
    return fronts


def crowding_distance(values: Floats) -> Floats:
    """How far the neighbours of each point of a front are apart (section III-B of the paper).

    Args:
        values: ``(n, m)`` values of the front.

    Returns:
        ``(n,)`` sums over the objectives of the distance between the next lower and the next higher
        value, in units of the objective's range; infinite for the lowest and the highest. An
        objective of one value adds nothing.
    """
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        if not np.abs(ordered).max() < 1e300:  # differences might overflow; their ratios stay
            ordered = ordered / 4
        spread = ordered[-1] - ordered[0]
        if spread > 0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / spread
            distance[order[[0, -1]]] = np.inf
    return distance


NSGA2.citation = """@article{deb2002fast,
  title = {A Fast and Elitist Multiobjective Genetic Algorithm: {NSGA-II}},
  author = {Deb, Kalyanmoy and Pratap, Amrit and Agarwal, Sameer and Meyarivan, T.},
  journal = {IEEE Transactions on Evolutionary Computation},
  volume = {6},
  number = {2},
  pages = {182--197},
  year = {2002}
}

@inproceedings{lu2019nsganet,
  title = {{NSGA-Net}: Neural Architecture Search using Multi-Objective Genetic Algorithm},
  author = {Lu, Zhichao and Whalen, Ian and Boddeti, Vishnu and Dhebar, Yashesh and
            Deb, Kalyanmoy and Goodman, Erik and Banzhaf, Wolfgang},
  booktitle = {Genetic and Evolutionary Computation Conference},
  year = {2019}
}"""
