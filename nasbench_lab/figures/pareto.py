"""Figures of the Pareto fronts that searches found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab import stats
from nasbench_lab.figures.layout import (
    DEFAULT,
    Look,
    axis_label,
    draw_curves,
    label_panel,
    legend_above,
    panel_grid,
    scale_axis,
    shown_as,
    styled,
)
from nasbench_lab.figures.runs import drawn_tables, runs_in_words
from nasbench_lab.pareto import pareto_front
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results.result import Result

Floats = NDArray[np.float64]

_MARKERS = "os^DvPX<>*hpd"

_TABLE, _FRONT, _MISSING = "front of the table", "front", "missing hypervolume"
"""The kinds of curves."""


def pareto_data(result: Result, axis: stats.Axis | None = None) -> pd.DataFrame:
    """The data of ``pareto_figure``, with its arguments, without the entries of the table.

    Returns:
        A line per point: ``benchmark``, ``curve`` (``front of the table``, ``front`` or ``missing
        hypervolume``), ``algorithm``, ``seed`` of the front's run, ``x_label``, ``x``, ``y_label``,
        ``y``, and for the hypervolume ``low`` and ``high`` of the 95 % bootstrap interval of its
        mean, and the number of ``runs``.
    """
    import pandas as pd

    names = drawn_tables(result)
    along = result.axis if axis is None else axis
    curves = stats.curve_frame(result, "hypervolume", along)
    missing = pd.DataFrame(
        {
            "benchmark": curves["benchmark"],
            "curve": _MISSING,
            "algorithm": curves["algorithm"],
            "x_label": along,
            "x": curves["point"],
            "y_label": _MISSING,
            # A logarithmic scale of the missing share tells shares near 1 apart.
            "y": 1.0 - curves["centre"],
            "low": 1.0 - curves["high"],
            "high": 1.0 - curves["low"],
            "runs": curves["runs"],
        }
    )
    fronts = [front for name in names for front in _fronts(result, name)]
    columns = ["benchmark", "curve", "algorithm", "seed", *missing.columns[3:]]
    # Old pandas warns if frames with empty columns are concatenated.
    lines = [line for part in (*fronts, missing) for line in part.to_dict("records")]
    return pd.DataFrame(lines, columns=columns).astype({"seed": "Int64", "runs": "Int64"})


def _fronts(result: Result, name: str) -> list[pd.DataFrame]:
    """The front of a benchmark's table, and of each algorithm's run of median hypervolume."""
    import pandas as pd

    benchmark = result.benchmark(name)
    every, more = _second_and_first(benchmark)
    fronts: list[tuple[str, str | None, int | None, Floats]] = [
        (_TABLE, None, None, _front(every, more))
    ]
    for algorithm in result.algorithms:
        if not (traces := _evaluated(result, name, algorithm)):
            continue
        last = [stats.anytime(trace, benchmark, "hypervolume")[-1] for trace in traces]
        median = traces[np.argsort(last, kind="stable")[(len(last) - 1) // 2]]
        points = every[benchmark.rows(median)[stats.trained_in_full(median, benchmark)]]
        fronts.append((_FRONT, algorithm, median.settings["seed"], _front(points, more)))
    second, first = (stats.label(objective) for objective in benchmark.objectives[1::-1])
    return [
        pd.DataFrame(
            {
                "benchmark": name,
                "curve": curve,
                "algorithm": algorithm,
                "seed": seed,
                "x_label": second,
                "x": front[:, 0],
                "y_label": first,
                "y": front[:, 1],
            }
        )
        for curve, algorithm, seed, front in fronts
    ]


def _evaluated(result: Result, name: str, algorithm: str) -> list[Trace]:
    """The runs with a hypervolume, which are those with evaluations."""
    return [trace for trace in result.traces(name, algorithm) if len(trace)]


def _second_and_first(benchmark: TableBenchmark) -> tuple[Floats, list[bool]]:
    """``(rows, 2)`` second and first objective of all entries, and whether more of each is better."""
    every, more = stats.objective_values(benchmark), stats.maximized(benchmark)
    # An entry counts if all its objectives are known, as for the hypervolume.
    every[np.isnan(every).any(axis=1)] = np.nan
    return every[:, 1::-1], more[1::-1]


def pareto_figure(
    result: Result,
    axis: stats.Axis | None = None,
    *,
    width: float | None = None,
    data: pd.DataFrame | None = None,
    look: Look = DEFAULT,
) -> Figure:
    """The trade-offs between objectives that the algorithms found, and how fast they found them.

    The first panel of a benchmark has the first two objectives of all entries of the table, the
    exact Pareto front, and the final front of each algorithm's run of median hypervolume (the lower
    of two). The steps of a front are the border of the region that it dominates; a few points far
    from all others may lie outside of the picture. The second panel has the missing hypervolume, of
    all objectives, over the course of the search.

    Args:
        result: The runs.
        axis: The axis of the hypervolume: ``evaluations``, ``epochs`` or ``seconds`` (simulated); by
            default that of the budget.
        width: Width in inches, such as ``figures.WIDTHS["column"]``; for the screen if None.
        data: The result of ``pareto_data`` for the same arguments, if it is at hand.
        look: Titles and colours; limits and scale apply to the missing hypervolume.

    Returns:
        A figure with two panels per benchmark, side by side where there is room.

    Raises:
        ExperimentError: There are no finished runs.
        QueryError: A benchmark has one objective only.
        UnknownNameError: An unknown axis.
        BudgetError: Epochs or seconds, where a benchmark has none.
    """
    names = drawn_tables(result)
    data = pareto_data(result, axis) if data is None else data
    with styled():
        figure, panels, size = panel_grid(2 * len(names), width, 2)
        handles: dict[str, Any] = {}
        for left, right, name in zip(panels[::2], panels[1::2], names, strict=True):
            lines = data[data["benchmark"] == name]
            _draw_fronts(left, result, name, lines[lines["curve"] != _MISSING], size, look)
            lines = lines[lines["curve"] == _MISSING].rename(columns={"x": "point", "y": "centre"})
            draw_curves(right, lines, result.algorithms, True, look)
            along = result.axis if axis is None else axis
            scale_axis(right, along)
            mean = shown_as(stats.STATISTICS["mean"], len(result.algorithms))
            said = look.heading(f"{name}, {runs_in_words(result, name)}, {mean}", name, len(names))
            missing = f"missing hypervolume (share of {result.benchmark(name).whose})"
            label_panel(
                right,
                size,
                said,
                axis_label(along, right, result.experiment.benchmark(name).clock),
                missing,
            )
            handles |= {str(line.get_label()): line for line in left.get_lines()}
        legend_above(figure, handles)
    return figure


def _draw_fronts(
    panel: Axes,
    result: Result,
    name: str,
    lines: pd.DataFrame,
    size: tuple[float, float],
    look: Look,
) -> None:
    """Draws the first objective over the second: the table's entries and front, and runs' fronts."""
    benchmark = result.benchmark(name)
    every, more = _second_and_first(benchmark)
    restriction = " (of those allowed)" if benchmark.constraints else ""
    black: dict[str, Any] = {"color": "black", "linewidth": 0.8, "zorder": 2.5}
    black["label"] = f"Pareto front of {benchmark.whole}{restriction}"
    fronts = [(black, lines[lines["curve"] == _TABLE])]
    for i, line in enumerate(look.lines(result.algorithms)):
        algorithm = result.algorithms[i]
        if _evaluated(result, name, algorithm):
            drawn = {**line, "marker": _MARKERS[i % len(_MARKERS)], "label": algorithm}
            fronts.append((drawn, lines[lines["algorithm"] == algorithm]))
    _set_limits(panel, lines[["x", "y"]].to_numpy(), more)
    limits = np.array([panel.get_xlim(), panel.get_ylim()])
    seen = every[((every >= limits[:, 0]) & (every <= limits[:, 1])).all(axis=1)]
    dots: dict[str, Any] = {"color": "0.78", "markersize": 2, "markeredgewidth": 0}
    panel.plot(*seen.T, "o", label=f"entries of {benchmark.whole}", rasterized=True, **dots)
    corner = np.where(more, limits[:, 0], limits[:, 1])
    for drawn, front in fronts:
        steps = _steps(front[["x", "y"]].to_numpy(), corner, more)
        panel.plot(*steps.T, drawstyle="steps-post", markevery=slice(1, -1), ms=4, **drawn)
    n = len(benchmark.objectives)
    title = f"{name}, runs of median hypervolume, {result.setting(name)}"
    title += f", first two of {n} objectives" if n > 2 else ""
    first, second, *_ = (stats.label(objective) for objective in benchmark.objectives)
    heading = look.heading(title, name, len(drawn_tables(result)))
    label_panel(panel, size, heading, second, first)


def _front(values: Floats, more: Sequence[bool]) -> Floats:
    """``(k, 2)`` distinct points of the Pareto front of ``(n, 2)`` values, sorted, best x first."""
    front = np.unique(values[pareto_front(values, more)], axis=0)
    return front[::-1] if more[0] else front


def _steps(front: Floats, corner: Floats, more: Sequence[bool]) -> Floats:
    """A front with a point before and after it, so that its steps reach the picture's borders."""
    if not len(front):
        return front
    worse_x, worse_y = (np.minimum if maximize else np.maximum for maximize in more)
    before = front[0, 0], worse_y(front[0, 1], corner[1])
    after = worse_x(front[-1, 0], corner[0]), front[-1, 1]
    return np.vstack([before, front, after])


