"""One search: an algorithm on a benchmark, with a seed."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
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
)
from nasbench_lab.experiment.building import AnyAlgorithm, build, load, name_of, titled, written
from nasbench_lab.experiment.settings import Algorithm, taken_benchmark
from nasbench_lab.experiment.warm_start import NOTHING, WarmStart
from nasbench_lab.guard import SeededGenerators, kept_generators
from nasbench_lab.mistakes import told
from nasbench_lab.processes import Executor, Terminated
from nasbench_lab.registry import running, take
from nasbench_lab.running.live import (
    LiveSearch,
    RealTime,
    Watch,
    experiment_of,
    in_real_time,
    unwatched,
)
from nasbench_lab.running.warm_start import DEFAULT_USE, AnyHistory, start_of
from nasbench_lab.simulator import simulate
from nasbench_lab.trace import Trace
from nasbench_lab.user_code.benchmarks import TakenBenchmark
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


Loop = Callable[..., Trace]
"""What asks, evaluates and tells: ``simulated`` or a ``LiveSearch``."""


def simulated(
    algorithm: SearchAlgorithm,
    benchmark: Benchmark,
    budget: Budget | int | str,
    *,
    streams: tuple[np.random.SeedSequence, np.random.SeedSequence],
    **options: Any,
) -> Trace:
    """Searches in simulated time; the streams are those of noise and faults."""
    noise, faults = map(np.random.default_rng, streams)
    return simulate(algorithm, benchmark, budget, noise=noise, faults=faults, **options)


def global_seed(benchmark: str, algorithm: str, seed: int) -> int:
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
    executor: Executor | None = None,
    scheduler: str | None = None,
    folder: Path | str | None = None,
    watch: Watch = unwatched,
    evaluation_limit: float | None = None,
    **hyperparameters: Any,
) -> Trace:
    """Runs one search, in simulated time or, with an executor, in real time.

    In real time, workers evaluate at once, and the algorithm is asked as they fall free, by the rules
    of the simulator. Times are real seconds, and a trial that continues goes on from its checkpoint, on
    whichever worker. An evaluation that fails, for lack of memory, an error
    or a worker that dies of it again and again, is a failed one, with its reason in ``Trace.reasons``.
    With a folder, a search that was killed goes on when it is called again: what was evaluated is
    not evaluated again, and what was in training goes on from its checkpoint.

    Args:
        algorithm: A name, ``name(key=value)``, ``path/to/file.py:ClassName``, a class, or an
            algorithm that is built already (which keeps its own seed).
        benchmark: A table's name, ``path/to/file.py:NAME``, or a benchmark.
        budget: As for ``Budget.of``: ``200`` evaluations, ``"12000s"``, …
        seed: Different seeds give independent runs, equal seeds equal ones.
        workers: How many evaluations run at once on the simulated clock, or ``Workers`` that are
            synchronous, fail or straggle; in real time, how many workers there are.
        charge_repeats: Whether evaluating the same again costs again.
        history: What other searches have shown: traces, results, result folders, tables or their
            names, one or several.
        use: What the history is used for. ``prior``: what it holds of other tasks goes to the
            algorithm, which must be one that learns from other tasks. ``candidates``: the best of
            other tasks are evaluated first, up to ten of them by turns. ``results``: what it holds of
            this same benchmark counts as results of this run, and costs nothing.
        executor: What evaluates in real time: ``processes`` of this machine, one for each worker, which
            share out its GPUs, or else have a core each; or a ``dask`` cluster, whose workers need
            nasbench-lab and the same data folder. A Dask cluster runs whatever it is sent: it belongs
            into a network that is trusted. By default, time is simulated.
        scheduler: The address of Dask's scheduler, such as ``"tcp://10.0.0.1:8786"``.
        folder: Where a search in real time is kept as it goes: a result folder, which can be opened at
            any time. Searches with other seeds or algorithms may join it.
        watch: Called about twice a second with the ``Standing`` of a search in real time.
        evaluation_limit: How many real seconds an evaluation in real time may take. One that takes
            longer is a failed one. Its process is ended and replaced. A worker of a Dask cluster
            cannot be ended from here: its evaluation ends itself as soon as it runs Python code, and a
            call into compiled code that never returns keeps its worker.
        **hyperparameters: Of the algorithm.

    Raises:
        NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.

    Example:
        >>> trace = run("random_search", "nas-bench-graph/cora", budget=20, seed=1)
        >>> len(trace)
        20
    """
    real_time = None
    if executor is not None:
        kept = None if folder is None else Path(folder)
        real_time = RealTime(executor, scheduler, kept, watch, evaluation_limit)
    elif any(given is not None for given in (scheduler, folder, evaluation_limit)):
        raise ExperimentError(
            "A scheduler, folder or evaluation_limit is given, but no executor. Say who evaluates in "
            "real time: executor='processes' or 'dask'."
        )
    taken_as: Benchmark | TakenBenchmark = (
        taken_benchmark(benchmark)
        if real_time is None
        else in_real_time(taken_benchmark(benchmark))
    )
    opened = taken_as if isinstance(taken_as, Benchmark) else taken_as.benchmark
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
    loop: Loop = simulated
    if real_time is not None and not isinstance(taken_as, Benchmark):
        experiment = None
        if real_time.folder is not None:
            policies = budget, seed, workers, charge_repeats, warm_start
            experiment = experiment_of(taken, hyperparameters, taken_as, *policies)
        loop = LiveSearch(real_time, taken_as, experiment)
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
                loop,
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
    loop: Loop = simulated,
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
        for _ in range(5):
            generators = SeededGenerators(global_seed(benchmark.name, name, seed))
            trace = loop(
                algorithm
                if isinstance(algorithm, SearchAlgorithm)
                else build(algorithm, benchmark, search, hyperparameters, start.history),
                benchmark,
                budget,
                workers=workers,
                charge_repeats=charge_repeats,
                streams=(noise, faults),
                known=start.known,
                candidates=start.candidates,
                settings=settings,
            )
            used = generators.used()
            # Where others work in other threads, as on a cluster, one of them may have drawn. What
            # the algorithm draws, it draws every time.
            repeats = loop is simulated and not isinstance(algorithm, SearchAlgorithm)
            if not used or alone or not repeats:
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
