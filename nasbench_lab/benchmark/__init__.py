"""Benchmarks: what a search algorithm's trials are evaluated by."""

from nasbench_lab.benchmark.interface import Benchmark, Objective
from nasbench_lab.benchmark.table_benchmark import TableBenchmark
from nasbench_lab.benchmark.warnings import lacking_times, scarcity

__all__ = ["Benchmark", "Objective", "TableBenchmark", "lacking_times", "scarcity"]
