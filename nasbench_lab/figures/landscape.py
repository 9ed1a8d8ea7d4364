"""Figures of a study of a table; each panel has one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.figures.effects import effects_figure
from nasbench_lab.figures.layout import PALETTE, STYLE, STYLES
from nasbench_lab.figures.panels import (
    BLUE,
    GREY,
    PANEL,
    RED,
    column_label,
    column_name,
    draw_density,
    label_logarithmic,
    leave_room,
    number,
    panels_of,
    unit_of_differences,
    widened,
    write_heading,
)
from nasbench_lab.landscape.analysis import Analysis, bulk
from nasbench_lab.landscape.landscape import ROUNDING
from nasbench_lab.landscape.reliability import half_way
from nasbench_lab.tables.columns import Column
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COSTS = 2
"""The number of costs in the figure of the distribution."""


def analysis_figures(analysis: Analysis, *, title: bool = True) -> dict[str, Figure]:
    """The figures of a study by name, without those that do not apply.

    Args:
        analysis: The study.
        title: Whether figures and their panels have titles.
    """
    from matplotlib import rc_context

    makers: dict[str, Callable[[Analysis], Figure]] = {"distribution": distribution_figure}
    if analysis.noise is not None:
        makers["noise"] = noise_figure
    if analysis.fidelity is not None:
        makers["fidelity"] = fidelity_figure
    makers["marginal_effects"] = effects_figure
    if analysis.local_optima is not None:
        makers["landscape"] = landscape_figure
    with rc_context(STYLE):
        made = {name: make(analysis) for name, make in makers.items()}
    for figure in [] if title else made.values():
        figure.suptitle("")
        for panel in figure.axes:
            panel.set_title("", loc="left")
    return made


def distribution_figure(analysis: Analysis) -> Figure:
    """The distribution of the values, the rarity of good ones, and their costs."""
    landscape, table = analysis.landscape, analysis.landscape.table
    columns = [landscape.column]
    if analysis.report != landscape.column and analysis.report.unit == landscape.column.unit:
        columns.append(analysis.report)
    shown = {column.name for column in (landscape.column, analysis.report)}
    costs = [
        name
        for name in analysis.distribution["column"]
        if name not in shown
        and not np.isnan(landscape.values + table.values(name)[landscape.rows]).all()
    ][:_COSTS]
    figure, panels = panels_of(analysis, 2 + len(costs))
    names = [column_name(column) for column in columns]
    if len(set(names)) < len(names):
        names = [column.name for column in columns]
    _histogram(panels[0], analysis, dict(zip(names, columns, strict=True)))
    _rarity(panels[1], analysis, dict(zip(names, columns, strict=True)))
    for panel, name in zip(panels[2:], costs, strict=True):
        _cost(panel, analysis, table.column(name))
    return figure


def _histogram(panel: Axes, analysis: Analysis, columns: dict[str, Column]) -> None:
    landscape = analysis.landscape
    many = [landscape.table.values(column.name)[landscape.rows] for column in columns.values()]
    many = [values[~np.isnan(values)] for values in many]
    ends = np.array([bulk(values) for values in many])
    low, high = ends[:, 0].min(), ends[:, 1].max()
    bins = np.linspace(low, high if high > low else low + 1, 51).tolist()
    for values, name, colour in zip(many, columns, PALETTE, strict=False):
        weights = np.full(len(values), 100 / len(values))
        panel.hist(values, bins, weights=weights, color=colour, alpha=0.3)
        panel.hist(values, bins, weights=weights, color=colour, histtype="step", label=name)
    for outside, place, side, text in (
        ((many[0] < low).mean(), 0.02, "left", "← {:.2g} % are below"),
        ((many[0] > high).mean(), 0.98, "right", "{:.2g} % are above →"),
    ):
        if outside:
            words = text.format(100 * outside)
            where: dict[str, Any] = {
                "transform": panel.transAxes,
                "ha": side,
                "color": "0.35",
                "fontsize": 7,
            }
            panel.text(place, 0.3, words, **where)
    first = analysis.landscape.column
    same = len(columns) > 1 and len({column.quantity for column in columns.values()}) == 1
    panel.set_xlabel(
        f"{first.quantity.replace('_', ' ')} ({first.unit})" if same else column_label(first)
    )
    panel.set_ylabel("architectures (%)")
    line = analysis.distribution.iloc[0]
    quartiles = [number(line[key], first).removesuffix(f" {first.unit}") for key in ("q25", "q75")]
    panel.set_title(
        f"Half have {' to '.join(quartiles)}, the best {number(line['best'], first)}", loc="left"
    )
    if len(columns) > 1:
        panel.legend(frameon=False, loc="upper left" if first.maximize else "upper right")


def _rarity(panel: Axes, analysis: Analysis, columns: dict[str, Column]) -> None:
    landscape, first = analysis.landscape, analysis.landscape.column
    for (name, column), colour, style in zip(columns.items(), PALETTE, STYLES, strict=False):
        values = landscape.table.values(column.name)[landscape.rows]
        values, best = values[~np.isnan(values)], landscape.table.optimum(column.name)
        regret = np.abs(values - best)
        # A regret that is only a rounding error is 0, which logarithmic axes cannot show.
        regret[regret <= ROUNDING * np.maximum(np.abs(values), abs(best))] = 0.0
        regret = np.sort(regret)
        share = 100 * np.arange(1, len(regret) + 1) / len(regret)
        shown = regret > 0
        panel.step(
            regret[shown], share[shown], color=colour, linestyle=style, where="post", label=name
        )
    # If all values are equal, the axes stay linear, as there is nothing to show.
    if any(np.size(line.get_xdata()) for line in panel.get_lines()):
        panel.set_xscale("log")
        panel.set_yscale("log")
        label_logarithmic(panel.xaxis)
        label_logarithmic(panel.yaxis)
    panel.set_xlabel(f"distance from the best ({unit_of_differences(first)})")
    panel.set_ylabel("architectures this near (%)")
    line = analysis.distribution.iloc[0]
    points = "point" if first.unit == "%" else first.unit
    panel.set_title(
        f"{100 * line['near_share']:.3g} % are within {line['near']:.3g} {points} of the best",
        loc="left",
    )
    if len(columns) > 1:
        panel.legend(frameon=False, loc="lower right")


def _cost(panel: Axes, analysis: Analysis, cost: Column) -> None:
    landscape = analysis.landscape
    x, y = landscape.table.values(cost.name)[landscape.rows], landscape.values
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    # The front has the architectures that are better than all cheaper ones.
    sign = 1.0 if landscape.column.maximize else -1.0
    order = np.lexsort((-sign * y, x))
    front = order[np.append(True, np.diff(np.maximum.accumulate(sign * y[order])) > 0)]
    (low, high), (left, right) = bulk(y), bulk(x)
    inside = (y >= low) & (y <= high) & (x >= left) & (x <= right)
    draw_density(panel, x[inside], y[inside])
    panel.step(x[front], y[front], color=RED, linewidth=0.9, where="post")
    panel.plot(x[front], y[front], "o", color=RED, ms=2.5, label="best for its cost")
    panel.set_xlim(widened(left, right))
    panel.set_ylim(widened(low, high))
    leave_room(panel, landscape.column)
    panel.set_xlabel(column_label(cost))
    panel.set_ylabel(column_label(landscape.column))
    name = column_name(cost)
    panel.set_title(
        f"{name[0].upper()}{name[1:]}: {number(x[front[-1]], cost)} at the best", loc="left"
    )
    panel.plot([], [], "h", color=BLUE, ms=5, label="architectures, darker for more")
    panel.legend(
        loc="lower right" if landscape.column.maximize else "upper left",
        handlelength=1,
        frameon=False,
    )


def noise_figure(analysis: Analysis) -> Figure:
    """How far two trials agree, and how much trials vary at each level."""
    noise, column = analysis.noise, analysis.landscape.column
    assert noise is not None
    figure, (left, right) = panels_of(analysis, 2)
    pair = max(noise.pairs.to_dict(orient="records"), key=lambda pair: pair["rows"])
    trials = np.asarray(analysis.landscape.table.trials(column.name), dtype=np.float64)
    a, b = (trials[:, column.trials.index(pair[key])] for key in ("trial_a", "trial_b"))
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    ends = (min(a.min(), b.min()), max(a.max(), b.max()))
    draw_density(left, a, b)
    left.plot(ends, ends, color=GREY, linewidth=0.8, linestyle="--")
    left.set_xlabel(f"{column_name(column)}, trial {pair['trial_a']} ({column.unit})")
    left.set_ylabel(f"trial {pair['trial_b']} ({column.unit})")
    top = pair["top_spearman"]
    of_top = "" if np.isnan(top) else f", of the top 10 % {top:.3f}"
    left.set_title(f"Spearman's ρ {pair['spearman']:.3f}{of_top}", loc="left")
    right.plot(noise.levels["mean"], noise.levels["within_std"], color=BLUE, marker="o", ms=3.5)
    lowest, highest = noise.levels["within_std"].min(), noise.levels["within_std"].max()
    if highest > 3 * lowest > 0:
        right.set_yscale("log")
        label_logarithmic(right.yaxis)
    else:
        right.set_ylim(0, 1.2 * highest or 1.0)
    right.set_xlabel(f"mean of each tenth of the rows ({column.unit})")
    right.set_ylabel(f"σ of trials ({unit_of_differences(column)})")
    share = 100 * (1 - noise.components.reliability())
    right.set_title(
        "All trials are equal"
        if np.isnan(share)
        else f"{share:.3g} % of the variance of a trial is noise",
        loc="left",
    )
    return figure


def fidelity_figure(analysis: Analysis) -> Figure:
    """How early the final ranking is known."""
    from matplotlib.figure import Figure

    frame = analysis.fidelity
    assert frame is not None
    figure = Figure(figsize=(PANEL[0] + 1.7, PANEL[1] + 0.2), layout="constrained")
    write_heading(figure, analysis)
    panel = figure.subplots()
    names = {
        "spearman": "Spearman's ρ",
        "kendall": "Kendall's τ",
        "overlap_top_10pct": "top 10 % in common",
        "overlap_top_1pct": "top 1 % in common",
    }
    few = len(frame) <= 12
    for (name, text), colour, style in zip(names.items(), PALETTE, STYLES, strict=False):
        panel.plot(
            frame["epoch"],
            frame[name],
            color=colour,
            linestyle=style,
            label=text,
            marker="o" if few else None,
            markersize=3.5,
        )
    half = half_way(frame)
    panel.set_title(
        f"After {counted(int(half['epoch']), 'epoch')}, ρ is {half['spearman']:.2f}", loc="left"
    )
    lowest = float(frame[list(names)].min().min())
    panel.set_ylim(min(0.0, lowest) if lowest == lowest else 0.0, 1.02)
    panel.set_xlabel("epoch")
    panel.set_ylabel("agreement with the last epoch")
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3)
    return figure


def landscape_figure(analysis: Analysis) -> Figure:
    """Values by distance from the best, ruggedness of the space, and ends of ascents."""
    has_distances = analysis.fitness_distance is not None
    figure, panels = panels_of(analysis, 3 if has_distances else 2)
    if analysis.landscape.caveat:
        write_heading(figure, analysis, f"; {analysis.landscape.caveat}")
    if has_distances:
        _fitness_distance(panels[0], analysis)
    _autocorrelation(panels[-2], analysis)
    _local_optima(panels[-1], analysis)
    return figure


def _fitness_distance(panel: Axes, analysis: Analysis) -> None:
    study, column = analysis.fitness_distance, analysis.landscape.column
    assert study is not None
    boxes: list[dict[str, Any]] = []
    frame = study.to_frame()
    for distance in frame["distance"]:
        values = study.values[study.distances == distance]
        low, q25, median, q75, high = np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9])
        boxes.append({"whislo": low, "q1": q25, "med": median, "q3": q75, "whishi": high})
    panel.bxp(
        boxes,
        positions=frame["distance"],
        widths=0.55,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#CCE3F0", "edgecolor": BLUE, "linewidth": 0.8},
        medianprops={"color": BLUE, "linewidth": 1.4},
        whiskerprops={"color": BLUE, "linewidth": 0.8},
        capprops={"color": BLUE, "linewidth": 0.8},
    )
    best = frame["max" if column.maximize else "min"]
    panel.plot(frame["distance"], best, color=RED, marker="o", ms=3, linewidth=0.8, label="best")
    panel.plot([], [], "s", color=BLUE, mfc="#CCE3F0", ms=6, label="quartiles, 10 and 90 %")
    leave_room(panel, column)
    panel.legend(frameon=False, loc="lower left" if column.maximize else "upper left")
    panel.grid(False, axis="x")
    panel.set_xlabel("moves from the global optimum")
    panel.set_ylabel(column_label(column))
    correlation = f"{study.correlation:.2f}".replace("-", "−").replace("nan", "unknown")
    panel.set_title(f"Fitness–distance correlation {correlation}", loc="left")


def _autocorrelation(panel: Axes, analysis: Analysis) -> None:
    walks = analysis.autocorrelation
    assert walks is not None
    lags = np.arange(len(walks.values))
    panel.plot(lags, walks.values, color=BLUE, marker="o", ms=3.5, linestyle="", label="measured")
    if np.isfinite(walks.length) and walks.length > 0:
        fine = np.linspace(0, lags[-1], 200)
        text = f"exp(−s / {walks.length:.2f})"
        panel.plot(fine, np.exp(-fine / walks.length), color=GREY, linewidth=1.0, label=text)
        panel.legend(frameon=False)
    panel.set_ylim(min(-0.05, float(np.nan_to_num(walks.values).min()) - 0.05), 1.05)
    panel.set_xlabel("moves of a random walk, s")
    panel.set_ylabel("autocorrelation")
    length = "unknown" if np.isnan(walks.length) else f"{walks.length:.2g} moves"
    panel.set_title(f"Correlation length {length}", loc="left")


def _local_optima(panel: Axes, analysis: Analysis) -> None:
    from matplotlib.ticker import MaxNLocator

    optima, column = analysis.local_optima, analysis.landscape.column
    assert optima is not None
    best = analysis.landscape.fitness[optima.rows] == analysis.landscape.fitness.max()
    share = 100 * optima.basins / optima.basins.sum()
    for kind, colour, text in ((~best, BLUE, "local optimum"), (best, RED, "global optimum")):
        panel.scatter(optima.values[kind], share[kind], 14, color=colour, alpha=0.75, linewidths=0)
        if kind.any():
            panel.scatter([], [], 14, color=colour, label=text)
    if share.max() > 3 * share.min():
        panel.set_yscale("log")
        label_logarithmic(panel.yaxis)
    else:
        panel.set_ylim(0, 1.2 * share.max())
    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.set_xlabel(column_label(column))
    panel.set_ylabel("ascents that end there (%)")
    panel.set_title(
        f"{share[best].sum():.3g} % of ascents find the best of {len(best):,} "
        f"{'optimum' if len(best) == 1 else 'optima'}{'' if optima.complete else ' seen'}",
        loc="left",
    )
    panel.legend(frameon=False, handlelength=1)
