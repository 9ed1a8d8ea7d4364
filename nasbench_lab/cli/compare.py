"""The commands that make results: ``compare``, ``run`` and ``merge``."""

from __future__ import annotations

import itertools
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast

import typer
from rich.markup import escape

from nasbench_lab.cli.console import Json, console, errors, progress
from nasbench_lab.cli.options import (
    AxisOption,
    CheckRepeatOption,
    ExecutorOption,
    JobsOption,
    KeepGoingOption,
    MetricOption,
    ReferenceOption,
    SchedulerOption,
    StatisticOption,
    TimeLimitOption,
    TracebackOption,
)
from nasbench_lab.cli.results import show
from nasbench_lab.clock import counts_seconds
from nasbench_lab.errors import (
    AlgorithmError,
    AlgorithmWarning,
    ExperimentError,
    NasbenchLabError,
    UnknownNameError,
)
from nasbench_lab.experiment import DEFAULT_SEEDS
from nasbench_lab.user_code import is_in_file
from nasbench_lab.words import counted
from nasbench_lab.workers import Workers

if TYPE_CHECKING:
    from nasbench_lab.experiment.experiment import Cell, Experiment
    from nasbench_lab.experiment.settings import BenchmarkSetting
    from nasbench_lab.processes import Executor
    from nasbench_lab.results.parts import Run
    from nasbench_lab.results.result import Result

DEFAULT_ALGORITHMS = ("random_search", "regularized_evolution", "reinforce", "gp_bo")
DEFAULT_BENCHMARK, DEFAULT_BUDGET = "nas-bench-201-final/cifar10", "200"
RESULTS = Path("results")

COMPARE_EXAMPLES = """Examples:\n
    nasbench-lab compare\n
    nasbench-lab compare --benchmark nas-bench-graph/arxiv --budget 100 --seeds 20\n
    nasbench-lab compare --algorithm random_search --algorithm "gp_bo(kernel=matern)"\n
    nasbench-lab compare --algorithm random_search --algorithm path/to/my_search.py:MySearch\n
    nasbench-lab compare -a random_search -a gp_bo --benchmark path/to/my_benchmark.py:MyBenchmark\n
    nasbench-lab compare -a random_search -a nsga2 --objective accuracy --objective parameters\n
    nasbench-lab compare -b nb201-digits -a random_search -a asha --clock resume --workers 4\n
    nasbench-lab compare -b nas-bench-graph/cora --warm-start nas-bench-graph/cs --use candidates"""


