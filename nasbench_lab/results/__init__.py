"""What came of a comparison, in memory and on disk."""

from nasbench_lab.results.parts import Run
from nasbench_lab.results.result import Result, merged

__all__ = ["Result", "Run", "merged"]
