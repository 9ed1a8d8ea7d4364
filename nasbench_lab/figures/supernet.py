"""Figures of supernets: how their ranking of the architectures, and what is derived, change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.figures.layout import DEFAULT, drawable, panel_grid, styled
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHED: dict[str, Any] = {"linestyle": (0, (4, 1.5))}
_RUN: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.35, "label": "_"}
"""The look of a single run beside the mean of several."""


def supernet_figure(epochs: pd.DataFrame, *, title: str = "") -> Figure:
    """The course of one-shot methods: rank correlation, skip connections and regret by epoch.

    Args:
        epochs: A line per algorithm, seed and epoch. ``kendall_test`` and ``spearman_test``, the
            correlations of one-shot accuracies with the table's test accuracies; ``skip_connect``,
            the share of the derived cell's edges that are skips; ``test_regret`` of the derived cell
            in percentage points. NaN where there is no value.
        title: What is written above the panels.

    Returns:
        A figure of three panels. Lines are means over the seeds; where there are several seeds, thin
        lines are those of each.
    """
    from matplotlib.ticker import MaxNLocator

    with styled():
        figure, panels, _ = panel_grid(3, 9.6, height=2.7)
        colours = DEFAULT.lines(list(epochs["algorithm"].unique()))
        for colour, (algorithm, of_one) in zip(
            colours, epochs.groupby("algorithm", sort=False), strict=True
        ):
            look: dict[str, Any] = {"color": colour["color"]}
            label = drawable(str(algorithm))
            _lines(panels[0], of_one, "kendall_test", look | {"label": label})
            _lines(panels[0], of_one, "spearman_test", look | _DASHED, single=False)
            _lines(panels[1], of_one.assign(skips=100 * of_one["skip_connect"]), "skips", look)
            _lines(panels[2], of_one, "test_regret", look)
        panels[0].set_ylabel("rank correlation with the test")
        panels[0].axhline(0, color="0.6", linewidth=0.6, zorder=1)
        low, high = panels[0].get_ylim()
        panels[0].set_ylim(max(-1.0, low), min(1.0, high))
        panels[1].set_ylabel("skips in the derived cell (%)")
        panels[1].set_ylim(-4, 104)
        panels[2].set_ylabel("test regret of that cell (points)")
        positive = epochs["test_regret"][epochs["test_regret"] > 0]
        if len(positive) and positive.max() > 20 * positive.min():
            panels[2].set_yscale("symlog", linthresh=1.0, linscale=0.5)
            panels[2].yaxis.set_major_formatter("{x:g}")
        panels[2].set_ylim(bottom=0)
        for panel in panels:
            panel.set_xlabel("epoch")
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        grey: dict[str, Any] = {"color": "0.35", "linewidth": 1.2}
        panels[0].plot([], [], **grey, label="Kendall's τ")
        panels[0].plot([], [], **grey, **_DASHED, label="Spearman's ρ")
        columns = min(7, len(colours) + 2)
        figure.legend(loc="outside upper center", ncols=columns, frameon=False)
        seeds = epochs["seed"].nunique()
        what = f"mean of {counted(seeds, 'seed')}, thin lines single ones" if seeds > 1 else ""
        below = ", ".join(filter(None, [drawable(title), what]))
        figure.supxlabel(below, fontsize=7, color="0.35")
    return figure


def _lines(
    panel: Axes, of_one: pd.DataFrame, column: str, look: dict[str, Any], *, single: bool = True
) -> None:
    """Draws a column over the epochs: the mean over the seeds, and each of several."""
    runs = of_one.pivot(index="epoch", columns="seed", values=column).dropna(how="all")
    if single and runs.shape[1] > 1:
        for run in runs:
            thin = runs[run].dropna()
            panel.plot(thin.index, thin, **look | _RUN)
    # Runs that have ended early keep their last value in the mean.
    means = runs.ffill().mean(axis=1)
    marker = "o" if len(means) == 1 else ""
    panel.plot(means.index, means, marker=marker, markersize=3, **look)


def ranking_figure(architectures: pd.DataFrame, *, title: str = "") -> Figure:
    """The one-shot accuracy of each architecture beside its test accuracy in the table.

    Args:
        architectures: A line per algorithm and architecture: ``one_shot`` accuracy and ``test``
            accuracy of the table, both in per cent, and ``derived``, whether the architecture is what
            the algorithm recommends.
        title: What is written below the panels.

    Returns:
        A figure with a panel per algorithm. The few architectures that are far worse than the rest
        lie on the edge of a panel.
    """
    from matplotlib.colors import LinearSegmentedColormap

    blues = LinearSegmentedColormap.from_list("blues", ("#CCE3F0", "#0072B2", "#002A42"))
    with styled():
        groups = list(architectures.groupby("algorithm", sort=False))
        figure, panels, _ = panel_grid(len(groups), None, height=2.9)
        for panel, (algorithm, of_one) in zip(panels, groups, strict=True):
            x, y = (of_one[name].to_numpy(float) for name in ("one_shot", "test"))
            floor = np.quantile(y, 0.02), np.quantile(x, 0.02)
            shown_y, shown_x = np.maximum(y, floor[0]), np.maximum(x, floor[1])
            panel.hexbin(
                shown_x, shown_y, gridsize=40, cmap=blues, bins="log", mincnt=1, linewidths=0.1
            )
            chosen = of_one["derived"].to_numpy(bool)
            panel.plot(
                *(shown_x[chosen], shown_y[chosen], "o"),
                color="#D55E00", mfc="none", mew=1.4, ms=7, label="derived",
            )  # fmt: skip
            panel.set_title(drawable(str(algorithm)), loc="left")
            panel.set_xlabel("one-shot accuracy (%)")
            panel.set_ylabel("test accuracy in the table (%)")
            if chosen.any():
                panel.legend(frameon=False, loc="lower right")
        if title:
            figure.supxlabel(drawable(title), fontsize=7, color="0.35")
    return figure
