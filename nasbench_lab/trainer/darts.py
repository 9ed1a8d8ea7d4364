"""The networks of the space ``darts``.

Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019 (arXiv 1806.09055): a
stem, and cells of which those at one and at two thirds reduce. Left out are the auxiliary classifier
and the random dropping of paths, which act in training only.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    """

    def __init__(
        self,
        space: DARTSSpace,
        architecture: Architecture,
        image_channels: int,
        classes: int,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        normal, reduction = space.cells(architecture)
        before = last = _STEM * channels
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, last, 3, padding=1, bias=False), nn.BatchNorm2d(last)
        )
        self.cells = nn.ModuleList()
        reduced = False
        for number in range(cells):
            reduces = number in (cells // 3, 2 * cells // 3)
            if reduces:
                channels *= 2
            cell = reduction if reduces else normal
            made = DARTSCell(cell, space.operations, (before, last), channels, reduces, reduced)
            self.cells.append(made)
            before, last, reduced = last, len(cell) * channels, reduces
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        scores: Tensor = self.classifier(last.mean((2, 3)))
        return scores


class DARTSCell(nn.Module):
    """A cell: each node is a sum of two operations, and the output all nodes, one behind the other.

    Args:
        cell: The inputs and operations of each node.
        operations: The names of the operations.
        inputs: The channels of the outputs of the last but one and of the last cell.
        channels: The channels of a node.
        reduces: Whether height and width are halved, by the operations on the cell's inputs.
        reduced: Whether the last cell halved them, so that the output of the one before is larger.
    """

    def __init__(
        self,
        cell: Cell,
        operations: Sequence[str],
        inputs: tuple[int, int],
        channels: int,
        reduces: bool,
        reduced: bool,
    ) -> None:
        super().__init__()
        first = Halving(inputs[0], channels) if reduced else _convolution(inputs[0], channels)
        self.inputs = nn.ModuleList([first, _convolution(inputs[1], channels)])
        self.sources = [[source for source, _ in node] for node in cell]
        self.operations = nn.ModuleList(
            nn.ModuleList(
                _operation(operations[option], channels, 2 if reduces and source < INPUTS else 1)
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


class Halving(nn.Module):
    """Half of the height and width: two convolutions, of which one sees the pixels between the other's.

    Args:
        before: The channels of the input.
        channels: The channels of the output.
    """

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        parts = (channels - channels // 2, channels // 2)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, part, 1, stride=2, bias=False) for part in parts
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        # Behind the last pixel of an odd height or width comes a black one.
        views = x, functional.pad(x, (-1, 1, -1, 1))
        halves = [made(view) for made, view in zip(self.convolutions, views, strict=True)]
        normed: Tensor = self.norm(torch.cat(halves, 1))
        return normed


def _convolution(before: int, channels: int) -> nn.Module:
    """A convolution of single pixels behind its activation."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(before, channels, 1, bias=False), nn.BatchNorm2d(channels)
    )


def _depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """A convolution of each channel by itself, then one of single pixels."""
    padding = dilation * (kernel // 2)
    own = nn.Conv2d(
        channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
    )
    return [
        nn.ReLU(),
        own,
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    """An operation of a cell."""
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halving(channels, channels)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, padding=1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    kind, _, size = name.split("_")
    kernel = int(size[0])
    if kind == "dil":
        return nn.Sequential(*_depthwise(channels, kernel, stride, dilation=2))
    return nn.Sequential(*_depthwise(channels, kernel, stride), *_depthwise(channels, kernel, 1))
