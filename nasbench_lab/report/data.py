"""The data that the page's script draws: lines per algorithm, thinned and rounded.

Everything is a step: what stands at a point holds until the next. Numbers have four significant
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
from nasbench_lab.errors import BudgetError
from nasbench_lab.results.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.trace import Trace

Floats = NDArray[np.float64]

POINTS = 80
"""At most how many points a curve has."""

_DIGITS = 4

_GOALS = {"hypervolume": "hypervolume", "test": "test_regret", "valid": "valid_regret"}
"""What is looked at, and the metric of ``stats`` that says how far it is from the best.

The script draws the distance to the best, or the value itself, which it has from the distance and
the best. Of the hypervolume the distance is 1 minus the share that was found.
"""


def page_data(result: Result) -> dict[str, Any]:
    """All that is drawn from, by table, axis and goal.

    Returns:
        ``algorithms`` (labels), ``seeds`` (how many were asked for), ``tables`` (of each that has
        runs: name, axes, budget's axis, goals, ``curves``, ``ranks``, ``ecdf``, ``finals``), ``all``
        (ranks and ECDF over all tables) and ``statistics`` (names of what a curve and its band can
        be).
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
    return {
        "algorithms": result.algorithms,
        "seeds": len(result.experiment.seeds),
        "axis": result.axis,
        "tables": tables,
        "all": every,
        "statistics": stats.STATISTICS,
    }


def goals_of(result: Result) -> list[str]:
    """What there is to look at: of one column that is both searched on and reported, one goal."""
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
    """Labels, the best value that there is, and the direction of what is looked at."""
    if goal == "hypervolume":
        return {
            "distance": "missing hypervolume (share of the table's)",
            "value": "hypervolume (share of the table's)",
            "best": 1.0,
            "maximize": True,
        }
    query = stats.metric_query(benchmark, goal)
    return {
        "distance": stats.metric_label(benchmark, f"{goal}_regret"),
        "value": stats.metric_label(benchmark, goal),
        "best": benchmark.optimum(query),
        "maximize": benchmark.table.column(query).maximize,
    }


def _points(traces: Sequence[Trace], axis: stats.Axis) -> Floats:
    """At most ``POINTS`` points, half of them evenly spaced and half by factors.

    The page's axis may be linear or logarithmic; whole numbers, if there are few, are all there.
    """
    even = stats.grid(traces, axis, POINTS)
    last = even[-1]
    if axis != "seconds" and last <= POINTS:
        return even
    half = POINTS // 2
    if axis == "seconds":
        first = last / 1e3 or last  # of the least numbers there is no thousandth
        return np.union1d(np.linspace(last / half, last, half), np.geomspace(first, last, half))
    points = np.union1d(np.linspace(1, last, half).round(), np.geomspace(1, last, half).round())
    return points.astype(np.float64)


def _curves(
    result: Result, name: str, axes: Sequence[stats.Axis], goals: Sequence[str]
) -> dict[str, Any]:
    """The anytime curves of a benchmark, and where they end.

    Runs that never have an incumbent count as worse than all others, as in the figures of
    ``nasbench-lab plot``.

    Returns:
        ``curves``, by axis the points and, by goal, each algorithm's lines under every statistic, or
        None; ``finals``, by goal and algorithm, how far each run ended from the best, in ascending
        order; and ``medians``, the goals that have no means.
    """
    benchmark = result.benchmark(name)
    some = {a: result.traces(name, a) for a in result.algorithms}
    known = [trace for traces in some.values() for trace in traces]
    points = {axis: _points(known, axis) for axis in axes}
    drawn: dict[str, dict[str, Any]] = {
        axis: {"points": rounded(points[axis], axis != "seconds"), **{goal: [] for goal in goals}}
        for axis in axes
    }
    finals: dict[str, list[Any]] = {goal: [] for goal in goals}
    for goal in goals:
        for traces in some.values():
            samples = [
                stats.run_curves(traces, benchmark, points[axis], _GOALS[goal], axis)
                for axis in axes
            ]
            if goal == "hypervolume":
                samples = [1.0 - values for values in samples]
            for axis, lines in zip(axes, _lines(samples), strict=True):
                drawn[axis][goal].append(lines)
            # The last point of every axis is the end of the longest run.
            finals[goal].append(rounded(np.sort(samples[0][:, -1])))
    medians = [g for g in goals if stats.statistic_shown(known, _GOALS[g], "mean") != "mean"]
    return {"curves": drawn, "finals": finals, "medians": medians}


def _lines(samples: Sequence[Floats]) -> Iterator[dict[str, Any] | None]:
    """Of ``(runs, points)`` samples per axis, the lines under every statistic.

    The same runs are in all axes, so one bootstrap serves them all.
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
            statistic: [rounded(line[i]) for line in lines]
            for statistic, lines in summaries.items()
        }


def _place_frames(
    places: dict[str, dict[str, Any]],
    names: Sequence[str],
    part: Result,
    axis: stats.Axis,
    goal: str,
) -> None:
    """Puts average ranks and ECDFs where they belong: with their table, or with all tables."""
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
    """Lines of one table, as the script draws them: each has the points of the first."""
    grouped = dict(iter(frame.groupby("algorithm", sort=False)))
    points = next(iter(grouped.values()))["point"].to_numpy(dtype=float)
    return {
        "points": rounded(points),
        "lines": [
            [rounded(grouped[a][column].to_numpy(dtype=float)) for column in columns]
            if a in grouped
            else None
            for a in algorithms
        ],
    }


def rounded(values: Iterable[float], whole: bool = False) -> list[float | None]:
    """Numbers as JSON has them, and short: None for NaN, ``BEYOND`` for infinity."""
    if whole:
        return [int(value) for value in values]
    return [None if math.isnan(value) else _short(value) for value in values]


BEYOND = 1e300
"""Stands for infinity, for which JSON has no word; the script knows it too."""


def _short(value: float) -> float:
    if math.isinf(value):
        return math.copysign(BEYOND, value)
    value = float(f"{value:.{_DIGITS}g}")
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def to_json(data: Any) -> str:
    """JSON for a script element: no text in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
