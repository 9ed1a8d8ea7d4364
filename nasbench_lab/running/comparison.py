"""Runs and comparisons: benchmarks x algorithms x seeds."""

from __future__ import annotations

import hashlib
import math
import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import (
    AlgorithmError,
    AlgorithmWarning,
    ExperimentError,
    HyperparameterError,
    NasbenchLabError,
    TableFileError,
    WorkerError,
)
from nasbench_lab.experiment.toml import seeds_of
from nasbench_lab.files import identity
from nasbench_lab.guard import (
    SeededGenerators,
    TimeIsUp,
    closed_tables,
    contained,
    kept_generators,
    time_limit,
)
from nasbench_lab.mistakes import is_ours, place_in, told, users_place, whole_traceback
from nasbench_lab.processes import (
    Executor,
    Terminated,
    in_processes,
    is_at_the_user,
    killed_after,
    lasting_threads,
    note,
)
from nasbench_lab.registry import (
    Taken,
    load_benchmark,
    make_algorithm,
    running,
    take,
)
from nasbench_lab.results.folder import (
    cells_of,
    check_kept,
    describe_benchmark,
    gone,
    made_with,
    read_result,
    working_on,
)
from nasbench_lab.results.manifest import has_manifest
from nasbench_lab.results.parts import Cell, Run, shard_file, shard_name, write_shard
from nasbench_lab.results.result import Result, known_as
from nasbench_lab.simulator import EVALUATING, Workers, empty_trace, simulate
from nasbench_lab.trace import Trace
from nasbench_lab.user_code.classes import FileClass

Algorithm = str | type[SearchAlgorithm]


def random_streams(
    benchmark: str, algorithm: str, seed: int
) -> tuple[np.random.SeedSequence, np.random.SeedSequence, np.random.SeedSequence]:
    """The random streams of a run: of its search, of its trials' noise, of its workers' faults.

    They depend on the run alone: not on what else is run, in which order, or by how many workers.
    None of them depends on what is drawn from another.

    Args:
        benchmark: The benchmark's name.
        algorithm: The algorithm's name, without hyperparameters.
        seed: The run's seed.
    """
    search, noise, faults = (
        np.random.SeedSequence([seed, _digest(what, benchmark, algorithm)])
        for what in ("search", "noise", "faults")
    )
    return search, noise, faults


def _global_seed(benchmark: str, algorithm: str, seed: int) -> int:
    """What a run seeds the global generators with; independent of its own streams."""
    return _digest("global", benchmark, algorithm, str(seed))


def _digest(*names: str) -> int:
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return int.from_bytes(digest[:8], "little")


def run(
    algorithm: Algorithm | SearchAlgorithm,
    benchmark: str | Benchmark,
    budget: Budget | int | str,
    seed: int = 0,
    *,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
    **hyperparameters: Any,
) -> Trace:
    """Runs one search.

    Args:
        algorithm: A name, ``name(key=value)``, ``path/to/file.py:ClassName``, a class, or an
            algorithm that is built already (which keeps its own seed).
        benchmark: A table's name, or a benchmark.
        budget: As for ``Budget.of``: ``200`` evaluations, ``"12000s"``, …
        seed: Different seeds give independent runs, equal seeds equal ones.
        workers: How many evaluations run at once on the simulated clock, or ``Workers`` that are
            synchronous, fail or straggle.
        charge_repeats: Whether evaluating the same again costs again.
        **hyperparameters: Of the algorithm.

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.

    Example:
        >>> trace = run("random_search", "nas-bench-graph/cora", budget=20, seed=1)
        >>> len(trace)
        20
    """
    opened = load_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
    if isinstance(algorithm, SearchAlgorithm) and hyperparameters:
        raise HyperparameterError(
            f"{type(algorithm).__name__} is built already, so {', '.join(hyperparameters)} cannot "
            f"be set. Give its class instead."
        )
    taken: Taken | type[SearchAlgorithm] | SearchAlgorithm = algorithm
    if isinstance(algorithm, str):
        taken, given = take(algorithm)
        hyperparameters = {**given, **hyperparameters}
    with kept_generators():
        try:
            trace, warned = _search(
                taken,
                opened,
                budget,
                seed,
                Workers.of(workers),
                charge_repeats,
                hyperparameters,
            )
        except Terminated:
            raise
        except SystemExit as error:
            # Else the caller's program would end as if all were well.
            raise AlgorithmError(f"{_name(taken)} failed: {told(error)}") from error
    who = known_as(_name(taken), taken.file if isinstance(taken, FileClass) else None)
    if not isinstance(opened, TableBenchmark) or opened.fallback is not None:
        who += f" or the benchmark {opened.name!r}"
    for one in warned:
        warnings.warn(f"{who} {one}", AlgorithmWarning, stacklevel=2)
    return trace


