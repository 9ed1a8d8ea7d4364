"""The command that studies a table: ``analyze``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from nasbench_lab.cli.console import Json, console, print_json, print_rows, progress
from nasbench_lab.cli.results import NoTitle
from nasbench_lab.cli.studies import write_study
from nasbench_lab.errors import QueryError
from nasbench_lab.user_code import is_in_file
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.landscape.analysis import Analysis
    from nasbench_lab.tables.columns import Task
    from nasbench_lab.tables.table import Table

ANALYZE_EXAMPLES = """Examples:\n
    nasbench-lab analyze nas-bench-graph/cora\n
    nasbench-lab analyze nas-bench-graph/arxiv --by latency --output results/latency\n
    nasbench-lab analyze nats-tss/cifar100"""

_MAY_LACK = (
    *("noise", "noise_levels", "fidelity", "fitness_distance"),
    *("local_optima", "autocorrelation", "landscape"),
)
"""What not every study has a table or figure of."""


def analyze(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Such as nas-bench-graph/cora, or table/task.")
    ],
    by: Annotated[
        str | None, typer.Option(help="The column to study; the table's objective by default.")
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(help="The column to compare with; what the table reports if unset."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to put it; results, as analysis-TABLE, if unset."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of samples and random walks.")] = 0,
    walks: Annotated[
        int | None,
        typer.Option(min=1, help="How many random walks; 1000, or 100 in a large space, if unset."),
    ] = None,
    no_title: NoTitle = False,
    as_json: Json = False,
) -> None:
    """Study a table: spread, noise, decisions that matter, local optima, ruggedness.

    Leaves CSV files, figures and summary.json in a folder, in place of an earlier study's. Of a table
    that holds less than half of its space, optima and ruggedness are left out.
    """
    from nasbench_lab.figures.landscape import analysis_figures
    from nasbench_lab.landscape.analysis import analyse

    opened, task = _open(table)
    folder = output or Path("results") / f"analysis-{table.replace('/', '-')}"
    with progress("parts") as advance:
        analysis = analyse(
            opened,
            by or (task.objective if task else None),
            report or (task.report if task else None),
            seed=seed,
            walks=walks,
            progress=advance,
        )
        advance(1, 1, "figures")
        figures = analysis_figures(analysis, title=not no_title)
        files = write_study(analysis, figures, folder, _MAY_LACK)
    if as_json:
        print_json({**analysis.summary(), "files": [str(file) for file in files]})
        return
    _show(analysis)
    names = ", ".join(file.name for file in files if file.suffix != ".svg")
    console.print(
        f"In {folder}: {names}; figures as SVG too.", soft_wrap=True, markup=False, highlight=False
    )


def _open(name: str) -> tuple[Table, Task | None]:
    """A table, and the task if one is named too, as in ``nats-tss/cifar100``."""
    from nasbench_lab.registry import load_benchmark, open_table, table_names

    if is_in_file(name):
        raise QueryError(
            f"A landscape is that of all entries of a table, and {name} is no table. Compare searches "
            f"on it (nasbench-lab compare --benchmark {name}), or import what was measured."
        )
    if "/" in name and name not in table_names():
        benchmark = load_benchmark(name)
        if benchmark.task is not None:
            return benchmark.table, benchmark.table.info.tasks[benchmark.task]
    return open_table(name), None


def _show(analysis: Analysis) -> None:
    landscape, column = analysis.landscape, analysis.landscape.column
    console.print(
        f"[bold]{escape(landscape.table.name)}[/bold], {escape(column.name)}: {landscape.how}, in "
        f"{counted(len(landscape.table), 'row')}",
        highlight=False,
        soft_wrap=True,
    )
    print_rows(
        [
            {
                "column": line["column"],
                "unit": line["unit"],
                "mean": f"{line['mean']:.5g}",
                "median": f"{line['median']:.5g}",
                "best": f"{line['best']:.5g}",
                "near": f"{line['near_architectures']:,} within {line['near']:.3g}",
                "of all": f"{line['near_share']:.2%}",
            }
            for line in analysis.distribution.to_dict(orient="records")
        ],
        False,
    )
    print_rows([{"": what, " ": text} for what, text in _facts(analysis)], False)
    if landscape.caveat:
        caveat = f"{landscape.caveat[0].upper()}{landscape.caveat[1:]}."
        console.print(caveat, style="yellow", highlight=False, soft_wrap=True)
    moved = analysis.local_optima is not None
    console.print(
        f"Mean, median{', effects of decisions, optima and walks' if moved else ' and effects'} count "
        f"architectures; noise, epochs and rank correlations count rows."
        + " Optima and walks are those of the measured means, noise included."
        * moved,
        style="dim",
        highlight=False,
    )


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    """The summary in words, without what means nothing."""
    from nasbench_lab.tables.coverage import ENOUGH

    summary = analysis.summary()
    unit = "percentage points" if summary["unit"] == "%" else summary["unit"]
    facts = []
    if noise := summary["noise"]:
        facts += [
            ("rank correlation of trials", _of_top(noise["spearman"], noise["top_spearman"])),
            (
                "noise of a trial",
                f"{noise['share_within']:.2%} of the variance; standard deviation "
                f"{noise['within_std']:.3g}, in the top 10 % {noise['top_within_std']:.3g} {unit}",
            ),
            ("reliability of the mean", f"{noise['reliability_of_mean']:.4f}"),
        ]
    if half := summary["fidelity"]:
        facts.append(
            (
                f"after {counted(half['epoch'], 'epoch')}",
                f"rank correlation {_number(half['spearman'])} with the last, "
                f"{half['overlap_top_10pct']:.0%} of its top 10 %",
            )
        )
    if agreement := summary["agreement"]:
        facts.append(
            (
                "rank correlation with report",
                f"{_of_top(agreement['spearman'], agreement['top_spearman'])}; there the best has a "
                f"regret of {agreement['regret']:.3g} ({summary['report']})",
            )
        )
    decisions, optima, walks = (summary[key] for key in ("decisions", "local_optima", "walks"))
    first = analysis.importance.sort_values("share", ascending=False).head(3)
    facts += [
        (
            "variance explained by decisions",
            f"{decisions['additive_r2']:.0%} without interactions; most by "
            + ", ".join(f"{line.decision} ({line.share:.0%})" for line in first.itertuples()),
        )
    ]
    if summary["neighbours_held"] < ENOUGH:  # which would say nothing
        return facts
    facts += [
        (
            "local optima",
            f"{optima['count']:,}, {optima['share']:.2%} of all rows; median {optima['median']:.5g}"
            if optima["all_found"]
            else f"{optima['count']:,} found by {counted(optima['ascents'], 'ascent')}, "
            f"{optima['share']:.2%} "
            f"of which started at one; median {optima['median']:.5g}",
        ),
        (
            "steepest ascents",
            f"{optima['to_best']:.1%} end at the best, {optima['to_half_point']:.1%} within "
            f"{optima['point'] / 2:.3g} and {optima['to_point']:.1%} within {optima['point']:.3g} "
            f"of it",
        ),
        (
            "fitness–distance correlation",
            _number(distance["correlation"])
            if (distance := summary["fitness_distance"])
            else "none: which architectures are the best is not known in a space of this size",
        ),
        (
            "random walks",
            f"autocorrelation {_number(walks['autocorrelation_1'])} after a move, correlation length "
            f"{_number(walks['correlation_length'])} moves",
        ),
    ]
    return facts


def _of_top(all_: float, top: float) -> str:
    return f"{_number(all_)}, of the top 10 % {_number(top)}"


def _number(value: float) -> str:
    """Three decimals; too few or equal values have no correlation."""
    return "unknown" if math.isnan(value) else f"{value:.3f}"
