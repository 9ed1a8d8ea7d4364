"""What there is: tables, search algorithms and spaces, each as rows and as a data frame."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nasbench_lab.algorithm import all_hyperparameters, installing, packages_of
from nasbench_lab.benchmark import lacking_times
from nasbench_lab.errors import (
    AlgorithmFileError,
    DataFolderError,
    MissingSourceError,
    TableFileError,
)
from nasbench_lab.registry.algorithms import algorithm_class, algorithm_modules
from nasbench_lab.registry.spaces import own_spaces
from nasbench_lab.registry.tables import needed_files, table_names, table_sources
from nasbench_lab.spaces import get_space, space_names
from nasbench_lab.tables.kept import table_folder
from nasbench_lab.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]


def list_tables() -> pd.DataFrame:
    """All tables, by name.

    Returns:
        Columns ``table``, a name for ``load_benchmark`` and ``compare``, and ``state``: ``ready``,
        ``made at first use, from …``, ``absent, needs …``, or what is wrong with it.
    """
    return _frame(table_rows(), ["table", "state"])


def list_algorithms() -> pd.DataFrame:
    """All search algorithms, by name. One that cannot be imported is left out, with a warning.

    Returns:
        Columns ``algorithm``, a name for ``run`` and ``compare``; ``what`` it is; ``needs``, the
        command that installs what it needs and is not there, or nothing; and ``hyperparameters``, a
        dictionary of their defaults.
    """
    return _frame(algorithm_rows(), ["algorithm", "what", "needs", "hyperparameters"])


def list_spaces() -> pd.DataFrame:
    """All search spaces: ours and those of plug-ins by name, then those that tables keep.

    Returns:
        Columns ``space``, a name for ``get_space``, or of a space that tables keep; the numbers of
        ``architectures`` and ``decisions``; lists of ``encodings`` and of the ``tables`` that keep it.
    """
    return _frame(space_rows(), ["space", "architectures", "decisions", "encodings", "tables"])


def _frame(rows: list[Row], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)


def table_rows() -> list[Row]:
    """The rows of ``list_tables``."""
    return [{"table": name, "state": _state(name)} for name in table_names()]


def _state(name: str) -> str:
    """Whether a table is ready, and what it needs if not."""
    source, folder = table_sources().get(name), table_folder(name)
    version, missing = None, list[str]()
    try:
        held = Table.open(folder)
        version = held.info.source.get("version")
        missing = [*held.info.missing, *lacking_times(held)]
        state = "ready"
    except DataFolderError as error:
        state = str(error)
    except TableFileError as error:
        if (folder / "manifest.json").exists():
            state = "of another version, see" if error.outdated else "damaged, see"
            state += f" nasbench-lab verify {name}"
        else:
            needed = needed_files().get(name)
            state = f"absent, needs {needed}: nasbench-lab import PATH"
    if source:
        try:
            current = source.version()
            if current != version:
                state = f"made at first use, from {current}"
        except MissingSourceError:
            state = state if version else f"absent, needs {source.needs}"
        except TableFileError as error:
            state = str(error)
    return f"{state} ({missing[0]}{', …' if len(missing) > 1 else ''})" if missing else state


def algorithm_rows() -> list[Row]:
    """The rows of ``list_algorithms``."""
    rows = []
    for name in sorted(algorithm_modules()):
        try:
            cls = algorithm_class(name)
        except AlgorithmFileError as error:  # of a plug-in that is broken
            warnings.warn(str(error), stacklevel=3)
            continue
        absent = [
            extra for package, extra in packages_of(cls).items() if find_spec(package) is None
        ]
        rows.append(
            {
                "algorithm": name,
                "what": (sys.modules[cls.__module__].__doc__ or "").strip().partition("\n")[0],
                "needs": installing(*absent) if absent else "",
                "hyperparameters": dict(all_hyperparameters(cls)),
            }
        )
    return rows


def space_rows() -> list[Row]:
    """The rows of ``list_spaces``."""
    own = own_spaces()
    known = [(name, get_space(name)) for name in sorted(space_names())]
    listed = [(name, space, own.pop(space, [])) for name, space in known]
    return [
        {
            "space": name,
            "architectures": space.size,
            "decisions": len(space.decisions),
            "encodings": list(space.encodings),
            "tables": list(tables),
        }
        for name, space, tables in [*listed, *((one.name, one, kept) for one, kept in own.items())]
    ]
