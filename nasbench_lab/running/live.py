"""Searches in real time: who evaluates for them, and the folder that keeps them."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.clock import REAL
from nasbench_lab.errors import ExperimentError, HyperparameterError, UnknownNameError
from nasbench_lab.experiment.building import AnyAlgorithm, checksums_of, written
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.settings import AlgorithmSetting, BenchmarkSetting
from nasbench_lab.experiment.warm_start import WarmStart
from nasbench_lab.files import atomic_file
from nasbench_lab.guard import check_time_limit
from nasbench_lab.processes import Executor
from nasbench_lab.registry import take
from nasbench_lab.results.folder import made_with, working_on
from nasbench_lab.results.parts import Run, shard_name, write_shard
from nasbench_lab.running.journal import Journal
from nasbench_lab.running.pools import DaskPool, ProcessPool, gpus_of
from nasbench_lab.running.reported import reported_of
from nasbench_lab.simulator import Outcome, Standing, search_live
from nasbench_lab.spaces import Architecture
from nasbench_lab.trace import Trace
from nasbench_lab.user_code.benchmarks import FileBenchmark, LiveBenchmark, TakenBenchmark
from nasbench_lab.user_code.classes import FileClass
from nasbench_lab.workers import Workers

WRITE_S = 1.0
"""The least seconds between two times that the trace so far is written."""

AT_WORK = ".at-work.json"
"""How the name of the file ends that says what a search's workers are at."""

UNFINISHED = "has not come to the end of its search in real time; the same command goes on with it."
"""What is noted of a run that is written before its end."""

Watch = Callable[[Standing], None]


def unwatched(standing: Standing) -> None:
    """Watches nothing."""


@dataclass(frozen=True)
class RealTime:
    """How a search runs in real time.

    Args:
        executor: ``processes`` of this machine, or a ``dask`` cluster.
        scheduler: The address of Dask's scheduler.
        folder: The result folder; None to keep nothing.
        watch: Called with how the search stands, about twice a second.
        limit: How many seconds an evaluation may take.

    Raises:
        UnknownNameError: There is no such executor.
        ExperimentError: A scheduler is named, but not Dask; or the limit makes no sense.
    """

    executor: Executor
    scheduler: str | None = None
    folder: Path | None = None
    watch: Watch = unwatched
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.executor not in get_args(Executor):
            raise UnknownNameError("executor", self.executor, get_args(Executor))
        if self.executor == "processes" and self.scheduler is not None:
            raise ExperimentError(
                f"Expected the executor 'dask' with the scheduler {self.scheduler!r} but got "
                f"{self.executor!r}."
            )
        check_time_limit(self.limit)

    def pool(self, taken: TakenBenchmark, count: int) -> ProcessPool | DaskPool:
        """Who evaluates."""
        if self.executor == "dask":
            return DaskPool(taken, self.scheduler, self.limit)
        return ProcessPool(taken, count, gpus_of(taken.benchmark), self.limit)


def in_real_time(given: Benchmark | FileBenchmark) -> TakenBenchmark:
    """A benchmark as a search in real time has it: its costs are what evaluations really take.

    Raises:
        ExperimentError: It is a table.
    """
    opened = given.benchmark if isinstance(given, FileBenchmark) else given
    if isinstance(opened, TableBenchmark):
        raise ExperimentError(
            f"{opened.name!r} is a table, which answers at once, so there is nothing to evaluate in "
            f"real time. Leave the executor out, or give a benchmark that trains."
        )
    timed = copy.copy(opened)
    timed.clock, timed.measured = REAL, True
    if not isinstance(given, FileBenchmark):
        return LiveBenchmark.of(timed)
    taken = FileBenchmark(given.code, given.name)
    vars(taken)["benchmark"] = timed  # where the cached property keeps it
    return taken


def experiment_of(
    algorithm: AnyAlgorithm,
    hyperparameters: Mapping[str, Any],
    taken: TakenBenchmark,
    budget: Budget | int | str,
    seed: int,
    workers: Workers | int,
    charge_repeats: bool = True,
    warm_start: WarmStart | None = None,
) -> Experiment:
    """The experiment that a single search is, for its folder.

    Raises:
        HyperparameterError: The algorithm is built already.
    """
    if isinstance(algorithm, SearchAlgorithm):
        raise HyperparameterError(
            f"{type(algorithm).__name__} is built already, so a folder cannot say how. Give its class "
            f"instead, or no folder."
        )
    if isinstance(algorithm, type):
        algorithm, _ = take(algorithm)
    name = written(algorithm, hyperparameters)
    file = algorithm.file if isinstance(algorithm, FileClass) else None
    setting = AlgorithmSetting(name, name, file, checksums_of(algorithm))
    vars(setting)["taken"] = algorithm, dict(hyperparameters)
    return Experiment.made(
        [setting],
        [BenchmarkSetting.of(taken)],
        Budget.of(budget),
        [seed],
        Workers.of(workers),
        charge_repeats,
        warm_start,
    )


