"""Benchmarks, which evaluate the trials of a search algorithm."""

from nasbench_lab.benchmark.checks import check_benchmark
from nasbench_lab.benchmark.interface import MISSING, Benchmark, Objective
from nasbench_lab.benchmark.multi_task import AGGREGATES, MultiTask
from nasbench_lab.benchmark.table_benchmark import TableBenchmark
from nasbench_lab.benchmark.warnings import gaps, lacking_times, scarcity

__all__ = [
    "AGGREGATES",
    "MISSING",
    "Benchmark",
    "MultiTask",
    "Objective",
    "TableBenchmark",
    "check_benchmark",
    "gaps",
    "lacking_times",
    "scarcity",
]
