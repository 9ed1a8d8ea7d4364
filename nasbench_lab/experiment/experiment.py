"""What a comparison is: benchmarks, algorithms, budget, seeds, workers and policies."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from nasbench_lab.benchmark import Benchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import ExperimentError
from nasbench_lab.experiment import DEFAULT_SEEDS
from nasbench_lab.experiment.building import (
    trial_of_algorithms,
)
from nasbench_lab.experiment.differences import differences
from nasbench_lab.experiment.settings import (
    Algorithm,
    AlgorithmSetting,
    BenchmarkSetting,
    labels_of,
    taken_benchmark,
)
from nasbench_lab.experiment.warm_start import WarmStart
from nasbench_lab.guard import contained
from nasbench_lab.workers import Workers

Cell = tuple[str, str, int]
"""Benchmark, algorithm and seed: what tells a run from the others of its experiment."""

Setting = TypeVar("Setting", "AlgorithmSetting", "BenchmarkSetting")


@dataclass(frozen=True)
class Experiment:
    """All of a comparison: every algorithm runs on every benchmark with every seed.

    It is made by ``Experiment.of`` from Python arguments, by ``read_experiment`` from a TOML file,
    and from the manifest of a result.

    Args:
        algorithms: The algorithms, of different names.
        benchmarks: The benchmarks, of different names.
        budget: Of each run.
        seeds: The seeds.
        workers: The simulated machines of each run.
        charge_repeats: Whether evaluating the same again costs again.
        warm_start: What all runs begin with; None for nothing.

    Raises:
        ExperimentError: There is no algorithm, benchmark or seed, a name is blank, or two are equal.
    """

    algorithms: tuple[AlgorithmSetting, ...]
    benchmarks: tuple[BenchmarkSetting, ...]
    budget: Budget
    seeds: tuple[int, ...]
    workers: Workers
    charge_repeats: bool
    warm_start: WarmStart | None = None

    def __post_init__(self) -> None:
        if not self.benchmarks or not self.algorithms:
            raise ExperimentError("Expected at least one algorithm and one benchmark.")
        if not self.seeds:
            raise ExperimentError("Expected at least one seed.")
        for kind, names in ("algorithms", self.labels), ("benchmarks", self.tables):
            if not all(name.strip() for name in names):
                raise ExperimentError(
                    f"Expected names of {kind} of at least one letter but got an empty one."
                )
            if len(set(names)) < len(names):
                raise ExperimentError(
                    f"Expected {kind} of different names but got {', '.join(names)}."
                )

    @classmethod
    def of(
        cls,
        algorithms: Algorithm | Sequence[Algorithm] | Mapping[str, Algorithm],
        benchmarks: str | Benchmark | Sequence[str | Benchmark | BenchmarkSetting],
        *,
        budget: Budget | int | str,
        seeds: int | Sequence[int] = DEFAULT_SEEDS,
        workers: Workers | int = 1,
        charge_repeats: bool = True,
        warm_start: WarmStart | None = None,
        time_limit: float | None = None,
    ) -> Experiment:
        """Checks the arguments of ``compare``: what is wrong is found before any work is done.

        Each algorithm is built once for each benchmark.

        Args:
            algorithms: As for ``compare``.
            benchmarks: As for ``compare``.
            budget: As for ``compare``.
            seeds: As for ``compare``.
            workers: As for ``compare``.
            charge_repeats: As for ``compare``.
            warm_start: What all runs begin with.
            time_limit: Seconds that the building of the algorithms may take.

        Raises:
            NasbenchLabError: Of the kind that fits; see ``nasbench_lab.errors``.
        """
        budget, workers, seeds = Budget.of(budget), Workers.of(workers), seeds_of(seeds)
        if isinstance(benchmarks, str) or not isinstance(benchmarks, Sequence):
            benchmarks = [benchmarks]
        with contained():
            settings = [
                one
                if isinstance(one, BenchmarkSetting)
                else BenchmarkSetting.of(taken_benchmark(one))
                for one in benchmarks
            ]
        for setting in settings:
            budget.check(setting.benchmark)
        with trial_of_algorithms(time_limit):
            labelled = labels_of(algorithms)
            experiment = cls.made(
                [AlgorithmSetting.of(label, one) for label, one in labelled.items()],
                settings,
                budget,
                seeds,
                workers,
                charge_repeats,
                warm_start,
            )
            for algorithm in experiment.algorithms:
                for setting in settings:
                    algorithm.check(setting.benchmark, warm_start)
            experiment.check_warm_start()
        return experiment

    def check_warm_start(self) -> None:
        """Refuses a warm start that none of the algorithms can use.

        Raises:
            UnsuitedError: The message says what else to do.
        """
        if self.warm_start is not None:
            self.warm_start.check(algorithm.taken[0] for algorithm in self.algorithms)

    @classmethod
    def made(
        cls,
        algorithms: Iterable[AlgorithmSetting],
        benchmarks: Iterable[BenchmarkSetting],
        budget: Budget,
        seeds: Iterable[int],
        workers: Workers,
        charge_repeats: bool,
        warm_start: WarmStart | None = None,
    ) -> Experiment:
        """Puts together parts that have been checked; numbers become those that JSON has."""
        return cls(
            tuple(algorithms),
            tuple(benchmarks),
            Budget(
                budget.evaluations and int(budget.evaluations),
                budget.seconds and float(budget.seconds),
                budget.epochs and int(budget.epochs),
                budget.phases,
            ),
            tuple(seeds),
            Workers(
                int(workers.count),
                bool(workers.synchronous),
                float(workers.fail),
                float(workers.straggle),
                float(workers.slowdown),
            ),
            bool(charge_repeats),
            warm_start,
        )

    @property
    def labels(self) -> list[str]:
        """The algorithms' names, in the order asked for."""
        return [algorithm.name for algorithm in self.algorithms]

    @property
    def tables(self) -> list[str]:
        """The benchmarks' names, in the order asked for."""
        return [benchmark.name for benchmark in self.benchmarks]

    @property
    def n_runs(self) -> int:
        """How many runs there are when it is finished."""
        return len(self.algorithms) * len(self.benchmarks) * len(self.seeds)

    @cached_property
    def cells(self) -> frozenset[Cell]:
        """What tells the runs apart."""
        return frozenset(itertools.product(self.tables, self.labels, self.seeds))

    def of_tables(self, names: Sequence[str]) -> Experiment:
        """The part of the experiment that is on some benchmarks."""
        return replace(self, benchmarks=tuple(b for b in self.benchmarks if b.name in names))

    def benchmark(self, name: str) -> BenchmarkSetting:
        """The benchmark of a name.

        Raises:
            ExperimentError: There is none.
        """
        return _named(self.benchmarks, name, "benchmarks")

    def algorithm(self, name: str) -> AlgorithmSetting:
        """The algorithm of a name.

        Raises:
            ExperimentError: There is none.
        """
        return _named(self.algorithms, name, "algorithms")

    def to_json(self) -> dict[str, Any]:
        """The experiment as a manifest has it."""
        return {
            "algorithms": [algorithm.to_json() for algorithm in self.algorithms],
            "benchmarks": [benchmark.to_json() for benchmark in self.benchmarks],
            "budget": self.budget.describe(),
            "seeds": list(self.seeds),
            "workers": self.workers.describe(),
            "charge_repeats": self.charge_repeats,
            **self._start_entry,
        }

    @property
    def _start_entry(self) -> dict[str, Any]:
        """The warm start as a manifest has it, if there is one."""
        return {} if self.warm_start is None else {"warm_start": self.warm_start.to_json()}

    def setting(self, benchmark: str, algorithm: str) -> dict[str, Any]:
        """What the runs of an algorithm on a benchmark depend on besides their seeds.

        It is laid out as ``to_json``, without what else that holds.

        Raises:
            ExperimentError: The experiment lacks one of the two.
        """
        return {
            "algorithms": [self.algorithm(algorithm).to_json()],
            "benchmarks": [self.benchmark(benchmark).to_json()],
            "budget": self.budget.describe(),
            "charge_repeats": self.charge_repeats,
            "workers": self.workers.describe(),
            **self._start_entry,
        }

    def differences(self, other: Experiment) -> list[str]:
        """What differs in another experiment, in words; where files lie makes no difference."""
        return differences(self.to_json(), other.to_json())

    def joined(self, other: Experiment) -> tuple[Experiment, list[str]]:
        """The experiment that holds this one and another.

        Algorithms, benchmarks and seeds that only the other has join those of this one.

        Returns:
            The experiment, and in words what contradicts: what the two say differently of what
            both have.
        """
        labels, tables, seeds = set(self.labels), set(self.tables), set(self.seeds)
        added = [seed for seed in other.seeds if seed not in seeds]
        whole = replace(
            self,
            algorithms=self.algorithms + tuple(a for a in other.algorithms if a.name not in labels),
            benchmarks=self.benchmarks + tuple(b for b in other.benchmarks if b.name not in tables),
            seeds=tuple(sorted([*self.seeds, *added])) if added else self.seeds,
        )
        by_label = {algorithm.name: algorithm for algorithm in other.algorithms}
        by_table = {benchmark.name: benchmark for benchmark in other.benchmarks}
        as_other_says = replace(
            other,
            algorithms=tuple(by_label.get(a.name, a) for a in whole.algorithms),
            benchmarks=tuple(by_table.get(b.name, b) for b in whole.benchmarks),
            seeds=whole.seeds,
        )
        return whole, whole.differences(as_other_says)


