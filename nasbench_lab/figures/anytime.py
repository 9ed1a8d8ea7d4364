"""Figures of the incumbents over the course of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_lab import stats
from nasbench_lab.errors import UnknownNameError
from nasbench_lab.figures.layout import (
    DEFAULT,
    Look,
    axis_label,
    draw_curves,
    label_panel,
    name_curves,
    panel_grid,
    scale_axis,
    shown_as,
    styled,
)
from nasbench_lab.figures.runs import described, drawn_tables, runs_in_words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results.result import Result


def anytime_data(
    result: Result,
    metric: str | Sequence[str] = "test_regret",
    axis: stats.Axis = "evaluations",
    *,
    statistic: str = "mean",
) -> pd.DataFrame:
    """The data of ``anytime_figure``, with its arguments: ``stats.curve_frame`` of each metric."""
    import pandas as pd

    if statistic not in stats.STATISTICS:
        raise UnknownNameError("statistic", statistic, stats.STATISTICS)
    frames = []
    for name in [metric] if isinstance(metric, str) else metric:
        frame = stats.curve_frame(result, name, axis, statistic)
        frames.append(described(frame, metric=name, axis=axis))
    # Where a metric has no value, such as the test value of what is not trained in full, its frame is
    # empty, and would take the others' numbers for objects.
    return pd.concat([one for one in frames if len(one)] or frames[:1], ignore_index=True)


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
    """The metric of each algorithm's incumbent over the course of the search.

    The objective (validation data) chooses the incumbent; ``test_regret`` and ``test`` show its value
    in the column that results are reported in.

    Args:
        result: The runs.
        metric: One of ``nasbench_lab.stats.METRICS``, or several, for panels side by side.
        axis: ``evaluations``, ``epochs`` or ``seconds`` (simulated).
        statistic: One of ``nasbench_lab.stats.STATISTICS``.
        width: Width in inches, such as ``WIDTHS["column"]``; for the screen if None.
        data: The result of ``anytime_data`` for the same arguments, if it is at hand.
        look: Titles, colours, limits and scale.

    Returns:
        A figure with one panel per benchmark and metric. If a run found nothing, there is no mean, and
        the panel shows medians of all runs; see ``stats.curve_frame``.

    Raises:
        UnknownNameError: An unknown metric, axis or statistic, or algorithm to be highlighted.
        FigureError: Too few colours.
        BudgetError: Seconds, where a benchmark has no training times.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    curves = [(name, curve_metric) for name in drawn_tables(result) for curve_metric in metrics]
    if data is None:
        data = anytime_data(result, metrics, axis, statistic=statistic)
    with styled():
        across = 3 if len(metrics) == 1 else len(metrics)
        figure, panels, size = panel_grid(len(curves), width, across)
        for panel, (name, curve_metric) in zip(panels, curves, strict=True):
            lines = data[(data["benchmark"] == name) & (data["metric"] == curve_metric)]
            draw_curves(panel, lines, result.algorithms, curve_metric.endswith("regret"), look)
            scale_axis(panel, axis)
            runs = runs_in_words(result, name)
            shown = lines["statistic"].iloc[0] if len(lines) else statistic
            said = shown_as(stats.STATISTICS[shown], len(result.algorithms))
            what = _what_is_shown(result.benchmark(name), curve_metric)
            label_panel(
                panel,
                size,
                look.heading(
                    f"{what}\n{name}, {runs}, {said}, {result.setting(name)}",
                    name,
                    len(drawn_tables(result)),
                ),
                axis_label(axis, panel, result.experiment.benchmark(name).clock),
                stats.metric_label(result.benchmark(name), curve_metric),
            )
        name_curves(figure, panels, result.algorithms, size)
    return figure


def _what_is_shown(benchmark: TableBenchmark, metric: str) -> str:
    """The title of a panel: what a search saw, or what the choice that it led to is worth."""
    if metric == "hypervolume":
        return "The front that was found"
    column = benchmark.table.column(stats.metric_query(benchmark, metric))
    splits = {"valid": "validation", "test": "test"}
    words = " ".join(filter(None, (splits.get(column.split or ""), column.quantity)))
    words = words.replace("_", " ")
    if not stats.sees_trials(benchmark):
        what = "What it is worth" if metric.startswith("test") else "What the search saw"
        return f"{what}: {words}"
    if metric.startswith("seen"):
        return f"What the search saw: {words} of one training"
    return f"What it is worth: mean {words} of all trainings"
