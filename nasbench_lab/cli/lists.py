"""The commands ``list tables``, ``list algorithms`` and ``list spaces``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import typer

from nasbench_lab.cli.console import Json, errors, print_rows
from nasbench_lab.errors import (
    AlgorithmFileError,
    DataFolderError,
    MissingSourceError,
    TableFileError,
)


def _examples(what: str) -> str:
    return f"Examples:\n\n    nasbench-lab list {what}\n\n    nasbench-lab list {what} --json"


list_app = typer.Typer(help="List what there is.", no_args_is_help=True)


@list_app.command("tables", epilog=_examples("tables"))
def list_tables(as_json: Json = False) -> None:
    """List all tables, and what the absent ones need."""
    from nasbench_lab.benchmark import lacking_times
    from nasbench_lab.registry import needed_files, table_folder, table_names, table_sources
    from nasbench_lab.tables.table import Table

    rows = []
    for name in table_names():
        source = table_sources().get(name)
        folder = table_folder(name)
        version = missing = None
        try:
            held = Table.open(folder)
            version = held.info.source.get("version")
            missing = [*held.info.missing, *lacking_times(held)]
            state = "ready"
        except DataFolderError as error:
            state = str(error)
        except TableFileError as error:
            if (folder / "manifest.json").exists():
                state = "of another version, see" if error.outdated else "damaged, see"
                state += f" nasbench-lab verify {name}"
            else:
                needed = needed_files().get(name)
                state = f"absent, needs {needed}: nasbench-lab import PATH"
        if source:
            try:
                current = source.version()
                if current != version:
                    state = f"made at first use, from {current}"
            except MissingSourceError:
                state = state if version else f"absent, needs {source.needs}"
            except TableFileError as error:
                state = str(error)
        if missing:
            state += f" ({missing[0]}{', …' if len(missing) > 1 else ''})"
        rows.append({"table": name, "state": state})
    print_rows(rows, as_json)


@list_app.command("algorithms", epilog=_examples("algorithms"))
def list_algorithms(as_json: Json = False) -> None:
    """List all search algorithms with their hyperparameters."""
    from nasbench_lab.algorithm import all_hyperparameters, installing, packages_of
    from nasbench_lab.registry import algorithm_class, algorithm_modules

    rows = []
    for name in sorted(algorithm_modules()):
        try:
            cls = algorithm_class(name)
        except AlgorithmFileError as error:  # of a plug-in that is broken
            errors.print(f"Warning: {error}", markup=False, highlight=False, soft_wrap=True)
            continue
        absent = [
            extra for package, extra in packages_of(cls).items() if find_spec(package) is None
        ]
        module, known = sys.modules[cls.__module__], all_hyperparameters(cls)
        rows.append(
            {
                "algorithm": name,
                "what": (module.__doc__ or "").strip().partition("\n")[0],
                "needs": installing(*absent) if absent else "",
                "hyperparameters": known
                if as_json
                else ", ".join(f"{key}={value}" for key, value in known.items()),
            }
        )
    print_rows(rows, as_json)


@list_app.command("spaces", epilog=_examples("spaces"))
def list_spaces(as_json: Json = False) -> None:
    """List all search spaces: ours, those of plug-ins, and those that tables keep."""
    from nasbench_lab.registry import own_spaces
    from nasbench_lab.spaces import get_space, space_names

    own = own_spaces()
    known = [(name, get_space(name)) for name in sorted(space_names())]
    listed = [(name, space, own.pop(space, [])) for name, space in known]
    rows: list[dict[str, Any]] = []
    for name, space, tables in [*listed, *((one.name, one, kept) for one, kept in own.items())]:
        row: dict[str, Any] = {
            "space": name,
            "architectures": space.size,
            "decisions": len(space.decisions),
            "encodings": list(space.encodings) if as_json else ", ".join(space.encodings),
        }
        if not as_json:
            row["kept in"] = ", ".join(tables)
        elif tables:
            row["tables"] = tables
        rows.append(row)
    print_rows(rows, as_json)
