"""The space of NAS-Bench-Graph.

Qin et al., "NAS-Bench-Graph: Benchmarking graph neural architecture search", NeurIPS 2022
(arXiv 2206.09166): the input or an earlier node feeds each of four computing nodes, and all nodes
that feed no other feed the output. The wiring is one of the 9 rooted forests on 4 nodes.
"""

from __future__ import annotations

import itertools
import re
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, short
from nasbench_lab.spaces.base import (
    Architecture,
    Architectures,
    Edge,
    Graph,
    SearchSpace,
    indicators,
)
from nasbench_lab.spaces.decisions import Decision

LINKS = (
    (0, 0, 0, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 3),
    (0, 1, 1, 1),
    (0, 1, 1, 2),
    (0, 1, 2, 2),
    (0, 1, 2, 3),
)
"""The wirings: the source of each computing node; 0 is the input."""

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
PROTEINS_OPERATIONS = ("gcn", "sage", "arma", "fc", "skip")

_N = 4
_SYNTAX = "Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])"
_TEXT = re.compile(r"(?:Arch\s*\(\s*)?\[([^\]]*)\]\s*(?:,\s*)?\[([^\]]*)\]\s*\)?")


class NASBenchGraphSpace(SearchSpace):
    """Five decisions: the wiring (9 options), then the operation of each computing node.

    Strings have the form of the official package, ``Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc',
    'cheb'])``. The nodes may be listed in any order in which a node comes after its source.

    Encodings: ``one_hot``; ``adjacency`` (15 entries for the possible edges between input, nodes and
    output, then one-hot operations); ``path`` (one entry per possible sequence of operations from
    input to output: ``n + n^2 + n^3 + n^4`` for ``n`` operations).
    """

    encodings = ("one_hot", "adjacency", "path")

    def __init__(
        self, name: str = "nas-bench-graph", operations: tuple[str, ...] = OPERATIONS
    ) -> None:
        wiring = tuple(",".join(map(str, link)) for link in LINKS)
        nodes = [Decision(f"node {i + 1}", operations) for i in range(_N)]
        super().__init__(name, [Decision("wiring", wiring), *nodes])
        self.operations = operations

    _cached = (*SearchSpace._cached, "_skip_cases")

    @classmethod
    def proteins(cls) -> NASBenchGraphSpace:
        """The smaller space of the data set ``proteins``: 5 operations, 5,625 architectures."""
        return cls("nas-bench-graph-proteins", PROTEINS_OPERATIONS)

    def _format(self, architecture: Architecture) -> str:
        link = list(LINKS[architecture[0]])
        return f"Arch({link}, {[self.operations[option] for option in architecture[1:]]})"

    def graph(self, architecture: Architecture) -> Graph:
        """Input, the four computing nodes, output."""
        wiring, *options = self.validate(architecture)
        edges = np.argwhere(_adjacency(LINKS[wiring])).tolist()
        names = ("input", *(self.operations[option] for option in options), "output")
        return Graph(names, tuple(Edge(s, t) for s, t in edges), self.operations)

    def _parse(self, text: str) -> Architecture:
        match = _TEXT.fullmatch(text.strip())
        if not match:
            raise InvalidArchitectureError(f"Expected {_SYNTAX} but got {short(text)!r}.")
        sources = [part.strip() for part in match[1].split(",")]
        names = [part.strip().strip("'\"") for part in match[2].split(",")]
        if (
            len(sources) != _N
            or len(names) != _N
            or any(s not in map(str, range(i + 1)) for i, s in enumerate(sources))
        ):
            raise InvalidArchitectureError(
                f"Expected {_N} nodes, each fed by the input (0) or an earlier node, as in "
                f"{_SYNTAX}, but got {short(text)!r}."
            )
        wiring, orders = _wirings([int(s) - 1 for s in sources])
        reordered = [names[i] for i in orders[0]]
        return self._options_from_names(
            [",".join(map(str, LINKS[wiring])), *reordered], text, _SYNTAX
        )

    def canonical(self, architecture: Any) -> Any:
        """The representative of all architectures with the same official hash.

        As in ``Arch.valid_hash`` of the official package, a skip that only passes its input on moves
        to the top of the network. Interchangeable nodes get the order with the lowest option numbers.
        """
        if not isinstance(architecture, np.ndarray):
            result = self.canonical(np.array([self.validate(architecture)]))[0]
            return tuple(result.tolist())
        many = self._validate_many(architecture)
        result = np.empty_like(many)
        operations = many[:, 1:]
        skips = (operations == self.operations.index("skip")) @ (1 << np.arange(_N))
        case = many[:, 0] << _N | skips
        places = len(self.operations) ** np.arange(_N)[::-1]
        for number in np.unique(case).tolist():
            rows = np.flatnonzero(case == number)
            wiring, orders = self._skip_cases[number]
            reordered = operations[rows][:, orders]  # (rows, orders, 4)
            lowest = (reordered @ places).argmin(axis=1)
            result[rows, 0] = wiring
            result[rows, 1:] = reordered[np.arange(len(rows)), lowest]
        return result

    @cached_property
    def _skip_cases(self) -> list[tuple[int, NDArray[np.int64]]]:
        """The canonical wiring and the node orders that give it, for each wiring and set of skips."""
        return [
            _wirings(_lift_skips(link, [bool(skips >> i & 1) for i in range(_N)]))
            for link in LINKS
            for skips in range(1 << _N)
        ]

    def _encode(self, architectures: Architectures, encoding: str) -> NDArray[np.float64]:
        n_operations = len(self.operations)
        if encoding == "adjacency":
            upper = np.triu_indices(_N + 2, k=1)
            edges = np.array([_adjacency(link)[upper] for link in LINKS])[architectures[:, 0]]
            nodes = architectures[:, 1:] + n_operations * np.arange(_N)
            return np.hstack([edges, indicators(nodes, _N * n_operations)])
        if encoding == "path":
            columns = np.full((len(architectures), _N), -1)
            offsets = np.cumsum([0] + [n_operations ** (i + 1) for i in range(_N)])
            for wiring, link in enumerate(LINKS):
                rows = np.flatnonzero(architectures[:, 0] == wiring)
                for leaf in sorted(set(range(_N)) - {source - 1 for source in link}):
                    path = [leaf]
                    while link[path[0]]:
                        path.insert(0, link[path[0]] - 1)
                    places = n_operations ** np.arange(len(path))[::-1]
                    on_path = architectures[rows][:, [1 + node for node in path]]
                    columns[rows, leaf] = offsets[len(path) - 1] + on_path @ places
            return indicators(columns, int(offsets[-1]))
        return super()._encode(architectures, encoding)