def compare(
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm",
            "-a",
            metavar="NAME",
            help="A name, name(key=value), or FILE.py:CLASS; may be repeated.",
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            "--benchmark",
            "-b",
            metavar="NAME",
            help="A table's name, or FILE.py:NAME of a benchmark of your own; may be repeated.",
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            metavar="BUDGET",
            help="Of each run: 200 (evaluations), 12000s, 12h or 10d (simulated), 500epochs.",
        ),
    ] = DEFAULT_BUDGET,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs of each algorithm.")
    ] = DEFAULT_SEEDS,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The result folder. What it holds of this comparison is not run again; more seeds, "
            "algorithms and tables may join. If unset, the last one in results in which this was "
            "begun and not finished, or else a new one.",
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
            metavar="COLUMN",
            help="What searches see; may be repeated, for several objectives. What the table says "
            "if unset.",
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND",
            help="What architectures must keep to, such as parameters<=0.5; may be repeated.",
        ),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="What comes of architectures that a table lacks: pool (searches move among the "
            "measured ones only), fail (charged), free; pool if unset and the table holds less than "
            "half of its space, else fail.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Evaluations at once, on the simulated clock.")
    ] = 1,
    synchronous: Annotated[
        bool, typer.Option("--synchronous", help="Workers wait for each other: batches.")
    ] = False,
    fail: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="CHANCE", help="The chance that an evaluation fails."),
    ] = Workers.fail,
    straggle: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="CHANCE", help="The chance that one takes longer."),
    ] = Workers.straggle,
    slowdown: Annotated[
        float,
        typer.Option(min=1, metavar="FACTOR", help="How many times as long that then is."),
    ] = Workers.slowdown,
    free_repeats: Annotated[
        bool, typer.Option("--free-repeats", help="Evaluating the same again costs nothing.")
    ] = False,
    warm_start: Annotated[
        list[str] | None,
        typer.Option(
            "--warm-start",
            metavar="RESULT|TABLE",
            help="A result folder or a table from which runs begin; may be repeated.",
        ),
    ] = None,
    use: Annotated[
        str,
        typer.Option(
            metavar="USE",
            help="What that is used for: prior (other tasks' results, for algorithms that learn from "
            "them), candidates (other tasks' best are evaluated first), results (those of the same "
            "data count, and cost nothing).",
        ),
    ] = "prior",
    jobs: JobsOption = -1,
    executor: ExecutorOption = "processes",
    scheduler: SchedulerOption = None,
    time_limit: TimeLimitOption = None,
    keep_going: KeepGoingOption = False,
    check_repeat: CheckRepeatOption = False,
    traceback: TracebackOption = False,
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = "mean",
    reference: ReferenceOption = None,
    as_json: Json = False,
) -> None:
    """Run search algorithms on benchmarks, and leave a table and an anytime figure.

    Without options: random search, regularized evolution, REINFORCE and Gaussian-process Bayesian
    optimisation on NAS-Bench-201 (CIFAR-10), 200 evaluations, 100 seeds.
    """
    from nasbench_lab.experiment.experiment import Experiment
    from nasbench_lab.experiment.settings import BenchmarkSetting, taken_benchmark
    from nasbench_lab.registry import load_benchmark
    from nasbench_lab.running.warm_start import start_of

    settings = []
    for name in benchmark or [DEFAULT_BENCHMARK]:
        if is_in_file(name):
            if clock is not None or objective or constraint or missing is not None:
                raise ExperimentError(
                    f"--clock, --objective, --constraint and --missing are about tables; {name} says "
                    f"itself what searches see and what that costs."
                )
            with algorithms_at_work():
                settings.append(BenchmarkSetting.of(taken_benchmark(name)))
        else:
            opened = load_benchmark(
                name,
                clock=clock,
                objective=objective or None,
                constraints=constraint or (),
                missing=missing,
            )
            settings.append(BenchmarkSetting.of(opened))
    shown = _Shown(metric, axis, statistic, reference, as_json)
    _check_shown(shown, settings)
    with algorithms_at_work():
        experiment = Experiment.of(
            algorithm or DEFAULT_ALGORITHMS,
            settings,
            budget=budget,
            seeds=seeds,
            workers=Workers(workers, synchronous, fail, straggle, slowdown),
            charge_repeats=not free_repeats,
            warm_start=start_of(warm_start or None, use),
            time_limit=time_limit,
        )
    handling = _Handling(time_limit, keep_going, check_repeat, traceback)
    _execute(experiment, output, jobs, executor, scheduler, handling, shown)


RUN_EXAMPLES = """Examples:\n
    nasbench-lab run my_experiment.toml\n
    nasbench-lab run results/my-run/experiment.toml --output results/again\n
    nasbench-lab run my_experiment.toml --executor dask --scheduler tcp://10.0.0.1:8786\n
The file, of which all but the first three lines may be left out:\n
    budget = "100s"                  # or 200 (evaluations), "500epochs", "200,100s"\n
    algorithms = ["random_search", "gp_bo(kernel='matern')", "my_search.py:MySearch"]\n
    benchmarks = ["nb201-digits"]    # or "my_benchmark.py:MyBenchmark"\n
    seeds = 100                      # or a list\n
    charge_repeats = true\n
    workers = { count = 4, synchronous = false, fail = 0.0, straggle = 0.0, slowdown = 3.0 }\n
An entry of algorithms may also be { name = "my label", algorithm = "gp_bo" }, and one of benchmarks
{ table = "nb201-digits", clock = "resume", objectives = ["valid_accuracy"], report =
"test_accuracy", constraints = ["parameters<=0.02"], missing = "fail" }.
A warm start is warm_start = { history = ["results/other", "TABLE"], use = "prior" }."""


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
    executor: ExecutorOption = "processes",
    scheduler: SchedulerOption = None,
    time_limit: TimeLimitOption = None,
    keep_going: KeepGoingOption = False,
    check_repeat: CheckRepeatOption = False,
    traceback: TracebackOption = False,
    metric: MetricOption = None,
    axis: AxisOption = None,
    statistic: StatisticOption = "mean",
    reference: ReferenceOption = None,
    as_json: Json = False,
) -> None:
    """Run an experiment from a file; what is finished in its folder is not run again."""
    from nasbench_lab.experiment.toml import read_experiment
    from nasbench_lab.running.warm_start import taken_source

    with algorithms_at_work():
        experiment = read_experiment(file, time_limit, taken_source)
    shown = _Shown(metric, axis, statistic, reference, as_json)
    _check_shown(shown, experiment.benchmarks)
    if output is None:
        beside = file.resolve().parent
        held = (beside / "manifest.json").exists()
        output = file.parent if held else Path("results") / file.stem
    handling = _Handling(time_limit, keep_going, check_repeat, traceback)
    _execute(experiment, output, jobs, executor, scheduler, handling, shown)


