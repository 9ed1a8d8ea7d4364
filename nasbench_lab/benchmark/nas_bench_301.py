"""NAS-Bench-301: surrogates of trainings in the space ``darts``, read from the published folders.

Siems, Zimmer et al., "NAS-Bench-301 and the case for surrogate benchmarks for neural architecture
search", 2020 (arXiv 2008.09777). An ensemble of XGBoost or LightGBM models predicts the validation
accuracy on CIFAR-10, or the seconds of the training, of a network of 8 cells and 32 channels. Each
member has a folder with ``surrogate_model.model``, a pickle of the library's own class, and
``model_config.json`` and ``data_config.json``. The pickle is read without running anything in it, and
the library is given the model's own bytes or text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.algorithm.needs import need
from nasbench_lab.benchmark.interface import Benchmark, Objective
from nasbench_lab.bounded_files import errors_of, read_whole
from nasbench_lab.errors import InvalidArchitectureError, TableFileError, quoted
from nasbench_lab.files import sha256
from nasbench_lab.spaces import Architecture, DARTSSpace, get_space
from nasbench_lab.spaces.darts import CELLS, INPUTS
from nasbench_lab.tables.pickles.reader import CONTAINERS, NUMBERS, Record, read_pickle

MODEL = "surrogate_model.model"
_PREFIX = "NetworkSelectorDatasetInfo:darts:"
_ABSENT = -1.0
"""The entry of an edge that is not there."""
_MOST_MEMBERS = 1_000
_PACKAGES = {"xgb": "xgboost", "lgb": "lightgbm"}
_RUNTIME = "_time"
"""How the names of models of the seconds end."""


def _log_share(value: float, low: float, high: float) -> float:
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


# The settings that all trainings share, scaled as ConfigSpace 0.4.12 does: a whole number from its
# lowest less a half to its highest and a half, choices and constants as their position.
_HALF = 0.49999
_SHARED = {
    "CreateImageDataLoader:batch_size": _log_share(96, 64 - _HALF, 128 + _HALF),
    "ImageAugmentation:augment": 0.0,
    "ImageAugmentation:autoaugment": 0.0,
    "ImageAugmentation:cutout": 0.0,
    "ImageAugmentation:cutout_holes": _HALF / (2 + 2 * _HALF),
    "ImageAugmentation:cutout_length": (15 + _HALF) / (49 + 2 * _HALF),
    "ImageAugmentation:fastautoaugment": 0.0,
    "LossModuleSelectorIndices:loss_module": 0.0,
    f"{_PREFIX}auxiliary": 0.0,
    f"{_PREFIX}drop_path_prob": 0.0,
    f"{_PREFIX}init_channels": (31 + _HALF) / (9_999 + 2 * _HALF),
    f"{_PREFIX}layers": (7 + _HALF) / (9_999 + 2 * _HALF),
    "NetworkSelectorDatasetInfo:network": 0.0,
    "OptimizerSelector:optimizer": 0.0,
    "OptimizerSelector:sgd:learning_rate": math.log(0.025),
    "OptimizerSelector:sgd:momentum": (0.9 - 0.1) / (0.99 - 0.1),
    "OptimizerSelector:sgd:weight_decay": math.log(0.0003),
    "SimpleLearningrateSchedulerSelector:cosine_annealing:T_max": (99 + _HALF)
    / (9_999 + 2 * _HALF),
    "SimpleLearningrateSchedulerSelector:cosine_annealing:eta_min": 1e-8 / 10_000,
    "SimpleLearningrateSchedulerSelector:lr_scheduler": 0.0,
    "SimpleTrainNode:batch_loss_computation_technique": 0.0,
    "SimpleTrainNode:mixup:alpha": _log_share(0.2, 0.01, 0.7),
}

_NODES = range(INPUTS, INPUTS + 4)
_FIRST_EDGE = {node: node * (node - 1) // 2 - 1 for node in _NODES}
"""The number of the edge from node 0 to each node: 0, 2, 5, 9."""
_EDGES = [f"{_PREFIX}edge_{cell}_{edge}" for cell in CELLS for edge in range(14)]
_ALWAYS = [f"{_PREFIX}edge_{cell}_{edge}" for cell in CELLS for edge in range(2)]
_WIRING = [f"{_PREFIX}inputs_node_{cell}_{node}" for cell in CELLS for node in _NODES[1:]]

HYPERPARAMETERS = (
    *sorted([*_SHARED, *_ALWAYS, *_WIRING]),
    *sorted(set(_EDGES) - set(_ALWAYS)),
)
"""The names of the features in their order: by name, but those behind a condition come last."""


def space() -> DARTSSpace:
    """The space ``darts``."""
    found = get_space("darts")
    assert isinstance(found, DARTSSpace)
    return found


def settings_of(architecture: Architecture) -> dict[str, str]:
    """The architecture as NAS-Bench-301 has it: the names of its choices, and what is chosen."""
    darts = space()
    chosen = {}
    for name, cell in zip(CELLS, darts.cells(architecture), strict=True):
        for node, inputs in zip(_NODES, cell, strict=True):
            for source, option in inputs:
                edge = f"{_PREFIX}edge_{name}_{_FIRST_EDGE[node] + source}"
                chosen[edge] = darts.operations[option]
            if node > INPUTS:
                sources = "_".join(str(source) for source, _ in inputs)
                chosen[f"{_PREFIX}inputs_node_{name}_{node}"] = sources
    return chosen


def architecture_of(settings: Mapping[str, Any]) -> Architecture:
    """The architecture of NAS-Bench-301's settings; the inverse of ``settings_of``.

    Raises:
        InvalidArchitectureError: A choice is missing, unknown, or of an edge that is not there.
    """
    darts = space()
    cells, used = [], set()
    for name in CELLS:
        cell = []
        for node in _NODES:
            wiring = f"{_PREFIX}inputs_node_{name}_{node}"
            text = str(settings.get(wiring)) if node > INPUTS else "0_1"
            sources = [int(part) for part in text.split("_") if part.isdecimal()]
            if len(sources) != 2 or not sources[0] < sources[1] < node:
                raise InvalidArchitectureError(
                    f"Expected two ascending nodes below {node} as {wiring!r} but got "
                    f"{quoted(settings.get(wiring), 100)}."
                )
            inputs = []
            for source in sources:
                edge = f"{_PREFIX}edge_{name}_{_FIRST_EDGE[node] + source}"
                if settings.get(edge) not in darts.operations:
                    raise InvalidArchitectureError(
                        f"Expected one of {', '.join(darts.operations)} as {edge!r} but got "
                        f"{quoted(settings.get(edge), 100)}."
                    )
                used.add(edge)
                inputs.append((source, darts.operations.index(settings[edge])))
            cell.append((inputs[0], inputs[1]))
        cells.append(tuple(cell))
    if extra := [edge for edge in _EDGES if settings.get(edge) is not None and edge not in used]:
        raise InvalidArchitectureError(f"Expected no {extra[0]!r}, as no node has that input.")
    return darts.of_cells(cells)


def features(architecture: Architecture) -> NDArray[np.float64]:
    """``(features,)`` numbers of an architecture, as the published models were trained on.

    They are in the order of ``HYPERPARAMETERS``. A choice is its position, and -1 if it is not there.
    """
    values = dict(_SHARED)
    for name, option in settings_of(architecture).items():
        if "inputs_node" in name:
            node = int(name[-1])
            pairs = [f"{low}_{high}" for low in range(node) for high in range(low + 1, node)]
            values[name] = float(pairs.index(option))
        else:
            values[name] = float(space().operations.index(option))
    return np.array([values.get(name, _ABSENT) for name in HYPERPARAMETERS])


def _bytes(content: object = b"", encoding: object = "latin-1") -> bytes:
    """Stands in for ``bytearray``."""
    return content.encode("latin-1") if isinstance(content, str) else bytes(_checked(content))


def _checked(content: object) -> bytes:
    if not isinstance(content, bytes):
        raise TableFileError(f"bytes made from {type(content).__name__}")
    return content


def _default(*_: object) -> dict[Any, Any]:
    """Stands in for ``collections.defaultdict``: its items come later."""
    return {}


_NAMES: Mapping[tuple[str, str], Any] = {
    **NUMBERS,
    **CONTAINERS,
    ("collections", "defaultdict"): _default,
    ("builtins", "bytearray"): _bytes,
    ("__builtin__", "bytearray"): _bytes,
    ("xgboost.core", "Booster"): Record,
    ("lightgbm.basic", "Booster"): Record,
}


class Ensemble:
    """The models of a folder, which all predict the same quantity.

    Args:
        folder: A folder with the members in folders below it.

    Attributes:
        kind: ``xgb``, ``lgb``, ``xgb_time`` or ``lgb_time``.
        seed: The seed of the first member.
        checksums: The SHA-256 of each member's model.

    Raises:
        TableFileError: There are no models, or a file is missing, damaged, hostile or of another kind.
        MissingPackageError: XGBoost or LightGBM is not installed.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).expanduser()
        files = sorted(self.folder.rglob(f"*{MODEL}"))[: _MOST_MEMBERS + 1]
        if not files or len(files) > _MOST_MEMBERS:
            raise TableFileError(
                f"Expected a folder with 1 to {_MOST_MEMBERS:,} models, each in a folder of its own as "
                f"{MODEL}, but got {self.folder}. It is one such as xgb_v1.0 of the models that the "
                f"authors of NAS-Bench-301 publish."
            )
        config, data = (
            _json(files[0].parent / f"{name}_config.json") for name in ("model", "data")
        )
        self.kind = str(config.get("model"))
        if self.kind.removesuffix(_RUNTIME) not in _PACKAGES:
            raise TableFileError(
                f"{files[0].parent}: expected a model xgb, lgb, xgb_time or lgb_time but got "
                f"{quoted(self.kind, 100)}; others need libraries of their own and are not read."
            )
        self.package = _PACKAGES[self.kind.removesuffix(_RUNTIME)]
        need(self.package, "nb301")
        seed = data.get("seed")
        self.seed = seed if type(seed) is int else 0
        self.checksums = [sha256(file) for file in files]
        self._members = [self._member(file) for file in files]

    @property
    def of_runtime(self) -> bool:
        """Whether it predicts seconds, not accuracies."""
        return self.kind.endswith(_RUNTIME)

    def _member(self, file: Path) -> Any:
        record = read_pickle(file, _NAMES)
        state = record.fields if isinstance(record, Record) else {}
        content = state.get("handle") or state.get("_handle")
        with errors_of(file):
            booster = import_module(self.package).Booster
            if isinstance(content, bytes) and self.package == "xgboost":
                model = booster()
                model.__setstate__({"handle": bytearray(content)})
                return model
            if isinstance(content, str) and self.package == "lightgbm":
                return booster(model_str=content)
            raise TableFileError(f"it holds no model of {self.package}")

    def members(self, architecture: Architecture) -> NDArray[np.float64]:
        """``(members,)`` predictions: accuracies in %, or seconds."""
        x = features(architecture).reshape(1, -1)
        given = import_module("xgboost").DMatrix(x) if self.package == "xgboost" else x
        return np.concatenate([model.predict(given) for model in self._members])


