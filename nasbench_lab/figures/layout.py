"""Common parts of the figures of results: style, panels of curves, and names of curves.

Widths are in inches and texts of 7 or 8 points, so that a figure for a paper needs no scaling.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import words
from nasbench_lab.clock import REAL
from nasbench_lab.errors import FigureError, UnknownNameError, did_you_mean
from nasbench_lab.landscape.landscape import ROUNDING
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, "Color universal design", 2008: colours for all kinds of colour vision. The yellow
# is left out, as it cannot be read on white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "0.88",
    "lines.linewidth": 1.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "nasbench-lab",
    "pdf.fonttype": 42,
}

WIDTHS = {"column": 3.35, "page": 7.0}
"""Widths of figures in a paper, in inches, at which texts have 7 to 8 points without scaling."""

PAPER = ("png", "svg", "pdf")
"""The formats of a figure for a paper."""

_GREYS = ("0.45", "0.6", "0.72")
"""Greys of algorithms that are not highlighted."""

BANDED = 7
"""The most curves of a panel with bands; more bands would merge into grey."""

_SCREEN = (4.4, 2.9)
"""Inches of a panel on the screen."""

_LINE = 0.14
"""Inches between lines of small text."""


def styled() -> AbstractContextManager[None]:
    """The style of figures; labels may contain any text, such as dollar signs."""
    from matplotlib import rc_context

    return rc_context(STYLE | {"text.parse_math": False})


@dataclass(frozen=True)
class Look:
    """The look of figures of results, as far as it is a matter of taste.

    Args:
        title: Whether panels have full titles. If not, several panels have short ones.
        limits: The limits of the axis of values, the lower first.
        log: Whether the axis of values is logarithmic; if None, it is if regrets differ much.
        colours: The algorithms' colours in their order, or the name of a matplotlib colormap.
        highlight: Algorithms that are drawn in colour before all others, which are grey.

    Raises:
        FigureError: A colour is unknown, or the limits are not a pair of ascending numbers.
    """

    title: bool = True
    limits: tuple[float, float] | None = None
    log: bool | None = None
    colours: str | Sequence[str] = PALETTE
    highlight: Sequence[str] = ()

    def __post_init__(self) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import CSS4_COLORS, is_color_like

        if self.limits is not None:
            low, high = self.limits
            if not -math.inf < low < high < math.inf:
                raise FigureError(f"Expected limits such as 0.1, 10 but got {low:g}, {high:g}.")
            if self.log and low <= 0:
                raise FigureError(
                    f"A logarithmic axis has no place for {low:g}. Give a lower limit above 0, or a "
                    f"linear axis."
                )
        named = self.colours if isinstance(self.colours, str) else None
        if named is not None and named in colormaps:
            return
        colours = [named] if named is not None else list(self.colours)
        object.__setattr__(self, "colours", tuple(colours))
        wrong = [colour for colour in colours if not is_color_like(colour)]
        if wrong or not colours:
            known = [*CSS4_COLORS, *(colormaps if len(colours) == 1 else [])]
            guess = did_you_mean(wrong[0], known) if wrong else ""
            raise FigureError(
                f"Expected colours such as red or #0072B2, or one of matplotlib's colormaps such as "
                f"viridis, but got {wrong[0] if wrong else 'none'!r}.{guess}"
            )

    def lines(self, algorithms: Sequence[str]) -> list[dict[str, Any]]:
        """Colour and line style of each algorithm; each pair is different.

        Raises:
            FigureError: There are too few colours for the algorithms.
            UnknownNameError: A highlighted algorithm is not among them.
        """
        for name in self.highlight:
            if name not in algorithms:
                raise UnknownNameError("algorithm of this result", name, algorithms)
        colours, greys = self._palette(len(algorithms)), _GREYS
        if len(algorithms) > len(colours) * len(STYLES):
            raise FigureError(
                f"{counted(len(algorithms), 'algorithm')} cannot be told apart by "
                f"{counted(len(colours), 'colour')}. Give "
                f"{math.ceil(len(algorithms) / len(STYLES))} or more."
            )
        if not self.highlight:
            return [_line(i, colours) for i in range(len(algorithms))]
        return [
            {**_line(i, colours), "linewidth": 2.2, "zorder": 3}
            if name in self.highlight
            else {**_line(i, greys), "linewidth": 1.0, "zorder": 2}
            for i, name in enumerate(algorithms)
        ]

    def _palette(self, n: int) -> Sequence[str]:
        """The colours; a colormap gives one for each of ``n`` algorithms."""
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap, to_hex

        if not isinstance(self.colours, str):
            return self.colours
        colormap = colormaps[self.colours]
        if isinstance(colormap, ListedColormap) and colormap.N < 100:
            return [to_hex(colormap(i)) for i in range(colormap.N)]
        # The ends of many colormaps are nearly white.
        return [to_hex(colormap(x)) for x in np.linspace(0.1, 0.9, n)]

    def heading(self, full: str, short: str, n: int) -> str:
        """The title of one of ``n`` panels."""
        return full if self.title else short if n > 1 else ""


def _line(i: int, colours: Sequence[str]) -> dict[str, Any]:
    """Colour and line style number ``i``. Both cycle; after each common cycle, styles skip one."""
    common = math.lcm(len(colours), len(STYLES))
    style = STYLES[(i + i // common) % len(STYLES)]
    return {"color": colours[i % len(colours)], "linestyle": style}


DEFAULT = Look()


def panel_grid(
    n: int, width: float | None, across: int = 3, height: float | None = None
) -> tuple[Figure, list[Axes], tuple[float, float]]:
    """A figure of equal panels.

    Args:
        n: The number of panels.
        width: Width of the figure in inches; a panel gets at least 3. None for the screen, where the
            figure is as wide as its panels need.
        across: The most panels side by side.
        height: Height of a panel in inches; by default the usual one for its width.

    Returns:
        The figure, its panels, and a panel's width and height in inches.
    """
    from matplotlib.figure import Figure

    if width is None:
        columns = min(across, n)
        size = _SCREEN[0], height or _SCREEN[1]
    else:
        columns = max(1, min(across, n, int(width / 3.0)))
        size = width / columns, height or min(0.65 * width / columns, 3.0)
    rows = math.ceil(n / columns)
    figure = Figure(
        figsize=(width or 0.6 + size[0] * columns, size[1] * rows), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in panels[n:]:
        panel.set_visible(False)
    return figure, panels[:n], size


def drawable(text: str) -> str:
    """A text with codes for the signs that the font of figures lacks."""
    from matplotlib import rcParams

    signs = _signs(tuple(rcParams["font.family"]), tuple(rcParams["font.sans-serif"]))
    return "".join(
        sign
        if ord(sign) in signs or sign == "\n"
        else sign.encode("ascii", "backslashreplace").decode()
        for sign in text
    )


@cache
def _signs(families: tuple[str, ...], _: tuple[str, ...]) -> frozenset[int]:
    """The signs in fonts of these families; the second argument has the sans-serif families."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in families]
    return frozenset(code for font in fonts for code in font.get_charmap())


