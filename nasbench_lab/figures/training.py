"""Figures of many trainings while they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.figures.layout import DEFAULT, drawable, panel_grid, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def trainings_figure(accuracies: NDArray[np.float64], split: str) -> Figure:
    """The accuracies of networks over their epochs, and what they end with.

    Args:
        accuracies: ``(networks, epochs)`` in per cent.
        split: What they are measured on.

    Returns:
        A figure of two panels: median, quartiles and best network by epoch; and how many networks end
        with which accuracy.
    """
    from matplotlib.ticker import MaxNLocator

    epochs, last = np.arange(1, accuracies.shape[1] + 1), accuracies[:, -1]
    with styled():
        figure, panels, _ = panel_grid(2, 8.0, height=2.7)
        most, best = (line["color"] for line in DEFAULT.lines(["most", "best"]))
        low, middle, high = np.quantile(accuracies, [0.25, 0.5, 0.75], axis=0)
        marker = "o" if len(epochs) == 1 else ""
        panels[0].plot(epochs, middle, marker=marker, color=most, label="median and quartiles")
        panels[0].fill_between(epochs, low, high, color=most, alpha=0.2, linewidth=0)
        panels[0].plot(
            *(epochs, accuracies[np.argmax(last)]), marker=marker, color=best, label="the best"
        )
        panels[0].set_xlabel("epoch")
        panels[0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        panels[0].set_ylabel(f"{split} accuracy (%)")
        panels[0].legend(frameon=False, loc="lower right")
        panels[1].hist(last, bins=min(30, max(5, len(last) // 5)), color=most)
        panels[1].yaxis.set_major_locator(MaxNLocator(5, integer=True))
        panels[1].set_xlabel(f"{split} accuracy after the last epoch (%)")
        panels[1].set_ylabel("networks")
    return figure


def courses_figure(
    tasks: Sequence[tuple[str, Mapping[str, Sequence[float]]]], axes: Mapping[str, str]
) -> Figure:
    """What trainings have come to after each epoch.

    Args:
        tasks: The group of each training, and its curves by name. Those of a group have one colour.
        axes: The names of the curves, and what their axes are called.

    Returns:
        A figure with a panel for each curve, without those of which there is no value. Groups that
        are too many to be told apart have no colour and no legend.
    """
    from matplotlib.ticker import MaxNLocator

    drawn = [
        name for name in axes if any(np.isfinite(curves.get(name, ())).any() for _, curves in tasks)
    ]
    groups = list(dict.fromkeys(group for group, _ in tasks))
    with styled():
        figure, panels, _ = panel_grid(
            max(len(drawn), 1), 8.0 if len(drawn) < 3 else 9.6, height=2.7
        )
        few = len(groups) <= _TOLD_APART
        looks = DEFAULT.lines(groups) if few else [{"color": "0.45"}] * len(groups)
        for panel, name in zip(panels, drawn, strict=False):
            for group, curves in tasks:
                values = np.asarray(curves.get(name, ()), dtype=np.float64)
                marker = "o" if np.isfinite(values).sum() == 1 else ""
                look = {**looks[groups.index(group)], "linewidth": 1.0, "markersize": 3}
                panel.plot(np.arange(1, len(values) + 1), values, marker=marker, **look)
            panel.set_xlabel("epoch")
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            panel.set_ylabel(axes[name])
        if few and len(groups) > 1:
            handles = [
                panels[0].plot([], [], label=drawable(group), **look)[0]
                for group, look in zip(groups, looks, strict=True)
            ]
            across = 1 if max(map(len, groups)) > 40 else 4
            figure.legend(handles=handles, loc="outside upper center", ncols=across, frameon=False)
    return figure


_TOLD_APART = 8
"""The most groups that have colours of their own."""
