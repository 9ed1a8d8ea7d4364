"""One-shot accuracies of many cells, with what they have in common computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nasbench_lab.spaces import Architecture
from nasbench_lab.spaces.nb201 import CONV_1X1, CONV_3X3, EDGES, NONE, POOL
from nasbench_lab.tables.sources import silent
from nasbench_lab.trainer.networks import tiny_channels
from nasbench_lab.trainer.shared_weights import SharedWeights
from nasbench_lab.trainer.supernet import HalvedImages, Supernet
from nasbench_lab.trainer.supernet_layers import ConvNorm, MixedCell, Norm
from nasbench_lab.trainer.training import one_thread

KEPT = 1 << 26
"""The most bytes of a node's values on all images that are kept; a first cell has some thirty."""


def one_shot_accuracies(
    supernet: SharedWeights,
    images: HalvedImages,
    cells: Sequence[Architecture],
    progress: Callable[[int, int], None] = silent,
) -> NDArray[np.float64]:
    """The accuracy of each cell with the supernet's weights, as ``supernet.accuracy`` gives it.

    The first cell of a network of ``nb201`` has most of the pixels, and the same input for all paths.
    So its nodes are computed once for all paths that agree in what leads to them, which takes a quarter
    of the time. In other spaces, if the operations see a part of the channels, or if the images are so
    many and large that the values would need gigabytes, each path is evaluated by itself.

    Args:
        supernet: The supernet.
        images: The images; accuracies are those on the half of the alphas.
        cells: Paths, as architectures.
        progress: Called with the number of evaluated paths and of all.

    Returns:
        ``(n,)`` accuracies in per cent.
    """
    with one_thread(next(supernet.parameters()).device), torch.inference_mode():
        pixels = next(images.plain("alphas"))[0][0, 0].numel() * len(images.halves["alphas"])
        if (
            not isinstance(supernet, Supernet)
            or supernet.share > 1
            or 4 * tiny_channels(supernet.signals) * pixels > KEPT
        ):
            alone = np.empty(len(cells))
            for i, cell in enumerate(cells):
                alone[i] = supernet.accuracy(images, cell)
                progress(i + 1, len(cells))
            return alone
        training, norms = supernet.training, [m for m in supernet.modules() if isinstance(m, Norm)]
        before = [norm.momentum for norm in norms]
        supernet.eval()
        recalibrates = supernet.normalisation == "recalibrated"
        batches = list(images.plain("alphas"))
        inputs = [x for x, _ in batches]
        if recalibrates:
            # Statistics are those of the first input, which is no input of an evaluation.
            inputs.insert(0, next(images.plain("weights"))[0])
            for norm in norms:
                norm.momentum = 1.0
        first = _FirstCell(supernet, inputs, recalibrates)
        correct = np.zeros(len(cells))
        # Cells with the same beginning follow each other.
        for done, i in enumerate(sorted(range(len(cells)), key=cells.__getitem__), start=1):
            values = first.output(cells[i])
            if recalibrates:
                supernet.train()
                supernet.after_first_cell(values[0], cells[i])
                supernet.eval()
                values = values[1:]
            for value, (_, y) in zip(values, batches, strict=True):
                scores = supernet.after_first_cell(value, cells[i])
                correct[i] += int((scores.argmax(1) == y).sum())
            progress(done, len(cells))
        supernet.train(training)
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
    return 100.0 * correct / len(images.halves["alphas"])


_LEADING = (0, 1, 3)
"""How many decisions lead to each node but the last; they are the first ones."""


class _FirstCell:
    """The first cell of a supernet on several inputs; keeps what the last path has in common.

    Args:
        supernet: The supernet.
        inputs: Images.
        recalibrates: Whether the first input sets the statistics for the others.
    """

    def __init__(self, supernet: Supernet, inputs: list[Tensor], recalibrates: bool) -> None:
        self.block, self.recalibrates = cast(MixedCell, supernet.cells[0]), recalibrates
        self.x = self._through(supernet.stem, inputs)
        self.prefixes: list[Architecture | None] = [None, None, None]
        self.sums: list[list[Tensor] | None] = [None, None, None]
        self.values: list[dict[int, list[Tensor]]] = [{} for _ in EDGES]
        self.active: list[list[Tensor] | None] = [None, None, None]

    def output(self, cell: Architecture) -> list[Tensor]:
        """The value of the last node on each input; zeros if nothing leads to it."""
        total = self._sum(3, cell)
        return list(map(torch.zeros_like, self.x)) if total is None else total

    def _through(
        self, layer: ConvNorm, inputs: list[Tensor], part: slice | None = None
    ) -> list[Tensor]:
        """What a convolution and its normalisation make of the inputs."""
        outputs = []
        for number, x in enumerate(inputs):
            layer.norm.training = self.recalibrates and number == 0
            outputs.append(layer.forward(x, part))
        return outputs

    def _sum(self, node: int, cell: Architecture) -> list[Tensor] | None:
        """The sum of the edges into a node, in their order; None of none."""
        total = None
        for edge, (_, target) in enumerate(EDGES):
            if target == node and cell[edge] != NONE:
                value = self._value(edge, cell)
                if value is not None:
                    total = value if total is None else list(map(torch.add, total, value))
        return total

    def _node(self, node: int, cell: Architecture) -> list[Tensor] | None:
        prefix = cell[: _LEADING[node]]
        if self.prefixes[node] != prefix:
            self.prefixes[node] = prefix
            self.sums[node] = self._sum(node, cell) if node else self.x
            self.active[node] = None
            for edge, (source, _) in enumerate(EDGES):
                if source == node:
                    self.values[edge].clear()
        return self.sums[node]

    def _value(self, edge: int, cell: Architecture) -> list[Tensor] | None:
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
                    active = self.active[source] = list(map(functional.relu, value))
                layers = self.block.small if option == CONV_1X1 else self.block.large
                value = self._through(cast(ConvNorm, layers[source]), active, self.block.part(edge))
            known[option] = list(map(self.block.pooled, value)) if option == POOL else value
        return known[option]
