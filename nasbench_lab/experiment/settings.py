"""The algorithms and benchmarks of an experiment, with all that their runs depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.errors import BenchmarkError, ExperimentError, TableFileError
from nasbench_lab.experiment.building import (
    build,
    checksums_of,
    load,
    titled,
    written,
)
from nasbench_lab.experiment.program import Program, is_registered
from nasbench_lab.experiment.warm_start import NOTHING, WarmStart
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
        clock: One of ``nasbench_lab.clock.CLOCKS``, or ``REAL``.
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
