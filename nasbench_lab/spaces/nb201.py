"""The cell space of NAS-Bench-201 and NATS-Bench's topology part, and cells of the same form.

Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible neural architecture search",
ICLR 2020 (arXiv 2001.00326): a cell has 4 nodes; each of its 6 edges carries one of 5 operations,
and a node is the sum of what its incoming edges deliver.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, UnknownNameError, short
from nasbench_lab.spaces.base import (
    Architecture,
    Architectures,
    Edge,
    Graph,
    SearchSpace,
    indicators,
)
from nasbench_lab.spaces.decisions import Decision

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(5)

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) in the order of the official string, which is the order of the decisions."""

# The ways from input to output, as edge numbers.
_PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))

_SYNTAX = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"


class CellSpace(SearchSpace):
    """Cells of 4 nodes whose 6 edges carry operations: an operation for each of ``EDGES``.

    Encodings of cells with ``n`` operations: ``one_hot``; ``adjacency`` (whether each of the 6 edges
    carries each operation but ``none``); ``path`` (one entry per sequence of operations other than
    ``none`` on a way from input to output).

    Args:
        name: The space's name.
        operations: The first ``n`` of ``OPERATIONS``.
    """

    encodings = ("one_hot", "adjacency", "path")

    def __init__(self, name: str, operations: tuple[str, ...]) -> None:
        super().__init__(name, [Decision(f"{s}->{t}", operations) for s, t in EDGES])
        self.operations = operations

    def graph(self, architecture: Architecture) -> Graph:
        """Four nodes that are sums; the operations are on the edges."""
        names = [None, *self.operations[1:]]
        cell = self.validate(architecture)
        edges = [Edge(*ends, names[option]) for ends, option in zip(EDGES, cell, strict=True)]
        return Graph(("input", "1", "2", "output"), tuple(edges), self.operations[1:])

    def _encode(self, architectures: Architectures, encoding: str) -> NDArray[np.float64]:
        carrying = len(self.operations) - 1
        if encoding == "adjacency":
            edges = np.arange(len(EDGES))
            return indicators(
                np.where(architectures == NONE, -1, (architectures - 1) * len(EDGES) + edges),
                carrying * len(EDGES),
            )
        if encoding == "path":
            columns, offset = [], 0
            for path in _PATHS:
                on_path = architectures[:, path]
                places = carrying ** np.arange(len(path))[::-1]
                blocked = (on_path == NONE).any(axis=1)
                columns.append(np.where(blocked, -1, offset + (on_path - 1) @ places))
                offset += carrying ** len(path)
            return indicators(np.stack(columns, axis=1), offset)
        return super()._encode(architectures, encoding)


class NB201Space(CellSpace):
    """All 15,625 cells of NAS-Bench-201.

    ``index`` counts in base 5 along ``EDGES``. The order of the official files agrees with it in 1 of
    15,625 places, so an index from there is no index here.

    Encodings: ``one_hot`` (30 entries); ``adjacency`` (24); ``path`` (100: 4 + 16 + 16 + 64).
    """

    def __init__(self) -> None:
        super().__init__("nb201", OPERATIONS)

    def _format(self, architecture: Architecture) -> str:
        a = [OPERATIONS[option] for option in architecture]
        return f"|{a[0]}~0|+|{a[1]}~0|{a[2]}~1|+|{a[3]}~0|{a[4]}~1|{a[5]}~2|"

    def _parse(self, text: str) -> Architecture:
        nodes = text.strip().split("+")
        names: list[str] = []
        sources: list[tuple[str, int]] = []
        for node in nodes:
            if len(node) < 2 or node[0] != "|" or node[-1] != "|":
                raise InvalidArchitectureError(f"Expected {_SYNTAX} but got {short(text)!r}.")
            for edge in node[1:-1].split("|"):
                name, _, source = edge.partition("~")
                names.append(name)
                sources.append((source, len(sources)))
        architecture = self._options_from_names(names, text, _SYNTAX)
        sizes = [node.count("~") for node in nodes]
        if sizes != [1, 2, 3] or any(s != str(EDGES[i][0]) for s, i in sources):
            raise InvalidArchitectureError(f"Expected {_SYNTAX} but got {short(text)!r}.")
        return architecture

    @overload
    def canonical(self, architecture: tuple[int, ...], method: str = "graph") -> Architecture: ...
    @overload
    def canonical(self, architecture: Architectures, method: str = "graph") -> Architectures: ...
    def canonical(self, architecture: Any, method: str = "graph") -> Any:
        """The lowest-numbered cell of the same class.

        Args:
            architecture: A tuple, or an ``(n, 6)`` array.
            method: ``graph`` (5,260 classes): a class has the cells that are the same network without
                edges that carry nothing or lead nowhere. One convolution that is used twice differs
                from two convolutions. ``string`` (6,466 classes): the paper's method
                (``Structure.to_unique_str`` of the official code). It removes skips and sorts each
                node's terms, but keeps zeros as terms and a sum behind a skip as one term.

        Raises:
            UnknownNameError: There is no such method.
        """
        if method == "graph":
            numbers = representatives(graph_form, len(OPERATIONS))
        elif method == "string":
            numbers = representatives(unique_string, len(OPERATIONS))
        else:
            raise UnknownNameError("canonical method", method, ("graph", "string"))
        return self.at(numbers[self.index(architecture)])


