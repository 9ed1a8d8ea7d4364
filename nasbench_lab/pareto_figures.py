"""Figures of the Pareto fronts that searches found."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab import stats
from nasbench_lab.errors import ExperimentError
from nasbench_lab.figures import (
    PALETTE,
    STATISTICS,
    STYLE,
    STYLES,
    counted,
    plain_if_few,
    summarise,
)
from nasbench_lab.pareto import pareto_front
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results import Result

Floats = NDArray[np.float64]

_WIDTH = 7.8
"""Of a figure of Pareto fronts, in inches."""

_MARKERS = "os^DvPX"


def pareto_figure(result: Result, axis: stats.Axis | None = None) -> Figure:
    """Which trade-offs between objectives the algorithms found, and how fast.

    On the left of a row are the first two objectives of all entries of the table, the exact Pareto
    front, and the front that each algorithm had at the end of the run whose hypervolume is the
    median (of two, the lower). A front's steps are the border of what it dominates; a few of its
    points that are far from all others may lie outside of the picture. On the right is the
    hypervolume, of all objectives, that was still missing over the course of the search.

    Args:
        result: The runs.
        axis: Of the hypervolume: ``evaluations``, ``epochs`` or ``seconds`` (simulated); by default
            what the budget is in.

    Returns:
        A figure with a row of two panels per benchmark.

    Raises:
        ExperimentError: There are no finished runs.
        QueryError: A benchmark has one objective only.
        UnknownNameError: An unknown axis.
        BudgetError: Epochs or seconds, where a benchmark has none.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = [
        n
        for n in result.benchmarks
        if any(len(t) for a in result.algorithms for t in result.traces(n, a))
    ]
    if not names:
        raise ExperimentError("There are no finished runs to plot.")
    along = result.axis if axis is None else axis
    with rc_context(STYLE):
        figure = Figure(layout="constrained")
        panels = figure.subplots(len(names), 2, squeeze=False)
        handles: dict[str, Any] = {}
        for (left, right), name in zip(panels, names, strict=True):
            medians = _draw_hypervolumes(right, result, name, along)
            _draw_fronts(left, result.benchmark(name), medians, result.setting(name))
            lines, labels = left.get_legend_handles_labels()
            handles |= dict(zip(labels, lines, strict=True))
        labels = [textwrap.fill(label, 40, break_on_hyphens=False) for label in handles]
        # In inches, a letter is 0.06 wide, a line with its marker 0.6, and a line of text 0.17 high.
        longest = max(len(line) for label in labels for line in label.split("\n"))
        columns = int(_WIDTH / (0.6 + 0.06 * longest))
        heights = [1 + label.count("\n") for label in labels]
        height = max(sum(column) for column in np.array_split(heights, columns))
        figure.set_size_inches(_WIDTH, 3.1 * len(names) + 0.17 * height)
        figure.legend(
            list(handles.values()), labels, loc="outside upper left", ncols=columns, frameon=False
        )
    return figure


