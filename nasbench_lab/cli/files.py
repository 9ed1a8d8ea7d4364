"""The commands that bring benchmark files, and take tables away: ``import``, ``fetch``, ``remove``."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from nasbench_lab.cli.console import Json, console, print_json, progress
from nasbench_lab.errors import MissingSourceError, TableFileError, UnknownNameError
from nasbench_lab.words import counted

IMPORT_EXAMPLES = """Examples:\n
    nasbench-lab import ~/Downloads/NATS-tss-v1_0-3ffb9-simple.tar\n
    nasbench-lab import nasbench_only108.tfrecord --no-curves\n
    nasbench-lab import my_results.csv --draft    (writes my_results.toml, to be corrected)\n
    nasbench-lab import my_results.csv --mapping my_results.toml\n
    nasbench-lab import    (everything official in $TORCH_HOME)"""


def import_(
    path: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Benchmark files or folders; may be in $TORCH_HOME."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The table's name; that of the benchmark if unset.")
    ] = None,
    curves: Annotated[
        bool, typer.Option("--curves/--no-curves", help="Keep all epochs, or only the last.")
    ] = True,
    mapping: Annotated[
        Path | None, typer.Option(help="What the columns of a CSV, JSON or Parquet file are.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="The space of a CSV, JSON or Parquet file, by name or as file.py:NAME; what its "
            "mapping says if unset."
        ),
    ] = None,
    draft: Annotated[
        bool,
        typer.Option(
            "--draft",
            help="Only write a mapping file for a CSV, JSON or Parquet file, to be corrected.",
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one per core.")] = -1,
    as_json: Json = False,
) -> None:
    """Make tables of benchmark files: recognised by content, read without running any of it."""
    from nasbench_lab.benchmark import lacking_times
    from nasbench_lab.registry import find_space, import_file, official_files, torch_home

    if draft:
        _draft(path or [], mapping, as_json)
        return
    chosen = find_space(space) if space is not None else None
    paths = path or official_files()
    if not paths:
        raise MissingSourceError(
            f"Name the file to import: there is no official benchmark file in {torch_home()}."
        )
    if name is not None and len(paths) > 1:
        raise TableFileError(f"One name, {name!r}, cannot be given to {len(paths)} tables.")
    rows: list[dict[str, Any]] = []
    for one in paths:
        with progress("records") as advance:
            table = import_file(
                one,
                name=name,
                curves=curves,
                jobs=jobs,
                space=chosen,
                mapping=mapping,
                progress=partial(_report, advance, f"importing {Path(one).name}"),
            )
        info, missing = table.info, [*table.info.missing, *lacking_times(table)]
        rows.append({"table": table.name, "entries": len(table), "missing": missing})
        if as_json:
            continue
        console.print(
            f"[bold]{escape(table.name)}[/bold]: {counted(len(table), 'entry')} for "
            f"{counted(table.space.size, 'architecture')} "
            f"of {table.space.name}, {counted(len(table.columns), 'column')}.",
            highlight=False,
        )
        for sentence in missing:
            console.print(
                f"Missing: {escape(sentence.rstrip('.'))}.", highlight=False, soft_wrap=True
            )
        tasks = [f"{table.name}/{task}" for task in info.tasks] or [table.name]
        console.print(
            f"Compare algorithms on it: nasbench-lab compare --benchmark {tasks[0]}"
            + (f" (or {', '.join(tasks[1:])})" if len(tasks) > 1 else ""),
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    if as_json:
        print_json(rows)


def _draft(paths: list[Path], mapping: Path | None, as_json: bool) -> None:
    """Writes mapping files, and says what is to be looked at."""
    from nasbench_lab.registry import draft_mapping

    if len(paths) != 1:
        raise TableFileError(
            f"Expected one CSV, JSON or Parquet file for --draft but got {len(paths) or 'none'}."
        )
    file = draft_mapping(paths[0], mapping)
    text = file.read_text(encoding="utf-8")
    checks = [line for line in text.splitlines() if "# CHECK:" in line]
    if as_json:
        print_json({"mapping": str(file), "checks": checks})
        return
    option = "" if mapping is None else f" --mapping {file}"
    console.print(
        f"Drafted {file}: {counted(text.count('[[decisions]]'), 'decision')} and "
        f"{counted(text.count('[[columns]]'), 'column')} of measurements. Correct it, then: "
        f"nasbench-lab import {paths[0]}{option}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    for line in checks:
        console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)


FETCH_EXAMPLES = """Example:\n
    nasbench-lab fetch nats-tss --url https://mirror.example.org/NATS-tss-v1_0-3ffb9-simple.tar"""


def fetch(
    name: Annotated[str, typer.Argument(metavar="TABLE", help="The table to be made of it.")],
    url: Annotated[str, typer.Option(help="The file on a mirror that you trust.")],
    checksum: Annotated[
        str | None, typer.Option("--sha256", help="The SHA-256 that the file must have.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to put it; $TORCH_HOME or the data folder if unset."),
    ] = None,
) -> None:
    """Download a benchmark file from a mirror; a broken download is continued."""
    from urllib.parse import unquote, urlsplit

    from nasbench_lab.files import data_folder
    from nasbench_lab.registry import needed_files
    from nasbench_lab.tables.fetching import fetch as download

    if name not in needed_files():
        raise UnknownNameError("table made from a file", name, needed_files())
    file = Path(unquote(urlsplit(url).path)).name
    if not file:
        raise MissingSourceError(f"Expected the address of a file but got {url!r}.")
    if folder is None:
        home = os.environ.get("TORCH_HOME")
        folder = Path(home).expanduser() if home else data_folder() / "downloads"
    with progress("bytes") as advance:
        target = download(
            url,
            folder / file,
            sha256=checksum,
            progress=partial(_report, advance, f"fetching {file}"),
        )
    console.print(
        f"Fetched {target}. Import it: nasbench-lab import {target}", soft_wrap=True, markup=False
    )


REMOVE_EXAMPLES = """Examples:\n
    nasbench-lab remove my-table\n
    nasbench-lab remove nats-tss --yes"""


def remove(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A table in the data folder.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a table that was imported or converted from the data folder, damaged or not."""
    from nasbench_lab.registry import kept_folder, remove_table, table_sources

    folder = kept_folder(table)
    size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
    if not yes:
        question = f"Remove the table {table!r}, {size / 1e6:,.1f} MB in {folder}?"
        typer.confirm(question, abort=True, err=True)
    freed = remove_table(table)
    again = table in table_sources()
    if as_json:
        print_json({"table": table, "bytes": freed, "made_again": again})
        return
    console.print(
        f"Removed {table}: {freed / 1e6:,.1f} MB are free. "
        + (
            f"It is made again at its next use, from {table_sources()[table].needs}."
            if again
            else "To have it again, import its file again."
        ),
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _report(advance: Callable[[int, int, str], None], what: str, done: int, total: int) -> None:
    advance(done, total, what)
