"""The figure of a study that leaves one task out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.figures.layout import DEFAULT, drawable, panel_grid, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TIMES = 8.0
"""The ratio of regrets at which the colours end."""


def transfer_figure(
    per_task: pd.DataFrame, ranks: pd.DataFrame, agreement: pd.DataFrame, *, family: str = ""
) -> Figure:
    """Ranks along the evaluations, where transfer helps and hurts, and how tasks agree.

    Args:
        per_task: A line per task and variant, as ``TransferStudy.per_task``.
        ranks: A line per number of evaluations and variant, as ``TransferStudy.ranks``.
        agreement: ``(tasks, tasks)`` rank correlations.
        family: What the names of tasks begin with, which is left out.

    Returns:
        A figure of three panels. In the second, a cell shows how many times as large the mean regret
        is as that of the same algorithm alone, or of the one that it is compared with; it is in bold
        where the interval of the difference leaves out 0.
    """
    with styled():
        figure, panels, _ = panel_grid(3, 13.0, height=3.4)
        names = list(ranks["name"].unique())
        for look, (name, of_one) in zip(
            DEFAULT.lines(names), ranks.groupby("name", sort=False), strict=True
        ):
            label = drawable(str(name))
            panels[0].step(of_one["evaluations"], of_one["rank"], where="post", label=label, **look)
        panels[0].set_xscale("log")
        panels[0].xaxis.set_major_formatter("{x:g}")
        panels[0].set_xlabel("evaluations")
        panels[0].set_ylabel("mean rank (1 is best)")
        panels[0].invert_yaxis()
        _changes(panels[1], per_task[per_task["transfer"]], family)
        shorts = [_short(task, family) for task in agreement.index]
        _cells(panels[2], agreement.to_numpy(), shorts, shorts, "{:.2f}", "RdBu", (-1.0, 1.0))
        panels[1].set_title("mean regret, times that without transfer")
        panels[2].set_title("rank correlation of the tasks")
        columns = min(6, len(names))
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=columns,
            frameon=False,
        )
    return figure


def _short(task: str, family: str) -> str:
    return drawable(task.removeprefix(f"{family}/"))


def _changes(panel: Axes, taught: pd.DataFrame, family: str) -> None:
    """How many times as large the regret is with transfer, by variant and task."""
    tasks, names = list(taught["task"].unique()), list(taught["name"].unique())
    by_place = taught.set_index(["name", "task"])
    times = np.full((len(names), len(tasks)), np.nan)
    told: set[tuple[int, int]] = set()
    for i, name in enumerate(names):
        for j, task in enumerate(tasks):
            line = by_place.loc[(name, task)]
            without = float(line["regret"] - line["change"])
            times[i, j] = line["regret"] / without if without > 0 else np.nan
            if line["effect"] != "untold":
                told.add((i, j))
    with np.errstate(divide="ignore"):
        logs = np.clip(np.log2(times), -np.log2(MOST_TIMES), np.log2(MOST_TIMES))
    limit = float(np.log2(MOST_TIMES))
    texts = [["" if np.isnan(t) else f"{t:.2g}" for t in line] for line in times]
    shorts = [_short(task, family) for task in tasks]
    labels = [drawable(name) for name in names]
    _cells(panel, logs, labels, shorts, texts, "PuOr_r", (-limit, limit), told)


def _cells(
    panel: Axes,
    values: Any,
    rows: list[str],
    columns: list[str],
    texts: str | list[list[str]],
    colours: str,
    limits: tuple[float, float],
    bold: set[tuple[int, int]] | None = None,
) -> None:
    """A table of coloured numbers."""
    panel.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    panel.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    panel.set_yticks(range(len(rows)), rows)
    panel.grid(visible=False)
    for (i, j), value in np.ndenumerate(values):
        text = texts.format(value) if isinstance(texts, str) else texts[i][j]
        dark = abs(value) > 0.7 * limits[1]
        weight = "bold" if bold and (i, j) in bold else "normal"
        panel.text(
            *(j, i, text), ha="center", va="center", fontsize=6, weight=weight,
            color="white" if dark else "black",
        )  # fmt: skip
