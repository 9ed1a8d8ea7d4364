"""Figures as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_lab.csv_files import write_csv
from nasbench_lab.figures.layout import STYLE
from nasbench_lab.files import atomic_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def save_figure(
    figure: Figure,
    stem: Path,
    formats: Sequence[str] = ("png", "svg"),
    data: pd.DataFrame | None = None,
) -> list[Path]:
    """Writes a figure in several formats and returns the files.

    Args:
        figure: The figure.
        stem: The path of the files without ending.
        formats: Endings that matplotlib knows.
        data: The figure's data, which is written beside it as CSV.
    """
    from matplotlib import rc_context

    # Without a date, equal results give equal files.
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    files = []
    for ending in formats:
        file = stem.with_name(f"{stem.name}.{ending}")
        with atomic_file(file) as path, rc_context(STYLE):
            figure.savefig(path, format=ending, dpi=200, metadata=undated.get(ending))
        files.append(file)
    if data is not None:
        files.append(stem.with_name(f"{stem.name}.csv"))
        with atomic_file(files[-1]) as path:
            write_csv(data, path)
    return files
