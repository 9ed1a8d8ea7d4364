"""What a comparison is: benchmarks, algorithms, budget, seeds, workers and policies."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import BenchmarkError, ExperimentError, TableFileError
from nasbench_lab.experiment import DEFAULT_SEEDS
from nasbench_lab.experiment.building import (
    build,
    checksums_of,
    load,
    titled,
    trial_of_algorithms,
    written,
)
from nasbench_lab.experiment.differences import differences
from nasbench_lab.experiment.program import Program, is_registered
from nasbench_lab.experiment.warm_start import NOTHING, WarmStart
from nasbench_lab.guard import contained
from nasbench_lab.registry import Taken, load_benchmark, running, take
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.tables.columns import Constraint, Query
from nasbench_lab.user_code import is_in_file
from nasbench_lab.user_code.benchmarks import (
    FileBenchmark,
    LiveBenchmark,
    TakenBenchmark,
    benchmarks_in,
)
from nasbench_lab.user_code.classes import FileClass
from nasbench_lab.user_code.code import Code
from nasbench_lab.workers import Workers

Cell = tuple[str, str, int]
"""Benchmark, algorithm and seed: what tells a run from the others of its experiment."""

Setting = TypeVar("Setting", "AlgorithmSetting", "BenchmarkSetting")

Algorithm = str | type[SearchAlgorithm]
"""A name, ``name(key=value)``, ``path/to/file.py:ClassName`` or a class."""


@dataclass(frozen=True)
class AlgorithmSetting:
    """An algorithm of an experiment.

    Args:
        name: Its label, which no other algorithm of the experiment has.
        algorithm: Its name or class with hyperparameters, such as ``gp_bo(kernel='matern')``.
        file: The file that defines the class, if it is not installed.
        code: The SHA-256 of each file of its code, if it is not installed.
    """

    name: str
    algorithm: str
    file: str | None = None
    code: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, label: str, algorithm: Algorithm) -> AlgorithmSetting:
        """Takes an algorithm with its code as the files have it now.

        Raises:
            HyperparameterError: The text in parentheses is no list of ``name=value``.
            AlgorithmFileError: The file cannot be read.
        """
        taken, hyperparameters = take(algorithm)
        file = taken.file if isinstance(taken, FileClass) else None
        setting = cls(label, written(taken, hyperparameters), file, checksums_of(taken))
        vars(setting)["taken"] = taken, hyperparameters  # where the cached property keeps it
        return setting

    @property
    def spec(self) -> str:
        """What ``of`` takes it by, if its class is in a file or installed."""
        return f"{self.file}:{self.algorithm}" if self.file else self.algorithm

    @property
    def title(self) -> str:
        """Its label, with the name of its file if it has one of its own."""
        return titled(self.name, self.file)

    @cached_property
    def taken(self) -> tuple[Taken, dict[str, Any]]:
        """The algorithm with its code, and its hyperparameters.

        Raises:
            NasbenchLabError: As ``of``.
        """
        return take(self.spec)

    def check(self, benchmark: Benchmark, warm_start: WarmStart | None = None) -> None:
        """Builds the algorithm for a benchmark, to see whether that can be done.

        Raises:
            NasbenchLabError: It cannot; the message says why.
        """
        algorithm, hyperparameters = self.taken
        start = NOTHING if warm_start is None else warm_start.on(benchmark)
        with running(algorithm):
            load(algorithm)
            stream = np.random.SeedSequence(0)
            build(algorithm, benchmark, stream, hyperparameters, start.history)

    def to_json(self) -> dict[str, Any]:
        """The setting as a manifest has it."""
        optional = {"file": self.file, "code": self.code}
        return {
            "name": self.name,
            "algorithm": self.algorithm,
            **{key: value for key, value in optional.items() if value},
        }


@dataclass(frozen=True)
class BenchmarkSetting:
    """A benchmark of an experiment.

    Args:
        name: Table, or table and task.
        space: The space's name.
        queries: What the searches see.
        report: What results are reported in.
        objectives: Name, unit and direction of each query.
        constraints: What architectures must keep to.
        clock: One of ``nasbench_lab.clock.CLOCKS``.
        source: What the table was made from, with its version.
        table: The fingerprint of what is read of the table.
        decisions: Those of the table's own space; empty if the space has a registered name.
        missing: What comes of architectures that the table lacks, one of
            ``nasbench_lab.benchmark.MISSING``; ``fail`` in results of earlier versions.
        program: What evaluates in place of a table, or what the table lacks; None for a table alone.
    """

    name: str
    space: str
    queries: tuple[Query, ...]
    report: Query
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    clock: str
    source: dict[str, Any]
    table: str
    decisions: tuple[Decision, ...] = ()
    missing: str = "fail"
    program: Program | None = None

    def __post_init__(self) -> None:
        if not self.queries or not self.objectives:
            raise ExperimentError(f"Expected at least one objective of {self.name!r}.")

    @classmethod
    def of(cls, benchmark: Benchmark | TakenBenchmark) -> BenchmarkSetting:
        """The setting of a benchmark that is open, or was taken with its code.

        Raises:
            BenchmarkError: It lacks what a benchmark has; the message says what.
            AlgorithmFileError: Its file cannot be executed.
        """
        if isinstance(benchmark, TableBenchmark) and benchmark.fallback is None:
            return cls._of_table(benchmark)
        taken = LiveBenchmark.of(benchmark) if isinstance(benchmark, Benchmark) else benchmark
        opened = taken.benchmark
        if isinstance(opened, TableBenchmark):
            setting = cls._of_table(opened)
            if opened.fallback is None:
                return setting
            setting = replace(setting, program=Program.of(taken))
            vars(setting)["opened_table"] = opened
        else:
            seen = tuple(Query(objective.name) for objective in opened.objectives)
            setting = cls(
                opened.name,
                opened.space.name,
                seen,
                seen[0] if opened.reported is None else Query(opened.reported.name),
                tuple(opened.objectives),
                tuple(opened.constraints),
                opened.clock,
                {},
                opened.fingerprint,
                decisions=() if is_registered(opened.space) else opened.space.decisions,
                program=Program.of(taken),
            )
        vars(setting)["taken"] = taken  # where the cached property keeps it
        return setting

    @classmethod
    def _of_table(cls, benchmark: TableBenchmark) -> BenchmarkSetting:
        setting = cls(
            benchmark.name,
            benchmark.space.name,
            benchmark.queries,
            benchmark.report,
            benchmark.objectives,
            benchmark.constraints,
            benchmark.clock,
            dict(benchmark.table.info.source),
            benchmark.fingerprint,
            decisions=benchmark.table.info.decisions,
            missing=benchmark.missing,
        )
        vars(setting)["opened_table"] = benchmark  # where the cached property keeps it
        return setting

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> BenchmarkSetting:
        """The setting that ``to_json`` gave."""
        program = entry.get("program")
        return cls(
            **{
                **entry,
                "queries": tuple(Query(**query) for query in entry["queries"]),
                "report": Query(**entry["report"]),
                "objectives": tuple(Objective(**objective) for objective in entry["objectives"]),
                "constraints": tuple(
                    Constraint(**{**constraint, "query": Query(**constraint["query"])})
                    for constraint in entry["constraints"]
                ),
                "decisions": tuple(Decision(**one) for one in entry.get("decisions", ())),
                "program": None if program is None else Program.from_json(program),
            }
        )

    @cached_property
    def taken(self) -> TakenBenchmark:
        """The benchmark with its code, if it is not a table alone.

        Raises:
            BenchmarkError: It is not at hand.
        """
        raise BenchmarkError(
            f"{self.name!r} is no table, and the program behind it is not at hand. Give the benchmark "
            f"to the comparison again, to go on with it."
        )

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark, to evaluate with.

        Raises:
            BenchmarkError: It is no table, and its program is not at hand.
            NasbenchLabError: As ``opened_table``.
        """
        return self.opened_table if self.program is None else self.taken.benchmark

    @property
    def search_space(self) -> SearchSpace:
        """The space of the architectures, as a result has it.

        Raises:
            UnknownNameError: The space is not on this machine.
        """
        return SearchSpace(self.space, self.decisions) if self.decisions else get_space(self.space)

    @cached_property
    def opened_table(self) -> TableBenchmark:
        """The table, opened by its name, without what it falls back to.

        Raises:
            TableFileError: The table of that name is another one now.
            NasbenchLabError: As ``registry.load_benchmark``.
        """
        benchmark = load_benchmark(
            self.name,
            objective=self.queries,
            report=self.report,
            clock=self.clock,
            constraints=self.constraints,
            missing="fail" if self.missing == "fallback" else self.missing,
        )
        if benchmark.fingerprint != self.table:
            raise TableFileError(
                f"The table {self.name!r} is not the one that this result was made with: "
                f"{self.source.get('version')} then, {benchmark.table.info.source.get('version')} "
                f"now. Install that version again, or repeat the comparison."
            )
        return benchmark

    def to_json(self) -> dict[str, Any]:
        """The setting as a manifest has it."""
        entry = asdict(self)
        if not self.decisions:
            del entry["decisions"]
        if self.program is None:
            del entry["program"]
        return entry


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