def _draw_hypervolumes(
    panel: Axes, result: Result, name: str, axis: stats.Axis
) -> list[tuple[Trace, dict[str, Any]]]:
    """Draws the curves of one benchmark.

    Returns:
        Of each algorithm the run whose last value is the median, and what its lines look like.
    """
    benchmark = result.benchmark(name)
    stats.check_axis(benchmark, axis)
    points = stats.grid([t for a in result.algorithms for t in result.traces(name, a)], axis)
    medians: list[tuple[Trace, dict[str, Any]]] = []
    counts: list[tuple[int, int]] = []
    for i, algorithm in enumerate(result.algorithms):
        traces = result.traces(name, algorithm)
        if not traces:
            continue
        samples = stats.curves(traces, benchmark, points, "hypervolume", axis)
        # Runs in which nothing was evaluated have no value.
        kept = np.flatnonzero(~np.isnan(samples[:, -1]))
        counts.append((len(kept), len(traces)))
        if not kept.size:
            continue
        # What is missing is told apart on a logarithmic scale, when shares are all close to 1.
        centre, low, high = summarise(1.0 - samples[kept], "mean")
        colour, style = PALETTE[i % len(PALETTE)], STYLES[i % len(STYLES)]
        look: dict[str, Any] = {"color": colour, "linestyle": style, "label": algorithm}
        panel.fill_between(points, low, high, color=colour, alpha=0.18, linewidth=0, step="post")
        panel.step(points, centre, where="post", **look)
        ranked = kept[np.argsort(samples[kept, -1], kind="stable")]
        median = traces[ranked[(len(ranked) - 1) // 2]]
        medians.append((median, {**look, "marker": _MARKERS[i % len(_MARKERS)]}))
    if axis != "seconds" and points[-1] >= 50:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
    if len(points) > 1:
        panel.set_xlim(points[0], points[-1])
    drawn = np.concatenate([line.get_ydata() for line in panel.lines])
    drawn = drawn[drawn > 1e-6]
    if drawn.size and drawn.max() > 3 * drawn.min():
        panel.set(yscale="log", ylim=(0.8 * drawn.min(), 1.2 * drawn.max()))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(plain_if_few)
    title = f"{name}, {counted(counts)}, {STATISTICS['mean']}"
    panel.set_title(textwrap.fill(title, 56), loc="left")
    panel.set_xlabel("simulated seconds" if axis == "seconds" else axis)
    panel.set_ylabel("missing hypervolume (share of the table's)")
    return medians


def _draw_fronts(
    panel: Axes,
    benchmark: TableBenchmark,
    runs: Sequence[tuple[Trace, dict[str, Any]]],
    setting: str,
) -> None:
    """Draws the first objective above the second: of the table, and of what some runs found."""
    every, more = stats.objective_values(benchmark), stats.maximized(benchmark)
    # As for the hypervolume, entries count of which all objectives are known.
    every[np.isnan(every).any(axis=1)] = np.nan
    every, more = every[:, 1::-1], more[1::-1]
    look: dict[str, Any] = {"color": "black", "linewidth": 0.8, "zorder": 2.5}
    allowed = " (of those allowed)" if benchmark.constraints else ""
    fronts = [(_front(every, more), {**look, "label": f"Pareto front of the table{allowed}"})]
    for trace, look in runs:
        found = every[trace.row[stats.trained_in_full(trace, benchmark)]]
        fronts.append((_front(found, more), look))
    _set_limits(panel, np.concatenate([front for front, _ in fronts]), more)
    limits = np.array([panel.get_xlim(), panel.get_ylim()])
    seen = every[((every >= limits[:, 0]) & (every <= limits[:, 1])).all(axis=1)]
    dots: dict[str, Any] = {"color": "0.78", "markersize": 2, "markeredgewidth": 0}
    panel.plot(*seen.T, "o", label="entries of the table", rasterized=True, **dots)
    corner = np.where(more, limits[:, 0], limits[:, 1])
    for front, look in fronts:
        steps = _steps(front, corner, more)
        panel.plot(*steps.T, drawstyle="steps-post", markevery=slice(1, -1), ms=4, **look)
    n = len(benchmark.objectives)
    title = f"{benchmark.name}, runs of median hypervolume, {setting}"
    title = textwrap.fill(title, 56)
    panel.set_title(title if n == 2 else f"{title},\nfirst two of {n} objectives", loc="left")
    panel.set_xlabel(stats.label(benchmark.objectives[1]))
    panel.set_ylabel(stats.label(benchmark.objectives[0]))


def _front(values: Floats, more: Sequence[bool]) -> Floats:
    """``(k, 2)`` Pareto front of ``(n, 2)`` values, each once, from the best first one on."""
    front = np.unique(values[pareto_front(values, more)], axis=0)
    return front[::-1] if more[0] else front


def _steps(front: Floats, corner: Floats, more: Sequence[bool]) -> Floats:
    """A front with a point before and after it: what its ends dominate goes on to the corner."""
    if not len(front):
        return front
    worse_x, worse_y = (np.minimum if maximize else np.maximum for maximize in more)
    before = front[0, 0], worse_y(front[0, 1], corner[1])
    after = worse_x(front[-1, 0], corner[0]), front[-1, 1]
    return np.vstack([before, front, after])


def _set_limits(panel: Axes, points: Floats, more: Sequence[bool]) -> None:
    """Fits a panel to the points of fronts, but for a few that are far from the others.

    What is minimised and differs by more than a factor of 10 is shown on a logarithmic axis.
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
    margin[margin == 0] = 0.1 * np.abs(low[margin == 0]) + 1e-9
    limits = np.array([low - margin, high + margin])
    limits[:, logarithmic] = 10 ** limits[:, logarithmic]
    panel.set(xscale="log" if logarithmic[0] else "linear", xlim=limits[:, 0])
    panel.set(yscale="log" if logarithmic[1] else "linear", ylim=limits[:, 1])
    for axis, (low, high) in zip((panel.xaxis, panel.yaxis), limits.T, strict=True):
        if axis.get_scale() == "log":
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(LogLocator(subs=[2.0, 5.0] if high < 100 * low else []))
            axis.set_minor_formatter("{x:g}")
            # In line with the others, whose ticks are longer.
            axis.set_tick_params(which="minor", pad=5)
