"""The tables that come with nasbench-lab: small networks, trained on small data.

``nasbench-lab build-table tabular_data/recipes/NAME.toml`` makes one; ``nb201_digits.md`` and its like
say what it is good for.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

from nasbench_lab.errors import MissingSourceError, TableFileError
from nasbench_lab.tables.folder import problems
from nasbench_lab.tables.sources import TableSource

FOLDER = Path(__file__).parent
"""Where the tables' folders are, each with the name of its table but ``_`` for ``-``."""

_INSTALL = "Install nasbench-lab again."


def version(name: str) -> str:
    """The version of a table that is installed.

    Raises:
        MissingSourceError: This installation lacks it.
        TableFileError: Its manifest is damaged.
    """
    manifest = _folder(name) / "manifest.json"
    try:
        text = manifest.read_text("utf-8", "replace")
    except FileNotFoundError:
        raise MissingSourceError(
            f"The table {name}, which comes with nasbench-lab, is missing from {manifest.parent}. "
            f"Install nasbench-lab again, or make the table: nasbench-lab build-table RECIPE.toml"
        ) from None
    try:
        return str(json.loads(text)["info"]["source"]["version"])
    except (ValueError, LookupError, TypeError) as error:
        raise TableFileError(f"{manifest} is damaged. {_INSTALL}") from error


def convert(name: str, folder: Path) -> None:
    """Copies a table into an empty folder.

    Raises:
        TableFileError: It is damaged.
    """
    if found := problems(_folder(name), _INSTALL):
        raise TableFileError("\n".join(found))
    for file in (*_folder(name).glob("*.npy"), _folder(name) / "manifest.json"):
        shutil.copyfile(file, folder / file.name)


def _folder(name: str) -> Path:
    return FOLDER / name.replace("-", "_")


TABLES = [
    TableSource(
        name=name,
        needs="nothing: it comes with nasbench-lab",
        version=partial(version, name),
        convert=partial(convert, name),
        shipped=True,
    )
    for name in ("nb201-digits", "nb201-mnist1d", "chain-mnist1d")
]
"""One for each table."""
