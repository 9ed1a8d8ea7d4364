"""One-shot accuracies of many cells, with what they have in common computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nasbench_lab.spaces import Architecture
from nasbench_lab.spaces.nb201 import CONV_1X1, CONV_3X3, EDGES, NONE, POOL
from nasbench_lab.tables.sources import silent
from nasbench_lab.trainer.supernet import HalvedImages, MixedCell, Supernet
from nasbench_lab.trainer.training import one_thread


def one_shot_accuracies(
    supernet: Supernet,
    images: HalvedImages,
    cells: Sequence[Architecture],
    progress: Callable[[int, int], None] = silent,
) -> NDArray[np.float64]:
    """The accuracy of each cell with the supernet's weights, as ``supernet.accuracy`` gives it.

    The first cell of the network has most of the pixels, and the same input for all paths. So its
    nodes are computed once for all paths that agree in what leads to them, which takes a quarter of
    the time. With recalibrated statistics, or if the operations see a part of the channels, each path
    is evaluated by itself.

    Args:
        supernet: The supernet.
        images: The images; accuracies are those on the half of the alphas.
        cells: Paths.
        progress: Called with the number of evaluated paths and of all.

    Returns:
        ``(n,)`` accuracies in per cent.
    """
    correct = np.zeros(len(cells))
    training, n = supernet.training, len(images.halves["alphas"])
    with one_thread(supernet.norm.weight.device), torch.inference_mode():
        if supernet.normalisation == "recalibrated" or supernet.share > 1:
            for i, cell in enumerate(cells):
                correct[i] = supernet.accuracy(images, cell) * n / 100
                progress(i + 1, len(cells))
            return 100.0 * np.round(correct) / n
        supernet.eval()
        # Cells with the same beginning follow each other.
        order = sorted(range(len(cells)), key=cells.__getitem__)
        batches = list(images.plain("alphas"))
        for number, (x, y) in enumerate(batches):
            first = _FirstCell(supernet.cells[0], supernet.stem(x))
            for done, i in enumerate(order):
                scores = supernet.after_first_cell(first.output(cells[i]), cells[i])
                correct[i] += int((scores.argmax(1) == y).sum())
                progress(number * len(cells) + done + 1, len(batches) * len(cells))
        supernet.train(training)
    return 100.0 * correct / n


_LEADING = (0, 1, 3)
"""How many decisions lead to each node but the last; they are the first ones."""


class _FirstCell:
    """The first cell of a supernet on one batch; remembers what the last path has in common."""

    def __init__(self, block: torch.nn.Module, x: Tensor) -> None:
        assert isinstance(block, MixedCell)
        self.block, self.x = block, x
        self.prefixes: list[Architecture | None] = [None, None, None]
        self.sums: list[Tensor | None] = [None, None, None]
        self.values: list[dict[int, Tensor]] = [{} for _ in EDGES]
        self.active: list[Tensor | None] = [None, None, None]

    def output(self, cell: Architecture) -> Tensor:
        """The value of the last node; zeros if nothing leads to it."""
        total = self._sum(3, cell)
        return torch.zeros_like(self.x) if total is None else total

    def _sum(self, node: int, cell: Architecture) -> Tensor | None:
        """The sum of the edges into a node, in their order; None of none."""
        total = None
        for edge, (_, target) in enumerate(EDGES):
            if target == node and cell[edge] != NONE:
                value = self._value(edge, cell)
                if value is not None:
                    total = value if total is None else total + value
        return total

    def _node(self, node: int, cell: Architecture) -> Tensor | None:
        prefix = cell[: _LEADING[node]]
        if self.prefixes[node] != prefix:
            self.prefixes[node] = prefix
            self.sums[node] = self._sum(node, cell) if node else self.x
            self.active[node] = None
            for edge, (source, _) in enumerate(EDGES):
                if source == node:
                    self.values[edge].clear()
        return self.sums[node]

    def _value(self, edge: int, cell: Architecture) -> Tensor | None:
        """What an edge delivers; None if nothing comes in."""
        source, option = EDGES[edge][0], cell[edge]
        value = self._node(source, cell)
        if value is None:
            return None
        known = self.values[edge]
        if option not in known:
            if option in (CONV_1X1, CONV_3X3):
                active = self.active[source]
                if active is None:
                    active = self.active[source] = functional.relu(value)
                convolutions = self.block.small if option == CONV_1X1 else self.block.large
                value = convolutions[source](active, self.block.part(edge))
            known[option] = self.block.pooled(value) if option == POOL else value
        return known[option]