def text_width(text: str, size: float = 7.0) -> float:
    """Inches that a line of text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    return (
        float(text_to_path.get_text_width_height_descent(drawable(text), font, ismath=False)[0])
        / 72
    )


def wrapped(text: str, inches: float, size: float = 7.0) -> str:
    """A text in lines of at most so many inches, broken at the best places."""
    return words.wrapped(drawable(text), inches, partial(text_width, size=size))


def balanced(text: str, inches: float, size: float = 7.0) -> str:
    """A text in as few lines as ``wrapped`` makes, of about the same length: no word stands alone."""
    result = wrapped(text, inches, size)
    n = result.count("\n")
    if n == 0:
        return result
    narrow, wide = 0.0, inches
    for _ in range(8):
        width = (narrow + wide) / 2
        narrower = wrapped(text, width, size)
        if narrower.count("\n") > n:
            narrow = width
        else:
            wide, result = width, narrower
    return result


def label_panel(panel: Axes, size: tuple[float, float], title: str, x: str, y: str) -> None:
    """Writes a panel's title and the labels of its axes, broken into lines that fit.

    Args:
        panel: The panel.
        size: Inches of the panel with all its labels.
        title: The title above it.
        x: The label below it.
        y: The label on its left.
    """
    width, height = size
    lines = [balanced(line, width - 0.8, 8.0) for line in title.split("\n")]
    panel.set_title("\n".join(lines), loc="left")
    panel.set_xlabel(_unit_below(x, width - 0.7))
    panel.set_ylabel(_unit_below(y, height - 0.45))


def _unit_below(label: str, inches: float) -> str:
    """An axis' label; a long one has its unit on a separate line."""
    if text_width(label, 8.0) > inches:
        label = label.replace(" (", "\n(")
    return "\n".join(wrapped(line, inches, 8.0) for line in label.split("\n"))


