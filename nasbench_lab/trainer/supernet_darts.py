"""Supernets of ``darts``: mixed operations on all edges of a normal and a reduction cell.

Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019 (arXiv 1806.09055),
section 2; the network is that of the authors' code (quark0/darts, ``cnn/model_search.py``). A node of a
finished cell has two inputs, so an architecture is a path that leaves the other edges out.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.errors import TrainingError
from nasbench_lab.guard import kept_generators
from nasbench_lab.spaces import Architecture, DARTSSpace
from nasbench_lab.spaces.darts import CELLS, INPUTS
from nasbench_lab.trainer.darts import (
    CellShape,
    DARTSNetwork,
    cell_inputs,
    cell_shapes,
    in_planes,
    operation,
    stem,
)
from nasbench_lab.trainer.datasets import ImageData
from nasbench_lab.trainer.shared_weights import Cell, Floats, SharedWeights
from nasbench_lab.trainer.supernet_layers import Norm

PAPER = (16, 8)
"""The channels of the first cells' nodes and the number of cells, of the paper's search on CIFAR-10."""

TINY = (4, 3)
"""The same of a small supernet, for images of few pixels: a normal cell and two reduction cells."""

Carried = Tensor | Mapping[int, int]
"""What the edges of a cell carry: ``(edges, operations)`` weights, or by edge the number of one of the
space's operations; other edges carry nothing."""


class Sampled(tuple[int, ...]):
    """One operation for each edge of both cells, ``none`` included, whether or not a space has it."""

    __slots__ = ()


