"""The Markov decision process of a search space, and agents that learn what its actions are worth.

So architectures are drawn by Baker, Gupta, Naik and Raskar, "Designing neural network architectures
using reinforcement learning", ICLR 2017 (arXiv 1611.02167), section 4.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from algorithms._numbers import squarable
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import Architecture, SearchSpace

MOST_DRAWS = 1000
"""After so many draws that are no architectures of the space, one is drawn uniformly."""

MOST_REPEATS = 100
"""After so many draws that were all asked before, the last is asked again."""

State = tuple[int, ...]
"""The options of the first decisions, with 0 for each that does not exist."""


class DecisionProcess:
    """The states of a space, and the ways between them.

    In a state, the next decision that exists is to be made; an action is one of its options. When no
    decision is left, the state is an architecture, and the reward is its score. Before, the reward is
    0. Decisions that do not exist, by the decisions so far, are passed over.

    Args:
        space: The space.

    Attributes:
        start: The state in which the first decision is to be made.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.start = self._passed_over(())

    def n_actions(self, state: State) -> int:
        """How many options the next decision has; 0 at an end."""
        return 0 if self.is_end(state) else self.space.n_options[len(state)]

    def is_end(self, state: State) -> bool:
        """Whether no decision is left."""
        return len(state) == len(self.space.n_options)

    def after(self, state: State, option: int) -> State:
        """The state to which an option of the next decision leads."""
        return self._passed_over((*state, option))

    def path(self, architecture: Architecture) -> list[tuple[State, int]]:
        """The states on the way to an architecture, from the start, with the option taken in each."""
        exists = self.space.active(np.array([architecture]))[0].tolist()
        return [(architecture[:i], architecture[i]) for i, here in enumerate(exists) if here]

    def _passed_over(self, state: State) -> State:
        """The state with the next decisions added that do not exist."""
        if not self.space.conditional:
            return state
        n = len(self.space.n_options)
        # Only earlier decisions say whether one exists, so it does not matter what fills the rest.
        exists = self.space.active(np.array([state + (0,) * (n - len(state))]))[0].tolist()
        while len(state) < n and not exists[len(state)]:
            state = (*state, 0)
        return state


def drawn_architecture(
    space: SearchSpace, rng: np.random.Generator, draw: Callable[[], Sequence[int]]
) -> Architecture:
    """Draws until the options stand for an architecture, as not all combinations need to.

    Args:
        space: The space.
        rng: Where an architecture is drawn from if none of many draws is one.
        draw: Draws an option for each decision.
    """
    for _ in range(MOST_DRAWS):
        try:
            return space.nearest(draw())
        except InvalidArchitectureError:
            continue
    return space.sample(rng)


class EpsilonGreedy(SearchAlgorithm):
    """Base of agents that take the action of the greatest value, or with the chance ε a random one.

    A child overrides ``epsilon``, ``values`` and ``learn``. An architecture that was asked before is
    not asked again, as long as another one is drawn. Results of other searches teach as its own do.

    Args:
        space: The space to search.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.

    Attributes:
        process: The decision process of the space.
    """

    def __init__(self, space: SearchSpace, **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        self.process = DecisionProcess(space)
        self._asked: set[Architecture] = set()

    @abstractmethod
    def epsilon(self, number: int) -> float:
        """The chance of a random action, in the trial with a number."""

    @abstractmethod
    def values(self, state: State) -> list[float] | None:
        """What each action is worth in a state; None if nothing is known of any."""

    @abstractmethod
    def learn(self, architecture: Architecture, reward: float) -> None:
        """Learns the reward of an architecture."""

    def ask(self) -> Trial:
        epsilon = self.epsilon(self._n_trials)
        for _ in range(MOST_REPEATS):
            architecture = drawn_architecture(self.space, self.rng, lambda: self.walk(epsilon))
            if architecture not in self._asked:
                break
        self._asked.add(architecture)
        return self.trial(architecture)

    def walk(self, epsilon: float) -> State:
        """Takes actions until an end; of several best, each is equally likely."""
        state = self.process.start
        while n := self.process.n_actions(state):
            values = None if self.rng.random() < epsilon else self.values(state)
            if values is None:
                options = list(range(n))
            else:
                best = max(values)
                options = [option for option, value in enumerate(values) if value == best]
            state = self.process.after(state, options[int(self.rng.random() * len(options))])
        return state

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self._learn(trial.architecture, evaluation)

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        if self.is_final(evaluation):
            self._asked.add(architecture)
            self._learn(architecture, evaluation)

    def _learn(self, architecture: Architecture, evaluation: Evaluation) -> None:
        reward = squarable(self.penalised_score(evaluation))
        if math.isfinite(reward):
            self.learn(architecture, reward)
