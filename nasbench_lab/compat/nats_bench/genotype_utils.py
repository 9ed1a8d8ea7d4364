"""The official class of a cell, ``TopologyStructure``, and its reader."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

from nasbench_lab.compat._cells import CellStrings
from nasbench_lab.compat._errors import OfficialAssertionError

Edge = tuple[str, int]
"""An operation and the node that it reads."""


def topology_str2structure(xstr: str | TopologyStructure) -> TopologyStructure:
    """The cell of a string such as ``|none~0|+|skip_connect~0|nor_conv_3x3~1|``."""
    return TopologyStructure.str2structure(xstr)


class TopologyStructure:
    """A cell: for each node but the first, its edges as pairs of operation and source.

    Attributes: ``node_num`` counts the nodes, ``nodes`` has the edges of each node but the first,
    ``node_N`` their numbers.

    Args:
        genotype: The edges of each node but the first.

    Raises:
        OfficialAssertionError: It is no list of lists of pairs, or an edge does not lead forward.
    """

    def __init__(self, genotype: Sequence[Sequence[Edge]]) -> None:
        _check(isinstance(genotype, list | tuple), "a list of nodes", genotype)
        self.nodes: list[tuple[Edge, ...]] = []
        for place, node in enumerate(genotype):
            _check(isinstance(node, list | tuple) and len(node) > 0, "a list of edges", node)
            for edge in node:
                forward = isinstance(edge, list | tuple) and len(edge) == 2 and edge[1] <= place
                _check(forward, f"an operation and a node up to {place}", edge)
            self.nodes.append(tuple(node))
        self.node_num = len(self.nodes) + 1
        self.node_N = [len(node) for node in self.nodes]

    def tolist(self, remove_str: str | None) -> tuple[list[tuple[Edge, ...]] | None, bool]:
        """The edges of each node by source, without those of an operation.

        Returns:
            The list and True; None and False if a node keeps no edge.
        """
        nodes = []
        for node in self.nodes:
            kept = sorted(node, key=lambda edge: (edge[1], edge[0]))
            nodes.append(tuple(edge for edge in kept if edge[0] != remove_str))
        return (nodes, True) if all(nodes) else (None, False)

    def node(self, index: int) -> tuple[Edge, ...]:
        """The official method: its check counts nodes from 1, but its list has node 1 at place 0."""
        _check(0 < index <= len(self), f"a node from 1 to {len(self)}", index)
        return self.nodes[index]

    def tostr(self) -> str:
        """The string of the cell."""
        return "+".join(
            f"|{'|'.join(f'{operation}~{source}' for operation, source in node)}|"
            for node in self.nodes
        )

    def check_valid(self) -> bool:
        """Whether a way without ``none`` leads from the first node to the last."""
        fed = [True]
        for node in self.nodes:
            fed.append(any(operation != "none" and fed[source] for operation, source in node))
        return fed[-1]

    def to_unique_str(self, consider_zero: bool | None = False) -> str:
        """A string that isomorphic cells share.

        Args:
            consider_zero: True: skips vanish, and what ``none`` feeds is ``#``; False: skips vanish;
                None: every operation counts.
        """
        values = ["0"]
        for node in self.nodes:
            terms = []
            for operation, source in node:
                value = values[source]
                if consider_zero and (operation == "none" or value == "#"):
                    terms.append("#")
                elif operation == "skip_connect" and consider_zero is not None:
                    terms.append(value)
                else:
                    terms.append(f"({value})@{operation}")
            values.append("+".join(sorted(terms)))
        return values[-1]

    def check_valid_op(self, op_names: Collection[str]) -> bool:
        """Whether all operations are among some names."""
        return all(operation in op_names for node in self.nodes for operation, _ in node)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.node_num} nodes with {self.tostr()})"

    def __len__(self) -> int:
        return len(self.nodes) + 1

    def __getitem__(self, index: Any) -> Any:
        return self.nodes[index]

    @staticmethod
    def str2structure(xstr: str | TopologyStructure) -> TopologyStructure:
        """The cell of a string; a cell is given back."""
        if isinstance(xstr, TopologyStructure):
            return xstr
        _check(isinstance(xstr, str), "a string", xstr)
        return TopologyStructure(CellStrings.str2lists(xstr))

    @staticmethod
    def str2fullstructure(xstr: str, default_name: str = "none") -> TopologyStructure:
        """The cell of a string that may leave out edges; these get an operation."""
        _check(isinstance(xstr, str), "a string", xstr)
        nodes = []
        for place, node in enumerate(CellStrings.str2lists(xstr)):
            sources = {source for _, source in node}
            added = [(default_name, source) for source in range(place) if source not in sources]
            nodes.append(tuple(sorted((*node, *added), key=lambda edge: (edge[1], edge[0]))))
        return TopologyStructure(nodes)

    @staticmethod
    def gen_all(search_space: Sequence[str], num: int, return_ori: bool) -> list[Any]:
        """All cells of some operations and ``num`` nodes; officially this fails.

        Args:
            search_space: The operations.
            num: The number of nodes.
            return_ori: Whether cells are lists of nodes.
        """
        _check(isinstance(search_space, list | tuple), "a list of operations", search_space)
        _check(num >= 2, "at least two nodes", num)
        by_node = [
            [tuple(zip(some, range(n), strict=True)) for some in _product(search_space, n)]
            for n in range(1, num)
        ]
        cells = [list(nodes) for nodes in itertools.product(*by_node)]
        return cells if return_ori else [TopologyStructure(cell) for cell in cells]


def _product(operations: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(itertools.product(operations, repeat=n))


def _check(true: bool, expected: str, found: object) -> None:
    if not true:
        raise OfficialAssertionError(f"Expected {expected} but got {found!r}.")
