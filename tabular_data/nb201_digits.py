"""The table that comes with nasbench-lab: all cells of NAS-Bench-201, trained on the digits.

It is made by ``nasbench-lab build-table tabular_data/recipes/nb201-digits.toml``; what it is good for
is said in ``nb201_digits.md``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from nasbench_lab.errors import MissingSourceError
from nasbench_lab.sources import TableSource

_FOLDER = Path(__file__).parent / "nb201_digits"


def version() -> str:
    """The version of the table that is installed.

    Raises:
        MissingSourceError: This installation lacks it.
    """
    try:
        text = (_FOLDER / "manifest.json").read_text()
    except FileNotFoundError:
        raise MissingSourceError(
            f"The table that comes with nasbench-lab is missing from {_FOLDER}. Install nasbench-lab "
            f"again, or make the table: nasbench-lab build-table RECIPE.toml"
        ) from None
    return str(json.loads(text)["info"]["source"]["version"])


def convert(folder: Path) -> None:
    """Copies the table into an empty folder."""
    for file in _FOLDER.iterdir():
        shutil.copyfile(file, folder / file.name)


TABLES = [
    TableSource(
        name="nb201-digits",
        needs="nothing: it comes with nasbench-lab",
        version=version,
        convert=convert,
    )
]
"""The one table."""
