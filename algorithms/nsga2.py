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
"""Rank of the front, minus crowding distance, architecture."""


class NSGA2(SearchAlgorithm):
    """A population that survives by front, and within a front by distance from its neighbours.

    When all children of a generation are evaluated, they compete with their parents. A feasible
    architecture dominates every infeasible one; of two infeasible ones, the smaller violation
    dominates (section VI of the paper). Failed evaluations come last. Results of other searches
    compete with the children. With one objective, this is an elitist genetic algorithm.

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
        # The last population P_t and the children Q_t that have a result so far.
        self._results: list[_Result] = []

    def ask(self) -> Trial | None:
        if not self._to_ask:
            return None
        trial = self.trial(self._to_ask.pop())
        self._pending.add(trial.number)
        return trial

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self._pending.remove(trial.number)
        self._add_result(trial.architecture, evaluation)
        if not self._to_ask and not self._pending:
            # The main loop (section III-C): P_t+1 of P_t and Q_t, and its children Q_t+1.
            population = self._survive()
            while len(self._to_ask) < self.population_size:
                self._to_ask.extend(self._breed(population))
            del self._to_ask[self.population_size :]

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Lets a result compete with those of this search."""
        if self.is_final(evaluation):
            self._add_result(architecture, evaluation)

    def _add_result(self, architecture: Architecture, evaluation: Evaluation) -> None:
        succeeded = all(map(math.isfinite, evaluation.values))
        violation = evaluation.violation if succeeded else math.inf
        self._results.append((architecture, evaluation.values, violation))

    def _survive(self) -> list[_Member]:
        """Keeps whole fronts, the best first, and of the last front the least crowded members."""
        values = np.array([values for _, values, _ in self._results]) * self._signs
        values[np.isinf(values)] = np.nan  # a value that is not finite is a failure
        violations = np.array([violation for _, _, violation in self._results])
        population: list[_Member] = []
        survivors: list[_Result] = []
        for rank, front in enumerate(non_dominated_sort(values, violations)):
            crowding = -crowding_distance(values[front])
            room = self.population_size - len(survivors)
            for i in np.argsort(crowding, kind="stable")[:room].tolist():
                survivors.append(self._results[front.item(i)])
                population.append((rank, crowding.item(i), survivors[-1][0]))
        self._results = survivors
        return population

    def _breed(self, population: list[_Member]) -> list[Architecture]:
        """Two children of two parents, each the winner of a binary tournament (section III-C)."""
        *draws, u = self.rng.random(5).tolist()
        players = [population[int(draw * len(population))] for draw in draws]
        children = min(players[:2], key=_crowded)[2], min(players[2:], key=_crowded)[2]
        if u < self.crossover_rate:
            children = cross(self.space, *children, self.crossover, self.rng)
        return [mutate_genes(self.space, a, self.mutation_rate, self.rng) for a in children]


def _crowded(member: _Member) -> tuple[int, float]:
    """The crowded-comparison operator (section III-B): the lower rank, then the greater distance."""
    return member[:2]


def non_dominated_sort(values: Floats, violations: Floats) -> list[NDArray[np.int64]]:
    """Sorts into fronts by constrained domination.

    The fast non-dominated sort of section III-A of the paper, with definition 1 of section VI.

    Args:
        values: ``(n, m)`` values; more is better.
        violations: ``(n,)`` violations of constraints, 0 where they hold.

    Returns:
        The positions of each front, ascending. Nothing dominates a member of the first front; only
        members of earlier fronts dominate a member of a later one.
    """
    # dominates[p, q]: p dominates q. Definition 1: by the values if both are feasible, else by the
    # smaller violation.
    p, q = values[:, None], values
    dominates = (p >= q).all(axis=2) & (p > q).any(axis=2)
    dominates &= np.maximum.outer(violations, violations) == 0
    dominates |= violations[:, None] < violations
    n_dominating = dominates.sum(axis=0)  # the domination count n_q
    fronts = []
    while (front := np.flatnonzero(n_dominating == 0)).size:
        fronts.append(front)
        # Each member p of the front is taken off the counts of S_p, the solutions that it dominates.
        n_dominating -= dominates[front].sum(axis=0)
        n_dominating[front] = -1
    return fronts


def crowding_distance(values: Floats) -> Floats:
    """The distance between the two neighbours of each point of a front.

    Crowding-distance-assignment of section III-B of the paper.

    Args:
        values: ``(n, m)`` values of the front.

    Returns:
        ``(n,)`` sums over the objectives of the difference between the next higher and the next lower
        value, in units of the objective's range. Infinite at the lowest and the highest value of an
        objective. An objective in which all values are equal adds nothing.
    """
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        if not np.abs(ordered).max() < 1e300:  # differences might overflow; ratios are unchanged
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
