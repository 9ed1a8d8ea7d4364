"""Builds the algorithms of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.algorithm import History, SearchAlgorithm
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.errors import AlgorithmError
from nasbench_lab.experiment.given import BenchmarkProxies, data_of
from nasbench_lab.guard import SeededGenerators, TimeIsUp, closed_tables, contained, time_limit
from nasbench_lab.mistakes import users_place
from nasbench_lab.registry import Taken, make_algorithm
from nasbench_lab.simulator import EVALUATING
from nasbench_lab.user_code.classes import FileClass

AnyAlgorithm = Taken | type[SearchAlgorithm] | SearchAlgorithm
"""An algorithm that was taken, a class, or an algorithm that is built already."""


def load(algorithm: object) -> None:
    """Executes the modules of an algorithm that has files of its own.

    What they draw from the global generators meanwhile is the same in every process.
    """
    if isinstance(algorithm, FileClass):
        SeededGenerators(0)
        algorithm.code.load()


def build(
    algorithm: Taken | type[SearchAlgorithm],
    benchmark: Benchmark,
    stream: np.random.SeedSequence,
    hyperparameters: Mapping[str, Any],
    history: History | None = None,
) -> SearchAlgorithm:
    """Builds an algorithm for a search on a benchmark; it cannot open tables meanwhile.

    Args:
        algorithm: The algorithm.
        benchmark: What it is to search on.
        stream: The random stream of the search.
        hyperparameters: Of the algorithm.
        history: What is known of other tasks.

    Raises:
        NasbenchLabError: It cannot be built; see ``registry.make_algorithm``.
    """
    maximize = tuple(objective.maximize for objective in benchmark.objectives)
    rng = np.random.default_rng(stream)
    with closed_tables(EVALUATING):
        return make_algorithm(
            algorithm,
            benchmark.space,
            seed=rng,
            maximize=maximize,
            fidelities=benchmark.fidelities,
            data=partial(data_of, benchmark),
            data_files=benchmark.files,
            proxies=BenchmarkProxies(benchmark),
            history=history,
            **hyperparameters,
        )


@contextmanager
def trial_of_algorithms(time_limit_s: float | None) -> Iterator[None]:
    """Holds algorithms to their limits while it is tried whether they can be built.

    Raises:
        AlgorithmError: One takes longer than the time limit.
    """
    try:
        with contained(), time_limit(time_limit_s):
            yield
    except TimeIsUp as error:
        raise AlgorithmError(
            f"An algorithm takes longer to be built than the time limit of {time_limit_s:g} s "
            f"({users_place(error)})."
        ) from error


def name_of(algorithm: AnyAlgorithm) -> str:
    """An algorithm's name, by which its random streams are told from others'."""
    if isinstance(algorithm, SearchAlgorithm):
        algorithm = type(algorithm)
    if isinstance(algorithm, str):
        return algorithm
    return algorithm.__name__ if isinstance(algorithm, type) else algorithm.name


def written(algorithm: AnyAlgorithm, hyperparameters: Mapping[str, Any]) -> str:
    """An algorithm as a result notes it, such as ``gp_bo(kernel='matern')``."""
    values = ", ".join(f"{key}={value!r}" for key, value in hyperparameters.items())
    return f"{name_of(algorithm)}({values})" if values else name_of(algorithm)


def titled(name: str, file: str | None) -> str:
    """An algorithm's name, with that of its file if it has one of its own."""
    return f"{name} ({Path(file).name})" if file else name


def checksums_of(algorithm: Taken) -> dict[str, str]:
    """The checksums of the code of an algorithm that is not installed."""
    return {} if isinstance(algorithm, str) else algorithm.checksums
