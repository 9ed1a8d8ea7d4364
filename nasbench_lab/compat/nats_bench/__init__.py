"""Drop-in replacement for the package ``nats_bench`` (version 1.8), with its modules.

There are two differences. An API reads a converted table, so it cannot reload archives of weights.
``show(-1)``, which fails officially, works.
"""

from __future__ import annotations

from typing import Any

from nasbench_lab.compat._records import ArchResults
from nasbench_lab.compat._results_count import ResultsCount
from nasbench_lab.compat._sources import Source
from nasbench_lab.compat.nats_bench.api_size import NATSsize
from nasbench_lab.compat.nats_bench.api_topology import NATStopology
from nasbench_lab.compat.nats_bench.api_utils import pickle_load, pickle_save
from nasbench_lab.errors import QueryError

__all__ = [
    "ArchResults",
    "NATSsize",
    "NATStopology",
    "ResultsCount",
    "create",
    "pickle_load",
    "pickle_save",
    "search_space_info",
    "version",
]

NATS_BENCH_API_VERSIONs = [f"v1.{i}" for i in range(9)]
NATS_BENCH_SSS_NAMEs = ("sss", "size")
NATS_BENCH_TSS_NAMEs = ("tss", "topology")


def version() -> str:
    """The version of the official API with the same behaviour."""
    return NATS_BENCH_API_VERSIONs[-1]


def create(
    file_path_or_dict: Source,
    search_space: str,
    fast_mode: bool = False,
    verbose: bool = True,
) -> NATStopology | NATSsize:
    """Makes the API of a search space.

    Args:
        file_path_or_dict: An official file (``fast_mode=False``) or directory (``fast_mode=True``);
            the name, folder or object of an imported table; a dictionary in the official form; or
            None for the imported table, else the official file or directory in ``$TORCH_HOME``.
        search_space: ``"tss"`` or ``"topology"``; ``"sss"`` or ``"size"``.
        fast_mode: Whether an architecture counts as evaluated only after its first query, as records
            are read one by one.
        verbose: Whether each call is printed.

    Raises:
        QueryError: There is no such search space, or mode and path do not fit.
    """
    if search_space in NATS_BENCH_TSS_NAMEs:
        return NATStopology(file_path_or_dict, fast_mode, verbose)
    if search_space in NATS_BENCH_SSS_NAMEs:
        return NATSsize(file_path_or_dict, fast_mode, verbose)
    known = ", ".join((*NATS_BENCH_TSS_NAMEs, *NATS_BENCH_SSS_NAMEs))
    raise QueryError(f"Expected one of the search spaces {known} but got {search_space!r}.")


def search_space_info(main_tag: str, aux_tag: str | None) -> dict[str, Any]:
    """The choices of a search space.

    Args:
        main_tag: ``"nats-bench"`` or ``"nas-bench-201"``.
        aux_tag: The search space of NATS-Bench; None for NAS-Bench-201.
    """
    topology = {
        "op_names": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"],
        "num_nodes": 4,
    }
    size = {"candidates": list(range(8, 65, 8)), "num_layers": 5}
    spaces: dict[tuple[str, str | None], dict[str, Any]] = {("nas-bench-201", None): topology}
    spaces.update({("nats-bench", name): topology for name in NATS_BENCH_TSS_NAMEs})
    spaces.update({("nats-bench", name): size for name in NATS_BENCH_SSS_NAMEs})
    if (main_tag, aux_tag) not in spaces:
        raise QueryError(
            f"Expected one of {', '.join(map(str, spaces))} but got {(main_tag, aux_tag)!r}."
        )
    return spaces[main_tag, aux_tag]
