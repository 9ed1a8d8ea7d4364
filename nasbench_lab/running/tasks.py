"""The parts of a comparison that processes work on."""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nasbench_lab.benchmark import Benchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import AlgorithmError, NasbenchLabError
from nasbench_lab.experiment.building import build, checksums_of
from nasbench_lab.experiment.experiment import Cell, Experiment
from nasbench_lab.experiment.settings import AlgorithmSetting, BenchmarkSetting
from nasbench_lab.experiment.warm_start import WarmStart
from nasbench_lab.guard import TimeIsUp, contained, time_limit
from nasbench_lab.mistakes import is_ours, place_in, told, users_place, whole_traceback
from nasbench_lab.processes import (
    Terminated,
    is_at_the_user,
    killed_after,
    lasting_threads,
    note,
)
from nasbench_lab.registry import class_of
from nasbench_lab.results.folder import made_with
from nasbench_lab.results.parts import Run, shard_file, shard_name
from nasbench_lab.running.reported import reported_of
from nasbench_lab.running.search import search, settings_of
from nasbench_lab.simulator import empty_trace
from nasbench_lab.workers import Workers

_LEAVE_S = 0.5
"""How long a thread that an algorithm started may take to end after the run."""

_SHARD_S = 5.0
"""About how many seconds of work are lost when a process is killed."""


@dataclass(frozen=True)
class Task:
    """Some seeds of one algorithm on one benchmark: what one process does at a time."""

    setting: BenchmarkSetting
    algorithm: AlgorithmSetting
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
    warm_start: WarmStart | None = None

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark, as this process has it."""
        return self.setting.benchmark

    def __call__(self) -> tuple[list[Run], NasbenchLabError | None]:
        """Runs as many of the seeds as can be done in a short time, at least one.

        Returns:
            The runs, and the error that ended them.
        """
        cells = ((self.benchmark.name, self.algorithm.name, seed) for seed in self.seeds)
        if (
            self.folder is not None
            and shard_file(self.folder, shard_name(self.place, cells)).exists()
        ):
            return [], None  # another process has done it by now
        runs: list[Run] = []
        origin, began = made_with(), time.perf_counter()
        code = checksums_of(self.algorithm.taken[0])  # of what this process runs
        with contained():
            table = self.benchmark.fingerprint  # and has opened
            self._import_package()
            for seed in self.seeds:
                since = time.perf_counter()
                if runs and since - began > _SHARD_S:
                    break
                try:
                    run = self._run(seed)
                except NasbenchLabError as error:
                    return runs, error
                wall_s = time.perf_counter() - since
                done = replace(run, wall_s=wall_s, made_with=origin, code=code, table=table)
                runs.append(done)
        return runs, None

    def _import_package(self) -> None:
        """Has an algorithm import the package that it needs: no run is to be charged with that."""
        taken, hyperparameters = self.algorithm.taken
        if isinstance(taken, str) and class_of(taken).needs:
            with suppress(NasbenchLabError):  # the run says it
                build(taken, self.benchmark, np.random.SeedSequence(0), hyperparameters)

    def _run(self, seed: int) -> Run:
        threads = lasting_threads()
        note(f"{self.place} {seed}")
        try:
            with time_limit(self.time_limit), killed_after(self.time_limit):
                taken, hyperparameters = self.algorithm.taken
                trace, texts = search(
                    taken,
                    self.benchmark,
                    self.budget,
                    seed,
                    self.workers,
                    self.charge_repeats,
                    hyperparameters,
                    self.warm_start,
                )
                reported = reported_of(trace, self.benchmark)
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
            remaining = lasting_threads(threads)
            for thread in remaining:
                thread.join(_LEAVE_S)  # of one that is about to end, there is nothing to say
            remaining = [thread for thread in remaining if thread.is_alive()]
            names = ", ".join(sorted(thread.name for thread in remaining))
            texts += (f"left threads running: {names}.",) if remaining else ()
        cell = self.benchmark.name, self.algorithm.name, seed
        return Run(*cell, trace, 0.0, warnings=texts, reported=reported)

    def failed_run(self, seed: int, reason: str, details: str) -> Run:
        """The run that stands for one that failed."""
        taken, hyperparameters = self.algorithm.taken
        settings = settings_of(taken, self.benchmark, seed, hyperparameters, self.warm_start)
        trace = empty_trace(
            self.benchmark, self.budget, self.workers, self.charge_repeats, settings
        )
        error = f"{reason}\n{details}"
        return Run(
            self.benchmark.name,
            self.algorithm.name,
            seed,
            trace,
            0.0,
            made_with(),
            checksums_of(taken),
            error,
            table=self.benchmark.fingerprint,
        )

    def failure(self, seed: int, reason: str, details: str) -> AlgorithmError:
        """The error that a run which failed ends the comparison with."""
        error = AlgorithmError(
            f"{self.algorithm.name} on {self.benchmark.name!r} with seed {seed} failed: {reason}"
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


def tasks_of(
    experiment: Experiment,
    finished: Container[Cell],
    folder: Path | None,
    time_limit: float | None,
    keep_going: bool,
) -> list[Task]:
    """What is left to do of an experiment, in parts that take a process a moment each.

    Args:
        experiment: The experiment.
        finished: What is done.
        folder: Of results that other processes may add to meanwhile.
        time_limit: As for ``compare``.
        keep_going: As for ``compare``.
    """
    chunk = max(1, min(10, len(experiment.seeds) // 8))
    tasks = []
    for b, benchmark in enumerate(experiment.benchmarks):
        for a, algorithm in enumerate(experiment.algorithms):
            for i in range(0, len(experiment.seeds), chunk):
                seeds = [
                    seed
                    for seed in experiment.seeds[i : i + chunk]
                    if (benchmark.name, algorithm.name, seed) not in finished
                ]
                task = Task(
                    benchmark,
                    algorithm,
                    seeds,
                    experiment.budget,
                    experiment.workers,
                    experiment.charge_repeats,
                    f"{b:03d}-{a:03d}-{i:06d}",
                    folder,
                    time_limit,
                    keep_going,
                    experiment.warm_start,
                )
                tasks += [task] if seeds else []
    return tasks
