"""The official functions on graphs: hash, isomorphism, and what enumerates all cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_lab.compat._errors import OfficialAssertionError
from nasbench_lab.spaces.module_hash import graph_hash


def gen_is_edge_fn(bits: int) -> Callable[..., Any]:
    """Whether edges are there, by a number whose bits stand for them.

    Args:
        bits: The lowest bit is the edge 0→1; then come 0→2, 1→2, 0→3 and so on, node by node.

    Returns:
        A function of sources and targets, numbers or arrays, which gives 0 or 1.
    """

    def is_edge(source: int, target: int) -> int:
        if source >= target:
            return 0
        return bits >> int(source + target * (target - 1) // 2) & 1

    return np.vectorize(is_edge, otypes=[int])


def is_full_dag(matrix: NDArray[Any]) -> bool:
    """Whether every node but the last has an edge out, and every one but the first an edge in."""
    return bool((matrix[:-1] != 0).any(axis=1).all() and (matrix[:, 1:] != 0).any(axis=0).all())


def num_edges(matrix: ArrayLike) -> Any:
    """The number of edges."""
    return np.sum(matrix)


def hash_module(matrix: ArrayLike, labeling: Sequence[object]) -> str:
    """The hash of a graph, equal for isomorphic ones.

    Args:
        matrix: ``(n, n)`` adjacency matrix, zero on and below its diagonal.
        labeling: ``n`` labels: -1 for the input, -2 for the output, else the operation's number.

    Returns:
        32 hexadecimal digits.

    Raises:
        OfficialAssertionError: There are more or fewer labels than nodes.
    """
    rows = np.asarray(matrix).tolist()
    columns = list(zip(*rows, strict=True))
    if not len(rows) == len(columns) == len(labeling):
        raise OfficialAssertionError(
            f"Expected as many labels as the matrix has rows and columns but got {len(labeling)} "
            f"for {len(rows)} and {len(columns)}."
        )
    sources = [[i for i, edge in enumerate(column) if edge] for column in columns]
    targets = [[i for i, edge in enumerate(row) if edge] for row in rows]
    labels = list(zip(map(sum, rows), map(sum, columns), labeling, strict=True))
    return graph_hash(sources, targets, labels)


def permute_graph(
    graph: NDArray[Any], label: Sequence[Any], permutation: Sequence[int]
) -> tuple[NDArray[np.bool_], list[Any]]:
    """Gives nodes other numbers.

    Args:
        graph: ``(n, n)`` adjacency matrix.
        label: ``n`` labels.
        permutation: The new number of each node.

    Returns:
        The matrix, whether each edge is there, and the list of labels in the new order.
    """
    old = np.argsort(permutation, kind="stable")
    return graph[np.ix_(old, old)] == 1, [label[i] for i in old.tolist()]


def is_isomorphic(
    graph1: tuple[ArrayLike, Sequence[Any]], graph2: tuple[ArrayLike, Sequence[Any]]
) -> bool:
    """Whether two graphs with labels are the same but for the numbers of their nodes.

    Args:
        graph1: Adjacency matrix and list of labels.
        graph2: The same of the other.

    Raises:
        OfficialAssertionError: They have different numbers of nodes.
    """
    (matrix1, label1), (matrix2, label2) = (
        (np.array(matrix), label) for matrix, label in (graph1, graph2)
    )
    if matrix1.shape != matrix2.shape or len(label1) != len(label2):
        raise OfficialAssertionError(
            f"Expected graphs of as many nodes but got {len(label1)} and {len(label2)}."
        )
    for permutation in itertools.permutations(range(len(label1))):
        permuted, labels = permute_graph(matrix1, label1, permutation)
        if labels == label2 and np.array_equal(permuted, matrix2):
            return True
    return False
