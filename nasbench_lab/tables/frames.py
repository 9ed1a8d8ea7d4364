"""Tables of data frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import (
    InvalidArchitectureError,
    QueryError,
    SpaceError,
    TableFileError,
    UnknownNameError,
)
from nasbench_lab.files import atomic_folder
from nasbench_lab.spaces import Architectures, Decision, SearchSpace, get_space, kept_decisions
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.kept import check_table_name, plugged_in, table_folder
from nasbench_lab.tables.rows import (
    DecisionColumn,
    Rows,
    made_space,
    read_architectures,
    write_rows,
)
from nasbench_lab.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

Origin = str | Sequence[str] | Sequence[Sequence[str]]
"""A column of a frame, several for trials or epochs, or ``[trial][epoch]``."""


def table_of_frame(
    frame: pd.DataFrame,
    name: str,
    columns: Mapping[Column, Origin] | Sequence[Column],
    decisions: Sequence[Decision | DecisionColumn] | None,
    space: SearchSpace | str | None,
    architecture: str | Sequence[str] | None,
    folder: Path | None,
    repeats: bool | None,
    **about: Any,
) -> Table:
    """The table of a frame; see ``Table.from_frame``."""
    place = Rows(f"The frame of {name!r}", lambda row: f"row {frame.index[row]}")
    sources = dict(columns) if isinstance(columns, Mapping) else {c: c.name for c in columns}
    if (decisions is None) == (space is None):
        raise SpaceError(
            f"Expected either decisions, which make a space, or a space for {name!r}, but got "
            f"{'neither' if space is None else 'both'}."
        )
    if decisions is not None:
        own = [
            one if isinstance(one, DecisionColumn) else DecisionColumn(one, one.name)
            for one in decisions
        ]
        cells = [_cells(frame, one.column) for one in own]
        made, architectures = made_space(name, own, cells, place)
        binned = any(one.bins is not None for one in own)
    else:
        made, binned = get_space(space) if isinstance(space, str) else _given(space), False
        architectures = _architectures(frame, made, architecture, place)
    objective = about.pop("objective") or next(
        (column.name for column in sources if not column.on_test_data), ""
    )
    held = {column.name: column for column in sources}
    report = about.pop("report") or objective
    for one in (objective, report):
        if one not in held:
            raise UnknownNameError("column", one, held)
    if held[objective].on_test_data:
        raise QueryError(
            f"The objective {objective!r} is measured on test data, which a search must not see. Name "
            f"another, and this one as report."
        )
    digest = hashlib.sha256(frame.to_csv(index=False).encode("utf-8", "replace")).hexdigest()
    info = TableInfo(
        name=name,
        space=made.name,
        objective=objective,
        report=report,
        source={"version": f"frame {digest[:8]}", "file": "a data frame", "sha256": digest},
        decisions=kept_decisions(made),
        **about,
    )
    if folder is None:
        sources_of, formats = zip(*plugged_in(), strict=True) if plugged_in() else ((), ())
        taken = {source.name for some in sources_of for source in some}
        taken |= {table for some in formats for one in some for table in one.tables}
        check_table_name(name, taken)
        folder = table_folder(name)
    values = {column: _values(frame, column, origin) for column, origin in sources.items()}
    with atomic_folder(folder, replace=True) as new:
        write_rows(
            new, info, architectures, values, place, repeats=binned if repeats is None else repeats
        )
    return Table.open(folder)


def _given(space: SearchSpace | None) -> SearchSpace:
    if not isinstance(space, SearchSpace):
        raise SpaceError(f"Expected a SearchSpace or the name of one but got {space!r:.200}.")
    return space


def _cells(frame: pd.DataFrame, name: str) -> list[Any]:
    """The cells of a column."""
    if name not in frame.columns:
        raise UnknownNameError("column", str(name), map(str, frame.columns))
    if list(frame.columns).count(name) > 1:
        raise TableFileError(f"The frame has two columns {name!r}.")
    return list(frame[name].to_numpy())  # NumPy's numbers, as float32 has few digits


def _architectures(
    frame: pd.DataFrame, space: SearchSpace, named: str | Sequence[str] | None, place: Rows
) -> Architectures:
    names = [one.name for one in space.decisions] if named is None else named
    if not isinstance(names, str):
        if len(names) != len(space.decisions):
            raise TableFileError(
                f"Expected one column for each of the {len(space.decisions)} decisions of "
                f"{space.name!r} but got {len(names)}."
            )
        return read_architectures(space, [_cells(frame, one) for one in names], names, place)
    result = []
    for row, text in enumerate(_cells(frame, names)):
        try:
            result.append(space.from_string(str(text)))
        except InvalidArchitectureError as error:
            raise TableFileError(f"{place(row)}: {str(error)[:500]}") from error
    return np.array(result, dtype=np.int64).reshape(len(result), len(space.decisions))


def _values(
    frame: pd.DataFrame, column: Column, origin: Origin
) -> Callable[[], NDArray[np.float64]]:
    """A function that returns ``(n, trials, epochs)`` values of a column."""
    trials, epochs = len(column.trials), len(column.epochs or (0,))
    names = [origin] if isinstance(origin, str) else list(origin)
    flat = [name for some in names for name in ([some] if isinstance(some, str) else some)]
    if len(flat) != trials * epochs:
        raise TableFileError(
            f"{column.name!r} has {trials} trials and {epochs} epochs, and so needs "
            f"{trials * epochs} columns of the frame, but got {len(flat)}."
        )
    arrays = [_floats(_cells(frame, name), name) for name in flat]
    return lambda: np.stack(arrays, axis=1).reshape(len(frame), trials, epochs)


def _floats(cells: list[Any], name: str) -> NDArray[np.float64]:
    import pandas as pd

    try:
        return np.array(
            [np.nan if cell is pd.NA or cell is None else cell for cell in cells], float
        )
    except (TypeError, ValueError) as error:
        raise TableFileError(
            f"Expected numbers in the column {name!r} of the frame: {error}."
        ) from error
