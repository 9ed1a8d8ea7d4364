"""Checks that every search algorithm and every benchmark must pass, for authors of new ones.

    from nasbench_lab.testing import check_algorithm
    check_algorithm(MySearch)

Every registered algorithm and table goes through these in nasbench-lab's own tests. The lessons in
``notebooks/`` tell by the same checks, and a few more, whether an exercise is solved.
"""

from nasbench_lab.testing.contract import (
    ALGORITHM_CHECKS,
    ContractError,
    check_algorithm,
    check_benchmark,
)
from nasbench_lab.testing.exercises import Exercise, check_beats, check_function, exercise
from nasbench_lab.testing.synthetic import SyntheticBenchmark

__all__ = [
    "ALGORITHM_CHECKS",
    "ContractError",
    "Exercise",
    "SyntheticBenchmark",
    "check_algorithm",
    "check_beats",
    "check_benchmark",
    "check_function",
    "exercise",
]
