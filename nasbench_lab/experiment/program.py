"""What a comparison notes of a benchmark that is no table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.spaces import SearchSpace, get_space, space_names
from nasbench_lab.user_code.benchmarks import TakenBenchmark, attributes_of


@dataclass(frozen=True)
class Program:
    """What evaluates architectures in place of a table, or of those that a table lacks.

    It is what a result must know to be read where the program is not at hand.

    Args:
        name: Its class, or what a file calls it.
        file: The file that defines it, if it was named by a file.
        code: The SHA-256 of each file of its code, if it is not installed.
        attributes: What the object was made with, as far as it can be written.
        epochs: Epochs of a full evaluation, or None if the benchmark does not know.
        dataset: The data set that the networks are trained for, or None.
        reported: What results are reported in, or None for the first objective.
        best_value: The best possible value of the first objective, or None if nobody knows.
        noisy: Whether evaluations are noisy.
        measured: Whether costs are seconds that were measured.
        fallback: Whether there is a table too, and it evaluates only what that lacks.
    """

    name: str
    file: str | None = None
    code: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    dataset: str | None = None
    reported: Objective | None = None
    best_value: float | None = None
    noisy: bool = False
    measured: bool = False
    fallback: bool = False

    @classmethod
    def of(cls, taken: TakenBenchmark) -> Program:
        """The program behind a benchmark that was taken."""
        benchmark = taken.benchmark
        second = isinstance(benchmark, TableBenchmark)
        acting: Benchmark = benchmark
        if isinstance(benchmark, TableBenchmark) and benchmark.fallback is not None:
            acting = benchmark.fallback
        reported = None if second else benchmark.reported
        best = None if second or benchmark.best_value is None else float(benchmark.best_value)
        return cls(
            type(acting).__name__ if second else taken.name,
            taken.file,
            taken.checksums,
            attributes_of(acting),
            benchmark.epochs,
            benchmark.dataset,
            reported,
            best,
            bool(benchmark.noisy or acting.noisy),
            bool(acting.measured),
            second,
        )

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Program:
        """The program of an entry in a manifest."""
        reported = entry["reported"]
        return cls(
            **{
                **entry,
                "reported": None if reported is None else Objective(**reported),
            }
        )


def is_registered(space: SearchSpace) -> bool:
    """Whether a space can be had by its name, from nasbench-lab or a plug-in."""
    return space.name in space_names() and get_space(space.name) == space
