"""The commands that make results: ``compare``, ``run`` and ``merge``."""

from __future__ import annotations

import itertools
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from nasbench_lab.cli_results import (
    AxisOption,
    Metric,
    MetricOption,
    Statistic,
    StatisticOption,
    XAxis,
    show,
)
from nasbench_lab.console import Json, console, errors, progress
from nasbench_lab.errors import ExperimentError, NasbenchLabError

DEFAULT_ALGORITHMS = ("random_search", "regularized_evolution", "reinforce", "gp_bo")
DEFAULT_BENCHMARK, DEFAULT_BUDGET = "nb201-digits", "100s"
RESULTS = Path("results")

COMPARE_EXAMPLES = """Examples:\n
    nasbench-lab compare\n
    nasbench-lab compare --benchmark nas-bench-graph/arxiv --budget 100 --seeds 20\n
    nasbench-lab compare --algorithm random_search --algorithm "gp_bo(kernel=matern)"\n
    nasbench-lab compare --algorithm random_search --algorithm path/to/my_search.py:MySearch\n
    nasbench-lab compare -a random_search -a asha -a hyperband --clock resume --workers 4\n
    nasbench-lab compare -a random_search -a nsga2 --objective valid_accuracy --objective parameters"""


class ExecutorName(StrEnum):
    """The executors of ``nasbench_lab.processes``, as options."""

    PROCESSES = "processes"
    DASK = "dask"


JobsOption = Annotated[
    int, typer.Option(help="Processes; -1 for one per core, or for all workers of a cluster.")
]
ExecutorOption = Annotated[
    ExecutorName, typer.Option(help="Processes of this machine, or a Dask cluster.")
]
SchedulerOption = Annotated[
    str | None, typer.Option(help="The address of Dask's scheduler: tcp://10.0.0.1:8786.")
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
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The result folder. If it holds this comparison, the command goes on there; if "
            "unset, in the last one in results that was not finished, or else a new one.",
        ),
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
    jobs: JobsOption = -1,
    executor: ExecutorOption = ExecutorName.PROCESSES,
    scheduler: SchedulerOption = None,
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = Statistic.MEAN,
    as_json: Json = False,
) -> None:
    """Run search algorithms on benchmarks, and leave a table and an anytime figure.

    Without options: random search, regularized evolution, REINFORCE and Gaussian-process Bayesian
    optimisation on nb201-digits, 100 simulated seconds, 100 seeds.
    """
    from nasbench_lab.registry import load_benchmark
    from nasbench_lab.simulator import Workers

    arguments = {
        "algorithms": algorithm or DEFAULT_ALGORITHMS,
        "benchmarks": [
            load_benchmark(
                name, clock=clock, objective=objective or None, constraints=constraint or ()
            )
            for name in benchmark or [DEFAULT_BENCHMARK]
        ],
        "budget": budget if budget is not None else ("200" if benchmark else DEFAULT_BUDGET),
        "seeds": seeds,
        "workers": Workers(workers, synchronous, fail, straggle, slowdown),
        "charge_repeats": not free_repeats,
    }
    _execute(arguments, output, jobs, executor, scheduler, metric, axis, statistic, as_json)


RUN_EXAMPLES = """Examples:\n
    nasbench-lab run my_experiment.toml\n
    nasbench-lab run results/my-run/experiment.toml --output results/again\n
    nasbench-lab run my_experiment.toml --executor dask --scheduler tcp://10.0.0.1:8786\n
The file, of which all but the first three lines may be left out:\n
    budget = "100s"                  # or 200 (evaluations), "500epochs", "200,100s"\n
    algorithms = ["random_search", "gp_bo(kernel='matern')", "my_search.py:MySearch"]\n
    benchmarks = ["nb201-digits"]\n
    seeds = 100                      # or a list\n
    charge_repeats = true\n
    workers = { count = 4, synchronous = false, fail = 0.0, straggle = 0.0, slowdown = 3.0 }\n
An entry of algorithms may also be { name = "my label", algorithm = "gp_bo" }, and one of benchmarks
{ table = "nb201-digits", clock = "resume", objectives = ["valid_accuracy"], report =
"test_accuracy", constraints = ["parameters<=0.02"] }."""


