"""Q-learning with a table and experience replay: MetaQNN.

Baker, Gupta, Naik and Raskar, "Designing neural network architectures using reinforcement learning",
ICLR 2017 (arXiv 1611.02167), Algorithm 1, and their code (bowenbaker/metaqnn). Q-learning: Watkins and
Dayan, Machine Learning 1992.
"""

from __future__ import annotations

from typing import Any

from algorithms._decisions import EpsilonGreedy, State
from algorithms._variation import check_rate
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architecture, SearchSpace

EPSILONS = (
    *((1.0, 1500), (0.9, 100), (0.8, 100), (0.7, 100), (0.6, 150)),
    *((0.5, 150), (0.4, 150), (0.3, 150), (0.2, 150), (0.1, 150)),
)
"""The ε of Table 2, each with the number of models that are trained with it."""


class QLearning(EpsilonGreedy):
    """Learns what each option is worth in each state, if the best options follow.

    An option is drawn uniformly with the chance ε, and else it is the best. An architecture that was
    asked before is not trained again; another one is drawn. An option that was never taken is worth
    what the mean reward was when its state was first reached; in the paper it is worth 0.5, which is
    near the mean accuracy there. Results of other searches join the memory.

    Args:
        space: The space to search.
        schedule: Over how many evaluations ε falls from 1 to 0.1, in the steps of the paper, where they
            are 2,700. After these it stays 0.1.
        learning_rate: α of equation 3; 0.01 in the paper, with so many evaluations. As a way always
            leads to the same state, 1 is not too much.
        replays: K of Algorithm 1: after each result, so many architectures of the memory are drawn, and
            the values on the ways to them updated; 100 in the paper.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        schedule: int = 100,
        learning_rate: float = 1.0,
        replays: int = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("schedule", schedule, whole=True, low=1)
        check_number("learning_rate", learning_rate, above=0)
        check_rate("learning_rate", learning_rate)
        check_number("replays", replays, whole=True, low=1)
        self.schedule, self.learning_rate, self.replays = schedule, learning_rate, replays
        self._values: dict[State, list[float]] = {}
        # The replay memory: for each architecture its reward, and the way to it as the values of each
        # state with the option taken there.
        self._rewards: dict[Architecture, float] = {}
        self._ways: list[tuple[Architecture, list[tuple[list[float], int]]]] = []
        self._reward_sum = 0.0
        self._n_rewards = 0

    def values(self, state: State) -> list[float] | None:
        """What each option is worth in a state; None if no result came of it."""
        return self._values.get(state)

    def epsilon(self, number: int) -> float:
        """The chance of a random option, in the trial with a number."""
        models = number / self.schedule * sum(n for _, n in EPSILONS)
        for epsilon, n in EPSILONS:
            if models < n:
                return epsilon
            models -= n
        return EPSILONS[-1][0]

    def learn(self, architecture: Architecture, reward: float) -> None:
        self._reward_sum += reward
        self._n_rewards += 1
        if architecture not in self._rewards:
            self._ways.append((architecture, self._way(architecture)))
        self._rewards[architecture] = reward
        for place in self.rng.integers(len(self._ways), size=self.replays).tolist():
            self._update(*self._ways[place])

    def _way(self, architecture: Architecture) -> list[tuple[list[float], int]]:
        """The values on the way to an architecture; those of new states are the mean reward."""
        mean = self._reward_sum / self._n_rewards
        return [
            (self._values.setdefault(state, [mean] * self.process.n_actions(state)), option)
            for state, option in self.process.path(architecture)
        ]

    def _update(self, architecture: Architecture, way: list[tuple[list[float], int]]) -> None:
        """Equation 3 for each step of a way, with γ = 1, from the last to the first (section 4)."""
        target = self._rewards[architecture]
        for values, option in reversed(way):
            values[option] += self.learning_rate * (target - values[option])
            target = max(values)


QLearning.citation = """@inproceedings{baker2017designing,
  title = {Designing Neural Network Architectures using Reinforcement Learning},
  author = {Baker, Bowen and Gupta, Otkrist and Naik, Nikhil and Raskar, Ramesh},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}"""