def _named(settings: Sequence[Setting], name: str, kind: str) -> Setting:
    for setting in settings:
        if setting.name == name:
            return setting
    raise ExperimentError(f"the experiment has no {name!r} among its {kind}")


MOST_SEEDS = 1_000_000
"""How many seeds an experiment may have: far more than anybody runs, and no burden on memory."""


def seeds_of(seeds: int | Sequence[int]) -> list[int]:
    """Takes a number of seeds for that many from 0 on.

    Raises:
        ExperimentError: There is none, or one is negative, twice, or no whole number; or there are
            too many.
    """
    problem = ExperimentError(
        f"Expected a number of seeds, or a list of whole numbers from 0 on, none of them twice, but "
        f"got {seeds!r}."
    )
    if isinstance(seeds, bool):
        raise problem
    try:
        values = seeds if isinstance(seeds, Iterable) else range(operator.index(seeds))
        listed = [operator.index(seed) for seed in itertools.islice(values, MOST_SEEDS + 1)]
    except TypeError:
        raise problem from None
    if len(listed) > MOST_SEEDS:
        raise ExperimentError(
            f"Expected at most {MOST_SEEDS:,} seeds but got "
            f"{'more' if isinstance(seeds, Iterable) else f'{seeds:,}'}."
        )
    if not listed or min(listed) < 0 or len(set(listed)) < len(listed):
        raise problem
    if max(listed) >= 2**63:  # result files keep them in 64 bits
        raise ExperimentError(f"Expected seeds below 2**63 but got {max(listed)}.")
    return listed