def _json(file: Path) -> dict[str, Any]:
    with errors_of(file):
        content = json.loads(read_whole(file, 1 << 20))
    if not isinstance(content, dict):
        raise TableFileError(f"{file}: expected an object but got {quoted(content, 100)}.")
    return content


class NASBench301(Benchmark):
    """Searches on NAS-Bench-301's surrogates.

    A search sees the mean of the ensemble and noise, which is normal with the standard deviation of its
    members, as published. Results are reported in the mean, which is a predicted validation accuracy;
    nobody has test accuracies.

    Args:
        accuracy: The folder of the ensemble that predicts accuracies, such as ``xgb_v1.0``.
        runtime: That of the seconds of a training, such as ``lgb_runtime_v1.0``; without it, the clock
            counts evaluations.
        noise: Whether a search sees noise.

    Raises:
        TableFileError: A folder is none of NAS-Bench-301's, or of the other quantity.
        MissingPackageError: XGBoost or LightGBM is not installed.
    """

    name = "nas-bench-301"
    objectives = (Objective("valid_accuracy", "%"),)
    dataset = "cifar10"

    def __init__(
        self, accuracy: Path | str, runtime: Path | str | None = None, *, noise: bool = True
    ) -> None:
        self.space = space()
        self._accuracy = Ensemble(accuracy)
        self._runtime = None if runtime is None else Ensemble(runtime)
        for ensemble, seconds in ((self._accuracy, False), (self._runtime, True)):
            if ensemble is not None and ensemble.of_runtime != seconds:
                raise TableFileError(
                    f"{ensemble.folder} predicts {'accuracies' if seconds else 'seconds'}: expected "
                    f"NASBench301(accuracy=FOLDER, runtime=FOLDER)."
                )
        self.noisy = noise
        self.clock = "evaluations" if runtime is None else "train_only"
        self.reported = Objective("predicted_valid_accuracy", "%")

    @property
    def fingerprint(self) -> str:
        """The checksums of all models."""
        every: Sequence[str] = self._accuracy.checksums
        return " ".join([*every, *(self._runtime.checksums if self._runtime else ())])

    def report_value(self, architecture: Architecture) -> float:
        """The mean of the ensemble, without noise."""
        return float(self._accuracy.members(architecture).mean())

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """The accuracy of one training; ``rng`` draws its noise."""
        members = self._accuracy.members(architecture)
        value = float(members.mean())
        if self.noisy and rng is not None:
            value += float(rng.normal(0.0, members.std()))
        cost = 1.0
        if self._runtime is not None:
            cost = float(self._runtime.members(architecture).mean())
        return Evaluation((value,), cost)