@cache
def representatives(form: Callable[[Architecture], str], n_operations: int) -> NDArray[np.int64]:
    """``(cells,)``: the lowest index of a cell with the same form, for each index.

    All copies of a space in a process share it.
    """
    first: dict[str, int] = {}
    cells = itertools.product(range(n_operations), repeat=len(EDGES))
    return np.array([first.setdefault(form(cell), i) for i, cell in enumerate(cells)])


def unique_string(cell: Architecture) -> str:
    """The string that identifies a cell in the paper, without skips and with sorted sums."""
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for (source, end), option in zip(EDGES, cell, strict=True):
            if end != target:
                continue
            inner = nodes[source]
            if option == NONE or inner == "#":
                terms.append("#")
            else:
                terms.append(inner if option == SKIP else f"({inner})@{OPERATIONS[option]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


# A node's value is a sum of terms. A term is the input, a pooling of a sum, or the output of the
# convolution on an edge. Pooling has no weights, so two poolings of a sum are the same term; two
# convolutions of a sum are two terms.
_Term = tuple[Any, ...]
_Sum = tuple[_Term, ...]


def graph_form(cell: Architecture, reducing: bool = False) -> str:
    """The text that cells have in common if they are the same network.

    Args:
        cell: The cell.
        reducing: Whether the edges from the input halve the resolution or double the channels, so
            that a skip connection there has weights, as a convolution has.
    """
    nodes: list[_Sum] = [(("input",),)]
    convolutions: dict[int, tuple[int, _Sum]] = {}
    for target in (1, 2, 3):
        terms: list[_Term] = []
        for edge, ((source, end), option) in enumerate(zip(EDGES, cell, strict=True)):
            if end != target or option == NONE or not nodes[source]:
                continue
            inner = nodes[source]
            if option == SKIP and not (reducing and source == 0):
                terms.extend(inner)
            elif option == POOL:
                terms.append(("pool", inner))
            else:
                convolutions[edge] = (option, inner)
                terms.append(("conv", edge))
        nodes.append(tuple(terms))
    output = nodes[-1]

    def sum_text(total: _Sum, conv: Callable[[int], str]) -> str:
        """A sum as text that does not depend on the order of its terms."""

        def term(t: _Term) -> str:
            if t[0] == "conv":
                return conv(t[1])
            return f"pool[{sum_text(t[1], conv)}]" if t[0] == "pool" else "input"

        return "+".join(sorted(map(term, total)))

    # The shape of a live convolution is its computation without the identity of convolutions. Those
    # of equal shape get numbers then, in every possible order.
    shape: dict[int, str] = {}

    def shape_of(edge: int) -> str:
        option, inner = convolutions[edge]
        shape[edge] = f"{option}[{sum_text(inner, shape_of)}]"
        return shape[edge]

    sum_text(output, shape_of)
    alike = [
        [edge for edge in shape if shape[edge] == text] for text in sorted(set(shape.values()))
    ]
    forms = []
    for orders in itertools.product(*map(itertools.permutations, alike)):
        order = [edge for group in orders for edge in group]
        number = {edge: f"#{i}" for i, edge in enumerate(order)}
        parts = [sum_text(output, number.__getitem__)]
        for edge in order:
            option, inner = convolutions[edge]
            parts.append(f"{option}[{sum_text(inner, number.__getitem__)}]")
        forms.append(";".join(parts))
    return min(forms)