def _set_limits(panel: Axes, points: Floats, more: Sequence[bool]) -> None:
    """Fits a panel to the points of fronts, without a few that are far from the others.

    Minimised values that differ by more than a factor of 10 get a logarithmic axis.
    """
    from matplotlib.ticker import LogLocator

    low = points.min(axis=0)
    logarithmic = ~np.array(more) & (low > 0) & (points.max(axis=0) > 10 * low)
    scaled = points.copy()
    scaled[:, logarithmic] = np.log10(points[:, logarithmic])
    q25, q75 = np.quantile(scaled, [0.25, 0.75], axis=0)
    reach = np.where(q75 > q25, 4 * (q75 - q25), np.inf)
    near = ((scaled >= q25 - reach) & (scaled <= q75 + reach)).all(axis=1)
    if near.any():
        scaled = scaled[near]
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    margin = 0.06 * (high - low)
    margin = np.where(margin > 0, margin, 0.1 * np.abs(low))
    margin[margin == 0] = 1.0
    limits = np.array([low - margin, high + margin])
    limits[:, logarithmic] = 10 ** limits[:, logarithmic]
    panel.set(xscale="log" if logarithmic[0] else "linear", xlim=limits[:, 0])
    panel.set(yscale="log" if logarithmic[1] else "linear", ylim=limits[:, 1])
    for axis, (low, high) in zip((panel.xaxis, panel.yaxis), limits.T, strict=True):
        if axis.get_scale() == "log":
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(LogLocator(subs=[2.0, 5.0] if high < 100 * low else []))
            axis.set_minor_formatter("{x:g}")
            # This aligns them with labels of major ticks, which are longer.
            axis.set_tick_params(which="minor", pad=5)
