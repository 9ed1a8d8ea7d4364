"""The tables in the data folder, and the names that they may have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from nasbench_lab.errors import TableFileError, short
from nasbench_lab.files import data_folder, folders_with
from nasbench_lab.plug_ins import TABLES, plug_ins
from nasbench_lab.tables.sources import FileFormat, TableSource

LONGEST_NAME = 200
"""Characters of a table's name, which is that of its folder too."""

TABLE_NAME = r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*"
"""What a table's name is made of; no part of it leads out of the data folder."""


@cache
def plugged_in() -> list[tuple[list[TableSource], list[FileFormat]]]:
    """The tables and file formats of each plug-in."""
    return [plug_in for _, plug_in in plug_ins(TABLES, _tables_in)]


def _tables_in(package: ModuleType) -> tuple[list[TableSource], list[FileFormat]]:
    return list(package.TABLES), list(getattr(package, "FORMATS", []))


def table_folder(name: str) -> Path:
    """Where the table of this name is kept once it has been made."""
    return data_folder() / "tables" / name


def kept_tables() -> list[str]:
    """The names of all tables in the data folder."""
    return sorted(folders_with("manifest.json", data_folder() / "tables"))


def check_table_name(name: str, taken: Iterable[str]) -> None:
    """Refuses a name that is no folder of its own in the data folder.

    Raises:
        TableFileError: It is too long, has other signs, is taken, or lies within another table's.
    """
    expected = ""
    if len(name) > LONGEST_NAME:
        expected = f"at most {LONGEST_NAME} characters"
    elif not re.fullmatch(TABLE_NAME, name):
        expected = "letters, digits and _ . + -, with / between parts, none starting with a dot"
    elif name in taken or name == "compat":
        expected = "a name that no other table or group of tables has"
    elif any(a.startswith(f"{b}/") for o in kept_tables() for a, b in ((name, o), (o, name))):
        expected = "a name that does not lie within another table's, nor another within it"
    if expected:
        raise TableFileError(f"Expected as name of a table {expected}, but got {short(name)!r}.")
