"""What all supernets have in common, whatever their space: one network for all architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.trainer.recipe import NORMALISATIONS
from nasbench_lab.trainer.supernet_layers import Norm

if TYPE_CHECKING:
    from nasbench_lab.trainer.supernet import HalvedImages

Cell: TypeAlias = Architecture | Tensor
"""What the edges of all cells carry: a path, or the weights of a mixture.

A path is an architecture, or what ``SharedWeights.sampled`` makes of one operation for each edge. The
weights of a mixture are ``(edges, operations)``.
"""

Floats = NDArray[np.float64]


class SharedWeights(nn.Module, ABC):
    """A network with the weights of all architectures of a space. A child makes its layers.

    Args:
        space: The space.
        operations: The operations that each edge carries, in their order.
        into: The numbers of the edges that lead to each node, node by node.
        normalisation: One of ``NORMALISATIONS``.
        share: In how many equal parts the channels are divided, of which the operations see the
            first, while the others are passed on (PC-DARTS, arXiv 1907.05737, section 3.2).

    Raises:
        UnknownNameError: There is no such normalisation.
    """

    def __init__(
        self,
        space: SearchSpace,
        operations: Sequence[str],
        into: Sequence[Sequence[int]],
        normalisation: str,
        share: int,
    ) -> None:
        super().__init__()
        if normalisation not in NORMALISATIONS:
            raise UnknownNameError("normalisation", normalisation, NORMALISATIONS)
        self.space, self.operations, self.into = space, tuple(operations), into
        self.normalisation, self.share = normalisation, share

    @property
    def mixture_shape(self) -> tuple[int, int]:
        """The numbers of edges and of operations."""
        return sum(map(len, self.into)), len(self.operations)

    @abstractmethod
    def forward(self, x: Tensor, cell: Cell, factors: Tensor | None = None) -> Tensor:
        """Scores of images.

        Args:
            x: ``(n, channels, height, width)`` images.
            cell: A path, of which only the operations that count are computed, or the ``(edges,
                operations)`` weights of a mixture.
            factors: ``(edges,)``: what the value of each edge is multiplied by.

        Returns:
            ``(n, classes)`` scores.
        """

    @abstractmethod
    def derived(self, strengths: Floats) -> Architecture:
        """The architecture of the strongest operations.

        Args:
            strengths: ``(edges, operations)`` strengths.
        """

    @abstractmethod
    def sampled(self, options: Sequence[int]) -> Cell:
        """The path of one operation for each edge, also where no architecture has all edges."""

    @abstractmethod
    def passes(self, cell: Cell) -> Floats:
        """What a pass with a path or a mixture counts for each option of each decision.

        Returns:
            ``(decisions, options)`` passes, as in ``nasbench_lab.algorithm.Work``.
        """

    def pruned(self, architecture: Architecture) -> Architecture:
        """The architecture without what has no part in its path; paths that agree in it are one."""
        return architecture

    def weights(self) -> list[nn.Parameter]:
        """All parameters that are trained."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    @torch.no_grad()
    def recalibrate(self, x: Tensor, cell: Cell) -> None:
        """Sets the kept statistics to those of a batch of images.

        Only the statistics of what the cell uses change.
        """
        norms = [module for module in self.modules() if isinstance(module, Norm)]
        before, training = [norm.momentum for norm in norms], self.training
        for norm in norms:
            norm.momentum = 1.0
        self.train().forward(x, cell)
        self.train(training)
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum

    @torch.no_grad()
    def accuracy(
        self, images: HalvedImages, cell: Cell, batch: tuple[Tensor, Tensor] | None = None
    ) -> float:
        """The accuracy on the half of the alphas, in per cent.

        Images come as they are, in batches of about ``EVALUATED``. With recalibrated statistics, those
        of ``images.calibration`` images of the other half are used.

        Args:
            images: The images in two halves.
            cell: A path or a mixture.
            batch: Images and labels to evaluate on instead.
        """
        training = self.training
        if self.normalisation == "recalibrated":
            self.recalibrate(next(images.plain("weights"))[0], cell)
        self.eval()
        batches = images.plain("alphas") if batch is None else [batch]
        correct = sum(int((self.forward(x, cell).argmax(1) == y).sum()) for x, y in batches)
        self.train(training)
        n = len(images.halves["alphas"] if batch is None else batch[1])
        return 100.0 * correct / n