def legend_above(figure: Figure, handles: Mapping[str, Artist], **options: Any) -> None:
    """Writes a legend above all panels, in as many columns as fit; the figure grows by it.

    Args:
        figure: The figure, of its final width.
        handles: The legend's handles by label.
        **options: Options of the legend.
    """
    width, height = figure.get_size_inches()
    labels = [wrapped(label, min(2.6, width - 0.6)) for label in handles]
    longest = max(text_width(line) for label in labels for line in label.split("\n"))
    columns = max(1, min(len(labels), int((width - 0.1) / (0.55 + longest))))
    lines = [1 + label.count("\n") for label in labels]
    columns_of_lines = np.array_split(lines, columns)
    figure.set_size_inches(width, height + 0.1 + 0.155 * max(map(sum, columns_of_lines)))
    legend = figure.legend(
        list(handles.values()),
        # Before 3.10, matplotlib ignores a label that begins with an underscore.
        [re.sub("^_", "\u200b_", label) for label in labels],
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        columnspacing=1.2,
        **options,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def draw_curves(
    panel: Axes,
    lines: pd.DataFrame,
    algorithms: Sequence[str],
    logarithmic: bool,
    look: Look = DEFAULT,
) -> None:
    """Draws the curves of a panel, with their bands if they have any and are not too many.

    Args:
        panel: The panel.
        lines: A line per algorithm and point: ``algorithm``, ``point``, ``centre``, and for bands
            ``low`` and ``high``, which may be infinite.
        algorithms: All algorithms; their order decides colours and line styles.
        logarithmic: Whether values that differ much are shown on a logarithmic axis.
        look: Colours, limits and scale.
    """
    above_zero = look.limits is None or look.limits[0] > 0
    logarithmic = logarithmic and above_zero if look.log is None else look.log
    styles = look.lines(algorithms)
    banded = "low" in lines and len(algorithms) <= BANDED
    values = lines[["centre", "low", "high"] if banded else ["centre"]].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if not values.size:
        text = "Nothing to draw: half of the runs, or more, found nothing."
        panel.text(0.5, 0.5, text, ha="center", va="center", transform=panel.transAxes, wrap=True)
    if logarithmic and values.size:
        # A rounding error counts as 0, which a logarithmic axis cannot show.
        values = values[values > ROUNDING * values.max()]
    lowest, highest = (values.min(), values.max()) if values.size else (1.0, 1.0)
    for line, algorithm in zip(styles, algorithms, strict=True):
        curve = lines[lines["algorithm"] == algorithm]
        if not np.isfinite(curve["centre"].to_numpy(dtype=float)).any():
            continue
        if banded and (not look.highlight or algorithm in look.highlight):
            # A band with an infinite end reaches to the border.
            band = curve[["low", "high"]].replace([-np.inf, np.inf], [lowest, highest])
            panel.fill_between(
                curve["point"],
                band["low"],
                band["high"],
                color=line["color"],
                alpha=min(0.18, 0.8 / len(algorithms)),
                linewidth=0,
                step="post",
            )
        # The curve begins when enough runs have found something.
        centre = curve["centre"].replace([-np.inf, np.inf], np.nan)
        panel.step(curve["point"], centre, where="post", label=algorithm, **line)
    if look.limits is not None:
        lowest, highest = look.limits
    if logarithmic and lowest > 0 and (look.log or highest > 3 * lowest):
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(plain)
        # Over several powers of ten, there is no room for labels between them.
        panel.yaxis.set_minor_formatter(plain_if_few if highest < 200 * lowest else "")
        panel.set_ylim(lowest * 0.8, highest * 1.2)
    if look.limits is not None:
        panel.set_ylim(look.limits)
    if lines["point"].nunique() > 1:
        panel.set_xlim(lines["point"].min(), lines["point"].max())


def shown_as(statistic: str, n: int) -> str:
    """The statistic that ``draw_curves`` shows for ``n`` algorithms, in words."""
    if n <= BANDED:
        return statistic
    return f"{statistic.partition(' and ')[0]} (no bands for {n} algorithms)"


def scale_axis(panel: Axes, axis: str) -> None:
    """Labels evaluations and epochs with whole numbers; from 50 on, the axis is logarithmic.

    Simulated time of many hours is labelled ``12h`` or ``10d``.
    """
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    if axis == "seconds":
        low, high = panel.get_xlim()
        if high >= LONG_S:
            letter, unit = ("h", 3600.0) if high < 5 * 86400 else ("d", 86400.0)
            step = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(0, high / unit)
            panel.xaxis.set_major_locator(MultipleLocator(unit * float(step[1] - step[0])))
            panel.xaxis.set_major_formatter(lambda value, _: f"{value / unit:g}{letter}")
            panel.set_xlim(low, high)
        return
    if panel.get_xlim()[1] >= 50:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
    else:
        panel.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))


