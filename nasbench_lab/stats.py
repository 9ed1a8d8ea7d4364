"""What can be said of many runs: anytime curves, intervals, and evaluations to a target.

The incumbent of a run is its best evaluation so far by the objective, which is validation data. Its
test value is looked up in the table only here, after the run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.columns import Column, Query
from nasbench_lab.errors import BudgetError, QueryError, UnknownNameError
from nasbench_lab.pareto import hypervolume_curve, pareto_front
from nasbench_lab.trace import Trace

Floats = NDArray[np.float64]
Axis = Literal["evaluations", "seconds", "epochs"]

METRICS = {
    "test_regret": "how far the incumbent's reported (test) value is from the table's best",
    "valid_regret": "how far the incumbent's objective (validation) value is from the table's best",
    "test": "the incumbent's reported (test) value",
    "valid": "the incumbent's objective (validation) value",
    "hypervolume": "share of the hypervolume of the table's Pareto front, of several objectives",
}
"""What a curve can show."""


def metric_query(benchmark: TableBenchmark, metric: str) -> Query:
    """The column behind a metric.

    Raises:
        UnknownNameError: The metric is none of ``METRICS``, or no single column.
    """
    if metric not in METRICS or metric == "hypervolume":
        raise UnknownNameError("metric", metric, METRICS)
    return benchmark.report if metric.startswith("test") else benchmark.first_objective


def metric_label(benchmark: TableBenchmark, metric: str) -> str:
    """A metric as an axis shows it, with its unit."""
    if metric == "hypervolume":
        return "hypervolume (share of the Pareto front's)"
    column = benchmark.table.column(metric_query(benchmark, metric))
    if not metric.endswith("regret"):
        return label(column)
    unit = "percentage points" if column.unit == "%" else column.unit
    return label(Objective(f"{column.name} regret", unit))


def label(what: Column | Objective) -> str:
    """A column or objective as an axis shows it, with its unit if it has one."""
    name = what.name.replace("_", " ").replace("roc auc", "ROC AUC")
    return f"{name} ({what.unit})" if what.unit else name


def anytime(trace: Trace, benchmark: TableBenchmark, metric: str = "test_regret") -> Floats:
    """``(n,)`` metric of the incumbent after each evaluation; NaN where there is none.

    Args:
        trace: One run on the benchmark.
        benchmark: Where the values are looked up.
        metric: One of ``METRICS``.

    Raises:
        UnknownNameError: The metric is none of ``METRICS``.
        QueryError: The hypervolume of a single objective is asked for.
    """
    if metric == "hypervolume":
        return hypervolume(trace, benchmark)
    query = metric_query(benchmark, metric)
    values = benchmark.table.values(query)
    positions = trace.incumbents()
    if not len(trace):
        return np.empty(0)
    rows = trace.row[positions]
    # Of one that was not trained in full, only the table knows whether it is allowed.
    known = (positions >= 0) & (rows >= 0) & benchmark.feasible[rows]
    result = np.where(known, values[rows], np.nan)
    if metric.endswith("regret"):
        result = np.abs(benchmark.optimum(query) - result)
    return result


def objective_values(benchmark: TableBenchmark) -> Floats:
    """``(rows, m)`` objectives of all entries by the mean over trials; NaN where not allowed.

    Raises:
        QueryError: There is one objective only, so that there is no Pareto front, or no entry has
            all of them.
    """
    if len(benchmark.objectives) < 2:
        raise QueryError(
            f"{benchmark.name!r} was searched for one objective, {benchmark.objectives[0].name}; a "
            f"Pareto front needs several: --objective valid_accuracy --objective parameters."
        )
    values = np.stack(
        [benchmark.table.values(replace(q, trial="mean")) for q in benchmark.queries], axis=1
    )
    values[~benchmark.feasible] = np.nan
    if np.isnan(values).any(axis=1).all():
        names = ", ".join(objective.name for objective in benchmark.objectives)
        raise QueryError(f"No entry of {benchmark.name!r} that is allowed has all of {names}.")
    return values


def maximized(benchmark: TableBenchmark) -> list[bool]:
    """Of each objective whether more is better."""
    return [objective.maximize for objective in benchmark.objectives]


def trained_in_full(trace: Trace, benchmark: TableBenchmark) -> NDArray[np.bool_]:
    """``(n,)`` which evaluations are of entries of the table that were trained to the end."""
    at_the_end = trace.epoch == (-1 if benchmark.epochs is None else benchmark.epochs)
    full: NDArray[np.bool_] = (trace.row >= 0) & at_the_end & ~np.isnan(trace.values).any(axis=1)
    return full


def hypervolume(trace: Trace, benchmark: TableBenchmark) -> Floats:
    """``(n,)`` share of the exact front's hypervolume that was found until each evaluation.

    Entries count by the mean over their trials, once they have been trained in full; see
    ``nasbench_lab.pareto.hypervolume_curve``.

    Raises:
        QueryError: The benchmark has one objective only.
    """
    every, front = _values_and_front(benchmark)
    found = np.full((len(trace), every.shape[1]), np.nan)
    counted = trained_in_full(trace, benchmark)
    found[counted] = every[trace.row[counted]]
    return hypervolume_curve(found, front, maximized(benchmark))


@functools.lru_cache(maxsize=4)  # the same for all runs on a benchmark
def _values_and_front(benchmark: TableBenchmark) -> tuple[Floats, Floats]:
    every = objective_values(benchmark)
    return every, every[pareto_front(every, maximized(benchmark))]


def check_axis(benchmark: TableBenchmark, axis: str) -> None:
    """Refuses an axis that a benchmark's runs cannot be shown against.

    Raises:
        UnknownNameError: It is not one of ``Axis``.
        BudgetError: It is seconds, and the benchmark's clock counts evaluations; or epochs, and it
            knows none.
    """
    if axis not in get_args(Axis):
        raise UnknownNameError("axis", axis, get_args(Axis))
    if axis == "epochs" and benchmark.epochs is None:
        raise BudgetError(
            f"Runs on {benchmark.name!r} cannot be shown against epochs: it holds only what its "
            f"architectures reached in the end. Use the axis 'evaluations'."
        )
    if axis == "seconds" and benchmark.clock == "evaluations":
        raise BudgetError(
            f"Runs on {benchmark.name!r} cannot be shown against simulated seconds: it holds no "
            f"training times, and its clock counts evaluations. Use the axis 'evaluations'."
        )


def spent(trace: Trace, axis: Axis) -> NDArray[Any]:
    """``(n,)`` how much had been spent when each evaluation ended."""
    if axis == "seconds":
        return trace.end
    return trace.epochs() if axis == "epochs" else trace.evaluations()


def grid(traces: Sequence[Trace], axis: Axis = "evaluations", n: int = 200) -> Floats:
    """Points at which curves of these runs are compared: up to the end of the longest budget.

    Args:
        traces: The runs.
        axis: ``evaluations``, ``epochs``, or ``seconds`` on the simulated clock.
        n: At most how many points.

    """
    if axis != "seconds":
        longest = max((int(spent(t, axis)[-1]) for t in traces if len(t)), default=0)
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
        known = np.searchsorted(spent(trace, axis), points, side="right") - 1
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

    The objective decides, and what ties with the ``k``-th best counts too, once it has been trained
    in full; infinity if none was.
    """
    query = benchmark.first_objective
    ranking, values = benchmark.ranking(query), benchmark.table.values(query)
    sign = 1.0 if benchmark.objectives[0].maximize else -1.0
    threshold = sign * values[ranking[min(k, len(ranking)) - 1]]
    counted = trained_in_full(trace, benchmark) & (trace.violation == 0)
    reached = np.flatnonzero(counted & (sign * values[trace.row] >= threshold))
    return float(trace.evaluations()[reached[0]]) if reached.size else math.inf
