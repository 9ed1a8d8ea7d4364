"""Tables: measurements of the architectures of a space, as columns on disk.

A table is a folder with ``manifest.json`` and one NumPy file per column, opened by memory map. A
column has shape ``(rows, trials, epochs)``; the architectures that share a row are isomorphic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import AbsentEntryError, QueryError, TableFileError
from nasbench_lab.files import atomic_folder, link_or_copy
from nasbench_lab.guard import check_tables_are_open
from nasbench_lab.spaces import Architecture, Architectures, Decision, SearchSpace
from nasbench_lab.tables.columns import (
    Column,
    Query,
    TableInfo,
    check_values,
    found_column,
    ranges,
)
from nasbench_lab.tables.coverage import DRAWS, Coverage
from nasbench_lab.tables.folder import (
    MAKE_AGAIN,
    Arrays,
    check_name,
    problems,
    read_folder,
    save,
    write_manifest,
)
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.tables.rows import DecisionColumn


class Table:
    """An opened table. Make one with ``Table.open`` or ``open_table``."""

    def __init__(
        self,
        folder: Path,
        info: TableInfo,
        columns: Sequence[Column],
        arrays: Arrays,
        checksums: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.info = info
        self.name = info.name
        self.space: SearchSpace = info.search_space
        self.columns = {column.name: column for column in columns}
        self._arrays = arrays
        self._checksums = checksums
        self._values: dict[Query, NDArray[np.float64]] = {}
        self._rankings: dict[Query, NDArray[np.int64]] = {}
        self._found: dict[Query, Column] = {}
        self._epochs: dict[str, tuple[int, ...]] = {}
        self._row_of_index = arrays["row_of_index"] if "row_of_index" in checksums else None
        self._keys = arrays["keys"] if "keys" in checksums else None

    def __repr__(self) -> str:
        return (
            f"<Table {self.name!r}: {counted(len(self), 'row')}, columns {', '.join(self.columns)}>"
        )

    def __len__(self) -> int:
        """Number of rows."""
        return self._arrays.rows

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process maps the files itself.
        return Table.open, (self.folder, self._arrays.remedy)

    # On disk

    @classmethod
    def open(cls, folder: Path | str, remedy: str = MAKE_AGAIN) -> Table:
        """Opens the table in a folder by memory map.

        Each file is compared with its checksum on first use, and again only after it changes.

        Args:
            folder: The folder.
            remedy: The advice of errors about damage.

        Raises:
            TableFileError: A file is missing, truncated or damaged.
            DataFolderError: A file cannot be read.
            AlgorithmError: An algorithm asks for it during a run.
        """
        check_tables_are_open(f"the table in {folder}")
        return cls(Path(folder), *read_folder(Path(folder), remedy))

    @staticmethod
    def write(
        folder: Path,
        info: TableInfo,
        columns: Mapping[Column, NDArray[Any] | Callable[[], NDArray[Any]]],
        row_of_index: NDArray[Any] | None = None,
        *,
        keys: NDArray[np.int64] | None = None,
        extra: Mapping[str, NDArray[Any]] | None = None,
        place: Callable[[int], str] | None = None,
    ) -> None:
        """Writes a table into an existing empty folder.

        Args:
            folder: The folder; ``create`` makes one atomically.
            info: What the table is.
            columns: Each column and its values, ``(rows, trials, epochs)``, or ``(rows,)`` for one
                trial and no epochs; NaN for a missing measurement. Values may be a function, which
                is called when they are written, so not all of them need be in memory.
            row_of_index: ``(space.size,)`` row of each architecture by its index in the space, -1
                if the table has none. None if rows are indices.
            keys: ``(rows,)`` indices of the canonical architectures of the rows, in ascending order,
                for spaces that are too large for ``row_of_index``.
            extra: Other arrays that a reader of this table needs, by name.
            place: Returns the name of a row: its file and record. With it, values are checked
                against ``columns.bounds``; every importer gives it.

        Raises:
            TableFileError: A value is impossible for its quantity, such as an accuracy of 200 %.
            ValueError: Columns, rows and names do not fit together.
        """
        space = info.search_space
        extra = dict(extra or {})
        if row_of_index is not None:
            extra["row_of_index"] = row_of_index
        if keys is not None:
            extra["keys"] = keys
        names = [column.name for column in columns]
        for name in (*names, *extra):
            check_name(name)
            if (*names, *extra).count(name) > 1:
                raise ValueError(f"Columns of {info.name!r} have one name twice: {name!r}.")
        missing = {info.objective, info.report} - {*names, ""}
        for task in info.tasks.values():
            missing |= {task.objective, task.report} - set(names)
        if missing:
            raise ValueError(f"{info.name!r} has no column {', '.join(sorted(missing))}.")
        rows = -1
        for column, given in columns.items():
            values = np.asarray(given() if callable(given) else given)
            values = values.reshape(-1, len(column.trials), len(column.epochs or (0,)))
            if rows not in (-1, len(values)):
                raise ValueError(
                    f"Columns of {info.name!r} have different numbers of rows: {rows} and "
                    f"{len(values)}."
                )
            rows = len(values)
            if place is not None:
                check_values(column, values, place)
            save(folder, column.name, values)
            del values  # frees the memory before the next column
        if keys is not None:
            if keys.shape != (rows,) or (np.diff(keys) <= 0).any():
                raise ValueError(f"Keys of {info.name!r} are not {rows} ascending numbers.")
        elif row_of_index is None and rows != space.size:
            raise ValueError(f"{info.name!r} has {rows} rows for {space.size} architectures.")
        if row_of_index is not None and (
            row_of_index.shape != (space.size,) or row_of_index.max(initial=-1) >= rows
        ):
            raise ValueError(f"row_of_index of {info.name!r} does not fit space and rows.")
        for name, values in extra.items():
            save(folder, name, values)
        write_manifest(folder, info, list(columns), rows)

    @classmethod
    def create(
        cls,
        folder: Path | str,
        info: TableInfo,
        columns: Mapping[Column, NDArray[Any] | Callable[[], NDArray[Any]]],
        row_of_index: NDArray[Any] | None = None,
        **arrays: Any,
    ) -> Table:
        """Writes a table atomically and opens it; arguments as for ``write``."""
        with atomic_folder(Path(folder), replace=True) as new:
            cls.write(new, info, columns, row_of_index, **arrays)
        return cls.open(folder)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        name: str,
        columns: Mapping[Column, Any] | Sequence[Column],
        *,
        decisions: Sequence[Decision | DecisionColumn] | None = None,
        space: SearchSpace | str | None = None,
        architecture: str | Sequence[str] | None = None,
        objective: str = "",
        report: str = "",
        folder: Path | str | None = None,
        repeats: bool | None = None,
        description: str = "Made from a data frame.",
        citation: str = "",
        licence: str = "none stated",
        clock: str = "",
    ) -> Table:
        """Makes a table of a data frame with a row for each measured architecture.

        The space is given by its decisions, which are read from the columns of their names, or as a
        ``SearchSpace``. The table keeps it, unless it is registered. Cells are options, numbers by
        value, and blank (NaN, None, empty) where a decision does not exist.

        Args:
            frame: The data frame.
            name: The table's name, under which the data folder keeps it. A table of that name is
                replaced.
            columns: What was measured: columns of the table, each read from the frame's column of its
                name; or a mapping from them to the frame's column, to several for trials or epochs,
                or to ``[trial][epoch]``.
            decisions: The decisions. A ``tables.rows.DecisionColumn`` has another column than its
                name, or bins.
            space: The space, or its registered name.
            architecture: With a space, the column of architectures in its syntax, or one column per
                decision; by default the columns of the decisions' names.
            objective: The column that a search sees; the first one that is not of test data if unset.
            report: The column that results are reported in; the objective if unset.
            folder: A folder for the table, in place of the data folder.
            repeats: Whether several rows of an architecture are trials of it, or refused; by default
                they are trials where decisions have bins.
            description: What was measured, and how.
            citation: BibTeX.
            licence: SPDX identifier, or a few words.
            clock: The clock of a search by default.

        Raises:
            SpaceError: There are neither decisions nor a space, or they make none.
            UnknownNameError: The frame or the table has no such column.
            QueryError: The objective is of test data.
            TableFileError: A cell is no option or value, two rows are of one architecture, or the name
                is taken.
            DataFolderError: The folder cannot be written.
        """
        from nasbench_lab.tables.frames import table_of_frame

        return table_of_frame(
            frame,
            name,
            columns,
            decisions,
            space,
            architecture,
            None if folder is None else Path(folder),
            repeats,
            objective=objective,
            report=report,
            description=description,
            citation=citation,
            licence=licence,
            clock=clock,
        )

    def check_join(self, other: Table) -> None:
        """Refuses another table if its columns are of other architectures.

        Raises:
            TableFileError: The other table is over another space, or the source files of the two
                disagree about the official order of architectures.
        """
        if other.space != self.space:
            raise TableFileError(
                f"The columns of {other.name!r} are over {other.space.name!r} and cannot join "
                f"{self.name!r}, which is over {self.space.name!r}."
            )
        name = "official_order"
        if name in self._checksums and name in other._checksums:
            n = min(len(self.extra(name)), len(other.extra(name)))
            differing = np.flatnonzero(self.extra(name)[:n] != other.extra(name)[:n])
            if differing.size:
                i = int(differing[0])
                here, there = (
                    self.space.to_string(self.space.at(int(table.extra(name)[i])))
                    for table in (self, other)
                )
                raise TableFileError(
                    f"The files of {self.name!r} ({self.info.source.get('file')}) and "
                    f"{other.name!r} ({other.info.source.get('file')}) disagree: at official index "
                    f"{i} the one has {here}, the other {there}."
                )

    def joined(self, other: Table) -> Table:
        """Adds the columns of another table over the same space to this one's folder, atomically.

        Other files of the folder stay as they are. Columns of the same names, from an earlier version
        of the other table, are replaced.

        Raises:
            TableFileError: ``check_join`` refuses it.
            DataFolderError: The folder cannot be written.
        """
        details = dict(self.info.details)
        joins = details.get("joined")
        details["joined"] = {
            **(joins if isinstance(joins, dict) else {}),
            other.name: dict(other.info.source),
        }
        return self.with_columns(self.columns_of(other), replace(self.info, details=details))

    def columns_of(self, other: Table) -> dict[Column, Callable[[], NDArray[np.float64]]]:
        """The columns of another table over the same space, in the rows of this one.

        Returns:
            Each column, and a function that returns ``(rows, trials, epochs)`` values; NaN for an
            architecture that the other table lacks.

        Raises:
            TableFileError: ``check_join`` refuses it.
        """
        self.check_join(other)
        rows = other.row(self.architectures)

        def values_of(name: str) -> NDArray[np.float64]:
            values = np.asarray(other._arrays[name][np.maximum(rows, 0)], dtype=np.float64)
            values[rows < 0] = np.nan
            return values

        return {column: partial(values_of, name) for name, column in other.columns.items()}

    def with_columns(
        self,
        columns: Mapping[Column, NDArray[Any] | Callable[[], NDArray[Any]]],
        info: TableInfo | None = None,
        folder: Path | None = None,
    ) -> Table:
        """Adds columns to this table's folder, atomically; those of the same names are replaced.

        The files of all others stay as they are.

        Args:
            columns: Each column and its values, as for ``write``.
            info: The table's new description; the old one by default.
            folder: An empty folder for the larger table, so that this one stays as it is.

        Raises:
            DataFolderError: The folder cannot be written.
            ValueError: Values do not fit the rows.
        """
        given = {column.name for column in columns}
        kept = {name: sum_ for name, sum_ in self._checksums.items() if name not in given}
        place = atomic_folder(self.folder, replace=True) if folder is None else nullcontext(folder)
        with place as new:
            for name in kept:
                link_or_copy(self.folder / f"{name}.npy", new / f"{name}.npy")
            for column, source in columns.items():
                values = np.asarray(source() if callable(source) else source)
                shape = (len(self), len(column.trials), len(column.epochs or (0,)))
                save(new, column.name, values.reshape(shape))
            own = [column for name, column in self.columns.items() if name not in given]
            write_manifest(new, info or self.info, [*own, *columns], len(self), kept)
        return Table.open(folder or self.folder)

    def extra(self, name: str) -> NDArray[Any]:
        """An array that was written beside the columns.

        Raises:
            QueryError: The table has no array of this name.
        """
        if name not in self._checksums or name in self.columns:
            raise QueryError(f"Table {self.name!r} has no array {name!r} beside its columns.")
        return self._arrays[name]

    def fingerprint(self, columns: Iterable[str] | None = None) -> str:
        """A checksum of some columns, or all, and of the rows of architectures.

        It shows whether a result was made with this table.
        """
        names = set(self.columns if columns is None else columns)
        if columns is not None:
            names |= {"row_of_index", "keys"} & set(self._checksums)
        else:
            names = set(self._checksums)
        text = json.dumps({name: self._checksums[name] for name in names}, sort_keys=True)
        if self.info.decisions:
            text += repr(self.info.decisions)  # what the numbers of a table's own space mean
        return hashlib.sha256(text.encode()).hexdigest()

    def verify(self) -> None:
        """Compares every file with its checksum, also those that were sound before.

        Raises:
            TableFileError: A file differs from its checksum.
            DataFolderError: A file cannot be read.
        """
        if found := problems(self.folder, self._arrays.remedy):
            raise TableFileError("\n".join(found))

    # Rows

    @overload
    def row(self, architecture: tuple[int, ...]) -> int: ...
    @overload
    def row(self, architecture: Architectures) -> NDArray[np.int64]: ...
    def row(self, architecture: Any) -> Any:
        """The row of an architecture, or ``(n,)`` rows; -1 if the table has none.

        Raises:
            InvalidArchitectureError: An architecture is not of the table's space.
        """
        if self._keys is not None:
            index = self.space.index(self.space.canonical(architecture))
            position = np.minimum(np.searchsorted(self._keys, index), len(self._keys) - 1)
            rows = np.where(self._keys[position] == index, position, -1)
            return rows if isinstance(architecture, np.ndarray) else int(rows)
        index = self.space.index(architecture)
        if self._row_of_index is None:
            return index
        if isinstance(architecture, np.ndarray):
            return self._row_of_index[index].astype(np.int64)
        return self._row_of_index.item(index)

    @cached_property
    def architectures(self) -> Architectures:
        """``(rows, d)``: the architecture of each row; the canonical one if several share it."""
        if self._keys is not None:
            return self.space.at(np.asarray(self._keys))
        if self._row_of_index is None:
            return self.space.at(np.arange(len(self)))
        indices = np.flatnonzero(self._row_of_index >= 0)
        rows, first, counts = np.unique(
            self._row_of_index[indices], return_index=True, return_counts=True
        )
        architectures = self.space.at(indices[first])
        architectures[counts > 1] = self.space.canonical(architectures[counts > 1])
        result = np.full((len(self), len(self.space.decisions)), -1)
        result[rows] = architectures
        return result

    @cached_property
    def coverage(self) -> Coverage:
        """How many of the space's architectures have a row; isomorphic ones count.

        It is an estimate if the table lists classes whose sizes nobody knows.
        """
        space, n = self.space, len(self)
        if self._keys is not None and type(space).canonical is not SearchSpace.canonical:
            # By a seed that nobody draws the rows of a table with.
            drawn = space.sample(np.random.default_rng([DRAWS, 1]), DRAWS)
            return Coverage(float((self.row(drawn) >= 0).mean()), space.size, None)
        if self._row_of_index is not None:
            n = int(np.count_nonzero(self._row_of_index >= 0))
        return Coverage(n / space.size, space.size, n)

    # Questions

    def column(self, query: Query | str) -> Column:
        """The one column that a query means.

        Raises:
            QueryError: No column or several fit; the message lists the columns.
        """
        query = Query.of(query)
        if query in self._found:
            return self._found[query]
        self._found[query] = found_column(self.columns, query, f"Table {self.name!r}")
        return self._found[query]

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
                else f"epochs {ranges(column.epochs)}"
            )
            raise QueryError(
                f"Column {column.name!r} of {self.name!r} holds {holds}, not epoch {query.epoch}."
            )
        return array[:, :, column.epochs.index(query.epoch)]

    def epochs(self, query: Query | str) -> tuple[int, ...]:
        """The epochs at which any entry of a query's column has a value; empty without epochs.

        Raises:
            QueryError: The table does not hold that column.
        """
        column = self.column(query)
        if column.name not in self._epochs:
            array = self._arrays[column.name]
            # The first entries nearly always suffice.
            valued = (~np.isnan(array[:64])).any(axis=(0, 1)).tolist()
            self._epochs[column.name] = tuple(
                epoch
                for i, epoch in enumerate(column.epochs or ())
                if valued[i] or not np.isnan(array[:, :, i]).all()
            )
        return self._epochs[column.name]

    def check(self, query: Query | str) -> None:
        """Refuses a query that the table cannot answer.

        Raises:
            QueryError: The table does not hold that column, epoch or trial.
        """
        query = Query.of(query)
        column = self.column(query)
        self.trials(query)
        if query.trial not in ("mean", "random", *column.trials):
            raise QueryError(
                f"Column {column.name!r} of {self.name!r} holds the trials "
                f"{ranges(column.trials)}, not {query.trial!r}."
            )

    def counts(self, query: Query | str) -> NDArray[np.int64]:
        """``(rows,)``: the number of trials in the mean of a query's column."""
        return np.asarray((~np.isnan(self.trials(query))).sum(axis=1))

    def values(self, query: Query | str) -> NDArray[np.float64]:
        """``(rows,)`` values of a query, by its trial policy; NaN where there is none.

        Raises:
            QueryError: The table cannot answer, or the query asks for a random trial.
        """
        query = Query.of(query)
        if query not in self._values:
            self.check(query)
            column, trials = self.column(query), self.trials(query)
            if query.trial == "mean":
                counts = self.counts(query)
                with np.errstate(invalid="ignore", over="ignore"):
                    values = np.nansum(trials.astype(np.float64), axis=1) / counts
                    if np.isinf(values).any():  # the sum may overflow although the mean does not
                        parts = trials.astype(np.float64) / np.maximum(counts, 1)[:, None]
                        ends = np.fmin.reduce(trials, axis=1), np.fmax.reduce(trials, axis=1)
                        mean = np.clip(np.nansum(parts, axis=1), *ends)
                        values = np.where(np.isinf(values), mean, values)
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
        """The table's value of an architecture, or of many.

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
            f"{counted(len(self), 'entry')} for the {self.space.size:,} architectures of "
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
        """Rows with a value from best to worst; ties in order of rows."""
        query = Query.of(query)
        if query not in self._rankings:
            values = self.values(query)
            order = np.argsort(-values if self.column(query).maximize else values, kind="stable")
            self._rankings[query] = order[~np.isnan(values[order])]
        return self._rankings[query]
