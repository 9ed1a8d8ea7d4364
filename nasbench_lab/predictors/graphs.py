"""Architectures as graphs whose nodes are operations, for kernels and networks on graphs.

Weisfeiler-Lehman labels: Shervashidze et al., "Weisfeiler-Lehman graph kernels", Journal of Machine
Learning Research 12, 2011; on architectures: Ru, Wan, Dong and Osborne, "Interpretable neural
architecture search via Bayesian optimisation with Weisfeiler-Lehman kernels", ICLR 2021 (arXiv
2006.07556).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import UnsuitedError
from nasbench_lab.spaces import Architecture, Graph, SearchSpace


class OperationGraph(NamedTuple):
    """A directed acyclic graph of operations, without those that carry nothing to the output.

    Args:
        labels: The operation of each node; ``"input"`` and ``"output"`` of the first and the last.
        sources: For each node, the nodes that feed it, which come before it.
    """

    labels: tuple[str, ...]
    sources: tuple[tuple[int, ...], ...]


def has_graphs(space: SearchSpace) -> bool:
    """Whether the architectures of a space are graphs and nothing besides."""
    graph = space.graph(space.sample(np.random.default_rng(0)))
    return graph is not None and not graph.besides


def check_graphs(space: SearchSpace) -> None:
    """Refuses a space whose architectures are no graphs, or more than that.

    Raises:
        UnsuitedError: They are none, or have decisions besides.
    """
    graph = space.graph(space.sample(np.random.default_rng(0)))
    if graph is None or graph.besides:
        why = "are none" if graph is None else f"have {', '.join(graph.besides)} besides"
        raise UnsuitedError(
            f"This needs architectures that are graphs, and those of {space.name!r} {why}. Take a "
            f"kernel or predictor on decisions, such as ordinal or random_forest."
        )


def operation_graph(space: SearchSpace, architecture: Architecture) -> OperationGraph:
    """The graph of an architecture whose nodes are its operations.

    An operation on an edge becomes a node. Nodes and edges that are not on a way from the input to
    the output are left out.

    Raises:
        UnsuitedError: The architectures of the space are no graphs.
    """
    graph = space.graph(architecture)
    if graph is None:
        check_graphs(space)
        raise UnsuitedError(f"No graph of {architecture} of {space.name!r}.")
    return _by_operations(graph)


def _by_operations(graph: Graph) -> OperationGraph:
    edges = [edge for edge in graph.edges if edge.operation is not None]
    last = len(graph.nodes) - 1
    fed, needed = {0}, {last}
    for edge in sorted(edges):  # sources come before targets
        if edge.source in fed:
            fed.add(edge.target)
    for edge in sorted(edges, key=lambda edge: -edge.target):
        if edge.target in needed:
            needed.add(edge.source)
    alive = fed & needed | {0, last}
    edges = [edge for edge in edges if edge.source in alive and edge.target in alive]
    on_edges = any(edge.operation for edge in graph.edges)
    labels: list[str] = ["input"]
    sources: list[tuple[int, ...]] = [()]
    # The nodes here that deliver what each node there holds.
    holders: dict[int, list[int]] = {0: [0]}
    for node in range(1, last + 1):
        if node not in alive:
            continue
        held: list[int] = []
        for edge in edges:
            if edge.target != node:
                continue
            if edge.operation:
                labels.append(edge.operation)
                sources.append(tuple(holders[edge.source]))
                held.append(len(labels) - 1)
            else:
                held += holders[edge.source]
        if node == last or not on_edges:
            labels.append("output" if node == last else graph.nodes[node])
            sources.append(tuple(held))
            held = [len(labels) - 1]
        holders[node] = held
    return OperationGraph(tuple(labels), tuple(sources))


ROUNDS = 2
"""How many steps back a Weisfeiler-Lehman label looks; Ru et al. chose 1 or 2 for such cells."""

_ALL = 50_000
"""Spaces of up to so many architectures have all their labels known."""

_SOME = 5_000
"""Of larger spaces, the labels of so many random architectures are known."""

_Key = tuple[object, tuple[int, ...]]


class Labels:
    """The Weisfeiler-Lehman labels of a space, each with a column of its own.

    At first a node's label is its operation. A round makes a new label of the node's label and those
    of the nodes that feed it, whatever their order; there are ``ROUNDS`` rounds.

    Args:
        space: The space.

    Attributes:
        starts: The first column of each round, and the number of all columns. The first column of a
            round is for labels that are not known, which only spaces of more than 50,000
            architectures have: there, the labels of 5,000 random architectures are known.

    Raises:
        UnsuitedError: The architectures of the space are no graphs.
    """

    def __init__(self, space: SearchSpace) -> None:
        check_graphs(space)
        self.space = space
        # The number of each label in its round, by the node's label before and those that feed it.
        self._numbers: list[dict[_Key, int]] = [{} for _ in range(ROUNDS + 1)]
        if space.size <= _ALL:
            known = space.at(np.arange(space.size))
        else:
            known = space.sample(np.random.default_rng(0), _SOME)
        rounds = [self._labels(one, grow=True) for one in map(tuple, known.tolist())]
        self.starts = [0, *np.cumsum([1 + len(numbers) for numbers in self._numbers]).tolist()]
        self._known = {
            architecture: self._columns(labels)
            for architecture, labels in zip(map(tuple, known.tolist()), rounds, strict=True)
        }

    def _labels(self, architecture: Architecture, grow: bool = False) -> list[list[int]]:
        """The number of each node's label after each round; 0 for one that is not known."""
        graph = operation_graph(self.space, architecture)
        keys: list[_Key] = [(label, ()) for label in graph.labels]
        rounds: list[list[int]] = []
        for numbers in self._numbers:
            if rounds:
                before = rounds[-1]
                keys = [
                    (label, tuple(sorted([before[i] for i in sources])))
                    for label, sources in zip(before, graph.sources, strict=True)
                ]
            if grow:
                rounds.append([numbers.setdefault(key, len(numbers) + 1) for key in keys])
            else:
                rounds.append([numbers.get(key, 0) for key in keys])
        return rounds

    def _columns(self, rounds: list[list[int]]) -> NDArray[np.int64]:
        """The columns of an architecture's labels, one of several nodes as often as it occurs."""
        return np.concatenate(
            [np.add(labels, start) for labels, start in zip(rounds, self.starts, strict=False)]
        )

    def counts(self, architectures: NDArray[np.int64]) -> NDArray[np.float64]:
        """``(n, d)`` architectures -> ``(n, columns)`` counts of labels."""
        result = np.zeros((len(architectures), self.starts[-1]))
        for row, architecture in zip(result, map(tuple, architectures.tolist()), strict=True):
            columns = self._known.get(architecture)
            if columns is None:
                columns = self._columns(self._labels(architecture))
            np.add.at(row, columns, 1.0)
        return result


@functools.lru_cache(maxsize=4)
def labels_of(space: SearchSpace) -> Labels:
    """The labels of a space, found once."""
    return Labels(space)
