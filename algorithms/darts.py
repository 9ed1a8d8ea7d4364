"""DARTS: the weights of a mixture of operations are trained by gradient descent.

Liu, Simonyan and Yang, "DARTS: differentiable architecture search", ICLR 2019 (arXiv 1806.09055).
Settings and the derived cell are those of the code of NAS-Bench-201 (arXiv 2001.00326;
D-X-Y/AutoDL-Projects, ``exps/NAS-Bench-201-algos/DARTS-V1.py`` and ``DARTS-V2.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._differentiable import Differentiable
from nasbench_lab.algorithm import check_choice
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    from torch import Tensor

    from nasbench_lab.trainer.supernet_training import SupernetTraining

EPSILON = 0.01
"""The length of the step to either side in the difference of equation 8.

It is the paper's. In a network with ReLU, the gradient jumps where a value changes its sign within the
step. On the digits, the difference is off the product by one to three times the product's own size, and
by more for shorter steps, until they are as short as 1e-5 in double precision.
"""

Batch = tuple["Tensor", "Tensor"]


class DARTS(Differentiable):
    """Alternates steps of alphas and weights on a mixture of all operations.

    Results of other searches teach nothing.

    Args:
        space: The space to search.
        order: 1: the alphas follow their gradient at the weights as they are. 2: at the weights after
            their next step, which takes five passes in place of two for each pair of batches.
        **kwargs: Those of ``Differentiable``.
    """

    def __init__(self, space: SearchSpace, *, order: int = 1, **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        check_choice("order", order, (1, 2))
        self.order = order

    def train_epoch(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        """Algorithm 1, for one pass over both halves."""
        batches = zip(
            training.batches("weights", rng), training.batches("alphas", rng), strict=False
        )
        for train, valid in batches:
            # Step 1: update the alphas by the gradient of the validation loss.
            if self.order == 1:
                self.alphas_step(training.loss("alphas", *valid, self.alphas.softmax(1)))
            else:
                self.step_along([self.unrolled_gradient(training, train, valid)])
            # Step 2: update the weights by the gradient of the training loss.
            training.weights_step(*train, self.alphas.detach().softmax(1))
        return self.derived(training)

    def unrolled_gradient(self, training: SupernetTraining, train: Batch, valid: Batch) -> Tensor:
        """The gradient of the alphas at the weights after their next step (equation 7).

        Args:
            training: The training of the supernet.
            train: A batch of the half of the weights.
            valid: A batch of the half of the alphas.

        Returns:
            ``(edges, operations)`` gradient of the validation loss.
        """
        import torch

        weights = training.weights
        before = [weight.detach().clone() for weight in weights]

        def gradients(of: list[torch.nn.Parameter]) -> tuple[Tensor, ...]:
            """Of the training loss; it is computed besides what is noted of an epoch."""
            x, y = train
            cell = self.alphas.softmax(1)
            training.note_passes(cell, len(y))
            loss = torch.nn.functional.cross_entropy(training.supernet(x, cell), y)
            return torch.autograd.grad(loss, of)

        def move(values: list[Tensor], along: Any, size: float) -> None:
            """Sets the weights to values plus a step."""
            with torch.no_grad():
                for weight, value, direction in zip(weights, values, along, strict=True):
                    weight.copy_(torch.add(value, direction, alpha=size))

        # w' = w - xi times the step of the optimizer of the weights, where xi is its learning rate.
        settings = training.optimizer.param_groups[0]
        step = []
        for weight, gradient in zip(weights, gradients(weights), strict=True):
            along = gradient.add(weight.detach(), alpha=settings["weight_decay"])
            momentum = training.optimizer.state[weight].get("momentum_buffer")
            if momentum is not None:
                along.add_(momentum, alpha=settings["momentum"])
            step.append(along)
        xi = settings["lr"]
        move(before, step, -xi)
        loss = training.loss("alphas", *valid, self.alphas.softmax(1))
        # The first term of equation 7, and the vector of its second one.
        first, *vector = torch.autograd.grad(loss, [self.alphas, *weights])
        # Equation 8: the Hessian-vector product as a difference of gradients at w+ and w-.
        norm = float(torch.nn.utils.get_total_norm(vector))
        epsilon = EPSILON / norm if norm > 0 else 0.0
        ends = []
        for sign in (1, -1):
            move(before, vector, sign * epsilon)
            ends.append(gradients([self.alphas])[0])
        move(before, before, 0.0)
        product = (ends[0] - ends[1]) / (2 * epsilon) if epsilon else torch.zeros_like(first)
        return torch.add(first, product, alpha=-xi)


DARTS.citation = """@inproceedings{liu2019darts,
  title = {{DARTS}: Differentiable Architecture Search},
  author = {Liu, Hanxiao and Simonyan, Karen and Yang, Yiming},
  booktitle = {International Conference on Learning Representations},
  year = {2019}
}"""
