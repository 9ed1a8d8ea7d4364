"""Fixed targets: the cost to reach a target.

Expected running times and run-time distributions are those of COCO (Hansen, Auger, Ros, Mersmann,
Tušar and Brockhoff, "COCO: a platform for comparing continuous optimizers in a black-box setting",
2021).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.stats.curves import (
    ROUNDING,
    Axis,
    anytime,
    higher_is_better,
    label,
    metric_query,
    regret,
    spent,
)
from nasbench_lab.stats.intervals import expanded_tail
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    from nasbench_lab.results.result import Result

Floats = NDArray[np.float64]


def evaluations_to_top(trace: Trace, benchmark: TableBenchmark, k: int) -> float:
    """Charged evaluations until the incumbent was among the ``k`` best entries of the table.

    This is ``spent_to_target`` with the target ``"top k"``: the objective decides, and entries that
    tie with the ``k``-th best count too. Infinity if the incumbent never was among them.

    Raises:
        QueryError: The table has fewer than ``k`` entries that constraints allow.
    """
    return spent_to_target(trace, benchmark, target_value(benchmark, f"top {k}")[1])


def spent_to_target(
    trace: Trace,
    benchmark: TableBenchmark,
    target: float,
    metric: str = "valid_regret",
    axis: Axis = "evaluations",
) -> float:
    """The cost until the incumbent was first at least as good as a target.

    Args:
        trace: One run on the benchmark.
        benchmark: Where the values are looked up.
        target: A value of the metric, in its unit.
        metric: One of ``METRICS``. An incumbent can get worse again on test data; the first time
            counts.
        axis: What is counted.

    Returns:
        Evaluations, epochs or simulated seconds; infinity if the run never reached the target.
    """
    return float(spent_to_targets(trace, benchmark, [target], metric, axis)[0])


def spent_to_targets(
    trace: Trace,
    benchmark: TableBenchmark,
    targets: ArrayLike,
    metric: str = "valid_regret",
    axis: Axis = "evaluations",
) -> Floats:
    """``(targets,)`` ``spent_to_target`` for each of several targets."""
    sign = -1.0 if higher_is_better(benchmark, metric) else 1.0
    wanted = sign * np.asarray(targets, np.float64)
    values = sign * anytime(trace, benchmark, metric)
    best = np.minimum.accumulate(np.where(np.isnan(values), np.inf, values))
    scale = 1.0
    if metric != "hypervolume":
        scale = abs(benchmark.optimum(metric_query(benchmark, metric)))
    slack = ROUNDING * scale
    first = np.searchsorted(-best, -(wanted + slack), side="left")
    after = np.append(spent(trace, axis).astype(np.float64), np.inf)
    return np.asarray(after[first])


def spent_in_all(trace: Trace, axis: Axis = "evaluations") -> float:
    """What a run spent until it ended.

    If an evaluation was still running at the end of a budget in seconds, the whole budget counts,
    even if that evaluation was the last one allowed. Else the work done counts, as in COCO, since an
    algorithm may end before its budget.
    """
    limit = trace.settings.get("budget", {}).get("seconds")
    if axis == "seconds" and limit and ran_out_of_seconds(trace):
        return float(limit)
    return float(spent(trace, axis)[-1]) if len(trace) else 0.0


def ran_out_of_seconds(trace: Trace) -> bool:
    """Whether an evaluation was still running when the seconds of the budget, if any, were over."""
    budget, cut_off = trace.settings.get("budget", {}), trace.cut_off
    limit, epochs = budget.get("seconds", math.inf), budget.get("epochs", math.inf)
    if cut_off is None or not len(cut_off):
        return False
    running = cut_off.end > limit
    if np.sum(trace.epochs()[-1:]) + cut_off.epochs()[-1] > epochs:
        # The last evaluation asked for exceeded the epochs; that ended the search, and it never ran.
        # Workers that are free at the same time get work in the order of their numbers.
        running[np.lexsort((cut_off.worker, cut_off.start))[-1]] = False
    return bool(running.any())


def expected_running_time(times: ArrayLike, spent: ArrayLike) -> float:
    """Expected running time (ERT) of an algorithm that is restarted until it reaches the target.

    The cost of all runs until they reached the target, or ended without it, divided by the number of
    successes (Hansen et al., section "Expected runtime"), in the unit of ``times``.

    Args:
        times: ``(runs,)`` cost until each run reached the target, infinity if it never did.
        spent: ``(runs,)`` cost of each whole run, or one budget for all.

    Returns:
        Infinity without a success; NaN without a run.
    """
    times = np.asarray(times, np.float64)
    if not len(times):
        return math.nan
    reached = np.isfinite(times)
    until = np.where(reached, times, np.asarray(spent, np.float64))
    return float(until.sum() / reached.sum()) if reached.any() else math.inf


def ert_interval(
    times: ArrayLike,
    spent: ArrayLike,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Expanded percentile bootstrap interval of the expected running time; runs are resampled.

    All simulated restarts of the runs at hand have the same mean, their ERT; resampling the runs
    shows how much it would change with other runs. In simulations with 10 to 100 runs of which at
    least 4 in 10 reach the target, 95 % intervals held the ERT in 91 to 97 of 100 cases.

    Args:
        times: ``(runs,)`` cost until each run reached the target, infinity if it never did.
        spent: ``(runs,)`` cost of each whole run, or one budget for all.
        level: The chance that the interval is to hold the ERT.
        n_resamples: How many resamples.
        seed: Of the resampling.

    Returns:
        Lower and upper end; infinite if too many resamples have no success, NaN without a run.
    """
    times = np.asarray(times, np.float64)
    n = len(times)
    if not n:
        return math.nan, math.nan
    reached = np.isfinite(times)
    until = np.where(reached, times, np.asarray(spent, np.float64))
    draws = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    successes = reached[draws].sum(axis=1)
    ert = np.full(n_resamples, np.inf)
    nonzero = successes > 0
    ert[nonzero] = until[draws].sum(axis=1)[nonzero] / successes[nonzero]
    ordered, tail = np.sort(ert), expanded_tail(level, n)
    # Order statistics, as there is no value between a number and infinity.
    last = n_resamples - 1
    return float(ordered[math.floor(tail * last)]), float(ordered[math.ceil((1.0 - tail) * last)])


