"""Checks that tell a student whether an exercise of a lesson is solved, and what is missing."""

from __future__ import annotations

import copy
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.running.comparison import compare
from nasbench_lab.testing.contract import ContractError


def check_beats(
    algorithm: str | type[SearchAlgorithm],
    baseline: str | type[SearchAlgorithm],
    benchmark: str | TableBenchmark,
    *,
    budget: Budget | int | str,
    seeds: int = 50,
    metric: str = "valid_regret",
) -> None:
    """Runs two algorithms with the same budget; the first must end with the lower regret.

    Lower beyond the chance of the seeds: the 95 % bootstrap interval of the difference of the means
    is below 0.

    Args:
        algorithm: A registered name, ``path/to/file.py:ClassName`` or a class.
        baseline: Likewise, what is to be beaten.
        benchmark: A table's name, or a benchmark.
        budget: Of each run.
        seeds: How many runs of each.
        metric: ``valid_regret`` or ``test_regret``.

    Raises:
        ContractError: It is not better; the message gives both means.
    """
    result = compare(
        {"yours": algorithm, "baseline": baseline},
        benchmark,
        budget=budget,
        seeds=seeds,
        n_jobs=1,
    )
    (name,) = result.benchmarks
    opened = result.benchmark(name)
    yours, theirs = (
        np.concatenate([stats.anytime(t, opened, metric)[-1:] for t in result.traces(name, label)])
        for label in ("yours", "baseline")
    )
    what = metric.replace("_", " ")
    if yours.shape != theirs.shape:
        raise ContractError(f"It left runs on {name} without any evaluation.")
    difference, low, high = stats.bootstrap_difference(yours, theirs, paired=False)
    if not high < 0:
        raise ContractError(
            f"It ends with a mean {what} of {yours.mean():.3g}, the baseline with "
            f"{theirs.mean():.3g}. The difference of {difference:+.3g} (95 % interval {low:+.3g} to "
            f"{high:+.3g}) would have to be below 0 beyond chance ({seeds} runs each on {name})."
        )


def check_function(
    yours: Callable[..., Any],
    reference: Callable[..., Any],
    examples: Sequence[tuple[Any, ...]],
    *,
    tolerance: float = 1e-9,
) -> None:
    """Calls two functions with the same arguments; their results must agree.

    Args:
        yours: What is checked. While it is ``...``, or returns ``...`` or None, it is not written yet.
        reference: What is right.
        examples: The positional arguments of each call. Each function gets copies of them.
        tolerance: By how much two numbers may differ. NaN equals NaN.

    Raises:
        ContractError: They disagree; the message gives the first example that differs.

    Example:
        >>> check_function(lambda x: x + x, lambda x: 2 * x, [(1,), (2.5,)])
    """
    for arguments in examples:
        got = yours(*copy.deepcopy(arguments)) if callable(yours) else yours
        if got is ... or got is None:
            raise ContractError(f"It is not written yet: the result is {got!r}.")
        expected = reference(*copy.deepcopy(arguments))
        if not _agree(expected, got, tolerance):
            called = ", ".join(map(_short, arguments))
            raise ContractError(
                f"Called with ({called}) it must return {_short(expected)} but returned "
                f"{_short(got)}."
            )


def _short(value: Any) -> str:
    """An argument or result in one line that stays readable."""
    plain = value.item() if isinstance(value, np.generic) else value
    return textwrap.shorten(repr(plain), 160, placeholder=" …")


def _agree(expected: Any, got: Any, tolerance: float) -> bool:
    try:
        numbers = np.asarray(expected, dtype=float)
    except (TypeError, ValueError):
        return bool(expected == got)
    try:
        given = np.asarray(got, dtype=float)
    except (TypeError, ValueError):
        return False
    return given.shape == numbers.shape and np.allclose(
        given, numbers, rtol=0.0, atol=tolerance, equal_nan=True
    )


@dataclass
class Exercise:
    """Whether an exercise of a lesson is solved."""

    solved: bool = False


@contextmanager
def exercise(number: int) -> Iterator[Exercise]:
    """Prints whether an exercise is solved, or what is missing; never raises.

    It is solved if the statements inside run to their end: checks of this module, and plain
    ``assert condition, "what is wrong"``.

    Example:
        >>> with exercise(1):
        ...     check_function(len, lambda x: 3, [("abc",), ("de",)])
        Exercise 1: not yet. Called with ('de') it must return 3 but returned 2.
        >>> with exercise(1) as mine:
        ...     assert 1 + 1 == 2, "that is arithmetic"
        Exercise 1: solved.
        >>> mine.solved
        True
    """
    outcome = Exercise()
    try:
        yield outcome
    except Exception as error:
        print(f"Exercise {number}: not yet. {_reason(error)}")
    else:
        outcome.solved = True
        print(f"Exercise {number}: solved.")


def _reason(error: Exception) -> str:
    """What a student is told: what a check found, or where which error was raised."""
    if isinstance(error, AssertionError | NasbenchLabError):
        return str(error)
    ours = str(Path(__file__).parents[1])
    # The last place in code that is the student's, not in a package that it called.
    places = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(ours) and "site-packages" not in frame.filename
    ]
    where = f" (line {places[-1].lineno} in {places[-1].name})" if places else ""
    return f"{type(error).__name__}: {error}{where}"
