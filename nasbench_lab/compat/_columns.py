"""The columns of an imported NATS-Bench or NAS-Bench-201 table, read number by number.

The importer, ``tabular_data/_nats_collector.py``, makes them and explains their names.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError, TableFileError
from nasbench_lab.tables.columns import Query
from nasbench_lab.tables.table import Table

EVALUATION_SETS = ("x-valid", "x-test", "ori-test")


class Curve:
    """One column, read number by number."""

    def __init__(self, table: Table, name: str) -> None:
        self._table, self._name = table, name
        self.epochs = table.columns[name].epochs
        self._views: dict[int, NDArray[np.float64] | None] = {}
        self._epoch_set = frozenset(self.epochs or ())

    @cached_property
    def _whole(self) -> NDArray[np.float64]:
        """``(rows, trials)`` values of a column without epochs; mapped when it is asked for."""
        return self._table.trials(self._name)

    def at(self, row: int, trial: int, iepoch: int) -> float | None:
        """The value after an epoch counted from 0; None if there is none."""
        if self.epochs is None:
            value = self._whole.item(row, trial)
        else:
            view = self._view(iepoch)
            if view is None:
                return None
            value = view.item(row, trial)
        return value if value == value else None

    def _view(self, iepoch: int) -> NDArray[np.float64] | None:
        try:
            return self._views[iepoch]
        except KeyError:
            values = None
            if iepoch + 1 in self._epoch_set:
                values = self._table.trials(Query(self._name, epoch=int(iepoch) + 1))
            self._views[iepoch] = values
            return values

    def total(self, row: int, trial: int, iepoch: int) -> float | None:
        """The sum up to and including an epoch; None if a value is missing."""
        if self.epochs is None:
            value = self.at(row, trial, 0)
            # The product may differ in the last digit.
            return None if value is None else sum([value] * (iepoch + 1))
        values = [self.at(row, trial, i) for i in range(iepoch + 1)]
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    def by_epoch(self, row: int, trial: int, n_epochs: int) -> dict[int, float]:
        """The existing values by epoch, counted from 0."""
        if self.epochs is None:  # the same after every epoch, as all real times are
            value = self.at(row, trial, 0)
            return {} if value is None else dict.fromkeys(range(n_epochs), value)
        values = ((i, self.at(row, trial, i)) for i in range(n_epochs))
        return {i: value for i, value in values if value is not None}

    def any(self, row: int, trial: int) -> bool:
        """Whether there is a value after any epoch."""
        epochs = (1,) if self.epochs is None else self.epochs
        return any(self.at(row, trial, epoch - 1) is not None for epoch in epochs)


class _Absent(Curve):
    """A column that the table lacks, as no record has it."""

    def __init__(self) -> None:
        self.epochs = ()

    def at(self, row: int, trial: int, iepoch: int) -> float | None:
        return None


class _NotANumber(_Absent):
    """Times that are NaN in every record, as NAS-Bench-360's files have them."""

    def __init__(self) -> None:
        self.epochs = None

    def at(self, row: int, trial: int, iepoch: int) -> float | None:
        return math.nan

    def any(self, row: int, trial: int) -> bool:
        return False


class Split:
    """Accuracy, loss and time of one split."""

    def __init__(self, table: Table, prefix: str) -> None:
        self.accuracy, self.loss, self.time = (
            _curve(table, f"{prefix}.{quantity}") for quantity in ("accuracy", "loss", "time")
        )

    def any(self, row: int, trial: int) -> bool:
        """Whether a record has this split at all."""
        return any(curve.any(row, trial) for curve in (self.accuracy, self.time, self.loss))


def _curve(table: Table, name: str) -> Curve:
    return Curve(table, name) if name in table.columns else _Absent()


