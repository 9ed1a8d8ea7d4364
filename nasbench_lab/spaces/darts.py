"""The space of DARTS and NAS-Bench-301.

Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019 (arXiv 1806.09055): a
normal and a reduction cell. Siems, Zimmer et al., "NAS-Bench-301 and the case for surrogate benchmarks
for neural architecture search", 2020 (arXiv 2008.09777) has the same space.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from nasbench_lab.errors import InvalidArchitectureError, short
from nasbench_lab.spaces.base import Architecture, Edge, Graph, SearchSpace
from nasbench_lab.spaces.decisions import Decision

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The operations of a cell, in the order of both papers' code; ``none`` is in no finished cell."""

CELLS = ("normal", "reduce")
INPUTS = 2
"""The nodes of a cell that are other cells' outputs: 0 is that of the last but one, 1 of the last."""

Node = tuple[tuple[int, int], tuple[int, int]]
"""A node's two inputs: the number of the node where each is from, and that of the operation."""
Cell = tuple[Node, ...]

_SYNTAX = "Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), reduce=[…], …)"
_LONGEST = 10_000
_PAIR = r"\('\w{1,40}',\d{1,3}\)"
_LIST = rf"\[((?:{_PAIR},?)*)\]"
_CONCAT = r"(range\(\d+,\d+\)|[\[\(](?:\d{1,3},?)*[\]\)])"
_GENOTYPE = re.compile(
    rf"(?:Genotype)?\(normal={_LIST},normal_concat={_CONCAT},reduce={_LIST},reduce_concat={_CONCAT},?\)"
)


