"""Search spaces, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces.base import (
    Architecture,
    Architectures,
    Decision,
    Edge,
    Graph,
    SearchSpace,
)
from nasbench_lab.spaces.nas_bench_graph import NASBenchGraphSpace
from nasbench_lab.spaces.nats_sss import nats_sss
from nasbench_lab.spaces.nb101 import NB101Space
from nasbench_lab.spaces.nb201 import NB201Space

__all__ = [
    "SPACES",
    "Architecture",
    "Architectures",
    "Decision",
    "Edge",
    "Graph",
    "NASBenchGraphSpace",
    "NB101Space",
    "NB201Space",
    "SearchSpace",
    "get_space",
    "space_names",
]

SPACES: dict[str, Callable[[], SearchSpace]] = {
    "nb201": NB201Space,
    "nb101": NB101Space,
    "nats-sss": nats_sss,
    "nas-bench-graph": NASBenchGraphSpace,
    "nas-bench-graph-proteins": NASBenchGraphSpace.proteins,
}
"""Makers of the named spaces of nasbench-lab itself.

A plug-in names its own in the entry-point group ``nasbench_lab.spaces``.
"""


def space_names() -> list[str]:
    """The names of all spaces, those of plug-ins last."""
    plugged_in = (entry.name for entry in entry_points(group="nasbench_lab.spaces"))
    return list(dict.fromkeys((*SPACES, *plugged_in)))


@cache
def get_space(name: str) -> SearchSpace:
    """The space of this name; one object per name, so that what it computes is kept.

    Raises:
        UnknownNameError: There is no such space.
    """
    if name in SPACES:
        return SPACES[name]()
    plugged_in = {entry.name: entry for entry in entry_points(group="nasbench_lab.spaces")}
    if name not in plugged_in:
        raise UnknownNameError("space", name, {**SPACES, **plugged_in})
    space: SearchSpace = plugged_in[name].load()()
    return space
