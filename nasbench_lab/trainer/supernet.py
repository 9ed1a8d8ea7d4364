"""Supernets of ``nb201``: one network that holds the networks of all cells, with shared weights.

Every edge of a cell has the weights of both convolutions. The value of an edge is the weighted sum of
its operations (a mixture, as in DARTS), or that of one of them (a path). Networks as small as these
are mostly overhead, so few and large steps are computed: the convolutions of all edges that leave a
node are one convolution of each width, and the weight of an operation is a factor in its batch
normalisation.

Around the cells, the network is that of ``build_network`` with the skeleton ``tiny``. With a path and
the same parameters, its scores are those of the path's own network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.errors import InvalidArchitectureError, TrainingError
from nasbench_lab.spaces import Architecture
from nasbench_lab.spaces.nb201 import (
    CONV_1X1,
    CONV_3X3,
    EDGES,
    OPERATIONS,
    NB201Space,
)
from nasbench_lab.trainer.datasets import ImageData, searched
from nasbench_lab.trainer.images import Images
from nasbench_lab.trainer.networks import (
    STAGES,
    Classifier,
    build_network,
    live_edges,
    square,
    tiny_channels,
    without_dead_edges,
)
from nasbench_lab.trainer.recipe import RECIPES, Recipe
from nasbench_lab.trainer.shared_weights import Cell, Floats, SharedWeights
from nasbench_lab.trainer.supernet_layers import BY_SOURCE, ConvNorm, MixedCell, Norm

INTO = ((0,), (1, 2), (3, 4, 5))
"""The numbers of the edges that lead to each node but the first."""


class Supernet(SharedWeights):
    """A network with the weights of all cells of ``nb201``, on the skeleton ``tiny``.

    Args:
        data: The images to train on; the network depends on their shape and number of classes.
        seed: Seed of the initial weights, at least 0. They are drawn as in ``initialise``.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether the normalisations inside of the cells have a scale and a shift that are
            trained. The code of NAS-Bench-201 has none in its searches, so that the weights of a
            mixture have no second scale beside them. Those around the cells always have them.
        share: In how many equal parts the channels are divided, of which the operations see the
            first, while the others are passed on (PC-DARTS, arXiv 1907.05737, section 3.2): 1, 2, 4
            or, for images of more than one row, 8.

    Raises:
        UnknownNameError: There is no such normalisation.
        TrainingError: The channels cannot be divided so.
    """

    def __init__(
        self,
        data: ImageData,
        seed: int = 0,
        *,
        normalisation: str = "batch",
        affine: bool = False,
        share: int = 1,
    ) -> None:
        super().__init__(NB201Space(), OPERATIONS, INTO, normalisation, share)
        height, _, channels = data.shape
        self.image_channels, self.classes = channels, data.classes
        self.signals = height == 1
        shares = [1, 2, 4] if self.signals else [1, 2, 4, 8]
        if share not in shares:
            raise TrainingError(f"Expected a share from {shares} but got {share!r}.")
        widths = [tiny_channels(self.signals) * 2**stage for stage in range(STAGES)]
        kernel, self.halving = square(3, self.signals), square(2, self.signals)
        stride = self.halving if self.signals else (1, 1)
        self.stem = ConvNorm(channels, widths[0], kernel, normalisation, stride=stride)
        self.joints = nn.ModuleList(
            ConvNorm(widths[stage - 1], widths[stage], (1, 1), normalisation)
            for stage in range(1, STAGES)
        )
        self.cells = nn.ModuleList(
            MixedCell(width, kernel, normalisation, affine, share) for width in widths
        )
        self.norm = Norm(widths[-1], normalisation)
        self.classifier = Classifier(widths[-1], data.classes, 1)
        self._initialise(np.random.default_rng(np.random.SeedSequence([seed, 0])))
        # PyTorch's stubs lack this overload.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _initialise(self, rng: np.random.Generator) -> None:
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, ConvNorm):
                    targets, fan_in = [module.weight], module.weight[0].numel()
                elif isinstance(module, Classifier):
                    targets, fan_in = [module.weight, module.bias], module.weight.shape[1]
                else:
                    continue
                for target in targets:
                    values = rng.uniform(-(fan_in**-0.5), fan_in**-0.5, tuple(target.shape))
                    target.copy_(torch.from_numpy(values))

    def forward(self, x: Tensor, cell: Cell, factors: Tensor | None = None) -> Tensor:
        live: list[int] = []
        if not isinstance(cell, Tensor):
            live = sorted(live_edges(self.checked(cell)))
            if self.share > 1:
                cell = functional.one_hot(torch.tensor(cell), len(OPERATIONS)).to(x)
        if isinstance(cell, Tensor) and factors is not None:
            cell = cell * factors[:, None]
        if isinstance(cell, Tensor):
            cell = cell[BY_SOURCE]
        x = self.stem(x)
        for stage in range(STAGES):
            x = self._joined(x, stage)
            block = cast(MixedCell, self.cells[stage])
            if isinstance(cell, Tensor):
                x = block.mixture(x, cell, factors)
            else:
                x = block.path(x, cell, live, factors)
        return self._scores(x)

    def after_first_cell(self, x: Tensor, path: Architecture) -> Tensor:
        """Scores of a path, from the output of its first cell."""
        live = sorted(live_edges(path))
        for stage in range(1, STAGES):
            block = cast(MixedCell, self.cells[stage])
            x = block.path(self._joined(x, stage), path, live, None)
        return self._scores(x)

    def _joined(self, x: Tensor, stage: int) -> Tensor:
        """The input of a stage's cell, from the output of the one before."""
        if stage:
            x = self.joints[stage - 1](functional.avg_pool2d(x, self.halving))
        return x

    def _scores(self, x: Tensor) -> Tensor:
        x = functional.adaptive_avg_pool2d(functional.relu(self.norm(x)), 1)
        scores: Tensor = self.classifier(x.flatten(1))
        return scores[0]

    @staticmethod
    def checked(cell: Architecture) -> Architecture:
        """An architecture of ``nb201``; a quicker ``validate``.

        Raises:
            InvalidArchitectureError: It is none.
        """
        if len(cell) != len(EDGES) or not all(0 <= option < len(OPERATIONS) for option in cell):
            raise InvalidArchitectureError(
                f"Expected {len(EDGES)} options of 0 to {len(OPERATIONS) - 1} but got {cell!r}."
            )
        return cell

    def derived(self, strengths: Floats) -> Architecture:
        return tuple(strengths.argmax(1).tolist())

    def sampled(self, options: Sequence[int]) -> Architecture:
        return tuple(options)

    def passes(self, cell: Cell) -> Floats:
        if isinstance(cell, Tensor):
            return np.full(self.mixture_shape, 1 / self.share)
        passes = np.zeros(self.mixture_shape)
        passes[range(len(EDGES)), cell] = 1.0
        return passes

    def pruned(self, architecture: Architecture) -> Architecture:
        return without_dead_edges(architecture)

    def network(self, cell: Architecture) -> nn.Sequential:
        """The network of a path by itself, with copies of its parameters and statistics.

        Raises:
            TrainingError: The operations see a part of the channels only.
        """
        if self.share > 1:
            raise TrainingError("Paths of a supernet with a share have no network of their own.")
        with torch.device("meta"):  # no draws from PyTorch's global generator
            network = build_network(
                NB201Space(),
                cell,
                classes=self.classes,
                image_channels=self.image_channels,
                skeleton="tiny",
                signals=self.signals,
            )
        network = network.to_empty(device=self.norm.bias.device).to(self.norm.bias.dtype)
        layers = iter(self._layers(cell))
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.copy_(next(layers)[0])
                elif isinstance(module, nn.BatchNorm2d):
                    module.reset_parameters()
                    own = (module.weight, module.bias, *list(module.buffers())[:2])
                    for target, values in zip(own, next(layers), strict=True):
                        target.copy_(values)
        network[-1].load_state_dict(self.classifier.state_dict())
        return network.train(self.training)

    def _layers(self, cell: Architecture) -> Iterator[list[Tensor]]:
        """The values of each convolution and normalisation of a path, in the order of its network."""

        def both(layer: ConvNorm, part: slice) -> Iterator[list[Tensor]]:
            yield [layer.weight[part]]
            yield layer.norm.values(part)

        live = live_edges(self.checked(cell))
        whole = slice(None)
        yield from both(self.stem, whole)
        for stage in range(STAGES):
            if stage:
                yield from both(cast(ConvNorm, self.joints[stage - 1]), whole)
            block = cast(MixedCell, self.cells[stage])
            for edge in sorted(live):
                if cell[edge] in (CONV_1X1, CONV_3X3):
                    yield from both(block.convolution(edge, cell[edge]), block.part(edge))
        yield self.norm.values()


