"""Makes tables of the files that benchmarks are published as."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nasbench_lab.bounded_files import check_regular
from nasbench_lab.errors import DataFolderError, MissingSourceError, TableFileError
from nasbench_lab.files import atomic_folder, nearest_file
from nasbench_lab.registry.tables import (
    file_formats,
    needed_files,
    open_table,
    table_sources,
)
from nasbench_lab.spaces import SearchSpace
from nasbench_lab.tables.kept import check_table_name, kept_tables, table_folder
from nasbench_lab.tables.sources import FileFormat, ImportOptions, silent
from nasbench_lab.tables.table import Table


def torch_home() -> Path:
    """Where the official packages look for their files: ``$TORCH_HOME``, else ``~/.torch``."""
    named = os.environ.get("TORCH_HOME")
    return Path(named).expanduser() if named else Path.home() / ".torch"


def official_files() -> list[Path]:
    """The official files in ``torch_home``: of each format's tables the first form that is there."""
    files = []
    for one in file_formats():
        tables = set()
        for name in one.official:
            path = torch_home() / name
            table = one.recognise(path) if path.exists() else None
            if table is not None and table not in tables:
                tables.add(table)
                files.append(path)
    return files


def import_file(
    path: Path | str,
    *,
    name: str | None = None,
    curves: bool = True,
    jobs: int = -1,
    mapping: Path | None = None,
    space: SearchSpace | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Makes a table of a benchmark file, and keeps it in the data folder under its name.

    The file is recognised by its content, never by its name, and no byte of it is executed. A table
    of that name is replaced once the new one is complete; until then, and if anything fails, it
    stays as it was.

    Args:
        path: A file or folder; if there is none of this name, one in ``torch_home``.
        name: The table's name; None for the one that the format has.
        curves: Whether the values of all epochs are kept, or only those at the end.
        jobs: How many processes read; -1 for one per core.
        mapping: Says what the columns of a CSV, JSON or Parquet file are; by default the file of the
            same name that ends in ``.toml``.
        space: The space of a CSV, JSON or Parquet file, in place of one in its mapping file.
        progress: Called with the number of records read, and their number in all or 0.

    Raises:
        MissingSourceError: There is no such file.
        TableFileError: It is of no known format, damaged, hostile, or disagrees with itself.
        DataFolderError: The data folder cannot be written.
    """
    path = _found(path)
    file_format, usual = _recognised(path)
    if space is not None and file_format.named_by is None:
        raise TableFileError(
            f"{path} is of {file_format.name}, whose space is known: leave the space out."
        )
    if mapping is not None:
        if file_format.named_by is None:
            raise TableFileError(
                f"{path} is of {file_format.name}, whose columns are known: leave the mapping "
                f"file out."
            )
        usual = file_format.named_by(Path(mapping))
    name = name or usual
    check_table_name(name, table_sources())
    if name in needed_files() and name not in file_format.tables:
        raise TableFileError(
            f"{name!r} is the name of the table of {needed_files()[name]}; {path} is of another "
            f"format. Give it another name."
        )
    options = ImportOptions(
        name, curves, jobs, mapping and Path(mapping), progress or silent, space, open_table
    )
    folder = table_folder(name)
    with atomic_folder(folder, replace=True) as new:
        file_format.convert(path, new, options)
        table = Table.open(new)
        joins = _joins(table)
        for larger, smaller in joins:
            larger.check_join(smaller)
        # Before the new table is there: should this be killed, the import is plainly not done yet.
        for larger, smaller in joins:
            if larger.name == name:
                table = table.joined(smaller)
            else:
                larger.joined(table)
    found_there = Table.open(folder)
    if found_there.info.source != table.info.source:
        raise TableFileError(
            f"Another process made a table {name!r} of {found_there.info.source.get('file')} "
            f"meanwhile, which stays. Import {path} under another name, or again."
        )
    return found_there


def draft_mapping(path: Path | str, mapping: Path | str | None = None) -> Path:
    """Writes a mapping file for a CSV, JSON or Parquet file, guessed from its columns, to be corrected.

    Args:
        path: The data file.
        mapping: The mapping file, which must not exist; by default the data file's name with
            ``.toml``.

    Returns:
        The mapping file.

    Raises:
        MissingSourceError: There is no such data file.
        TableFileError: It is damaged, needs no mapping file, or the mapping file is there already.
        DataFolderError: The mapping file cannot be written.
    """
    path = _found(path)
    file_format, _ = _recognised(path)
    if file_format.draft is None:
        raise TableFileError(
            f"{path} is of {file_format.name}, whose columns are known: import it without --draft."
        )
    file = Path(mapping).expanduser() if mapping is not None else path.with_suffix(".toml")
    if file.exists():
        raise TableFileError(
            f"{file} is there already, and stays as it is. Move it away, or name another file for the "
            f"draft with --mapping."
        )
    text = file_format.draft(path)
    try:
        with open(file, "x", encoding="utf-8") as new:
            new.write(text)
    except OSError as error:
        raise DataFolderError(f"Cannot write {file}: {error.strerror}.") from error
    return file


def _found(path: Path | str) -> Path:
    """The file or folder of a path, or the one of that name in ``torch_home``."""
    path = Path(path).expanduser()
    if not path.exists() and not path.is_absolute() and (torch_home() / path).exists():
        path = torch_home() / path
    if not path.exists():
        raise MissingSourceError(
            f"There is no file {path}, nor one of that name in {torch_home()}.{nearest_file(path)}"
        )
    path = path.resolve()
    if not path.is_dir():
        try:
            check_regular(path)
        except OSError as error:
            raise TableFileError(f"{path} cannot be imported: {error.strerror}.") from error
    return path


def _recognised(path: Path) -> tuple[FileFormat, str]:
    """The format of a file, and the usual name of its table."""
    recognised = ((file_format, file_format.recognise(path)) for file_format in file_formats())
    match = next(
        ((file_format, table) for file_format, table in recognised if table is not None), None
    )
    if match is None:
        kinds = "; ".join(
            file_format.name
            + (f" ({', '.join(file_format.tables.values())})" if file_format.tables else "")
            for file_format in file_formats()
        )
        raise TableFileError(
            f"{path} is none of the files that can be imported, or its beginning is damaged. "
            f"Expected one of: {kinds}."
        )
    return match


def _joins(table: Table) -> list[tuple[Table, Table]]:
    """Pairs of a table and another whose columns join it, such as hardware costs."""
    pairs = []
    for name in kept_tables():
        if name == table.name:
            continue
        try:
            other = Table.open(table_folder(name))
        except (TableFileError, DataFolderError):
            continue  # it says so when it is asked for
        if name in table.info.joins:
            pairs.append((other, table))
        if table.name in other.info.joins:
            pairs.append((table, other))
    return pairs