def simulated_restarts(
    times: ArrayLike, spent: ArrayLike, n: int, rng: np.random.Generator
) -> Floats:
    """``(n,)`` run times of an algorithm that is restarted until it reaches the target (COCO).

    Runs are drawn with replacement until a run is successful, and their costs are added up. The
    mean is the ERT.

    Args:
        times: ``(runs,)`` cost until each run reached the target, infinity if it never did.
        spent: ``(runs,)`` cost of each whole run, or one budget for all.
        n: How many run times to draw.
        rng: Where they are drawn from.

    Returns:
        All infinite without a success.
    """
    times = np.asarray(times, np.float64)
    reached = np.isfinite(times)
    if not reached.any():
        return np.full(n, np.inf)
    result = rng.choice(times[reached], n)
    lost = np.broadcast_to(np.asarray(spent, np.float64), times.shape)[~reached]
    if lost.size:
        # The number of runs that fail before the first success is geometric.
        failures = rng.geometric(reached.mean(), n) - 1
        drawn = rng.choice(lost, failures.sum())
        result += np.bincount(np.repeat(np.arange(n), failures), drawn, minlength=n)
    return result


def ecdf(times: ArrayLike, points: ArrayLike) -> Floats:
    """``(points,)`` share of times that are at most each point; NaN without a time."""
    ordered = np.sort(np.asarray(times, np.float64).ravel())
    counts = np.searchsorted(ordered, np.asarray(points, np.float64), side="right")
    return counts / len(ordered) if len(ordered) else np.full(counts.shape, np.nan)


