"""What tables are made from: installed packages, and files that the user has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def silent(done: int, total: int) -> None:
    """Shows nothing."""


@dataclass(frozen=True)
class TableSource:
    """A table that can be made from something on this machine without asking.

    Args:
        name: The table's name.
        needs: What must be there, for people: a package to install.
        version: Says which version of the source is there, or raises ``MissingSourceError``.
        convert: Writes the table into an existing empty folder.
    """

    name: str
    needs: str
    version: Callable[[], str]
    convert: Callable[[Path], None]


@dataclass(frozen=True)
class ImportOptions:
    """How a file is imported.

    Args:
        name: The name of the table; None for the one that the file's format has.
        curves: Whether the values of all epochs are kept, or only those at the end.
        jobs: How many processes read; -1 for one per core.
        mapping: The mapping file of a CSV or Parquet file.
        progress: Called with the number of records read and their number in all (0 if unknown).
    """

    name: str | None = None
    curves: bool = True
    jobs: int = -1
    mapping: Path | None = None
    progress: Callable[[int, int], None] = silent


@dataclass(frozen=True)
class FileFormat:
    """A kind of benchmark file.

    Args:
        name: Of the format, for people.
        tables: Each table that is made from such files, and the official file that it needs.
        recognise: Names the table that a path holds, judging by its content; None if it is of
            another format. It must not raise, whatever the content.
        convert: Writes the table of a path into an existing empty folder. Raises ``TableFileError``
            naming file and record.
        official: Names that the official files have in ``$TORCH_HOME``, best first.
        named_by: Reads the table's name from a mapping file, for formats that have these.
    """

    name: str
    tables: dict[str, str]
    recognise: Callable[[Path], str | None]
    convert: Callable[[Path, Path, ImportOptions], None]
    official: tuple[str, ...] = ()
    named_by: Callable[[Path], str] | None = None
