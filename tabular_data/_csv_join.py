"""Tables that have the columns of a file beside those of a table that is there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import TableFileError
from nasbench_lab.spaces import Architectures
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.rows import Rows, write_rows
from nasbench_lab.tables.table import Table
from nasbench_lab.words import counted
from tabular_data._csv_mapping import MappingFile, check_goals

Values = Callable[[], NDArray[np.float64]]


def write_joined(
    folder: Path,
    base: Table,
    mapping: MappingFile,
    name: str,
    source: Mapping[str, str | int],
    architectures: Architectures,
    columns: Mapping[Column, Values],
    place: Rows,
) -> None:
    """Writes the table of a table's columns and a file's into an empty folder.

    Rows find their architecture in the table, or one that is isomorphic to it. Architectures that only
    the file has are left out; those that only the table has lack the file's values. ``missing`` of the
    new table counts both. Rows that say the same of one architecture count once.

    Args:
        folder: The folder.
        base: The table that is there; it stays as it is.
        mapping: The file's mapping.
        name: The new table's name.
        source: The file, as in the manifest of a table.
        architectures: ``(n, d)``: that of each row of the file.
        columns: The file's columns, and functions that return ``(n, trials, epochs)`` values.
        place: Names a row of the file.

    Raises:
        TableFileError: A column has the name of one of the table's, no row is of its architectures,
            rows of one architecture differ, or a value is impossible.
    """
    taken = [column.name for column in columns if column.name in base.columns]
    if taken:
        raise TableFileError(
            f"{mapping.path}: {base.name!r} has a column {taken[0]!r} already. Give the file's "
            f"another 'name'."
        )
    check_goals(mapping, {**base.columns, **{column.name: column for column in columns}})
    rows = base.row(architectures)
    known = np.flatnonzero(rows >= 0)
    if not known.size:
        raise TableFileError(f"{place.source}: {base.name!r} has none of its architectures.")
    kept = known
    if not mapping.repeats:
        said = np.hstack([values().reshape(len(rows), -1) for values in columns.values()])
        # Missing values are equal to each other in bytes, though NaN is not equal to NaN.
        said[np.isnan(said)] = np.nan
        kept = known[_first_of_equal(np.column_stack([rows, said.view(np.int64)])[known])]
    with TemporaryDirectory(dir=folder.parent) as small:
        write_rows(
            Path(small),
            TableInfo("joined", base.space.name, "", "", "", "", "", decisions=base.info.decisions),
            base.architectures[rows[kept]],
            {column: partial(_some, values, kept) for column, values in columns.items()},
            Rows(place.source, lambda row: place.name(int(kept[row]))),
            repeats=mapping.repeats,
        )
        info = _info(mapping, base, name, source, _missing(base, rows))
        base.with_columns(base.columns_of(Table.open(Path(small))), info, folder)


def _some(values: Values, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The values of some rows."""
    return values()[rows]


def _first_of_equal(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the rows without those that are equal to an earlier one."""
    return np.sort(np.unique(rows, axis=0, return_index=True)[1])


def _info(
    mapping: MappingFile,
    base: Table,
    name: str,
    source: Mapping[str, str | int],
    missing: list[str],
) -> TableInfo:
    """The description of both: what the mapping says, else what the table says."""
    table, info, file = mapping.table, base.info, source["file"]
    objective = table.get("objective", info.objective)
    report = info.report if objective == info.objective else objective
    described = table.get("description", "")
    return replace(
        info,
        name=name,
        description=f"{info.description} Columns of {file} joined it. {described}".rstrip(),
        citation="\n".join(filter(None, (info.citation, table.get("citation")))),
        licence=f"{info.licence}; {file}: {table.get('licence', 'none stated')}",
        objective=objective,
        report=table.get("report", report),
        clock=table.get("clock", info.clock),
        source=_both(source, base),
        missing=(*info.missing, *missing),
        joins=(),
    )


def _missing(base: Table, rows: NDArray[np.int64]) -> list[str]:
    """What only one of the two has, in sentences."""
    left_out = int((rows < 0).sum())
    lacking = len(base) - len(np.unique(rows[rows >= 0]))
    sentences = []
    if left_out:
        sentences.append(
            f"{left_out:,} of the {counted(len(rows), 'row')} of the file are of architectures that "
            f"{base.name} lacks, and are left out."
        )
    if lacking:
        sentences.append(
            f"{lacking:,} of the {counted(len(base), 'entry')} of {base.name} are not in the file, and "
            f"lack its values."
        )
    return sentences


def _both(source: Mapping[str, str | int], base: Table) -> dict[str, str | int]:
    """The source of the new table: the file, and the table that it joined."""
    told = {f"joined_{key}": base.info.source.get(key, "") for key in ("file", "sha256")}
    version = base.info.source.get("version", "")
    return {
        **source,
        "version": f"{source['version']} joined to {base.name} ({version})",
        "joined": base.name,
        **told,
        "joined_fingerprint": base.fingerprint(),
    }
