"""Runs and comparisons: benchmarks x algorithms x seeds."""

from __future__ import annotations

import hashlib
import inspect
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import (
    AlgorithmError,
    ExperimentError,
    HyperparameterError,
    NasbenchLabError,
    text_of,
)
from nasbench_lab.experiment_file import seeds_of, to_toml
from nasbench_lab.files import sha256
from nasbench_lab.processes import Executor, in_processes
from nasbench_lab.registry import (
    USER_MODULE,
    load_benchmark,
    make_algorithm,
    parse_algorithm,
    resolve,
)
from nasbench_lab.result_files import (
    Cell,
    Run,
    describe_benchmark,
    made_with,
    read_runs,
    shard_file,
    working_on,
    write_shard,
)
from nasbench_lab.results import Result
from nasbench_lab.simulator import Workers, simulate
from nasbench_lab.trace import Trace

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

    def key(*names: str) -> np.random.SeedSequence:
        digest = hashlib.sha256("\0".join(names).encode()).digest()
        return np.random.SeedSequence([seed, int.from_bytes(digest[:8], "little")])

    search, noise, faults = (
        key(what, benchmark, algorithm) for what in ("search", "noise", "faults")
    )
    return search, noise, faults


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
    if isinstance(algorithm, SearchAlgorithm):
        if hyperparameters:
            raise HyperparameterError(
                f"{type(algorithm).__name__} is built already, so {', '.join(hyperparameters)} cannot "
                f"be set. Give its class instead."
            )
        name, instance = type(algorithm).__name__, algorithm
        _, noise, faults = random_streams(opened.name, name, seed)
    else:
        if isinstance(algorithm, str):
            algorithm, given = parse_algorithm(algorithm)
            hyperparameters = {**given, **hyperparameters}
        name = _name(algorithm)
        search, noise, faults = random_streams(opened.name, name, seed)
        instance = _build(algorithm, opened, search, hyperparameters)
    return simulate(
        instance,
        opened,
        budget,
        workers=workers,
        charge_repeats=charge_repeats,
        noise=np.random.default_rng(noise),
        faults=np.random.default_rng(faults),
        settings={
            "algorithm": _written(algorithm, hyperparameters),
            "benchmark": opened.name,
            "seed": seed,
            "constraints": [str(c) for c in opened.constraints],
        },
    )


def _build(
    algorithm: Algorithm,
    benchmark: Benchmark,
    search: np.random.SeedSequence,
    hyperparameters: Mapping[str, Any],
) -> SearchAlgorithm:
    maximize = tuple(objective.maximize for objective in benchmark.objectives)
    rng = np.random.default_rng(search)
    return make_algorithm(
        algorithm,
        benchmark.space,
        seed=rng,
        maximize=maximize,
        fidelities=benchmark.fidelities,
        **hyperparameters,
    )


def _name(algorithm: Algorithm | SearchAlgorithm) -> str:
    """An algorithm's name, by which its random streams are told from others'."""
    if isinstance(algorithm, SearchAlgorithm):
        algorithm = type(algorithm)
    return algorithm.rpartition(":")[2] if isinstance(algorithm, str) else algorithm.__name__


def _written(algorithm: Algorithm | SearchAlgorithm, hyperparameters: Mapping[str, Any]) -> str:
    """An algorithm as a result notes it, such as ``gp_bo(kernel='matern')``."""
    listed = ", ".join(f"{key}={value!r}" for key, value in hyperparameters.items())
    return f"{_name(algorithm)}({listed})" if listed else _name(algorithm)


_SHARD_S = 5.0
"""About how many seconds of work are lost when a process is killed."""


@dataclass(frozen=True)
class _Task:
    """Some seeds of one algorithm on one benchmark: what one process does at a time."""

    benchmark: TableBenchmark
    label: str
    algorithm: Algorithm
    seeds: Sequence[int]
    budget: Budget
    workers: Workers
    charge_repeats: bool
    place: str
    """Where in the comparison it is."""
    folder: Path | None
    """Of results that other processes may add to meanwhile."""

    def shard(self, seeds: Iterable[int]) -> str:
        """The name of the file that runs of some seeds are kept in, and of no others."""
        text = " ".join(map(str, seeds))
        return f"{self.place}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def __call__(self) -> tuple[list[Run], NasbenchLabError | None]:
        """Runs as many of the seeds as can be done in a short time, at least one.

        Returns:
            The runs, and the error that ended them.
        """
        if self.folder is not None and shard_file(self.folder, self.shard(self.seeds)).exists():
            return [], None  # another process has done it by now
        runs: list[Run] = []
        origin, began = made_with(), time.perf_counter()
        for seed in self.seeds:
            since = time.perf_counter()
            if runs and since - began > _SHARD_S:
                break
            try:
                trace = self._run(seed)
            except NasbenchLabError as error:
                return runs, error
            wall_s = time.perf_counter() - since
            runs.append(Run(self.benchmark.name, self.label, seed, trace, wall_s, origin))
        return runs, None

    def _run(self, seed: int) -> Trace:
        try:
            return run(
                self.algorithm,
                self.benchmark,
                self.budget,
                seed,
                workers=self.workers,
                charge_repeats=self.charge_repeats,
            )
        except NasbenchLabError:
            raise
        except Exception as error:
            # Of an algorithm's own mistake, its author needs the place, also from another process.
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise AlgorithmError(
                f"{self.label} on {self.benchmark.name!r} with seed {seed} failed: "
                f"{type(error).__name__}: {text_of(error)} ({place.filename}, line {place.lineno}, in "
                f"{place.name})"
            ) from error


