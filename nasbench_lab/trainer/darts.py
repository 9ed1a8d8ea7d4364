"""The networks of the space ``darts``.

Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019 (arXiv 1806.09055): a
stem, and cells of which those at one and at two thirds reduce. Left out are the auxiliary classifier
and the random dropping of paths, which act in training only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.spaces import Architecture, DARTSSpace
from nasbench_lab.spaces.darts import INPUTS, Cell

SKELETONS = {"paper": (36, 20), "tiny": (8, 5)}
"""The channels of the first cells' nodes and the number of cells: of the paper on CIFAR-10, and of a
small network for images of few pixels."""

_STEM = 3
"""How many times as many channels the stem has."""

Normalise = Callable[[int], nn.Module]
"""Makes the normalisation of so many channels."""


class CellShape(NamedTuple):
    """What a cell's place in the network makes of it.

    Args:
        inputs: The channels of the outputs of the last but one and of the last cell.
        channels: The channels of a node.
        reduces: Whether height and width are halved, by the operations on the cell's inputs.
        reduced: Whether the last cell halved them, so that the output of the one before is larger.
    """

    inputs: tuple[int, int]
    channels: int
    reduces: bool
    reduced: bool

    def stride(self, source: int) -> int:
        """The step of an operation on a node or input of the cell."""
        return 2 if self.reduces and source < INPUTS else 1


def cell_shapes(channels: int, cells: int, nodes: int) -> list[CellShape]:
    """The shapes of a network's cells, in their order.

    Args:
        channels: The channels of a node of the first cells; each reduction cell doubles them.
        cells: The number of cells.
        nodes: How many nodes a cell has.
    """
    shapes: list[CellShape] = []
    before = last = _STEM * channels
    reduced = False
    for number in range(cells):
        reduces = number in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduces else 1
        shapes.append(CellShape((before, last), channels, reduces, reduced))
        before, last, reduced = last, nodes * channels, reduces
    return shapes


def in_planes(x: Tensor) -> Tensor:
    """Images whose channels lie behind each other in memory.

    Where they lie side by side, a convolution of stride 2 on few channels writes beyond its memory on
    a CPU (oneDNN of PyTorch 2.13 at least).
    """
    return x.clone(memory_format=torch.contiguous_format)


def stem(image_channels: int, channels: int, norm: Normalise = nn.BatchNorm2d) -> nn.Sequential:
    """The first convolution."""
    return nn.Sequential(
        nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), norm(channels)
    )


def build_darts(
    space: DARTSSpace,
    architecture: Architecture,
    shape: tuple[int, int, int],
    classes: int,
    skeleton: str = "paper",
) -> nn.Module:
    """Builds the network of a genotype.

    Args:
        space: The genotype's space.
        architecture: The genotype.
        shape: Height, width and channels of an image.
        classes: The number of classes.
        skeleton: A name in ``SKELETONS``.

    Returns:
        A network from ``(n, channels, height, width)`` images to ``(n, classes)`` scores.
    """
    channels, cells = SKELETONS[skeleton]
    return DARTSNetwork(space, architecture, shape[2], classes, channels, cells)


class DARTSNetwork(nn.Module):
    """A network of normal and reduction cells.

    Args:
        space: The genotype's space.
        architecture: The genotype.
        image_channels: The channels of an image.
        classes: The number of classes.
        channels: The channels of a node of the first cells; each reduction cell doubles them.
        cells: The number of cells.
        searched: Whether a normalisation follows each pooling, as in the network of a search.
    """

    def __init__(
        self,
        space: DARTSSpace,
        architecture: Architecture,
        image_channels: int,
        classes: int,
        channels: int,
        cells: int,
        *,
        searched: bool = False,
    ) -> None:
        super().__init__()
        normal, reduction = space.cells(architecture)
        shapes = cell_shapes(channels, cells, space.nodes)
        self.stem = stem(image_channels, shapes[0].inputs[0])
        self.cells = nn.ModuleList(
            DARTSCell(reduction if shape.reduces else normal, space.operations, shape, searched)
            for shape in shapes
        )
        self.classifier = nn.Linear(space.nodes * shapes[-1].channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(in_planes(x))
        for cell in self.cells:
            before, last = last, cell(before, last)
        scores: Tensor = self.classifier(last.mean((2, 3)))
        return scores


class DARTSCell(nn.Module):
    """A cell: each node is a sum of two operations, and the output all nodes, one behind the other.

    Args:
        cell: The inputs and operations of each node.
        operations: The names of the operations.
        shape: What its place makes of it.
        searched: As of ``DARTSNetwork``.
    """

    def __init__(
        self, cell: Cell, operations: Sequence[str], shape: CellShape, searched: bool = False
    ) -> None:
        super().__init__()
        self.inputs = cell_inputs(shape)
        self.sources = [[source for source, _ in node] for node in cell]
        self.operations = nn.ModuleList(
            nn.ModuleList(
                operation(
                    operations[option], shape.channels, shape.stride(source), searched=searched
                )
                for source, option in node
            )
            for node in cell
        )

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [made(x) for made, x in zip(self.inputs, (before, last), strict=True)]
        for sources, operations in zip(self.sources, self.operations, strict=True):
            assert isinstance(operations, nn.ModuleList)
            first, second = (
                made(states[source]) for source, made in zip(sources, operations, strict=True)
            )
            states.append(first + second)
        return torch.cat(states[INPUTS:], 1)


def cell_inputs(shape: CellShape, norm: Normalise = nn.BatchNorm2d) -> nn.ModuleList:
    """What makes both inputs of a cell equal in channels, height and width."""
    before, last = shape.inputs
    adapt = Halving if shape.reduced else _convolution
    return nn.ModuleList(
        [adapt(before, shape.channels, norm), _convolution(last, shape.channels, norm)]
    )


class Halving(nn.Module):
    """Half of the height and width: two convolutions, of which one sees the pixels between the other's.

    Args:
        before: The channels of the input.
        channels: The channels of the output.
        norm: Makes the normalisation.
    """

    def __init__(self, before: int, channels: int, norm: Normalise = nn.BatchNorm2d) -> None:
        super().__init__()
        parts = (channels - channels // 2, channels // 2)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, part, 1, stride=2, bias=False) for part in parts
        )
        self.norm = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        # Behind the last pixel of an odd height or width comes a black one.
        views = x, functional.pad(x, (-1, 1, -1, 1))
        halves = [made(view) for made, view in zip(self.convolutions, views, strict=True)]
        normed: Tensor = self.norm(torch.cat(halves, 1))
        return normed


def _convolution(before: int, channels: int, norm: Normalise) -> nn.Module:
    """A convolution of single pixels behind its activation."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(before, channels, 1, bias=False), norm(channels))


