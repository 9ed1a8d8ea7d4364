"""Finds search spaces by name or file: registered ones, and those that tables keep."""

from __future__ import annotations

from contextlib import suppress

from nasbench_lab.errors import DataFolderError, SpaceError, TableFileError, UnknownNameError
from nasbench_lab.spaces import SearchSpace, get_space, space_names
from nasbench_lab.tables.kept import kept_tables, table_folder
from nasbench_lab.tables.table import Table
from nasbench_lab.user_code.spaces import space_in_file
from nasbench_lab.words import listed


def own_spaces() -> dict[SearchSpace, list[str]]:
    """The spaces that tables in the data folder keep, and the names of these tables."""
    found: dict[SearchSpace, list[str]] = {}
    for name in kept_tables():
        with suppress(TableFileError, DataFolderError, UnknownNameError):  # told when it is opened
            table = Table.open(table_folder(name))
            if table.info.decisions:
                found.setdefault(table.space, []).append(name)
    return found


def find_space(name: str) -> SearchSpace:
    """The space of a name.

    Args:
        name: A registered name, that of a space which a table in the data folder keeps, or
            ``path/to/file.py:NAME``.

    Raises:
        UnknownNameError: There is no such space.
        SpaceError: The file has no such space, or tables keep several of the name.
        AlgorithmFileError: The file cannot be read or executed.
    """
    path, colon, inner = name.rpartition(":")
    if name.endswith(".py"):
        return space_in_file(name, "")
    if colon and path.endswith(".py"):
        return space_in_file(path, inner)
    if name in space_names():
        return get_space(name)
    own = own_spaces()
    fitting = {space: tables for space, tables in own.items() if space.name == name}
    if len(fitting) > 1:
        raise SpaceError(
            f"Several tables have different spaces of the name {name!r}: "
            f"{listed([tables[0] for tables in fitting.values()])}. Import them under other names."
        )
    if not fitting:
        known = {*space_names(), *(space.name for space in own)}
        hint = "A space of your own is named as path/to/file.py:NAME."
        raise UnknownNameError("space", name, known, hint)
    return next(iter(fitting))
