"""Benchmarks of a user's as they were when a comparison began, to be sent to other processes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

from nasbench_lab.benchmark import Benchmark, check_benchmark
from nasbench_lab.errors import BenchmarkError, ExperimentError, text_of
from nasbench_lab.guard import SeededGenerators, kept_generators
from nasbench_lab.mistakes import told
from nasbench_lab.user_code.classes import made_of
from nasbench_lab.user_code.code import Code, received, sent
from nasbench_lab.user_code.modules import is_installed


@dataclass(frozen=True)
class FileBenchmark:
    """A benchmark that a file defines: a class, a function that makes one, or an object.

    Every process makes its own, of the code as it was when it was taken.

    Args:
        code: The code of the file.
        name: The class, function or object.
    """

    code: Code
    name: str

    @property
    def file(self) -> str | None:
        """The file."""
        return self.code.file

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each file of its code."""
        return self.code.checksums

    def __reduce__(self) -> tuple[object, ...]:
        return FileBenchmark, (self.code, self.name)

    def check_sendable(self) -> None:
        """Its code can always be sent."""

    @cached_property
    def benchmark(self) -> Benchmark:
        """The benchmark, made when it is first asked for.

        Raises:
            AlgorithmFileError: The file cannot be executed.
            BenchmarkError: It defines no such benchmark, or the benchmark cannot be made.
        """
        known = self.code.name, self.name
        if known not in _MADE:
            _MADE[known] = self._make()
        return _MADE[known]

    def _make(self) -> Benchmark:
        with kept_generators():
            SeededGenerators(0)  # what it draws from them meanwhile is the same in every process
            return self._made()

    def _made(self) -> Benchmark:
        module = self.code.load()
        made = vars(module).get(self.name)
        if made is None:
            raise BenchmarkError(
                f"Expected {self.file} to define a benchmark {self.name!r}, but such there are: "
                f"{', '.join(benchmarks_in(module)) or 'none'}."
            )
        if not isinstance(made, Benchmark) and callable(made):
            try:
                with self.code.named():
                    made = made()
            except Exception as error:  # what others have written may raise anything
                raise BenchmarkError(
                    f"{self.name} of {self.file} cannot be made without arguments: {told(error)}. "
                    f"Expected a Benchmark, a class of one that needs no arguments, or a function "
                    f"that returns one."
                ) from error
        if not isinstance(made, Benchmark):
            raise BenchmarkError(
                f"Expected {self.name} of {self.file} to be a Benchmark, a class of one that needs no "
                f"arguments, or a function that returns one, but got {type(made).__name__}."
            )
        check_benchmark(made)
        return made


_MADE: dict[tuple[str, str], Benchmark] = {}
"""The benchmarks that this process has made, by code and name."""


def benchmarks_in(module: ModuleType) -> list[str]:
    """The names of benchmarks, and of classes of them, that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, Benchmark)
        or (
            inspect.isclass(value)
            and issubclass(value, Benchmark)
            and value.__module__ == module.__name__
        )
    ]


@dataclass(frozen=True)
class LiveBenchmark:
    """A benchmark that was given as an object; other processes get copies of it.

    Args:
        benchmark: The benchmark.
        code: The user's modules that it refers to; a process that it is sent to runs these.
        definitions: The SHA-256 of the source of its class, and of other definitions that it uses.
    """

    benchmark: Benchmark
    code: Code
    definitions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, benchmark: Benchmark) -> LiveBenchmark:
        """Takes a benchmark with the code that it is made of.

        Raises:
            BenchmarkError: It lacks what a benchmark has; the message says what.
        """
        check_benchmark(benchmark)
        kind = type(benchmark)
        file = getattr(inspect.getmodule(kind), "__file__", None)
        if kind.__module__ != "__main__" and (file is None or is_installed(file)):
            return cls(benchmark, Code("", ()))
        return cls(benchmark, *made_of(kind, vars(benchmark).values()))

    @property
    def name(self) -> str:
        """Its class."""
        return type(self.benchmark).__name__

    @property
    def file(self) -> str | None:
        """No file makes it by itself."""
        return None

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each definition, and of each file of its code."""
        return {**self.definitions, **self.code.checksums}

    def check_sendable(self) -> None:
        """Refuses a benchmark that cannot be sent to other processes.

        Raises:
            ExperimentError: The message says what to do.
        """
        _ = self.pickled

    @cached_property
    def pickled(self) -> bytes:
        """The benchmark as it is sent to other processes.

        Raises:
            ExperimentError: It cannot be sent; the message says what to do.
        """
        try:
            return sent(self.benchmark)
        except Exception as error:  # an object of somebody else's may raise anything
            raise ExperimentError(
                f"The benchmark {self.benchmark.name!r} cannot be sent to other processes "
                f"({type(error).__name__}: {text_of(error)}). Let this process do the work "
                f"(n_jobs=1), or write a function in a file that makes the benchmark, and name it: "
                f"path/to/file.py:FUNCTION. Then each process makes its own."
            ) from error

    def __reduce__(self) -> tuple[object, ...]:
        return received, (LiveBenchmark, self.pickled, self.code, self.definitions)


TakenBenchmark = FileBenchmark | LiveBenchmark
"""A benchmark that was taken, with its code."""


def attributes_of(benchmark: Benchmark) -> dict[str, Any]:
    """What an object holds that can be written as JSON, by name: what it was made with."""
    held = {}
    for name, value in vars(benchmark).items():
        values = value if isinstance(value, tuple | list) else [value]
        if not name.startswith("_") and all(type(one) in _PLAIN for one in values):
            noted = [str(one) if one in _INFINITE or one != one else one for one in values]
            held[name] = noted if isinstance(value, tuple | list) else noted[0]
    return held


_PLAIN = (bool, int, float, str, type(None))
_INFINITE = (float("inf"), -float("inf"))
"""What JSON does not know, as it does not know NaN."""
