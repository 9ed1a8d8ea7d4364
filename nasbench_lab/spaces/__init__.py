"""Search spaces, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from nasbench_lab import plug_ins
from nasbench_lab.errors import SpaceError, UnknownNameError
from nasbench_lab.spaces.base import (
    Architecture,
    Architectures,
    Edge,
    Graph,
    SearchSpace,
)
from nasbench_lab.spaces.chain import ChainSpace
from nasbench_lab.spaces.darts import DARTSSpace
from nasbench_lab.spaces.decisions import Decision, Option
from nasbench_lab.spaces.fcnet import fcnet
from nasbench_lab.spaces.mlp import mlp
from nasbench_lab.spaces.named import Value, configspace_of, names_of, syne_tune_space_of, values_of
from nasbench_lab.spaces.nas_bench_graph import NASBenchGraphSpace
from nasbench_lab.spaces.nats_sss import nats_sss
from nasbench_lab.spaces.nb101 import NB101Space
from nasbench_lab.spaces.nb201 import NB201Space
from nasbench_lab.spaces.nb_macro import NBMacroSpace
from nasbench_lab.spaces.pool import PoolSpace
from nasbench_lab.spaces.pruning import CRITERIA, Narrowed, prune
from nasbench_lab.spaces.transnas import TransNASMacroSpace, TransNASMicroSpace

__all__ = [
    "CRITERIA",
    "SPACES",
    "Architecture",
    "Architectures",
    "ChainSpace",
    "DARTSSpace",
    "Decision",
    "Edge",
    "Graph",
    "NASBenchGraphSpace",
    "NB101Space",
    "NB201Space",
    "NBMacroSpace",
    "Narrowed",
    "Option",
    "PoolSpace",
    "SearchSpace",
    "TransNASMacroSpace",
    "TransNASMicroSpace",
    "Value",
    "configspace_of",
    "get_space",
    "kept_decisions",
    "names_of",
    "prune",
    "space_names",
    "syne_tune_space_of",
    "values_of",
]

SPACES: dict[str, Callable[[], SearchSpace]] = {
    "nb201": NB201Space,
    "nb101": NB101Space,
    "nats-sss": nats_sss,
    "nas-bench-graph": NASBenchGraphSpace,
    "nas-bench-graph-proteins": NASBenchGraphSpace.proteins,
    "fcnet": fcnet,
    "mlp": mlp,
    "transnas-micro": TransNASMicroSpace,
    "transnas-macro": TransNASMacroSpace,
    "nb-macro": NBMacroSpace,
    "darts": DARTSSpace,
    "chain": ChainSpace,
    "chain-signals": ChainSpace.signals,
}
"""Makers of the named spaces of nasbench-lab itself.

A plug-in names its own in the entry-point group ``nasbench_lab.spaces``.
"""


@cache
def _plugged_in() -> dict[str, SearchSpace]:
    """The spaces of plug-ins, by name."""
    return dict(plug_ins.plug_ins(plug_ins.SPACES, _made)[::-1])  # the first of equal names counts


def _made(make: Callable[[], SearchSpace]) -> SearchSpace:
    space = make()
    if not isinstance(space, SearchSpace):
        raise TypeError(f"Expected a SearchSpace but it makes {space!r}.")
    return space


def space_names() -> list[str]:
    """The names of all spaces, those of plug-ins last."""
    return list(dict.fromkeys((*SPACES, *_plugged_in())))


def kept_decisions(space: SearchSpace) -> tuple[Decision, ...]:
    """What is kept of a space besides its name, so that it is there wherever that is read.

    Returns:
        Nothing of a space with a registered name; of any other plain ``SearchSpace`` the decisions.

    Raises:
        SpaceError: The space is of a class of its own and has no registered name, or its name is that
            of another space.
    """
    if space.name in space_names():
        if get_space(space.name) == space:
            return ()
        raise SpaceError(
            f"{space.name!r} is the name of another space. Give yours another name; that of a table "
            f"with decisions is the table's."
        )
    if type(space) is not SearchSpace:
        raise SpaceError(
            f"{space!r} is of a class of its own, which nobody else can read. Make a plain "
            f"SearchSpace of its decisions, or register it as a plug-in (entry points "
            f"nasbench_lab.spaces)."
        )
    return space.decisions


@cache
def get_space(name: str) -> SearchSpace:
    """The space of this name; one object per name, so its caches are kept.

    Raises:
        UnknownNameError: There is no such space.
    """
    if name in SPACES:
        return SPACES[name]()
    if name not in _plugged_in():
        raise UnknownNameError("space", name, space_names())
    return _plugged_in()[name]