def _search(
    algorithm: Taken | type[SearchAlgorithm] | SearchAlgorithm,
    benchmark: Benchmark,
    budget: Budget | int | str,
    seed: int,
    workers: Workers,
    charge_repeats: bool,
    hyperparameters: Mapping[str, Any],
) -> tuple[Trace, tuple[str, ...]]:
    """Runs one search, and says what the algorithm did that it should not.

    The global generators are seeded for it: an algorithm that draws from them against the rules is
    reproducible all the same. Only within ``kept_generators``.
    """
    name, noted = _name(algorithm), _settings(algorithm, benchmark, seed, hyperparameters)
    search, noise, faults = random_streams(benchmark.name, name, seed)
    alone = threading.current_thread() is threading.main_thread()
    with running(algorithm):
        _load(algorithm)
        for _ in range(3):
            generators = SeededGenerators(_global_seed(benchmark.name, name, seed))
            trace = simulate(
                algorithm
                if isinstance(algorithm, SearchAlgorithm)
                else _build(algorithm, benchmark, search, hyperparameters),
                benchmark,
                budget,
                workers=workers,
                charge_repeats=charge_repeats,
                noise=np.random.default_rng(noise),
                faults=np.random.default_rng(faults),
                settings=noted,
            )
            used = generators.used()
            # Where others work in other threads, as on a cluster, one of them may have drawn. What
            # the algorithm draws, it draws every time.
            if not used or alone or isinstance(algorithm, SearchAlgorithm):
                break
    return trace, (_drew(used),) if used else ()


def _load(algorithm: object) -> None:
    """Executes the modules of an algorithm that has files of its own.

    What they draw from the global generators meanwhile is the same in every process.
    """
    if isinstance(algorithm, FileClass):
        SeededGenerators(0)
        algorithm.code.load()


def _settings(
    algorithm: Taken | type[SearchAlgorithm] | SearchAlgorithm,
    benchmark: Benchmark,
    seed: int,
    hyperparameters: Mapping[str, Any],
) -> dict[str, Any]:
    """What the trace of a run notes of it, besides its policies."""
    return {
        "algorithm": _written(algorithm, hyperparameters),
        "benchmark": benchmark.name,
        "seed": seed,
        "constraints": [str(c) for c in benchmark.constraints],
    }


def _drew(modules: Sequence[str]) -> str:
    return (
        f"drew from {' and '.join(modules)}; use self.rng. Here that repeats with the seed, as a run "
        f"seeds {'these generators' if len(modules) > 1 else 'that generator'} too."
    )


def _build(
    algorithm: Taken | type[SearchAlgorithm],
    benchmark: Benchmark,
    search: np.random.SeedSequence,
    hyperparameters: Mapping[str, Any],
) -> SearchAlgorithm:
    maximize = tuple(objective.maximize for objective in benchmark.objectives)
    rng = np.random.default_rng(search)
    with closed_tables(EVALUATING):
        return make_algorithm(
            algorithm,
            benchmark.space,
            seed=rng,
            maximize=maximize,
            fidelities=benchmark.fidelities,
            **hyperparameters,
        )


def _name(algorithm: Taken | type[SearchAlgorithm] | SearchAlgorithm) -> str:
    """An algorithm's name, by which its random streams are told from others'."""
    if isinstance(algorithm, SearchAlgorithm):
        algorithm = type(algorithm)
    if isinstance(algorithm, str):
        return algorithm
    return algorithm.__name__ if isinstance(algorithm, type) else algorithm.name


def _written(
    algorithm: Taken | type[SearchAlgorithm] | SearchAlgorithm, hyperparameters: Mapping[str, Any]
) -> str:
    """An algorithm as a result notes it, such as ``gp_bo(kernel='matern')``."""
    listed = ", ".join(f"{key}={value!r}" for key, value in hyperparameters.items())
    return f"{_name(algorithm)}({listed})" if listed else _name(algorithm)


_LEAVE_S = 0.5
"""How long a thread that an algorithm started may take to end after the run."""

_SHARD_S = 5.0
"""About how many seconds of work are lost when a process is killed."""