def _adjacency(link: tuple[int, ...]) -> NDArray[np.float64]:
    """``(6, 6)`` edges between input, the four nodes and output."""
    matrix = np.zeros((_N + 2, _N + 2))
    for node, source in enumerate(link, start=1):
        matrix[source, node] = 1
        matrix[node, -1] = node not in link
    return matrix


def _lift_skips(link: tuple[int, ...], skip: list[bool]) -> list[int]:
    """Moves every skip that only passes its input on to the top.

    Args:
        link: The source of each node; 0 is the input.
        skip: Whether each node is a skip.

    Returns:
        The source of each node as a node number from 0; -1 is the input.
    """
    source = [s - 1 for s in link]

    def carries_input(node: int) -> bool:
        return node == -1 or (skip[node] and carries_input(source[node]))

    for node in range(_N):
        if not skip[node]:
            continue
        others = [other for other in range(_N) if other != node]
        feeds = any(source[other] == node for other in others)
        alone = all(source[other] != source[node] for other in others)
        if feeds or alone or carries_input(node):
            for other in others:
                if source[other] == node:
                    source[other] = source[node]
            for other in others:
                if source[other] == -1:
                    source[other] = node
            source[node] = -1
    return source


def _wirings(source: list[int]) -> tuple[int, NDArray[np.int64]]:
    """Lists the nodes of a forest so that their sources form one of ``LINKS``.

    Args:
        source: The source of each node; -1 is the input.

    Returns:
        The wiring's number, and ``(n, 4)`` orders of nodes that give it. Each forest fits exactly one
        wiring.
    """
    orders_by_wiring: dict[int, list[tuple[int, ...]]] = {}
    for order in itertools.permutations(range(_N)):
        link = tuple(order.index(source[node]) + 1 if source[node] >= 0 else 0 for node in order)
        if link in LINKS:
            orders_by_wiring.setdefault(LINKS.index(link), []).append(order)
    ((wiring, orders),) = orders_by_wiring.items()
    return wiring, np.array(orders)
