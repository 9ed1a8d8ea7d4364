"""The commands that run experiments: ``compare`` and ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import Json
from nasbench_lab.cli.execution import Handling, Shown, algorithms_at_work, check_shown, execute
from nasbench_lab.cli.options import (
    AxisOption,
    BuildOption,
    CheckRepeatOption,
    DataFolderOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    ExecutorOption,
    JobsOption,
    KeepGoingOption,
    MetricOption,
    ReferenceOption,
    SchedulerOption,
    StatisticOption,
    TimeLimitOption,
    TracebackOption,
    TrialsOption,
)
from nasbench_lab.cli.training import DEFAULT_DATA, TrainingOptions
from nasbench_lab.errors import ExperimentError
from nasbench_lab.experiment import DEFAULT_SEEDS
from nasbench_lab.user_code import is_in_file
from nasbench_lab.workers import Workers

DEFAULT_ALGORITHMS = ("random_search", "regularized_evolution", "reinforce", "gp_bo")
DEFAULT_BENCHMARK, DEFAULT_BUDGET = "nas-bench-201-final/cifar10", "200"

COMPARE_EXAMPLES = """Examples:\n
    nasbench-lab compare\n
    nasbench-lab compare --benchmark nas-bench-graph/arxiv --budget 100 --seeds 20\n
    nasbench-lab compare --algorithm random_search --algorithm "gp_bo(kernel=matern)"\n
    nasbench-lab compare --algorithm random_search --algorithm path/to/my_search.py:MySearch\n
    nasbench-lab compare -a random_search -a gp_bo --benchmark path/to/my_benchmark.py:MyBenchmark\n
    nasbench-lab compare -a random_search -a nsga2 --objective accuracy --objective parameters\n
    nasbench-lab compare -b nb201-digits -a random_search -a asha --clock resume --workers 4\n
    nasbench-lab compare --train chain --data digits -a random_search -a gp_bo --budget 30 --seeds 5\n
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
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPACE",
            help="Train the architectures of a space for real, such as chain, nb201 or "
            "FILE.py:NAME of your own; may be repeated. What one run has trained is kept for "
            "all. What it costs at most is told before it starts.",
        ),
    ] = None,
    data: DataOption = DEFAULT_DATA,
    build: BuildOption = None,
    epochs: EpochsOption = None,
    trials: TrialsOption = 1,
    device: DeviceOption = "auto",
    data_folder: DataFolderOption = None,
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
            "if unset, or of what is trained the validation accuracy.",
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
    given = data, build, epochs, trials, data_folder
    if not train and (*given, device) != (DEFAULT_DATA, None, None, 1, None, "auto"):
        raise ExperimentError(
            "--data, --build, --epochs, --trials, --device and --data-folder say how architectures are "
            "trained. Name their space too: --train chain."
        )
    if train and missing is not None:
        raise ExperimentError(
            "--missing is about tables: what is trained lacks no architecture. Leave it out."
        )
    for name in benchmark or ([] if train else [DEFAULT_BENCHMARK]):
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
    trained = {}
    for options in [TrainingOptions(space, *given) for space in train or []]:
        with algorithms_at_work():
            trains = options.benchmark(
                device,
                clock=clock or "evaluations",
                objective=objective or None,
                constraints=constraint or (),
            )
            setting = BenchmarkSetting.of(trains)
        settings.append(setting)
        trained[setting.name] = options
    shown = Shown(metric, axis, statistic, reference, as_json)
    check_shown(shown, settings)
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
    handling = Handling(time_limit, keep_going, check_repeat, traceback)

    def note(folder: Path) -> None:
        for name, options in trained.items():
            options.note(folder, name)

    execute(experiment, output, jobs, executor, scheduler, handling, shown, note)


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
    shown = Shown(metric, axis, statistic, reference, as_json)
    check_shown(shown, experiment.benchmarks)
    if output is None:
        beside = file.resolve().parent
        held = (beside / "manifest.json").exists()
        output = file.parent if held else Path("results") / file.stem
    handling = Handling(time_limit, keep_going, check_repeat, traceback)
    execute(experiment, output, jobs, executor, scheduler, handling, shown)
