"""Runs and comparisons: benchmarks x algorithms x seeds."""

from __future__ import annotations

import hashlib
import operator
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
)
from nasbench_lab.files import sha256
from nasbench_lab.processes import in_processes
from nasbench_lab.registry import (
    USER_MODULE,
    load_benchmark,
    make_algorithm,
    parse_algorithm,
    resolve,
)
from nasbench_lab.results import (
    Result,
    Run,
    describe_benchmark,
    discard_if_empty,
    start_folder,
    write_shard,
)
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

    def __call__(self) -> list[Run]:
        runs = []
        for seed in self.seeds:
            began = time.perf_counter()
            trace = self._run(seed)
            wall_s = time.perf_counter() - began
            runs.append(Run(self.benchmark.name, self.label, seed, trace, wall_s))
        return runs

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
                f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno}, in "
                f"{place.name})"
            ) from error


def compare(
    algorithms: Sequence[Algorithm] | Mapping[str, Algorithm],
    benchmarks: str | TableBenchmark | Sequence[str | TableBenchmark],
    *,
    budget: Budget | int | str,
    seeds: int | Sequence[int] = 100,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
    n_jobs: int = -1,
    folder: Path | str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Result:
    """Runs every algorithm on every benchmark with every seed.

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
        folder: Where to keep the runs; each part is readable there as soon as it is finished.
        progress: Called with (runs finished, runs in all, what was finished).

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.

    Example:
        >>> result = compare(["random_search"], "nas-bench-graph/cora", budget=20, seeds=3, n_jobs=1)
        >>> len(result.to_frame())
        60
    """
    budget = Budget.of(budget)
    workers = Workers.of(workers)
    seeds = _seeds(seeds)
    if n_jobs == 0:
        raise ExperimentError("Expected at least one process, or -1 for one per core, but got 0.")
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
    # Whatever is wrong with an algorithm or the budget is found before any work is done.
    described = []
    for label, algorithm in labelled.items():
        name, given = parse_algorithm(algorithm) if isinstance(algorithm, str) else (algorithm, {})
        for benchmark in opened:
            budget.check(benchmark)
            _build(name, benchmark, np.random.SeedSequence(0), given)
        described.append({"name": label, "algorithm": _written(name, given)})
        if isinstance(name, str) and ".py:" in name:
            file = name.rpartition(":")[0]
            described[-1] |= {"file": file, "sha256": sha256(Path(file))}

    experiment = {
        "algorithms": described,
        "benchmarks": [describe_benchmark(benchmark) for benchmark in opened],
        "budget": {key: value for key, value in asdict(budget).items() if value is not None},
        "seeds": seeds,
        "workers": workers.describe(),
        "charge_repeats": charge_repeats,
    }
    if folder is not None:
        folder = Path(folder)
        start_folder(folder, experiment)
    chunk = max(1, min(10, len(seeds) // 8))
    tasks = [
        _Task(
            benchmark,
            label,
            _portable(algorithm),
            seeds[i : i + chunk],
            budget,
            workers,
            charge_repeats,
        )
        for benchmark in opened
        for label, algorithm in labelled.items()
        for i in range(0, len(seeds), chunk)
    ]
    runs: list[Run] = []
    total = len(opened) * len(labelled) * len(seeds)
    for number, done in _kept(in_processes(tasks, n_jobs), folder):
        runs += done
        if folder is not None:
            write_shard(folder, f"{number:06d}", done)
        if progress is not None:
            progress(len(runs), total, f"{done[0].algorithm} on {done[0].benchmark}")
    return Result(experiment, runs, {benchmark.name: benchmark for benchmark in opened})


def _kept(
    finished: Iterator[tuple[int, list[Run]]], folder: Path | None
) -> Iterator[tuple[int, list[Run]]]:
    """Passes results on; if none comes, the result folder is not left behind."""
    try:
        yield from finished
    except BaseException:
        if folder is not None:
            discard_if_empty(folder)
        raise


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, Iterable):
        listed = [operator.index(seed) for seed in seeds]
    else:
        listed = list(range(operator.index(seeds)))
    if not listed or min(listed) < 0 or len(set(listed)) < len(listed):
        raise ExperimentError(
            f"Expected at least one seed, none of them negative or twice, but got {seeds!r}."
        )
    return listed


def _labels(algorithms: Sequence[Algorithm] | Mapping[str, Algorithm]) -> dict[str, Algorithm]:
    if isinstance(algorithms, Mapping):
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
