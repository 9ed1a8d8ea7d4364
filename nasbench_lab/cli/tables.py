"""The commands that look into a table: ``describe``, ``query`` and ``best``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from nasbench_lab.cli.console import Json, console, print_json, print_rows
from nasbench_lab.errors import QueryError
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.tables.table import Table

TableName = Annotated[str, typer.Argument(metavar="TABLE", help="Such as nas-bench-graph/cora.")]

DESCRIBE_EXAMPLES = "Example:\n\n    nasbench-lab describe nas-bench-graph/cora"


def describe(table: TableName, as_json: Json = False) -> None:
    """Say what a table holds, where it comes from, and how to cite it."""
    from dataclasses import asdict

    import numpy as np

    from nasbench_lab.benchmark import TableBenchmark, gaps, lacking_times
    from nasbench_lab.registry import open_task
    from nasbench_lab.spaces.conditions import in_words
    from nasbench_lab.tables.columns import ranges
    from nasbench_lab.tables.proxies import OF_PROXIES, SCORE

    opened, _ = open_task(table)
    info, tasks = opened.info, opened.info.tasks.items()
    missing = [*info.missing, *lacking_times(opened)]
    columns = []
    for column in opened.columns.values():
        held = not np.isnan(opened.values(column.name)).all()
        columns.append({**asdict(column), "best": opened.optimum(column.name) if held else None})
    benchmark = None
    with suppress(QueryError):  # it names no objective
        benchmark = TableBenchmark(opened)
    if as_json:
        print_json(
            {
                **asdict(info),
                "missing": missing,
                "rows": len(opened),
                "coverage": opened.coverage._asdict(),
                "policy": benchmark and benchmark.missing,
                "columns": columns,
            }
        )
        return
    told = gaps(benchmark) if benchmark else []
    coverage = " ".join(told or [f"the table holds {opened.coverage}."])
    console.print(f"[bold]{escape(info.name)}[/bold]\n{escape(info.description)}\n")
    print_rows(
        [
            {
                "column": c["name"],
                "unit": c["unit"],
                "split": c["split"] or "",
                "better": "more" if c["maximize"] else "less",
                "best": "" if c["best"] is None else f"{c['best']:.6g}",
                "trials": ranges(c["trials"]),
                "epochs": ranges(c["epochs"]) if c["epochs"] else "the end",
            }
            for c in columns
            if c["quantity"] not in OF_PROXIES
        ],
        False,
    )
    if scores := [
        {
            "score without training": c["name"],
            "better": "more" if c["maximize"] else "less",
            "best": "" if c["best"] is None else f"{c['best']:.6g}",
            "seed": ranges(c["trials"]),
            "took": _took(opened, c["name"]),
        }
        for c in columns
        if c["quantity"] == SCORE
    ]:
        console.print()
        print_rows(scores, False)
    if info.decisions:
        console.print()
        print_rows(
            [
                {
                    "decision": decision.name,
                    "options": ", ".join(map(str, decision.options))
                    + (" (ordered)" if decision.ordered else ""),
                    "exists if": in_words(decision) or "always",
                }
                for decision in info.decisions
            ],
            False,
        )
    console.print(
        f"\nSpace {info.space}: {counted(len(opened), 'entry')} for "
        f"{counted(opened.space.size, 'architecture')}. {coverage[0].upper()}{coverage[1:]}\n"
        + (
            f"Searches see {'one training of ' * (info.trial == 'random')}{info.objective}; results "
            f"are reported in {'the mean ' * (info.trial == 'random')}{info.report}; the clock is "
            f"{benchmark.clock}.\n"
            if benchmark
            else ""
        )
        + "".join(f"Task {k}: {t.objective}, reported in {t.report}.\n" for k, t in tasks)
        + "".join(f"Missing: {sentence.rstrip('.')}.\n" for sentence in missing)
        + f"Licence: {info.licence}. Made from {info.source.get('version')}, file "
        f"{info.source.get('file')}, SHA-256 {info.source.get('sha256')}.\n",
        highlight=False,
        markup=False,
    )
    console.print(info.citation, highlight=False, markup=False)


def _took(table: Table, score: str) -> str:
    """The median seconds of a score, if the table has them."""
    import numpy as np

    times = table.columns.get(f"{score}_time")
    return f"{1000 * np.nanmedian(table.values(times.name)):.3g} ms" if times else ""


QUERY_EXAMPLES = """Example:\n
    nasbench-lab query nas-bench-graph/cora "Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])" """


def query(
    table: TableName,
    architecture: Annotated[
        str, typer.Argument(metavar="ARCHITECTURE", help="In the benchmark's official syntax.")
    ],
    as_json: Json = False,
) -> None:
    """Look one architecture up: everything that the table holds of it."""
    from nasbench_lab.registry import open_task
    from nasbench_lab.tables.proxies import OF_PROXIES, SCORE

    opened, _ = open_task(table)
    parsed = opened.space.from_string(architecture)
    values = {name: opened.query(parsed, name) for name in opened.columns}
    counts = {name: int(opened.counts(name)[opened.row(parsed)]) for name in opened.columns}
    canonical = opened.space.to_string(opened.space.canonical(parsed))
    if as_json:
        text = opened.space.to_string(parsed)
        print_json(
            {"architecture": text, "canonical": canonical, "values": values, "trials": counts}
        )
        return
    console.print(f"Canonical form: {escape(canonical)}", highlight=False, soft_wrap=True)
    rows = [
        {
            "column": name,
            "value": f"{value:.6g}",
            "unit": opened.columns[name].unit,
            "split": opened.columns[name].split or "",
            "mean of": f"{counts[name]} of {len(opened.columns[name].trials)}",
        }
        for name, value in values.items()
        if opened.columns[name].quantity not in OF_PROXIES
    ]
    print_rows(rows, False)
    if scores := [
        {"score without training": name, "value": f"{value:.6g}"}
        for name, value in values.items()
        if opened.columns[name].quantity == SCORE
    ]:
        console.print()
        print_rows(scores, False)


BEST_EXAMPLES = "Example:\n\n    nasbench-lab best nas-bench-graph/cora --by test_accuracy"


def best(
    table: TableName,
    by: Annotated[
        str | None, typer.Option(help="The column to rank by; the table's objective by default.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many to show.")] = 10,
    as_json: Json = False,
) -> None:
    """Show the best entries of a table."""
    from nasbench_lab.registry import open_task

    opened, task = open_task(table)
    ranked_by = opened.column(by or task.objective or task.report)
    shown = list(filter(None, dict.fromkeys([ranked_by.name, task.objective, task.report])))
    rows: list[dict[str, Any]] = []
    for row in opened.ranking(ranked_by.name)[:top].tolist():
        values = {name: float(opened.values(name)[row]) for name in shown}
        text = opened.space.to_string(tuple(opened.architectures[row].tolist()))
        formatted = values if as_json else {name: f"{v:.6g}" for name, v in values.items()}
        rows.append({**formatted, "architecture": text})
    print_rows(rows, as_json)
