"""The official statistics of NAS-Bench-101, read cell by cell from an imported table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.compat._errors import OfficialKeyError
from nasbench_lab.errors import QueryError, TableFileError
from nasbench_lab.spaces.nb101 import EDGES, NODES, OPERATIONS, NB101Space
from nasbench_lab.tables.columns import Query
from nasbench_lab.tables.table import Table

Fixed = dict[str, Any]
"""``module_adjacency``, ``module_operations`` and ``trainable_parameters``."""

Computed = dict[int, list[dict[str, float]]]
"""The values of each training by its number of epochs."""

_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
_MOMENTS = ("halfway", "final")
_KEPT = 10_000
"""The number of cells whose matrices are kept, about 1 KB each."""
_BLOCK = 8192


class Numbers(NamedTuple):
    """One number of each training of a schedule."""

    name: str
    values: NDArray[np.float64]
    """``(rows, repeats)``, in per cent or seconds; NaN after the last repeat of a row."""
    steps: NDArray[np.int8] | None
    """How many floating-point numbers a fraction is above the hundredth of its percentage."""

    def at(self, row: int, repeat: int) -> float:
        """A fraction or seconds; NaN if the row has fewer repeats."""
        value = self.values.item(row, repeat)
        if self.name.endswith("_time"):
            return value
        value /= 100
        if self.steps is not None:
            step = self.steps.item(row, repeat)
            for _ in range(abs(step)):
                value = math.nextafter(value, math.copysign(2, step))
        return value


class Cells:
    """The cells of a table that was imported from a file of NAS-Bench-101.

    Args:
        table: The table.

    Raises:
        TableFileError: The table was not imported from such a file.
    """

    def __init__(self, table: Table) -> None:
        space = table.space
        self.schedules = [
            int(schedule)
            for schedule in dict.fromkeys(column.schedule for column in table.columns.values())
            if schedule is not None
        ]
        try:
            if not isinstance(space, NB101Space):
                raise QueryError(f"it is over {space.name!r}")
            self.hashes: NDArray[np.bytes_] = table.extra("module_hash")
            self._parameters = table.trials("parameters")
            self.numbers = {epochs: _numbers(table, epochs) for epochs in self.schedules}
        except QueryError as error:
            raise TableFileError(
                f"Table {table.name!r} was not imported from a file of NAS-Bench-101, so it cannot "
                f"serve its API: {error}"
            ) from error
        self._table, self._space = table, space
        self._fixed: dict[int, Fixed] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Cells, (self._table,)

    @cached_property
    def _own(self) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]] | None:
        """Cells as the file writes them, their numbers of nodes, and the order of schedules."""
        try:
            names = ("own_cell", "own_nodes", "schedule_order")
            cells, nodes, schedules = (self._table.extra(name) for name in names)
        except QueryError:
            return None
        return cells, nodes, schedules

    @property
    def canonical(self) -> bool:
        """Whether cells are in their canonical form, as an earlier version imported them."""
        return self._own is None

    @cached_property
    def order(self) -> NDArray[np.int32]:
        """The rows in the order of the file; as in the table if an earlier version imported it."""
        if self.canonical:
            return np.arange(len(self.hashes), dtype=np.int32)
        return self._table.extra("file_order")

    @cached_property
    def _sorted_hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The first halves of all hashes as ascending numbers, and their rows."""
        digests = bytes.fromhex(self.hashes.tobytes().decode())
        halves = np.frombuffer(digests, dtype=">u8")[::2].astype(np.uint64)
        rows = np.argsort(halves, kind="stable")
        return halves[rows], rows

    def find(self, module_hash: object) -> int:
        """The row of a hash; -1 for anything else."""
        if not isinstance(module_hash, str) or len(module_hash) != 32:
            return -1
        try:
            half = np.uint64(int(module_hash[:16], 16))
        except ValueError:
            return -1
        halves, rows = self._sorted_hashes
        place = int(np.searchsorted(halves, half))
        while place < len(halves) and halves[place] == half:
            row = int(rows[place])
            if self.hashes[row].decode() == module_hash:
                return row
            place += 1
        return -1

    def fixed(self, row: int) -> Fixed:
        """Matrix, operations and parameters of a row, as a new object."""
        kept = self._fixed.get(row)
        if kept is None:
            if len(self._fixed) >= _KEPT:
                self._fixed.clear()
            kept = self._fixed[row] = self._read_fixed(row)
        return {
            "module_adjacency": kept["module_adjacency"].copy(),
            "module_operations": kept["module_operations"].copy(),
            "trainable_parameters": kept["trainable_parameters"],
        }

    def _read_fixed(self, row: int) -> Fixed:
        if self._own is None:
            cell = self._space.at(self._table.extra("keys").item(row))
            matrix, operations = self._space.to_matrix(cell)
        else:
            cell = self._space.at(self._own[0].item(row))
            n = self._own[1].item(row)
            digits = [0] * (n * n)
            for edge, place in _places(n):
                digits[place] = cell[edge]
            matrix = np.array(digits).reshape(n, n)
            options = cell[len(EDGES) : len(EDGES) + n - 2]
            operations = ["input", *[OPERATIONS[option] for option in options], "output"]
        return {
            "module_adjacency": matrix.astype(np.int8),
            "module_operations": operations,
            "trainable_parameters": round(self._parameters.item(row, 0) * 1e6),
        }

    def computed(self, row: int) -> Computed:
        """The trainings of a row, as a new object."""
        places = range(len(self.schedules)) if self._own is None else self._own[2][row].tolist()
        found = {self.schedules[i]: self._trainings(row, self.schedules[i]) for i in places}
        return {epochs: some for epochs, some in found.items() if some}

    def _trainings(self, row: int, epochs: int) -> list[dict[str, float]]:
        moments = self.numbers[epochs]
        times = moments["final"][0].values[row].tolist()
        return [
            {one.name: one.at(row, repeat) for some in moments.values() for one in some}
            for repeat, time in enumerate(times)
            if time == time  # every training has a time
        ]