def run(
    file: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="A TOML file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The result folder; results/NAME if unset, after the file, or the folder of the "
            "file if that is a result.",
        ),
    ] = None,
    jobs: JobsOption = -1,
    executor: ExecutorOption = ExecutorName.PROCESSES,
    scheduler: SchedulerOption = None,
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = Statistic.MEAN,
    as_json: Json = False,
) -> None:
    """Run an experiment from a file; what is finished in its folder is not run again."""
    from nasbench_lab.experiment_file import read_experiment

    arguments = read_experiment(file)
    if output is None:
        beside = file.resolve().parent
        held = (beside / "manifest.json").exists()
        output = file.parent if held else Path("results") / file.stem
    _execute(arguments, output, jobs, executor, scheduler, metric, axis, statistic, as_json)


def _execute(
    arguments: dict[str, Any],
    output: Path | None,
    jobs: int,
    executor: ExecutorName,
    scheduler: str | None,
    metric: Metric | None,
    axis: XAxis | None,
    statistic: str,
    as_json: bool,
) -> None:
    """Runs a comparison, or what is left of it, and shows what came of it."""
    from nasbench_lab.experiment import compare as run_comparison
    from nasbench_lab.experiment import describe_comparison
    from nasbench_lab.result_files import check_same, count_finished, find_unfinished
    from nasbench_lab.results import Result
    from nasbench_lab.stats import check_axis, objective_values

    for one in arguments["benchmarks"]:
        if axis is not None:
            check_axis(one, axis.value)
        if metric is Metric.HYPERVOLUME:
            objective_values(one)
    experiment = describe_comparison(**arguments)
    folder = output or find_unfinished(RESULTS, experiment) or _new_folder()
    if (folder / "manifest.json").exists():
        check_same(folder, experiment)
        finished, expected = count_finished(folder, experiment)
        errors.print(
            f"{finished} of {expected} runs are finished in {folder} and not run again.",
            soft_wrap=True,
            markup=False,
        )
    interrupted = False
    try:
        with progress() as advance:
            result = run_comparison(
                **arguments,
                n_jobs=jobs,
                executor=executor.value,
                scheduler=scheduler,
                folder=folder,
                progress=advance,
            )
    except KeyboardInterrupt:
        interrupted = True
        if not (folder / "manifest.json").exists():
            errors.print("Interrupted before any run was finished.")
            raise typer.Exit(130) from None
        result = Result.open(folder)
    except ExperimentError:
        raise
    except NasbenchLabError:
        if (folder / "manifest.json").exists():
            errors.print(
                f"The runs that were finished are kept in {folder}; the same command goes on there.",
                soft_wrap=True,
                markup=False,
            )
        raise
    figures = show(result, folder, metric, axis, statistic, as_json)
    if interrupted:
        errors.print(
            f"Interrupted: {len(result.runs)} of {result.n_expected} runs were finished and are kept "
            f"in {folder}. The same command goes on there.",
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(130)
    if not as_json:
        console.print(
            f"Figure: {' and '.join(map(str, figures))}\nAll of it on one page: nasbench-lab report "
            f"{folder}",
            soft_wrap=True,
            markup=False,
        )


MERGE_EXAMPLES = """Examples:\n
    nasbench-lab merge results/from-a results/from-b --output results/all\n
Results may be joined that have the same budget, workers and policies. They may differ in their
algorithms, benchmarks and seeds; tables of one name must be the same."""


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="RESULT…", help="Result folders.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The new result folder; one in results if unset."),
    ] = None,
) -> None:
    """Join results that were made on different machines; the folders stay as they are."""
    from nasbench_lab.results import Result, merged

    result = merged({str(folder): Result.open(folder) for folder in folders})
    folder = output or _new_folder()
    result.save(folder)
    for note in result.notes_on_origin():
        console.print(f"Note: {escape(note)}", highlight=False, soft_wrap=True)
    console.print(
        f"{len(result.runs)} of {result.n_expected} runs: {folder}", soft_wrap=True, markup=False
    )


def _new_folder() -> Path:
    """A folder in ``results`` named after the time, and told apart from others of that second."""
    stem = RESULTS / datetime.now().strftime("%Y-%m-%d_%H%M%S")
    names = (stem.with_name(stem.name + (f"-{i}" if i > 1 else "")) for i in itertools.count(1))
    return next(name for name in names if not name.exists())
