"""Anytime curves: what a run's incumbent is worth over the course of the search.

The incumbent of a run is its best evaluation so far by the objective, which is validation data; before
the first evaluation, it is what the algorithm's own work led to. Its test value is looked up in the
table only here, after the run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.clock import counts_seconds
from nasbench_lab.errors import BudgetError, QueryError, UnknownNameError
from nasbench_lab.pareto import hypervolume_curve, pareto_front
from nasbench_lab.tables.columns import Column, Query
from nasbench_lab.trace import Trace

Floats = NDArray[np.float64]
Axis = Literal["evaluations", "seconds", "epochs"]

METRICS = {
    "test_regret": "how far the incumbent's reported (test) value is from the table's best",
    "valid_regret": "how far the incumbent's objective (validation) value is from the table's best",
    "test": "the incumbent's reported (test) value",
    "valid": "the incumbent's objective (validation) value",
    "seen_regret": "how far the best value that a search saw is from the best that it could see",
    "seen": "the incumbent's objective value as the search saw it, such as that of one training",
    "hypervolume": "share of the hypervolume of the table's Pareto front, of several objectives",
}
"""What a curve can show."""


def numbers(values: ArrayLike) -> Floats:
    """Values as an array of numbers.

    Raises:
        QueryError: A value is no number, or the lines differ in length.
    """
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise QueryError(
            f"Expected numbers, NaN for a missing one, in lines of equal length, but: {error}."
        ) from error


def metric_query(benchmark: TableBenchmark, metric: str) -> Query:
    """The column behind a metric.

    Raises:
        UnknownNameError: The metric is not one of ``METRICS``, or is not read from a column.
    """
    if metric not in METRICS or metric == "hypervolume":
        raise UnknownNameError("metric", metric, METRICS)
    if metric.startswith("seen"):
        return benchmark.queries[0]
    return benchmark.report if metric.startswith("test") else benchmark.first_objective


def sees_trials(benchmark: TableBenchmark) -> bool:
    """Whether a search sees single trials of the column whose mean results are reported in."""
    column = benchmark.table.column
    return benchmark.noisy and column(benchmark.queries[0]) == column(benchmark.report)


def metric_label(benchmark: TableBenchmark, metric: str) -> str:
    """A metric as an axis shows it, with its unit."""
    if metric == "hypervolume":
        return "hypervolume (share of the Pareto front's)"
    column = benchmark.table.column(metric_query(benchmark, metric))
    name = column.name
    if sees_trials(benchmark):
        name = f"{'seen' if metric.startswith('seen') else 'mean'} {name}"
    if not metric.endswith("regret"):
        return label(Objective(name, column.unit))
    unit = "percentage points" if column.unit == "%" else column.unit
    to = f" to the {benchmark.standard_short}" if benchmark.standard_short else ""
    return label(Objective(f"{name} regret{to}", unit))


def higher_is_better(benchmark: TableBenchmark, metric: str) -> bool:
    """Whether more of a metric is better; less of a regret is better."""
    if metric.endswith("regret") or metric == "hypervolume":
        return metric == "hypervolume"
    return benchmark.table.column(metric_query(benchmark, metric)).maximize


def label(what: Column | Objective) -> str:
    """A column or objective as an axis shows it, with its unit if it has one."""
    name = what.name.replace("_", " ").replace("roc auc", "ROC AUC")
    return f"{name} ({what.unit})" if what.unit else name


def anytime(trace: Trace, benchmark: TableBenchmark, metric: str = "test_regret") -> Floats:
    """``(n,)`` metric of the incumbent after each evaluation; NaN where there is none.

    What own work recommends has no value that a search saw, until it is evaluated.

    Args:
        trace: One run on the benchmark.
        benchmark: Where the values are looked up.
        metric: One of ``METRICS``.

    Raises:
        UnknownNameError: The metric is not one of ``METRICS``.
        QueryError: The metric is the hypervolume, and there is a single objective.
    """
    if metric == "hypervolume":
        return hypervolume(trace, benchmark)
    query = metric_query(benchmark, metric)
    positions = trace.incumbents()
    if not (positions >= 0).any():
        return np.full(len(trace), np.nan)
    if metric.startswith("seen"):
        result = np.where(positions >= 0, trace.values[positions, 0], np.nan)
    else:
        rows = benchmark.rows(trace)[positions]
        values = benchmark.table.values(query)
        result = np.where((positions >= 0) & (rows >= 0), values[rows], np.nan)
    return regret(benchmark, query, result) if metric.endswith("regret") else result


ROUNDING = 1e-9
"""A value equals the best one if they differ by at most this share of the best. Means of the same
numbers differ in their last digits if the numbers were added up in another order."""


def regret(benchmark: TableBenchmark, query: Query, values: Floats) -> Floats:
    """Distance of values from the best allowed one of the table; 0 if only rounding differs."""
    best = benchmark.optimum(query) if query.trial != "random" else _best_trial(benchmark, query)
    with np.errstate(over="ignore"):  # infinite between the largest numbers of both signs
        result = np.abs(best - values)
    return np.where(result <= ROUNDING * abs(best), 0.0, result)


@functools.lru_cache(maxsize=64)  # the same for all runs on a benchmark
def _best_trial(benchmark: TableBenchmark, query: Query) -> float:
    """The best single trial of the entries that keep to the constraints."""
    trials = benchmark.table.trials(query)[benchmark.feasible]
    best = np.nanmax if benchmark.table.column(query).maximize else np.nanmin
    return float(best(trials))


def nothing_found(benchmark: TableBenchmark, metric: str) -> float:
    """The value that stands for a run without an incumbent: worse than every entry."""
    if metric == "hypervolume":
        return 0.0
    return -math.inf if higher_is_better(benchmark, metric) else math.inf


def found_nothing(trace: Trace) -> bool:
    """Whether a run ended without an incumbent."""
    return not len(trace) or bool(trace.incumbents()[-1] < 0)


def final_value(trace: Trace, benchmark: TableBenchmark, metric: str) -> float:
    """The metric at the end of a run.

    It is ``nothing_found`` if the run has no incumbent, NaN if the table lacks the incumbent's value.
    """
    if found_nothing(trace):
        return nothing_found(benchmark, metric)
    return float(anytime(trace, benchmark, metric)[-1])


def check_several_objectives(benchmark: Benchmark) -> None:
    """Refuses a benchmark without a Pareto front.

    Raises:
        QueryError: There is one objective only.
    """
    if len(benchmark.objectives) < 2:
        raise QueryError(
            f"{benchmark.name!r} was searched for one objective, {benchmark.objectives[0].name}; a "
            f"Pareto front needs several: --objective valid_accuracy --objective parameters."
        )


def objective_values(benchmark: TableBenchmark) -> Floats:
    """``(rows, m)`` objectives of all entries by the mean over trials; NaN where not allowed.

    Raises:
        QueryError: There is one objective only, so there is no Pareto front; or no allowed entry has
            values of all objectives.
    """
    check_several_objectives(benchmark)
    values = np.stack(
        [benchmark.table.values(replace(q, trial="mean")) for q in benchmark.queries], axis=1
    )
    values[~benchmark.feasible] = np.nan
    if np.isnan(values).any(axis=1).all():
        names = ", ".join(objective.name for objective in benchmark.objectives)
        bounds = "".join(f" keeps to {constraint} and" for constraint in benchmark.constraints)
        raise QueryError(
            f"No entry of {benchmark.name!r}{bounds} has values of all of {names}, so there is no "
            f"Pareto front to compare with. Loosen the constraints, or evaluate more architectures."
        )
    return values


def maximized(benchmark: TableBenchmark) -> list[bool]:
    """Whether more is better, for each objective."""
    return [objective.maximize for objective in benchmark.objectives]


def trained_in_full(trace: Trace, benchmark: TableBenchmark) -> NDArray[np.bool_]:
    """``(n,)`` whether each evaluation trained an entry of the table to the end."""
    at_the_end = trace.epoch == (-1 if benchmark.epochs is None else benchmark.epochs)
    entered = benchmark.rows(trace) >= 0
    full: NDArray[np.bool_] = entered & at_the_end & ~np.isnan(trace.values).any(axis=1)
    return full


def hypervolume(trace: Trace, benchmark: TableBenchmark) -> Floats:
    """``(n,)`` share of the exact front's hypervolume that was reached by each evaluation.

    An entry counts once it has been trained in full, by the mean over its trials; see
    ``nasbench_lab.pareto.hypervolume_curve``.

    Raises:
        QueryError: The benchmark has one objective only.
    """
    every, front = _values_and_front(benchmark)
    points = np.full((len(trace), every.shape[1]), np.nan)
    full = trained_in_full(trace, benchmark)
    points[full] = every[benchmark.rows(trace)[full]]
    return hypervolume_curve(points, front, maximized(benchmark))


@functools.lru_cache(maxsize=4)  # the same for all runs on a benchmark
def _values_and_front(benchmark: TableBenchmark) -> tuple[Floats, Floats]:
    every = objective_values(benchmark)
    return every, every[pareto_front(every, maximized(benchmark))]


def check_axis(benchmark: Benchmark, axis: str) -> None:
    """Refuses an axis that a benchmark's runs cannot be shown against.

    Raises:
        UnknownNameError: The axis is not one of ``Axis``.
        BudgetError: The axis is seconds, and the benchmark's clock counts evaluations; or it is
            epochs, and the benchmark has none.
    """
    if axis not in get_args(Axis):
        raise UnknownNameError("axis", axis, get_args(Axis))
    if axis == "epochs" and benchmark.epochs is None:
        raise BudgetError(
            f"Runs on {benchmark.name!r} cannot be shown against epochs: it holds only what its "
            f"architectures reached in the end. Use the axis 'evaluations'."
        )
    if axis == "seconds" and not counts_seconds(benchmark.clock):
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

    If the runs spent nothing, the only point is 1.

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
    return np.linspace(last / n, last, n) if last else np.ones(1)


def curves(
    traces: Sequence[Trace],
    benchmark: TableBenchmark,
    points: Floats,
    metric: str = "test_regret",
    axis: Axis = "evaluations",
) -> Floats:
    """``(runs, points)`` anytime curves as right-continuous steps.

    A curve has at each point the value of the incumbent at that time. Evaluations that end later do
    not count, and nothing is interpolated. NaN where a run had no incumbent yet.
    """
    result = np.full((len(traces), len(points)), np.nan)
    for curve, trace in zip(result, traces, strict=True):
        values = anytime(trace, benchmark, metric)
        last = np.searchsorted(spent(trace, axis), points, side="right") - 1
        curve[last >= 0] = values[last[last >= 0]]
    return result


def area(curves: ArrayLike, points: ArrayLike, axis_start: float = 0.0) -> Floats:
    """``(runs,)`` time average of right-continuous steps: the normalised area under each curve.

    A curve keeps its value from each point up to the next, so the value at the last point does not
    count. The time before a run's first incumbent counts with the value of that incumbent. This is
    a lower bound of the area under a regret, as incumbents in general get no worse. Fill the NaN
    yourself to count that time otherwise.

    Args:
        curves: ``(runs, points)`` values, NaN where a run had no incumbent yet.
        points: ``(points,)`` where the steps are, in ascending order.
        axis_start: Where the search began; the average is from here to the last point.

    Returns:
        In the unit of the curves; NaN where a run never had an incumbent.

    Raises:
        QueryError: The last point is not after the start, points descend, or the number of values
            is not that of the points.
    """
    curves, points = numbers(curves), numbers(points)
    if not len(points) or points[-1] <= axis_start or np.any(np.diff(points) < 0):
        raise QueryError(
            f"Expected points in ascending order that end after {axis_start:g} but got "
            f"{np.array2string(points, threshold=6)}."
        )
    if curves.ndim != 2 or curves.shape[1] != len(points):
        raise QueryError(
            f"Expected curves of shape (runs, {len(points)}), one value for each point, but got "
            f"{curves.shape}."
        )
    first = (~np.isnan(curves)).argmax(axis=1)
    values = np.where(
        np.arange(len(points)) < first[:, None],
        curves[np.arange(len(curves)), first][:, None],
        curves,
    )
    steps = np.diff(np.clip(points, axis_start, None), prepend=axis_start)
    # The step before the first point has the first value; each later step that of its left end.
    heights = np.concatenate([values[:, :1], values[:, :-1]], axis=1)
    return np.asarray(heights @ steps / (points[-1] - axis_start))


def ranks(samples: ArrayLike, maximize: bool = False) -> Floats:
    """``(algorithms, …)`` ranks along the first axis: 1 is best, equal values share their average.

    Algorithms with NaN (no incumbent yet) are tied on the last rank.
    """
    from scipy.stats import rankdata

    samples = numbers(samples)
    turned = np.where(np.isnan(samples), np.inf, -samples if maximize else samples)
    return np.asarray(rankdata(turned, axis=0))


def average_ranks(samples: ArrayLike, maximize: bool = False) -> Floats:
    """``(algorithms, …)`` average rank over blocks, such as seeds or tables.

    Args:
        samples: ``(algorithms, blocks, …)`` values; algorithms are ranked within each block, as
            ``ranks`` does.
        maximize: Whether more is better.
    """
    return np.asarray(ranks(samples, maximize).mean(axis=1))
