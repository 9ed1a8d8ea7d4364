"""The official ``nasbench.api``: queries of NAS-Bench-101 with a budget.

The differences: an API opens an imported table in place of loading the file, statistics are made
when they are asked for and are new objects each time, and ``evaluate`` refuses, as nothing is trained.
"""

from __future__ import annotations

import os
import random
from typing import Any, NoReturn

from nasbench_lab.compat import _sources
from nasbench_lab.compat._errors import OfficialKeyError, ReadOnlyError
from nasbench_lab.compat.nasbench._statistics import Cells, Computed, Fixed, Statistics
from nasbench_lab.compat.nasbench.lib import config
from nasbench_lab.compat.nasbench.lib.model_spec import ModelSpec
from nasbench_lab.errors import NasbenchLabError, QueryError
from nasbench_lab.tables.table import Table

__all__ = ["ModelSpec", "NASBench", "OutOfDomainError"]

_MEASURED = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
_KEPT = 100_000
"""The number of cells whose rows are remembered."""


class OutOfDomainError(QueryError):
    """A cell or a number of epochs is outside of the search space."""


class AbsentTrainingError(NasbenchLabError, IndexError):
    """A training was drawn that the file lacks; the official API raises IndexError."""


class NASBench:
    """The API of NAS-Bench-101.

    Attributes: ``config`` (a dictionary), ``valid_epochs`` (a set), ``fixed_statistics`` and
    ``computed_statistics`` (by module hash), ``training_time_spent`` (s), ``total_epochs_spent`` and
    ``history`` (an empty dictionary for the user).

    Args:
        dataset_file: An official file, which is converted once; or the name, folder or object of an
            imported table; None for the imported table ``"nas-bench-101"``.
        seed: Seeds Python's global ``random``, from which queries draw. As officially, that generator
            is seeded anew even if this is None.

    Raises:
        NoFileError: There is no such file or table.
        TableFileError: The table is of something else.
    """

    def __init__(
        self, dataset_file: Table | str | os.PathLike[str] | None = None, seed: Any = None
    ) -> None:
        self.config = config.build_config()
        random.seed(seed)
        table = _sources.open_table(dataset_file, "nas-bench-101")
        self._cells = cells = Cells(table)
        if cells.canonical:
            print(
                f"An earlier version imported {table.name!r}: matrices and operations are in their "
                f"canonical form, and cells in the order of the table. Import the file again to "
                f"have those of the file."
            )
        self.fixed_statistics = Statistics(cells, cells.fixed)
        self.computed_statistics = Statistics(cells, cells.computed)
        self.valid_epochs = set(cells.schedules)
        self.history: dict[Any, Any] = {}
        self._rows: dict[tuple[Any, ...], int] = {}
        self.reset_budget_counters()

    def query(
        self, model_spec: ModelSpec, epochs: int = 108, stop_halfway: bool = False
    ) -> dict[str, Any]:
        """One of the three trainings of a cell, drawn from Python's global ``random``.

        Args:
            model_spec: The cell.
            epochs: 4, 12, 36 or 108; only 108 in the smaller file.
            stop_halfway: Whether the training is stopped and charged half-way.

        Returns:
            ``module_adjacency``, ``module_operations``, ``trainable_parameters``, ``training_time``
            (s), and ``train_accuracy``, ``validation_accuracy`` and ``test_accuracy`` (fractions).

        Raises:
            OutOfDomainError: The cell or number of epochs is outside of the search space.
            OfficialKeyError: The file has no training of the cell with so many epochs.
            AbsentTrainingError: The drawn training is missing.
            QueryError: The table was imported without curves and has no values half-way.
        """
        if epochs not in self.valid_epochs:
            raise OutOfDomainError(
                f"Expected {' or '.join(map(str, self._cells.schedules))} epochs but got {epochs!r}."
            )
        row = self._row(model_spec)
        drawn = random.randint(0, self.config["num_repeats"] - 1)
        numbers = self._cells.numbers[epochs].get("halfway" if stop_halfway else "final")
        if numbers is None:
            raise QueryError(
                "The table has no values half-way, as it was imported without curves. Import the "
                "file again with them."
            )
        data = self._cells.fixed(row)
        for name, one in zip(_MEASURED, numbers, strict=True):
            data[name] = one.at(row, drawn)
        if data["training_time"] != data["training_time"]:
            raise self._absent(row, epochs, drawn)
        self.training_time_spent += data["training_time"]
        self.total_epochs_spent += epochs // 2 if stop_halfway else epochs
        return data

    def _absent(self, row: int, epochs: int, drawn: int) -> NasbenchLabError:
        """The error of a training that the file lacks."""
        trainings = self._cells.computed(row).get(epochs, [])
        if not trainings:
            return OfficialKeyError(f"The file has no training of this cell with {epochs} epochs.")
        return AbsentTrainingError(
            f"Training {drawn + 1} of {self.config['num_repeats']} was drawn, but the file has only "
            f"{len(trainings)} of this cell with {epochs} epochs."
        )

    def is_valid(self, model_spec: ModelSpec) -> bool:
        """Whether a cell is in the search space."""
        try:
            self._check_spec(model_spec)
        except OutOfDomainError:
            return False
        return True

    def get_budget_counters(self) -> tuple[float, int]:
        """Seconds of training and epochs that queries have charged."""
        return self.training_time_spent, self.total_epochs_spent

    def reset_budget_counters(self) -> None:
        self.training_time_spent = 0.0
        self.total_epochs_spent = 0

    def evaluate(self, model_spec: ModelSpec, model_dir: str) -> NoReturn:
        """Refuses, as officially it trains with TensorFlow.

        Raises:
            ReadOnlyError: Always.
        """
        raise ReadOnlyError(
            "evaluate trains a cell with TensorFlow officially; an API over an imported table only "
            "answers query. Use the package nasbench for it."
        )

    def hash_iterator(self) -> Any:
        """The module hashes of all cells, in the order of the file."""
        return self.fixed_statistics.keys()

    def get_metrics_from_hash(self, module_hash: str) -> tuple[Fixed, Computed]:
        """All numbers of a cell, without charge, as new objects.

        Args:
            module_hash: One of ``hash_iterator``.

        Returns:
            ``module_adjacency``, ``module_operations`` and ``trainable_parameters``; and by number of
            epochs a list with the values of each training, half-way and at the end.

        Raises:
            OfficialKeyError: There is no such cell.
        """
        return self.fixed_statistics[module_hash], self.computed_statistics[module_hash]

    def get_metrics_from_spec(self, model_spec: ModelSpec) -> tuple[Fixed, Computed]:
        """The same for a cell.

        Raises:
            OutOfDomainError: The cell is outside of the search space.
            OfficialKeyError: The file has no record of it.
        """
        row = self._row(model_spec)
        return self._cells.fixed(row), self._cells.computed(row)

    def get_module_hash(self, model_spec: ModelSpec) -> str:
        """The module hash of a cell.

        Raises:
            OutOfDomainError: The cell is outside of the search space.
        """
        self._check_spec(model_spec)
        return self._hash_spec(model_spec)

    def _row(self, model_spec: ModelSpec) -> int:
        """The row of a cell; cells that were asked for before are found without their hash.

        They are checked again when the user has changed the search space in ``config``.
        """
        key: tuple[Any, ...] = ()
        if type(model_spec) is ModelSpec and model_spec.matrix is not None:
            matrix, space = model_spec.matrix, self.config
            limits = (space["module_vertices"], space["max_edges"], *space["available_ops"])
            key = (matrix.tobytes(), matrix.dtype, *model_spec.ops, *limits)
            row = self._rows.get(key)
            if row is not None:
                return row
        module_hash = self.get_module_hash(model_spec)
        row = self._cells.find(module_hash)
        if row < 0:
            raise OfficialKeyError(
                f"The file has no record of this cell, whose module hash is {module_hash}."
            )
        if key:
            if len(self._rows) >= _KEPT:
                self._rows.clear()
            self._rows[key] = row
        return row

    def _check_spec(self, model_spec: ModelSpec) -> None:
        problem = self._problem(model_spec)
        if problem:
            raise OutOfDomainError(f"Expected a cell of NAS-Bench-101 but got {problem}.")

    def _problem(self, model_spec: ModelSpec) -> str:
        """What is wrong with a cell; nothing if it is in the search space."""
        if not model_spec.valid_spec or model_spec.matrix is None:
            return "one without a way from input to output"
        operations, n_edges = model_spec.ops, model_spec.matrix.sum()
        if len(operations) > self.config["module_vertices"]:
            return f"{len(operations)} nodes, where {self.config['module_vertices']} are allowed"
        if n_edges > self.config["max_edges"]:
            return f"{n_edges} edges, where {self.config['max_edges']} are allowed"
        if operations[0] != "input" or operations[-1] != "output":
            return f"operations that do not lead from 'input' to 'output': {operations!r}"
        for operation in operations[1:-1]:
            if operation not in self.config["available_ops"]:
                known = ", ".join(self.config["available_ops"])
                return f"the operation {operation!r}, which is none of {known}"
        return ""

    def _hash_spec(self, model_spec: ModelSpec) -> str:
        return model_spec.hash_spec(self.config["available_ops"])