@dataclass(frozen=True)
class _Task:
    """Some seeds of one algorithm on one benchmark: what one process does at a time."""

    benchmark: TableBenchmark
    label: str
    algorithm: Taken
    hyperparameters: Mapping[str, Any]
    seeds: Sequence[int]
    budget: Budget
    workers: Workers
    charge_repeats: bool
    place: str
    """Where in the comparison it is."""
    folder: Path | None
    """Of results that other processes may add to meanwhile."""
    time_limit: float | None
    keep_going: bool

    def __call__(self) -> tuple[list[Run], NasbenchLabError | None]:
        """Runs as many of the seeds as can be done in a short time, at least one.

        Returns:
            The runs, and the error that ended them.
        """
        cells = ((self.benchmark.name, self.label, seed) for seed in self.seeds)
        if (
            self.folder is not None
            and shard_file(self.folder, shard_name(self.place, cells)).exists()
        ):
            return [], None  # another process has done it by now
        runs: list[Run] = []
        origin, began = made_with(), time.perf_counter()
        table = self.benchmark.fingerprint  # of what this process has opened
        with contained():
            for seed in self.seeds:
                since = time.perf_counter()
                if runs and since - began > _SHARD_S:
                    break
                try:
                    run = self._run(seed)
                except NasbenchLabError as error:
                    return runs, error
                wall_s = time.perf_counter() - since
                code = _checksums(self.algorithm)
                done = replace(run, wall_s=wall_s, made_with=origin, code=code, table=table)
                runs.append(done)
        return runs, None

    def _run(self, seed: int) -> Run:
        threads = lasting_threads()
        note(f"{self.place} {seed}")
        try:
            with time_limit(self.time_limit), killed_after(self.time_limit):
                trace, warned = _search(
                    self.algorithm,
                    self.benchmark,
                    self.budget,
                    seed,
                    self.workers,
                    self.charge_repeats,
                    self.hyperparameters,
                )
        except Terminated:
            raise
        except TimeIsUp as error:
            place = users_place(error)
            reason = self._too_long + (f" ({place})" if place else "")
            return self.failed_run(seed, reason, whole_traceback(error))
        except BaseException as error:
            own = isinstance(error, AlgorithmError) or users_place(error) is not None
            if is_ours(error) and not own:
                raise
            if isinstance(error, KeyboardInterrupt) and is_at_the_user():
                raise
            if self.keep_going:
                return self.failed_run(seed, told(error), whole_traceback(error))
            raise self.failure(seed, told(error), whole_traceback(error)) from error
        finally:
            note("")
        if threading.current_thread() is threading.main_thread():
            left = lasting_threads(threads)
            for thread in left:
                thread.join(_LEAVE_S)  # of one that is about to end, there is nothing to say
            left = [thread for thread in left if thread.is_alive()]
            names = ", ".join(sorted(thread.name for thread in left))
            warned += (f"left threads running: {names}.",) if left else ()
        return Run(self.benchmark.name, self.label, seed, trace, 0.0, warnings=warned)

    def failed_run(self, seed: int, reason: str, details: str) -> Run:
        """The run that stands for one that failed."""
        settings = _settings(self.algorithm, self.benchmark, seed, self.hyperparameters)
        trace = empty_trace(
            self.benchmark, self.budget, self.workers, self.charge_repeats, settings
        )
        error = f"{reason}\n{details}"
        return Run(
            self.benchmark.name,
            self.label,
            seed,
            trace,
            0.0,
            made_with(),
            _checksums(self.algorithm),
            error,
            table=self.benchmark.fingerprint,
        )

    def failure(self, seed: int, reason: str, details: str) -> AlgorithmError:
        """The error that a run which failed ends the comparison with."""
        error = AlgorithmError(
            f"{self.label} on {self.benchmark.name!r} with seed {seed} failed: {reason}"
        )
        error.traceback = details
        return error

    @property
    def _too_long(self) -> str:
        return f"took longer than the time limit of {self.time_limit:g} s"

    def died(self, seed: int, dump: str) -> tuple[Run | None, AlgorithmError]:
        """What came of a run that ended its process, by what ``faulthandler`` wrote.

        Returns:
            The run to go on with, or None if the comparison is to end; and the error.
        """
        late, place = dump.startswith("Timeout"), place_in(dump)
        reason = self._too_long if late else f"ended its process: {dump.partition(chr(10))[0]}"
        reason += f" ({place})" if place else ""
        marked = late or self.keep_going
        return (
            self.failed_run(seed, reason, dump) if marked else None,
            self.failure(seed, reason, dump),
        )