class _Handling(NamedTuple):
    """What is done about the mistakes of algorithms."""

    time_limit: float | None
    keep_going: bool
    check_repeat: bool
    traceback: bool


class _Shown(NamedTuple):
    """What is shown of the result."""

    metric: str | None
    axis: str | None
    statistic: str
    reference: str | None
    as_json: bool


def _check_shown(shown: _Shown, benchmarks: Sequence[BenchmarkSetting]) -> None:
    """Refuses to begin what could not be shown at the end.

    Raises:
        NasbenchLabError: The message says what cannot be drawn.
    """
    from nasbench_lab.stats import check_axis, check_several_objectives, objective_values

    for setting in benchmarks:
        if shown.axis is not None:
            check_axis(setting.benchmark, shown.axis)
        if shown.metric == "hypervolume":
            check_several_objectives(setting.benchmark)
            if setting.program is None:
                objective_values(setting.opened_table)


def _execute(
    experiment: Experiment,
    output: Path | None,
    jobs: int,
    executor: str,
    scheduler: str | None,
    handling: _Handling,
    shown: _Shown,
) -> None:
    """Runs an experiment, or what is left of it, and shows what came of it."""
    from nasbench_lab.benchmark import scarcity
    from nasbench_lab.results.folder import check_joins, find_unfinished, finished_cells
    from nasbench_lab.results.manifest import has_manifest
    from nasbench_lab.results.result import Result
    from nasbench_lab.running.comparison import run_experiment

    if shown.reference is not None and shown.reference not in experiment.labels:
        raise UnknownNameError("algorithm of this comparison", shown.reference, experiment.labels)
    for benchmark in experiment.benchmarks:
        for warning in scarcity(benchmark.opened_table) if benchmark.program is None else ():
            _say(f"Warning: {benchmark.name}: {warning}")
    folder = output or find_unfinished(RESULTS, experiment)
    finished: set[Cell] = set()
    if folder is not None and has_manifest(folder):
        check_joins(folder, experiment)
        finished = finished_cells(folder, experiment)
        errors.print(
            f"{len(finished)} of {counted(experiment.n_runs, 'run')} are finished in {folder} and not "
            f"run again.",
            soft_wrap=True,
            markup=False,
        )
    folder = folder or _new_folder()
    interrupted, began = False, time.perf_counter()
    try:
        with progress() as advance, algorithms_at_work():
            result = run_experiment(
                experiment,
                n_jobs=jobs,
                executor=cast("Executor", executor),
                scheduler=scheduler,
                folder=folder,
                progress=advance,
                time_limit=handling.time_limit,
                keep_going=handling.keep_going,
            )
    except KeyboardInterrupt:
        interrupted = True
        if not has_manifest(folder):
            errors.print("Interrupted before any run was finished.")
            raise typer.Exit(130) from None
        there = Result.open(folder).runs
        result = Result(experiment, [run for run in there if run.cell in experiment.cells])
    except ExperimentError:
        raise
    except NasbenchLabError as error:
        if isinstance(error, AlgorithmError) and handling.traceback:
            errors.print(error.traceback, markup=False, highlight=False, soft_wrap=True)
        if has_manifest(folder):
            errors.print(
                f"The runs that were finished are kept in {folder}; the same command goes on there.",
                soft_wrap=True,
                markup=False,
            )
        raise
    wall_s = time.perf_counter() - began
    sound = _tell_failures(result, handling.traceback)
    figures = show(result, folder, *shown)
    if interrupted:
        errors.print(
            f"Interrupted: {len(result.runs)} of {counted(result.n_expected, 'run')} were finished and "
            f"are kept in {folder}. The same command goes on there.",
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(130)
    if not shown.as_json:
        done = [run for run in result.runs if run.cell not in finished]
        if saved := _saved_time(result, done):
            console.print(f"Simulated {saved} in {wall_s:.0f} seconds.", highlight=False)
        console.print(
            f"Figure: {' and '.join(map(str, figures))}\nAll of it on one page: nasbench-lab report "
            f"{folder}",
            soft_wrap=True,
            markup=False,
        )
    if handling.check_repeat:
        sound &= _check_repeats(result)
    if not sound:
        raise typer.Exit(1)


def _saved_time(result: Result, runs: Sequence[Run]) -> str:
    """What the trainings of some runs took, by the times of their tables, in words."""
    settings = result.experiment.benchmark
    timed = [
        run
        for run in runs
        if settings(run.benchmark).program is None and counts_seconds(settings(run.benchmark).clock)
    ]
    seconds = sum(float(run.trace.cost.sum()) for run in timed)
    tables = [result.benchmark(name).table for name in {run.benchmark for run in timed}]
    device = "GPU-" if tables and all(t.info.details.get("device") == "GPU" for t in tables) else ""
    for unit, length in {"years": 365.25 * 86400, "days": 86400.0, "hours": 3600.0}.items():
        if seconds >= length:
            return f"{seconds / length:.3g} {device}{unit} of training"
    return ""


@contextmanager
def algorithms_at_work() -> Iterator[None]:
    """Sends what is printed to standard error, also from compiled code and other processes.

    Standard output is for the result alone. What algorithms do wrong is told as notes on it.
    """
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore", AlgorithmWarning)
        try:
            stdout = os.dup(1)
            os.dup2(2, 1)
        except OSError:  # one of them is closed
            yield
            return
        try:
            yield
        finally:
            if sys.__stdout__ is not None:
                sys.__stdout__.flush()
            os.dup2(stdout, 1)
            os.close(stdout)


def _tell_failures(result: Result, traceback: bool) -> bool:
    """Says on standard error which runs failed; returns whether none did."""
    failed = [run for run in result.runs if run.error is not None]
    for run in failed:
        reason, _, details = str(run.error).partition("\n")
        if traceback:
            place = f"{run.algorithm} on {run.benchmark} with seed {run.seed}"
            _say(f"{place} failed: {reason}\n{details}")
    if failed:
        names = Counter(run.algorithm for run in failed)
        counts = ", ".join(f"{count} of {name}" for name, count in names.items())
        _say(f"{len(failed)} of {len(result.runs)} runs failed: {counts}. The notes say why.")
    return not failed


def _check_repeats(result: Result) -> bool:
    """Says whether runs come out the same when they are repeated; returns whether all do."""
    from nasbench_lab.testing.repeats import check_repeats

    with algorithms_at_work():
        repeated, different = check_repeats(result)
    for text in different:
        _say(text)
    for benchmark in result.experiment.benchmarks:
        if benchmark.program is not None and benchmark.program.measured:
            _say(
                f"Runs on {benchmark.name} are not repeated: its costs are measured seconds, which "
                f"differ each time."
            )
    _say(
        f"Repeated in other processes: {repeated} runs, of which {repeated - len(different)} came out "
        f"the same."
    )
    return not different


def _say(text: str) -> None:
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


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
    from nasbench_lab.results.folder import missing_runs
    from nasbench_lab.results.result import Result, merged

    result = merged({str(folder): Result.open(folder) for folder in folders})
    folder = output or _new_folder()
    if missing_runs(
        folder, result.experiment, result.runs
    ):  # else it was killed when all was written
        result.save(folder)
    for note in result.notes_on_origin():
        console.print(f"Note: {escape(note)}", highlight=False, soft_wrap=True)
    console.print(
        f"{len(result.runs)} of {counted(result.n_expected, 'run')}: {folder}",
        soft_wrap=True,
        markup=False,
    )


def _new_folder() -> Path:
    """Makes a folder in ``results``, named after the time and told apart from others of that second."""
    from nasbench_lab.files import folder_errors

    stem = RESULTS / datetime.now().strftime("%Y-%m-%d_%H%M%S")
    with folder_errors(RESULTS):
        RESULTS.mkdir(parents=True, exist_ok=True)
        names = (stem.with_name(stem.name + (f"-{i}" if i > 1 else "")) for i in itertools.count(1))
        return next(folder for folder in names if _made(folder))


def _made(folder: Path) -> bool:
    """Makes a folder unless there is one, such as of another process that began in this second."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