def taken_benchmark(benchmark: str | Benchmark) -> Benchmark | FileBenchmark:
    """A benchmark by a table's name or ``path/to/file.py:NAME``, or as it was given.

    Raises:
        NasbenchLabError: As ``registry.load_benchmark``, or the file cannot be read.
    """
    if not isinstance(benchmark, str):
        if not isinstance(benchmark, Benchmark):
            raise ExperimentError(
                f"Expected as benchmark a table's name, path/to/file.py:NAME or an object of a class "
                f"that inherits from Benchmark, but got {benchmark!r:.100}."
            )
        return benchmark
    if not is_in_file(benchmark):
        return load_benchmark(benchmark)
    path, _, name = (benchmark, "", "") if benchmark.endswith(".py") else benchmark.rpartition(":")
    taken = FileBenchmark(Code.of(path), name)
    if not name:
        there = ", ".join(f"{path}:{one}" for one in benchmarks_in(taken.code.load()))
        raise BenchmarkError(f"Name the benchmark too. In that file: {there or 'none'}.")
    return taken


def labels_of(
    algorithms: Algorithm | Sequence[Algorithm] | Mapping[str, Algorithm],
) -> dict[str, Algorithm]:
    """The algorithms by the labels that they are given, or else by their texts or classes.

    Raises:
        ExperimentError: A label is blank, or two algorithms have one.
    """
    if isinstance(algorithms, Mapping):
        if not all(label.strip() for label in algorithms):
            raise ExperimentError("Expected labels of at least one letter but got an empty one.")
        return dict(algorithms)
    if isinstance(algorithms, str) or not isinstance(algorithms, Sequence):
        algorithms = [algorithms]
    # A file's path says nothing in a figure; its class does.
    labels = [
        algorithm.rpartition(".py:")[2] if isinstance(algorithm, str) else algorithm.__name__
        for algorithm in algorithms
    ]
    if len(set(labels)) < len(labels):
        raise ExperimentError(
            f"Expected algorithms of different names but got {', '.join(labels)}. Give a mapping of "
            f"labels to algorithms."
        )
    return dict(zip(labels, algorithms, strict=True))


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
