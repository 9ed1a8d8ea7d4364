"""Figures of how searches went: what the workers did when, and which Pareto fronts were found."""

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
from nasbench_lab.trace import STATUSES, Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from nasbench_lab.benchmark import Objective, TableBenchmark
    from nasbench_lab.results import Result

Floats = NDArray[np.float64]
Bars = dict[str, NDArray[Any]]
"""Columns of a trace, of what was cut off too."""

_RECTANGLE = ((0, 0.0), (1, 0.0), (1, 1.0), (0, 1.0))
# There and back along both diagonals.
_CROSSED = (*_RECTANGLE, (1, 0.0), (0, 1.0), (0, 0.0), (1, 1.0))
_BARS: dict[str, tuple[str, tuple[tuple[int, float], ...], dict[str, Any]]] = {
    "done": ("done", _RECTANGLE, {}),
    "stopped": ("stopped early", ((0, 0.0), (1, 0.0), (1, 0.5), (0, 0.5)), {}),
    "failed": ("failed", _CROSSED, {"facecolor": "#EFBF99", "edgecolor": PALETTE[1]}),
    "cut off": (
        "cut off",
        _RECTANGLE,
        {"facecolor": "none", "edgecolor": "black", "linestyle": (0, (3, 2)), "linewidth": 0.7},
    ),
    "continued": (
        "continued trial",
        ((0, -0.2), (1, -0.2), (1, 0.0), (0, 0.0)),
        {"facecolor": "black", "linewidth": 0},
    ),
}
"""Kinds of bars: what the legend calls them, their corners, and what is special in how they look.

Corners go from the start (0) to the end (1), and from the bottom (0) to the top (1): shapes are told
apart without colours, and where bars are narrow.
"""

_BUDGET_END = "end of the budget"

_HEIGHT = 0.7
"""Of a bar, where lines of workers are 1 apart."""

_FEW = 200
"""Up to so many bars, a panel has outlines and numbers."""

_MANY = 2000
"""With more bars, a panel is made of pixels in every format."""

_LINE = 0.3
"""Inches for a worker, of up to ``_LINES``; of more there is less for each, and no numbers."""

_LINES = 12

_WIDTH = 7.8
"""Of a figure of Pareto fronts, in inches."""

_MARKERS = "os^DvPX"

_AXES: tuple[stats.Axis, ...] = ("seconds", "epochs", "evaluations")


