"""Figures of the schedule of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab import stats
from nasbench_lab.clock import REAL, counts_seconds
from nasbench_lab.errors import ExperimentError
from nasbench_lab.figures.layout import DEFAULT, PALETTE, Look, legend_above, styled, wrapped
from nasbench_lab.tables.columns import ranges
from nasbench_lab.trace import STATUSES, Trace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from nasbench_lab.results.result import Result

Floats = NDArray[np.float64]
Bars = dict[str, NDArray[Any]]
"""The columns of a run's data."""

_COLUMNS = ("worker", "trial", "since", "epoch", "start", "end", "status")

_RECTANGLE = ((0, 0.0), (1, 0.0), (1, 1.0), (0, 1.0))
# A path along both diagonals and back.
_CROSSED = (*_RECTANGLE, (1, 0.0), (0, 1.0), (0, 0.0), (1, 1.0))
_BARS: dict[str, tuple[str, tuple[tuple[int, float], ...], dict[str, Any]]] = {
    "done": ("done", _RECTANGLE, {}),
    "stopped": ("stopped early", ((0, 0.0), (1, 0.0), (1, 0.5), (0, 0.5)), {}),
    "derived": (
        "own work",
        ((0, 0.3), (1, 0.3), (1, 0.7), (0, 0.7)),
        {"facecolor": "0.75"},
    ),
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
"""Kinds of bars: their names in the legend, their corners, and their special looks.

Corners go from the start (0) to the end (1), and from the bottom (0) to the top (1). Shapes differ, so
bars can be told apart without colours, and if they are narrow.
"""

_BUDGET_END = "end of the budget"

_HEIGHT = 0.7
"""The height of a bar; lines of workers are 1 apart."""

_FEW = 200
"""The most bars of a panel with outlines and numbers."""

_MANY = 2000
"""With more bars, a panel is made of pixels in every format."""

_LINE = 0.3
"""Inches for each of up to ``_LINES`` workers; more workers get less each, and no numbers."""

_LINES = 12


def schedule_data(result: Result, seed: int | None = None) -> pd.DataFrame:
    """The data of ``schedule_figure``, with its arguments.

    Returns:
        A line per evaluation, and per own work of an algorithm: ``benchmark``, ``algorithm``,
        ``seed``, ``worker``, ``trial``, ``since`` (the epoch at which it began), ``epoch``, ``start``,
        ``end``, and ``status``, one of ``nasbench_lab.trace.STATUSES``.
    """
    import pandas as pd

    seed, traces = _runs_of(result, seed)
    frames = []
    for (name, algorithm), trace in traces.items():
        parts = [trace] if trace.cut_off is None else [trace, trace.cut_off]
        for part in parts:
            columns: dict[str, Any] = {"benchmark": name, "algorithm": algorithm, "seed": seed}
            columns |= {column: getattr(part, column) for column in _COLUMNS}
            columns["status"] = np.array(STATUSES)[part.status]
            frames.append(pd.DataFrame(columns)[~part.known])  # which no worker did
    return pd.concat(frames, ignore_index=True)


def schedule_figure(
    result: Result,
    seed: int | None = None,
    *,
    width: float | None = None,
    data: pd.DataFrame | None = None,
    look: Look = DEFAULT,
) -> Figure:
    """The schedule of the workers in one run of each algorithm.

    A bar is an evaluation, or work of the algorithm itself. If evaluations of a benchmark trained to
    different epochs, their colours show the epoch.

    Args:
        result: The runs.
        seed: The seed of the runs; by default the first.
        width: Width in inches, such as ``figures.WIDTHS["column"]``; for the screen if None.
        data: The result of ``schedule_data`` for the same arguments, if it is at hand.
        look: Whether there are titles; the rest does not apply.

    Returns:
        A figure with a panel per algorithm, one above the other, for each benchmark; benchmarks are
        side by side where there is room. Panels of a benchmark have one axis of time.

    Raises:
        ExperimentError: There are no finished runs, or none of the seed.
    """
    from matplotlib.figure import Figure

    seed, traces = _runs_of(result, seed)
    data = schedule_data(result, seed) if data is None else data
    names = [n for n in result.benchmarks if any(n == name for name, _ in traces)]
    algorithms = [a for a in result.algorithms if any(a == algorithm for _, algorithm in traces)]
    workers = result.experiment.workers.count
    if width is None:
        across = len(names)
        inches = 7.0 if across == 1 else 4.4
    else:
        across = max(1, min(len(names), int(width / 3.0)))
        inches = width / across
    down = -(-len(names) // across)
    height = 0.4 + _LINE * min(max(workers, 2), _LINES)
    with styled():
        size = inches * across, (0.8 + height * len(algorithms)) * down
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(down * len(algorithms), across, squeeze=False)
        # A column of panels per benchmark.
        blocks = (
            panels.reshape(down, len(algorithms), across)
            .swapaxes(1, 2)
            .reshape(-1, len(algorithms))
        )
        for panel in blocks[len(names) :].ravel():
            panel.set_visible(False)
        more_lines = 0
        for column, name in zip(blocks, names, strict=False):
            shown: dict[Axes, tuple[Trace, Bars]] = {}
            for panel, algorithm in zip(column, algorithms, strict=True):
                trace = traces.get((name, algorithm))
                panel.set_visible(trace is not None)
                if trace is not None:
                    shown[panel] = trace, _bars(data, name, algorithm)
                    title = f"{algorithm} on {name}, seed {seed}"
                    if len(shown) == 1:
                        title += f", {result.setting(name)}"
                    title = look.heading(title, algorithm, len(traces))
                    title = wrapped(title, inches - 0.6, 8.0)
                    panel.set_title(title, loc="left")
                    more_lines += title.count("\n")
            _draw_schedules(figure, shown, workers, inches - 0.7)
        figure.set_figheight(figure.get_figheight() + 0.15 * more_lines / across)
        _explain_bars(figure)
    return figure


def _runs_of(result: Result, seed: int | None) -> tuple[int, dict[tuple[str, str], Trace]]:
    """The seed that is shown, and its runs by benchmark and algorithm.

    Raises:
        ExperimentError: There are no finished runs, or none of the seed.
    """
    shown = {run.seed for run in result.runs if len(run.trace) or run.trace.cut_off}
    seeds = [s for s in result.experiment.seeds if s in shown]
    if not seeds:
        raise ExperimentError("There are no finished runs to plot.")
    if seed is None:
        seed = seeds[0]
    if seed not in seeds:
        raise ExperimentError(
            f"There are no runs of seed {seed!r} to plot. Seeds: {ranges(seeds)}."
        )
    return seed, {(r.benchmark, r.algorithm): r.trace for r in result.runs if r.seed == seed}


def _draw_schedules(
    figure: Figure, panels: dict[Axes, tuple[Trace, Bars]], workers: int, width: float
) -> None:
    """Draws the runs on a benchmark, in panels of about ``width`` inches."""
    many = [bars for _, bars in panels.values()]
    epochs = np.unique(np.concatenate([bars["epoch"][bars["trial"] >= 0] for bars in many]))
    colours = _epoch_colours(epochs)
    limits = [_budget_end(trace) for trace, _ in panels.values()]
    last = max(
        float(np.where(bars["status"] == "cut off", bars["start"], bars["end"]).max(initial=limit))
        for bars, limit in zip(many, limits, strict=True)
    )
    # A margin shows that evaluations were cut off.
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
    *above, (panel, (trace, _)) = panels.items()
    for other, _ in above:
        other.tick_params(labelbottom=False)
    clock = trace.settings["clock"]
    unit = "seconds" if counts_seconds(clock) else "time (evaluations)"
    panel.set_xlabel(unit if clock == REAL else f"simulated {unit}")
    if colours is not None:
        # Up to six of the epochs, about evenly spaced.
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


def _bars(data: pd.DataFrame, name: str, algorithm: str) -> Bars:
    lines = data[(data["benchmark"] == name) & (data["algorithm"] == algorithm)]
    return {column: lines[column].to_numpy() for column in _COLUMNS}


def _budget_end(trace: Trace) -> float:
    """The end of a budget in seconds; 0 if there is none, or another limit ended the run."""
    limit: float = trace.settings["budget"].get("seconds", 0.0)
    reached = stats.ran_out_of_seconds(trace)
    alone = set(trace.settings["budget"]) <= {"seconds", "phases"}
    return limit if reached or alone else 0.0


def _epoch_colours(epochs: NDArray[np.int64]) -> ScalarMappable | None:
    """Light to dark on a logarithmic scale; None if all epochs are equal or unknown."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm

    if len(epochs) < 2:
        return None
    # The lightest colours are left out, as they are nearly white.
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
        panel: The panel.
        bars: The bars.
        colours: The colours of the epochs.
        scale: Inches of a unit of time.
    """
    from matplotlib.collections import PolyCollection

    n = len(bars["start"])
    # The outline's width in points, at most a tenth of a bar.
    hair = min(0.4, 7.2 * scale * float(np.mean(bars["end"] - bars["start"]))) if n else 0.0
    for kind, (label, corners, look) in _BARS.items():
        continued = bars["since"] > 0
        chosen = continued if kind == "continued" else bars["status"] == kind
        if not chosen.any():
            continue
        columns = {name: column[chosen, None] for name, column in bars.items()}
        along, up = np.array(corners).T
        x = np.where(along > 0, columns["end"], columns["start"])
        y = columns["worker"] + _HEIGHT * (0.5 - up)
        shapes: Any = np.stack([x, y], axis=2)
        drawn: dict[str, Any] = {"edgecolor": "0.2", "linewidth": hair, "rasterized": n > _MANY}
        if "facecolor" not in look:
            drawn["facecolor"] = _fill(columns["epoch"][:, 0], colours)
            if n > _FEW:
                # The bar's own colour replaces the outline, so no white shows between bars.
                drawn |= {"edgecolor": "face", "linewidth": 0.2}
        panel.add_collection(PolyCollection(shapes, label=label, **(drawn | look)), autolim=False)


def _number_bars(
    panel: Axes, bars: Bars, colours: ScalarMappable | None, scale: float, last: float
) -> None:
    """Writes the trials' numbers into the bars that have room for them, up to the time ``last``."""
    end = np.minimum(bars["end"], last)
    # A digit of 7 points is 0.06 inches wide.
    digits = np.char.str_len(bars["trial"].astype(str))
    room = scale * (end - bars["start"]) > 0.06 * (digits + 1)
    room &= bars["trial"] >= 0  # own work has no number
    dark = _fill(np.maximum(bars["epoch"], 1), colours)[:, :3] @ (0.3, 0.59, 0.11) < 0.5
    for i in np.flatnonzero(room):
        status = bars["status"][i]
        # The cross of a failed evaluation needs a background for the number.
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
    """Writes a legend of the kinds of bars in the figure."""
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
    legend_above(figure, handles, handler_map=handlers)
