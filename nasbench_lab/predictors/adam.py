"""Adam, by which networks without PyTorch learn.

Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015 (arXiv 1412.6980), in the faster
form at the end of section 2; decay of weights: Loshchilov and Hutter, "Decoupled weight decay
regularization", ICLR 2019 (arXiv 1711.05101).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8


class Adam:
    """Changes parameters in place, step by step.

    Args:
        parameters: ``(k,)`` parameters.
        learning_rate: The size of a step.
        weight_decay: The share of a parameter that it loses at a step, divided by the learning rate.
    """

    def __init__(self, parameters: Floats, learning_rate: float, weight_decay: float = 0.0) -> None:
        self.parameters = parameters
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._mean, self._square = np.zeros_like(parameters), np.zeros_like(parameters)
        self._n_steps = 0

    def step(self, gradient: Floats) -> None:
        """Makes a step against the ``(k,)`` gradient."""
        self._n_steps += 1
        mean, square, n = self._mean, self._square, self._n_steps
        if self.weight_decay:
            self.parameters *= 1.0 - self.learning_rate * self.weight_decay
        mean += (1.0 - _DECAY) * (gradient - mean)
        square += (1.0 - _SQUARE_DECAY) * (gradient * gradient - square)
        size = self.learning_rate * (1.0 - _SQUARE_DECAY**n) ** 0.5 / (1.0 - _DECAY**n)
        self.parameters -= size * mean / (np.sqrt(square) + _TINY)