class DARTSSupernet(SharedWeights):
    """A network with the weights of all architectures of ``darts``.

    Edges are those of the normal cell and then of the reduction cell, node by node, from the lower to
    the higher input. All normal cells carry the same, and all reduction cells. The operations are
    ``none`` and those of the space. A normalisation follows each pooling, as in the authors' search.

    Args:
        space: The space.
        data: The images to train on; the network depends on their shape and number of classes.
        seed: Seed of the initial weights, at least 0; they are drawn as PyTorch does by default.
        skeleton: The channels of a node of the first cells, and the number of cells.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether the normalisations inside of the cells have a scale and a shift that are
            trained. The authors' have none in the search. That of the stem always has them.
        share: As of ``SharedWeights``; a divisor of the channels. Edges weigh what they pass on as
            well.

    Raises:
        UnknownNameError: There is no such normalisation.
        TrainingError: The channels cannot be divided so.
    """

    def __init__(
        self,
        space: DARTSSpace,
        data: ImageData,
        seed: int = 0,
        skeleton: tuple[int, int] = TINY,
        *,
        normalisation: str = "batch",
        affine: bool = False,
        share: int = 1,
    ) -> None:
        first = [node * (node - 1) // 2 - 1 for node in range(INPUTS, INPUTS + space.nodes + 1)]
        self.per_cell = first[-1]
        into = [
            tuple(range(cell * first[-1] + start, cell * first[-1] + end))
            for cell in range(len(CELLS))
            for start, end in itertools.pairwise(first)
        ]
        super().__init__(space, ("none", *space.operations), into, normalisation, share)
        self.darts, self.skeleton = space, skeleton
        channels, cells = skeleton
        if share < 1 or channels % share:
            raise TrainingError(
                f"Expected a share that divides the {channels} channels but got {share!r}."
            )
        self.image_channels, self.classes = data.shape[2], data.classes
        norm = partial(Norm, normalisation=normalisation, affine=affine)
        shapes = cell_shapes(channels, cells, space.nodes)
        with kept_generators():  # PyTorch draws weights, which are drawn anew below
            self.stem = stem(
                self.image_channels,
                shapes[0].inputs[0],
                partial(Norm, normalisation=normalisation),
            )
            self.cells = nn.ModuleList(
                DARTSMixedCell(space, shape, norm, share) for shape in shapes
            )
            self.classifier = nn.Linear(space.nodes * shapes[-1].channels, self.classes)
        self._initialise(np.random.default_rng(np.random.SeedSequence([seed, 0])))

    def _initialise(self, rng: np.random.Generator) -> None:
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    bound = module.weight[0].numel() ** -0.5
                    for target in module.parameters():
                        values = rng.uniform(-bound, bound, tuple(target.shape))
                        target.copy_(torch.from_numpy(values))

    def forward(self, x: Tensor, cell: Cell, factors: Tensor | None = None) -> Tensor:
        carried = self._carried(cell)
        parts = (None, None) if factors is None else factors.chunk(2)
        before = last = self.stem(in_planes(x))
        for block in self.cells:
            kind = int(cast(DARTSMixedCell, block).shape.reduces)
            before, last = last, block(before, last, carried[kind], parts[kind])
        scores: Tensor = self.classifier(last.mean((2, 3)))
        return scores

    def _carried(self, cell: Cell) -> Sequence[Carried]:
        """What the normal and the reduction cells carry."""
        if isinstance(cell, Tensor):
            return cell.chunk(2)
        carried: list[dict[int, int]] = [{}, {}]
        for edge, option in self._path(cell):
            carried[edge // self.per_cell][edge % self.per_cell] = option - 1
        return carried

    def _path(self, cell: Architecture) -> list[tuple[int, int]]:
        """The edges of a path that carry something, and the numbers of their operations."""
        if isinstance(cell, Sampled):
            return [(edge, option) for edge, option in enumerate(cell) if option]
        nodes = (node for of_one in self.darts.cells(cell) for node in of_one)
        return [
            (edges[source], 1 + option)
            for edges, node in zip(self.into, nodes, strict=True)
            for source, option in node
        ]

    def derived(self, strengths: Floats) -> Architecture:
        """Section 2.4: of each node the two inputs with the strongest operations but ``none``."""
        best = strengths[:, 1:].max(axis=1)
        nodes = []
        for edges in self.into:
            order = np.argsort(-best[list(edges)], kind="stable")
            low, high = sorted(order[:2].tolist())
            options = [int(strengths[edges[source], 1:].argmax()) for source in (low, high)]
            nodes.append(((low, options[0]), (high, options[1])))
        of_one = self.darts.nodes
        return self.darts.of_cells([tuple(nodes[:of_one]), tuple(nodes[of_one:])])

    def sampled(self, options: Sequence[int]) -> Sampled:
        return Sampled(options)

    def passes(self, cell: Cell) -> Floats:
        """As of ``SharedWeights``.

        An architecture is a pass of its own options. What is computed on all edges into a node counts
        in equal parts for the operations on its lower and on its higher input, and for each choice of
        the inputs.
        """
        n_options = self.darts.n_options
        passes = np.zeros((len(n_options), max(n_options)))
        if not isinstance(cell, Tensor | Sampled):
            passes[range(len(n_options)), cell] = 1.0
            return passes
        edges = np.zeros(self.mixture_shape)
        if isinstance(cell, Tensor):
            edges += 1 / self.share
        else:
            edges[range(len(edges)), cell] = 1.0
        decisions = iter(range(len(n_options)))
        for into in self.into:
            if len(into) > INPUTS:
                inputs = next(decisions)
                passes[inputs, : n_options[inputs]] = 1 / n_options[inputs]
            operations = edges[list(into), 1:].sum(axis=0) / 2
            for _ in range(2):
                passes[next(decisions), : len(operations)] = operations
        return passes

    def network(self, architecture: Architecture) -> DARTSNetwork:
        """The network of a path by itself, with copies of its parameters and statistics.

        Raises:
            TrainingError: The operations see a part of the channels only.
        """
        if self.share > 1:
            raise TrainingError("Paths of a supernet with a share have no network of their own.")
        with torch.device("meta"):  # no draws from PyTorch's global generator
            network = DARTSNetwork(
                self.darts,
                architecture,
                self.image_channels,
                self.classes,
                *self.skeleton,
                searched=True,
            )
        network = network.to_empty(device=self.classifier.bias.device)
        network = network.to(self.classifier.bias.dtype)
        carried = self._carried(architecture)
        _copy(self.stem, network.stem)
        _copy(self.classifier, network.classifier)
        for shared, own in zip(self.cells, network.cells, strict=True):
            mixed, single = cast(DARTSMixedCell, shared), own
            of_path = cast(Mapping[int, int], carried[int(mixed.shape.reduces)])
            _copy(mixed.inputs, cast(nn.Module, single.inputs))
            nodes = cast(Sequence[nn.ModuleList], single.operations)
            targets = [made for node in nodes for made in node]
            for target, (edge, option) in zip(targets, sorted(of_path.items()), strict=True):
                _copy(cast(nn.ModuleList, mixed.edges[edge])[option], target)
        return network.train(self.training)


class DARTSMixedCell(nn.Module):
    """A cell whose edges carry all operations.

    Args:
        space: The space.
        shape: What its place in the network makes of it.
        norm: Makes normalisations.
        share: The operations see the first of so many equal parts of the channels; the others are
            passed on as they are, or where height and width are halved, as the greatest of each square.
    """

    def __init__(
        self, space: DARTSSpace, shape: CellShape, norm: partial[Norm], share: int
    ) -> None:
        super().__init__()
        self.shape, self.share, self.width = shape, share, shape.channels // share
        self.nodes = range(INPUTS, INPUTS + space.nodes)
        self.inputs = cell_inputs(shape, norm)
        self.edges = nn.ModuleList(
            nn.ModuleList(
                operation(name, self.width, shape.stride(source), norm, searched=True)
                for name in space.operations
            )
            for node in self.nodes
            for source in range(node)
        )

    def forward(
        self, before: Tensor, last: Tensor, carried: Carried, factors: Tensor | None
    ) -> Tensor:
        states = [made(x) for made, x in zip(self.inputs, (before, last), strict=True)]
        edge = 0
        for node in self.nodes:
            terms = []
            for source in range(node):
                if isinstance(carried, Tensor) or edge in carried:
                    value = self._value(edge, source, states[source], carried)
                    terms.append(value if factors is None else value * factors[edge])
                edge += 1
            states.append(reduce(torch.add, terms) if terms else self._nothing(states[0]))
        return torch.cat(states[INPUTS:], 1)

    def _nothing(self, x: Tensor) -> Tensor:
        """The sum of no terms, for an input of the cell."""
        stride = self.shape.stride(0)
        return torch.zeros_like(x[:, :, ::stride, ::stride])

    def _value(self, edge: int, source: int, x: Tensor, carried: Carried) -> Tensor:
        """What an edge delivers."""
        seen, operations = x[:, : self.width], cast(nn.ModuleList, self.edges[edge])
        if isinstance(carried, Tensor):
            # The first weight is that of none, which adds nothing.
            weights = carried[edge, 1:].unbind()
            terms = [w * made(seen) for w, made in zip(weights, operations, strict=True)]
            value: Tensor = reduce(torch.add, terms)
        else:
            value = operations[carried[edge]](seen)
        if self.share == 1:
            return value
        rest = x[:, self.width :]
        if self.shape.stride(source) == 2:
            rest = functional.max_pool2d(rest, 2, ceil_mode=True)
        # Each channel is seen by the operations of one node in so many.
        whole = torch.cat([value, rest], 1)
        parts = whole.view(len(x), self.share, self.width, *whole.shape[2:])
        return parts.transpose(1, 2).flatten(1, 2)


def _copy(shared: nn.Module, own: nn.Module) -> None:
    """Copies parameters and statistics between modules of the same layers."""
    with torch.no_grad():
        for source, target in zip(shared.modules(), own.modules(), strict=True):
            if isinstance(target, nn.Conv2d | nn.Linear):
                target.load_state_dict(source.state_dict())
            elif isinstance(target, nn.BatchNorm2d):
                target.reset_parameters()
                values = (target.weight, target.bias, *list(target.buffers())[:2])
                for new, kept in zip(values, cast(Norm, source).values(), strict=True):
                    new.copy_(kept)
