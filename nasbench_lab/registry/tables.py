"""Finds tables by name, and opens them as benchmarks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.benchmark.questions import default_task
from nasbench_lab.errors import (
    DataFolderError,
    MissingSourceError,
    TableFileError,
    UnknownNameError,
)
from nasbench_lab.files import atomic_folder, remove_folder, settle
from nasbench_lab.guard import check_tables_are_open
from nasbench_lab.tables.columns import Constraint, Query, Task
from nasbench_lab.tables.folder import MAKE_AGAIN
from nasbench_lab.tables.kept import (
    LONGEST_NAME,
    TABLE_NAME,
    kept_tables,
    plugged_in,
    table_folder,
)
from nasbench_lab.tables.sources import FileFormat, TableSource
from nasbench_lab.tables.table import Table


@cache
def table_sources() -> dict[str, TableSource]:
    """All known tables by name."""
    found: dict[str, TableSource] = {}
    for sources, _ in plugged_in():
        for source in sources:
            found.setdefault(source.name, source)
    return found


@cache
def file_formats() -> list[FileFormat]:
    """All kinds of files that tables can be made from."""
    return [file_format for _, formats in plugged_in() for file_format in formats]


def needed_files() -> dict[str, str]:
    """Each table that is made from a file of the user's, and the official file that it needs."""
    return {name: file for one in file_formats() for name, file in one.tables.items()}


def table_names() -> list[str]:
    """The names of all tables that are known or kept in the data folder."""
    return sorted({*kept_tables(), *table_sources(), *needed_files()})


def open_table(name: str) -> Table:
    """Opens a table; one from an installed package is converted when it is first asked for.

    Args:
        name: Such as ``"nas-bench-graph/cora"``.

    Raises:
        UnknownNameError: There is no such table.
        MissingSourceError: The table is known, but what it is made from is not installed, or was
            not imported.
        TableFileError: The table or its source is damaged.
        DataFolderError: The data folder cannot be read or written.
        AlgorithmError: A search asks for it, in its run.
    """
    check_tables_are_open(f"the table {name!r}")
    if len(name) > LONGEST_NAME:
        raise UnknownNameError("table", name, table_names())
    source = table_sources().get(name)
    folder = table_folder(name)
    is_kept = _is_kept(folder)
    if source is None:
        if is_kept:
            return _open(name)
        if name in needed_files():
            raise MissingSourceError(
                f"Table {name!r} is not installed. Import the file that the benchmark's authors "
                f"publish ({needed_files()[name]}): nasbench-lab import PATH"
            )
        raise UnknownNameError("table", name, table_names())
    try:
        version = source.version()
    except MissingSourceError:
        if not is_kept:
            raise
        return _open(name)
    if is_kept:
        try:
            table = _open(name)
        except TableFileError as error:
            if not error.outdated:
                raise
        else:
            if table.info.source.get("version") == version:
                return table
    with atomic_folder(folder, replace=True) as new:
        source.convert(new)
    return _open(name)


def remove_table(name: str) -> int:
    """Takes a table out of the data folder, also a damaged one.

    Processes that have it open may go on, except on Windows. A table that is made from an installed
    package is made again when it is next used.

    Args:
        name: The table, as ``kept_tables`` names it.

    Returns:
        How many bytes are free now.

    Raises:
        UnknownNameError: The data folder holds no such table.
        DataFolderError: The table comes with nasbench-lab, or cannot be removed.
    """
    folder = kept_folder(name)
    freed = remove_folder(folder)
    for group in folder.parents:
        if group == table_folder(""):
            break
        with suppress(OSError):  # it holds other tables
            group.rmdir()
    return freed


