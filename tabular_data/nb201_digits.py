"""The table that comes with nasbench-lab: all cells of NAS-Bench-201, trained on the digits.

``nasbench-lab build-table tabular_data/recipes/nb201-digits.toml`` makes it; ``nb201_digits.md`` says
what it is good for.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from nasbench_lab.errors import MissingSourceError, TableFileError
from nasbench_lab.tables.folder import problems
from nasbench_lab.tables.sources import TableSource

_FOLDER = Path(__file__).parent / "nb201_digits"
_INSTALL = "Install nasbench-lab again."


def version() -> str:
    """The version of the table that is installed.

    Raises:
        MissingSourceError: This installation lacks it.
        TableFileError: Its manifest is damaged.
    """
    try:
        text = (_FOLDER / "manifest.json").read_text("utf-8", "replace")
    except FileNotFoundError:
        raise MissingSourceError(
            f"The table that comes with nasbench-lab is missing from {_FOLDER}. Install nasbench-lab "
            f"again, or make the table: nasbench-lab build-table RECIPE.toml"
        ) from None
    try:
        return str(json.loads(text)["info"]["source"]["version"])
    except (ValueError, LookupError, TypeError) as error:
        raise TableFileError(f"{_FOLDER / 'manifest.json'} is damaged. {_INSTALL}") from error


def convert(folder: Path) -> None:
    """Copies the table into an empty folder.

    Raises:
        TableFileError: It is damaged.
    """
    if found := problems(_FOLDER, _INSTALL):
        raise TableFileError("\n".join(found))
    for file in (*_FOLDER.glob("*.npy"), _FOLDER / "manifest.json"):
        shutil.copyfile(file, folder / file.name)


TABLES = [
    TableSource(
        name="nb201-digits",
        needs="nothing: it comes with nasbench-lab",
        version=version,
        convert=convert,
        shipped=True,
    )
]
"""The one table."""
