"""Regularized (aging) evolution.

Real, Aggarwal, Huang and Le, "Regularized evolution for image classifier architecture search",
AAAI 2019 (arXiv 1802.01548), Algorithm 1; defaults as in NATS-Bench (arXiv 2009.00437, section 4).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from algorithms._variation import check_rate
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_number
from nasbench_lab.spaces import Architecture, SearchSpace


class RegularizedEvolution(SearchAlgorithm):
    """A population from which the oldest architecture dies, however good it is.

    The initial population counts against the budget like all other trials. A result of another
    search joins the initial population; once the population is full, it replaces the oldest if it is
    better.

    Args:
        space: The space to search.
        population_size: P of Algorithm 1.
        sample_size: S of Algorithm 1, the number of candidates for parenthood.
        near: An option of an ordered decision is so many times as likely in a mutation as one that is
            a step nearer to the parent's; with 1 all are equally likely.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        population_size: int = 10,
        sample_size: int = 3,
        near: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("population_size", population_size, whole=True, low=1)
        check_number("sample_size", sample_size, whole=True, low=1)
        check_rate("near", near)
        self.near = near
        self.population_size = population_size
        self.sample_size = sample_size
        self._n_initial = 0
        self._population: deque[tuple[float, Architecture]] = deque(maxlen=population_size)

    def ask(self) -> Trial:
        # Algorithm 1, initialize population: while |population| < P, a random architecture. With
        # parallel workers, it may end before the first result is told.
        if self._n_initial < self.population_size or not self._population:
            self._n_initial += 1
            return self.trial(self.space.sample(self.rng))
        # Evolve: S candidates are drawn from the population, and stay in it.
        draws = (self.rng.random(self.sample_size) * len(self._population)).tolist()
        sample = [self._population[int(u)] for u in draws]
        # The parent is the best of the sample, and the child a mutation of it.
        _, parent = max(sample, key=lambda member: member[0])
        if self.near == 1:
            return self.trial(self.space.mutate(parent, self.rng))
        return self.trial(self.space.mutate(parent, self.rng, near=self.near))

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        score = self.score(evaluation)
        # The child is added on the right; a full deque drops its oldest member, on the left.
        self._population.append((score, trial.architecture))

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Adds a member to the initial population, or replaces the oldest if that is worse."""
        if not self.is_final(evaluation):
            return
        score = self.score(evaluation)
        if len(self._population) < self.population_size or score > self._population[0][0]:
            self._n_initial += 1
            self._population.append((score, architecture))


RegularizedEvolution.citation = """@inproceedings{real2019regularized,
  title = {Regularized Evolution for Image Classifier Architecture Search},
  author = {Real, Esteban and Aggarwal, Alok and Huang, Yanping and Le, Quoc V.},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2019}
}"""
