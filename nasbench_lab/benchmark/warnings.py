"""What a user should know of a table before searching on it, in sentences."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from nasbench_lab.benchmark.table_benchmark import TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.tables.table import Table


def scarcity(benchmark: TableBenchmark) -> list[str]:
    """Warnings of a benchmark on which a search finds next to nothing, in sentences."""
    table, few = benchmark.table, []
    allowed = int(benchmark.feasible.sum())
    if benchmark.constraints and (allowed < _FEW or allowed < _FEW_SHARE * len(table)):
        kept = ", ".join(map(str, benchmark.constraints))
        few.append(
            f"only {allowed:,} of {len(table):,} entries keep to {kept}, so many runs may find none."
        )
    if len(table) < _FEW_SHARE * benchmark.space.size:
        drawn = benchmark.space.sample(np.random.default_rng(0), _DRAWS)
        held = float((table.row(drawn) >= 0).mean())
        if held < 10 * _FEW_SHARE:
            few.append(
                f"the table holds {held:.1%} of random architectures of its space; the evaluations "
                f"of all others fail."
            )
    return few


_FEW, _FEW_SHARE = 20, 0.01
"""Fewer entries than these are few."""

_DRAWS = 1000


def lacking_times(table: Table) -> list[str]:
    """Which epochs and clocks the times of a table cannot pay for, in sentences."""
    sentences: list[str] = []
    for task in (None, *table.info.tasks):
        with suppress(QueryError):  # it names no objective
            sentences += TableBenchmark(table, task).lacking_times()
    return list(dict.fromkeys(sentences))
