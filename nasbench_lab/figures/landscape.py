"""Figures of a study of a table; each panel has one message."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.figures.layout import PALETTE, STYLE, STYLES, WIDTHS, drawable
from nasbench_lab.landscape.analysis import Analysis, bulk
from nasbench_lab.landscape.landscape import ROUNDING
from nasbench_lab.landscape.reliability import half_way
from nasbench_lab.tables.columns import Column
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

BLUE, RED, GREEN = PALETTE[:3]
GREY = "0.55"

_PANEL = (3.3, 2.5)
"""Width and height of a panel, in inches."""

_COSTS = 2
"""The number of costs in the figure of the distribution."""


def analysis_figures(analysis: Analysis, *, title: bool = True) -> dict[str, Figure]:
    """The figures of a study by name, without those that do not apply.

    Args:
        analysis: The study.
        title: Whether figures and their panels have titles.
    """
    from matplotlib import rc_context

    makers: dict[str, Callable[[Analysis], Figure]] = {"distribution": distribution_figure}
    if analysis.noise is not None:
        makers["noise"] = noise_figure
    if analysis.fidelity is not None:
        makers["fidelity"] = fidelity_figure
    makers["marginal_effects"] = effects_figure
    if analysis.local_optima is not None:
        makers["landscape"] = landscape_figure
    with rc_context(STYLE):
        made = {name: make(analysis) for name, make in makers.items()}
    for figure in [] if title else made.values():
        figure.suptitle("")
        for panel in figure.axes:
            panel.set_title("", loc="left")
    return made


def _panels(analysis: Analysis, n: int) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` panels, in two columns unless there are three or one."""
    from matplotlib.figure import Figure

    columns = n if n in (1, 3) else 2
    rows = -(-n // columns)
    size = (_PANEL[0] * columns, 0.2 + _PANEL[1] * rows)
    figure = Figure(figsize=size, layout="constrained")
    _heading(figure, analysis)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for panel in panels:
        panel.set_axisbelow(True)
        panel.set_visible(panel in panels[:n])
    return figure, panels[:n]


def _heading(figure: Figure, analysis: Analysis, text: str = "") -> None:
    """Writes table and column above all panels."""
    column = analysis.landscape.column
    table = analysis.landscape.table.name
    heading = drawable(f"{table}, {column.name.replace('_', ' ')}{text}")
    # A letter is about 0.062 inches wide.
    lines = textwrap.fill(heading, int(figure.get_figwidth() / 0.062))
    figure.suptitle(lines, fontsize=8, color="0.35", x=0.01, ha="left")


def _name(column: Column) -> str:
    """A column's name in words; a name with dots becomes split and quantity."""
    text = column.name
    if "." in text:
        text = column.quantity
        if column.split and not text.startswith(column.split):
            text = f"{column.split} {text}"
    return drawable(text.replace("_", " ").replace("roc auc", "ROC AUC"))


def _number(value: float, column: Column) -> str:
    """A value with its unit, to two decimals of a percentage or three digits of anything else."""
    text = f"{value:.2f}" if column.unit == "%" else f"{value:.3g}"
    return f"{text} {column.unit}"


def _label(column: Column) -> str:
    """A column as an axis shows it, with its unit."""
    return f"{_name(column)} ({drawable(column.unit)})"


def _points(column: Column) -> str:
    """The unit of a difference."""
    return "percentage points" if column.unit == "%" else column.unit


def _density(panel: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """The density of points, on a logarithmic scale from light to dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("blues", ("#CCE3F0", BLUE, "#002A42"))
    panel.hexbin(x, y, gridsize=40, cmap=colours, bins="log", mincnt=1, linewidths=0.1)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis for values between two numbers, which may be equal."""
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _leave_room(panel: Axes, column: Column) -> None:
    """Makes room for a legend on the side of the worse values."""
    low, high = panel.get_ylim()
    room = 0.3 * (high - low)
    panel.set_ylim((low - room, high) if column.maximize else (low, high + room))


def _logarithmic(axis: Axis) -> None:
    """Labels a logarithmic axis with plain numbers, with 2 and 5 if the powers of ten are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    low, high = axis.get_view_interval()
    axis.set_major_formatter("{x:g}")
    between = [2.0, 5.0] if high < 50 * low else []
    axis.set_minor_locator(LogLocator(subs=between))
    axis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def distribution_figure(analysis: Analysis) -> Figure:
    """The distribution of the values, the rarity of good ones, and their costs."""
    landscape, table = analysis.landscape, analysis.landscape.table
    columns = [landscape.column]
    if analysis.report != landscape.column and analysis.report.unit == landscape.column.unit:
        columns.append(analysis.report)
    shown = {column.name for column in (landscape.column, analysis.report)}
    costs = [
        name
        for name in analysis.distribution["column"]
        if name not in shown
        and not np.isnan(landscape.values + table.values(name)[landscape.rows]).all()
    ][:_COSTS]
    figure, panels = _panels(analysis, 2 + len(costs))
    names = [_name(column) for column in columns]
    if len(set(names)) < len(names):
        names = [column.name for column in columns]
    _histogram(panels[0], analysis, dict(zip(names, columns, strict=True)))
    _rarity(panels[1], analysis, dict(zip(names, columns, strict=True)))
    for panel, name in zip(panels[2:], costs, strict=True):
        _cost(panel, analysis, table.column(name))
    return figure


def _histogram(panel: Axes, analysis: Analysis, columns: dict[str, Column]) -> None:
    landscape = analysis.landscape
    many = [landscape.table.values(column.name)[landscape.rows] for column in columns.values()]
    many = [values[~np.isnan(values)] for values in many]
    ends = np.array([bulk(values) for values in many])
    low, high = ends[:, 0].min(), ends[:, 1].max()
    bins = np.linspace(low, high if high > low else low + 1, 51).tolist()
    for values, name, colour in zip(many, columns, PALETTE, strict=False):
        weights = np.full(len(values), 100 / len(values))
        panel.hist(values, bins, weights=weights, color=colour, alpha=0.3)
        panel.hist(values, bins, weights=weights, color=colour, histtype="step", label=name)
    for outside, place, side, text in (
        ((many[0] < low).mean(), 0.02, "left", "← {:.2g} % are below"),
        ((many[0] > high).mean(), 0.98, "right", "{:.2g} % are above →"),
    ):
        if outside:
            words = text.format(100 * outside)
            where: dict[str, Any] = {
                "transform": panel.transAxes,
                "ha": side,
                "color": "0.35",
                "fontsize": 7,
            }
            panel.text(place, 0.3, words, **where)
    first = analysis.landscape.column
    same = len(columns) > 1 and len({column.quantity for column in columns.values()}) == 1
    panel.set_xlabel(
        f"{first.quantity.replace('_', ' ')} ({first.unit})" if same else _label(first)
    )
    panel.set_ylabel("architectures (%)")
    line = analysis.distribution.iloc[0]
    quartiles = [_number(line[key], first).removesuffix(f" {first.unit}") for key in ("q25", "q75")]
    panel.set_title(
        f"Half have {' to '.join(quartiles)}, the best {_number(line['best'], first)}", loc="left"
    )
    if len(columns) > 1:
        panel.legend(frameon=False, loc="upper left" if first.maximize else "upper right")


def _rarity(panel: Axes, analysis: Analysis, columns: dict[str, Column]) -> None:
    landscape, first = analysis.landscape, analysis.landscape.column
    for (name, column), colour, style in zip(columns.items(), PALETTE, STYLES, strict=False):
        values = landscape.table.values(column.name)[landscape.rows]
        values, best = values[~np.isnan(values)], landscape.table.optimum(column.name)
        regret = np.abs(values - best)
        # A regret that is only a rounding error is 0, which logarithmic axes cannot show.
        regret[regret <= ROUNDING * np.maximum(np.abs(values), abs(best))] = 0.0
        regret = np.sort(regret)
        share = 100 * np.arange(1, len(regret) + 1) / len(regret)
        shown = regret > 0
        panel.step(
            regret[shown], share[shown], color=colour, linestyle=style, where="post", label=name
        )
    # If all values are equal, the axes stay linear, as there is nothing to show.
    if any(np.size(line.get_xdata()) for line in panel.get_lines()):
        panel.set_xscale("log")
        panel.set_yscale("log")
        _logarithmic(panel.xaxis)
        _logarithmic(panel.yaxis)
    panel.set_xlabel(f"distance from the best ({_points(first)})")
    panel.set_ylabel("architectures this near (%)")
    line = analysis.distribution.iloc[0]
    points = "point" if first.unit == "%" else first.unit
    panel.set_title(
        f"{100 * line['near_share']:.3g} % are within {line['near']:.3g} {points} of the best",
        loc="left",
    )
    if len(columns) > 1:
        panel.legend(frameon=False, loc="lower right")


def _cost(panel: Axes, analysis: Analysis, cost: Column) -> None:
    landscape = analysis.landscape
    x, y = landscape.table.values(cost.name)[landscape.rows], landscape.values
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    # The front has the architectures that are better than all cheaper ones.
    sign = 1.0 if landscape.column.maximize else -1.0
    order = np.lexsort((-sign * y, x))
    front = order[np.append(True, np.diff(np.maximum.accumulate(sign * y[order])) > 0)]
    (low, high), (left, right) = bulk(y), bulk(x)
    inside = (y >= low) & (y <= high) & (x >= left) & (x <= right)
    _density(panel, x[inside], y[inside])
    panel.step(x[front], y[front], color=RED, linewidth=0.9, where="post")
    panel.plot(x[front], y[front], "o", color=RED, ms=2.5, label="best for its cost")
    panel.set_xlim(_widened(left, right))
    panel.set_ylim(_widened(low, high))
    _leave_room(panel, landscape.column)
    panel.set_xlabel(_label(cost))
    panel.set_ylabel(_label(landscape.column))
    name = _name(cost)
    panel.set_title(
        f"{name[0].upper()}{name[1:]}: {_number(x[front[-1]], cost)} at the best", loc="left"
    )
    panel.plot([], [], "h", color=BLUE, ms=5, label="architectures, darker for more")
    panel.legend(
        loc="lower right" if landscape.column.maximize else "upper left",
        handlelength=1,
        frameon=False,
    )


def noise_figure(analysis: Analysis) -> Figure:
    """How far two trials agree, and how much trials vary at each level."""
    noise, column = analysis.noise, analysis.landscape.column
    assert noise is not None
    figure, (left, right) = _panels(analysis, 2)
    pair = max(noise.pairs.to_dict(orient="records"), key=lambda pair: pair["rows"])
    trials = np.asarray(analysis.landscape.table.trials(column.name), dtype=np.float64)
    a, b = (trials[:, column.trials.index(pair[key])] for key in ("trial_a", "trial_b"))
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    ends = (min(a.min(), b.min()), max(a.max(), b.max()))
    _density(left, a, b)
    left.plot(ends, ends, color=GREY, linewidth=0.8, linestyle="--")
    left.set_xlabel(f"{_name(column)}, trial {pair['trial_a']} ({column.unit})")
    left.set_ylabel(f"trial {pair['trial_b']} ({column.unit})")
    top = pair["top_spearman"]
    of_top = "" if np.isnan(top) else f", of the top 10 % {top:.3f}"
    left.set_title(f"Spearman's ρ {pair['spearman']:.3f}{of_top}", loc="left")
    right.plot(noise.levels["mean"], noise.levels["within_std"], color=BLUE, marker="o", ms=3.5)
    lowest, highest = noise.levels["within_std"].min(), noise.levels["within_std"].max()
    if highest > 3 * lowest > 0:
        right.set_yscale("log")
        _logarithmic(right.yaxis)
    else:
        right.set_ylim(0, 1.2 * highest or 1.0)
    right.set_xlabel(f"mean of each tenth of the rows ({column.unit})")
    right.set_ylabel(f"σ of trials ({_points(column)})")
    share = 100 * (1 - noise.components.reliability())
    right.set_title(
        "All trials are equal"
        if np.isnan(share)
        else f"{share:.3g} % of the variance of a trial is noise",
        loc="left",
    )
    return figure


def fidelity_figure(analysis: Analysis) -> Figure:
    """How early the final ranking is known."""
    from matplotlib.figure import Figure

    frame = analysis.fidelity
    assert frame is not None
    figure = Figure(figsize=(_PANEL[0] + 1.7, _PANEL[1] + 0.2), layout="constrained")
    _heading(figure, analysis)
    panel = figure.subplots()
    names = {
        "spearman": "Spearman's ρ",
        "kendall": "Kendall's τ",
        "overlap_top_10pct": "top 10 % in common",
        "overlap_top_1pct": "top 1 % in common",
    }
    few = len(frame) <= 12
    for (name, text), colour, style in zip(names.items(), PALETTE, STYLES, strict=False):
        panel.plot(
            frame["epoch"],
            frame[name],
            color=colour,
            linestyle=style,
            label=text,
            marker="o" if few else None,
            markersize=3.5,
        )
    half = half_way(frame)
    panel.set_title(
        f"After {counted(int(half['epoch']), 'epoch')}, ρ is {half['spearman']:.2f}", loc="left"
    )
    lowest = float(frame[list(names)].min().min())
    panel.set_ylim(min(0.0, lowest) if lowest == lowest else 0.0, 1.02)
    panel.set_xlabel("epoch")
    panel.set_ylabel("agreement with the last epoch")
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3)
    return figure


def effects_figure(analysis: Analysis) -> Figure:
    """The average effect of each option, and the variance that each decision explains."""
    from matplotlib.figure import Figure

    column, space = analysis.landscape.column, analysis.landscape.table.space
    # Unordered decisions with the same options share a panel, with the options along it. An ordered
    # decision has a panel of its own, with a line through its options in their order.
    blocks: list[list[int]] = []
    for i, decision in enumerate(space.decisions):
        alike = blocks and decision.options == space.decisions[blocks[-1][0]].options
        if alike and not decision.ordered and not space.decisions[i - 1].ordered:
            blocks[-1].append(i)
        else:
            blocks.append([i])
    # A letter of a label is about 0.055 inches wide.
    names = 0.055 * max(len(d.name) for d in space.decisions)
    room = max(WIDTHS["page"] - 2.3 - names, 1.0)
    folded: list[tuple[list[int], range]] = []
    widths = []
    for block in blocks:
        options, ordered = space.decisions[block[0]].options, space.decisions[block[0]].ordered
        each = max(0.45, 0.1 + 0.055 * max(len(str(option)) for option in options))
        rows = 1 if ordered else math.ceil(len(options) * each / room)
        many = math.ceil(len(options) / rows)
        widths.append(min(many * each, room))
        folded += [(block, range(len(options))[i : i + many]) for i in range(0, len(options), many)]
    heights = [4 if space.decisions[block[0]].ordered else len(block) for block, _ in folded]
    size = (2.3 + names + max(widths), 1.1 + 0.2 * sum(heights) + 0.4 * len(folded))
    figure = Figure(figsize=size, layout="constrained")
    _heading(
        figure,
        analysis,
        f": mean with an option less that of all ({_points(column)}). Without interactions, options "
        f"explain {100 * analysis.additive_r2:.0f} % of the variance.",
    )
    grid = figure.add_gridspec(
        len(folded), 2, height_ratios=[h + 0.8 for h in heights], width_ratios=[max(widths), 1.6]
    )
    largest = float(analysis.marginal_effects["effect"].abs().max()) or 1.0
    begin = [row for row, (_, part) in enumerate(folded) if part.start == 0]
    for row, (block, part) in enumerate(folded):
        if space.decisions[block[0]].ordered:
            _effects_line(figure, grid[row, 0], analysis, block[0], room)
        else:
            _effects_block(figure, grid[row, 0], analysis, block, part, largest)
    # The variance that a decision explains stands beside its first options.
    for row in begin:
        _shares_block(figure, grid[row, 1], analysis, folded[row][0], row == begin[-1])
    return figure


def _effects_block(
    figure: Figure,
    place: SubplotSpec,
    analysis: Analysis,
    block: list[int],
    options: range,
    largest: float,
) -> None:
    """Draws the effects of a range of options, for decisions with equal options."""
    space = analysis.landscape.table.space
    decisions = [space.decisions[i] for i in block]
    starts = np.cumsum([0, *space.n_options])
    effects = np.array(
        [analysis.marginal_effects["effect"][starts[i] : starts[i + 1]] for i in block]
    )[:, options.start : options.stop]
    panel = figure.add_subplot(place)
    # Blue is better, whether the column is maximised or minimised.
    colours = "RdBu" if analysis.landscape.column.maximize else "RdBu_r"
    edges = [np.arange(n + 1) - 0.5 for n in reversed(effects.shape)]
    panel.pcolormesh(
        *edges, effects, cmap=colours, vmin=-largest, vmax=largest, edgecolors="w", linewidth=0.8
    )
    panel.invert_yaxis()
    for (i, j), effect in np.ndenumerate(effects):
        dark = abs(effect) > 0.55 * largest
        panel.text(
            j,
            i,
            _signed(effect, largest),
            ha="center",
            va="center",
            color="w" if dark else "k",
            fontsize=6.5,
        )
    panel.set_xticks(range(effects.shape[1]), [str(decisions[0].options[i]) for i in options])
    panel.set_yticks(range(len(block)), [d.name for d in decisions])
    panel.tick_params(length=0, labelsize=7)
    panel.xaxis.tick_top()
    panel.grid(False)
    panel.spines[:].set_visible(False)


def _effects_line(
    figure: Figure, place: SubplotSpec, analysis: Analysis, number: int, room: float
) -> None:
    """Draws the effects of an ordered decision, with labels for as many options as have room."""
    space, every = analysis.landscape.table.space, analysis.marginal_effects["effect"]
    decision, start = space.decisions[number], sum(space.n_options[:number])
    labels = [str(option) for option in decision.options]
    n = len(labels)
    panel = figure.add_subplot(place)
    panel.axhline(0, color=GREY, linewidth=0.8)
    panel.plot(range(n), every[start : start + n], color=BLUE, marker="o", ms=3.5)
    panel.set_xlim(-0.5, n - 0.5)
    low, high = min(every.min(), 0.0), max(every.max(), 0.0)
    margin = 0.1 * (high - low) or 1.0
    panel.set_ylim(low - margin, high + margin)  # the same in all panels
    step = math.ceil(n * max(0.45, 0.1 + 0.055 * max(map(len, labels))) / room)
    panel.set_xticks(range(0, n, step), labels[::step])
    panel.set_ylabel(decision.name, rotation=0, ha="right", va="center", fontsize=7)
    panel.tick_params(labelsize=7)
    panel.grid(False, axis="x")


def _signed(effect: float, largest: float) -> str:
    """A number with digits that suit the largest; a dash for NaN."""
    if np.isnan(effect):
        return "–"
    digits = max(0, 1 - int(np.floor(np.log10(largest))))
    return f"{round(effect, digits) + 0.0:+.{digits}f}".replace("-", "−")


def _shares_block(
    figure: Figure, place: SubplotSpec, analysis: Analysis, block: list[int], last: bool
) -> None:
    shares = 100 * analysis.importance["share"].to_numpy()
    panel = figure.add_subplot(place)
    panel.barh(range(len(block)), shares[block], color=BLUE, height=0.7, zorder=2)
    panel.set_ylim(len(block) - 0.5, -0.5)
    largest = float(shares.max())
    panel.set_xlim(0, 1.05 * largest if largest > 0 else 1.0)
    panel.set_yticks([])
    panel.grid(False, axis="y")
    if last:
        panel.set_xlabel("variance explained (%)")
    else:
        panel.tick_params(labelbottom=False)


def landscape_figure(analysis: Analysis) -> Figure:
    """Values by distance from the best, ruggedness of the space, and ends of ascents."""
    has_distances = analysis.fitness_distance is not None
    figure, panels = _panels(analysis, 3 if has_distances else 2)
    if analysis.landscape.caveat:
        _heading(figure, analysis, f"; {analysis.landscape.caveat}")
    if has_distances:
        _fitness_distance(panels[0], analysis)
    _autocorrelation(panels[-2], analysis)
    _local_optima(panels[-1], analysis)
    return figure


def _fitness_distance(panel: Axes, analysis: Analysis) -> None:
    study, column = analysis.fitness_distance, analysis.landscape.column
    assert study is not None
    boxes: list[dict[str, Any]] = []
    frame = study.to_frame()
    for distance in frame["distance"]:
        values = study.values[study.distances == distance]
        low, q25, median, q75, high = np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9])
        boxes.append({"whislo": low, "q1": q25, "med": median, "q3": q75, "whishi": high})
    panel.bxp(
        boxes,
        positions=frame["distance"],
        widths=0.55,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#CCE3F0", "edgecolor": BLUE, "linewidth": 0.8},
        medianprops={"color": BLUE, "linewidth": 1.4},
        whiskerprops={"color": BLUE, "linewidth": 0.8},
        capprops={"color": BLUE, "linewidth": 0.8},
    )
    best = frame["max" if column.maximize else "min"]
    panel.plot(frame["distance"], best, color=RED, marker="o", ms=3, linewidth=0.8, label="best")
    panel.plot([], [], "s", color=BLUE, mfc="#CCE3F0", ms=6, label="quartiles, 10 and 90 %")
    _leave_room(panel, column)
    panel.legend(frameon=False, loc="lower left" if column.maximize else "upper left")
    panel.grid(False, axis="x")
    panel.set_xlabel("moves from the global optimum")
    panel.set_ylabel(_label(column))
    correlation = f"{study.correlation:.2f}".replace("-", "−").replace("nan", "unknown")
    panel.set_title(f"Fitness–distance correlation {correlation}", loc="left")


def _autocorrelation(panel: Axes, analysis: Analysis) -> None:
    walks = analysis.autocorrelation
    assert walks is not None
    lags = np.arange(len(walks.values))
    panel.plot(lags, walks.values, color=BLUE, marker="o", ms=3.5, linestyle="", label="measured")
    if np.isfinite(walks.length) and walks.length > 0:
        fine = np.linspace(0, lags[-1], 200)
        text = f"exp(−s / {walks.length:.2f})"
        panel.plot(fine, np.exp(-fine / walks.length), color=GREY, linewidth=1.0, label=text)
        panel.legend(frameon=False)
    panel.set_ylim(min(-0.05, float(np.nan_to_num(walks.values).min()) - 0.05), 1.05)
    panel.set_xlabel("moves of a random walk, s")
    panel.set_ylabel("autocorrelation")
    length = "unknown" if np.isnan(walks.length) else f"{walks.length:.2g} moves"
    panel.set_title(f"Correlation length {length}", loc="left")


def _local_optima(panel: Axes, analysis: Analysis) -> None:
    from matplotlib.ticker import MaxNLocator

    optima, column = analysis.local_optima, analysis.landscape.column
    assert optima is not None
    best = analysis.landscape.fitness[optima.rows] == analysis.landscape.fitness.max()
    share = 100 * optima.basins / optima.basins.sum()
    for kind, colour, text in ((~best, BLUE, "local optimum"), (best, RED, "global optimum")):
        panel.scatter(optima.values[kind], share[kind], 14, color=colour, alpha=0.75, linewidths=0)
        if kind.any():
            panel.scatter([], [], 14, color=colour, label=text)
    if share.max() > 3 * share.min():
        panel.set_yscale("log")
        _logarithmic(panel.yaxis)
    else:
        panel.set_ylim(0, 1.2 * share.max())
    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.set_xlabel(_label(column))
    panel.set_ylabel("ascents that end there (%)")
    panel.set_title(
        f"{share[best].sum():.3g} % of ascents find the best of {len(best):,} "
        f"{'optimum' if len(best) == 1 else 'optima'}{'' if optima.complete else ' seen'}",
        loc="left",
    )
    panel.legend(frameon=False, handlelength=1)
