"""Figures: what people look at first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_lab import stats, words
from nasbench_lab.csv_files import write_csv
from nasbench_lab.errors import ExperimentError, UnknownNameError
from nasbench_lab.figures.layout import (
    DEFAULT,
    PALETTE,
    PAPER,
    STYLE,
    STYLES,
    WIDTHS,
    Look,
    axis_label,
    draw_curves,
    drawable,
    label_panel,
    name_curves,
    panel_grid,
    scale_axis,
    shown_as,
    styled,
)
from nasbench_lab.files import atomic_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasbench_lab.results.result import Result
    from nasbench_lab.trainer.validation import Validation

__all__ = [
    "PALETTE",
    "PAPER",
    "STYLE",
    "STYLES",
    "WIDTHS",
    "Look",
    "anytime_data",
    "anytime_figure",
    "counted",
    "described",
    "finished",
    "save_figure",
    "validation_figure",
]


def finished(result: Result) -> list[str]:
    """Names of the benchmarks with something to draw.

    Raises:
        ExperimentError: There are none.
    """
    names = [
        n
        for n in result.benchmarks
        if any(len(t) for a in result.algorithms for t in result.traces(n, a))
    ]
    if not names:
        raise ExperimentError("There are no finished runs to plot.")
    return names


def described(frame: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """A frame with columns before its others that say what it is of."""
    for i, (name, value) in enumerate(columns.items()):
        frame.insert(i, name, value)
    return frame


def anytime_data(
    result: Result,
    metric: str | Sequence[str] = "test_regret",
    axis: stats.Axis = "evaluations",
    *,
    statistic: str = "mean",
) -> pd.DataFrame:
    """What ``anytime_figure`` draws: ``stats.curve_frame`` of each metric; arguments as there."""
    import pandas as pd

    if statistic not in stats.STATISTICS:
        raise UnknownNameError("statistic", statistic, stats.STATISTICS)
    frames = []
    for one in [metric] if isinstance(metric, str) else metric:
        frame = stats.curve_frame(result, one, axis, statistic)
        frames.append(described(frame, metric=one, axis=axis))
    return pd.concat(frames, ignore_index=True)


def anytime_figure(
    result: Result,
    metric: str | Sequence[str] = "test_regret",
    axis: stats.Axis = "evaluations",
    *,
    statistic: str = "mean",
    width: float | None = None,
    data: pd.DataFrame | None = None,
    look: Look = DEFAULT,
) -> Figure:
    """What each algorithm's incumbent is worth, over the course of the search.

    The incumbent is chosen on the objective (validation data); ``test_regret`` and ``test`` show
    what it is worth on the column that results are reported in.

    Args:
        result: The runs.
        metric: One of ``nasbench_lab.stats.METRICS``, or several, for panels side by side.
        axis: ``evaluations``, ``epochs`` or ``seconds`` (simulated).
        statistic: One of ``nasbench_lab.stats.STATISTICS``.
        width: Of the figure in inches, such as ``WIDTHS["column"]``; for the screen if None.
        data: What ``anytime_data`` gave for the same arguments, if it is at hand.
        look: Titles, colours, limits and scale.

    Returns:
        A figure with one panel per benchmark and metric. Where a run found nothing there is no mean,
        and a panel shows medians of all runs; see ``stats.curve_frame``.

    Raises:
        UnknownNameError: An unknown metric, axis or statistic, or algorithm to be highlighted.
        FigureError: Too few colours.
        BudgetError: Seconds, where a benchmark has no training times.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    wanted = [(name, one) for name in finished(result) for one in metrics]
    if data is None:
        data = anytime_data(result, metrics, axis, statistic=statistic)
    with styled():
        across = 3 if len(metrics) == 1 else len(metrics)
        figure, panels, size = panel_grid(len(wanted), width, across)
        for panel, (name, one) in zip(panels, wanted, strict=True):
            lines = data[(data["benchmark"] == name) & (data["metric"] == one)]
            draw_curves(panel, lines, result.algorithms, one.endswith("regret"), look)
            scale_axis(panel, axis)
            runs = counted(result, name)
            shown = lines["statistic"].iloc[0] if len(lines) else statistic
            said = shown_as(stats.STATISTICS[shown], len(result.algorithms))
            label_panel(
                panel,
                size,
                look.heading(
                    f"{name}, {runs}, {said}, {result.setting(name)}",
                    name,
                    len(finished(result)),
                ),
                axis_label(axis),
                stats.metric_label(result.benchmark(name), one),
            )
        name_curves(figure, panels, result.algorithms, size)
    return figure


def counted(result: Result, name: str) -> str:
    """How many runs there are on a benchmark, and how many of them found nothing."""
    some = [result.traces(name, a) for a in result.algorithms if result.traces(name, a)]
    sizes = sorted(map(len, some))
    text = words.counted(sizes[-1], "run")
    if sizes[0] < sizes[-1]:
        text = f"{sizes[0]} to {text}"
    without = [sum(map(stats.found_nothing, traces)) for traces in some]
    if not any(without):
        return text
    few, many = min(without), max(without)
    return f"{text}, {few if few == many else f'{few} to {many}'} of which found nothing"


def save_figure(
    figure: Figure,
    stem: Path,
    formats: Sequence[str] = ("png", "svg"),
    data: pd.DataFrame | None = None,
) -> list[Path]:
    """Writes a figure in several formats and returns the files.

    Args:
        figure: The figure.
        stem: The files' path without ending.
        formats: Endings that matplotlib knows.
        data: What the figure shows, written beside it as CSV.
    """
    from matplotlib import rc_context

    # Without a date, the same result gives the same file.
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    files = []
    for ending in formats:
        file = stem.with_name(f"{stem.name}.{ending}")
        with atomic_file(file) as path, rc_context(STYLE):
            figure.savefig(path, format=ending, dpi=200, metadata=undated.get(ending))
        files.append(file)
    if data is not None:
        files.append(stem.with_name(f"{stem.name}.csv"))
        with atomic_file(files[-1]) as path:
            write_csv(data, path)
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
            f"{drawable(validation.table)}, {words.counted(validation.epochs, 'epoch')}; each mark a "
            f"seed, bars their means",
            fontsize=7,
        )
    return figure