def schedule_figure(result: Result, seed: int | None = None) -> Figure:
    """What each worker did when, in one run of every algorithm.

    A bar is an evaluation. Where evaluations of a benchmark differ in the epoch that they trained
    to, their colour says which it was.

    Args:
        result: The runs.
        seed: The seed of the runs to show, by default the first.

    Returns:
        A figure with a row of panels per algorithm and a column per benchmark. Panels of a column
        have one axis of time.

    Raises:
        ExperimentError: There are no finished runs, or none of the seed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    known = {run.seed for run in result.runs if len(run.trace) or run.trace.cut_off}
    seeds = [s for s in result.experiment["seeds"] if s in known]
    if not seeds:
        raise ExperimentError("There are no finished runs to plot.")
    if seed is None:
        seed = seeds[0]
    if seed not in seeds:
        raise ExperimentError(
            f"There are no runs of seed {seed!r} to plot. Seeds: {', '.join(map(str, seeds))}."
        )
    traces = {(r.benchmark, r.algorithm): r.trace for r in result.runs if r.seed == seed}
    names = [n for n in result.benchmarks if any(n == name for name, _ in traces)]
    algorithms = [a for a in result.algorithms if any(a == algorithm for _, algorithm in traces)]
    workers = result.experiment["workers"]["count"]
    width = 7.0 if len(names) == 1 else 4.4
    height = 0.4 + _LINE * min(max(workers, 2), _LINES)
    size = width * len(names), 1.1 + height * len(algorithms)
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(algorithms), len(names), squeeze=False, sharex="col")
        for column, name in zip(panels.T, names, strict=True):
            shown = {}
            for panel, algorithm in zip(column, algorithms, strict=True):
                trace = traces.get((name, algorithm))
                panel.set_visible(trace is not None)
                if trace is not None:
                    shown[panel] = trace
                    title = f"{algorithm} on {name}, seed {seed}"
                    if len(shown) == 1:
                        title += f", {result.setting(name)}"
                    panel.set_title(textwrap.fill(title, int(16 * width)), loc="left")
            _draw_schedules(figure, shown, workers, width - 0.7)
        _explain_bars(figure)
    return figure


def _draw_schedules(figure: Figure, panels: dict[Axes, Trace], workers: int, width: float) -> None:
    """Draws the runs on one benchmark, in panels that are about so many inches wide."""
    many = [_bars(trace) for trace in panels.values()]
    epochs = np.unique(np.concatenate([bars["epoch"] for bars in many]))
    colours = _epoch_colours(epochs)
    limits = [_budget_end(trace) for trace in panels.values()]
    cut_off = STATUSES.index("cut off")
    last = max(
        float(np.where(bars["status"] == cut_off, bars["start"], bars["end"]).max(initial=limit))
        for bars, limit in zip(many, limits, strict=True)
    )
    # A little further, for what was cut off.
    right = 1.02 * last or 1.0
    for panel, bars, limit in zip(panels, many, limits, strict=True):
        panel.set_xlim(0, right)
        panel.set_ylim(workers - 0.4, -0.6)
        panel.set_ylabel("worker")
        panel.set_yticks(range(0, workers, -(-workers // _LINES)))
        panel.grid(visible=False)
        _draw_bars(panel, bars, colours, width / right)
        if len(bars["start"]) <= _FEW and workers <= _LINES:
            _number_bars(panel, bars, colours, width / right, limit or right)
        if limit:
            panel.axvline(limit, color="black", linewidth=0.8, label=_BUDGET_END)
    *_, (panel, trace) = panels.items()
    panel.tick_params(labelbottom=True)
    counted = trace.settings["clock"] == "evaluations"
    panel.set_xlabel("simulated time (evaluations)" if counted else "simulated seconds")
    if colours is not None:
        # Up to six of the epochs that occur, about evenly apart.
        near = np.searchsorted(epochs, np.geomspace(epochs[0], epochs[-1], 6).round(6))
        bar = figure.colorbar(
            colours,
            ax=list(panels),
            location="bottom",
            pad=0.1 / figure.get_figheight(),
            aspect=60,
            shrink=0.6,
            label="trained to epoch",
            ticks=epochs[np.unique(near)].tolist(),
            format="{x:g}",
        )
        bar.minorticks_off()
        bar.outline.set_visible(False)


def _bars(trace: Trace) -> Bars:
    parts = [trace] if trace.cut_off is None else [trace, trace.cut_off]
    names = ("trial", "since", "epoch", "start", "end", "worker", "status")
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def _budget_end(trace: Trace) -> float:
    """The end of a budget in seconds; 0 if there is none, or another limit ended the run."""
    limit: float = trace.settings["budget"].get("seconds", 0.0)
    reached = trace.cut_off is not None and bool((trace.cut_off.end > limit).any())
    return limit if reached or len(trace.settings["budget"]) == 1 else 0.0


def _epoch_colours(epochs: NDArray[np.int64]) -> ScalarMappable | None:
    """From light to dark on a logarithmic scale; None where all epochs are the same or unknown."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm

    if len(epochs) < 2:
        return None
    # Without the lightest colours, which are hardly told from white.
    colours = ListedColormap(colormaps["viridis_r"](np.linspace(0.12, 1.0, 256)))
    return ScalarMappable(LogNorm(epochs[0], epochs[-1]), colours)


def _fill(epochs: NDArray[np.int64], colours: ScalarMappable | None) -> Floats:
    """``(n, 4)`` colours of bars."""
    from matplotlib.colors import to_rgba

    if colours is None:
        return np.tile(to_rgba(PALETTE[4]), (len(epochs), 1))
    return np.asarray(colours.to_rgba(epochs))


