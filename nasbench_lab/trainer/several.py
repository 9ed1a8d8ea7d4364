"""Several architectures that are trained, one after the other or in processes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nasbench_lab.errors import TrainingError
from nasbench_lab.processes import at_once, in_processes
from nasbench_lab.spaces import Architecture
from nasbench_lab.trainer.benchmark import TrainingBenchmark
from nasbench_lab.trainer.progress import Plan, Task, Teller, under_way
from nasbench_lab.trainer.training import Training, train

_SHOWN = {"test_accuracy": "test accuracy (%)", "valid_accuracy": "valid accuracy (%)"}
"""The curves of a live view, and what their axes are called."""


@contextmanager
def trainings_under_way(
    folder: Path | None,
    what: str,
    parts: Mapping[str, TrainingBenchmark],
    architectures: Sequence[Architecture],
    n_jobs: int,
) -> Iterator[list[list[Teller]]]:
    """Says in a folder that architectures are trained to be validated, while the block runs.

    Args:
        folder: The folder; None to tell nobody.
        what: The name of the table, or of what else they are compared with.
        parts: What all of them are trained on, one after the other, by what sets it apart.
        architectures: The architectures.
        n_jobs: How many processes there may be.

    Yields:
        For each part, what tells how far its trainings are.

    Raises:
        DataFolderError: The folder cannot be written.
    """
    *_, last = parts.values()
    epochs, count = last.recipe.epochs, len(architectures)
    tasks = [
        Task(" ".join(filter(None, (last.space.to_string(architecture), part))), epochs)
        for part in parts
        for architecture in architectures
    ]
    facts = [
        ("Data", last.recipe.data),
        ("Seeds", ", ".join(map(str, last.seeds))),
        ("Epochs", f"{epochs:,}"),
        ("Device", last.device),
    ]
    jobs = _jobs(last, count, n_jobs)
    with under_way(
        folder, Plan(f"Validation of {what}", "training", facts, tasks, _SHOWN, jobs)
    ) as told:
        yield [told[first : first + count] for first in range(0, len(told), count)]


def train_several(
    benchmark: TrainingBenchmark,
    architectures: Sequence[Architecture],
    own: bool,
    n_jobs: int,
    told: Sequence[Teller],
    progress: Callable[[int, int, str], None],
) -> list[Training]:
    """The trainings of architectures.

    Args:
        benchmark: What they are trained on.
        architectures: The architectures.
        own: Whether each is trained from the start, and not kept.
        n_jobs: How many processes train on the CPU; -1 for one per core.
        told: For each, what tells how far it is.
        progress: Called with (epochs done, all epochs, name of the work).

    Raises:
        TrainingError: There are to be no processes, memory runs out, or a user's network fails.
    """
    epochs = benchmark.recipe.epochs
    what, steps = f"training on {benchmark.device}", len(architectures) * epochs
    trained: dict[int, Training] = {}
    n_jobs = _jobs(benchmark, len(architectures), n_jobs)
    if n_jobs == 1:
        benchmark.progress = lambda done, total: progress(len(trained) * epochs + done, steps, what)
    tasks = [
        partial(_train, benchmark, architecture, own, teller)
        for architecture, teller in zip(architectures, told, strict=True)
    ]
    progress(0, steps, what)
    for number, training in in_processes(tasks, n_jobs):
        trained[number] = training
        progress(len(trained) * epochs, steps, what)
    return [trained[number] for number in range(len(architectures))]


def _jobs(benchmark: TrainingBenchmark, count: int, n_jobs: int) -> int:
    """How many train at once."""
    if n_jobs == 0:
        raise TrainingError("Expected at least one process, or -1 for one per core, but got 0.")
    return 1 if benchmark.device != "cpu" else at_once(count, n_jobs)


def _train(
    benchmark: TrainingBenchmark, architecture: Architecture, own: bool, told: Teller
) -> Training:
    def watch(epoch: int, curves: Mapping[str, Any]) -> None:
        told(epoch, _means(curves))

    if own:
        training = train(
            benchmark.space, architecture, benchmark.recipe, benchmark.data,
            build=benchmark.build, seeds=benchmark.seeds, device=benchmark.device,
            progress=benchmark.progress, watch=watch,
        )  # fmt: skip
    else:
        watched = copy.copy(benchmark)
        watched.watch = watch
        training = watched.training(architecture)
    told(training.epochs, _means(training.curves), ended=True)
    return training


def _means(curves: Mapping[str, Any]) -> dict[str, list[float]]:
    """The means over the seeds of ``(seeds, epochs)`` curves that are shown."""
    return {name: curves[name].mean(axis=0).tolist() for name in _SHOWN if name in curves}
