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

from collections.abc import Iterator
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.errors import InvalidArchitectureError, TrainingError, UnknownNameError
from nasbench_lab.spaces import Architecture
from nasbench_lab.spaces.nb201 import (
    CONV_1X1,
    CONV_3X3,
    EDGES,
    OPERATIONS,
    POOL,
    SKIP,
    NB201Space,
)
from nasbench_lab.trainer.datasets import ImageData, halved
from nasbench_lab.trainer.networks import (
    STAGES,
    Classifier,
    Size,
    build_network,
    live_edges,
    square,
    tiny_channels,
)
from nasbench_lab.trainer.recipe import RECIPES, Recipe
from nasbench_lab.trainer.training import Images

Cell: TypeAlias = Architecture | Tensor
"""What the edges of all cells carry: a path, as an architecture, or ``(6, 5)`` weights of a mixture."""

NORMALISATIONS = ("batch", "running", "recalibrated")
"""Which statistics batch normalisation uses when a supernet is evaluated.

``batch``: those of the batch at hand. ``running``: averages over the batches of the training, which
were of other paths too. ``recalibrated``: those of the training images on the path at hand. In
training, all use those of the batch.
"""

# The edges that leave each node but the last, by their numbers in EDGES.
_LEAVING = [[e for e, (start, _) in enumerate(EDGES) if start == node] for node in range(3)]
_BY_SOURCE = [edge for edges in _LEAVING for edge in edges]