def _depthwise(
    channels: int, kernel: int, stride: int, norm: Normalise, dilation: int = 1
) -> list[nn.Module]:
    """A convolution of each channel by itself, then one of single pixels."""
    padding = dilation * (kernel // 2)
    own = nn.Conv2d(
        channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
    )
    return [nn.ReLU(), own, nn.Conv2d(channels, channels, 1, bias=False), norm(channels)]


def operation(
    name: str,
    channels: int,
    stride: int,
    norm: Normalise = nn.BatchNorm2d,
    *,
    searched: bool = False,
) -> nn.Module:
    """An operation of a cell.

    Args:
        name: Its name.
        channels: The channels of input and output.
        stride: 1, or 2 to halve height and width.
        norm: Makes normalisations.
        searched: Whether one follows a pooling.
    """
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halving(channels, channels, norm)
    kind, _, size = name.split("_")
    kernel = int(size[0])
    if kind in ("max", "avg"):
        pooling = (
            nn.MaxPool2d(kernel, stride, padding=1)
            if kind == "max"
            else nn.AvgPool2d(kernel, stride, padding=1, count_include_pad=False)
        )
        return nn.Sequential(pooling, norm(channels)) if searched else pooling
    if kind == "dil":
        return nn.Sequential(*_depthwise(channels, kernel, stride, norm, dilation=2))
    return nn.Sequential(
        *_depthwise(channels, kernel, stride, norm), *_depthwise(channels, kernel, 1, norm)
    )
