"""What can be said of many runs: anytime curves, intervals, and evaluations to a target.

The incumbent of a run is its best evaluation so far by the objective, which is validation data. Its
test value is looked up in the table only here, after the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.columns import Query
from nasbench_lab.errors import BudgetError, UnknownNameError
from nasbench_lab.trace import Trace

Floats = NDArray[np.float64]
Axis = Literal["evaluations", "seconds"]

METRICS = {
    "test_regret": "how far the incumbent's reported (test) value is from the table's best",
    "valid_regret": "how far the incumbent's objective (validation) value is from the table's best",
    "test": "the incumbent's reported (test) value",
    "valid": "the incumbent's objective (validation) value",
}
"""What a curve can show."""


def metric_query(benchmark: TableBenchmark, metric: str) -> Query:
    """The column behind a metric.

    Raises:
        UnknownNameError: The metric is none of ``METRICS``.
    """
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS)
    return benchmark.report if metric.startswith("test") else benchmark.first_objective


def metric_label(benchmark: TableBenchmark, metric: str) -> str:
    """A metric as an axis shows it, with its unit."""
    column = benchmark.table.column(metric_query(benchmark, metric))
    unit = column.unit
    if metric.endswith("regret") and unit == "%":
        unit = "percentage points"
    what = column.name.replace("_", " ").replace("roc auc", "ROC AUC")
    return f"{what}{' regret' if metric.endswith('regret') else ''} ({unit})"


def anytime(trace: Trace, benchmark: TableBenchmark, metric: str = "test_regret") -> Floats:
    """``(n,)`` metric of the incumbent after each evaluation; NaN before the first that succeeded.

    Args:
        trace: One run on the benchmark.
        benchmark: Where the values are looked up.
        metric: One of ``METRICS``.
    """
    query = metric_query(benchmark, metric)
    values = benchmark.table.values(query)
    positions = trace.incumbents()
    if not len(trace):
        return np.empty(0)
    rows = trace.row[positions]
    result = np.where((positions >= 0) & (rows >= 0), values[rows], np.nan)
    if metric.endswith("regret"):
        result = np.abs(benchmark.table.optimum(query) - result)
    return result


def check_axis(benchmark: TableBenchmark, axis: str) -> None:
    """Refuses an axis that a benchmark's runs cannot be shown against.

    Raises:
        UnknownNameError: It is neither ``evaluations`` nor ``seconds``.
        BudgetError: It is seconds, and the benchmark's clock counts evaluations.
    """
    if axis not in ("evaluations", "seconds"):
        raise UnknownNameError("axis", axis, ("evaluations", "seconds"))
    if axis == "seconds" and benchmark.clock == "evaluations":
        raise BudgetError(
            f"Runs on {benchmark.name!r} cannot be shown against simulated seconds: it holds no "
            f"training times, and its clock counts evaluations. Use the axis 'evaluations'."
        )


def grid(traces: Sequence[Trace], axis: Axis = "evaluations", n: int = 200) -> Floats:
    """Points at which curves of these runs are compared: up to the end of the longest budget.

    Args:
        traces: The runs.
        axis: ``evaluations``, or ``seconds`` on the simulated clock.
        n: At most how many points.

    """
    if axis == "evaluations":
        longest = max((int(trace.charged.sum()) for trace in traces), default=0)
        if not longest:
            return np.ones(1)
        return np.unique(np.linspace(1, longest, min(n, longest)).round())
    last = max(
        trace.settings["budget"].get("seconds") or (trace.end[-1] if len(trace) else 0.0)
        for trace in traces
    )
    return np.linspace(last / n, last, n)


def curves(
    traces: Sequence[Trace],
    benchmark: TableBenchmark,
    points: Floats,
    metric: str = "test_regret",
    axis: Axis = "evaluations",
) -> Floats:
    """``(runs, points)`` anytime curves as right-continuous steps.

    At each point stands what was known then: an evaluation that ends later does not count, and
    nothing is interpolated. NaN where a run had no incumbent yet.
    """
    result = np.full((len(traces), len(points)), np.nan)
    for curve, trace in zip(result, traces, strict=True):
        values = anytime(trace, benchmark, metric)
        ends = trace.evaluations() if axis == "evaluations" else trace.end
        known = np.searchsorted(ends, points, side="right") - 1
        curve[known >= 0] = values[known[known >= 0]]
    return result


def bootstrap_interval(
    samples: Floats, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[Floats, Floats]:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani 1993, chapter 13).

    Runs are resampled whole, so that the band of a curve is made from curves.

    Args:
        samples: ``(runs, …)`` values.
        level: The chance that the interval is to hold the mean.
        n_resamples: How many resamples.
        seed: Of the resampling; the same samples always give the same interval.

    Returns:
        Lower and upper ends, of the shape of one run.
    """
    n = len(samples)
    draws = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    counts = np.apply_along_axis(np.bincount, 1, draws, minlength=n)
    means = (counts / n) @ samples.reshape(n, -1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return low.reshape(samples.shape[1:]), high.reshape(samples.shape[1:])


def evaluations_to_top(trace: Trace, benchmark: TableBenchmark, k: int) -> float:
    """How many charged evaluations until one was among the ``k`` best entries of the table.

    The objective decides, and what ties with the ``k``-th best counts too; infinity if none was.
    """
    query = benchmark.first_objective
    ranking, values = benchmark.table.ranking(query), benchmark.table.values(query)
    sign = 1.0 if benchmark.objectives[0].maximize else -1.0
    threshold = sign * values[ranking[min(k, len(ranking)) - 1]]
    reached = np.flatnonzero((trace.row >= 0) & (sign * values[trace.row] >= threshold))
    return float(trace.evaluations()[reached[0]]) if reached.size else math.inf
