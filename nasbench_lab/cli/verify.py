"""The command ``verify``: reads all of a table or a result, and says what is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import Json, console, print_json
from nasbench_lab.words import counted

VERIFY_EXAMPLES = """Examples:\n
    nasbench-lab verify nas-bench-graph/cora\n
    nasbench-lab verify results/20260301-cora
"""


def verify(
    what: Annotated[
        str,
        typer.Argument(metavar="TABLE|RESULT", help="A table's name, or the folder of either."),
    ],
    as_json: Json = False,
) -> None:
    """Read everything of a table or a result, and say what is damaged.

    Ends with code 1 if anything is.
    """
    from nasbench_lab.errors import TableFileError
    from nasbench_lab.registry import kept_tables, open_table, remedy, table_folder
    from nasbench_lab.results.folder import verify_result
    from nasbench_lab.tables.folder import problems

    folder, kind, files = Path(what), "table", "*.npy"
    named = what in kept_tables() or not folder.is_dir()
    if not named and ((folder / "runs").is_dir() or (folder / "experiment.toml").is_file()):
        kind, files = "result", "runs/*.parquet"
        found = verify_result(folder)
    elif not named:
        found = problems(folder)
    else:
        folder, unopened = table_folder(what), []
        try:
            open_table(what)
        except TableFileError as error:
            unopened = [str(error)]
        found = problems(folder, remedy(what)) or unopened
    read = len(list(folder.glob(files))) + 1
    if as_json:
        print_json({kind: what, "folder": str(folder), "files": read, "problems": found})
    elif found:
        for problem in found:
            console.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(
            f"The {kind} {what} is sound: {counted(read, 'file')} in {folder}.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if found:
        raise typer.Exit(1)
