"""The space of NAS-Bench-Macro.

Su, Huang, Li, You, Wang, Qian, Zhang and Xu, "Prioritized architecture sampling with Monto-Carlo tree
search", CVPR 2021 (arXiv 2103.11922): three stages of 2, 3 and 3 layers, each with a choice of a block.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nasbench_lab.errors import InvalidArchitectureError, short
from nasbench_lab.spaces.base import Architecture, Edge, Graph, SearchSpace
from nasbench_lab.spaces.decisions import Decision

BLOCKS = ("identity", "mb3_k3", "mb6_k5")
"""The blocks by their digit: nothing, or MobileNetV2's with expansion 3 and kernel 3, or 6 and 5."""

LAYERS = 8
_ALIKE = ((3, 4), (6, 7))
"""Layers one after another with the same channels and resolution, where a block may change places with
an identity: the second and third of a stage, as its first changes both."""

_SYNTAX = "02012100"


class NBMacroSpace(SearchSpace):
    """All 6,561 networks of 8 layers, of which 3,969 differ.

    Strings are those of the benchmark: a digit for each layer, such as ``02012100``.
    """

    def __init__(self) -> None:
        layers = [Decision(f"layer {i + 1}", BLOCKS) for i in range(LAYERS)]
        super().__init__("nb-macro", layers)

    def canonical(self, architecture: Any) -> Any:
        """The lowest-numbered network of the same class.

        An identity and a block may change places in some layers; the identity then comes first.
        """
        many = isinstance(architecture, np.ndarray)
        result = self._validate_many(architecture).copy() if many else None
        networks = np.array([self.validate(architecture)]) if result is None else result
        for first, second in _ALIKE:
            swapped = (networks[:, second] == 0) & (networks[:, first] > 0)
            networks[swapped, second] = networks[swapped, first]
            networks[swapped, first] = 0
        return networks if many else tuple(networks[0].tolist())

    def _format(self, architecture: Architecture) -> str:
        return "".join(map(str, architecture))

    def _parse(self, text: str) -> Architecture:
        if not re.fullmatch(rf"[0-2]{{{LAYERS}}}", text.strip()):
            raise InvalidArchitectureError(
                f"Expected {LAYERS} digits from 0 to {len(BLOCKS) - 1}, such as {_SYNTAX}, but got "
                f"{short(text)!r}."
            )
        return tuple(map(int, text.strip()))

    def graph(self, architecture: Architecture) -> Graph:
        """A chain of the layers."""
        blocks = [BLOCKS[option] for option in self.validate(architecture)]
        nodes = ("input", *blocks, "output")
        edges = tuple(Edge(i, i + 1) for i in range(len(nodes) - 1))
        return Graph(nodes, edges, BLOCKS)
