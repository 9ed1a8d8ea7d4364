"""What the values of a table look like as a landscape."""

from nasbench_lab.landscape.analysis import Analysis, analyse

__all__ = ["Analysis", "analyse"]
