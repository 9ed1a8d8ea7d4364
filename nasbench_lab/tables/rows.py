"""Tables of rows: each is an architecture with what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, TableFileError, quoted
from nasbench_lab.spaces import Architectures, Decision, SearchSpace
from nasbench_lab.tables.columns import Column, TableInfo, check_values
from nasbench_lab.tables.table import Table
from nasbench_lab.words import counted


@dataclass(frozen=True)
class Rows:
    """Names of rows, for errors.

    Args:
        source: What they are of, such as a file.
        name: Returns the name of one, such as ``line 3``.
    """

    source: str
    name: Callable[[int], str]

    def __call__(self, row: int) -> str:
        return f"{self.source}, {self.name(row)}"


LARGEST_DENSE = 1 << 24
"""The largest space with a row number for every architecture; larger ones have a list of keys."""

MOST_BINS = 1_000
_MOST_REPEATS = 1_000
"""The most rows of one architecture."""

BLANK = ("", "nan", "na", "none", "null", "<na>")
"""What stands for nothing in a cell, in small letters, unless it is an option."""


@dataclass(frozen=True)
class DecisionColumn:
    """A decision, and the column that holds its options.

    Args:
        decision: The decision; the options of one with bins come from the column.
        column: The column's name.
        bins: For numbers drawn from a range: how many bins of equal width there are from the least to
            the greatest, or their edges. The options are the bins' centres.
        log: Whether the bins are equally wide in the logarithm; their centres are then geometric.
    """

    decision: Decision
    column: str
    bins: int | tuple[float, ...] | None = None
    log: bool = False


def made_space(
    name: str, columns: Sequence[DecisionColumn], cells: Sequence[Sequence[Any]], place: Rows
) -> tuple[SearchSpace, Architectures]:
    """The space of some decisions, and the architectures of rows.

    Args:
        name: The space's name.
        columns: The decisions and their columns.
        cells: The cells of each column: options, or texts of them.
        place: Names a row.

    Returns:
        The space and ``(n, d)`` architectures.

    Raises:
        SpaceError: The decisions make no space.
        TableFileError: A cell is no option, or blank, or not blank, where it should not be.
    """
    decisions, read = [], []
    for column, given in zip(columns, cells, strict=True):
        if column.bins is None:
            decisions.append(column.decision)
            read.append(given)
        else:
            options, found = _binned(column, given, place)
            decisions.append(replace(column.decision, options=options, ordered=True))
            read.append(found)
    space = SearchSpace(name, decisions)
    return space, read_architectures(space, read, [column.column for column in columns], place)


def read_architectures(
    space: SearchSpace, cells: Sequence[Sequence[Any]], names: Sequence[str], place: Rows
) -> Architectures:
    """``(n, d)`` architectures of rows, of the cells of a column per decision, and its name.

    Raises:
        TableFileError: A cell is no option, or blank, or not blank, where it should not be.
    """
    columns = []
    for decision, given in zip(space.decisions, cells, strict=True):
        known: dict[Any, Any] = {}
        column = []
        for cell in given:
            text = str(cell)  # NumPy's numbers as short as they can be
            if text not in known:
                absent = decision.position(cell) is None and text.strip().lower() in BLANK
                known[text] = None if absent else cell
            column.append(known[text])
        columns.append(column)
    result = []
    for row, options in enumerate(zip(*columns, strict=True)):
        try:
            result.append(space.from_options(options, columns=names))
        except InvalidArchitectureError as error:
            raise TableFileError(f"{place(row)}: {str(error)[:1000]}") from error
    return np.array(result, dtype=np.int64).reshape(len(result), len(space.decisions))


def _binned(
    column: DecisionColumn, cells: Sequence[Any], place: Rows
) -> tuple[tuple[float, ...], list[float | None]]:
    """The options of a decision with bins, and the option of each row; None of blanks."""
    numbers = np.array([_number(cell, column, row, place) for row, cell in enumerate(cells)])
    held = numbers[~np.isnan(numbers)]
    if isinstance(column.bins, int):
        if not held.size or held.min() == held.max():
            raise TableFileError(
                f"Expected different numbers in {column.column!r}, as it is to have "
                f"{counted(column.bins, 'bin')}, but got "
                f"{f'only {held[0]:g}' if held.size else 'none'}. Give its options."
            )
        if column.log and held.min() <= 0:
            row = int(np.flatnonzero(numbers <= 0)[0])
            raise TableFileError(
                f"{place(row)}: expected a number above 0 in {column.column!r}, whose bins are "
                f"logarithmic, but got {numbers[row]:g}."
            )
        spaced = np.geomspace if column.log else np.linspace
        edges = spaced(held.min(), held.max(), column.bins + 1)
    else:
        edges = np.array(column.bins, dtype=np.float64)
        outside = np.flatnonzero((numbers < edges[0]) | (numbers > edges[-1]))
        if outside.size:
            raise TableFileError(
                f"{place(int(outside[0]))}: expected a number from {edges[0]:g} to {edges[-1]:g} in "
                f"{column.column!r}, as its bins have these edges, but got "
                f"{numbers[outside[0]]:g}."
            )
    middles = (
        np.sqrt(edges[:-1]) * np.sqrt(edges[1:]) if column.log else edges[:-1] / 2 + edges[1:] / 2
    )
    options = [float(f"{middle:.4g}") for middle in middles]
    if len(set(options)) < len(options):
        options = middles.tolist()
    if len(set(options)) < len(options):
        raise TableFileError(
            f"The bins of {column.column!r} are narrower than numbers can tell apart. Take fewer."
        )
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(options) - 1)
    found = [None if math.isnan(n) else options[i] for n, i in zip(numbers, places, strict=True)]
    return tuple(options), found


def _number(cell: Any, column: DecisionColumn, row: int, place: Rows) -> float:
    if cell is None or str(cell).strip().lower() in BLANK:
        return math.nan
    try:
        number = float(cell)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or "_" in str(cell):
        raise TableFileError(
            f"{place(row)}: expected a finite number in {column.column!r}, which has bins, but got "
            f"{quoted(cell)}."
        )
    return number


def write_rows(
    folder: Path,
    info: TableInfo,
    architectures: Architectures,
    columns: Mapping[Column, Callable[[], NDArray[np.float64]]],
    place: Rows,
    *,
    repeats: bool = False,
) -> None:
    """Writes a table of rows into an existing empty folder.

    Args:
        folder: The folder.
        info: What the table is.
        architectures: ``(n, d)``: that of each row.
        columns: Each column, and a function that returns its values, ``(n, trials, epochs)``.
        place: Names a row.
        repeats: Whether several rows of one architecture are trials of it; else they are refused.

    Raises:
        TableFileError: There are no rows, two rows are of one architecture, or a value is impossible.
        OverflowError: The space is too large to number.
    """
    space, n = info.search_space, len(architectures)
    if not n:
        raise TableFileError(f"{info.name!r} would have no rows.")
    dense = space.size <= LARGEST_DENSE
    indices = space.index(architectures if dense else space.canonical(architectures))
    order = np.argsort(indices, kind="stable")
    same = np.flatnonzero(np.diff(indices[order]) == 0)
    if same.size and not repeats:
        first, second = order[same[0]], order[same[0] + 1]
        raise TableFileError(
            f"{place.source}: {place.name(int(first))} and {place.name(int(second))} are the same "
            f"architecture{'' if dense else ' or isomorphic'}, "
            f"{space.to_string(architectures[[first]])[0]}. Rows of one architecture are trials of it "
            f'if the table says repeats = "trials".'
        )
    keys, first_of, key_of, counts = np.unique(
        indices, return_index=True, return_inverse=True, return_counts=True
    )
    # Rows of a dense table are in the order of the file, others in that of their keys.
    by_row = np.argsort(first_of) if dense else np.arange(len(keys))
    row_of_key = np.empty(len(keys), dtype=np.int64)
    row_of_key[by_row] = np.arange(len(keys))
    row = row_of_key[key_of.reshape(-1)]
    most = int(counts.max())
    if most > _MOST_REPEATS:
        raise TableFileError(
            f"{place(int(first_of[counts.argmax()]))}: {most:,} rows are of one architecture, "
            f"{space.to_string(architectures[[first_of[counts.argmax()]]])[0]}; expected at most "
            f"{_MOST_REPEATS:,} trials."
        )
    number = np.empty(n, dtype=np.int64)
    number[order] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)

    def arranged(column: Column, values: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        given = values()
        given = given.reshape(n, len(column.trials), -1)
        check_values(column, given, place)
        result = np.full((len(keys), most, *given.shape[1:]), np.nan)
        result[row, number] = given
        return result.reshape(len(keys), most * given.shape[1], given.shape[2])

    written = {
        replace(column, trials=_trials(column, most)): lambda c=column, v=values: arranged(c, v)
        for column, values in columns.items()
    }
    missing = info.missing
    if len(keys) < space.size and dense:
        missing = (
            *missing,
            f"{space.size - len(keys):,} of the {space.size:,} architectures are not in the file.",
        )
    info = replace(info, missing=missing)
    if dense:
        row_of_index = np.full(space.size, -1, dtype=np.int32)
        row_of_index[keys] = row_of_key
        Table.write(folder, info, written, row_of_index)
    else:
        Table.write(folder, info, written, keys=keys)


def _trials(column: Column, repeats: int) -> tuple[int | str, ...]:
    """The trials of a column, each in several rows."""
    if repeats == 1:
        return column.trials
    if len(column.trials) == 1:
        return tuple(range(1, repeats + 1))
    return tuple(f"{trial}, row {i}" for i in range(1, repeats + 1) for trial in column.trials)
