"""Regularized (aging) evolution.

Real, Aggarwal, Huang and Le, "Regularized evolution for image classifier architecture search",
AAAI 2019 (arXiv 1802.01548), Algorithm 1; defaults as in NATS-Bench (arXiv 2009.00437, section 4).

Warmup and move proposal by zero-cost proxies: Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-cost
proxies for lightweight NAS", ICLR 2021 (arXiv 2101.08134), section 5, and their example
``notebooks/nas_examples.ipynb`` (SamsungLabs/zero-cost-nas), which has warmup=3000 and move=0.75.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from algorithms._proxies import Pool, Ranking
from algorithms._transfer import draw_from, learned_policy
from algorithms._variation import check_rate
from nasbench_lab.algorithm import (
    Evaluation,
    History,
    Proxies,
    SearchAlgorithm,
    Trial,
    Work,
    check_number,
)
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
        proxies: Scores without training; given by the benchmark.
        warmup: If not 0, so many random architectures are scored by ``proxy`` first, and the best of
            them are the initial population.
        move: The chance that a child is the best by ``proxy`` of all that differ from the parent in
            one decision, and not a random mutation; ``near`` then plays no part.
        proxy: The zero-cost proxy that scores, or several that vote.
        history: What is known of other tasks; given by the experiment, if that has any. The initial
            population is then drawn from a policy that other tasks have taught, which mixes equal
            chances with the shares of the options among their best.
        prior_weight: How much of that policy is learned from other tasks.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        population_size: int = 10,
        sample_size: int = 3,
        near: float = 1.0,
        proxies: Proxies | None = None,
        warmup: int = 0,
        move: float = 0.0,
        proxy: str | Sequence[str] = "synflow",
        history: History | None = None,
        prior_weight: float = 0.8,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("population_size", population_size, whole=True, low=1)
        check_number("sample_size", sample_size, whole=True, low=1)
        check_rate("near", near)
        check_number("warmup", warmup, whole=True, low=0)
        check_rate("move", move)
        self.near = near
        self.population_size = population_size
        self.sample_size = sample_size
        self._n_initial = 0
        self._population: deque[tuple[float, Architecture]] = deque(maxlen=population_size)
        self.move = move
        self._ranking = Ranking(proxies, proxy) if warmup or move else None
        self._pool: Pool | None = None
        if self._ranking is not None and warmup:
            self._pool = Pool(self._ranking, self.space.sample(self.rng, warmup))
        check_rate("prior_weight", prior_weight)
        self._policy = None if history is None else learned_policy(space, history, prior_weight)
        # The child of the move whose scoring takes time.
        self._child: Architecture | None = None

    def ask(self) -> Trial | Work | None:
        if self._pool is not None and not self._pool.finished:
            return self._pool.score_some()
        if self._child is not None:
            child, self._child = self._child, None
            return self.trial(child)
        # Algorithm 1, initialize population: while |population| < P, a random architecture. With
        # parallel workers, it may end before the first result is told.
        if self._n_initial < self.population_size or not self._population:
            self._n_initial += 1
            if self._pool is not None and self._n_initial <= len(self._pool.ranked):
                return self.trial(tuple(self._pool.ranked[self._n_initial - 1].tolist()))
            if self._policy is not None:
                return self.trial(draw_from(self._policy, self.space, self.rng))
            return self.trial(self.space.sample(self.rng))
        # Evolve: S candidates are drawn from the population, and stay in it.
        draws = (self.rng.random(self.sample_size) * len(self._population)).tolist()
        sample = [self._population[int(u)] for u in draws]
        # The parent is the best of the sample, and the child a mutation of it.
        _, parent = max(sample, key=lambda member: member[0])
        if self._ranking is not None and self.move and self.rng.random() < self.move:
            neighbours = self.space.neighbours(parent)
            if neighbours:
                return self._moved(self._ranking, neighbours)
        if self.near == 1:
            return self.trial(self.space.mutate(parent, self.rng))
        return self.trial(self.space.mutate(parent, self.rng, near=self.near))

    def _moved(self, ranking: Ranking, neighbours: list[Architecture]) -> Trial | Work:
        """The best of a parent's neighbours by the proxies, or the work of finding it."""
        ranked, work = ranking.ranked(np.array(neighbours))
        child = tuple(ranked[0].tolist())
        if not work.seconds and work.passes is None:
            return self.trial(child)  # all of them were scored before
        self._child = child
        return work

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
