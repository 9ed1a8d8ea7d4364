"""The commands ``compare`` and ``plot``."""

from __future__ import annotations

import itertools
import math
import warnings
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from nasbench_lab.console import Json, console, errors, print_json, print_rows, progress
from nasbench_lab.errors import ExperimentError, NasbenchLabError

if TYPE_CHECKING:
    from nasbench_lab.results import Result

DEFAULT_ALGORITHMS = ("random_search", "regularized_evolution", "reinforce", "gp_bo")
DEFAULT_BENCHMARK, DEFAULT_BUDGET = "nb201-digits", "100s"

COMPARE_EXAMPLES = """Examples:\n
    nasbench-lab compare\n
    nasbench-lab compare --benchmark nas-bench-graph/arxiv --budget 100 --seeds 20\n
    nasbench-lab compare --algorithm random_search --algorithm "gp_bo(kernel=matern)"\n
    nasbench-lab compare --algorithm random_search --algorithm path/to/my_search.py:MySearch\n
    nasbench-lab compare -a random_search -a asha -a hyperband --clock resume --workers 4\n
    nasbench-lab compare -a random_search -a nsga2 --objective valid_accuracy --objective parameters"""
PLOT_EXAMPLES = """Examples:\n
    nasbench-lab plot results/my-run --metric valid_regret --statistic median\n
    nasbench-lab plot results/my-run --schedule\n
    nasbench-lab plot results/my-run --pareto"""


class Metric(StrEnum):
    """The metrics of ``nasbench_lab.stats.METRICS``, as options."""

    TEST_REGRET = "test_regret"
    VALID_REGRET = "valid_regret"
    TEST = "test"
    VALID = "valid"
    HYPERVOLUME = "hypervolume"


class XAxis(StrEnum):
    """The axes of an anytime curve, as options."""

    EVALUATIONS = "evaluations"
    SECONDS = "seconds"
    EPOCHS = "epochs"


class Statistic(StrEnum):
    """The statistics of ``nasbench_lab.figures.STATISTICS``, as options."""

    MEAN = "mean"
    MEDIAN = "median"


MetricOption = Annotated[
    Metric | None,
    typer.Option(
        help="What the curves show; both regrets, side by side, if unset, or of several objectives "
        "the hypervolume and the first one's regret."
    ),
]
AxisOption = Annotated[
    XAxis | None,
    typer.Option(help="What runs along the figure; what the budget counts, if unset."),
]
StatisticOption = Annotated[
    Statistic, typer.Option(help="Mean with 95 % bootstrap interval, or median with quartiles.")
]


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
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="What searches see; may be repeated, for several objectives. What the table says "
            "if unset."
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="What architectures must keep to: 'parameters<=0.5'; may be repeated."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Evaluations at once, on the simulated clock.")
    ] = 1,
    synchronous: Annotated[
        bool, typer.Option("--synchronous", help="Workers wait for each other: batches.")
    ] = False,
    fail: Annotated[
        float, typer.Option(min=0, max=1, help="The chance that an evaluation fails.")
    ] = 0.0,
    straggle: Annotated[
        float, typer.Option(min=0, max=1, help="The chance that one takes longer.")
    ] = 0.0,
    slowdown: Annotated[
        float, typer.Option(min=1, help="How many times as long that then is.")
    ] = 3.0,
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
    from nasbench_lab.simulator import Workers
    from nasbench_lab.stats import check_axis, objective_values

    benchmarks = [
        load_benchmark(name, clock=clock, objective=objective or None, constraints=constraint or ())
        for name in benchmark or [DEFAULT_BENCHMARK]
    ]
    for one in benchmarks:
        if axis is not None:
            check_axis(one, axis.value)
        if metric is Metric.HYPERVOLUME:
            objective_values(one)
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
                workers=Workers(workers, synchronous, fail, straggle, slowdown),
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