@cache
def _places(n: int) -> list[tuple[int, int]]:
    """Each of ``EDGES`` between ``n`` nodes, and its place among the digits of their matrix."""
    row = {node: i for i, node in enumerate((*range(n - 1), NODES - 1))}
    return [
        (i, row[source] * n + row[target])
        for i, (source, target) in enumerate(EDGES)
        if source in row and target in row
    ]


def _numbers(table: Table, epochs: int) -> dict[str, list[Numbers]]:
    """The numbers of a schedule half-way, if they are there, and at the end; times come first."""
    measured = table.column(f"{epochs}.train_time").epochs or ()
    result = {}
    for place, epoch in enumerate(measured):
        moment = _MOMENTS[place - len(measured)]
        time = table.trials(Query(f"{epochs}.train_time", epoch=epoch))
        result[moment] = [Numbers(f"{moment}_training_time", time, None)]
        for split, name in _SPLITS.items():
            values = table.trials(Query(f"{epochs}.{split}.accuracy", epoch=epoch))
            try:
                steps: NDArray[np.int8] | None = table.extra(f"{epochs}.{split}.steps")[..., place]
            except QueryError:
                steps = None
            result[moment].append(Numbers(f"{moment}_{name}_accuracy", values, steps))
    return result


class Statistics(Mapping[str, Any]):
    """Statistics by module hash, in the order of the file; each is made when it is asked for.

    Args:
        cells: The cells.
        of_row: The statistics of a row.
    """

    def __init__(self, cells: Cells, of_row: Callable[[int], Any]) -> None:
        self._cells, self._of_row = cells, of_row

    def __getitem__(self, module_hash: str) -> Any:
        row = self._cells.find(module_hash)
        if row < 0:
            raise OfficialKeyError(
                f"Expected the module hash of one of the table's {len(self):,} cells, 32 "
                f"hexadecimal digits, but got {module_hash!r}."
            )
        return self._of_row(row)

    def __contains__(self, module_hash: object) -> bool:
        return self._cells.find(module_hash) >= 0

    def __iter__(self) -> Iterator[str]:
        order = self._cells.order
        for start in range(0, len(order), _BLOCK):
            for module_hash in self._cells.hashes[order[start : start + _BLOCK]].tolist():
                yield module_hash.decode()

    def __len__(self) -> int:
        return len(self._cells.hashes)
