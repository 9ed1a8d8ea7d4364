"""What a comparison by real training will cost at most, before it starts."""

from __future__ import annotations

import logging
import math
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.clock import counts_seconds
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.budget import Budget
    from nasbench_lab.experiment.experiment import Cell, Experiment
    from nasbench_lab.experiment.settings import BenchmarkSetting
    from nasbench_lab.trainer.benchmark import TrainingBenchmark

SAMPLE = 3
"""How many random architectures are trained for an epoch, to see how long that takes."""


@dataclass(frozen=True)
class TrainingCost:
    """What runs on a benchmark that trains cost at most.

    Args:
        benchmark: Its name.
        trainings: The most trainings; None if the budget sets no limit to them.
        training_s: Seconds of a training in full of a random architecture, all its seeds; NaN if that
            could not be measured.
        seconds: The most seconds of all trainings, one after the other; NaN if nobody knows.
    """

    benchmark: str
    trainings: int | None
    training_s: float
    seconds: float

    def __str__(self) -> str:
        most = "the budget sets no limit to trainings"
        if self.trainings is not None:
            most = f"at most {counted(self.trainings, 'training')}"
        each, whole = "nobody knows how long", "nobody knows"
        if not math.isnan(self.training_s):
            each = f"about {self.training_s:.2g} s each, as {SAMPLE} random ones show"
        if not math.isnan(self.seconds):
            whole = f"about {in_words(self.seconds)}"
        return (
            f"{self.benchmark} trains: {most}, {each}; {whole} in all, one after the other. "
            f"What any run has trained is kept, and costs no other anything."
        )


def in_words(seconds: float) -> str:
    """A time in the unit that fits it."""
    for unit, length in {"days": 86400.0, "hours": 3600.0, "minutes": 60.0}.items():
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def training_costs(experiment: Experiment, finished: Collection[Cell] = ()) -> list[TrainingCost]:
    """What each benchmark that trains costs at most, in the runs that are not finished."""
    left = Counter(cell[0] for cell in experiment.cells if cell not in finished)
    return [
        training_cost(benchmark, experiment.budget, left[setting.name])
        for setting in experiment.benchmarks
        if left[setting.name] and (benchmark := _that_trains(setting)) is not None
    ]


def _that_trains(setting: BenchmarkSetting) -> TrainingBenchmark | None:
    """The benchmark, if it trains; PyTorch is not imported to see that."""
    if setting.program is None:
        return None
    home = sys.modules.get("nasbench_lab.trainer.benchmark")
    benchmark: Any = setting.taken.benchmark
    return benchmark if home and isinstance(benchmark, home.TrainingBenchmark) else None


def training_cost(benchmark: TrainingBenchmark, budget: Budget, runs: int) -> TrainingCost:
    """What runs on a benchmark cost at most.

    A few random architectures are trained for an epoch, which is kept as all trainings are.

    Args:
        benchmark: The benchmark.
        budget: Of each run.
        runs: How many runs there are.
    """
    epoch_s = _epoch_s(benchmark)
    training_s = benchmark.recipe.epochs * epoch_s
    bounds, trainings = [], None
    if budget.evaluations is not None:
        trainings = min(runs * budget.evaluations, benchmark.space.size)
        bounds.append(trainings * training_s)
    if budget.epochs is not None:
        bounds.append(runs * budget.epochs * epoch_s)
    if budget.seconds is not None and counts_seconds(benchmark.clock):
        # The clock divides by the number of seeds.
        bounds.append(float(runs * budget.seconds * len(benchmark.seeds)))
    known = [bound for bound in bounds if not math.isnan(bound)]
    return TrainingCost(benchmark.name, trainings, training_s, min(known, default=math.nan))


def _epoch_s(benchmark: TrainingBenchmark) -> float:
    """The mean seconds of an epoch of random architectures, with its validation."""
    rng, seconds = np.random.default_rng(0), []
    for _ in range(SAMPLE):
        try:
            training = benchmark.training(benchmark.space.sample(rng), 1)
        except Exception:  # what others have written; in the comparison it is told
            continue
        seconds.append(sum(map(sum, training.seconds.values())) / training.epochs)
    return float(np.mean(seconds)) if seconds else math.nan


def logged(cost: TrainingCost) -> None:
    """Logs a cost as a warning."""
    logging.getLogger("nasbench_lab").warning("%s", cost)
