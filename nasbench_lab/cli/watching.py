"""What is shown of a search in real time while it runs: a line for each worker, and one for all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from nasbench_lab.cli.console import continued_when_repeated, errors
from nasbench_lab.cli.execution import RESULTS, algorithms_at_work

if TYPE_CHECKING:
    from pathlib import Path

    from nasbench_lab.benchmark import Benchmark
    from nasbench_lab.budget import Budget
    from nasbench_lab.processes import Executor
    from nasbench_lab.simulator import AtWork, Standing
    from nasbench_lab.trace import Trace

_WIDTH = 40
"""The most signs of an architecture that are shown."""


class Line(NamedTuple):
    """What a progress bar shows.

    Args:
        text: What is done.
        done: How much of it.
        total: How much there is; None if nobody knows.
        left: The seconds that are left, by what similar took so far; NaN if nobody knows.
    """

    text: str
    done: float
    total: float | None
    left: float


@dataclass
class Watcher:
    """Says in lines how a search stands.

    Args:
        budget: Of the search.
        workers: How many there are.
        epochs: Epochs of a full evaluation, or None if the benchmark does not know.
    """

    budget: Budget
    workers: int
    epochs: int | None = None
    trace: Trace | None = None
    failures: list[str] = field(default_factory=list)
    """What failed since they were last taken."""
    noted: dict[int, tuple[AtWork, float]] = field(default_factory=dict)
    """What each worker was at when it last said something new, and when."""

    def lines(self, standing: Standing) -> list[Line]:
        """The line for all, and one for each worker."""
        if self.trace is None or len(self.trace) < standing.finished:
            now = standing.trace()
            known = len(now if self.trace is None else self.trace)
            self.failures += [
                f"Trial {now.trial[position]} failed: {reason}"
                for position, reason in now.reasons.items()
                if position >= known
            ]
            self.trace = now
        workers = [self._of_worker(worker, standing) for worker in range(self.workers)]
        return [self._of_all(standing, self.trace), *workers]

    def _of_all(self, standing: Standing, trace: Trace) -> Line:
        from nasbench_lab.running.live import spent

        done, total = spent(trace, self.budget, standing.seconds)
        rate = done / standing.seconds if standing.seconds and done else math.nan
        parts = [f"{len(trace)} evaluated"]
        if failed := len(trace.reasons):
            parts.append(f"{failed} failed")
        position = trace.incumbents()[-1] if len(trace) else -1
        if position >= 0:
            objective = trace.objectives[0]
            unit_of = "" if not objective.unit else f" {objective.unit}"
            parts.append(f"{objective.name} {trace.values[position, 0]:.4g}{unit_of}")
        return Line(", ".join(parts), min(done, total), total, (total - done) / rate)

    def _of_worker(self, worker: int, standing: Standing) -> Line:
        work = standing.at_work.get(worker)
        if work is None or self.trace is None:
            return Line(f"worker {worker}: waits", 0.0, None, math.nan)
        before = self.noted.get(worker)
        if before is None or before[0] != work:
            self.noted[worker] = before = work, standing.seconds
        text = str(self.trace.space.to_string(work.trial.architecture))
        text = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
        last = work.trial.epoch or self.epochs
        if last is None:
            left = self._mean_s(self.trace) - (standing.seconds - work.start)
            return Line(f"worker {worker}: {text}", 0.0, None, max(left, 0.0))
        done, total = max((work.epoch or 0) - work.since, 0), last - work.since
        took = self._mean_s(self.trace, per_epoch=True)
        took = (before[1] - work.start) / done if done else took
        left = max(took * total - (standing.seconds - work.start), 0.0)
        return Line(f"worker {worker}: {text}", float(done), float(total), left)

    @staticmethod
    def _mean_s(trace: Trace, *, per_epoch: bool = False) -> float:
        """What an evaluation, or an epoch of one, took on average; NaN if there was none."""
        sound = trace.charged & (trace.status < 2)  # done or stopped
        epochs = (trace.epoch - trace.since)[sound] if per_epoch else sound[sound]
        return float(trace.cost[sound].sum() / epochs.sum()) if epochs.sum() else math.nan


def search_watched(
    algorithm: str,
    benchmark: Benchmark,
    budget: str,
    seed: int,
    workers: int,
    executor: Executor,
    scheduler: str | None,
    folder: Path | None,
    evaluation_limit: float | None = None,
) -> tuple[Trace, Path]:
    """Searches in real time and shows how it stands; arguments as of ``run``.

    Without a folder, that of the same search in ``results`` is gone on with, or made.

    Returns:
        The trace, and the folder.
    """
    from nasbench_lab.budget import Budget
    from nasbench_lab.files import content_checksum
    from nasbench_lab.registry import take
    from nasbench_lab.running.live import experiment_of, in_real_time
    from nasbench_lab.running.search import run

    if folder is None:
        taken = in_real_time(benchmark)
        experiment = experiment_of(*take(algorithm), taken, budget, seed, workers)
        checksum = content_checksum(experiment.to_json())[:8]
        name = re.sub(r"\W+", "-", experiment.labels[0]).strip("-")
        folder = RESULTS / f"search-{name}-{seed}-{checksum}"
    if (folder / "live").is_dir():
        errors.print(f"Going on in {folder}.", soft_wrap=True, markup=False)
    watcher = Watcher(Budget.of(budget), workers, benchmark.epochs)
    with (
        continued_when_repeated(),
        watching(watcher) as watch,
        algorithms_at_work(),
    ):
        trace = run(
            algorithm,
            benchmark,
            budget,
            seed,
            workers=workers,
            executor=executor,
            scheduler=scheduler,
            folder=folder,
            watch=watch,
            evaluation_limit=evaluation_limit,
        )
    return trace, folder


@contextmanager
def watching(watcher: Watcher) -> Iterator[Callable[[Standing], None]]:
    """Progress bars on standard error; what fails is said there too, and stays."""
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        tasks = [
            bar.add_task("starting" if n == 0 else "", total=None, left="")
            for n in range(watcher.workers + 1)
        ]

        def show(standing: Standing) -> None:
            for task, line in zip(tasks, watcher.lines(standing), strict=True):
                left = "" if math.isnan(line.left) else f"{_in_words(line.left)} left"
                bar.update(
                    task,
                    description=line.text,
                    completed=line.done,
                    total=line.total,
                    left=left,
                )
            for text in watcher.failures:
                errors.print(text, markup=False, highlight=False, soft_wrap=True)
            watcher.failures.clear()

        yield show


def _in_words(seconds: float) -> str:
    """``0:07``, ``12:30``, ``3:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
