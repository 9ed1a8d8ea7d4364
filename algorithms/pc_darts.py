"""PC-DARTS: DARTS on a part of the channels, with a weight for each edge.

Xu et al., "PC-DARTS: partial channel connections for memory-efficient architecture search", ICLR 2020
(arXiv 1907.05737). The settings of the weights are those of the code of NAS-Bench-201, which has no
PC-DARTS; those of the alphas, and the warm-up, are the paper's (section 4.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._differentiable import Differentiable
from algorithms._variation import check_rate
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nasbench_lab.trainer.supernet_training import SupernetTraining


class PCDARTS(Differentiable):
    """The operations see a quarter of the channels, the first K-th; the others are passed on.

    Edge normalisation weighs the edges that lead to a node by a softmax of betas, which are trained
    with the alphas. All edges of ``nb201`` stay in the derived cell, so there the betas have a part in
    the training only. In ``darts`` an operation is as strong as its own softmax times its edge's.

    Results of other searches teach nothing.

    Args:
        space: The space to search.
        warm_up: The share of the epochs, at the start, in which the weights alone are trained. The
            paper has 15 of 50.
        alphas_learning_rate: The learning rate of Adam, for alphas and betas.
        **kwargs: Those of ``Differentiable``.

    Attributes:
        betas: ``(edges,)`` logits of the edges; there from the first ``ask`` on.
    """

    share = 4
    """K of the paper, which has 4 for CIFAR-10."""

    betas: torch.nn.Parameter

    def __init__(
        self,
        space: SearchSpace,
        *,
        warm_up: float = 0.3,
        alphas_learning_rate: float = 6e-4,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, alphas_learning_rate=alphas_learning_rate, **kwargs)
        check_rate("warm_up", warm_up)
        self.warm_up = warm_up

    def more_parameters(self, training: SupernetTraining) -> list[torch.nn.Parameter]:
        draws = training.stream(3).standard_normal(training.supernet.mixture_shape[0])
        self.betas = training.parameter("betas", 1e-3 * draws)
        return [self.betas]

    def train_epoch(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        batches = zip(
            training.batches("weights", rng), training.batches("alphas", rng), strict=False
        )
        warm = len(training.epochs_done) < round(self.warm_up * self.epochs)
        for train, valid in batches:
            if not warm:
                weights, edges = self.alphas.softmax(1), self.edge_weights(training)
                self.alphas_step(training.loss("alphas", *valid, weights, edges))
            weights, edges = self.alphas.softmax(1), self.edge_weights(training)
            training.weights_step(*train, weights.detach(), edges.detach())
        return self.derived(training)

    def edge_weights(self, training: SupernetTraining) -> Tensor:
        """``(edges,)`` shares of the edges in the node they lead to (equation 2)."""
        import torch

        into = training.supernet.into
        return torch.cat([self.betas[list(edges)].softmax(0) for edges in into])

    def edge_strengths(self, training: SupernetTraining) -> NDArray[np.float64]:
        return np.asarray(self.edge_weights(training).detach().double().cpu())


PCDARTS.citation = """@inproceedings{xu2020pcdarts,
  title = {{PC-DARTS}: Partial Channel Connections for Memory-Efficient Architecture Search},
  author = {Xu, Yuhui and Xie, Lingxi and Zhang, Xiaopeng and Chen, Xin and Qi, Guo-Jun and
            Tian, Qi and Xiong, Hongkai},
  booktitle = {International Conference on Learning Representations},
  year = {2020}
}"""
