"""What the commands print: tables, JSON, progress."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

console = Console()
errors = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    table = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(rows[0] if rows else ()):
        table.add_column(name, overflow="fold", no_wrap=i == 0 and len(rows[0]) < 5)
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)


def print_json(data: Any) -> None:
    print(json.dumps(_finite(data), indent=1, allow_nan=False))


def _finite(data: Any) -> Any:
    """Writes null for what JSON has no number for."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


@contextmanager
def progress(unit: str = "runs") -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar with the time left, on standard error."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
        TextColumn("," if unit == "bytes" else f"{unit},"),
        TimeElapsedColumn(),
        TextColumn("spent,"),
        TimeLeft(),
        TextColumn("left"),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def advance(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total or None, description=what)

        yield advance
