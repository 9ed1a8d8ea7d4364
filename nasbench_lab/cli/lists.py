"""The commands ``list tables``, ``list algorithms`` and ``list spaces``."""

from __future__ import annotations

import warnings

import typer

from nasbench_lab.cli.console import Json, errors, print_rows


def _examples(what: str) -> str:
    return f"Examples:\n\n    nasbench-lab list {what}\n\n    nasbench-lab list {what} --json"


list_app = typer.Typer(help="List what there is.", no_args_is_help=True)


@list_app.command("tables", epilog=_examples("tables"))
def list_tables(as_json: Json = False) -> None:
    """List all tables, and what the absent ones need."""
    from nasbench_lab.registry.listing import table_rows

    print_rows(table_rows(), as_json)


@list_app.command("algorithms", epilog=_examples("algorithms"))
def list_algorithms(as_json: Json = False) -> None:
    """List all search algorithms with their hyperparameters."""
    from nasbench_lab.registry.listing import algorithm_rows

    with warnings.catch_warnings(record=True, action="always") as told:
        rows = algorithm_rows()
    for warning in told:
        errors.print(f"Warning: {warning.message}", markup=False, highlight=False, soft_wrap=True)
    if not as_json:
        for row in rows:
            known = row["hyperparameters"].items()
            row["hyperparameters"] = ", ".join(f"{key}={value}" for key, value in known)
    print_rows(rows, as_json)


@list_app.command("spaces", epilog=_examples("spaces"))
def list_spaces(as_json: Json = False) -> None:
    """List all search spaces: ours, those of plug-ins, and those that tables keep."""
    from nasbench_lab.registry.listing import space_rows

    rows = space_rows()
    for row in rows:
        tables = row.pop("tables")
        if not as_json:
            row["encodings"] = ", ".join(row["encodings"])
            row["kept in"] = ", ".join(tables)
        elif tables:
            row["tables"] = tables
    print_rows(rows, as_json)