@dataclass(frozen=True)
class _Plan:
    """A comparison that has been checked: what it is, and what is needed to do it."""

    experiment: dict[str, Any]
    algorithms: dict[str, Algorithm]
    benchmarks: list[TableBenchmark]
    budget: Budget
    seeds: list[int]
    workers: Workers
    charge_repeats: bool

    def tasks(self, folder: Path | None, finished: Container[Cell]) -> list[_Task]:
        """What is left to do, in parts that take a process a moment each."""
        chunk = max(1, min(10, len(self.seeds) // 8))
        tasks = []
        for b, benchmark in enumerate(self.benchmarks):
            for a, (label, algorithm) in enumerate(self.algorithms.items()):
                for i in range(0, len(self.seeds), chunk):
                    seeds = [
                        seed
                        for seed in self.seeds[i : i + chunk]
                        if (benchmark.name, label, seed) not in finished
                    ]
                    task = _Task(
                        benchmark,
                        label,
                        _portable(algorithm),
                        seeds,
                        self.budget,
                        self.workers,
                        self.charge_repeats,
                        f"{b:03d}-{a:03d}-{i:06d}",
                        folder,
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
) -> Result:
    """Runs every algorithm on every benchmark with every seed.

    With a folder, what is finished there is read and not run again: a comparison that was killed goes
    on when it is called again, and several processes that are given one folder share the work.

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
            nasbench-lab and the tables, and the files of algorithms, under the same paths.
        scheduler: The address of Dask's scheduler, such as ``"tcp://10.0.0.1:8786"``.
        folder: Where to keep the runs; each part is readable there as soon as it is finished.
        progress: Called with (runs finished, runs in all, what was finished).

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.

    Example:
        >>> result = compare(["random_search"], "nas-bench-graph/cora", budget=20, seeds=3, n_jobs=1)
        >>> len(result.to_frame())
        60
    """
    if n_jobs == 0:
        raise ExperimentError("Expected at least one process, or -1 for one per core, but got 0.")
    plan = _plan(algorithms, benchmarks, budget, seeds, workers, charge_repeats)
    runs: dict[Cell, Run] = {}
    total = len(plan.benchmarks) * len(plan.algorithms) * len(plan.seeds)
    with ExitStack() as stack:
        if folder is not None:
            folder = Path(folder)
            toml = to_toml(plan.experiment)
            if stack.enter_context(working_on(folder, plan.experiment, toml)):
                runs = {run.cell: run for run in read_runs(folder, plan.experiment)}
        # Workers of a cluster may have another folder of that name.
        shared = folder.absolute() if folder is not None and executor == "processes" else None
        # What is left after a round: of parts that took long, and of those that another process has
        # begun, which may have been killed meanwhile.
        while tasks := plan.tasks(shared, runs):
            finished = len(runs)
            if finished:
                # Another process may be at work on these in their order, and the two share them so.
                random.Random(os.getpid()).shuffle(tasks)
            with closing(in_processes(tasks, n_jobs, executor, scheduler)) as results:
                for number, (done, error) in results:
                    task = tasks[number]
                    if done and folder is not None:
                        write_shard(folder, task.shard(run.seed for run in done), done)
                    if error is not None:
                        raise error
                    runs |= {run.cell: run for run in done}
                    finished += len(done) or len(task.seeds)
                    if progress is not None:
                        progress(finished, total, f"{task.label} on {task.benchmark.name}")
            if finished > len(runs) and folder is not None:  # other processes did the others
                runs |= {run.cell: run for run in read_runs(folder, plan.experiment)}
    by_name = {benchmark.name: benchmark for benchmark in plan.benchmarks}
    return Result(plan.experiment, runs.values(), by_name)


def describe_comparison(
    algorithms: Sequence[Algorithm] | Mapping[str, Algorithm],
    benchmarks: str | TableBenchmark | Sequence[str | TableBenchmark],
    *,
    budget: Budget | int | str,
    seeds: int | Sequence[int] = 100,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
) -> dict[str, Any]:
    """What ``compare`` would run with these arguments, as ``Result.experiment`` has it.

    Raises:
        NasbenchLabError: As ``compare``.
    """
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
    labelled = {
        label: resolve(algorithm) if isinstance(algorithm, str) else algorithm
        for label, algorithm in _labels(algorithms).items()
    }
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
    for label, algorithm in labelled.items():
        portable = _portable(algorithm)
        name, given = parse_algorithm(portable) if isinstance(portable, str) else (portable, {})
        for benchmark in opened:
            budget.check(benchmark)
            _build(name, benchmark, np.random.SeedSequence(0), given)
        described.append({"name": label, "algorithm": _written(name, given), **_source(name)})
    experiment = {
        "algorithms": described,
        "benchmarks": [describe_benchmark(benchmark) for benchmark in opened],
        "budget": {key: value for key, value in asdict(budget).items() if value is not None},
        "seeds": seeds,
        "workers": workers.describe(),
        "charge_repeats": charge_repeats,
    }
    return _Plan(experiment, labelled, opened, budget, seeds, workers, charge_repeats)


def _source(algorithm: Algorithm) -> dict[str, str]:
    """Of an algorithm that is not installed: its file, and a checksum of its code."""
    if isinstance(algorithm, str):
        file = algorithm.rpartition(":")[0]
        return {"file": file, "sha256": sha256(Path(file))} if file.endswith(".py") else {}
    try:
        code = inspect.getsource(algorithm)
    except (OSError, TypeError):  # typed into an interpreter
        return {}
    return {"sha256": hashlib.sha256(code.encode()).hexdigest()}


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


def _portable(algorithm: Algorithm) -> Algorithm:
    """A class from a user's file by that file: workers know no module that was loaded here."""
    if isinstance(algorithm, str) or not algorithm.__module__.startswith(USER_MODULE):
        return algorithm
    return f"{sys.modules[algorithm.__module__].__file__}:{algorithm.__name__}"
