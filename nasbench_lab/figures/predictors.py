"""What predictors achieve, by how many architectures they learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench_lab.figures.layout import PALETTE, STYLE, STYLES, drawable
from nasbench_lab.landscape.predictors import METRICS, PredictorStudy
from nasbench_lab.stats.predictions import prediction_frame
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = ("kendall", "precision", "regret", "fit_s")
"""What the panels show by default."""


def predictors_figure(
    study: PredictorStudy, panels: Sequence[str] = PANELS, *, title: bool = True
) -> Figure:
    """Rank correlation, precision, regret and time of a fit.

    Args:
        study: What predictors learned.
        panels: An even number of ``METRICS``, one for each panel, in rows of two.
        title: Whether the panels have titles.

    Returns:
        A figure of panels with a line for each predictor: means over seeds, with 95 % bootstrap
        intervals.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    means = prediction_frame(study.frame, panels)
    rows = len(panels) // 2
    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, 0.4 + 2.3 * rows), layout="constrained")
        for panel, metric in zip(figure.subplots(rows, 2).flat, panels, strict=True):
            for i, (name, part) in enumerate(means.groupby("predictor", sort=False)):
                style = {
                    "color": PALETTE[i % len(PALETTE)],
                    "linestyle": STYLES[i // len(PALETTE) % len(STYLES)],
                }
                n = part["architectures"]
                label = drawable(str(name)) if metric == panels[0] else None
                panel.plot(n, part[metric], marker="o", markersize=3, label=label, **style)
                panel.fill_between(
                    n,
                    part[f"{metric}_low"],
                    part[f"{metric}_high"],
                    color=style["color"],
                    alpha=0.12,
                    linewidth=0,
                )
            panel.set_xscale("log")
            ticks = sorted(set(means["architectures"]))
            panel.set_xticks(ticks, [str(tick) for tick in ticks])
            panel.set_xticks([], minor=True)
            if metric == "fit_s":
                panel.set_yscale("log")
            text = METRICS[metric]
            if metric == "precision":
                text += f" {study.top} of {study.test:,}"
            if metric == "regret":
                text += f", {study.column.unit}" * (study.column.unit != "1")
            panel.set_ylabel(drawable(text))
            if title:
                panel.set_title(drawable(METRICS[metric]), loc="left")
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
        seeds = int(means["seeds"].min())
        figure.supxlabel(
            f"architectures learned from; {drawable(study.table)}, {drawable(study.column.name)}, "
            f"{counted(seeds, 'seed')}",
            fontsize=7,
            color="0.35",
        )
    return figure
