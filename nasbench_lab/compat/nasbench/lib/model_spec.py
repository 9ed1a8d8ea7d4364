"""The official class of a cell: adjacency matrix and operations, without unused parts."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_lab.compat.nasbench.lib import graph_util
from nasbench_lab.errors import MissingPackageError, QueryError


class ModelSpec:
    """A cell.

    Attributes: ``original_matrix`` and ``original_ops`` are copies of the arguments. ``matrix`` and
    ``ops`` lack the nodes that lie on no way from input to output; both are None, and ``valid_spec``
    is False, if there is no such way.

    Args:
        matrix: ``(n, n)`` adjacency matrix, zero on and below its diagonal.
        ops: ``n`` operations; the first and last stand for input and output.
        data_format: Is only kept.

    Raises:
        QueryError: The matrix is not square or not above its diagonal, or the operations do not fit.
    """

    def __init__(
        self, matrix: ArrayLike, ops: Sequence[Any], data_format: str = "channels_last"
    ) -> None:
        array = np.array(matrix)
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise QueryError(f"Expected a square matrix but got the shape {array.shape}.")
        if len(array) != len(ops):
            raise QueryError(
                f"Expected as many operations as the matrix has rows, {len(array)}, but got "
                f"{len(ops)}."
            )
        if not is_upper_triangular(array):
            raise QueryError(
                f"Expected a matrix that is zero on and below its diagonal but got "
                f"{array.tolist()}."
            )
        self.original_matrix: NDArray[Any] = array
        self.original_ops = copy.deepcopy(ops)
        self.matrix: NDArray[Any] | None = array.copy()
        self.ops: Any = copy.deepcopy(ops)
        self.valid_spec = True
        self._prune()
        self.data_format = data_format

    def _prune(self) -> None:
        """Removes the nodes that lie on no way from input to output."""
        rows = self.original_matrix.tolist()
        n = len(rows)
        edges = [(i, j) for i, row in enumerate(rows) for j, edge in enumerate(row) if edge]
        # Edges lead forward and are in the order of their sources.
        fed, useful = {0}, {n - 1}
        for source, target in edges:
            if source in fed:
                fed.add(target)
        for source, target in reversed(edges):
            if target in useful:
                useful.add(source)
        kept = sorted(fed & useful)
        if len(kept) < 2:
            self.matrix = self.ops = None
            self.valid_spec = False
        elif len(kept) < n:
            self.matrix = self.original_matrix[np.ix_(kept, kept)]
            self.ops = [self.ops[i] for i in kept]

    def hash_spec(self, canonical_ops: Sequence[Any]) -> str:
        """The hash of the cell, equal for isomorphic ones: 32 hexadecimal digits.

        Args:
            canonical_ops: The operations in the order of ``config["available_ops"]``.
        """
        labels = [canonical_ops.index(operation) for operation in self.ops[1:-1]]
        assert self.matrix is not None, "A cell without a way from input to output has no hash."
        return graph_util.hash_module(self.matrix, [-1, *labels, -2])

    def visualize(self) -> Any:
        """A drawing, ``graphviz.Digraph``.

        Raises:
            MissingPackageError: The package graphviz is not installed.
        """
        try:
            graphviz: Any = importlib.import_module("graphviz")
        except ImportError as error:
            raise MissingPackageError(
                "Drawing a ModelSpec needs the package graphviz: pip install graphviz."
            ) from error
        assert self.matrix is not None, "A cell without a way from input to output has no drawing."
        last = len(self.ops) - 1
        drawing = graphviz.Digraph()
        for node, operation in enumerate(self.ops):
            drawing.node(str(node), {0: "input", last: "output"}.get(node, operation))
        for source, target in np.argwhere(self.matrix).tolist():
            drawing.edge(str(source), str(target))
        return drawing


def is_upper_triangular(matrix: NDArray[Any]) -> bool:
    """Whether a matrix is zero on and below its diagonal."""
    return not any(
        edge for i, row in enumerate(np.asarray(matrix).tolist()) for edge in row[: i + 1]
    )
