"""Tables: what the architectures of a space are worth, as columns on disk.

A table is a folder with ``manifest.json`` and one NumPy file per column, opened by memory map. A
column has shape ``(rows, trials, epochs)``; the architectures that share a row are isomorphic.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import (
    AbsentEntryError,
    QueryError,
    TableFileError,
)
from nasbench_lab.files import atomic_folder, sha256
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace, get_space

FORMAT = 1
"""Version of the folder's layout. A table of another version is made again from its source."""


@dataclass(frozen=True)
class Column:
    """One measured quantity.

    Args:
        name: Unique within the table, such as ``"valid_accuracy"``.
        quantity: What is measured: ``"accuracy"``, ``"latency"``, ``"train_time"``, …
        unit: ``"%"``, ``"s"``, ``"M"`` (millions), …
        maximize: Whether more is better.
        split: The data that it was measured on: ``"train"``, ``"valid"``, ``"test"``, or None where
            that means nothing or the authors do not say.
        dataset: The data set trained on.
        schedule: The training schedule, where the table has several.
        trials: What the trials are: seeds, or one entry that says what was averaged.
        epochs: The epochs after which it was measured, or None for a single value at the end.
        description: A sentence for people.
    """

    name: str
    quantity: str
    unit: str
    maximize: bool
    split: str | None = None
    dataset: str | None = None
    schedule: str | None = None
    trials: tuple[int | str, ...] = ("mean",)
    epochs: tuple[int, ...] | None = None
    description: str = ""


@dataclass(frozen=True)
class Query:
    """A question to a table: which column, at which epoch, over which trials.

    Args:
        metric: A column's name, or a quantity that the other fields narrow down to one column.
        split: ``"train"``, ``"valid"`` or ``"test"``.
        dataset: The data set trained on.
        schedule: The training schedule.
        epoch: The epoch, counted from 1; None for the last.
        trial: ``"mean"`` over the trials that exist, ``"random"`` (one of them, drawn anew at each
            evaluation), or the seed of one trial.
    """

    metric: str
    split: str | None = None
    dataset: str | None = None
    schedule: str | None = None
    epoch: int | None = None
    trial: int | str = "mean"

    @classmethod
    def of(cls, query: Query | str) -> Query:
        """Takes a metric's name for a whole query."""
        return query if isinstance(query, Query) else cls(query)


@dataclass(frozen=True)
class TableInfo:
    """What a table is, apart from its columns.

    Args:
        name: Such as ``"nas-bench-graph/cora"``.
        space: The name of its search space.
        description: What was measured, how, and what to beware of.
        citation: BibTeX.
        licence: SPDX identifier, or what is known of it.
        objective: The column that a search sees by default.
        report: The column that results are reported in by default.
        source: What it was made from: ``version``, ``file``, ``sha256``, ``bytes``.
    """

    name: str
    space: str
    description: str
    citation: str
    licence: str
    objective: str
    report: str
    source: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSource:
    """A table that can be made from something on this machine.

    Args:
        name: The table's name.
        needs: What must be there, for people: a package to install or a file to have.
        version: Says which version of the source is there, or raises ``MissingSourceError``.
        convert: Writes the table into an existing empty folder.
    """

    name: str
    needs: str
    version: Callable[[], str]
    convert: Callable[[Path], None]


