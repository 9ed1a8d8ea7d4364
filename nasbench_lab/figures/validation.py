"""Accuracies of the table beside those of networks that were trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasbench_lab.figures.layout import PALETTE, STYLE, drawable
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nasbench_lab.validation import Validation


def validation_figure(validation: Validation) -> Figure:
    """The table's trials and the trained ones of each validated architecture.

    Args:
        validation: The result of the validation.

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
                for values, offset, colour, mark, label in (
                    (entry.table.get(split), -0.14, PALETTE[0], "o", validation.known),
                    (entry.trained.get(split), 0.14, PALETTE[1], "s", "trained"),
                ):
                    if values is None or not len(values):
                        continue
                    place = np.full(len(values), i + offset)
                    new_label = label if label not in labelled else None
                    labelled.add(label)
                    panel.plot(
                        values,
                        place,
                        mark,
                        color=colour,
                        markersize=4,
                        mfc="none",
                        mew=0.9,
                        label=new_label,
                    )
                    panel.plot(
                        [values.mean()], [i + offset], "|", markersize=13, mew=2, color=colour
                    )
            panel.set_xlabel(f"{split} accuracy (%)")
            panel.set_yticks(range(n), [f"architecture {i + 1}" for i in range(n)])
            panel.set_ylim(n - 0.5, -0.5)
            panel.grid(visible=False, axis="y")
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
        figure.supxlabel(
            f"{drawable(validation.table)}, {counted(validation.epochs, 'epoch')}; each mark a "
            f"seed, bars their means",
            fontsize=7,
        )
    return figure
