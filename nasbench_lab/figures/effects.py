"""The figure of marginal effects: what each option of each decision changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nasbench_lab.figures.layout import WIDTHS
from nasbench_lab.figures.panels import BLUE, GREY, unit_of_differences, write_heading
from nasbench_lab.landscape.analysis import Analysis

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec


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
    write_heading(
        figure,
        analysis,
        f": mean with an option less that of all ({unit_of_differences(column)}). Without "
        f"interactions, options explain {100 * analysis.additive_r2:.0f} % of the variance.",
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
