"""Tables as integer problems of IOHexperimenter, with which its loggers work.

from nasbench_lab.bridges.ioh import integer_problem

problem = integer_problem("nb201-digits")
problem.attach_logger(ioh.logger.Analyzer(root="data"))
problem([0, 1, 2, 3, 4, 0])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_lab.algorithm import need
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.bridges.asked import Asked
from nasbench_lab.errors import InvalidArchitectureError

if TYPE_CHECKING:
    from ioh.iohcpp.problem import IntegerSingleObjective


def integer_problem(benchmark: Benchmark | str, seed: int = 0) -> IntegerSingleObjective:
    """A benchmark as an integer problem of IOH: a variable is the number of a decision's option.

    It is maximised or minimised as the first objective is, in its own unit. Numbers of decisions that
    do not exist are left out. What fails, violates a constraint, is out of bounds or stands for no
    architecture is infinitely bad. IOH counts evaluations; other clocks have no place in it.

    Args:
        benchmark: A benchmark, or the name of a table.
        seed: Of the noise of evaluations, if the benchmark has any.

    Raises:
        MissingPackageError: ioh is not installed.
    """
    need("ioh", "bridges")
    import ioh

    asked = Asked(benchmark, seed)
    known, maximize = asked.benchmark, asked.benchmark.objectives[0].maximize
    worst = -math.inf if maximize else math.inf

    def value(options: Sequence[int]) -> float:
        try:
            architecture = known.space.nearest([int(option) for option in options])
        except InvalidArchitectureError:
            return worst
        evaluation = asked.evaluate(architecture)
        first = evaluation.values[0]
        return worst if math.isnan(first) or not evaluation.feasible else first

    kind = ioh.OptimizationType.MAX if maximize else ioh.OptimizationType.MIN
    counts = known.space.n_options
    name = f"nasbench-lab-{known.name.replace('/', '-')}"
    ioh.problem.wrap_integer_problem(value, name, kind, 0, max(counts) - 1)
    problem = ioh.get_problem(name, 1, len(counts), ioh.ProblemClass.INTEGER)
    problem.bounds.ub = np.array(counts) - 1
    return problem
