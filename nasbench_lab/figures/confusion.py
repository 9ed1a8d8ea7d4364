"""Which classes a trained network takes for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.figures.layout import STYLE, drawable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_MOST_NUMBERS = 20
"""The most classes of which each number is written into its cell."""


def confusion_data(confusion: NDArray[np.int64]) -> pd.DataFrame:
    """A line for each true class, and a column for each answer."""
    import pandas as pd

    frame = pd.DataFrame(confusion, columns=[str(label) for label in range(len(confusion))])
    frame.insert(0, "true class", np.arange(len(confusion)))
    return frame


def confusion_figure(confusion: NDArray[np.int64], title: str) -> Figure:
    """The confusion matrix: how many examples of each class got which answer.

    Args:
        confusion: ``(classes, classes)`` numbers of examples, by true class and by answer.
        title: What stands above it.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    n = len(confusion)
    with rc_context(STYLE):
        side = 2.0 + 0.26 * min(n, _MOST_NUMBERS)
        figure = Figure(figsize=(side + 0.4, side), layout="constrained")
        panel = figure.subplots()
        shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if n <= _MOST_NUMBERS:
            panel.set_xticks(range(n))
            panel.set_yticks(range(n))
            for i, j in np.argwhere(confusion).tolist():
                colour = "white" if shares[i, j] > 0.5 else "black"
                panel.text(
                    j, i, str(confusion[i, j]), ha="center", va="center", color=colour, fontsize=7
                )
        panel.grid(visible=False)
        panel.set_xlabel("answer")
        panel.set_ylabel("true class")
        panel.set_title(drawable(title))
    return figure
