"""NAS-Bench-Graph, from the data that the package ``nas-bench-graph`` carries.

Qin, Zhang, Zhang and Zhu, "NAS-Bench-Graph: Benchmarking graph neural architecture search",
NeurIPS 2022 (arXiv 2206.09166). Apache-2.0.
"""

from __future__ import annotations

import reprlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import TableFileError
from nasbench_lab.spaces import NASBenchGraphSpace, get_space
from nasbench_lab.spaces.nas_bench_graph import OPERATIONS
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.pickles.reader import read_pickle
from nasbench_lab.tables.sources import TableSource
from nasbench_lab.tables.table import Table
from tabular_data._origins import data_file, package_version

DATASETS = (
    "cora",
    "citeseer",
    "pubmed",
    "cs",
    "physics",
    "photo",
    "computers",
    "arxiv",
    "proteins",
)

_INSTALL = "pip install nas-bench-graph"

_CITATION = """@inproceedings{qin2022nasbenchgraph,
  title = {{NAS-Bench-Graph}: Benchmarking Graph Neural Architecture Search},
  author = {Qin, Yijian and Zhang, Ziwei and Wang, Xin and Zhang, Zeyang and Zhu, Wenwu},
  booktitle = {Advances in Neural Information Processing Systems (Datasets and Benchmarks)},
  year = {2022}
}"""

_FIELDS = ("valid_perf", "perf", "latency", "para")


def official_hash(space: NASBenchGraphSpace, architectures: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(n,)`` keys of canonical architectures in the official files.

    A key has five decimal digits: the wiring, then the places of the operations in the list of all
    nine. The table of ``proteins`` uses the same list, although its space has five operations.
    """
    digits = np.array([OPERATIONS.index(operation) for operation in space.operations])
    result = architectures[:, 0].copy()
    for node in range(1, architectures.shape[1]):
        result = result * 10 + digits[architectures[:, node]]
    return result


def read_bench(path: Path) -> dict[int, tuple[float, ...]]:
    """Reads an official ``.bench`` file: hash to (valid, test, latency, parameters).

    Raises:
        TableFileError: The file is damaged, hostile, or holds something else.
    """
    bench = read_pickle(path)
    if not isinstance(bench, dict) or not bench:
        raise TableFileError(f"{path}: expected a dict of architectures but got {type(bench)}.")
    result: dict[int, tuple[float, ...]] = {}
    for key, record in bench.items():
        values: list[Any] = [record.get(f) for f in _FIELDS] if isinstance(record, dict) else [None]
        if type(key) is not int or not all(map(_is_number, values)):
            raise TableFileError(
                f"{path}: expected a number for each of {', '.join(_FIELDS)} in record "
                f"{reprlib.repr(key)} but got {reprlib.repr(record)}."
            )
        result[key] = tuple(values)
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e300  # neither NaN nor infinite


def convert(dataset: str, folder: Path) -> None:
    """Writes the table of one data set into an empty folder."""
    path, source = data_file(
        "nas_bench_graph", f"light/{dataset}.bench", "nas-bench-graph", _INSTALL
    )
    convert_file(dataset, path, source, folder)


def convert_file(dataset: str, path: Path, source: dict[str, str | int], folder: Path) -> None:
    """Writes the table of one data set, read from ``path``, into an empty folder.

    Raises:
        TableFileError: The file holds an architecture that is not of the space, or is damaged.
    """
    space_name = "nas-bench-graph-proteins" if dataset == "proteins" else "nas-bench-graph"
    space = get_space(space_name)
    assert isinstance(space, NASBenchGraphSpace)
    bench = read_bench(path)

    canonical = space.canonical(space.at(np.arange(space.size)))
    hashes = official_hash(space, canonical)
    if strangers := set(bench) - set(hashes.tolist()):
        raise TableFileError(
            f"{path}: record {min(strangers)} is not the hash of a canonical architecture of "
            f"{space_name!r}."
        )
    in_file = np.isin(hashes, np.fromiter(bench, dtype=np.int64))
    keys, rows = np.unique(hashes[in_file], return_inverse=True)
    row_of_index = np.full(space.size, -1, dtype=np.int32)
    row_of_index[in_file] = rows
    valid, test, latency, parameters = np.array([bench[key] for key in keys.tolist()]).T

    # ogbn-proteins is scored by the area under the ROC curve, all others by accuracy.
    quantity = "roc_auc" if dataset == "proteins" else "accuracy"
    shared: dict[str, Any] = {"dataset": dataset, "trials": ("mean of 3 seeds",)}
    columns = {
        Column(f"valid_{quantity}", quantity, "%", True, split="valid", **shared): 100 * valid,
        Column(f"test_{quantity}", quantity, "%", True, split="test", **shared): 100 * test,
        Column("latency", "latency", "s", False, description="inference", **shared): latency,
        Column("parameters", "parameters", "M", False, **shared): parameters,
    }
    info = TableInfo(
        name=f"nas-bench-graph/{dataset}",
        space=space_name,
        description=(
            f"NAS-Bench-Graph on {dataset}: validation and test {quantity.replace('_', ' ')}, "
            f"inference latency and parameters of {len(keys):,} architectures at the end of "
            f"training, each the mean of 3 seeds. No training times, no learning curves."
        ),
        citation=_CITATION,
        licence="Apache-2.0",
        objective=f"valid_{quantity}",
        report=f"test_{quantity}",
        source=source,
    )
    Table.write(
        folder, info, columns, row_of_index, place=lambda row: f"{path}, record {keys[row]}"
    )


TABLES = [
    TableSource(
        name=f"nas-bench-graph/{dataset}",
        needs=f"the package nas-bench-graph ({_INSTALL})",
        version=partial(package_version, "nas-bench-graph", _INSTALL),
        convert=partial(convert, dataset),
    )
    for dataset in DATASETS
]
"""The nine tables."""
