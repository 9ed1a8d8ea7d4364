"""Search spaces, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces.base import Architecture, Architectures, Decision, SearchSpace
from nasbench_lab.spaces.nas_bench_graph import NASBenchGraphSpace
from nasbench_lab.spaces.nb201 import NB201Space

__all__ = [
    "SPACES",
    "Architecture",
    "Architectures",
    "Decision",
    "NASBenchGraphSpace",
    "NB201Space",
    "SearchSpace",
    "get_space",
]

SPACES: dict[str, Callable[[], SearchSpace]] = {
    "nb201": NB201Space,
    "nas-bench-graph": NASBenchGraphSpace,
    "nas-bench-graph-proteins": NASBenchGraphSpace.proteins,
}
"""Makers of the named spaces. A plug-in that brings tables over a new space adds it here."""


@cache
def get_space(name: str) -> SearchSpace:
    """The space of this name; one object per name, so that what it computes is kept.

    Raises:
        UnknownNameError: There is no such space.
    """
    if name not in SPACES:
        raise UnknownNameError("space", name, SPACES)
    return SPACES[name]()