class Norm(nn.Module):
    """Batch normalisation of which a part of the channels can be used, times a factor.

    Args:
        channels: The number of channels.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether scale and shift are trained; if not they are 1 and 0.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, normalisation: str, *, affine: bool = True) -> None:
        super().__init__()
        self.affine = affine
        self.weight = nn.Parameter(torch.ones(channels), requires_grad=affine)
        self.bias = nn.Parameter(torch.zeros(channels), requires_grad=affine)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.normalisation = normalisation
        # The weight of the batch at hand in the kept statistics; 0 where none are kept.
        self.momentum = 0.1 if normalisation == "running" else 0.0

    def values(self, part: slice | None = None) -> list[Tensor]:
        """Scale, shift, mean and variance of a part of the channels, or of all."""
        values: list[Tensor] = [self.weight, self.bias, self.mean, self.var]
        return values if part is None else [value[part] for value in values]

    def forward(self, x: Tensor, part: slice | None = None, factor: Tensor | None = None) -> Tensor:
        weight, bias, mean, var = self.values(part)
        if factor is not None:
            # Where nothing is trained, the scale is 1 and the shift is 0.
            weight = factor * weight if self.affine or not factor.ndim else factor
            bias = factor * bias if self.affine else bias
        of_batch = self.training or self.normalisation == "batch"
        if of_batch and not self.momentum:
            return functional.batch_norm(x, None, None, weight, bias, training=True)
        return functional.batch_norm(x, mean, var, weight, bias, of_batch, self.momentum)


class ConvNorm(nn.Module):
    """A convolution without bias, and batch normalisation.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Height and width of the kernel, odd.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether the normalisation's scale and shift are trained.
        stride: The step of the kernel down and to the right.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Size,
        normalisation: str,
        *,
        affine: bool = True,
        stride: Size = (1, 1),
    ) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(c_out, c_in, *kernel))
        self.padding = (kernel[0] // 2, kernel[1] // 2)
        self.norm = Norm(c_out, normalisation, affine=affine)

    def forward(self, x: Tensor, part: slice | None = None, factor: Tensor | None = None) -> Tensor:
        weight = self.weight if part is None else self.weight[part]
        x = functional.conv2d(x, weight, None, self.stride, self.padding)
        return cast(Tensor, self.norm(x, part, factor))


class MixedCell(nn.Module):
    """A cell whose edges carry all operations.

    Args:
        channels: Channels of all nodes.
        kernel: Height and width of the larger convolution and of the pooling.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether the operations' normalisation has a scale and a shift that are trained.
        share: The operations see the first of so many equal parts of the channels; the others are
            passed on as they are.
    """

    def __init__(
        self, channels: int, kernel: Size, normalisation: str, affine: bool, share: int
    ) -> None:
        super().__init__()
        self.channels, self.kernel, self.share = channels, kernel, share
        self.padding = (kernel[0] // 2, kernel[1] // 2)
        self.width = width = channels // share
        # Of each node the convolutions on the edges that leave it, side by side.
        self.small, self.large = (
            nn.ModuleList(
                ConvNorm(width, len(edges) * width, size, normalisation, affine=affine)
                for edges in _LEAVING
            )
            for size in ((1, 1), kernel)
        )

    def convolution(self, edge: int, option: int) -> ConvNorm:
        """The convolutions beside that of an edge, in which ``part`` is its own."""
        convolutions = self.small if option == CONV_1X1 else self.large
        return cast(ConvNorm, convolutions[EDGES[edge][0]])

    def part(self, edge: int) -> slice:
        """The channels of an edge in the convolutions of the node that it leaves."""
        first = _LEAVING[EDGES[edge][0]].index(edge) * self.width
        return slice(first, first + self.width)

    def pooled(self, x: Tensor) -> Tensor:
        """The mean of each window of the kernel's size, without padding in it."""
        return functional.avg_pool2d(x, self.kernel, 1, self.padding, count_include_pad=False)

    def mixture(self, x: Tensor, weights: Tensor, factors: Tensor | None) -> Tensor:
        """The output of a mixture.

        Args:
            x: ``(n, channels, height, width)`` values of the first node.
            weights: ``(6, 5)`` weights, times the factors of the edges; edges in the order of
                ``_BY_SOURCE``.
            factors: ``(6,)`` factors of the edges, in the order of ``EDGES``.
        """
        # The weight of an edge's convolution is a factor of its channels.
        small, large = (
            weights[:, option, None].expand(-1, self.width).flatten()
            for option in (CONV_1X1, CONV_3X3)
        )
        of_edges = weights[None, :, :, None, None, None]
        sums: list[Tensor | None] = [x, None, None, None]
        rests: list[Tensor | None] = [None] * 4
        first = 0
        for node, edges in enumerate(_LEAVING):
            value = _given(sums[node])
            seen = value if self.share == 1 else value[:, : self.width]
            active = functional.relu(seen)
            end = first + len(edges)
            part = slice(first * self.width, end * self.width)
            total = self.small[node](active, None, small[part])
            total = total + self.large[node](active, None, large[part])
            # (n, edges, channels, height, width)
            total = total.view(len(x), len(edges), self.width, *seen.shape[2:])
            total = torch.addcmul(total, seen[:, None], of_edges[:, first:end, SKIP])
            total = torch.addcmul(total, self.pooled(seen)[:, None], of_edges[:, first:end, POOL])
            first = end
            for edge, term in zip(edges, total.unbind(1), strict=True):
                target = EDGES[edge][1]
                sums[target] = _plus(sums[target], term)
                if self.share > 1:
                    rest = value[:, self.width :]
                    rest = rest if factors is None else rest * factors[edge]
                    rests[target] = _plus(rests[target], rest)
            if self.share > 1:
                # Each channel is seen by the operations of one node in so many.
                mixed = torch.cat([_given(sums[node + 1]), _given(rests[node + 1])], 1)
                mixed = mixed.view(len(x), self.share, self.width, *x.shape[2:])
                sums[node + 1] = mixed.transpose(1, 2).flatten(1, 2)
        return _given(sums[3])

    def path(
        self, x: Tensor, cell: Architecture, live: list[int], factors: Tensor | None
    ) -> Tensor:
        """The output for one operation per edge, of which only the live ones are computed."""
        sums: list[Tensor | None] = [x, None, None, None]
        active: dict[int, Tensor] = {}
        for edge in live:
            source, target = EDGES[edge]
            option, value = cell[edge], _given(sums[source])
            factor = None if factors is None else factors[edge]
            if option in (CONV_1X1, CONV_3X3):
                if source not in active:
                    active[source] = functional.relu(value)
                value = self.convolution(edge, option)(active[source], self.part(edge), factor)
            else:
                value = self.pooled(value) if option == POOL else value
                value = value if factor is None else value * factor
            sums[target] = _plus(sums[target], value)
        output = sums[3]
        return torch.zeros_like(x) if output is None else output


def _plus(before: Tensor | None, term: Tensor) -> Tensor:
    """A sum with one more term."""
    return term if before is None else before + term


def _given(value: Tensor | None) -> Tensor:
    """A value that is there: nodes come in order, and live edges leave only what is fed."""
    assert value is not None
    return value


class Supernet(nn.Module):
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
        super().__init__()
        if normalisation not in NORMALISATIONS:
            raise UnknownNameError("normalisation", normalisation, NORMALISATIONS)
        height, _, channels = data.shape
        self.image_channels, self.classes = channels, data.classes
        self.normalisation, self.share = normalisation, share
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
        """Scores of images.

        Args:
            x: ``(n, channels, height, width)`` images.
            cell: An architecture, of which only the live edges are computed, or ``(6, 5)`` weights of
                each edge's operations, in the order of ``EDGES`` and ``OPERATIONS``.
            factors: ``(6,)``: what the value of each edge is multiplied by.

        Returns:
            ``(n, classes)`` scores.
        """
        live: list[int] = []
        if not isinstance(cell, Tensor):
            live = sorted(live_edges(self.checked(cell)))
            if self.share > 1:
                cell = functional.one_hot(torch.tensor(cell), len(OPERATIONS)).to(x)
        if isinstance(cell, Tensor) and factors is not None:
            cell = cell * factors[:, None]
        if isinstance(cell, Tensor):
            cell = cell[_BY_SOURCE]
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
    """The images that a table's architectures are trained on, in two halves.

    Validation and test images have no part in it. Classes are split evenly, up to one image.

    Args:
        data: The data set.
        recipe: Says how images are augmented; by default the recipe of the data set.
        limit: Use only so many of the training images.
        device: Where the images are kept.

    Attributes:
        halves: ``weights`` and ``alphas``: ``(n,)`` numbers of the images of each half.
        count: How many training images there are in all, used or not.
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
        first, second = (
            numbers if limit is None else numbers[: max(1, limit // 2)]
            for numbers in halved(data.labels["train"])
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
