"""What methods have in common that train the choice of operations by gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._one_shot import OneShot
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nasbench_lab.trainer.supernet_training import SupernetTraining


class Differentiable(OneShot):
    """Base of methods that train alphas, a logit for each operation of each edge, by gradient descent.

    In ``nb201`` the derived cell has the operation of the greatest alpha on each edge. ``none`` is one
    of them, as in the code of NAS-Bench-201 (``genotype`` of its search networks). In ``darts`` the
    cells are derived as in DARTS: each node has the two inputs with the strongest operations, where
    ``none`` does not count.

    Args:
        space: The space to search.
        alphas_learning_rate: The learning rate of Adam, whose betas are 0.5 and 0.999.
        alphas_weight_decay: The L2 penalty on the alphas.
        **kwargs: Those of ``OneShot``.

    Attributes:
        alphas: ``(edges, operations)`` logits, from normal values of standard deviation 1e-3; there
            from the first ``ask`` on.
    """

    alphas: torch.nn.Parameter

    def __init__(
        self,
        space: SearchSpace,
        *,
        alphas_learning_rate: float = 3e-4,
        alphas_weight_decay: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("alphas_learning_rate", alphas_learning_rate, above=0)
        check_number("alphas_weight_decay", alphas_weight_decay, low=0)
        self.alphas_learning_rate = alphas_learning_rate
        self.alphas_weight_decay = alphas_weight_decay

    def prepare(self, training: SupernetTraining) -> None:
        import torch

        shape = training.supernet.mixture_shape
        rng = training.stream(2)
        self.alphas = training.parameter("alphas", 1e-3 * rng.standard_normal(shape))
        self._trained = [self.alphas, *self.more_parameters(training)]
        self._adam = torch.optim.Adam(
            self._trained,
            lr=self.alphas_learning_rate,
            betas=(0.5, 0.999),
            weight_decay=self.alphas_weight_decay,
        )
        training.states["alphas_optimizer"] = self._adam

    def more_parameters(self, training: SupernetTraining) -> list[torch.nn.Parameter]:
        """Makes what is trained together with the alphas."""
        return []

    def alphas_step(self, loss: Tensor) -> None:
        """A step of Adam on the alphas, and what is trained with them, along a loss's gradient."""
        import torch

        gradients = torch.autograd.grad(loss, self._trained, allow_unused=True)
        self.step_along(gradients)

    def step_along(self, gradients: Sequence[Tensor | None]) -> None:
        """A step of Adam for given gradients; None counts as zero."""
        for parameter, gradient in zip(self._trained, gradients, strict=True):
            parameter.grad = (
                gradient if gradient is not None else parameter.new_zeros(parameter.shape)
            )
        self._adam.step()

    def derived(self, training: SupernetTraining) -> tuple[Architecture, NDArray[np.float64]]:
        """The architecture of the strongest operations, and the softmax of the alphas."""
        probabilities = np.asarray(self.alphas.detach().double().cpu().softmax(1))
        strengths = probabilities * self.edge_strengths(training)[:, None]
        return training.supernet.derived(strengths), probabilities

    def edge_strengths(self, training: SupernetTraining) -> NDArray[np.float64]:
        """``(edges,)`` what the strength of an edge's operations is multiplied by."""
        return np.ones(len(self.alphas))
