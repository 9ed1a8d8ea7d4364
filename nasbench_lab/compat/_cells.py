"""The official functions on the string of a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.compat._errors import OfficialAssertionError
from nasbench_lab.errors import QueryError
from nasbench_lab.spaces.nb201 import OPERATIONS


class CellStrings:
    """Functions on the string of a cell; static methods, as officially."""

    @staticmethod
    def str2lists(arch_str: str) -> list[tuple[tuple[str, int], ...]]:
        """The (operation, source) pairs of each node but the first.

        Example:
            >>> CellStrings.str2lists("|none~0|+|skip_connect~0|nor_conv_3x3~1|")
            [(('none', 0),), (('skip_connect', 0), ('nor_conv_3x3', 1))]
        """
        nodes = []
        for node in arch_str.split("+"):
            pairs = []
            for edge in filter(None, node.split("|")):
                parts = edge.split("~")
                if len(parts) != 2:
                    raise OfficialAssertionError(
                        f"Expected edges such as nor_conv_3x3~0 but got {edge!r}."
                    )
                pairs.append((parts[0], int(parts[1])))
            nodes.append(tuple(pairs))
        return nodes

    @staticmethod
    def str2matrix(arch_str: str, search_space: Any = OPERATIONS) -> NDArray[np.float64]:
        """``(nodes, nodes)``: entry ``[target, source]`` is the number of the edge's operation.

        Args:
            arch_str: The string.
            search_space: The operations in the order in which they are numbered.
        """
        nodes = CellStrings.str2lists(arch_str)
        matrix = np.zeros((len(nodes) + 1, len(nodes) + 1))
        for target, pairs in enumerate(nodes, 1):
            for operation, source in pairs:
                if operation not in search_space:
                    raise QueryError(
                        f"Expected one of {', '.join(search_space)} but got {operation!r}."
                    )
                matrix[target, source] = search_space.index(operation)
        return matrix
