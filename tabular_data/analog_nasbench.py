"""AnalogNAS-Bench, from the data that the package ``analog-nasbench`` carries.

All cells of NAS-Bench-201 on CIFAR-10, as digital networks and on simulated analog in-memory
hardware. The package states no licence, so its file is read in the user's installation and never
copied. The package is not imported, as it needs ``pkg_resources``, which current setuptools lacks.
"""

from __future__ import annotations

import reprlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.errors import TableFileError
from nasbench_lab.spaces import get_space
from nasbench_lab.spaces.nb201 import CONV_1X1, CONV_3X3, EDGES, NONE, POOL, SKIP
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.pickles.reader import Record, read_pickle
from nasbench_lab.tables.sources import TableSource
from nasbench_lab.tables.table import Table
from tabular_data._origins import data_file, package_version

_INSTALL = "pip install 'nasbench-lab[analog]'"

_CITATION = """@misc{analognasbench2025,
  title = {{AnalogNAS-Bench}},
  howpublished = {Python package analog-nasbench, version 0.1.3},
  year = {2025}
}"""

# The keys have their own order of edges and numbers of operations. Of all orders, this one has the
# best rank correlation with the 12-epoch accuracies of NAS-Bench-201 (0.88; the order of the
# NAS-Bench-201 string has 0.62).
_KEY_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_KEY_OPERATIONS = (SKIP, NONE, CONV_3X3, CONV_1X1, POOL)

_ACCURACIES = {
    "baseline_accuracy": "32-bit floating point, digital",
    "ptq_accuracy": "after quantisation of the trained network",
    "qat_accuracy": "trained with quantisation",
    "noisy_accuracy": "the baseline's weights under analog noise",
    "analog_accuracy": "trained for analog hardware",
}
_DRIFTS = [
    f"{kind}_drift_{seconds}"
    for kind in ("baseline", "analog")
    for seconds in (60, 3600, 86400, 2592000)
]

_CLASSES = {
    ("analognasbench.data", "Architecture"): Record,
    ("analognasbench.data", "DriftMeasurement"): Record,
}


def convert(folder: Path) -> None:
    """Writes the table into an empty folder."""
    convert_file(*data_file("analognasbench", "data.anb", "analog-nasbench", _INSTALL), folder)


def convert_file(path: Path, source: dict[str, str | int], folder: Path) -> None:
    """Writes the table, read from ``path``, into an empty folder.

    Raises:
        TableFileError: The file is damaged, hostile, or lacks a cell.
    """
    data = read_pickle(path, _CLASSES)
    space = get_space("nb201")
    places = [EDGES.index(edge) for edge in _KEY_EDGES]
    n_columns = len(_ACCURACIES) + 2 * len(_DRIFTS)
    values = np.full((space.size, n_columns), np.nan)
    if not isinstance(data, dict):
        raise TableFileError(f"{path}: expected a dict of architectures but got {type(data)}.")
    for key, record in data.items():
        try:
            cell = [0] * len(EDGES)
            for place, code in zip(places, key, strict=True):
                cell[place] = _KEY_OPERATIONS[code if code >= 0 else len(_KEY_OPERATIONS)]
            row = [_percent(record.fields[name]) for name in _ACCURACIES]
            for name in _DRIFTS:
                drift = record.fields[name].fields
                row += [_percent(drift["value"]), _percent(drift["uncertainty"])]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise TableFileError(
                f"{path}: record {reprlib.repr(key)} is not one of AnalogNAS-Bench "
                f"({type(error).__name__}: {error})."
            ) from error
        values[space.index(tuple(cell))] = row
    if absent := int(np.isnan(values).any(axis=1).sum()):
        raise TableFileError(f"{path}: {absent:,} of the {space.size:,} cells are missing.")

    shared: dict[str, Any] = {"quantity": "accuracy", "unit": "%", "dataset": "cifar10"}
    shared["trials"] = ("as published",)
    columns = [
        Column(name, maximize=True, description=text, **shared)
        for name, text in _ACCURACIES.items()
    ]
    for name in _DRIFTS:
        network, _, seconds = name.split("_")
        text = f"the {network} network on analog hardware, {int(seconds):,} s after programming"
        columns.append(Column(name, maximize=True, description=text, **shared))
        spread = {**shared, "quantity": "uncertainty"}
        columns.append(
            Column(f"{name}_uncertainty", maximize=False, description=f"of {name}", **spread)
        )
    info = TableInfo(
        name="analognas-bench/cifar10",
        space="nb201",
        description=(
            "AnalogNAS-Bench: accuracies on CIFAR-10 of all 15,625 cells of NAS-Bench-201, digital "
            "and on analog in-memory hardware. The authors name no split, so the same accuracy is "
            "searched on and reported: regrets here say how well an optimiser does, not how well "
            "its choice generalises. No training times, no learning curves."
        ),
        citation=_CITATION,
        licence="none stated",
        objective="baseline_accuracy",
        report="baseline_accuracy",
        source=source,
    )
    Table.write(
        folder,
        info,
        dict(zip(columns, values.T, strict=True)),
        place=lambda row: f"{path}, {space.to_string(space.at(row))}",
    )


def _percent(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 100:  # nor NaN
        raise ValueError(f"expected a percentage but got {reprlib.repr(value)}")
    return float(value)


TABLES = [
    TableSource(
        name="analognas-bench/cifar10",
        needs=f"the package analog-nasbench ({_INSTALL})",
        version=partial(package_version, "analog-nasbench", _INSTALL),
        convert=convert,
    )
]
"""The one table."""
