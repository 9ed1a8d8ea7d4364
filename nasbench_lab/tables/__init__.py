"""Tables of what architectures are worth, on disk and in memory."""

from nasbench_lab.tables.columns import Column, Constraint, Query, TableInfo, Task
from nasbench_lab.tables.table import Table

__all__ = ["Column", "Constraint", "Query", "Table", "TableInfo", "Task"]
