"""The command that writes a result for other programs: ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import console, one_of
from nasbench_lab.words import counted

EXPORT_EXAMPLES = """Examples:\n
    nasbench-lab export results/my-run --format csv\n
    nasbench-lab export results/my-run --format ioh --output my-run-ioh"""


def _formats() -> list[str]:
    from nasbench_lab.export import FORMATS

    return list(FORMATS)


def export(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", help="A result folder.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            parser=one_of("format", _formats),
            metavar="FORMAT",
            help="Files of CSV (csv), or the data format of IOHprofiler (ioh).",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new folder; RESULT-csv or RESULT-ioh if unset."),
    ] = None,
) -> None:
    """Write a result for other programs: spreadsheets and scripts, or IOHanalyzer."""
    from nasbench_lab.export import FORMATS
    from nasbench_lab.results.result import Result

    named = folder if folder.name not in ("", "..") else folder.resolve()
    target = output or named.with_name(f"{named.name}-{form}")
    files = FORMATS[form](Result.open(folder), target)
    console.print(
        f"Exported to {target}: {counted(len(files), 'file')}.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
