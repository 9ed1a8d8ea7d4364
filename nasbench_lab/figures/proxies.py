"""Rank correlations of zero-cost proxies with the end of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasbench_lab.figures.layout import PALETTE, STYLE, drawable
from nasbench_lab.landscape.proxies import BASELINE, ProxyStudy
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = (("o", PALETTE[0]), ("s", PALETTE[1]))


def proxies_figure(study: ProxyStudy, *, title: bool = True) -> Figure:
    """Spearman's correlation of each proxy, over all rows and over the top.

    Args:
        study: The correlations.
        title: Whether the panels have titles.

    Returns:
        A figure of two panels, with the published correlations in the first. The dashed line is the
        number of parameters: a proxy left of it is no better than counting them.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    frame, n = study.frame, len(study.frame)
    places = np.arange(n)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, 1.3 + 0.2 * n), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, top, heading in zip(
            panels,
            ("", "top_"),
            (f"all {counted(study.rows, 'row')}", "the top 10 % by each column"),
            strict=True,
        ):
            panel.axvline(0, color="0.6", linewidth=0.6)
            baseline = frame.loc[
                frame["proxy"] == BASELINE, f"{top}spearman_{study.columns[0].name}"
            ]
            for rho in baseline:
                panel.axvline(rho, color="0.4", linewidth=0.9, linestyle=(0, (4, 2)))
            if not top:
                panel.plot(
                    frame["published_cells"],
                    places,
                    "D",
                    mfc="none",
                    color="0.45",
                    markersize=4,
                    label="published, CIFAR-10",
                )
            for column, (mark, colour) in zip(study.columns, _MARKS, strict=False):
                panel.plot(
                    frame[f"{top}spearman_{column.name}"],
                    places,
                    mark,
                    color=colour,
                    markersize=4,
                    label=None if top else drawable(column.name.replace("_", " ")),
                )
            panel.set_xlabel("Spearman's rank correlation")
            panel.set_yticks(places, frame["proxy"].tolist())
            panel.set_ylim(n - 0.5, -0.5)
            if title:
                panel.set_title(heading, loc="left")
        figure.legend(loc="outside upper right", ncols=3, frameon=False)
        figure.supxlabel(
            f"{drawable(study.table)}; dashed: {BASELINE} with "
            f"{drawable(study.columns[0].name.replace('_', ' '))}; published: of 9,445 cells",
            fontsize=7,
            color="0.35",
        )
    return figure