def kept_folder(name: str) -> Path:
    """The folder of a table that can be removed.

    Raises:
        UnknownNameError: The data folder holds no such table.
        DataFolderError: The table comes with nasbench-lab.
    """
    source, kept = table_sources().get(name), kept_tables()
    if source is not None and source.shipped:
        raise DataFolderError(
            f"{name!r} comes with nasbench-lab, so it cannot be removed. The copy of it in "
            f"{table_folder(name)} is made whenever that folder is missing."
        )
    if name not in kept and not _is_remnant(name):
        table, task = _split_task(name)
        hint = "These are the tables in the data folder."
        if task is not None and table in kept:
            hint = f"{task!r} is a task of {table!r}; a table is removed with all of its tasks."
        raise UnknownNameError("kept table", name, kept, hint)
    return table_folder(name)


def _is_remnant(name: str) -> bool:
    """Whether the folder of a name has what is left of a table without a manifest."""
    if len(name) > LONGEST_NAME or not re.fullmatch(TABLE_NAME, name):
        return False
    return any(file.is_file() for file in table_folder(name).glob("*.npy"))


def _is_kept(folder: Path) -> bool:
    try:
        settle(folder)
        os.stat(folder / "manifest.json")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DataFolderError(f"Cannot read {folder}: {error.strerror}.") from error
    return True


def remedy(name: str) -> str:
    """What is to be done about damage to a table: only what can be made again is to be deleted."""
    source = table_sources().get(name)
    if source is None:
        return MAKE_AGAIN
    try:
        source.version()
    except MissingSourceError:
        return f"Put back a copy of it, or install {source.needs}: the table is made from that."
    return "Delete that folder; the table is then made again when it is next used."


def _open(name: str) -> Table:
    table = Table.open(table_folder(name), remedy(name))
    if table.name != name:
        raise TableFileError(
            f"{table.folder} holds the table {table.name!r} instead of {name!r}. Put it where it "
            f"belongs, {table_folder(table.name)}, or import it under the other name (--name)."
        )
    return table


def load_benchmark(
    name: str,
    *,
    objective: Query | str | Sequence[Query | str] | None = None,
    report: Query | str | None = None,
    clock: str | None = None,
    constraints: Constraint | str | Sequence[Constraint | str] = (),
    missing: str | None = None,
) -> TableBenchmark:
    """Opens a table as a benchmark.

    Args:
        name: The table, such as ``"nas-bench-graph/cora"``, or table and task, such as
            ``"nats-tss/cifar100"``.
        objective: What a search sees, one query or several; by default what the table says.
        report: What results are reported in; by default what the table says.
        clock: One of ``nasbench_lab.clock.CLOCKS``.
        constraints: What architectures must keep to, such as ``"parameters<=0.5"``.
        missing: What comes of architectures that the table lacks: ``pool``, ``fail`` or ``free``, as
            ``TableBenchmark`` explains; by default it depends on how many they are.

    Raises:
        UnknownNameError: There is no such table, clock or ``missing``.
        MissingSourceError: What the table is made from is not installed.
        QueryError: The table cannot answer, or the objective is measured on test data.
        AlgorithmError: A search asks for it, in its run.

    Example:
        >>> benchmark = load_benchmark("nas-bench-graph/cora")
        >>> benchmark.space.size
        59049
    """
    table, task = _split_task(name)
    return TableBenchmark(
        open_table(table),
        task,
        objective=objective,
        report=report,
        clock=clock,
        constraints=constraints,
        missing=missing,
    )


def open_task(name: str) -> tuple[Table, Task]:
    """Opens the table of a benchmark's name, table or table and task.

    Returns:
        The table, and the columns of the task, or the table's own.

    Raises:
        UnknownNameError: The table has no such task.
        NasbenchLabError: As ``open_table``.
    """
    table, task = _split_task(name)
    opened = open_table(table)
    return opened, default_task(opened, task)


def _split_task(name: str) -> tuple[str, str | None]:
    """Splits ``"nats-tss/cifar100"`` into table and task, where the table is known by name."""
    known = table_names()
    table, slash, task = name.rpartition("/")
    return (table, task) if slash and name not in known and table in known else (name, None)
