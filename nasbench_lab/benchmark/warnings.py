"""Warnings about a table before a search, in sentences."""

from __future__ import annotations

from contextlib import suppress

from nasbench_lab.benchmark.interface import MISSING
from nasbench_lab.benchmark.table_benchmark import TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.tables.coverage import ALL_BUT, ENOUGH
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
    if benchmark.missing in ("fail", "free") and table.coverage.share < ENOUGH:
        sentences += gaps(benchmark)
    return sentences


_FEW, _FEW_SHARE = 20, 0.01
"""The number and the share of entries below which there is a warning."""


def gaps(benchmark: TableBenchmark) -> list[str]:
    """What comes of the architectures that the table lacks, if there are more than a few."""
    coverage, missing = benchmark.table.coverage, benchmark.missing
    if coverage.share >= ALL_BUT:
        return []
    means, advice = MISSING[missing], ""
    if missing == "pool":
        means = f"searches move among the {benchmark.space.size:,} measured architectures only"
        advice = ", and results tell of these alone"
    elif missing != "fallback":
        advice = "; with 'pool', searches move among the measured ones only"
    return [f"the table holds {coverage}. By the policy {missing!r}, {means}{advice}."]


def lacking_times(table: Table) -> list[str]:
    """Sentences that name the epochs and clocks for which a table lacks times."""
    sentences: list[str] = []
    for task in (None, *table.info.tasks):
        with suppress(QueryError):  # it names no objective
            sentences += TableBenchmark(table, task).lacking_times()
    return list(dict.fromkeys(sentences))
