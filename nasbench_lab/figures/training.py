"""Figures of many trainings while they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.figures.layout import DEFAULT, panel_grid, styled

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
