"""Runs an experiment for the commands, or what is left of it, and shows what came of it."""

from __future__ import annotations

import itertools
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import typer

from nasbench_lab.cli.console import console, errors, progress
from nasbench_lab.cli.results import show
from nasbench_lab.clock import counts_seconds
from nasbench_lab.errors import (
    AlgorithmError,
    AlgorithmWarning,
    ExperimentError,
    NasbenchLabError,
    UnknownNameError,
)
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.experiment.experiment import Cell, Experiment
    from nasbench_lab.experiment.settings import BenchmarkSetting
    from nasbench_lab.processes import Executor
    from nasbench_lab.results.parts import Run
    from nasbench_lab.results.result import Result

RESULTS = Path("results")


class Handling(NamedTuple):
    """What is done about the mistakes of algorithms."""

    time_limit: float | None
    keep_going: bool
    check_repeat: bool
    traceback: bool


class Shown(NamedTuple):
    """What is shown of the result."""

    metric: str | None
    axis: str | None
    statistic: str
    reference: str | None
    as_json: bool


def check_shown(shown: Shown, benchmarks: Sequence[BenchmarkSetting]) -> None:
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


def execute(
    experiment: Experiment,
    output: Path | None,
    jobs: int,
    executor: str,
    scheduler: str | None,
    handling: Handling,
    shown: Shown,
    note: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Runs an experiment, or what is left of it, and shows what came of it.

    ``note`` is called with the result folder once there is something in it.
    """
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
    folder = folder or new_folder()
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
                tell_cost=lambda cost: _say(f"Warning: {cost}"),
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
    note(folder)
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


def new_folder() -> Path:
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
