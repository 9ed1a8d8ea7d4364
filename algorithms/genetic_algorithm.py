"""A generational genetic algorithm.

Holland, "Adaptation in natural and artificial systems", 1975; Goldberg, "Genetic algorithms in search,
optimization, and machine learning", 1989. On architectures: Xie and Yuille, "Genetic CNN", ICCV 2017
(arXiv 1703.01513). Tournaments: Goldberg and Deb, "A comparative analysis of selection schemes used in
genetic algorithms", FOGA 1991; elitism: De Jong's thesis, 1975.
"""

from __future__ import annotations

import math
from bisect import bisect
from itertools import accumulate
from typing import Any

from algorithms._variation import CROSSOVERS, check_rate, cross, mutate_genes, one_change
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_choice, check_number
from nasbench_lab.spaces import Architecture, SearchSpace


class GeneticAlgorithm(SearchAlgorithm):
    """Generations of children of selected parents, the first of random architectures.

    A generation is evaluated as a whole before the next begins, so that some of several workers wait
    for its last results. Parents whose evaluation failed are selected only if all failed. Results of
    other searches become members of the current generation.

    Args:
        space: The space to search.
        population_size: Architectures in a generation, with the elites.
        selection: ``tournament`` draws parents at random and selects the best of them. ``roulette``
            selects with chances proportional to the lead over the worst parent, as in Genetic CNN;
            if no parent has a lead, all chances are equal.
        tournament_size: How many parents are drawn for a tournament, with replacement.
        crossover: ``uniform`` exchanges each decision with chance 1/2; ``single_point`` cuts the two
            parents at one place, ``multi_point`` at several, and exchanges every second part.
        n_points: At how many places ``multi_point`` cuts.
        crossover_rate: The chance of a crossover; otherwise the children are copies of the parents.
        mutation: ``gene`` changes each decision with chance ``mutation_rate``; ``random`` applies the
            space's own mutation, mostly of one decision, with that chance.
        mutation_rate: By default one decision changes on average: the rate is 1 over the number of
            decisions for ``gene``, and 1 for ``random``.
        elitism: How many of the best enter the next generation without a new evaluation.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        population_size: int = 20,
        selection: str = "tournament",
        tournament_size: int = 3,
        crossover: str = "uniform",
        n_points: int = 2,
        crossover_rate: float = 0.9,
        mutation: str = "gene",
        mutation_rate: float | None = None,
        elitism: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("population_size", population_size, whole=True, low=1)
        check_choice("selection", selection, ("tournament", "roulette"))
        check_number("tournament_size", tournament_size, whole=True, low=1)
        check_choice("crossover", crossover, tuple(CROSSOVERS))
        check_number("n_points", n_points, whole=True, low=1)
        check_rate("crossover_rate", crossover_rate)
        check_choice("mutation", mutation, ("gene", "random"))
        if mutation_rate is None:
            mutation_rate = one_change(space) if mutation == "gene" else 1.0
        check_rate("mutation_rate", mutation_rate)
        check_number("elitism", elitism, whole=True, low=0, below=population_size)
        self.population_size = population_size
        self.selection = selection
        self.tournament_size = tournament_size
        self.crossover = crossover
        self.n_points = n_points
        self.crossover_rate = crossover_rate
        self.mutation = mutation
        self.mutation_rate = mutation_rate
        self.elitism = elitism
        self._n_asked = 0  # architectures of this generation that were asked, or are elites
        self._generation: list[tuple[float, Architecture]] = []
        self._parents: list[tuple[float, Architecture]] = []
        self._wheel: list[float] = []
        self._children: list[Architecture] = []

    def ask(self) -> Trial | None:
        if len(self._generation) >= self.population_size:
            self._next_generation()
        if self._n_asked >= self.population_size:
            return None
        self._n_asked += 1
        if not self._parents:
            return self.trial(self.space.sample(self.rng))
        if not self._children:
            self._children = self._breed()
        return self.trial(self._children.pop())

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self._generation.append((self.score(evaluation), trial.architecture))

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Adds a member to the current generation."""
        if self.is_final(evaluation):
            self._generation.append((self.score(evaluation), architecture))

    def _next_generation(self) -> None:
        """The generation becomes the parents; its elites are the first of the next generation."""
        successes = [member for member in self._generation if member[0] > -math.inf]
        self._parents = successes or self._generation
        ranked = sorted(self._parents, key=lambda member: member[0], reverse=True)
        best, worst = ranked[0][0], ranked[-1][0]
        # Roulette: each parent has a sector of the wheel, as wide as its lead over the worst.
        self._wheel = list(accumulate(s - worst if best > worst else 1.0 for s, _ in self._parents))
        # Where the sum overflows, or is so small that shares of it are rounded, a change of unit
        # keeps the chances.
        if math.isinf(self._wheel[-1]):
            unit = 4.0 * len(self._parents)
            self._wheel = list(accumulate(s / unit - worst / unit for s, _ in self._parents))
        elif self._wheel[-1] < 1e-290:
            self._wheel = [total * 2.0**100 for total in self._wheel]
        self._generation = ranked[: self.elitism]  # elitism: De Jong 1975
        self._n_asked = len(self._generation)
        self._children = []

    def _breed(self) -> list[Architecture]:
        """Two children of two parents."""
        pair = self._select(), self._select()
        if self.rng.random() < self.crossover_rate:
            pair = cross(self.space, *pair, self.crossover, self.rng, self.n_points)
        return [self._mutate(child) for child in pair]

    def _select(self) -> Architecture:
        """A parent: by a tournament (Goldberg and Deb 1991), or by the roulette wheel."""
        if self.selection == "tournament":
            draws = (self.rng.random(self.tournament_size) * len(self._parents)).tolist()
            return max((self._parents[int(u)] for u in draws), key=lambda member: member[0])[1]
        return self._parents[bisect(self._wheel, self.rng.random() * self._wheel[-1])][1]

    def _mutate(self, child: Architecture) -> Architecture:
        """The child with some decisions changed, or the child itself."""
        if self.mutation == "gene":
            return mutate_genes(self.space, child, self.mutation_rate, self.rng)
        return (
            self.space.mutate(child, self.rng) if self.rng.random() < self.mutation_rate else child
        )


GeneticAlgorithm.citation = """@book{holland1975adaptation,
  title = {Adaptation in Natural and Artificial Systems},
  author = {Holland, John H.},
  publisher = {University of Michigan Press},
  year = {1975}
}

@book{goldberg1989genetic,
  title = {Genetic Algorithms in Search, Optimization, and Machine Learning},
  author = {Goldberg, David E.},
  publisher = {Addison-Wesley},
  year = {1989}
}

@inproceedings{xie2017genetic,
  title = {Genetic {CNN}},
  author = {Xie, Lingxi and Yuille, Alan},
  booktitle = {IEEE International Conference on Computer Vision},
  year = {2017}
}"""
