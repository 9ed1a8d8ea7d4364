"""Local search (hill climbing) with restarts.

White, Nolen and Savani, "Exploring the loss landscape in neural architecture search", UAI 2021
(arXiv 2005.02960), Algorithm 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_choice, check_number
from nasbench_lab.spaces import Architecture, SearchSpace

MOST_DRAWS = 10_000
"""After as many random architectures that are all known, a restart takes the space for used up."""


_Candidate = tuple[int, Architecture, Architecture]
"""Rank among those of equal score, architecture, and the representative of its class."""


class LocalSearch(SearchAlgorithm):
    """Climbs from a random architecture to better neighbours, and starts again where there is none.

    What is known, itself or by an isomorphic architecture, is not asked again; its score counts. A
    move is to a strictly better neighbour only. The search is over when a restart finds nothing that
    is not known.

    The defaults are those of the code that was published with the paper (naszilla); Algorithm 1 is
    ``strategy="best", n_initial=1``.

    Args:
        space: The space to search.
        strategy: ``first``: goes to the first neighbour that is found to be better. ``best``: goes to
            the best neighbour once all are known, of equals to the first of ``space.neighbours``.
            Either asks neighbours in random order.
        n_initial: How many random architectures are evaluated at each start; the climb begins at the
            best of them.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    citation = """@inproceedings{white2021exploring,
  title = {Exploring the Loss Landscape in Neural Architecture Search},
  author = {White, Colin and Nolen, Sam and Savani, Yash},
  booktitle = {Conference on Uncertainty in Artificial Intelligence},
  year = {2021}
}"""

    def __init__(
        self, space: SearchSpace, *, strategy: str = "first", n_initial: int = 10, **kwargs: Any
    ) -> None:
        super().__init__(space, **kwargs)
        check_choice("strategy", strategy, ("first", "best"))
        check_number("n_initial", n_initial, whole=True, low=1)
        self.strategy = strategy
        self.n_initial = n_initial
        # The score of each class of isomorphic architectures, None while it is being evaluated.
        self._scores: dict[Architecture, float | None] = {}
        # Of the candidates of this step: those not looked at yet; those whose score is awaited; and the
        # best of the others, of equals the one of highest rank. What is to be beaten has rank 1.
        self._left: list[_Candidate] = []
        self._awaited: list[_Candidate] = []
        self._best: tuple[float, int, Architecture] = (-math.inf, 1, ())
        self._climbing = False
        self._over = False

    def ask(self) -> Trial | None:
        while not self._over:
            self._look()
            better = self._best[1] <= 0
            if better and self.strategy == "first" and self._climbing:
                self._climb()
            elif self._left:
                candidate = self._left.pop()
                self._awaited.append(candidate)
                _, architecture, key = candidate
                if key not in self._scores:
                    self._scores[key] = None
                    return self.trial(architecture)
            elif self._awaited:
                return None
            elif better:
                self._climb()
            else:
                self._restart()
        return None

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self._scores[self.space.canonical(trial.architecture)] = self.score(evaluation)

    def _look(self) -> None:
        """Compares the candidates whose score has come with the best."""
        awaited = []
        for candidate in self._awaited:
            rank, architecture, key = candidate
            score = self._scores[key]
            if score is None:
                awaited.append(candidate)
            else:
                self._best = max(self._best, (score, rank, architecture))
        self._awaited = awaited

    def _climb(self) -> None:
        """Goes to the best candidate, whose neighbours are the next candidates."""
        score, _, architecture = self._best
        near = self.space.neighbours(architecture)
        keys = self.space.canonical(np.array(near)).tolist() if near else []
        self._begin(score, architecture, list(zip(near, map(tuple, keys), strict=True)))
        self._climbing = True

    def _restart(self) -> None:
        """Draws what to start from, if there is anything."""
        drawn: dict[Architecture, Architecture] = {}
        for _ in range(MOST_DRAWS):
            architecture = self.space.sample(self.rng)
            key = self.space.canonical(architecture)
            if key not in self._scores:
                drawn[key] = architecture
                if len(drawn) == self.n_initial:
                    break
        self._begin(-math.inf, (), [(architecture, key) for key, architecture in drawn.items()])
        self._climbing = False
        self._over = not drawn

    def _begin(
        self, score: float, at: Architecture, candidates: list[tuple[Architecture, Architecture]]
    ) -> None:
        """Begins a step from an architecture of this score."""
        order = self.rng.permutation(len(candidates)).tolist()
        self._left = [(-i, *candidates[i]) for i in order]
        self._awaited = []
        self._best = (score, 1, at)