def _draw_bars(panel: Axes, bars: Bars, colours: ScalarMappable | None, scale: float) -> None:
    """Draws all bars of a panel, a kind at a time.

    Args:
        panel: Where.
        bars: Which.
        colours: Of the epochs.
        scale: Inches for a unit of time.
    """
    from matplotlib.collections import PolyCollection

    n = len(bars["start"])
    # In points, and at most a tenth of a bar.
    hair = min(0.4, 7.2 * scale * float(np.mean(bars["end"] - bars["start"]))) if n else 0.0
    for kind, (label, corners, look) in _BARS.items():
        continued = bars["since"] > 0
        chosen = continued if kind == "continued" else bars["status"] == STATUSES.index(kind)
        if not chosen.any():
            continue
        some = {name: column[chosen, None] for name, column in bars.items()}
        along, up = np.array(corners).T
        x = np.where(along > 0, some["end"], some["start"])
        y = some["worker"] + _HEIGHT * (0.5 - up)
        shapes: Any = np.stack([x, y], axis=2)
        drawn: dict[str, Any] = {"edgecolor": "0.2", "linewidth": hair, "rasterized": n > _MANY}
        if "facecolor" not in look:
            drawn["facecolor"] = _fill(some["epoch"][:, 0], colours)
            if n > _FEW:
                # Instead of an outline, a bit more of its colour: white would shine through where
                # bars touch.
                drawn |= {"edgecolor": "face", "linewidth": 0.2}
        panel.add_collection(PolyCollection(shapes, label=label, **(drawn | look)), autolim=False)


def _number_bars(
    panel: Axes, bars: Bars, colours: ScalarMappable | None, scale: float, last: float
) -> None:
    """Writes the trials' numbers into the bars that have room for them, up to the time ``last``."""
    end = np.minimum(bars["end"], last)
    # A figure of 7 points is 0.06 inches wide.
    figures = np.char.str_len(bars["trial"].astype(str))
    room = scale * (end - bars["start"]) > 0.06 * (figures + 1)
    dark = _fill(bars["epoch"], colours)[:, :3] @ (0.3, 0.59, 0.11) < 0.5
    for i in np.flatnonzero(room):
        status = STATUSES[bars["status"][i]]
        # On the cross of a failed one, the number has a ground of its own.
        ground = {"color": _BARS["failed"][2]["facecolor"], "pad": 0.4}
        panel.text(
            (bars["start"][i] + end[i]) / 2,
            bars["worker"][i] + (_HEIGHT / 4 if status == "stopped" else 0.0),
            str(bars["trial"][i]),
            fontsize=7,
            ha="center",
            va="center_baseline",
            color="white" if dark[i] and status in ("done", "stopped") else "black",
            bbox=ground if status == "failed" else None,
        )


def _explain_bars(figure: Figure) -> None:
    """Writes the legend, of the kinds of bars that occur."""
    from matplotlib.legend_handler import HandlerPatch, HandlerTuple
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Polygon

    def shaped(corners: tuple[tuple[int, float], ...]) -> HandlerPatch:
        def make(xdescent: float, ydescent: float, width: float, height: float, **_: Any) -> Patch:
            return Polygon([(x * width - xdescent, y * height - ydescent) for x, y in corners])

        return HandlerPatch(patch_func=make)

    drawn = [artist for panel in figure.axes for artist in (*panel.collections, *panel.lines)]
    labels = {artist.get_label() for artist in drawn}
    usual: dict[str, Any] = {"facecolor": "0.65", "edgecolor": "0.2", "linewidth": 0.4}
    bar = Patch(**usual)
    handles: dict[str, Any] = {}
    handlers: dict[Any, Any] = {tuple: HandlerTuple(ndivide=1)}
    for kind, (label, corners, look) in _BARS.items():
        if label in labels:
            patch = Patch(**(usual | look))
            handlers[patch] = shaped(corners)
            handles[label] = (bar, patch) if kind == "continued" else patch
    if _BUDGET_END in labels:
        handles[_BUDGET_END] = Line2D([], [], color="black", linewidth=0.8)
    figure.legend(
        list(handles.values()),
        list(handles),
        handler_map=handlers,
        loc="outside upper left",
        ncols=len(handles),
        frameon=False,
    )


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
    held = result.experiment["budget"]
    along = next(one for one in _AXES if one in held) if axis is None else axis
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
    panel.set_xlabel(_label(benchmark.objectives[1]))
    panel.set_ylabel(_label(benchmark.objectives[0]))


def _label(objective: Objective) -> str:
    """An objective as an axis shows it, with its unit."""
    name = objective.name.replace("_", " ").replace("roc auc", "ROC AUC")
    return f"{name} ({objective.unit})" if objective.unit else name


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
