"""Comparisons: every algorithm on every benchmark with every seed, in processes."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from nasbench_lab.benchmark import Benchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import (
    AlgorithmError,
    AlgorithmWarning,
    ExperimentError,
    NasbenchLabError,
    TableFileError,
    WorkerError,
)
from nasbench_lab.experiment import DEFAULT_SEEDS
from nasbench_lab.experiment.experiment import Cell, Experiment
from nasbench_lab.experiment.settings import Algorithm
from nasbench_lab.files import identity
from nasbench_lab.guard import check_time_limit
from nasbench_lab.processes import Executor, in_processes, is_here
from nasbench_lab.results.folder import check_kept, gone, read_result, working_on
from nasbench_lab.results.manifest import has_manifest
from nasbench_lab.results.notes import notes_on_algorithms
from nasbench_lab.results.parts import Run, shard_name, write_shard
from nasbench_lab.results.result import Result
from nasbench_lab.running.tasks import Task, tasks_of
from nasbench_lab.running.training_cost import TrainingCost, logged, training_costs
from nasbench_lab.running.warm_start import DEFAULT_USE, AnyHistory, start_of
from nasbench_lab.workers import Workers


def compare(
    algorithms: Sequence[Algorithm] | Mapping[str, Algorithm],
    benchmarks: str | Benchmark | Sequence[str | Benchmark],
    *,
    budget: Budget | int | str,
    seeds: int | Sequence[int] = DEFAULT_SEEDS,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
    history: AnyHistory | None = None,
    use: str = DEFAULT_USE,
    n_jobs: int = -1,
    executor: Executor = "processes",
    scheduler: str | None = None,
    folder: Path | str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    time_limit: float | None = None,
    keep_going: bool = False,
) -> Result:
    """Runs every algorithm on every benchmark with every seed.

    With a folder, what is finished there is read and not run again: a comparison that was killed goes
    on when it is called again, and several processes that are given one folder share the work. More
    seeds, algorithms and benchmarks join those that the folder holds, and what is missing is run; the
    result that is returned has what was asked for, and the folder keeps all.

    Args:
        algorithms: Names, ``name(key=value)``, ``path/to/file.py:ClassName`` or classes; a mapping
            gives them labels of your own.
        benchmarks: Tables' names, ``path/to/file.py:NAME`` (a class, object or function that makes
            one), or benchmarks. One that is no table is judged by what all runs of the comparison
            evaluated: ``Result.benchmark`` explains it. A ``TrainingBenchmark`` keeps what it trains,
            for all algorithms and seeds; what it costs at most is logged as a warning before it starts.
        budget: Of each run, as for ``Budget.of``.
        seeds: The seeds, or how many (from 0).
        workers: How many evaluations of a run go on at once on the simulated clock, or ``Workers``
            that are synchronous, fail or straggle.
        charge_repeats: Whether evaluating the same again costs again.
        history: What other searches have shown, as for ``run``. A run on one of the tasks in it begins
            with what it holds of the others, or, if they are to be ``results``, with that of its own.
        use: What the history is used for, as for ``run``. A ``prior`` goes to the algorithms that
            learn from other tasks; the others search as without it.
        n_jobs: How many processes; -1 for one per core. The results do not depend on it.
        executor: ``processes`` of this machine, or a ``dask`` cluster, whose workers need
            nasbench-lab and the tables under the same paths. The code of algorithms is sent to them.
            A scheduler runs whatever is sent to it: it belongs into a network that is trusted.
        scheduler: The address of Dask's scheduler, such as ``"tcp://10.0.0.1:8786"``.
        folder: Where to keep the runs; each part is readable there as soon as it is finished.
        progress: Called with (runs finished, runs in all, what was finished).
        time_limit: How many seconds of real time a run may take. One that takes longer is kept as a
            run that failed, with ``Run.error``, and the others go on.
        keep_going: Whether a run in which the algorithm raises an error is kept so too. If not, the
            error ends the comparison.

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.

    Example:
        >>> result = compare(["random_search"], "nas-bench-graph/cora", budget=20, seeds=3, n_jobs=1)
        >>> len(result.to_frame())
        60
    """
    check_running(n_jobs, time_limit)
    experiment = Experiment.of(
        algorithms,
        benchmarks,
        budget=budget,
        seeds=seeds,
        workers=workers,
        charge_repeats=charge_repeats,
        warm_start=start_of(history, use),
        time_limit=time_limit,
    )
    result = run_experiment(
        experiment,
        n_jobs=n_jobs,
        executor=executor,
        scheduler=scheduler,
        folder=folder,
        progress=progress,
        time_limit=time_limit,
        keep_going=keep_going,
    )
    for text in notes_on_algorithms(result):
        warnings.warn(text, AlgorithmWarning, stacklevel=2)
    return result


def check_running(n_jobs: int, time_limit: float | None) -> None:
    """Refuses a number of processes or a time limit that makes no sense.

    Raises:
        ExperimentError: The message says what was expected.
    """
    if n_jobs == 0:
        raise ExperimentError("Expected at least one process, or -1 for one per core, but got 0.")
    check_time_limit(time_limit)


def run_experiment(
    experiment: Experiment,
    *,
    n_jobs: int = -1,
    executor: Executor = "processes",
    scheduler: str | None = None,
    folder: Path | str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    time_limit: float | None = None,
    keep_going: bool = False,
    tell_cost: Callable[[TrainingCost], None] = logged,
) -> Result:
    """Runs an experiment, or what a folder lacks of it; arguments as for ``compare``.

    ``tell_cost`` is called, before anything is run, with what each benchmark that trains costs at most.

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.
    """
    check_running(n_jobs, time_limit)
    apart = keep_going or time_limit is not None
    runs: dict[Cell, Run] = {}
    total = experiment.n_runs
    folder = None if folder is None else Path(folder)
    place = None  # the folder of runs that is worked on, which another may take the place of

    def keep(task: Task, done: list[Run]) -> None:
        for run in done:
            _check_table(run, task.benchmark)
        if done and folder is not None:
            if not has_manifest(folder) or identity(folder / "runs") != place:
                raise gone(folder, len(runs) + len(done), len(runs) + len(done))
            name = shard_name(task.place, (run.cell for run in done))
            write_shard(folder, experiment, name, done)
        runs.update({run.cell: run for run in done})

    def read() -> None:
        """Takes what is finished; the folder may hold more than was asked for."""
        if folder is not None:
            there = read_result(folder)[1]
            runs.update({run.cell: run for run in there if run.cell in experiment.cells})

    with ExitStack() as stack:
        if folder is not None:
            if stack.enter_context(working_on(folder, experiment)):
                read()
            place = identity(folder / "runs")
        # Workers of a cluster may have another folder of that name.
        shared = folder.absolute() if folder is not None and executor == "processes" else None
        for cost in training_costs(experiment, runs):
            tell_cost(cost)
        # What is left after a round: of parts that took long, and of those that another process has
        # begun, which may have been killed meanwhile.
        while tasks := tasks_of(experiment, runs, shared, time_limit, keep_going):
            if executor != "processes" or not is_here(len(tasks), n_jobs, apart=apart):
                for benchmark in experiment.benchmarks:
                    if benchmark.program is not None:
                        benchmark.taken.check_sendable()
            finished = len(runs)
            if finished:
                # Another process may be at work on these in their order, and the two share them so.
                random.Random(os.getpid()).shuffle(tasks)
            try:
                with closing(
                    in_processes(tasks, n_jobs, executor, scheduler, apart=apart)
                ) as results:
                    for number, (done, error) in results:
                        task = tasks[number]
                        keep(task, done)
                        if error is not None:
                            raise _explained(error)
                        finished += len(done) or len(task.seeds)
                        if progress is not None:
                            progress(
                                finished, total, f"{task.algorithm.name} on {task.benchmark.name}"
                            )
            except WorkerError as killed:
                task, run = _fatal(killed, tasks)
                keep(task, [run])
            if finished > len(runs):  # other processes did the others
                read()
        if folder is not None:
            check_kept(folder, runs)
    return Result(experiment, runs.values())


def _check_table(run: Run, benchmark: Benchmark) -> None:
    """Refuses a run on another table of the name.

    Raises:
        TableFileError: The message says what to do.
    """
    if run.table != benchmark.fingerprint:
        raise TableFileError(
            f"A process opened another table {benchmark.name!r} than the one that the comparison "
            f"began with: it was replaced meanwhile, or machines hold different ones. Nothing that was "
            f"run on the other is kept. Put the first table back and give the same command to go on, "
            f"or name another folder to begin anew."
        )


def _explained(error: NasbenchLabError) -> NasbenchLabError:
    """The error, with what Python said of its causes if these are in another process."""
    if isinstance(error, AlgorithmError) and error.traceback and error.__cause__ is None:
        error.add_note(error.traceback)
    return error


def _fatal(killed: WorkerError, tasks: Sequence[Task]) -> tuple[Task, Run]:
    """The run that ended its process, to be kept as one that failed.

    Raises:
        AlgorithmError: Such a run ends the comparison.
        WorkerError: Nobody knows which it was.
    """
    by_place = {task.place: task for task in tasks}
    at_work = []
    for noted, dump in killed.at_work:
        if noted:
            place, seed = noted.split()
            task = by_place[place]
            if dump:
                run, error = task.died(int(seed), dump)
                if run is None:
                    raise _explained(error)
                return task, run
            at_work.append(f"{task.algorithm.name} on {task.benchmark.name} with seed {seed}")
    if at_work:
        raise WorkerError(f"{killed} At work were: {'; '.join(at_work)}.") from killed
    raise killed
