"""Writes what a study found into a folder: tables, a summary and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Study(Protocol):
    """What a study has found."""

    def frames(self) -> Mapping[str, pd.DataFrame]:
        """Tables, by the names of their files."""

    def summary(self) -> dict[str, Any]:
        """Single numbers and words."""


def write_study(
    study: Study, figures: Mapping[str, Figure], folder: Path, may_lack: Sequence[str]
) -> list[Path]:
    """Writes tables, summary and figures; takes away what an earlier study has and this has not.

    Args:
        study: What was found.
        figures: Its figures, by the names of their files.
        folder: Where to.
        may_lack: The names of tables and figures that not every study of the kind has.

    Returns:
        The files.

    Raises:
        DataFolderError: The folder cannot be written.
    """
    from nasbench_lab.csv_files import write_csv
    from nasbench_lab.figures.saving import save_figure
    from nasbench_lab.files import atomic_file, folder_errors

    files = []
    for name, frame in study.frames().items():
        files.append(folder / f"{name}.csv")
        with atomic_file(files[-1]) as path:
            write_csv(frame, path)
    # Numbers that there are none for become null.
    summary = json.loads(json.dumps(study.summary()), parse_constant=lambda _: None)
    files.append(folder / "summary.json")
    with atomic_file(files[-1]) as path:
        path.write_text(json.dumps(summary, indent=1) + "\n")
    for name, figure in figures.items():
        files += save_figure(figure, folder / name)
    with folder_errors(folder):
        for name in may_lack:
            for ending in ("csv", "png", "svg"):
                if (left := folder / f"{name}.{ending}") not in files:
                    left.unlink(missing_ok=True)
    return files