class Table:
    """An opened table. Make one with ``Table.open`` or ``open_table``."""

    def __init__(
        self,
        folder: Path,
        info: TableInfo,
        columns: Sequence[Column],
        arrays: Mapping[str, NDArray[Any]],
        checksums: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.info = info
        self.name = info.name
        self.space: SearchSpace = get_space(info.space)
        self.columns = {column.name: column for column in columns}
        self._arrays = arrays
        self._checksums = checksums
        self._values: dict[Query, NDArray[np.float64]] = {}
        self._rankings: dict[Query, NDArray[np.int64]] = {}
        self._row_of_index = arrays.get("row_of_index")

    def __repr__(self) -> str:
        return f"<Table {self.name!r}: {len(self):,} rows, columns {', '.join(self.columns)}>"

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self._arrays[name] for name in self.columns)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process maps the files itself.
        return Table.open, (self.folder,)

    # On disk

    @classmethod
    def open(cls, folder: Path | str) -> Table:
        """Opens the table in a folder by memory map.

        Raises:
            TableFileError: A file is missing, truncated or damaged.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
            if manifest["format"] != FORMAT:
                outdated = TableFileError(
                    f"The table in {folder} has format {manifest['format']}, while this version "
                    f"reads {FORMAT}. Delete the folder and import the table again."
                )
                outdated.outdated = True
                raise outdated
            info = TableInfo(**manifest["info"])
            columns = [
                Column(
                    **{
                        **c,
                        "trials": tuple(c["trials"]),
                        "epochs": c["epochs"] and tuple(c["epochs"]),
                    }
                )
                for c in manifest["columns"]
            ]
            checksums: dict[str, str] = manifest["sha256"]
            # A plain array over the mapped memory: np.memmap makes each access ten times slower.
            arrays: dict[str, NDArray[Any]] = {
                name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
                for name in checksums
            }
            for column in columns:
                shape = arrays[column.name].shape
                expected = (manifest["rows"], len(column.trials), len(column.epochs or (0,)))
                if shape != expected:
                    raise ValueError(f"{column.name}.npy has shape {shape}, not {expected}")
        except TableFileError:
            raise
        except Exception as error:  # a damaged file may raise anything
            raise TableFileError(
                f"The table in {folder} cannot be opened ({type(error).__name__}: {error}). Delete "
                f"that folder; a table from an installed package is then made again when next used."
            ) from error
        return cls(folder, info, columns, arrays, checksums)

    @staticmethod
    def write(
        folder: Path,
        info: TableInfo,
        columns: Mapping[Column, NDArray[Any]],
        row_of_index: NDArray[Any] | None = None,
    ) -> None:
        """Writes a table into an existing empty folder.

        Args:
            folder: The folder; ``create`` makes one atomically.
            info: What the table is.
            columns: Each column and its values, ``(rows, trials, epochs)``, or ``(rows,)`` for one
                trial and no epochs. NaN where there is no measurement.
            row_of_index: ``(space.size,)`` row of each architecture by its index in the space, -1
                where the table has none. None where rows are indices.
        """
        space = get_space(info.space)
        arrays: dict[str, NDArray[Any]] = {}
        for column, values in columns.items():
            if not re.fullmatch(r"[\w@.-]+", column.name) or column.name in (
                "row_of_index",
                *arrays,
            ):
                raise ValueError(
                    f"Expected names of columns that differ and are made of letters, digits and "
                    f"_ @ . - but got {column.name!r}."
                )
            shape = (-1, len(column.trials), len(column.epochs or (0,)))
            arrays[column.name] = np.ascontiguousarray(values).reshape(shape)
        sizes = {len(values) for values in arrays.values()}
        if len(sizes) != 1:
            raise ValueError(f"Columns of {info.name!r} have different numbers of rows: {sizes}.")
        (rows,) = sizes
        if row_of_index is None and rows != space.size:
            raise ValueError(f"{info.name!r} has {rows} rows for {space.size} architectures.")
        if row_of_index is not None:
            if row_of_index.shape != (space.size,) or row_of_index.max(initial=-1) >= rows:
                raise ValueError(f"row_of_index of {info.name!r} does not fit space and rows.")
            arrays["row_of_index"] = row_of_index
        missing = {info.objective, info.report} - set(arrays)
        if missing:
            raise ValueError(f"{info.name!r} has no column {', '.join(sorted(missing))}.")
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
        manifest = {
            "format": FORMAT,
            "rows": rows,
            "info": asdict(info),
            "columns": [asdict(column) for column in columns],
            "sha256": {name: sha256(folder / f"{name}.npy") for name in arrays},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")

    @classmethod
    def create(
        cls,
        folder: Path | str,
        info: TableInfo,
        columns: Mapping[Column, NDArray[Any]],
        row_of_index: NDArray[Any] | None = None,
    ) -> Table:
        """Writes a table atomically and opens it; arguments as for ``write``."""
        with atomic_folder(Path(folder), replace=True) as new:
            cls.write(new, info, columns, row_of_index)
        return cls.open(folder)

    @property
    def fingerprint(self) -> str:
        """A checksum of all columns: results are read against the table they were made with."""
        return hashlib.sha256(
            json.dumps(dict(self._checksums), sort_keys=True).encode()
        ).hexdigest()

    def verify(self) -> None:
        """Compares every file with its checksum.

        Raises:
            TableFileError: One differs.
        """
        for name, checksum in self._checksums.items():
            if sha256(self.folder / f"{name}.npy") != checksum:
                raise TableFileError(
                    f"{self.folder / name}.npy has changed since it was written. Delete the folder "
                    f"{self.folder}; the table is then made again when next used."
                )

    # Rows

    @overload
    def row(self, architecture: tuple[int, ...]) -> int: ...
    @overload
    def row(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def row(self, architecture: Any) -> Any:
        """The row of an architecture, or ``(n,)`` rows; -1 where the table has none.

        Raises:
            InvalidArchitectureError: It is not of the table's space.
        """
        index = self.space.index(architecture)
        if self._row_of_index is None:
            return index
        if isinstance(architecture, np.ndarray):
            return self._row_of_index[index].astype(np.int64)
        return self._row_of_index.item(index)

    @cached_property
    def architectures(self) -> Architectures:
        """``(rows, d)``: for each row the canonical architecture."""
        if self._row_of_index is None:
            return self.space.at(np.arange(len(self)))
        indices = np.flatnonzero(self._row_of_index >= 0)
        rows, first = np.unique(self._row_of_index[indices], return_index=True)
        result = np.full((len(self), len(self.space.decisions)), -1)
        result[rows] = self.space.canonical(self.space.at(indices[first]))
        return result

    # Questions

    def column(self, query: Query | str) -> Column:
        """The one column that a query means.

        Raises:
            QueryError: None or several fit; the message lists what the table holds.
        """
        query = Query.of(query)
        wanted = {k: getattr(query, k) for k in ("split", "dataset", "schedule")}
        fitting = [
            column
            for column in self.columns.values()
            if query.metric in (column.name, column.quantity)
            and all(v is None or v == getattr(column, k) for k, v in wanted.items())
        ]
        exact = [column for column in fitting if column.name == query.metric]
        if len(exact or fitting) != 1:
            asked = ", ".join([query.metric, *(f"{k}={v}" for k, v in wanted.items() if v)])
            problem = (
                f"has several columns for {asked}: {_names(fitting)}"
                if fitting
                else f"has no column for {asked}. It holds {_names(self.columns.values())}"
            )
            raise QueryError(f"Table {self.name!r} {problem}.")
        return (exact or fitting)[0]

    def trials(self, query: Query | str) -> NDArray[np.float64]:
        """``(rows, trials)`` values of a query's column at its epoch; NaN where there is none.

        Raises:
            QueryError: The table does not hold that column or epoch.
        """
        query = Query.of(query)
        column = self.column(query)
        array = self._arrays[column.name]
        if query.epoch is None:
            return array[:, :, -1]
        if column.epochs is None or query.epoch not in column.epochs:
            holds = (
                "only the value at the end of training"
                if column.epochs is None
                else f"epochs {', '.join(map(str, column.epochs))}"
            )
            raise QueryError(
                f"Column {column.name!r} of {self.name!r} holds {holds}, not epoch {query.epoch}."
            )
        return array[:, :, column.epochs.index(query.epoch)]

    def check(self, query: Query | str) -> None:
        """Refuses a query that the table cannot answer.

        Raises:
            QueryError: It does not hold that column, epoch or trial.
        """
        query = Query.of(query)
        column = self.column(query)
        self.trials(query)
        if query.trial not in ("mean", "random", *column.trials):
            raise QueryError(
                f"Column {column.name!r} of {self.name!r} holds the trials "
                f"{', '.join(map(str, column.trials))}, not {query.trial!r}."
            )

    def values(self, query: Query | str) -> NDArray[np.float64]:
        """``(rows,)`` values of a query, by its trial policy; NaN where there is none.

        Raises:
            QueryError: The table cannot answer, or the trial is to be random.
        """
        query = Query.of(query)
        if query not in self._values:
            self.check(query)
            column, trials = self.column(query), self.trials(query)
            if query.trial == "mean":
                counts = (~np.isnan(trials)).sum(axis=1)
                with np.errstate(invalid="ignore"):
                    values = np.nansum(trials, axis=1) / counts
            elif query.trial == "random":
                raise QueryError("A random trial is drawn at each evaluation; ask for trials().")
            else:
                values = trials[:, column.trials.index(query.trial)].astype(np.float64)
            values.flags.writeable = False
            self._values[query] = values
        return self._values[query]

    @overload
    def query(self, architecture: tuple[int, ...], query: Query | str) -> float: ...
    @overload
    def query(self, architecture: Architectures, query: Query | str) -> NDArray[np.float64]: ...
    def query(self, architecture: Any, query: Query | str) -> Any:
        """What the table says of an architecture, or of many.

        Args:
            architecture: A tuple, or an ``(n, d)`` array.
            query: The question, or a column's name.

        Returns:
            A float in the column's unit, or ``(n,)`` floats.

        Raises:
            AbsentEntryError: The table has no entry for an architecture.
            InvalidArchitectureError: An architecture is not of the table's space.
            QueryError: The table cannot answer the question.
        """
        values = self.values(query)
        rows = self.row(architecture)
        if isinstance(architecture, np.ndarray):
            if (absent := np.flatnonzero(rows < 0)).size:
                raise self._absent(tuple(architecture[absent[0]].tolist()))
            return values[rows]
        if rows < 0:
            raise self._absent(architecture)
        return values.item(rows)

    def _absent(self, architecture: Architecture) -> AbsentEntryError:
        return AbsentEntryError(
            f"Table {self.name!r} has no entry for {self.space.to_string(architecture)}. It holds "
            f"{len(self):,} entries for the {self.space.size:,} architectures of "
            f"{self.space.name!r}, and values are never made up."
        )

    def optimum(self, query: Query | str) -> float:
        """The best value of a column, in its unit and direction.

        Raises:
            QueryError: The column holds no value at all.
        """
        values = self.values(query)
        if np.isnan(values).all():
            raise QueryError(f"Column {self.column(query).name!r} of {self.name!r} is empty.")
        return float(np.nanmax(values) if self.column(query).maximize else np.nanmin(values))

    def ranking(self, query: Query | str) -> NDArray[np.int64]:
        """Rows from best to worst, those without a value left out; ties in order of rows."""
        query = Query.of(query)
        if query not in self._rankings:
            values = self.values(query)
            order = np.argsort(-values if self.column(query).maximize else values, kind="stable")
            self._rankings[query] = order[~np.isnan(values[order])]
        return self._rankings[query]


def _names(columns: Iterable[Column]) -> str:
    parts = []
    for column in columns:
        known = [column.split, column.dataset, column.schedule and f"schedule {column.schedule}"]
        detail = ", ".join(str(k) for k in known if k)
        parts.append(f"{column.name} ({detail})" if detail else column.name)
    return ", ".join(parts)
