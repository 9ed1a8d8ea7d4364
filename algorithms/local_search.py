"""Local search (hill climbing) with restarts.

White, Nolen and Savani, "Exploring the loss landscape in neural architecture search", UAI 2021
(arXiv 2005.02960), Algorithm 1. The paper minimises a loss l; here scores are maximised.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_choice, check_number
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import Architecture, SearchSpace

MOST_DRAWS = 10_000
"""A restart gives up after so many random architectures whose scores are all known.

As many mutants stand for the neighbours of an architecture that has too many to list.
"""


class LocalSearch(SearchAlgorithm):
    """Climbs from a random architecture to better neighbours, and restarts at each local optimum.

    An architecture is not asked if its score is known: if it, or an isomorphic one, was asked before
    or is a result of another search. A move goes to a strictly better neighbour only. The search is
    over when a restart finds no architecture whose score is unknown.

    The defaults are those of the code that was published with the paper (naszilla); Algorithm 1 is
    ``strategy="best", n_initial=1``.

    Args:
        space: The space to search.
        strategy: ``best`` evaluates all neighbours and moves to the best; of equals, to the first of
            ``space.neighbours``. ``first`` moves as soon as a neighbour is better. Either asks for the
            neighbours in random order.
        n_initial: How many random architectures are evaluated at each start; the climb begins at the
            best of them.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self, space: SearchSpace, *, strategy: str = "first", n_initial: int = 10, **kwargs: Any
    ) -> None:
        super().__init__(space, **kwargs)
        check_choice("strategy", strategy, ("first", "best"))
        check_number("n_initial", n_initial, whole=True, low=1)
        self.strategy = strategy
        self.n_initial = n_initial
        self._current: Architecture | None = None  # v_i; None at a start
        self._current_score = -math.inf  # minus l(v_i), where l(v_0) is infinite
        self._step = _Step([], [], [])
        # The score of each class of isomorphic architectures, None while it is being evaluated.
        self._scores: dict[Architecture, float | None] = {}
        self._used_up = False

    def ask(self) -> Trial | None:
        while not self._used_up:
            best, best_score = self._step.best(self._scores)
            improves = best_score > self._current_score  # the condition of step 3
            at_once = self.strategy == "first" and self._current is not None
            if improves and (at_once or self._step.is_evaluated(self._scores)):
                self._climb(best, best_score)
            elif self._step.unseen:
                # Step 3.i: evaluate all neighbours; at a start, step 2: evaluate v_1.
                architecture, key = self._step.look_at_next()
                if key not in self._scores:
                    self._scores[key] = None
                    return self.trial(architecture)
            elif not self._step.is_evaluated(self._scores):
                return None
            else:
                # Algorithm 1 ends in the local optimum v_i. While there is budget, begin again.
                self._restart()
        return None

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self._scores[self.space.canonical(trial.architecture)] = self.score(evaluation)

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Notes the score of an architecture, which is then not asked any more."""
        if self.is_final(evaluation):
            self._scores[self.space.canonical(architecture)] = self.score(evaluation)

    def _climb(self, architecture: Architecture, score: float) -> None:
        """Step 3.ii: the best candidate becomes the current architecture."""
        self._current, self._current_score = architecture, score
        try:
            neighbours = self.space.neighbours(architecture)
        except InvalidArchitectureError:
            # There are more than can be listed; some of them do.
            mutants = self.space.mutate(np.array([architecture] * MOST_DRAWS), self.rng)
            neighbours = [tuple(mutant) for mutant in np.unique(mutants, axis=0).tolist()]
        keys = self.space.canonical(np.array(neighbours)).tolist() if neighbours else []
        self._begin_step(neighbours, list(map(tuple, keys)))

    def _restart(self) -> None:
        """Step 1: picks architectures uniformly at random, of those whose score is not known."""
        self._current, self._current_score = None, -math.inf
        sample: dict[Architecture, Architecture] = {}
        for _ in range(MOST_DRAWS):
            architecture = self.space.sample(self.rng)
            key = self.space.canonical(architecture)
            if key not in self._scores:
                sample[key] = architecture
                if len(sample) == self.n_initial:
                    break
        self._begin_step(list(sample.values()), list(sample))
        self._used_up = not sample

    def _begin_step(self, candidates: list[Architecture], keys: list[Architecture]) -> None:
        self._step = _Step(candidates, keys, self.rng.permutation(len(candidates)).tolist())


class _Step:
    """The candidates of one step: the neighbours of the current architecture, or a random sample.

    Args:
        candidates: Architectures, in the order that decides between equals.
        keys: The canonical architecture of each one's class.
        order: Positions of the candidates in the order in which they are looked at, the last first.
    """

    def __init__(
        self, candidates: list[Architecture], keys: list[Architecture], order: list[int]
    ) -> None:
        self.candidates = candidates
        self.keys = keys
        self.unseen = order
        self.seen: list[int] = []

    def look_at_next(self) -> tuple[Architecture, Architecture]:
        """The next candidate, and the canonical architecture of its class."""
        i = self.unseen.pop()
        self.seen.append(i)
        return self.candidates[i], self.keys[i]

    def best(self, scores: dict[Architecture, float | None]) -> tuple[Architecture, float]:
        """The best of the candidates seen so far that have a score, and this score."""
        best, best_i = -math.inf, 0
        for i in self.seen:
            score = scores[self.keys[i]]
            if score is not None and (score > best or (score == best and i < best_i)):
                best, best_i = score, i
        return (self.candidates[best_i] if self.seen else ()), best

    def is_evaluated(self, scores: dict[Architecture, float | None]) -> bool:
        """Whether all candidates have been seen and have a score."""
        return not self.unseen and all(scores[key] is not None for key in self.keys)


LocalSearch.citation = """@inproceedings{white2021exploring,
  title = {Exploring the Loss Landscape in Neural Architecture Search},
  author = {White, Colin and Nolen, Sam and Savani, Yash},
  booktitle = {Conference on Uncertainty in Artificial Intelligence},
  year = {2021}
}"""