class Trainings:
    """The trainings for one data set with one schedule."""

    def __init__(self, table: Table, dataset: str, hp: str) -> None:
        prefix = f"{dataset}.{hp}"
        self._table, self.dataset, self.hp = table, dataset, hp
        self.train = Split(table, f"{prefix}.train")
        self.evaluations = {
            name: Split(table, f"{prefix}.{name}")
            for name in EVALUATION_SETS
            if any(column.startswith(f"{prefix}.{name}.") for column in table.columns)
        }
        self.flops, self.parameters, self.latency = (
            _curve(table, f"{prefix}.{name}") for name in ("flops", "parameters", "latency")
        )
        columns = [c for n, c in table.columns.items() if n.startswith(f"{prefix}.")]
        self.seeds: tuple[int, ...] = tuple(int(seed) for seed in columns[0].trials)
        self.epochs = max([c.epochs[-1] for c in columns if c.epochs], default=int(hp))
        configs: Any = table.info.details["configs"]
        self.config: dict[str, Any] = configs[dataset][hp]
        layouts: Any = table.info.details.get("layouts", {})  # earlier imports have none
        layout = layouts.get(dataset, {}).get(hp, {})
        self.names = self._ordered(layout.get("eval_names", ()))
        """The evaluation splits in the order of the file, and those of accuracies and times."""
        self.accuracies = self._ordered(layout.get("accuracies", ()))
        self.times = self._ordered(layout.get("times", ()))
        for name in layout.get("times", ()):
            if name in self.evaluations and isinstance(self.evaluations[name].time, _Absent):
                self.evaluations[name].time = _NotANumber()
        self.numpy = frozenset(layout.get("numpy", ()))
        """The costs that the official classes give as NumPy numbers."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Trainings, (self._table, self.dataset, self.hp)

    def _ordered(self, names: Sequence[str]) -> list[str]:
        return [
            name for name in dict.fromkeys((*names, *self.evaluations)) if name in self.evaluations
        ]

    @cached_property
    def _present(self) -> NDArray[np.uint8]:
        """``(rows, trials)``: one more than the place among the seeds, 0 without a trial."""
        return self._table.extra(f"{self.dataset}.{self.hp}.present")

    def trials(self, row: int) -> list[int]:
        """The trials that a row has, in the order of the record's list of seeds."""
        order = self._present[row].tolist()
        return sorted((t for t, position in enumerate(order) if position), key=order.__getitem__)


class Records:
    """All records of a table.

    Args:
        table: A table that was imported from an official file.

    Raises:
        TableFileError: The table was not imported from such a file.
    """

    def __init__(self, table: Table) -> None:
        try:
            self.order: NDArray[np.int64] = table.extra("official_order")
            indices = table.trials("official_index")[:, 0]
            details: Any = table.info.details
            self.schedules: list[str] = list(details["schedules"])
            self.datasets: list[str] = list(details["datasets"])
            self.trainings = {
                hp: {
                    dataset: Trainings(table, dataset, hp)
                    for dataset in self.datasets
                    if hp in details["configs"].get(dataset, {})
                }
                for hp in self.schedules
            }
            results: Any = details.get("results", {})  # earlier imports have none
            self.results = {
                hp: [(dataset, int(seed)) for dataset, seed in results.get(hp, ())]
                for hp in self.schedules
            }
            """The data set and seed of each training with a schedule, in the order of the file."""
        except (QueryError, KeyError) as error:
            raise TableFileError(
                f"Table {table.name!r} was not imported from a file of NATS-Bench or "
                f"NAS-Bench-201, so it cannot serve their API."
            ) from error
        self.table = table
        self.rows = {int(index): row for row, index in enumerate(indices.tolist())}
        """The row of each official index that the table has."""
        self.evaluated: list[int] = sorted(self.rows)
        """The indices that the file lists as evaluated."""
        with contextlib.suppress(QueryError):
            self.evaluated = table.extra("evaluated_indexes").tolist()

    def __reduce__(self) -> tuple[Any, ...]:
        return Records, (self.table,)

    def string(self, index: int) -> str:
        """The architecture at an official index."""
        return self.table.space.to_string(self.table.space.at(int(self.order[index])))

    def strings(self) -> list[str]:
        """All architectures in the official order."""
        space = self.table.space
        return [space.to_string(tuple(a)) for a in space.at(np.asarray(self.order)).tolist()]

    def hps(self, row: int) -> list[str]:
        """The schedules that a row has."""
        return [
            hp
            for hp, by_dataset in self.trainings.items()
            if any(trainings.trials(row) for trainings in by_dataset.values())
        ]