@dataclass(frozen=True)
class _Plan:
    """A comparison that has been checked: what it is, and what is needed to do it."""

    experiment: dict[str, Any]
    algorithms: dict[str, tuple[Taken, dict[str, Any]]]
    benchmarks: list[TableBenchmark]
    budget: Budget
    seeds: list[int]
    workers: Workers
    charge_repeats: bool

    def tasks(
        self,
        folder: Path | None,
        finished: Container[Cell],
        time_limit: float | None,
        keep_going: bool,
    ) -> list[_Task]:
        """What is left to do, in parts that take a process a moment each."""
        chunk = max(1, min(10, len(self.seeds) // 8))
        tasks = []
        for b, benchmark in enumerate(self.benchmarks):
            for a, (label, (algorithm, given)) in enumerate(self.algorithms.items()):
                for i in range(0, len(self.seeds), chunk):
                    seeds = [
                        seed
                        for seed in self.seeds[i : i + chunk]
                        if (benchmark.name, label, seed) not in finished
                    ]
                    task = _Task(
                        benchmark,
                        label,
                        algorithm,
                        given,
                        seeds,
                        self.budget,
                        self.workers,
                        self.charge_repeats,
                        f"{b:03d}-{a:03d}-{i:06d}",
                        folder,
                        time_limit,
                        keep_going,
                    )
                    tasks += [task] if seeds else []
        return tasks


def compare(
    algorithms: Sequence[Algorithm] | Mapping[str, Algorithm],
    benchmarks: str | TableBenchmark | Sequence[str | TableBenchmark],
    *,
    budget: Budget | int | str,
    seeds: int | Sequence[int] = 100,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
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
        benchmarks: Tables' names, or benchmarks.
        budget: Of each run, as for ``Budget.of``.
        seeds: The seeds, or how many (from 0).
        workers: How many evaluations of a run go on at once on the simulated clock, or ``Workers``
            that are synchronous, fail or straggle.
        charge_repeats: Whether evaluating the same again costs again.
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
    if n_jobs == 0:
        raise ExperimentError("Expected at least one process, or -1 for one per core, but got 0.")
    if time_limit is not None and not 0 < time_limit < math.inf:
        raise ExperimentError(f"Expected a time limit of more than 0 s but got {time_limit!r}.")
    with _trial_of_algorithms(time_limit):
        plan = _plan(algorithms, benchmarks, budget, seeds, workers, charge_repeats)
    apart = keep_going or time_limit is not None
    runs: dict[Cell, Run] = {}
    asked = cells_of(plan.experiment)
    total = len(asked)
    folder = None if folder is None else Path(folder)
    held = None  # the folder of runs that is worked on, which another may take the place of

    def keep(task: _Task, done: list[Run]) -> None:
        for run in done:
            _check_table(run, task.benchmark)
        if done and folder is not None:
            if not has_manifest(folder) or identity(folder / "runs") != held:
                raise gone(folder, len(runs) + len(done), len(runs) + len(done))
            name = shard_name(task.place, (run.cell for run in done))
            write_shard(folder, plan.experiment, name, done)
        runs.update({run.cell: run for run in done})

    def read() -> None:
        """Takes what is finished; the folder may hold more than was asked for."""
        if folder is not None:
            there = read_result(folder)[1]
            runs.update({run.cell: run for run in there if run.cell in asked})

    with ExitStack() as stack:
        if folder is not None:
            if stack.enter_context(working_on(folder, plan.experiment)):
                read()
            held = identity(folder / "runs")
        # Workers of a cluster may have another folder of that name.
        shared = folder.absolute() if folder is not None and executor == "processes" else None
        # What is left after a round: of parts that took long, and of those that another process has
        # begun, which may have been killed meanwhile.
        while tasks := plan.tasks(shared, runs, time_limit, keep_going):
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
                            progress(finished, total, f"{task.label} on {task.benchmark.name}")
            except WorkerError as killed:
                task, run = _fatal(killed, tasks)
                keep(task, [run])
            if finished > len(runs):  # other processes did the others
                read()
        if folder is not None:
            check_kept(folder, runs)
    by_name = {benchmark.name: benchmark for benchmark in plan.benchmarks}
    result = Result(plan.experiment, runs.values(), by_name)
    for text in result.notes_on_algorithms():
        warnings.warn(text, AlgorithmWarning, stacklevel=2)
    return result


def _check_table(run: Run, benchmark: TableBenchmark) -> None:
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


def _fatal(killed: WorkerError, tasks: Sequence[_Task]) -> tuple[_Task, Run]:
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
            at_work.append(f"{task.label} on {task.benchmark.name} with seed {seed}")
    if at_work:
        raise WorkerError(f"{killed} At work were: {'; '.join(at_work)}.") from killed
    raise killed


@contextmanager
def _trial_of_algorithms(time_limit_s: float | None) -> Iterator[None]:
    """What algorithms are held to while it is tried whether they can be built."""
    try:
        with contained(), time_limit(time_limit_s):
            yield
    except TimeIsUp as error:
        raise AlgorithmError(
            f"An algorithm takes longer to be built than the time limit of {time_limit_s:g} s "
            f"({users_place(error)})."
        ) from error


def describe_comparison(
    algorithms: Sequence[Algorithm] | Mapping[str, Algorithm],
    benchmarks: str | TableBenchmark | Sequence[str | TableBenchmark],
    *,
    budget: Budget | int | str,
    seeds: int | Sequence[int] = 100,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
    time_limit: float | None = None,
) -> dict[str, Any]:
    """What ``compare`` would run with these arguments, as ``Result.experiment`` has it.

    Raises:
        NasbenchLabError: As ``compare``.
    """
    with _trial_of_algorithms(time_limit):
        return _plan(algorithms, benchmarks, budget, seeds, workers, charge_repeats).experiment


def _plan(
    algorithms: Sequence[Algorithm] | Mapping[str, Algorithm],
    benchmarks: str | TableBenchmark | Sequence[str | TableBenchmark],
    budget: Budget | int | str,
    seeds: int | Sequence[int],
    workers: Workers | int,
    charge_repeats: bool,
) -> _Plan:
    """Checks a comparison: whatever is wrong with it is found before any work is done."""
    budget = Budget.of(budget)
    workers = Workers.of(workers)
    seeds = seeds_of(seeds)
    if isinstance(benchmarks, str | TableBenchmark):
        benchmarks = [benchmarks]
    opened = [load_benchmark(b) if isinstance(b, str) else b for b in benchmarks]
    labelled = _labels(algorithms)
    for benchmark in opened:
        if benchmark.fallback is not None:
            raise ExperimentError(
                f"A comparison is judged by the table, while {benchmark.name!r} falls back to "
                f"training for architectures that the table lacks. Run single searches on it: run(…)."
            )
    if not opened or not labelled:
        raise ExperimentError("Expected at least one algorithm and one benchmark.")
    if len({benchmark.name for benchmark in opened}) < len(opened):
        raise ExperimentError("Expected benchmarks of different names.")
    described = []
    taken = {label: take(algorithm) for label, algorithm in labelled.items()}
    for label, (algorithm, given) in taken.items():
        for benchmark in opened:
            budget.check(benchmark)
            with running(algorithm):
                _load(algorithm)
                _build(algorithm, benchmark, np.random.SeedSequence(0), given)
        entry: dict[str, Any] = {"name": label, "algorithm": _written(algorithm, given)}
        if isinstance(algorithm, FileClass):
            entry["file"] = algorithm.file
        if checksums := _checksums(algorithm):
            entry["code"] = checksums
        described.append(entry)
    experiment = {
        "algorithms": described,
        "benchmarks": [describe_benchmark(benchmark) for benchmark in opened],
        "budget": {key: value for key, value in asdict(budget).items() if value is not None},
        "seeds": seeds,
        "workers": workers.describe(),
        "charge_repeats": charge_repeats,
    }
    return _Plan(experiment, taken, opened, budget, seeds, workers, charge_repeats)


def _checksums(algorithm: Taken) -> dict[str, str]:
    """The checksums of the code of an algorithm that is not installed."""
    return {} if isinstance(algorithm, str) else algorithm.checksums


def _labels(algorithms: Sequence[Algorithm] | Mapping[str, Algorithm]) -> dict[str, Algorithm]:
    if isinstance(algorithms, Mapping):
        if not all(label.strip() for label in algorithms):
            raise ExperimentError("Expected labels of at least one letter but got an empty one.")
        return dict(algorithms)
    if isinstance(algorithms, str) or not isinstance(algorithms, Sequence):
        algorithms = [algorithms]
    # A file's path says nothing in a figure; its class does.
    labels = [
        algorithm.rpartition(".py:")[2] if isinstance(algorithm, str) else algorithm.__name__
        for algorithm in algorithms
    ]
    if len(set(labels)) < len(labels):
        raise ExperimentError(
            f"Expected algorithms of different names but got {', '.join(labels)}. Give a mapping of "
            f"labels to algorithms."
        )
    return dict(zip(labels, algorithms, strict=True))
