"""Sources of tables: installed packages, and the user's files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces import SearchSpace

if TYPE_CHECKING:
    from nasbench_lab.tables.table import Table


def silent(done: int, total: int) -> None:
    """Shows nothing."""


def no_tables(name: str) -> Table:
    """Knows no table."""
    raise UnknownNameError("table", name, ())


@dataclass(frozen=True)
class TableSource:
    """A table that is made without asking from a package on this machine.

    Args:
        name: The table's name.
        needs: The package to install, in words.
        version: Returns the version of the source, or raises ``MissingSourceError``.
        convert: Writes the table into an existing empty folder.
        shipped: Whether it comes with nasbench-lab.
    """

    name: str
    needs: str
    version: Callable[[], str]
    convert: Callable[[Path], None]
    shipped: bool = False


@dataclass(frozen=True)
class ImportOptions:
    """How a file is imported.

    Args:
        name: The name of the table; None for that of the file's format.
        curves: Whether the values of all epochs are kept, not only those at the end.
        jobs: How many processes read; -1 for one per core.
        mapping: The mapping file of a CSV, JSON or Parquet file.
        progress: Called with the number of records so far and of all records (0 if unknown).
        space: The space of a CSV, JSON or Parquet file, if the mapping does not say it.
        open_table: Opens the table of a name, which the file's columns are to join.
    """

    name: str | None = None
    curves: bool = True
    jobs: int = -1
    mapping: Path | None = None
    progress: Callable[[int, int], None] = silent
    space: SearchSpace | None = None
    open_table: Callable[[str], Table] = no_tables


@dataclass(frozen=True)
class FileFormat:
    """A kind of benchmark file.

    Args:
        name: The format's name in words.
        tables: Each table that is made from such files, and the official file that it needs.
        recognise: Names the table of a path by its content; None if the format is another. It must
            not raise, whatever the content.
        convert: Writes the table of a path into an existing empty folder. Raises ``TableFileError``
            naming file and record.
        official: Names of the official files in ``$TORCH_HOME``, best first.
        named_by: Reads the table's name from a mapping file, if the format has mapping files.
        draft: Writes the text of a mapping file for a data file, if the format has mapping files.
    """

    name: str
    tables: dict[str, str]
    recognise: Callable[[Path], str | None]
    convert: Callable[[Path, Path, ImportOptions], None]
    official: tuple[str, ...] = ()
    named_by: Callable[[Path], str] | None = None
    draft: Callable[[Path], str] | None = None
