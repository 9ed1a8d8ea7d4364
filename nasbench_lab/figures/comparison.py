"""Figures that compare algorithms: by rank, by target, at the end of the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.errors import ExperimentError
from nasbench_lab.figures.layout import (
    DEFAULT,
    WIDTHS,
    Look,
    axis_label,
    draw_curves,
    label_panel,
    name_curves,
    panel_grid,
    plain,
    plain_if_few,
    scale_axis,
    shown_as,
    styled,
    text_width,
    wrapped,
)
from nasbench_lab.figures.runs import described, drawn_tables, runs_in_words
from nasbench_lab.landscape.landscape import ROUNDING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasbench_lab.results.result import Result

_LINE = 0.13
"""Inches between lines of small text."""


def rank_data(
    result: Result, metric: str = "test_regret", axis: stats.Axis | None = None
) -> pd.DataFrame:
    """The data of ``rank_figure``: ``stats.rank_frame`` with the metric and the axis."""
    frame = stats.rank_frame(result, metric, axis)
    return described(frame, metric=metric, axis=axis or result.axis)


def rank_figure(
    result: Result,
    metric: str = "test_regret",
    axis: stats.Axis | None = None,
    *,
    width: float | None = None,
    data: pd.DataFrame | None = None,
    look: Look = DEFAULT,
) -> Figure:
    """The average rank of each algorithm over the course of the search.

    Args:
        result: The runs.
        metric: One of ``nasbench_lab.stats.METRICS``, by which algorithms are ranked.
        axis: ``evaluations``, ``epochs`` or ``seconds``; that of the budget if None.
        width: Width in inches, such as ``figures.WIDTHS["column"]``; for the screen if None.
        data: The result of ``rank_data`` for the same arguments, if it is at hand.
        look: Titles, colours, limits and scale.

    Returns:
        A figure with one panel per benchmark, and one over all if there are several.

    Raises:
        ExperimentError: No seed was finished by all algorithms.
        UnknownNameError: An unknown metric or axis.
        BudgetError: Epochs or seconds, where a benchmark has none.
    """
    drawn_tables(result)
    data = rank_data(result, metric, axis) if data is None else data
    if not len(data):
        raise ExperimentError(
            "There is no seed that all algorithms have finished, so they cannot be ranked."
        )
    mean = shown_as("mean and 95 % bootstrap interval", len(result.algorithms))
    said = f"rank by {_words(metric)}, {mean}"
    lines = data.rename(columns={"rank": "centre"})
    along = axis or result.axis
    return _curves(result, lines, along, width, said, "mean rank", look, best_is_low=True)


def ecdf_data(
    result: Result, metric: str = "valid_regret", axis: stats.Axis | None = None
) -> pd.DataFrame:
    """The data of ``ecdf_figure``: ``stats.ecdf_frame`` with the metric and the axis."""
    frame = stats.ecdf_frame(result, metric, axis)
    return described(frame, metric=metric, axis=axis or result.axis)


def ecdf_figure(
    result: Result,
    metric: str = "valid_regret",
    axis: stats.Axis | None = None,
    *,
    width: float | None = None,
    data: pd.DataFrame | None = None,
    look: Look = DEFAULT,
) -> Figure:
    """The share of runs and targets that had been reached, over the course of the search.

    These are run-time distributions as in COCO (Hansen et al. 2021). ``stats.default_targets``
    defines the targets.

    Args:
        result: The runs.
        metric: One of ``nasbench_lab.stats.METRICS``, in which the targets are.
        axis: ``evaluations``, ``epochs`` or ``seconds``; that of the budget if None.
        width: Width in inches, such as ``figures.WIDTHS["column"]``; for the screen if None.
        data: The result of ``ecdf_data`` for the same arguments, if it is at hand.
        look: Titles, colours, limits and scale.

    Returns:
        A figure with one panel per benchmark, and one over all if there are several.

    Raises:
        ExperimentError: There are no finished runs.
        UnknownNameError: An unknown metric or axis.
        BudgetError: Epochs or seconds, where a benchmark has none.
    """
    drawn_tables(result)
    data = ecdf_data(result, metric, axis) if data is None else data
    if not len(data):
        raise ExperimentError("No run had an incumbent, so no target was reached.")
    lines = data.rename(columns={"share": "centre"})
    said = f"run times to targets of {_words(metric)}"
    along = axis or result.axis
    return _curves(result, lines, along, width, said, "share of runs and targets", look)


def _curves(
    result: Result,
    lines: pd.DataFrame,
    axis: str,
    width: float | None,
    said: str,
    label: str,
    look: Look,
    *,
    best_is_low: bool = False,
) -> Figure:
    """A figure with a panel of curves for each benchmark of a frame."""
    names = [n for n in (*result.benchmarks, stats.ALL) if (lines["benchmark"] == n).any()]
    with styled():
        figure, panels, size = panel_grid(len(names), width)
        for panel, name in zip(panels, names, strict=True):
            of_table = lines[lines["benchmark"] == name]
            draw_curves(panel, of_table, result.algorithms, False, look)
            short = "mean over tables" if name == stats.ALL else name
            title, along = f"{short}{_seeds(result, of_table)}, {said}", "share of the budget"
            if name != stats.ALL:
                scale_axis(panel, axis)
                clock = result.experiment.benchmark(name).clock
                title, along = f"{title}, {result.setting(name)}", axis_label(axis, panel, clock)
            label_panel(panel, size, look.heading(title, short, len(names)), along, label)
            if best_is_low:
                panel.invert_yaxis()
            elif look.limits is None and not look.log:
                panel.set(ylim=(-0.02, 1.02), yticks=(0.0, 0.25, 0.5, 0.75, 1.0))
        name_curves(figure, panels, result.algorithms, size)
    return figure


def _seeds(result: Result, lines: pd.DataFrame) -> str:
    """The number of seeds of a rank frame, if it is not that of the experiment."""
    every = len(result.experiment.seeds)
    count = int(lines["seeds"].iloc[0]) if "seeds" in lines else every
    return f", {count} of {every} seeds" if count < every else ""


def final_data(result: Result, metric: str = "test_regret") -> pd.DataFrame:
    """The data of ``final_figure``: ``stats.final_frame`` with the metric."""
    return described(stats.final_frame(result, metric), metric=metric)


def final_figure(
    result: Result,
    metric: str = "test_regret",
    *,
    width: float | None = None,
    data: pd.DataFrame | None = None,
    look: Look = DEFAULT,
) -> Figure:
    """The final values of the runs: a dot per run, the median, and the quartiles.

    Args:
        result: The runs.
        metric: One of ``nasbench_lab.stats.METRICS``.
        width: Width in inches, such as ``figures.WIDTHS["column"]``; for the screen if None.
        data: The result of ``final_data`` for the same arguments, if it is at hand.
        look: Titles, colours, limits and scale.

    Returns:
        A figure with one panel per benchmark and a line per algorithm. Runs that found nothing have
        no dot, and count in median and quartiles as worse than all others.

    Raises:
        ExperimentError: There are no finished runs.
        UnknownNameError: An unknown metric.
    """
    names = drawn_tables(result)
    data = final_data(result, metric) if data is None else data
    drawn = look.lines(result.algorithms)
    with styled():
        labels = [wrapped(a, 1.3) for a in result.algorithms]
        # Inches that the labels take from the panels, and the height of an algorithm's line.
        room = max(text_width(line) for label in labels for line in label.split("\n")) - 0.2
        row = 0.09 + 0.12 * max(1 + label.count("\n") for label in labels)
        figure, panels, size = panel_grid(len(names), width, height=0.95 + row * len(labels))
        across = round(figure.get_figwidth() / size[0])
        for j, (panel, name) in enumerate(zip(panels, names, strict=True)):
            ends = data[(data["benchmark"] == name) & data["value"].notna()]
            every = ends["value"].to_numpy()
            every = every[np.isfinite(every)]
            for i, algorithm in enumerate(result.algorithms):
                values = ends["value"][ends["algorithm"] == algorithm].to_numpy()
                _draw_runs(panel, values, every, i, drawn[i]["color"])
            scale = ""
            if metric.endswith("regret") if look.log is None else look.log:
                scale = _scale_regrets(panel, every, forced=bool(look.log))
            if look.limits is not None:
                if scale and look.limits[0] <= 0:  # a log axis that the limits rule out
                    panel.set_xscale("linear")
                    scale = ""
                panel.set_xlim(look.limits)
            panel.set_yticks(range(len(labels)), labels, parse_math=False)
            # The first panel of a row has the names.
            panel.tick_params(labelleft=j % across == 0)
            panel.set_ylim(len(labels) - 0.4, -0.6)
            panel.grid(visible=False, axis="y")
            said = f"{name}, {runs_in_words(result, name)}, their median and quartiles"
            label_panel(
                panel,
                (size[0] - room, size[1]),
                look.heading(f"{said}, {result.setting(name)}", name, len(names)),
                stats.metric_label(result.benchmark(name), metric) + scale,
                "",
            )
    return figure


def _draw_runs(panel: Axes, values: Any, every: Any, i: int, colour: str) -> None:
    """Draws the runs of the ``i``-th algorithm on its line.

    Args:
        panel: The panel.
        values: The final value of each run, infinite if it found nothing.
        every: The finite values of all algorithms; quartiles are clipped to their range.
        i: The number of the algorithm.
        colour: The colour of its dots.
    """
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return
    # Multiples of the golden ratio keep neighbours in value apart in height, equally in all pictures.
    heights = i + 0.5 * ((0.618034 * np.arange(len(finite))) % 1.0 - 0.5)
    dots: dict[str, Any] = {"markersize": 2.5, "markeredgewidth": 0, "alpha": 0.55}
    panel.plot(finite, heights, "o", color=colour, label="runs", **dots)
    low, median, high = stats.quantiles(values, (0.25, 0.5, 0.75))
    ends = np.clip([low, high], every.min(), every.max())
    panel.plot(ends, [i, i], color="black", linewidth=1.2, label="quartiles")
    if np.isfinite(median):
        panel.plot([median], [i], "|", color="black", markersize=9, mew=1.6, label="median")


def _scale_regrets(panel: Axes, values: Any, *, forced: bool = False) -> str:
    """Shows values that differ much on a logarithmic axis, which begins at 0 if some are 0.

    Args:
        panel: The panel.
        values: The values.
        forced: Whether the axis is logarithmic even if they do not differ much.

    Returns:
        An addition to the label of the axis.
    """
    # A regret that is only a rounding error is 0.
    positive = values[values > ROUNDING * values.max(initial=0.0)]
    if not len(positive) or (positive.max() < 10 * positive.min() and not forced):
        return ""
    if len(positive) < len(values):
        panel.set_xscale("symlog", linthresh=positive.min(), linscale=0.3)
        panel.set_xlim(left=-0.15 * positive.min())
    else:
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(plain_if_few)
    panel.xaxis.set_major_formatter(plain)
    return ", log scale"


def critical_difference_data(result: Result, metric: str = "test_regret") -> pd.DataFrame:
    """The data of ``critical_difference_figure``.

    Returns:
        A line per algorithm, the best first: ``metric``, ``algorithm``, its mean ``rank``, and
        ``groups`` (numbers of its bars, separated by spaces). The test is in ``tables`` (their
        number), ``of_tables`` (their names, if the result has others), ``friedman_p``, ``alpha``
        and ``critical_difference``.
    """
    import pandas as pd

    test = stats.friedman_of(result, metric)
    ranks = test.ranks.sort_values(kind="stable")
    groups = stats.cliques(ranks, test.critical_difference)
    frame = pd.DataFrame({"algorithm": ranks.index, "rank": ranks.to_numpy()})
    frame["groups"] = [
        " ".join(str(i + 1) for i, group in enumerate(groups) if name in group)
        for name in frame["algorithm"]
    ]
    left_out = set(result.benchmarks) - set(test.tables)
    frame["tables"], frame["of_tables"] = test.n, ", ".join(test.tables) if left_out else ""
    frame["friedman_p"], frame["alpha"] = test.p, test.alpha
    frame["critical_difference"] = test.critical_difference
    return described(frame, metric=metric)


def critical_difference_figure(
    result: Result,
    metric: str = "test_regret",
    *,
    width: float | None = None,
    data: pd.DataFrame | None = None,
    look: Look = DEFAULT,
) -> Figure:
    """The critical-difference diagram of Demšar (2006, section 3.2.4), the best rank on the left.

    Bars join algorithms whose mean ranks over the tables differ by less than the critical
    difference of Nemenyi's test. Names stand below the axis, which has the full width: in the diagram
    of scikit-posthocs, long names leave no room for the ranks in a column of a paper.

    Args:
        result: The runs.
        metric: One of ``nasbench_lab.stats.METRICS``; its mean ranks the algorithms.
        width: Width in inches, such as ``figures.WIDTHS["column"]``; for the screen if None.
        data: The result of ``critical_difference_data`` for the same arguments, if it is at hand.
        look: Whether there is a title, and which algorithms are highlighted.

    Raises:
        QueryError: There are fewer than 2 benchmarks or 3 algorithms.
        UnknownNameError: An unknown metric.
    """
    from matplotlib.figure import Figure

    data = critical_difference_data(result, metric) if data is None else data
    inches = width or WIDTHS["page"]
    title = look.heading(wrapped(_tested(data, metric), inches - 0.2), "", 1)
    colours = ["black"] * len(data)
    if look.highlight:
        lines = dict(zip(result.algorithms, look.lines(result.algorithms), strict=True))
        for i, name in enumerate(data["algorithm"]):
            if name in look.highlight:
                colours[i] = lines[name]["color"]
    ranks, critical = data["rank"].to_numpy(), data["critical_difference"].iloc[0]
    k, groups = len(ranks), _groups(data)
    # Inches between the lines of two algorithms' names.
    gap = min(0.06, 0.25 * inches / (k - 1))
    labels = [
        wrapped(f"{name} {rank:.2f}", (inches - gap * (k - 1)) / 2 - 0.25)
        for name, rank in zip(data["algorithm"], ranks, strict=True)
    ]
    # The better half is on the left, best at the top; the rest on the right, worst at the top.
    half = (k + 1) // 2
    sides = labels[:half], labels[: half - 1 : -1]
    left, right = (
        0.2 + max(text_width(line) for text in side for line in text.split("\n")) for side in sides
    )
    # Inches of title, CD, axis, bars and names, from the top.
    bar = 0.35 + (_LINE * _lines(title) if title else 0.0)
    axis = bar + 0.35
    bent = axis + 0.13 + 0.08 * len(groups)
    names = bent + 0.3
    height = names + 0.1 + max(sum(0.05 + _LINE * _lines(text) for text in side) for side in sides)

    def place(rank: float) -> float:
        """Inches from the left."""
        return 0.2 + (rank - 1) / (k - 1) * (inches - 0.4)

    with styled():
        figure = Figure(figsize=(inches, height))
        panel = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, inches), ylim=(height, 0))
        panel.axis("off")
        panel.text(0.1, 0.1, title, va="top", fontsize=7)
        _draw_rank_axis(panel, place, axis, k)
        longer = critical > k - 1
        ends = place(1.0), place(min(1.0 + critical, k))
        panel.plot(ends, (bar, bar), color="black", lw=0.8, label="CD")
        for end, mark in zip(ends, "|>" if longer else "||", strict=True):
            panel.plot([end], [bar], mark, color="black", ms=5 if mark == "|" else 3, mew=0.8)
        said = "CD, longer than the axis" if longer else "CD"
        beside = max(sum(ends) / 2, 0.1 + text_width(said) / 2)
        panel.text(beside, bar - 0.05, said, ha="center", va="bottom", fontsize=7)
        for i, group in enumerate(groups):
            y = axis + 0.1 + 0.08 * i
            ends = place(ranks[group[0]]) - 0.03, place(ranks[group[-1]]) + 0.03
            panel.plot(ends, (y, y), color="black", lw=2.4, solid_capstyle="butt", label="group")
        places = [place(rank) for rank in ranks]
        rails = _rails(places, left + 0.05, inches - right - 0.05, gap)
        for order, x, away, aligned in (
            (range(half), left, -0.04, "right"),
            (range(k - 1, half - 1, -1), inches - right, 0.04, "left"),
        ):
            y = names
            for i in order:
                y += 0.05 + _LINE * _lines(labels[i])
                middle = y - _LINE * _lines(labels[i]) / 2
                across, down = (x, *[rails[i]] * 2, *[places[i]] * 2), (middle,) * 2
                panel.plot(
                    across,
                    (*down, names, bent, axis),
                    lw=0.7,
                    label="algorithm",
                    c="0.35" if colours[i] == "black" else colours[i],
                )
                shown: dict[str, Any] = {"ha": aligned, "va": "center", "fontsize": 7}
                panel.text(x + away, middle, labels[i], color=colours[i], **shown)
    return figure


def _rails(places: Sequence[float], left: float, right: float, gap: float) -> list[float]:
    """The places between left and right of the lines that lead down, at least a gap apart."""
    rails: list[float] = []
    for i, place in enumerate(places):
        least = rails[-1] + gap if rails else left
        rails.append(min(max(place, least), right - gap * (len(places) - 1 - i)))
    return rails


def _tested(data: pd.DataFrame, metric: str) -> str:
    """The test and its result in words."""
    first = data.iloc[0]
    differ = "" if first["friedman_p"] < first["alpha"] else ": no difference was found"
    named = f" ({first['of_tables']}; not all algorithms have runs on others)"
    return (
        f"Mean rank by {_words(metric)} over {first['tables']} tables"
        f"{named if first['of_tables'] else ''}. Friedman test: p = "
        f"{first['friedman_p']:.2g}{differ}. Bars: not told apart by Nemenyi's test at "
        f"{first['alpha']:g}, critical difference (CD) {first['critical_difference']:.2f}."
    )


def _lines(text: str) -> int:
    return 1 + text.count("\n")


def _draw_rank_axis(panel: Axes, place: Callable[[float], float], y: float, k: int) -> None:
    """Draws the axis of ranks from 1 to ``k`` with its numbers above."""
    panel.plot((place(1), place(k)), (y, y), color="black", lw=0.8, label="axis")
    # A number takes up to 0.2 inches.
    every = math.ceil(0.2 / (place(2) - place(1)))
    for rank in range(1, k + 1):
        panel.plot((place(rank),) * 2, (y - 0.05, y), color="black", lw=0.8, label="tick")
        if (rank - 1) % every == 0:
            panel.text(place(rank), y - 0.07, str(rank), ha="center", va="bottom", fontsize=7)


def _groups(data: pd.DataFrame) -> list[list[int]]:
    """The lines of the algorithms under each bar, from ``critical_difference_data``."""
    members: dict[int, list[int]] = {}
    for line, numbers in enumerate(data["groups"]):
        for number in numbers.split():
            members.setdefault(int(number), []).append(line)
    return [members[number] for number in sorted(members)]


def _words(metric: str) -> str:
    return metric.replace("_", " ").replace("valid", "validation")
