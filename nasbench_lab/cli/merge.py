"""The command ``merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from nasbench_lab.cli.console import console
from nasbench_lab.cli.execution import new_folder
from nasbench_lab.words import counted

MERGE_EXAMPLES = """Examples:\n
    nasbench-lab merge results/from-a results/from-b --output results/all\n
Results may be joined that have the same budget, workers and policies. They may differ in their
algorithms, benchmarks and seeds; tables of one name must be the same."""


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="RESULT…", help="Result folders.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The new result folder; one in results if unset."),
    ] = None,
) -> None:
    """Join results that were made on different machines; the folders stay as they are."""
    from nasbench_lab.results.folder import missing_runs
    from nasbench_lab.results.result import Result, merged

    result = merged({str(folder): Result.open(folder) for folder in folders})
    folder = output or new_folder()
    if missing_runs(
        folder, result.experiment, result.runs
    ):  # else it was killed when all was written
        result.save(folder)
    for note in result.notes_on_origin():
        console.print(f"Note: {escape(note)}", highlight=False, soft_wrap=True)
    console.print(
        f"{len(result.runs)} of {counted(result.n_expected, 'run')}: {folder}",
        soft_wrap=True,
        markup=False,
    )
