"""What benchmarks report of the incumbents of runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.benchmark import Benchmark
from nasbench_lab.spaces import Architecture
from nasbench_lab.trace import Trace


def reported_of(
    trace: Trace, benchmark: Benchmark, *, trained_only: bool = False
) -> NDArray[np.float64] | None:
    """``(n,)`` what a benchmark reports of the incumbents of a run, NaN of all else.

    Args:
        trace: The run.
        benchmark: The benchmark.
        trained_only: Whether nothing is reported of incumbents that were not trained in full, as a
            benchmark that trains would do that now.
    """
    if benchmark.reported is None:
        return None
    values, known = np.full(len(trace), np.nan), dict[Architecture, float]()
    for position in np.unique(trace.incumbents()):
        if position < 0 or (trained_only and trace.epoch[position] not in (-1, benchmark.epochs)):
            continue
        architecture = tuple(trace.architecture[position].tolist())
        if architecture not in known:
            known[architecture] = float(benchmark.report_value(architecture))
        values[position] = known[architecture]
    return values
