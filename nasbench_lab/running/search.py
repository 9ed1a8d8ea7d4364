"""One search: an algorithm on a benchmark, with a seed."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import AlgorithmError, AlgorithmWarning, HyperparameterError
from nasbench_lab.experiment.building import AnyAlgorithm, build, load, name_of, titled, written
from nasbench_lab.experiment.settings import Algorithm, taken_benchmark
from nasbench_lab.experiment.warm_start import NOTHING, WarmStart
from nasbench_lab.guard import SeededGenerators, kept_generators
from nasbench_lab.mistakes import told
from nasbench_lab.processes import Terminated
from nasbench_lab.registry import running, take
from nasbench_lab.running.warm_start import DEFAULT_USE, AnyHistory, start_of
from nasbench_lab.simulator import simulate
from nasbench_lab.trace import Trace
from nasbench_lab.user_code.benchmarks import FileBenchmark
from nasbench_lab.user_code.classes import FileClass
from nasbench_lab.workers import Workers


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
    history: AnyHistory | None = None,
    use: str = DEFAULT_USE,
    **hyperparameters: Any,
) -> Trace:
    """Runs one search.

    Args:
        algorithm: A name, ``name(key=value)``, ``path/to/file.py:ClassName``, a class, or an
            algorithm that is built already (which keeps its own seed).
        benchmark: A table's name, ``path/to/file.py:NAME``, or a benchmark.
        budget: As for ``Budget.of``: ``200`` evaluations, ``"12000s"``, …
        seed: Different seeds give independent runs, equal seeds equal ones.
        workers: How many evaluations run at once on the simulated clock, or ``Workers`` that are
            synchronous, fail or straggle.
        charge_repeats: Whether evaluating the same again costs again.
        history: What other searches have shown: traces, results, result folders, tables or their
            names, one or several.
        use: What the history is used for. ``prior``: what it holds of other tasks goes to the
            algorithm, which must be one that learns from other tasks. ``candidates``: the best of
            other tasks are evaluated first, up to ten of them by turns. ``results``: what it holds of
            this same benchmark counts as results of this run, and costs nothing.
        **hyperparameters: Of the algorithm.

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.

    Example:
        >>> trace = run("random_search", "nas-bench-graph/cora", budget=20, seed=1)
        >>> len(trace)
        20
    """
    taken_as = taken_benchmark(benchmark)
    opened = taken_as.benchmark if isinstance(taken_as, FileBenchmark) else taken_as
    if isinstance(algorithm, SearchAlgorithm) and hyperparameters:
        raise HyperparameterError(
            f"{type(algorithm).__name__} is built already, so {', '.join(hyperparameters)} cannot "
            f"be set. Give its class instead."
        )
    taken: AnyAlgorithm = algorithm
    if isinstance(algorithm, str):
        taken, given = take(algorithm)
        hyperparameters = {**given, **hyperparameters}
    warm_start = start_of(history, use)
    with kept_generators():
        try:
            if warm_start is not None:
                _check_start(warm_start, taken)
            trace, texts = search(
                taken,
                opened,
                budget,
                seed,
                Workers.of(workers),
                charge_repeats,
                hyperparameters,
                warm_start,
            )
        except Terminated:
            raise
        except SystemExit as error:
            # Else the caller's program would end as if all were well.
            raise AlgorithmError(f"{name_of(taken)} failed: {told(error)}") from error
    who = titled(name_of(taken), taken.file if isinstance(taken, FileClass) else None)
    if not isinstance(opened, TableBenchmark) or opened.fallback is not None:
        who += f" or the benchmark {opened.name!r}"
    for text in texts:
        warnings.warn(f"{who} {text}", AlgorithmWarning, stacklevel=2)
    return trace


def _check_start(warm_start: WarmStart, algorithm: AnyAlgorithm) -> None:
    """Refuses a prior that an algorithm cannot use.

    Raises:
        HyperparameterError: It is built already, or does not learn from other tasks.
    """
    if isinstance(algorithm, SearchAlgorithm):
        if warm_start.use == "prior":
            raise HyperparameterError(
                f"{type(algorithm).__name__} is built already, so it cannot be given a prior. Give its "
                f"class instead."
            )
        return
    with running(algorithm):
        load(algorithm)
        warm_start.check([algorithm])


def search(
    algorithm: AnyAlgorithm,
    benchmark: Benchmark,
    budget: Budget | int | str,
    seed: int,
    workers: Workers,
    charge_repeats: bool,
    hyperparameters: Mapping[str, Any],
    warm_start: WarmStart | None = None,
) -> tuple[Trace, tuple[str, ...]]:
    """Runs one search, and says what the algorithm did that it should not.

    The global generators are seeded for it: an algorithm that draws from them against the rules is
    reproducible all the same. Only within ``kept_generators``.
    """
    name = name_of(algorithm)
    settings = settings_of(algorithm, benchmark, seed, hyperparameters, warm_start)
    start = NOTHING if warm_start is None else warm_start.on(benchmark)
    search, noise, faults = random_streams(benchmark.name, name, seed)
    alone = threading.current_thread() is threading.main_thread()
    with running(algorithm):
        load(algorithm)
        for _ in range(3):
            generators = SeededGenerators(_global_seed(benchmark.name, name, seed))
            trace = simulate(
                algorithm
                if isinstance(algorithm, SearchAlgorithm)
                else build(algorithm, benchmark, search, hyperparameters, start.history),
                benchmark,
                budget,
                workers=workers,
                charge_repeats=charge_repeats,
                noise=np.random.default_rng(noise),
                faults=np.random.default_rng(faults),
                known=start.known,
                candidates=start.candidates,
                settings=settings,
            )
            used = generators.used()
            # Where others work in other threads, as on a cluster, one of them may have drawn. What
            # the algorithm draws, it draws every time.
            if not used or alone or isinstance(algorithm, SearchAlgorithm):
                break
    return trace, (_drew(used),) if used else ()


def settings_of(
    algorithm: AnyAlgorithm,
    benchmark: Benchmark,
    seed: int,
    hyperparameters: Mapping[str, Any],
    warm_start: WarmStart | None = None,
) -> dict[str, Any]:
    """What the trace of a run notes of it, besides its policies."""
    started = {} if warm_start is None else {"warm_start": warm_start.to_json()}
    return {
        "algorithm": written(algorithm, hyperparameters),
        "benchmark": benchmark.name,
        "seed": seed,
        "constraints": [str(c) for c in benchmark.constraints],
        **started,
    }


def _drew(modules: Sequence[str]) -> str:
    return (
        f"drew from {' and '.join(modules)}; use self.rng. Here that repeats with the seed, as a run "
        f"seeds {'these generators' if len(modules) > 1 else 'that generator'} too."
    )
