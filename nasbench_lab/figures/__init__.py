"""Figures of results, tables and validations.

Each kind of figure has a function that draws it and a function for its data; ``Look`` sets its style.
"""

from nasbench_lab.figures.anytime import anytime_data, anytime_figure
from nasbench_lab.figures.comparison import (
    critical_difference_data,
    critical_difference_figure,
    ecdf_data,
    ecdf_figure,
    final_data,
    final_figure,
    rank_data,
    rank_figure,
)
from nasbench_lab.figures.layout import WIDTHS, Look
from nasbench_lab.figures.pareto import pareto_data, pareto_figure
from nasbench_lab.figures.saving import save_figure
from nasbench_lab.figures.schedule import schedule_data, schedule_figure
from nasbench_lab.figures.validation import validation_figure

__all__ = [
    "WIDTHS",
    "Look",
    "anytime_data",
    "anytime_figure",
    "critical_difference_data",
    "critical_difference_figure",
    "ecdf_data",
    "ecdf_figure",
    "final_data",
    "final_figure",
    "pareto_data",
    "pareto_figure",
    "rank_data",
    "rank_figure",
    "save_figure",
    "schedule_data",
    "schedule_figure",
    "validation_figure",
]
