"""Benchmarks, which evaluate the trials of a search algorithm."""

from nasbench_lab.benchmark.interface import Benchmark, Objective
from nasbench_lab.benchmark.table_benchmark import TableBenchmark
from nasbench_lab.benchmark.warnings import lacking_times, scarcity

__all__ = ["Benchmark", "Objective", "TableBenchmark", "lacking_times", "scarcity"]
