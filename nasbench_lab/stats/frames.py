"""Statistics of a result as DataFrames. What has no runs has no line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.stats.curves import (
    Axis,
    anytime,
    area,
    check_axis,
    curves,
    final_value,
    found_nothing,
    grid,
    higher_is_better,
    nothing_found,
    ranks,
    spent,
)
from nasbench_lab.stats.intervals import (
    bootstrap_interval,
    summarise,
    wilson_interval,
)
from nasbench_lab.stats.targets import (
    default_targets,
    ecdf,
    ert_interval,
    expected_running_time,
    spent_in_all,
    spent_to_targets,
    target_value,
    top_targets,
)
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results.result import Result

Floats = NDArray[np.float64]

_Runs = Mapping[str, Mapping[int, Trace]]
"""The runs on a benchmark by algorithm and seed."""

ALL = "all"
"""What frames call the average over all benchmarks."""


def curve_frame(
    result: Result,
    metric: str = "test_regret",
    axis: Axis | None = None,
    statistic: str = "mean",
    n: int = 200,
) -> pd.DataFrame:
    """Anytime curves with their bands.

    A run without an incumbent counts as worse than all others (``nothing_found``). Medians and
    quartiles are those of all runs; a mean exists only where every run has an incumbent.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        statistic: One of ``STATISTICS``. Medians replace means on a benchmark where a run never had
            an incumbent.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``statistic`` (the one shown), ``point`` (in the unit
        of the axis), ``centre``, ``low``, ``high``, ``runs``, and ``without``, the number of runs
        that never had an incumbent. ``centre``, ``low`` and ``high`` are NaN where there is no mean,
        and infinite where too many runs have no incumbent yet.
    """
    axis = axis or result.axis
    lines = []
    for name, runs in runs_by_table(result, axis).items():
        points, benchmark = grid(_every(runs), axis, n), result.benchmark(name)
        shown = statistic_shown(_every(runs), metric, statistic)
        for algorithm, traces_by_seed in runs.items():
            samples = run_curves(list(traces_by_seed.values()), benchmark, points, metric, axis)
            if not len(samples):
                continue
            centre, low, high = summarise(samples, shown)
            lines.append(
                {
                    "benchmark": name,
                    "algorithm": algorithm,
                    "statistic": shown,
                    "point": points,
                    "centre": centre,
                    "low": low,
                    "high": high,
                    "runs": len(samples),
                    "without": sum(map(found_nothing, traces_by_seed.values())),
                }
            )
    columns = ["benchmark", "algorithm", "statistic", "point", "centre", "low", "high"]
    return _stacked(lines, [*columns, "runs", "without"])


def statistic_shown(traces: Sequence[Trace], metric: str, statistic: str) -> str:
    """The statistic that curves on one benchmark show: medians, not means, if a run found nothing.

    The hypervolume has a mean in any case, as it is 0 then.
    """
    if statistic != "mean" or metric == "hypervolume":
        return statistic
    return "median" if any(map(found_nothing, traces)) else statistic


def run_curves(
    traces: Sequence[Trace],
    benchmark: TableBenchmark,
    points: Floats,
    metric: str,
    axis: Axis,
) -> Floats:
    """``(runs, points)`` curves as ``curves`` gives them, for statistics over runs.

    A run counts as worse than all others (``nothing_found``) while it has no incumbent. It is left
    out if the table has no value of its last incumbent.
    """
    samples = curves(traces, benchmark, points, metric, axis)
    without = np.array([found_nothing(trace) for trace in traces], dtype=np.bool_)
    samples = samples[without | ~np.isnan(samples[:, -1])]
    return np.where(np.isnan(samples), nothing_found(benchmark, metric), samples)


def rank_frame(
    result: Result, metric: str = "test_regret", axis: Axis | None = None, n: int = 200
) -> pd.DataFrame:
    """Average ranks of the algorithms over the course of the search.

    Algorithms are ranked within each seed that all of them have finished on a benchmark, see
    ``ranks``; low and high are a 95 % bootstrap interval over seeds.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``point``, ``rank``, ``low``, ``high``, and ``seeds``,
        the number of seeds. If several benchmarks have runs of all algorithms, the benchmark ``all``
        has the average over these benchmarks. It counts the seeds that were finished on all of them,
        and its points are shares of each budget.
    """
    axis = axis or result.axis
    with_runs = runs_by_table(result, axis)
    lines: list[dict[str, Any]] = []
    for name, runs in with_runs.items():
        points, seeds = grid(_every(runs), axis, n), _common(runs)
        if seeds:
            placed = _ranked(result, name, runs, seeds, points, metric, axis)
            lines += _rank_lines(name, list(runs), points, placed)
    complete = _complete(with_runs)
    seeds = _common({name: dict.fromkeys(_common(runs)) for name, runs in complete.items()})
    if len(complete) > 1 and seeds:
        shares = np.linspace(1.0 / n, 1.0, n)
        parts = [
            _ranked(result, name, runs, seeds, shares * grid(_every(runs), axis)[-1], metric, axis)
            for name, runs in complete.items()
        ]
        algorithms = list(next(iter(complete.values())))
        lines += _rank_lines(ALL, algorithms, shares, np.mean(parts, axis=0))
    return _stacked(lines, ["benchmark", "algorithm", "point", "rank", "low", "high", "seeds"])


def _ranked(
    result: Result,
    name: str,
    runs: _Runs,
    seeds: Sequence[int],
    points: Floats,
    metric: str,
    axis: Axis,
) -> Floats:
    """``(algorithms, seeds, points)`` ranks."""
    benchmark = result.benchmark(name)
    samples = np.stack(
        [
            curves([some[s] for s in seeds], benchmark, points, metric, axis)
            for some in runs.values()
        ]
    )
    return ranks(samples, higher_is_better(benchmark, metric))


def _rank_lines(
    name: str, algorithms: Sequence[str], points: Floats, placed: Floats
) -> list[dict[str, Any]]:
    lines = []
    for algorithm, samples in zip(algorithms, placed, strict=True):
        low, high = bootstrap_interval(samples)
        line = {"benchmark": name, "algorithm": algorithm, "point": points, "seeds": len(samples)}
        lines.append({**line, "rank": samples.mean(axis=0), "low": low, "high": high})
    return lines


def final_frame(result: Result, metric: str = "test_regret") -> pd.DataFrame:
    """What each run reached.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``seed``, ``value`` of the incumbent at the end, and
        ``area``, the normalised area under the run's curve up to the end of the longest run, along
        the axis of the budget (see ``area``). Both are ``nothing_found`` (infinite for a regret) if
        a run never had an incumbent.
    """
    import pandas as pd

    lines, axis = [], result.axis
    for name, runs in runs_by_table(result, axis).items():
        benchmark, end = result.benchmark(name), grid(_every(runs), axis)[-1]
        for algorithm, traces_by_seed in runs.items():
            for seed, trace in traces_by_seed.items():
                values, value = (of(trace, benchmark, metric) for of in (anytime, final_value))
                steps, curve = np.append(spent(trace, axis), end), np.append(values, value)
                under = value if math.isinf(value) else float(area(curve[None], steps)[0])
                line = {"benchmark": name, "algorithm": algorithm, "seed": seed}
                lines.append({**line, "value": value, "area": under})
    return pd.DataFrame(lines, columns=["benchmark", "algorithm", "seed", "value", "area"])


def target_frame(
    result: Result,
    metric: str = "valid_regret",
    axis: Axis | None = None,
    targets: Sequence[float | str] | None = None,
) -> pd.DataFrame:
    """How often, and how soon, targets were reached.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        targets: Values of the metric, ``"top 10"`` or ``"best 1 %"``; see ``target_value``. By
            default those of ``TOP_TARGETS`` that the benchmark has entries for; for the hypervolume
            0.5, 0.9 and 0.99.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``target`` in words, its ``value``, ``runs``,
        ``successes``, ``success`` (their share) with its 95 % Wilson interval ``success_low`` and
        ``success_high``, ``median`` of the cost to reach the target (the lower of two, infinite if
        half of the runs never reached it), ``ert`` with its 95 % bootstrap interval ``ert_low`` and
        ``ert_high``.
    """
    import pandas as pd

    axis = axis or result.axis
    if targets is None and metric == "hypervolume":
        targets = (0.5, 0.9, 0.99)
    lines = []
    for name, runs in runs_by_table(result, axis).items():
        benchmark = result.benchmark(name)
        chosen = top_targets(benchmark, metric) if targets is None else targets
        wanted = [target_value(benchmark, target, metric) for target in chosen]
        for algorithm, traces_by_seed in runs.items():
            traces = list(traces_by_seed.values())
            values = [value for _, value in wanted]
            reached = np.stack(
                [spent_to_targets(t, benchmark, values, metric, axis) for t in traces]
            )
            ends = np.array([spent_in_all(trace, axis) for trace in traces])
            for (text, value), times in zip(wanted, reached.T, strict=True):
                line = {"benchmark": name, "algorithm": algorithm, "target": text, "value": value}
                lines.append({**line, **_target_line(times, ends)})
    columns = ["benchmark", "algorithm", "target", "value", "runs", "successes", "success"]
    columns += ["success_low", "success_high", "median", "ert", "ert_low", "ert_high"]
    return pd.DataFrame(lines, columns=columns)


def _target_line(times: Floats, ends: Floats) -> dict[str, Any]:
    successes = int(np.isfinite(times).sum())
    low, high = wilson_interval(successes, len(times))
    ert_low, ert_high = ert_interval(times, ends)
    return {
        "runs": len(times),
        "successes": successes,
        "success": successes / len(times),
        "success_low": low,
        "success_high": high,
        "median": float(np.sort(times)[(len(times) - 1) // 2]),
        "ert": expected_running_time(times, ends),
        "ert_low": ert_low,
        "ert_high": ert_high,
    }


def ecdf_frame(
    result: Result, metric: str = "valid_regret", axis: Axis | None = None, n: int = 100
) -> pd.DataFrame:
    """Run-time distributions (COCO): the share of targets and runs that were reached by each point.

    Targets are those of ``default_targets``. Runs are not restarted, so the last point has the share
    that was reached within the budget.

    Args:
        result: The runs.
        metric: One of ``METRICS``.
        axis: What was spent; by default what the budget counts.
        n: At most how many points.

    Returns:
        Columns ``benchmark``, ``algorithm``, ``point``, ``share``. If several benchmarks have
        runs of all algorithms, the benchmark ``all`` has the average over these, at points that are
        shares of each budget.
    """
    axis = axis or result.axis
    lines, shares = [], np.linspace(1.0 / n, 1.0, n)
    with_runs = runs_by_table(result, axis)
    complete = _complete(with_runs)
    parts: dict[str, list[Floats]] = {}
    for name, runs in with_runs.items():
        benchmark, points = result.benchmark(name), grid(_every(runs), axis, n)
        targets = default_targets(result, name, metric)
        for algorithm, traces_by_seed in runs.items():
            times = np.stack(
                [
                    spent_to_targets(t, benchmark, targets, metric, axis)
                    for t in traces_by_seed.values()
                ]
            )
            line = {"benchmark": name, "algorithm": algorithm, "point": points}
            lines.append({**line, "share": ecdf(times, points)})
            if name in complete:
                parts.setdefault(algorithm, []).append(ecdf(times, shares * points[-1]))
    for algorithm, ecdfs in parts.items():
        if len(complete) > 1:
            line = {"benchmark": ALL, "algorithm": algorithm, "point": shares}
            lines.append({**line, "share": np.mean(ecdfs, axis=0)})
    return _stacked(lines, ["benchmark", "algorithm", "point", "share"])


def runs_by_table(result: Result, axis: Axis) -> dict[str, _Runs]:
    """The runs by benchmark, algorithm and seed, in the result's order, without empty entries.

    Raises:
        BudgetError: A benchmark cannot be shown against the axis.
    """
    runs: dict[str, dict[str, dict[int, Trace]]] = {}
    for run in result.runs:
        runs.setdefault(run.benchmark, {}).setdefault(run.algorithm, {})[run.seed] = run.trace
    for name in runs:
        check_axis(result.benchmark(name), axis)
    return dict(runs)


def _complete(with_runs: Mapping[str, _Runs]) -> dict[str, _Runs]:
    """The benchmarks with runs of every algorithm of ``with_runs``."""
    everyone = {algorithm for runs in with_runs.values() for algorithm in runs}
    return {name: runs for name, runs in with_runs.items() if set(runs) == everyone}


def _every(runs: _Runs) -> list[Trace]:
    return [trace for some in runs.values() for trace in some.values()]


def _common(runs: Mapping[str, Mapping[int, Any]]) -> list[int]:
    """The seeds that all have finished."""
    sets = [set(some) for some in runs.values()]
    return sorted(set.intersection(*sets)) if sets else []


def _stacked(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Lines of arrays as a frame with one line per entry."""
    import pandas as pd

    if not lines:
        return pd.DataFrame(columns=columns)
    return pd.concat([pd.DataFrame(line) for line in lines], ignore_index=True)[list(columns)]