def plot(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", help="A result folder.")],
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = Statistic.MEAN,
    schedule: Annotated[
        bool, typer.Option("--schedule", help="Draw the workers' Gantt chart of one seed instead.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="The seed whose schedule is drawn; the first if unset.")
    ] = None,
    pareto: Annotated[
        bool,
        typer.Option("--pareto", help="Draw Pareto fronts and hypervolume over time instead."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to put it; with the result if unset."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw the anytime figure of a result, and print its summary."""
    from nasbench_lab.figures import save_figure
    from nasbench_lab.pareto_figures import pareto_figure
    from nasbench_lab.results import Result
    from nasbench_lab.schedule_figures import schedule_figure

    if seed is not None and not schedule:
        raise typer.BadParameter(
            "It says which schedule is drawn: give --schedule.", param_hint="seed"
        )
    if metric is not None and (schedule or pareto):
        raise typer.BadParameter("These figures have no metric.", param_hint="metric")
    result, figures = Result.open(folder), []
    if schedule:
        stem = "schedule" if seed is None else f"schedule_{seed}"
        figures += save_figure(schedule_figure(result, seed), (output or folder) / stem)
    if pareto:
        figure = pareto_figure(result, None if axis is None else axis.value)
        figures += save_figure(figure, (output or folder) / "pareto")
    if not (schedule or pareto):
        figures = _show(result, output or folder, metric, axis, statistic, as_json)
    elif as_json:
        print_json({"figures": [str(file) for file in figures]})
    if not as_json:
        console.print(f"Figure: {' and '.join(map(str, figures))}", soft_wrap=True)


def _show(
    result: Result,
    folder: Path,
    metric: Metric | None,
    axis: XAxis | None,
    statistic: str,
    as_json: bool,
) -> list[Path]:
    """Prints the summary and writes the figure; returns the figure's files."""
    from nasbench_lab.budget import Budget
    from nasbench_lab.figures import anytime_figure, save_figure

    if not result.runs:
        raise ExperimentError("No run was finished, so there is nothing to show.")
    if not any(len(run.trace) for run in result.runs):
        raise ExperimentError(
            f"There is nothing to show: {', '.join(result.algorithms)} asked for no evaluation that "
            f"ended within the budget."
        )
    drawn_along = axis.value if axis else result.axis
    several = any(len(entry["objectives"]) > 1 for entry in result.experiment["benchmarks"])
    shown = ["hypervolume" if several else "valid_regret", "test_regret"]
    stem = metric or ("objectives" if several else "regret")
    figure = anytime_figure(result, metric or shown, drawn_along, statistic=statistic)
    files = save_figure(figure, folder / f"anytime_{stem}_{drawn_along}_{statistic}")
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
        console.print(
            f"\n[bold]{escape(name)}[/bold], {runs} of {budget}, {escape(result.setting(name))}",
            highlight=False,
        )
        objective = result.benchmark(name).table.column(result.benchmark(name).first_objective)
        seen = "valid" if objective.split == "valid" else objective.name.replace("_", " ")
        rows: list[dict[str, Any]] = []
        for line in lines:
            rows.append({"algorithm": line["algorithm"]})
            if len(counts) > 1:
                rows[-1]["runs"] = line["runs"]
            if several:
                rows[-1]["hypervolume"] = _interval(line, "hypervolume", 3)
            rows[-1]["test regret"] = _interval(line, "test_regret")
            rows[-1][f"{seen} regret"] = _interval(line, "valid_regret")
            if not several:
                rows[-1]["top 1 %"] = _reached(line, "top_1pct")
                rows[-1]["top 10"] = _reached(line, "top_10")
            if any(other["failed"] >= 0.05 for other in lines):
                rows[-1]["failed"] = f"{line['failed']:.1f}"
            rows[-1]["ms"] = f"{1e3 * line['wall_s']:.1f}"
        print_rows(rows, False)
    explained = (
        "Hypervolume: share of that of the table's exact Pareto front. Regret: of the first objective."
        if several
        else "Top: median evaluations, of whatever length, until one was trained in full that is among "
        "the table's best by the objective (with the share of runs that got there)."
    )
    console.print(
        f"{'Hypervolume and regret' if several else 'Regret'} at the end: mean [95 % bootstrap "
        f"interval]. {explained} ms: what a run took to compute.",
        style="dim",
        highlight=False,
    )
    for note in result.notes(summary):
        console.print(f"Note: {escape(note)}", highlight=False)
    return files


def _interval(line: dict[Any, Any], metric: str, digits: int = 2) -> str:
    if math.isnan(line[metric]):
        return "none"
    if line["runs"] - line["without"] == 1:
        return f"{line[metric]:.{digits}f}"
    low, high = line[f"{metric}_low"], line[f"{metric}_high"]
    return f"{line[metric]:.{digits}f} [{low:.{digits}f},{high:.{digits}f}]"


def _reached(line: dict[Any, Any], target: str) -> str:
    count = line[f"evals_to_{target}"]
    share = line[f"reached_{target}"]
    text = "∞" if math.isinf(count) else f"{count:.0f}"
    return text if share in (0.0, 1.0) else f"{text} ({share:.0%})"