def spent(trace: Trace, budget: Budget, seconds: float) -> tuple[float, float]:
    """How much of a budget a search has spent, and its limit, of that limit which is nearest.

    Args:
        trace: The search so far.
        budget: Its budget.
        seconds: Since it began.
    """
    limits = budget.limits()
    amounts = {
        "evaluations": float(trace.charged.sum()),
        "seconds": seconds,
        "epochs": float(trace.epochs()[-1]) if len(trace) else 0.0,
    }
    unit = max(limits, key=lambda unit: amounts[unit] / limits[unit])
    return amounts[unit], float(limits[unit])


@dataclass
class LiveSearch:
    """A search in real time, in the place of ``simulate``.

    Args:
        real_time: How it runs.
        taken: What it searches on.
        experiment: What its folder says of it; None without a folder.
    """

    real_time: RealTime
    taken: TakenBenchmark
    experiment: Experiment | None
    written_at: float = field(default=-math.inf, init=False)
    written: int = field(default=0, init=False)
    standing: Standing | None = field(default=None, init=False)

    def __call__(
        self,
        algorithm: SearchAlgorithm,
        benchmark: Benchmark,
        budget: Budget | int | str,
        *,
        workers: Workers,
        charge_repeats: bool,
        streams: Sequence[np.random.SeedSequence],
        known: Sequence[tuple[Architecture, Evaluation]],
        candidates: Sequence[Architecture],
        settings: dict[str, Any],
    ) -> Trace:
        """Searches; arguments as of ``simulate``."""
        pool = self.real_time.pool(self.taken, workers.count)
        with ExitStack() as stack:
            stack.callback(pool.close)
            journal = self._journal(stack)
            trace = search_live(
                algorithm,
                benchmark,
                budget,
                pool,
                workers=workers,
                charge_repeats=charge_repeats,
                noise=int(streams[0].generate_state(1)[0]),
                known=known,
                candidates=candidates,
                settings=settings,
                recorded=() if journal is None else journal.outcomes,
                record=_forget if journal is None else journal.write,
                watch=self._watch,
            )
            if journal is not None:
                self._write(trace, ended=True)
                self.written = len(trace)
        return trace

    def _journal(self, stack: ExitStack) -> Journal | None:
        """The journal in the folder, which is this search's until the stack ends."""
        if self.experiment is None or self.real_time.folder is None:
            return None
        import pyarrow.parquet  # noqa: F401 (now, while no worker waits)

        folder, experiment = self.real_time.folder, self.experiment
        stack.enter_context(working_on(folder, experiment))
        setting = experiment.setting(experiment.tables[0], experiment.labels[0])
        of = {**setting, "seed": experiment.seeds[0]}
        journal = Journal(folder / "live" / f"{self.name}.jsonl", of)
        stack.callback(journal.close)
        stack.callback(self._write_rest)
        stack.callback(self._file_at_work.unlink, missing_ok=True)
        return journal

    @property
    def name(self) -> str:
        """What its files are called."""
        assert self.experiment is not None
        return shard_name("live", self.experiment.cells)

    @property
    def _file_at_work(self) -> Path:
        """Beside the journal while the search runs: what its workers are at."""
        assert self.real_time.folder is not None
        return self.real_time.folder / "live" / f"{self.name}{AT_WORK}"

    def _watch(self, standing: Standing) -> None:
        """Writes what there is, and shows how the search stands."""
        self.standing = standing
        if time.monotonic() - self.written_at >= WRITE_S:
            self._write_rest()
            if self.experiment is not None:
                self._write_at_work(standing)
            self.written_at = time.monotonic()
        self.real_time.watch(standing)

    def _write_rest(self) -> None:
        """Writes the trace so far, if it has grown."""
        standing = self.standing
        if self.experiment is not None and standing and standing.finished > self.written:
            self._write(standing.trace(), ended=False)
            self.written = standing.finished

    def _write_at_work(self, standing: Standing) -> None:
        benchmark = self.taken.benchmark
        entries = [
            {
                "worker": worker,
                "architecture": str(benchmark.space.to_string(work.trial.architecture)),
                "epoch": work.epoch,
                "last_epoch": work.trial.epoch or benchmark.epochs,
                "start": work.start,
            }
            for worker, work in sorted(standing.at_work.items())
        ]
        with atomic_file(self._file_at_work) as path:
            path.write_text(json.dumps({"seconds": standing.seconds, "at_work": entries}), "utf-8")

    def _write(self, trace: Trace, *, ended: bool) -> None:
        """Writes the trace, or what there is of it, as the run of the folder."""
        folder, experiment = self.real_time.folder, self.experiment
        assert folder is not None
        assert experiment is not None
        reported = None
        if ended:
            reported = reported_of(trace, self.taken.benchmark, trained_only=True)
        benchmark, algorithm, seed = next(iter(experiment.cells))
        setting = experiment.algorithms[0]
        wall_s = float(trace.end[-1]) if len(trace) else 0.0
        run = Run(
            benchmark,
            algorithm,
            seed,
            trace,
            wall_s,
            made_with=made_with(),
            code=setting.code,
            warnings=() if ended else (UNFINISHED,),
            table=self.taken.benchmark.fingerprint,
            reported=reported,
        )
        write_shard(folder, experiment, self.name, [run])


def _forget(outcomes: Sequence[Outcome]) -> None:
    """Keeps nothing."""