class DARTSSpace(SearchSpace):
    """All pairs of a normal and a reduction cell: (180 · 7^8)^2, about 10^18.

    A cell has four nodes. Each is the sum of two operations on different earlier nodes or inputs, and
    the cell's output is all nodes, one behind the other. For each node from the second on, the inputs
    are a decision, such as ``0,2``; then come the operations on the lower and the higher input.

    Strings are genotypes of the authors' code, with range or list. A node's inputs may be in any order;
    they are written in ascending order.

    Args:
        name: The space's name.
        nodes: How many nodes a cell has.
        operations: The operations.
    """

    def __init__(
        self, name: str = "darts", nodes: int = 4, operations: Sequence[str] = OPERATIONS
    ) -> None:
        decisions = []
        for cell in CELLS:
            for node in range(INPUTS, INPUTS + nodes):
                pairs = tuple(f"{low},{high}" for low, high in _pairs(node))
                if len(pairs) > 1:
                    decisions.append(Decision(f"{cell} {node} inputs", pairs))
                for which in ("lower", "higher"):
                    decisions.append(
                        Decision(f"{cell} {node} {which} operation", tuple(operations))
                    )
        super().__init__(name, decisions)
        self.nodes, self.operations = nodes, tuple(operations)
        self._concat = tuple(range(INPUTS, INPUTS + nodes))

    # Cells

    def cells(self, architecture: Sequence[int]) -> tuple[Cell, Cell]:
        """The normal and the reduction cell.

        Raises:
            InvalidArchitectureError: It is no architecture of the space.
        """
        options = iter(self.validate(architecture))
        normal, reduction = (tuple(self._nodes(options)) for _ in CELLS)
        return normal, reduction

    def _nodes(self, options: Iterator[int]) -> Iterator[Node]:
        for node in range(INPUTS, INPUTS + self.nodes):
            pairs = _pairs(node)
            low, high = pairs[next(options) if len(pairs) > 1 else 0]
            yield (low, next(options)), (high, next(options))

    def of_cells(self, cells: Sequence[Cell]) -> Architecture:
        """The architecture of a normal and a reduction cell; the inverse of ``cells``."""
        options: list[int] = []
        for cell in cells:
            for node, ((low, first), (high, second)) in enumerate(cell, INPUTS):
                pairs = _pairs(node)
                if len(pairs) > 1:
                    options.append(pairs.index((low, high)))
                options += [first, second]
        return self.validate(options)

    def canonical(self, architecture: Any) -> Any:
        """The lowest-numbered architecture of the same class.

        In a class, cells differ in the order of their nodes only.
        """
        if isinstance(architecture, np.ndarray):
            every = self._validate_many(architecture).tolist()
            result = [self.canonical(tuple(one)) for one in every]
            return np.array(result, dtype=np.int64).reshape(architecture.shape)
        return self.of_cells([_lowest(cell) for cell in self.cells(architecture)])

    # Text and pictures

    def _format(self, architecture: Architecture) -> str:
        parts = []
        for name, cell in zip(CELLS, self.cells(architecture), strict=True):
            pairs = [(self.operations[option], source) for node in cell for source, option in node]
            parts.append(f"{name}={pairs}, {name}_concat={range(INPUTS, INPUTS + self.nodes)}")
        return f"Genotype({', '.join(parts)})"

    def _parse(self, text: str) -> Architecture:
        plain = re.sub(r"\s+", "", text).replace('"', "'") if len(text) <= _LONGEST else ""
        match = _GENOTYPE.fullmatch(plain)
        if match is None:
            raise InvalidArchitectureError(f"Expected {_SYNTAX} but got {short(text)!r}.")
        for name, concat in zip(CELLS, match.group(2, 4), strict=True):
            numbers = tuple(map(int, re.findall(r"\d+", concat)))
            if (tuple(range(*numbers)) if concat[0] == "r" else numbers) != self._concat:
                raise InvalidArchitectureError(
                    f"Expected all nodes of a cell as its output, "
                    f"{name}_concat={list(self._concat)}, but got {short(concat)}."
                )
        return self.of_cells([self._cell(pairs, text) for pairs in match.group(1, 3)])

    def _cell(self, pairs: str, text: str) -> Cell:
        named = re.findall(r"'(\w+)',(\d+)", pairs)
        if len(named) != 2 * self.nodes:
            raise InvalidArchitectureError(
                f"Expected {2 * self.nodes} operations for the {self.nodes} nodes of a cell but got "
                f"{len(named)} in {short(text)!r}."
            )
        cell = []
        for node in range(self.nodes):
            inputs = []
            for name, source in named[2 * node : 2 * node + 2]:
                if name not in self.operations:
                    raise InvalidArchitectureError(
                        f"Expected one of {', '.join(self.operations)} but got {name!r} in "
                        f"{short(text)!r}."
                    )
                inputs.append((int(source), self.operations.index(name)))
            (low, _), (high, _) = first, second = sorted(inputs)
            if low == high or high >= node + INPUTS:
                raise InvalidArchitectureError(
                    f"Expected two different inputs below {node + INPUTS} for node {node + INPUTS} but "
                    f"got {low} and {high} in {short(text)!r}."
                )
            cell.append((first, second))
        return tuple(cell)

    def graph(self, architecture: Architecture) -> Graph:
        """Both cells beside each other: of each the two inputs, and the nodes."""
        nodes, edges = ["input"], []
        last = 1 + len(CELLS) * (INPUTS + self.nodes)
        for name, cell in zip(CELLS, self.cells(architecture), strict=True):
            first = len(nodes)
            nodes += [f"{name} {number}" for number in range(INPUTS + self.nodes)]
            edges += [Edge(0, first + number) for number in range(INPUTS)]
            for number, node in enumerate(cell, first + INPUTS):
                edges += [Edge(first + at, number, self.operations[option]) for at, option in node]
                edges.append(Edge(number, last))
        return Graph((*nodes, "output"), tuple(edges), self.operations)


@cache
def _pairs(node: int) -> list[tuple[int, int]]:
    """The pairs of different inputs that a node can have, each in ascending order."""
    return list(itertools.combinations(range(node), 2))


@lru_cache(maxsize=1 << 16)
def _lowest(cell: Cell) -> Cell:
    """The cell whose nodes are in the order that gives the lowest number."""
    return min(_orders(cell), key=_number)


def _number(cell: Cell) -> list[int]:
    """What cells are numbered by, in the order of a space's decisions."""
    return [
        part
        for node, ((low, first), (high, second)) in enumerate(cell, INPUTS)
        for part in (_pairs(node).index((low, high)), first, second)
    ]


def _orders(cell: Cell) -> Iterator[Cell]:
    """The cell with its nodes in every order in which each comes behind its inputs."""
    for order in itertools.permutations(range(len(cell))):
        place = {i: i for i in range(INPUTS)}
        place |= {node + INPUTS: at + INPUTS for at, node in enumerate(order)}
        moved = []
        for at, node in enumerate(order):
            inputs = sorted((place[source], option) for source, option in cell[node])
            if inputs[-1][0] >= at + INPUTS:
                break
            moved.append((inputs[0], inputs[1]))
        else:
            yield tuple(moved)
