"""What the values of a table look like as a landscape."""

from nasbench_lab.landscape.analysis import Analysis, analyse
from nasbench_lab.landscape.landscape import (
    Landscape,
    LocalOptima,
    autocorrelation,
    fitness_distance,
    local_optima,
    random_walks,
    survey,
)

__all__ = [
    "Analysis",
    "Landscape",
    "LocalOptima",
    "analyse",
    "autocorrelation",
    "fitness_distance",
    "local_optima",
    "random_walks",
    "survey",
]
