"""Figures: what people look at first."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab import stats
from nasbench_lab.errors import ExperimentError, UnknownNameError
from nasbench_lab.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasbench_lab.results import Result
    from nasbench_lab.validation import Validation

# Okabe and Ito, "Color universal design", 2008: told apart by all kinds of colour vision. The
# yellow is left out, it cannot be read on white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))

STATISTICS = {"mean": "mean and 95 % bootstrap interval", "median": "median and quartiles"}
"""What a curve and its band can be."""

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "0.88",
    "lines.linewidth": 1.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "nasbench-lab",
    "pdf.fonttype": 42,
}


def anytime_figure(
    result: Result,
    metric: str | Sequence[str] = "test_regret",
    axis: stats.Axis = "evaluations",
    *,
    statistic: str = "mean",
) -> Figure:
    """What each algorithm's incumbent is worth, over the course of the search.

    The incumbent is chosen on the objective (validation data); ``test_regret`` and ``test`` show
    what it is worth on the column that results are reported in.

    Args:
        result: The runs.
        metric: One of ``nasbench_lab.stats.METRICS``, or several, for panels side by side.
        axis: ``evaluations``, ``epochs`` or ``seconds`` (simulated).
        statistic: One of ``STATISTICS``.

    Returns:
        A figure with one panel per benchmark and metric.

    Raises:
        UnknownNameError: An unknown metric, axis or statistic.
        BudgetError: Seconds, where a benchmark has no training times.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if statistic not in STATISTICS:
        raise UnknownNameError("statistic", statistic, STATISTICS)
    names = [
        n
        for n in result.benchmarks
        if any(len(t) for a in result.algorithms for t in result.traces(n, a))
    ]
    if not names:
        raise ExperimentError("There are no finished runs to plot.")
    metrics = [metric] if isinstance(metric, str) else list(metric)
    wanted = [(name, one) for name in names for one in metrics]
    columns = min(3, len(names)) if len(metrics) == 1 else len(metrics)
    rows = math.ceil(len(wanted) / columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(0.6 + 4.4 * columns, 0.3 + 2.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel in panels[len(wanted) :]:
            panel.set_visible(False)
        for panel, (name, one) in zip(panels, wanted, strict=False):
            _draw(panel, result, name, one, axis, statistic)
    return figure


def _draw(
    panel: Axes, result: Result, name: str, metric: str, axis: stats.Axis, statistic: str
) -> None:
    benchmark = result.benchmark(name)
    stats.check_axis(benchmark, axis)
    traces = {a: result.traces(name, a) for a in result.algorithms if result.traces(name, a)}
    points = stats.grid([trace for some in traces.values() for trace in some], axis)
    ends: list[tuple[float, str, str]] = []
    lowest, highest = math.inf, -math.inf
    counts: list[tuple[int, int]] = []
    for i, algorithm in enumerate(result.algorithms):
        some = traces.get(algorithm)
        if some is None:
            continue
        samples = stats.curves(some, benchmark, points, metric, axis)
        # Runs that never have an incumbent cannot be averaged; the title says how many are shown.
        samples = samples[~np.isnan(samples[:, -1])]
        counts.append((len(samples), len(some)))
        if not len(samples):
            continue
        centre, low, high = summarise(samples, statistic)
        colour, style = PALETTE[i % len(PALETTE)], STYLES[i % len(STYLES)]
        panel.fill_between(points, low, high, color=colour, alpha=0.18, linewidth=0, step="post")
        panel.step(points, centre, color=colour, linestyle=style, where="post", label=algorithm)
        shown = np.concatenate([centre, low, high])
        shown = shown[np.isfinite(shown) & (shown > 0)]
        if shown.size:
            lowest, highest = min(lowest, shown.min()), max(highest, shown.max())
        if np.isfinite(centre[-1]):
            ends.append((float(centre[-1]), algorithm, colour))
    if metric.endswith("regret") and highest > 3 * lowest:
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(_plain)
        panel.yaxis.set_minor_formatter(plain_if_few)
        panel.set_ylim(lowest * 0.8, highest * 1.2)
        # A curve that reached zero leaves the picture at the bottom; its label stays there.
        ends = [(max(value, lowest), text, colour) for value, text, colour in ends]
    if axis != "seconds" and points[-1] >= 50:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
    if len(points) > 1:
        panel.set_xlim(points[0], points[-1])
    panel.set_title(
        f"{name}, {counted(counts)}, {STATISTICS[statistic]}\n{result.setting(name)}", loc="left"
    )
    panel.set_xlabel("simulated seconds" if axis == "seconds" else axis)
    panel.set_ylabel(stats.metric_label(benchmark, metric))
    _label_ends(panel, ends)


def counted(counts: list[tuple[int, int]]) -> str:
    """How many runs the curves show, of how many."""
    fewest = min(shown for shown, _ in counts)
    most = max(total for _, total in counts)
    if fewest == most:
        return f"{most} runs" if most > 1 else "1 run"
    return f"{fewest} to {most} runs"


def summarise(
    samples: NDArray[np.float64], statistic: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre, lower and upper end of ``(runs, points)`` curves; NaN while one has no incumbent."""
    if statistic == "median":
        low, centre, high = np.quantile(samples, [0.25, 0.5, 0.75], axis=0)
        return centre, low, high
    return samples.mean(axis=0), *stats.bootstrap_interval(samples)


def _plain(value: float, _: float = 0) -> str:
    return f"{value:g}"


def plain_if_few(value: float, _: float = 0) -> str:
    """Labels 2, 3 and 5 between the powers of ten."""
    leading = value / 10 ** math.floor(math.log10(value))
    return f"{value:g}" if round(leading, 6) in (2.0, 3.0, 5.0) else ""


def _label_ends(panel: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Writes each curve's name at its end, moved apart where they would overlap.

    Long names, with hyperparameters, are broken into lines, so that the panel keeps its width.
    """
    if not ends:
        return
    to_axes = panel.transData + panel.transAxes.inverted()
    last = panel.get_xlim()[1]
    ends = sorted(ends)
    ends = [(v, _broken(text), c) for v, text, c in ends]
    heights = [float(to_axes.transform((last, value))[1]) for value, _, _ in ends]
    lines = [1 + text.count("\n") for _, text, _ in ends]
    gaps = [0.035 * (a + b) for a, b in itertools.pairwise(lines)]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gaps[i - 1])
    overflow = max(0.0, heights[-1] - 1.0)
    heights = [height - overflow for height in heights]
    for i in range(len(heights) - 2, -1, -1):
        heights[i] = min(heights[i], heights[i + 1] - gaps[i])
    for height, (value, text, colour) in zip(heights, ends, strict=True):
        panel.annotate(
            text,
            xy=(last, value),
            xycoords="data",
            xytext=(1.04, height),
            textcoords="axes fraction",
            color=colour,
            va="center",
            ha="left",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _broken(label: str) -> str:
    """A label in short lines, broken between name, hyperparameters and words."""
    spaced = label.replace("(", " (", 1)
    lines = textwrap.wrap(spaced, 24, break_on_hyphens=False, break_long_words=False)
    return "\n".join(lines).replace(" (", "(")


def save_figure(
    figure: Figure, stem: Path, formats: tuple[str, ...] = ("png", "svg")
) -> list[Path]:
    """Writes a figure in several formats and returns the files.

    Args:
        figure: The figure.
        stem: The files' path without ending.
        formats: Endings that matplotlib knows.
    """
    from matplotlib import rc_context

    files = []
    for ending in formats:
        file = stem.with_name(f"{stem.name}.{ending}")
        with atomic_file(file) as path, rc_context(STYLE):
            # Without a date, the same result gives the same file.
            metadata = {"Date": None} if ending == "svg" else None
            figure.savefig(path, format=ending, dpi=200, metadata=metadata)
        files.append(file)
    return files


def validation_figure(validation: Validation) -> Figure:
    """The table's trials and the trained ones of each validated architecture.

    Args:
        validation: What came of it.

    Returns:
        A figure with one panel per split: test, which no search saw, first.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    splits = validation.splits
    n = len(validation.entries)
    with rc_context(STYLE):
        figure = Figure(figsize=(0.8 + 3.2 * len(splits), 1.3 + 0.45 * n), layout="constrained")
        panels = figure.subplots(1, len(splits), squeeze=False, sharey=True).ravel()
        labelled: set[str] = set()
        for panel, split in zip(panels, splits, strict=True):
            for i, entry in enumerate(validation.entries):
                for held, offset, colour, mark, label in (
                    (entry.table.get(split), -0.14, PALETTE[0], "o", "table"),
                    (entry.trained.get(split), 0.14, PALETTE[1], "s", "trained"),
                ):
                    if held is None or not len(held):
                        continue
                    place = np.full(len(held), i + offset)
                    shown = label if label not in labelled else None
                    labelled.add(label)
                    panel.plot(
                        held,
                        place,
                        mark,
                        color=colour,
                        markersize=4,
                        mfc="none",
                        mew=0.9,
                        label=shown,
                    )
                    panel.plot([held.mean()], [i + offset], "|", markersize=13, mew=2, color=colour)
            panel.set_xlabel(f"{split} accuracy (%)")
            panel.set_yticks(range(n), [f"architecture {i + 1}" for i in range(n)])
            panel.set_ylim(n - 0.5, -0.5)
            panel.grid(visible=False, axis="y")
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
        figure.supxlabel(
            f"{validation.table}, {validation.epochs} epochs; each mark a seed, bars their means",
            fontsize=7,
        )
    return figure