def target_value(
    benchmark: TableBenchmark, target: float | str, metric: str = "valid_regret"
) -> tuple[str, float]:
    """The name of a target and its value.

    Args:
        benchmark: The benchmark of the target.
        target: A value of the metric, ``"top 10"`` for the value of the tenth best entry of the
            table (ties included), or ``"best 1 %"`` for that of the entry at this share.
        metric: One of ``METRICS``.

    Raises:
        QueryError: The target is neither a number nor such a text; it names entries, but the metric
            is the hypervolume; or there are not as many entries that constraints allow.
    """
    if not isinstance(target, str):
        value = float(target)
        if metric.endswith("regret"):
            return f"regret <= {value:g}", value
        if metric == "hypervolume":
            return f"hypervolume >= {value:g}", value
        column = benchmark.table.column(metric_query(benchmark, metric))
        sign = ">=" if column.maximize else "<="
        return f"{label(column).split(' (')[0]} {sign} {value:g}", value
    match = re.fullmatch(r"top (\d{1,18})|best (\d{1,18}(?:\.\d+)?) ?%", target.strip())
    if match is None or metric == "hypervolume":
        raise QueryError(
            f"Expected a target such as 0.5, 'top 10' or 'best 1 %' but got {target!r}"
            + (" of the hypervolume, which single entries do not have." if match else ".")
        )
    query = metric_query(benchmark, metric)
    ranking, values = benchmark.ranking(query), benchmark.table.values(query)
    share = 0.0 if match[1] else float(match[2])
    k = int(match[1]) if match[1] else max(1, math.ceil(len(ranking) * share / 100))
    if not 0 < k <= len(ranking) or share > 100:
        allowed = "that its constraints allow" if benchmark.constraints else "with a value"
        raise QueryError(
            f"There is no {target!r} of {benchmark.name!r}, which has {len(ranking)} entries {allowed}."
        )
    threshold = values[ranking[k - 1]]
    if metric.endswith("regret"):
        threshold = regret(benchmark, query, threshold)
    return target, float(threshold)


def top_targets(benchmark: TableBenchmark, metric: str = "valid_regret") -> list[str]:
    """The ``TOP_TARGETS`` for which the benchmark has enough entries."""
    n = len(benchmark.ranking(metric_query(benchmark, metric)))
    least = {t: int(t.removeprefix("top ")) if t.startswith("top") else 1 for t in TOP_TARGETS}
    return [target for target, entries in least.items() if entries <= n]


def default_targets(
    result: Result, benchmark: str, metric: str = "valid_regret", n: int = 21
) -> list[float]:
    """Targets for a run-time ECDF, from easy to hard, in the unit of the metric.

    They are evenly spaced in the logarithm of the regret, as in COCO. The easiest target is the
    median regret of the table's entries, which half of all random choices reach; the hardest is the
    best regret that any run of the result reached. If that is 0, the last two targets are the smallest
    regret above 0 of an entry, and 0. So the targets, and the ECDF, depend on the runs compared. The
    regret of a hypervolume is 1 minus the hypervolume, and the easiest target there is 0.5.

    Args:
        result: The runs.
        benchmark: The name of one of its benchmarks.
        metric: One of ``METRICS``.
        n: How many targets; there is only one, the best reached, if it is no harder than the easiest.
    """
    opened = result.benchmark(benchmark)
    if metric == "hypervolume":
        optimum, sign, easiest, smallest = 1.0, -1.0, 0.5, 0.01
    else:
        query = metric_query(opened, metric)
        optimum = opened.optimum(query)
        sign = -1.0 if opened.table.column(query).maximize else 1.0
        regrets = np.abs(optimum - opened.table.values(query)[opened.ranking(query)])
        easiest = float(np.median(regrets)) if len(regrets) else math.inf
        smallest = float(min(regrets[regrets > ROUNDING * abs(optimum)], default=0.0))
    traces = [t for a in result.algorithms for t in result.traces(benchmark, a)]
    reached = min((_best_regret(t, opened, metric, optimum) for t in traces), default=math.inf)
    reached_optimum = reached <= ROUNDING * abs(optimum)
    hardest = smallest if reached_optimum else reached
    if not 0 < hardest < easiest:
        chosen = [reached if math.isfinite(reached) else easiest]
    elif reached_optimum:
        chosen = [*np.geomspace(easiest, hardest, n - 1).tolist(), 0.0]
    else:
        chosen = np.geomspace(easiest, hardest, n).tolist()
    return chosen if metric.endswith("regret") else [optimum + sign * r for r in chosen]


def _best_regret(trace: Trace, benchmark: TableBenchmark, metric: str, optimum: float) -> float:
    values = anytime(trace, benchmark, metric)
    if not metric.endswith("regret"):
        values = np.abs(optimum - values)
    return float(min(values[~np.isnan(values)], default=math.inf))


TOP_TARGETS: Sequence[str] = ("best 1 %", "top 10", "top 1")
"""Targets that make sense on every table."""