LONG_S = 10 * 3600.0
"""From so many simulated seconds on, an axis shows hours or days."""


def axis_label(axis: str, panel: Axes, clock: str) -> str:
    """The label of a panel's axis of costs, which is drawn, by the benchmark's clock."""
    if axis != "seconds":
        return axis
    unit = "time" if panel.get_xlim()[1] >= LONG_S else "seconds"
    return unit if clock == REAL else f"simulated {unit}"


def plain(value: float, _: float = 0) -> str:
    """Labels ticks with numbers as they are."""
    return f"{value:g}"


def plain_if_few(value: float, _: float = 0) -> str:
    """Labels 2, 3 and 5 between the powers of ten."""
    leading = value / 10 ** math.floor(math.log10(value))
    return f"{value:g}" if round(leading, 6) in (2.0, 3.0, 5.0) else ""


def name_curves(
    figure: Figure, panels: Sequence[Axes], algorithms: Sequence[str], size: tuple[float, float]
) -> None:
    """Writes each curve's name at its end, or in a legend above if there is no room.

    Args:
        figure: The figure.
        panels: The panels, with labelled curves and final limits.
        algorithms: The order of the legend.
        size: Width and height of a panel in inches.
    """
    room = 0.3 * size[0]
    titles = [panel.get_title(loc="left") for panel in panels]
    # The height of the curves in inches, without title, axis and its label.
    height = size[1] - 0.73 - _LINE * max(title.count("\n") for title in titles)
    broken = {name: wrapped(name, room) for name in algorithms}
    whole = [part for name in algorithms for part in re.split(words.BREAKS[0], name)]
    fit = all(text_width(word.rstrip()) <= room for word in whole)
    if fit and _LINE * sum(1 + name.count("\n") for name in broken.values()) <= height:
        for panel in panels:
            _label_ends(panel, broken, _LINE / height)
        return
    lines = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    if lines:
        legend_above(figure, {name: lines[name] for name in algorithms if name in lines})


def _label_ends(panel: Axes, labels: Mapping[str, str], line: float) -> None:
    """Writes each curve's label at its end, and moves labels apart that would overlap.

    Args:
        panel: The panel.
        labels: The labels by the curves' names, broken into lines.
        line: The height of a line of text, as a share of the panel's.
    """
    to_axes = panel.transData + panel.transAxes.inverted()
    last, (low, high) = panel.get_xlim()[1], sorted(panel.get_ylim())
    ends: list[tuple[float, float, str, Any]] = []
    for curve in panel.get_lines():
        # The label of a curve that reached zero stays at the bottom, where it leaves the picture.
        value = float(np.clip(np.asarray(curve.get_ydata(), dtype=float)[-1], low, high))
        if math.isfinite(value):
            height = float(to_axes.transform((last, value))[1])
            ends.append((height, value, labels[str(curve.get_label())], curve.get_color()))
    if not ends:
        return
    ends.sort(key=lambda end: end[:3])
    heights = [height for height, *_ in ends]
    sizes = [line * (1 + text.count("\n")) for _, _, text, _ in ends]
    gaps = [(a + b) / 2 for a, b in itertools.pairwise(sizes)]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gaps[i - 1])
    overflow = max(0.0, heights[-1] - 1.0)
    heights = [height - overflow for height in heights]
    for i in range(len(heights) - 2, -1, -1):
        heights[i] = min(heights[i], heights[i + 1] - gaps[i])
    for height, (_, value, text, colour) in zip(heights, ends, strict=True):
        panel.annotate(
            text,
            xy=(last, value),
            xycoords="data",
            xytext=(1.04, height),
            textcoords="axes fraction",
            color=colour,
            fontsize=7,
            va="center",
            ha="left",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
