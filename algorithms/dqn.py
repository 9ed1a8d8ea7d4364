"""Deep Q-network: a network learns what each option is worth after the decisions before it.

Mnih et al., "Human-level control through deep reinforcement learning", Nature 2015, Algorithm 1, on the
decision process of Baker et al. 2017 (arXiv 1611.02167), see ``q_learning``.
"""

from __future__ import annotations

import copy
import itertools
import math
from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms._decisions import EpsilonGreedy, State
from algorithms._networks import one_cpu_thread
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    import torch

FINAL_EPSILON = 0.1
"""ε at the end of its schedule, as in the paper."""


class Transition(NamedTuple):
    """A step of the decision process.

    Args:
        state: The state, as ``DQN.inputs`` has it.
        option: The option that was taken.
        following: The state that it led to, 0 everywhere for an end.
        n_following: How many options that has; 0 for an end.
        architecture: The architecture of the end.
    """

    state: NDArray[np.float64]
    option: int
    following: NDArray[np.float64]
    n_following: int
    architecture: Architecture


class DQN(EpsilonGreedy):
    """Q-learning with a network, a replay memory of single steps, and a target network.

    An architecture that was asked before is not trained again; another one is drawn. The reward of an
    architecture is the share of the results in memory that it beats; the paper clips rewards to ±1, for
    the same reason: no unit of the scores then needs another learning rate. The optimizer is Adam. An
    ε-greedy step is random with a chance that falls linearly to 0.1. Results of other searches join
    the memory.

    Args:
        space: The space to search.
        schedule: Over how many evaluations ε falls.
        learning_rate: Step size of Adam.
        batch_size: Steps of the memory in each update.
        updates: Updates after each result.
        target_every: C of Algorithm 1: after so many updates the target network is replaced.
        hidden: Units of both hidden layers.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.

    Attributes:
        network: The network; None before the first result.

    Raises:
        MissingPackageError: PyTorch is not installed.
        HyperparameterError: A value does not fit.
    """

    needs_torch = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        schedule: int = 100,
        learning_rate: float = 0.002,
        batch_size: int = 32,
        updates: int = 2,
        target_every: int = 20,
        hidden: int = 64,
        **kwargs: Any,
    ) -> None:
        from nasbench_lab.trainer import need_torch

        super().__init__(space, **kwargs)
        check_number("schedule", schedule, whole=True, low=1)
        check_number("learning_rate", learning_rate, above=0)
        check_number("batch_size", batch_size, whole=True, low=1)
        check_number("updates", updates, whole=True, low=1)
        check_number("target_every", target_every, whole=True, low=1)
        check_number("hidden", hidden, whole=True, low=1)
        need_torch()
        self.schedule, self.learning_rate, self.batch_size = schedule, learning_rate, batch_size
        self.updates, self.target_every, self.hidden = updates, target_every, hidden
        self.network: torch.nn.Module | None = None
        self._n_updates = 0
        self._values: dict[State, list[float]] = {}  # of the network as it is
        self._memory: list[Transition] = []
        self._rewards: dict[Architecture, float] = {}
        self._sorted: list[float] = []  # the same rewards
        self._offsets = np.cumsum([0, *space.n_options])

    def epsilon(self, number: int) -> float:
        """Falls linearly from 1."""
        return max(FINAL_EPSILON, 1 - (1 - FINAL_EPSILON) * number / self.schedule)

    def inputs(self, state: State) -> NDArray[np.float64]:
        """``(options of all + decisions,)``: the options taken, and which decision is next."""
        result = np.zeros(self._offsets[-1] + len(self.space.n_options))
        result[self._offsets[: len(state)] + np.array(state, dtype=np.int64)] = 1.0
        result[self._offsets[-1] + len(state)] = 1.0
        return result

    def values(self, state: State) -> list[float] | None:
        """What each option is worth in a state, by the network; None before the first result."""
        import torch

        if self.network is None:
            return None
        if state not in self._values:
            with torch.no_grad(), one_cpu_thread():
                values: list[float] = self.network(torch.from_numpy(self.inputs(state))).tolist()
            self._values[state] = values[: self.process.n_actions(state)]
        return self._values[state]

    def reward(self, architecture: Architecture) -> float:
        """The share of the results in memory that one of them beats; equal ones count half."""
        reward = self._rewards[architecture]
        below, up_to = bisect_left(self._sorted, reward), bisect_right(self._sorted, reward)
        return (below + up_to) / 2 / len(self._sorted)

    def learn(self, architecture: Architecture, reward: float) -> None:
        if architecture in self._rewards:
            del self._sorted[bisect_left(self._sorted, self._rewards[architecture])]
        else:
            self._memory += self._transitions(architecture)
        self._rewards[architecture] = reward
        insort(self._sorted, reward)
        if self.network is None:
            self._make_networks()
        self._values.clear()
        with one_cpu_thread():
            for _ in range(self.updates):
                places = self.rng.integers(len(self._memory), size=self.batch_size).tolist()
                self._update([self._memory[place] for place in places])

    def _transitions(self, architecture: Architecture) -> list[Transition]:
        path = self.process.path(architecture)
        inputs = [self.inputs(state) for state, _ in path]
        following = [*inputs[1:], np.zeros_like(inputs[0])]
        counts = [*(self.process.n_actions(state) for state, _ in path[1:]), 0]
        return [
            Transition(state, option, after, n, architecture)
            for state, (_, option), after, n in zip(inputs, path, following, counts, strict=True)
        ]

    def _make_networks(self) -> None:
        import torch
        from torch import nn

        sizes = [len(self.inputs(())), self.hidden, self.hidden, max(self.space.n_options)]
        with torch.device("meta"):  # no draws from PyTorch's global generator
            first, second, last = (
                nn.Linear(*pair, dtype=torch.float64) for pair in itertools.pairwise(sizes)
            )
            network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)
        self.network = network.to_empty(device="cpu")
        with torch.no_grad():
            for layer in (first, second, last):
                for parameter in layer.parameters():
                    bound = 1 / math.sqrt(layer.in_features)
                    values = self.rng.uniform(-bound, bound, tuple(parameter.shape))
                    parameter.copy_(torch.from_numpy(values))
        self._target = copy.deepcopy(self.network)
        self._adam = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)

    def _update(self, batch: list[Transition]) -> None:
        """A step on the squared error of equation 1, whose gradient is at most 1 as in the paper."""
        import torch
        from torch.nn.functional import smooth_l1_loss

        assert self.network is not None
        states, options, following, counts, architectures = zip(*batch, strict=True)
        n_following = torch.tensor(counts)
        with torch.no_grad():
            after = self._target(torch.from_numpy(np.array(following)))
            foreign = torch.arange(after.shape[1]) >= n_following[:, None]
            best = after.masked_fill(foreign, -math.inf).amax(dim=1)
            # With γ = 1; before the end the reward is 0, and after it comes nothing.
            rewards = torch.tensor(list(map(self.reward, architectures)), dtype=torch.float64)
            targets = torch.where(n_following > 0, best, rewards)
        values = self.network(torch.from_numpy(np.array(states)))
        taken = values.gather(1, torch.tensor(options)[:, None])[:, 0]
        self._adam.zero_grad()
        torch.autograd.backward(smooth_l1_loss(taken, targets))
        self._adam.step()
        self._n_updates += 1
        if self._n_updates % self.target_every == 0:
            self._target.load_state_dict(self.network.state_dict())


DQN.citation = """@article{mnih2015human,
  title = {Human-Level Control through Deep Reinforcement Learning},
  author = {Mnih, Volodymyr and Kavukcuoglu, Koray and Silver, David and Rusu, Andrei A. and
            Veness, Joel and Bellemare, Marc G. and Graves, Alex and Riedmiller, Martin and
            Fidjeland, Andreas K. and Ostrovski, Georg and others},
  journal = {Nature},
  volume = {518},
  pages = {529--533},
  year = {2015}
}"""
