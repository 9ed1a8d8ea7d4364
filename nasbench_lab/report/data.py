"""The data that the page's script draws: lines per algorithm, thinned and rounded.

All lines are steps: the value of a point holds until the next point. Numbers have four significant
digits, and a line has at most ``POINTS`` points, which keeps the page of a large comparison small.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from nasbench_lab import stats
from nasbench_lab.clock import REAL
from nasbench_lab.errors import BudgetError
from nasbench_lab.results.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.trace import Trace

Floats = NDArray[np.float64]

POINTS = 80
"""The most points of a curve."""

_DIGITS = 4

_GOALS = {"hypervolume": "hypervolume", "test": "test_regret", "valid": "valid_regret"}
"""The goals, and the metric of ``stats`` for the distance of each to the best.

The script draws the distance to the best, or the value, which follows from the distance and the best.
The distance of a hypervolume is 1 minus the share that was found.
"""


def page_data(result: Result) -> dict[str, Any]:
    """The data of all plots, by table, axis and goal.

    Returns:
        ``algorithms`` (labels), ``seeds`` (the number of the experiment's), ``axis`` (the budget's),
        ``seconds`` (what the axis of that name is called), ``tables`` (for each with
        runs: name, axes, budget's axis, goals, ``curves``, ``ranks``, ``ecdf``, ``finals``), ``all``
        (ranks and ECDF over all tables) and ``statistics`` (names of those that a curve and its band
        can show).
    """
    names = result.tables_with_runs
    goals = goals_of(result)
    axes = {name: _axes(result.benchmark(name)) for name in names}
    tables = [
        {
            "name": name,
            "axes": axes[name],
            "goals": {goal: _goal(result.benchmark(name), goal) for goal in goals},
            **_curves(result, name, axes[name], goals),
            "ranks": {},
            "ecdf": {},
        }
        for name in names
    ]
    every: dict[str, Any] = {"ranks": {}, "ecdf": {}}
    places = {**dict(zip(names, tables, strict=True)), "all": every}
    for axis in get_args(stats.Axis):
        having = [name for name in names if axis in axes[name]]
        if not having:
            continue
        part = result.of(having)
        for goal in goals:
            _place_frames(places, having, part, axis, goal)
        if len(having) < len(names):
            every["ranks"].pop(axis, None)
            every["ecdf"].pop(axis, None)
    real = all(benchmark.clock == REAL for benchmark in result.experiment.benchmarks)
    return {
        "algorithms": result.algorithms,
        "seeds": len(result.experiment.seeds),
        "axis": result.axis,
        "seconds": "seconds" if real else "simulated seconds",
        "tables": tables,
        "all": every,
        "statistics": stats.STATISTICS,
    }


def goals_of(result: Result) -> list[str]:
    """The goals of a result; if the objective is also reported, both are one goal."""
    goals = {metric: goal for goal, metric in _GOALS.items()}
    return [goals[metric] for metric in sorted(stats.judged_by(result), key=list(goals).index)]


def _axes(benchmark: TableBenchmark) -> list[stats.Axis]:
    axes: list[stats.Axis] = []
    for axis in get_args(stats.Axis):
        try:
            stats.check_axis(benchmark, axis)
        except BudgetError:
            continue
        axes.append(axis)
    return axes


def _goal(benchmark: TableBenchmark, goal: str) -> dict[str, Any]:
    """Labels, best value and direction of a goal."""
    if goal == "hypervolume":
        return {
            "distance": f"missing hypervolume (share of {benchmark.whose})",
            "value": f"hypervolume (share of {benchmark.whose})",
            "best": 1.0,
            "maximize": True,
        }
    query = stats.metric_query(benchmark, goal)
    best = benchmark.optimum(query)
    return {
        "distance": stats.metric_label(benchmark, f"{goal}_regret"),
        "value": stats.metric_label(benchmark, goal),
        "best": None if math.isnan(best) else best,  # nothing was found by anybody
        "maximize": benchmark.table.column(query).maximize,
    }


def _points(traces: Sequence[Trace], axis: stats.Axis) -> Floats:
    """At most ``POINTS`` points, half of them evenly spaced and half by factors.

    The page's axis may be linear or logarithmic. Short axes of whole numbers have all of them.
    """
    even = stats.grid(traces, axis, POINTS)
    last = even[-1]
    if axis != "seconds" and last <= POINTS:
        return even
    half = POINTS // 2
    if axis == "seconds":
        first = last / 1e3 or last  # a thousandth of the least numbers is 0
        return np.union1d(np.linspace(last / half, last, half), np.geomspace(first, last, half))
    points = np.union1d(np.linspace(1, last, half).round(), np.geomspace(1, last, half).round())
    return points.astype(np.float64)


def _curves(
    result: Result, name: str, axes: Sequence[stats.Axis], goals: Sequence[str]
) -> dict[str, Any]:
    """The anytime curves of a benchmark, and their final values.

    Runs that never have an incumbent count as worse than all others, as in the figures of
    ``nasbench-lab plot``.

    Returns:
        ``curves``: for each axis its points and, by goal, each algorithm's lines by statistic, or None.
        ``finals``: the ascending final distances of the runs to the best, by goal and algorithm.
        ``medians``: the goals without means.
    """
    benchmark = result.benchmark(name)
    traces_by_algorithm = {a: result.traces(name, a) for a in result.algorithms}
    all_traces = [trace for traces in traces_by_algorithm.values() for trace in traces]
    points = {axis: _points(all_traces, axis) for axis in axes}
    drawn: dict[str, dict[str, Any]] = {
        axis: {
            "points": json_numbers(points[axis], axis != "seconds"),
            **{goal: [] for goal in goals},
        }
        for axis in axes
    }
    finals: dict[str, list[Any]] = {goal: [] for goal in goals}
    for goal in goals:
        for traces in traces_by_algorithm.values():
            samples = [
                stats.run_curves(traces, benchmark, points[axis], _GOALS[goal], axis)
                for axis in axes
            ]
            if goal == "hypervolume":
                samples = [1.0 - values for values in samples]
            for axis, lines in zip(axes, _lines(samples), strict=True):
                drawn[axis][goal].append(lines)
            # The last point of every axis is the end of the longest run.
            finals[goal].append(json_numbers(np.sort(samples[0][:, -1])))
    medians = [g for g in goals if stats.statistic_shown(all_traces, _GOALS[g], "mean") != "mean"]
    return {"curves": drawn, "finals": finals, "medians": medians}


def _lines(samples: Sequence[Floats]) -> Iterator[dict[str, Any] | None]:
    """The lines of each axis by statistic, from ``(runs, points)`` samples per axis.

    All axes have the same runs, so one bootstrap serves them all.
    """
    if not len(samples[0]):
        yield from [None] * len(samples)
        return
    joined = np.concatenate(samples, axis=1)
    ends = np.cumsum([part.shape[1] for part in samples])[:-1]
    summaries = {
        statistic: [np.split(line, ends) for line in stats.summarise(joined, statistic)]
        for statistic in stats.STATISTICS
    }
    for i in range(len(samples)):
        yield {
            statistic: [json_numbers(line[i]) for line in lines]
            for statistic, lines in summaries.items()
        }


def _place_frames(
    places: dict[str, dict[str, Any]],
    names: Sequence[str],
    part: Result,
    axis: stats.Axis,
    goal: str,
) -> None:
    """Adds average ranks and ECDFs to their table, or to those over all tables."""
    frames = {
        "ranks": stats.rank_frame(part, _GOALS[goal], axis, n=POINTS),
        "ecdf": stats.ecdf_frame(part, _GOALS[goal], axis, n=POINTS),
    }
    columns = {"ranks": ("rank", "low", "high"), "ecdf": ("share",)}
    for kind, frame in frames.items():
        for name in [*names, *(["all"] if len(names) > 1 else [])]:
            lines = frame[frame["benchmark"] == name] if len(frame) else frame
            if len(lines):
                drawn = _framed(lines, part.algorithms, columns[kind])
                if kind == "ranks":
                    drawn["seeds"] = int(lines["seeds"].iloc[0])
                places[name][kind].setdefault(axis, {})[goal] = drawn


def _framed(
    frame: pd.DataFrame, algorithms: Sequence[str], columns: Sequence[str]
) -> dict[str, Any]:
    """Lines of one table for the script; all have the points of the first."""
    grouped = dict(iter(frame.groupby("algorithm", sort=False)))
    points = next(iter(grouped.values()))["point"].to_numpy(dtype=float)
    return {
        "points": json_numbers(points),
        "lines": [
            [json_numbers(grouped[a][column].to_numpy(dtype=float)) for column in columns]
            if a in grouped
            else None
            for a in algorithms
        ],
    }


def json_numbers(values: Iterable[float], whole: bool = False) -> list[float | None]:
    """Short numbers for JSON: None for NaN, ``BEYOND`` for infinity."""
    if whole:
        return [int(value) for value in values]
    return [None if math.isnan(value) else _short(value) for value in values]


BEYOND = 1e300
"""Stands for infinity, which JSON lacks; the script knows it too."""


def _short(value: float) -> float:
    if math.isinf(value):
        return math.copysign(BEYOND, value)
    value = float(f"{value:.{_DIGITS}g}")
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def to_json(data: Any) -> str:
    """JSON for a script element: no text in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
