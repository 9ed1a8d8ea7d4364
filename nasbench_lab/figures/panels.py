"""What figures of a study of a table share: panels, headings, and columns in words."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.figures.layout import PALETTE, drawable
from nasbench_lab.landscape.analysis import Analysis
from nasbench_lab.tables.columns import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BLUE, RED = PALETTE[:2]
GREY = "0.55"

PANEL = (3.3, 2.5)
"""Width and height of a panel, in inches."""


def panels_of(analysis: Analysis, n: int) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` panels, in two columns unless there are three or one."""
    from matplotlib.figure import Figure

    columns = n if n in (1, 3) else 2
    rows = -(-n // columns)
    size = (PANEL[0] * columns, 0.2 + PANEL[1] * rows)
    figure = Figure(figsize=size, layout="constrained")
    write_heading(figure, analysis)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for panel in panels:
        panel.set_axisbelow(True)
        panel.set_visible(panel in panels[:n])
    return figure, panels[:n]


def write_heading(figure: Figure, analysis: Analysis, text: str = "") -> None:
    """Writes table and column above all panels."""
    column = analysis.landscape.column
    table = analysis.landscape.table.name
    heading = drawable(f"{table}, {column.name.replace('_', ' ')}{text}")
    # A letter is about 0.062 inches wide.
    lines = textwrap.fill(heading, int(figure.get_figwidth() / 0.062))
    figure.suptitle(lines, fontsize=8, color="0.35", x=0.01, ha="left")


def column_name(column: Column) -> str:
    """A column's name in words; a name with dots becomes split and quantity."""
    text = column.name
    if "." in text:
        text = column.quantity
        if column.split and not text.startswith(column.split):
            text = f"{column.split} {text}"
    return drawable(text.replace("_", " ").replace("roc auc", "ROC AUC"))


def number(value: float, column: Column) -> str:
    """A value with its unit, to two decimals of a percentage or three digits of anything else."""
    text = f"{value:.2f}" if column.unit == "%" else f"{value:.3g}"
    return f"{text} {column.unit}"


def column_label(column: Column) -> str:
    """A column as an axis shows it, with its unit."""
    return f"{column_name(column)} ({drawable(column.unit)})"


def unit_of_differences(column: Column) -> str:
    """The unit of a difference."""
    return "percentage points" if column.unit == "%" else column.unit


def draw_density(panel: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """The density of points, on a logarithmic scale from light to dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("blues", ("#CCE3F0", BLUE, "#002A42"))
    panel.hexbin(x, y, gridsize=40, cmap=colours, bins="log", mincnt=1, linewidths=0.1)


def widened(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis for values between two numbers, which may be equal."""
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def leave_room(panel: Axes, column: Column) -> None:
    """Makes room for a legend on the side of the worse values."""
    low, high = panel.get_ylim()
    room = 0.3 * (high - low)
    panel.set_ylim((low - room, high) if column.maximize else (low, high + room))


def label_logarithmic(axis: Axis) -> None:
    """Labels a logarithmic axis with plain numbers, with 2 and 5 if the powers of ten are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    low, high = axis.get_view_interval()
    axis.set_major_formatter("{x:g}")
    between = [2.0, 5.0] if high < 50 * low else []
    axis.set_minor_locator(LogLocator(subs=between))
    axis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
