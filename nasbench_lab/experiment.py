"""Runs and comparisons: benchmarks x algorithms x seeds."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.errors import DataFolderError
from nasbench_lab.registry import load_benchmark, make_algorithm, parse_algorithm
from nasbench_lab.results import Result, Run, describe_benchmark, write_manifest, write_shard
from nasbench_lab.simulator import Budget, simulate
from nasbench_lab.trace import Trace

Algorithm = str | type[SearchAlgorithm]


def random_streams(
    benchmark: str, algorithm: str, seed: int
) -> tuple[np.random.SeedSequence, np.random.SeedSequence]:
    """The two random streams of a run: of its search, and of its trials' noise.

    They depend on the run alone: not on what else is run, in which order, or by how many workers.
    The search's stream does not depend on the benchmark's noise, nor the noise on the search.

    Args:
        benchmark: The benchmark's name.
        algorithm: The algorithm's name, without hyperparameters.
        seed: The run's seed.
    """

    def key(*names: str) -> np.random.SeedSequence:
        digest = hashlib.sha256("\0".join(names).encode()).digest()
        return np.random.SeedSequence([seed, int.from_bytes(digest[:8], "little")])

    return key("search", benchmark, algorithm), key("noise", benchmark, algorithm)


def run(
    algorithm: Algorithm | SearchAlgorithm,
    benchmark: str | Benchmark,
    budget: Budget | int | str,
    seed: int = 0,
    *,
    workers: int = 1,
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
        workers: How many evaluations run at once on the simulated clock.
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
        name, instance = type(algorithm).__name__, algorithm
        search, noise = random_streams(opened.name, name, seed)
    else:
        name = _stream_name(algorithm)
        search, noise = random_streams(opened.name, name, seed)
        if isinstance(algorithm, str):
            algorithm, given = parse_algorithm(algorithm)
            hyperparameters = {**given, **hyperparameters}
        maximize = tuple(objective.maximize for objective in opened.objectives)
        instance = make_algorithm(
            algorithm,
            opened.space,
            seed=np.random.default_rng(search),
            maximize=maximize,
            **hyperparameters,
        )
    return simulate(
        instance,
        opened,
        budget,
        workers=workers,
        charge_repeats=charge_repeats,
        noise=np.random.default_rng(noise),
        settings={"algorithm": name, "benchmark": opened.name, "seed": seed},
    )


def _stream_name(algorithm: Algorithm) -> str:
    if not isinstance(algorithm, str):
        return algorithm.__name__
    return parse_algorithm(algorithm)[0].rpartition(":")[2]


@dataclass(frozen=True)
class _Task:
    """Some seeds of one algorithm on one benchmark: what one process does at a time."""

    benchmark: TableBenchmark
    label: str
    algorithm: Algorithm
    seeds: Sequence[int]
    budget: Budget
    workers: int
    charge_repeats: bool

    def __call__(self) -> list[Run]:
        runs = []
        for seed in self.seeds:
            began = time.perf_counter()
            trace = run(
                self.algorithm,
                self.benchmark,
                self.budget,
                seed,
                workers=self.workers,
                charge_repeats=self.charge_repeats,
            )
            wall_s = time.perf_counter() - began
            runs.append(Run(self.benchmark.name, self.label, seed, trace, wall_s))
        return runs


def compare(
    algorithms: Sequence[Algorithm] | Mapping[str, Algorithm],
    benchmarks: str | TableBenchmark | Sequence[str | TableBenchmark],
    *,
    budget: Budget | int | str,
    seeds: int | Sequence[int] = 100,
    workers: int = 1,
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
        workers: How many evaluations of a run go on at once on the simulated clock.
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
    seeds = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"Expected at least one seed and none of them twice but got {seeds}.")
    if isinstance(benchmarks, str | TableBenchmark):
        benchmarks = [benchmarks]
    opened = [load_benchmark(b) if isinstance(b, str) else b for b in benchmarks]
    labelled = _labels(algorithms)
    if not opened or not labelled:
        raise ValueError("Expected at least one algorithm and one benchmark.")
    if len({benchmark.name for benchmark in opened}) < len(opened):
        raise ValueError("Expected benchmarks of different names.")
    # Whatever is wrong with an algorithm or the budget is found before any work is done.
    for benchmark in opened:
        budget.check(benchmark)
        for algorithm in labelled.values():
            name, given = (
                parse_algorithm(algorithm) if isinstance(algorithm, str) else (algorithm, {})
            )
            make_algorithm(name, benchmark.space, **given)

    experiment = {
        "algorithms": [
            {
                "name": label,
                "algorithm": a if isinstance(a, str) else f"{a.__module__}:{a.__name__}",
            }
            for label, a in labelled.items()
        ],
        "benchmarks": [describe_benchmark(benchmark) for benchmark in opened],
        "budget": {key: value for key, value in asdict(budget).items() if value is not None},
        "seeds": seeds,
        "workers": workers,
        "charge_repeats": charge_repeats,
    }
    if folder is not None:
        folder = Path(folder)
        if (folder / "manifest.json").exists():
            raise DataFolderError(f"{folder} holds a result already. Name another folder.")
        write_manifest(folder, experiment)
    chunk = max(1, min(10, len(seeds) // 8))
    tasks = [
        _Task(benchmark, label, algorithm, seeds[i : i + chunk], budget, workers, charge_repeats)
        for benchmark in opened
        for label, algorithm in labelled.items()
        for i in range(0, len(seeds), chunk)
    ]
    runs: list[Run] = []
    total = len(opened) * len(labelled) * len(seeds)
    for number, done in _execute(tasks, n_jobs):
        runs += done
        if folder is not None:
            write_shard(folder, f"{number:06d}", done)
        if progress is not None:
            progress(len(runs), total, f"{done[0].algorithm} on {done[0].benchmark}")
    return Result(experiment, runs, {benchmark.name: benchmark for benchmark in opened})


def _labels(algorithms: Sequence[Algorithm] | Mapping[str, Algorithm]) -> dict[str, Algorithm]:
    if isinstance(algorithms, Mapping):
        return dict(algorithms)
    if isinstance(algorithms, str) or not isinstance(algorithms, Sequence):
        algorithms = [algorithms]
    labels = []
    for algorithm in algorithms:
        # A file's path says nothing in a figure; its class does.
        name = algorithm if isinstance(algorithm, str) else algorithm.__name__
        path, _, rest = name.partition(".py:")
        labels.append(rest if rest else path)
    if len(set(labels)) < len(labels):
        raise ValueError(
            f"Expected algorithms of different names but got {', '.join(labels)}. Give a mapping of "
            f"labels to algorithms."
        )
    return dict(zip(labels, algorithms, strict=True))


def _execute(tasks: Sequence[_Task], n_jobs: int) -> Iterator[tuple[int, list[Run]]]:
    """Yields (number, result) of each task as it is finished."""
    import joblib

    if joblib.effective_n_jobs(n_jobs) == 1 or len(tasks) == 1:
        for number, task in enumerate(tasks):
            yield number, task()
        return
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    yield from parallel(joblib.delayed(_numbered)(n, task) for n, task in enumerate(tasks))


def _numbered(number: int, task: _Task) -> tuple[int, list[Run]]:
    # Ctrl-C reaches all processes of a terminal; the parent stops its workers itself.
    if parent_process() is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return number, task()
