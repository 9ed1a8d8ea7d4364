"""Warnings about a table before a search, in sentences."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from nasbench_lab.benchmark.table_benchmark import TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.tables.table import Table


def scarcity(benchmark: TableBenchmark) -> list[str]:
    """Warnings if a search on the benchmark would find next to nothing."""
    table, sentences = benchmark.table, []
    allowed = int(benchmark.feasible.sum())
    if benchmark.constraints and (allowed < _FEW or allowed < _FEW_SHARE * len(table)):
        bounds = ", ".join(map(str, benchmark.constraints))
        sentences.append(
            f"only {allowed:,} of {len(table):,} entries keep to {bounds}, so many runs may find none."
        )
    if len(table) < _FEW_SHARE * benchmark.space.size:
        drawn = benchmark.space.sample(np.random.default_rng(0), _DRAWS)
        share = float((table.row(drawn) >= 0).mean())
        if share < 10 * _FEW_SHARE:
            sentences.append(
                f"the table holds {share:.1%} of random architectures of its space; the evaluations "
                f"of all others fail."
            )
    return sentences


_FEW, _FEW_SHARE = 20, 0.01
"""The number and the share of entries below which there is a warning."""

_DRAWS = 1000


def lacking_times(table: Table) -> list[str]:
    """Sentences that name the epochs and clocks for which a table lacks times."""
    sentences: list[str] = []
    for task in (None, *table.info.tasks):
        with suppress(QueryError):  # it names no objective
            sentences += TableBenchmark(table, task).lacking_times()
    return list(dict.fromkeys(sentences))
