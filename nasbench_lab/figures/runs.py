"""The runs of a figure, in its data and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench_lab import stats
from nasbench_lab.errors import ExperimentError
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.results.result import Result


def drawn_tables(result: Result) -> list[str]:
    """Names of the benchmarks with something to draw.

    Raises:
        ExperimentError: There is no such benchmark.
    """
    if not result.tables_with_runs:
        raise ExperimentError("There are no finished runs to plot.")
    return result.tables_with_runs


def runs_in_words(result: Result, name: str) -> str:
    """How many runs there are on a benchmark, and how many of them found nothing."""
    groups = [result.traces(name, a) for a in result.algorithms if result.traces(name, a)]
    sizes = sorted(map(len, groups))
    text = counted(sizes[-1], "run")
    if sizes[0] < sizes[-1]:
        text = f"{sizes[0]} to {text}"
    without = [sum(map(stats.found_nothing, traces)) for traces in groups]
    if not any(without):
        return text
    few, many = min(without), max(without)
    return f"{text}, {few if few == many else f'{few} to {many}'} of which found nothing"


def described(frame: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """A frame with more columns in front, which describe it."""
    for i, (name, value) in enumerate(columns.items()):
        frame.insert(i, name, value)
    return frame