EVALUATED = 500
"""Images in a batch when a supernet is evaluated."""


class HalvedImages:
    """The images that a supernet is trained on, in two halves, see ``datasets.searched``.

    Test images have no part in it, and validation images only where they are a half of the training
    set that its authors made, as in ``cifar10``. Classes are split evenly, up to one image, if the
    data's split file does not say otherwise.

    Args:
        data: The data set.
        recipe: Says how images are augmented; by default the recipe of the data set.
        limit: Use only so many of the training images.
        device: Where the images are kept.

    Attributes:
        halves: ``weights`` and ``alphas``: ``(n,)`` numbers of the images of each half.
        count: How many images are in the split ``train``, on which an architecture is trained, used
            here or not.
    """

    def __init__(
        self,
        data: ImageData,
        recipe: Recipe | None = None,
        *,
        limit: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        recipe = RECIPES[data.name] if recipe is None else recipe
        self.shift, self.flip = recipe.shift, recipe.flip
        self.count = len(data.labels["train"])
        data, halves = searched(data)
        first, second = (
            numbers if limit is None else numbers[: max(1, limit // 2)] for numbers in halves
        )
        self.halves = {"weights": first, "alphas": second}
        where = torch.device(device)
        self._moved = Images(data, "train", self.shift, where)
        self._plain = Images(data, "train", 0, where)
        self._device = where

    def batches(
        self, half: str, rng: np.random.Generator, size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over a half in random order, augmented.

        Args:
            half: ``weights`` or ``alphas``.
            rng: Where order and augmentation are drawn from, all at once.
            size: Images per batch, at most; batches differ by one image at most.

        Yields:
            ``(n, channels, height, width)`` images and ``(n,)`` labels.
        """
        numbers = self.halves[half]
        n = len(numbers)
        order = self._tensor(rng.permutation(numbers)[:, None])
        moves = self._tensor(rng.integers(2 * self.shift + 1, size=(n, 1, 2)))
        flips = self._tensor(rng.random((n, 1)) < self.flip)
        steps = self.steps(half, size)
        for part in zip(
            *(torch.tensor_split(t, steps) for t in (order, moves, flips)), strict=True
        ):
            x, y = self._moved.batch(*part)
            yield x, y[0]

    def steps(self, half: str, size: int) -> int:
        """How many batches there are in one pass over a half."""
        return -(-len(self.halves[half]) // size)

    @property
    def calibration(self) -> int:
        """How many images are in the first batch of ``plain``, on which statistics are recalibrated."""
        return -(-len(self.halves["weights"]) // self.steps("weights", EVALUATED))

    def plain(self, half: str) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over a half as it is, in batches of about ``EVALUATED`` images."""
        order = self._tensor(self.halves[half][:, None])
        for part in torch.tensor_split(order, self.steps(half, EVALUATED)):
            x, y = self._plain.batch(part)
            yield x, y[0]

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)
