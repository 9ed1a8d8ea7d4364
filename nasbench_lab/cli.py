"""The command line: ``nasbench-lab``."""

from __future__ import annotations

import itertools
import math
import signal
import sys
import warnings
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from nasbench_lab.cli_analyze import ANALYZE_EXAMPLES, analyze
from nasbench_lab.cli_files import FETCH_EXAMPLES, IMPORT_EXAMPLES, fetch, import_
from nasbench_lab.cli_train import BUILD_EXAMPLES, VALIDATE_EXAMPLES, build_table, validate
from nasbench_lab.console import Json, console, errors, print_json, print_rows, progress
from nasbench_lab.errors import (
    ExperimentError,
    MissingSourceError,
    NasbenchLabError,
    TableFileError,
)

if TYPE_CHECKING:
    from nasbench_lab.results import Result

DEFAULT_ALGORITHMS = ("random_search", "regularized_evolution", "reinforce", "gp_bo")
DEFAULT_BENCHMARK, DEFAULT_BUDGET = "nb201-digits", "100s"

app = typer.Typer(
    name="nasbench-lab",
    help="Compare neural-architecture-search algorithms on tabular benchmarks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
list_app = typer.Typer(help="List what there is.", no_args_is_help=True)
app.add_typer(list_app, name="list")
app.command("import", epilog=IMPORT_EXAMPLES)(import_)
app.command("fetch", epilog=FETCH_EXAMPLES)(fetch)
app.command("analyze", epilog=ANALYZE_EXAMPLES)(analyze)
app.command("validate", epilog=VALIDATE_EXAMPLES)(validate)
app.command("build-table", epilog=BUILD_EXAMPLES)(build_table)

TableName = Annotated[str, typer.Argument(metavar="TABLE", help="Such as nas-bench-graph/cora.")]


class Metric(StrEnum):
    """The metrics of ``nasbench_lab.stats.METRICS``, as options."""

    TEST_REGRET = "test_regret"
    VALID_REGRET = "valid_regret"
    TEST = "test"
    VALID = "valid"


class XAxis(StrEnum):
    """The axes of an anytime curve, as options."""

    EVALUATIONS = "evaluations"
    SECONDS = "seconds"


class Statistic(StrEnum):
    """The statistics of ``nasbench_lab.figures.STATISTICS``, as options."""

    MEAN = "mean"
    MEDIAN = "median"


MetricOption = Annotated[
    Metric | None, typer.Option(help="What the curves show; both regrets, side by side, if unset.")
]
AxisOption = Annotated[
    XAxis | None,
    typer.Option(help="What runs along the figure; what the budget counts, if unset."),
]
StatisticOption = Annotated[
    Statistic, typer.Option(help="Mean with 95 % bootstrap interval, or median with quartiles.")
]


@app.command(
    epilog="""Examples:\n
    nasbench-lab compare\n
    nasbench-lab compare --benchmark nas-bench-graph/arxiv --budget 100 --seeds 20\n
    nasbench-lab compare --algorithm random_search --algorithm "gp_bo(kernel=matern)"\n
    nasbench-lab compare --algorithm random_search --algorithm path/to/my_search.py:MySearch"""
)
def compare(
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm",
            "-a",
            help="A name, name(key=value), or path/to/file.py:ClassName; may be repeated.",
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option("--benchmark", "-b", help="A table's name; may be repeated."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Of each run: 200 (evaluations), 12000s (simulated), 500epochs. 200 if unset; "
            f"{DEFAULT_BUDGET} on {DEFAULT_BENCHMARK}, if no benchmark is named."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each algorithm.")] = 100,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The result folder; must be new.")
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(
            help="What an evaluation costs: official, train_only, every_epoch, resume, evaluations; "
            "what the table says if unset."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Evaluations at once, on the simulated clock.")
    ] = 1,
    free_repeats: Annotated[
        bool, typer.Option("--free-repeats", help="Evaluating the same again costs nothing.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one per core.")] = -1,
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = Statistic.MEAN,
    as_json: Json = False,
) -> None:
    """Run search algorithms on benchmarks, and leave a table and an anytime figure.

    Without options: random search, regularized evolution, REINFORCE and Gaussian-process Bayesian
    optimisation on nb201-digits, 100 simulated seconds, 100 seeds.
    """
    from nasbench_lab.experiment import compare as run_comparison
    from nasbench_lab.registry import load_benchmark
    from nasbench_lab.results import Result
    from nasbench_lab.stats import check_axis

    benchmarks = [load_benchmark(name, clock=clock) for name in benchmark or [DEFAULT_BENCHMARK]]
    if axis is not None:
        for one in benchmarks:
            check_axis(one, axis.value)
    folder = output or _new_folder()
    interrupted = False
    # When it is interrupted, joblib warns of the tasks that it drops.
    warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
    try:
        with progress() as advance:
            result = run_comparison(
                algorithm or DEFAULT_ALGORITHMS,
                benchmarks,
                budget=budget if budget is not None else ("200" if benchmark else DEFAULT_BUDGET),
                seeds=seeds,
                workers=workers,
                charge_repeats=not free_repeats,
                n_jobs=jobs,
                folder=folder,
                progress=advance,
            )
    except KeyboardInterrupt:
        interrupted = True
        if not (folder / "manifest.json").exists():
            errors.print("Interrupted before any run was finished.")
            raise typer.Exit(130) from None
        result = Result.open(folder)
    except NasbenchLabError:
        if (folder / "manifest.json").exists() and output is None:
            errors.print(f"The runs that were finished are kept in {folder}.", soft_wrap=True)
        raise
    figures = _show(result, folder, metric, axis, statistic, as_json)
    if interrupted:
        errors.print(
            f"Interrupted: {len(result.runs)} of {result.n_expected} runs were finished and are kept "
            f"in {folder}.",
            soft_wrap=True,
        )
        raise typer.Exit(130)
    if not as_json:
        console.print(f"Figure: {' and '.join(map(str, figures))}", soft_wrap=True)


def _new_folder() -> Path:
    """A folder in ``results`` named after the time, and told apart from others of that second."""
    stem = Path("results") / datetime.now().strftime("%Y-%m-%d_%H%M%S")
    names = (stem.with_name(stem.name + (f"-{i}" if i > 1 else "")) for i in itertools.count(1))
    return next(name for name in names if not name.exists())


@app.command(
    epilog="""Examples:\n
    nasbench-lab plot results/my-run --metric valid_regret --statistic median"""
)
def plot(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", help="A result folder.")],
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = Statistic.MEAN,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to put it; with the result if unset."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw the anytime figure of a result, and print its summary."""
    from nasbench_lab.results import Result

    result = Result.open(folder)
    figures = _show(result, output or folder, metric, axis, statistic, as_json)
    if not as_json:
        console.print(f"Figure: {' and '.join(map(str, figures))}", soft_wrap=True)


@list_app.command("tables")
def list_tables(as_json: Json = False) -> None:
    """List all tables, and what the absent ones need."""
    from nasbench_lab.registry import needed_files, table_folder, table_names, table_sources
    from nasbench_lab.table import Table

    rows = []
    for name in table_names():
        source = table_sources().get(name)
        folder = table_folder(name)
        version = missing = None
        try:
            info = Table.open(folder).info
            version, missing = info.source.get("version"), info.missing
            state = "ready"
        except TableFileError:
            if (folder / "manifest.json").exists():
                state = f"damaged, see {folder}"
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
        if missing:
            state += f" ({missing[0]}{', …' if len(missing) > 1 else ''})"
        rows.append({"table": name, "state": state})
    print_rows(rows, as_json)


@list_app.command("algorithms")
def list_algorithms(as_json: Json = False) -> None:
    """List all search algorithms with their hyperparameters."""
    from nasbench_lab.registry import algorithm_class, algorithm_modules, hyperparameters_of

    rows = []
    for name in sorted(algorithm_modules()):
        cls = algorithm_class(name)
        module = sys.modules[cls.__module__]
        rows.append(
            {
                "algorithm": name,
                "what": (module.__doc__ or "").strip().partition("\n")[0],
                "hyperparameters": hyperparameters_of(cls)
                if as_json
                else ", ".join(f"{key}={value}" for key, value in hyperparameters_of(cls).items()),
            }
        )
    print_rows(rows, as_json)


@list_app.command("spaces")
def list_spaces(as_json: Json = False) -> None:
    """List all search spaces."""
    from nasbench_lab.spaces import SPACES, get_space

    rows: list[dict[str, Any]] = []
    for name in sorted(SPACES):
        space = get_space(name)
        rows.append(
            {
                "space": name,
                "architectures": space.size,
                "decisions": len(space.decisions),
                "encodings": list(space.encodings) if as_json else ", ".join(space.encodings),
            }
        )
    print_rows(rows, as_json)


@app.command(epilog="Example:\n\n    nasbench-lab describe nas-bench-graph/cora")
def describe(table: TableName, as_json: Json = False) -> None:
    """Say what a table holds, where it comes from, and how to cite it."""
    from dataclasses import asdict

    import numpy as np

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.registry import open_table

    opened = open_table(table)
    opened.verify()
    info, tasks = opened.info, opened.info.tasks.items()
    columns = []
    for column in opened.columns.values():
        held = not np.isnan(opened.values(column.name)).all()
        columns.append({**asdict(column), "best": opened.optimum(column.name) if held else None})
    if as_json:
        print_json({**asdict(info), "rows": len(opened), "columns": columns})
        return
    console.print(f"[bold]{info.name}[/bold]\n{escape(info.description)}\n")
    print_rows(
        [
            {
                "column": c["name"],
                "unit": c["unit"],
                "split": c["split"] or "",
                "better": "more" if c["maximize"] else "less",
                "best": "" if c["best"] is None else f"{c['best']:.6g}",
                "trials": ", ".join(map(str, c["trials"])),
                "epochs": f"{c['epochs'][0]} to {c['epochs'][-1]}" if c["epochs"] else "the end",
            }
            for c in columns
        ],
        False,
    )
    console.print(
        f"\nSpace {info.space}: {len(opened):,} entries for {opened.space.size:,} architectures. "
        f"Searches see {info.objective}; results are reported in {info.report}; the clock is "
        f"{TableBenchmark(opened).clock}.\n"
        + "".join(f"Task {k}: {t.objective}, reported in {t.report}.\n" for k, t in tasks)
        + "".join(f"Missing: {sentence.rstrip('.')}.\n" for sentence in info.missing)
        + f"Licence: {info.licence}. Made from {info.source.get('version')}, file "
        f"{info.source.get('file')}, SHA-256 {info.source.get('sha256')}.\n",
        highlight=False,
    )
    console.print(escape(info.citation), highlight=False)


@app.command(
    epilog="""Example:\n
    nasbench-lab query nas-bench-graph/cora "Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])" """
)
def query(
    table: TableName,
    architecture: Annotated[
        str, typer.Argument(metavar="ARCHITECTURE", help="In the benchmark's official syntax.")
    ],
    as_json: Json = False,
) -> None:
    """Look one architecture up: everything that the table holds of it."""
    from nasbench_lab.registry import open_table

    opened = open_table(table)
    found = opened.space.from_string(architecture)
    values = {name: opened.query(found, name) for name in opened.columns}
    counts = {name: int(opened.counts(name)[opened.row(found)]) for name in opened.columns}
    canonical = opened.space.to_string(opened.space.canonical(found))
    if as_json:
        text = opened.space.to_string(found)
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
    ]
    print_rows(rows, False)


@app.command(epilog="Example:\n\n    nasbench-lab best nas-bench-graph/cora --by test_accuracy")
def best(
    table: TableName,
    by: Annotated[
        str | None, typer.Option(help="The column to rank by; the table's objective by default.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many to show.")] = 10,
    as_json: Json = False,
) -> None:
    """Show the best entries of a table."""
    from nasbench_lab.registry import open_table

    opened = open_table(table)
    ranked_by = opened.column(by or opened.info.objective)
    shown = list(dict.fromkeys([ranked_by.name, opened.info.objective, opened.info.report]))
    rows: list[dict[str, Any]] = []
    for row in opened.ranking(ranked_by.name)[:top].tolist():
        values = {name: float(opened.values(name)[row]) for name in shown}
        text = opened.space.to_string(tuple(opened.architectures[row].tolist()))
        formatted = values if as_json else {name: f"{v:.6g}" for name, v in values.items()}
        rows.append({**formatted, "architecture": text})
    print_rows(rows, as_json)


def _show(
    result: Result,
    folder: Path,
    metric: Metric | None,
    axis: XAxis | None,
    statistic: str,
    as_json: bool,
) -> list[Path]:
    """Prints the summary and writes the figure; returns the figure's files."""
    from nasbench_lab.figures import anytime_figure, save_figure
    from nasbench_lab.simulator import Budget

    if not result.runs:
        raise ExperimentError("No run was finished, so there is nothing to show.")
    if not any(len(run.trace) for run in result.runs):
        raise ExperimentError(
            f"There is nothing to show: {', '.join(result.algorithms)} asked for no evaluation that "
            f"ended within the budget."
        )
    if axis is None:
        by_time = "seconds" in result.experiment["budget"]
        axis = XAxis.SECONDS if by_time else XAxis.EVALUATIONS
    shown = [metric.value] if metric else ["valid_regret", "test_regret"]
    figure = anytime_figure(result, shown, axis.value, statistic=statistic)
    files = save_figure(figure, folder / f"anytime_{metric or 'regret'}_{axis}_{statistic}")
    summary = result.summary()
    if as_json:
        records = summary.to_dict(orient="records")
        figures = [str(file) for file in files]
        print_json({"summary": records, "notes": result.notes(summary), "figures": figures})
        return files
    budget = Budget(**result.experiment["budget"])
    for name in result.benchmarks:
        lines = summary[summary["benchmark"] == name].to_dict(orient="records")
        if not lines:
            continue
        counts = sorted({line["runs"] for line in lines})
        runs = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        runs += " run" if counts == [1] else " runs"
        console.print(f"\n[bold]{escape(name)}[/bold], {runs} of {budget}", highlight=False)
        rows: list[dict[str, Any]] = []
        for line in lines:
            rows.append({"algorithm": line["algorithm"]})
            if len(counts) > 1:
                rows[-1]["runs"] = line["runs"]
            rows[-1]["test regret"] = _interval(line, "test_regret")
            rows[-1]["valid regret"] = _interval(line, "valid_regret")
            rows[-1]["top 1 %"] = _reached(line, "top_1pct")
            rows[-1]["top 10"] = _reached(line, "top_10")
            if any(other["failed"] >= 0.05 for other in lines):
                rows[-1]["failed"] = f"{line['failed']:.1f}"
            rows[-1]["s/run"] = f"{line['wall_s']:.3f}"
        print_rows(rows, False)
    console.print(
        "Regret at the end: mean [95 % bootstrap interval]. Top: median evaluations until one was "
        "among the table's best by the objective (with the share of runs that got there).",
        style="dim",
        highlight=False,
    )
    for note in result.notes(summary):
        console.print(f"Note: {escape(note)}", highlight=False)
    return files


def _interval(line: dict[Any, Any], metric: str) -> str:
    if math.isnan(line[metric]):
        return "none"
    if line["runs"] - line["without"] == 1:
        return f"{line[metric]:.2f}"
    return f"{line[metric]:.2f} [{line[f'{metric}_low']:.2f},{line[f'{metric}_high']:.2f}]"


def _reached(line: dict[Any, Any], target: str) -> str:
    count = line[f"evals_to_{target}"]
    share = line[f"reached_{target}"]
    text = "∞" if math.isinf(count) else f"{count:.0f}"
    return text if share in (0.0, 1.0) else f"{text} ({share:.0%})"


def main() -> None:
    """Runs the command line; errors that were foreseen end in one line, not in a traceback."""
    # Also when it is told to end, it takes its worker processes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except NasbenchLabError as error:
        message = str(error)
        errors.print(
            f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
