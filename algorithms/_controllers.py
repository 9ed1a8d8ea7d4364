"""What searches have in common in which a recurrent controller draws the architectures."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._decisions import drawn_architecture
from algorithms._networks import one_cpu_thread
from algorithms._numbers import squarable
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_number
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace

if TYPE_CHECKING:
    import torch

    from nasbench_lab.trainer.controller import Controller


class ControllerSearch(SearchAlgorithm):
    """Base of searches that train a controller by the rewards of what it drew.

    Architectures are drawn in batches, and the controller is trained when as many results are there. A
    child overrides ``train``. Results of other searches teach nothing: the gradient is that of the
    expected reward only if the policy itself drew the architecture.

    Args:
        space: The space to search.
        batch_size: Results for each update.
        learning_rate: Step size of Adam.
        entropy_weight: What a nat of entropy is worth, in standard deviations of the rewards.
        baseline_momentum: The weight of the old averages when a reward arrives.
        hidden: Units of each layer of the LSTM.
        layers: Layers of the LSTM.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.

    Attributes:
        controller: The policy; None before the first ``ask``.

    Raises:
        MissingPackageError: PyTorch is not installed.
        HyperparameterError: A value does not fit.
    """

    needs_torch = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        batch_size: int = 5,
        learning_rate: float = 0.02,
        entropy_weight: float = 0.1,
        baseline_momentum: float = 0.9,
        hidden: int = 32,
        layers: int = 2,
        **kwargs: Any,
    ) -> None:
        from nasbench_lab.trainer import need_torch

        super().__init__(space, **kwargs)
        check_number("batch_size", batch_size, whole=True, low=1)
        check_number("learning_rate", learning_rate, above=0)
        check_number("entropy_weight", entropy_weight, low=0)
        check_number("baseline_momentum", baseline_momentum, low=0, below=1)
        check_number("hidden", hidden, whole=True, low=1)
        check_number("layers", layers, whole=True, low=1)
        need_torch()
        self.batch_size, self.learning_rate = batch_size, learning_rate
        self.entropy_weight, self.baseline_momentum = entropy_weight, baseline_momentum
        self.hidden, self.layers = hidden, layers
        self.controller: Controller | None = None
        self.adam: torch.optim.Adam | None = None
        self._drawn: list[list[int]] = []
        self._batch: list[tuple[Architecture, float]] = []
        self._moments = np.zeros(3)

    def ask(self) -> Trial:
        return self.trial(drawn_architecture(self.space, self.rng, self._draw))

    def _draw(self) -> list[int]:
        if self.controller is None:
            self._make_controller()
        assert self.controller is not None
        if not self._drawn:
            exists = self.space.active if self.space.conditional else None
            with one_cpu_thread():
                self._drawn = self.controller.sample(self.rng, self.batch_size, exists).tolist()
        return self._drawn.pop()

    def _make_controller(self) -> None:
        import torch

        from nasbench_lab.trainer.controller import Controller

        # In double precision, rounding, which differs between processors, decides no draw.
        self.controller = Controller(
            alphabets(self.space),
            self.rng,
            hidden=self.hidden,
            layers=self.layers,
            temperature=1.0,
            tanh_constant=None,
        ).double()
        self.adam = torch.optim.Adam(self.controller.parameters(), lr=self.learning_rate)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        reward = squarable(self.penalised_score(evaluation))
        if not math.isfinite(reward):
            return
        self._batch.append((trial.architecture, self._advantage(reward)))
        if len(self._batch) == self.batch_size:
            architectures, advantages = zip(*self._batch, strict=True)
            with one_cpu_thread():
                self.train(np.array(architectures), np.array(advantages))
            self._batch.clear()
            self._drawn.clear()  # of the policy as it was

    def _advantage(self, reward: float) -> float:
        """A reward minus the moving average of rewards, in their moving standard deviation."""
        m = self.baseline_momentum
        # The sums of the weights, of the rewards and of their squared deviations.
        weight, total, squares = m * self._moments + (1 - m) * np.array([1.0, reward, 0.0])
        deviation = reward - total / weight
        squares += (1 - m) * deviation**2
        self._moments[:] = weight, total, squares
        return float(deviation / math.sqrt(squares / weight)) if squares else 0.0

    @abstractmethod
    def train(self, architectures: Architectures, advantages: NDArray[np.float64]) -> None:
        """Trains the controller.

        Args:
            architectures: ``(batch_size, d)`` architectures that it drew.
            advantages: ``(batch_size,)`` their advantages.
        """

    def step(self, loss: torch.Tensor) -> None:
        """A step of Adam to a smaller loss."""
        import torch

        assert self.adam is not None
        self.adam.zero_grad()
        torch.autograd.backward(loss)
        self.adam.step()


def alphabets(space: SearchSpace) -> list[range]:
    """For each decision, the numbers of its options; decisions with equal options have the same."""
    numbers: dict[tuple[object, ...], range] = {}
    end = 0
    for decision in space.decisions:
        options = tuple(map(str, decision.options))
        if options not in numbers:
            numbers[options] = range(end, end + len(options))
            end += len(options)
    return [numbers[tuple(map(str, decision.options))] for decision in space.decisions]
