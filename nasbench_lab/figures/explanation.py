"""Figures of an explanation, one for each question."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.explanation.explanation import Explanation
from nasbench_lab.explanation.sentences import QUESTIONS, label, named, number, sentences
from nasbench_lab.figures.layout import PALETTE, WIDTHS, drawable, styled, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED = PALETTE[:2]
GREY = "0.55"

_MOST_PAIRS = 12
"""The most decisions whose pairs are drawn as a matrix."""

_MOST_LINES = 24
"""The most options or decisions of a figure; those that differ most are shown."""

_SMALL: Any = {"fontsize": 6.5, "color": "0.25"}


def explanation_figures(explanation: Explanation, *, title: bool = True) -> dict[str, Figure]:
    """The figures of an explanation by name, without those that do not apply.

    Args:
        explanation: The explanation.
        title: Whether the question and its answer stand above each.
    """
    makers: dict[str, Callable[[Explanation], Figure]] = {
        "importance": importance_figure,
        "winners": winners_figure,
    }
    if explanation.path is not None and explanation.path.changes:
        makers["path"] = path_figure
    if explanation.chain is not None:
        makers["incumbents"] = incumbents_figure
    answers = sentences(explanation)
    with styled():
        made = {name: make(explanation) for name, make in makers.items()}
        for name, figure in made.items() if title else ():
            width, height = figure.get_size_inches()
            where = f"{QUESTIONS[name]} {explanation.known.name}: {answers[name]}"
            text = wrapped(where, width - 0.2, 7.5)
            figure.set_size_inches(width, height + 0.14 * (1 + text.count("\n")))
            figure.suptitle(text, fontsize=7.5, color="0.2", x=0.01, ha="left")
    return made


def _empty(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def importance_figure(explanation: Explanation) -> Figure:
    """What each decision explains, and what each pair explains beyond that."""
    found = explanation.importance
    lines = found.decisions
    if len(lines) > _MOST_LINES:
        top = lines["importance"].fillna(0).sort_values(ascending=False, kind="stable")
        lines = lines.loc[sorted(top.index[:_MOST_LINES])]
    by_permutation, n = found.pairs is None, len(lines)
    paired = not by_permutation and 2 <= len(found.decisions) <= _MOST_PAIRS
    figure = _empty(WIDTHS["page"] if paired else 4.4, 1.2 + 0.26 * max(n, 4))
    panels = figure.subplots(1, 2 if paired else 1, squeeze=False)[0].tolist()
    places, scale = np.arange(n), 1 if by_permutation else 100
    panels[0].barh(
        places,
        scale * lines["importance"],
        0.55,
        xerr=scale * lines["std"] if "std" in lines else None,
        error_kw={"elinewidth": 0.7, "ecolor": "0.3"},
        color=BLUE,
        zorder=2,
        label="all",
    )
    if "among_good" in lines:
        panels[0].plot(
            scale * lines["among_good"], places, "D", color=RED, ms=4, zorder=3,
            label="among the best quarter",
        )  # fmt: skip
        figure.legend(loc="outside lower left", ncols=2, frameon=False)
    panels[0].set_yticks(places, [drawable(str(name)) for name in lines["decision"]])
    panels[0].set_ylim(n - 0.5, -0.5)
    panels[0].grid(False, axis="y")
    axis = "loss of R² if permuted" if by_permutation else "variance that it explains alone (%)"
    spread = {"forest": "trees", "permutation": "permutations"}.get(found.method)
    below = f"\nlines: standard deviation of the {spread}" if spread else ""
    panels[0].set_xlabel(f"{axis}{below}")
    if paired:
        _pairs(panels[1], explanation)
    return figure


def _pairs(panel: Axes, explanation: Explanation) -> None:
    """A matrix of pairs."""
    pairs, names = explanation.importance.pairs, list(explanation.importance.decisions["decision"])
    n = len(names)
    shares = np.full((n, n), np.nan)
    assert pairs is not None
    place = {name: i for i, name in enumerate(names)}
    for line in pairs.itertuples():
        i, j = sorted((place[line.first], place[line.second]))
        shares[j, i] = 100 * line.importance
    largest = np.nanmax(shares) if np.isfinite(shares).any() else 1.0
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=largest or 1.0, aspect="auto")
    for (j, i), share in np.ndenumerate(shares):
        if np.isfinite(share):
            colour = "w" if share > 0.6 * largest else "k"
            panel.text(i, j, f"{share:.1f}", ha="center", va="center", color=colour, fontsize=6.5)
    labels = [drawable(str(name)) for name in names]
    panel.set_xticks(range(n), labels, rotation=30 if max(map(len, labels)) > 5 else 0)
    panel.set_yticks(range(n), labels)
    panel.set_xlim(-0.5, n - 1.5)
    panel.set_ylim(n - 0.5, 0.5)
    panel.grid(False)
    panel.set_xlabel("variance of pairs beyond their decisions (%)")


def winners_figure(explanation: Explanation) -> Figure:
    """The share of each option among the best beside that in the rest."""
    found = explanation.winners
    lines = found.options.dropna(subset="difference")
    alone = lines.groupby("decision")["option"].transform("count") == 1
    lines = lines[~alone]
    if len(lines) > _MOST_LINES:
        top = lines["difference"].abs().sort_values(ascending=False, kind="stable")
        lines = lines.loc[sorted(top.index[:_MOST_LINES])]
    n = len(lines)
    figure = _empty(5.2, 1.0 + 0.17 * max(n, 4))
    panel = figure.subplots()
    places = np.arange(n)
    best = 100 * lines["best_share"].to_numpy()
    marked = (lines["outcome"] != "").to_numpy()
    panel.plot(
        100 * lines["rest_share"], places, "o", mfc="w", color=GREY, ms=4.5, label="the rest"
    )
    for some, colour, who in (
        (~marked, GREY, "the best"),
        (marked, BLUE, "the best, where chance does not explain it"),
    ):
        if some.any():
            ends = np.abs(100 * lines[["best_low", "best_high"]].to_numpy().T - best)
            panel.errorbar(
                best[some], places[some], xerr=ends[:, some], fmt="o", color=colour, ms=4.5,
                elinewidth=1.0, label=who,
            )  # fmt: skip
    names = [drawable(f"{line.decision}: {line.option}") for line in lines.itertuples()]
    panel.set_yticks(places, names)
    panel.set_ylim(n - 0.5, -0.5)
    panel.set_xlim(-2, 102)
    panel.set_xlabel(f"have it, of the best {found.best:,} and of the other {found.rest:,} (%)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def path_figure(explanation: Explanation) -> Figure:
    """The values on the way from the start to the best, with what each change gains."""
    assert explanation.path is not None
    steps, objective = explanation.path.steps, explanation.known.objective
    n = len(steps)
    figure = _empty(5.2, 1.1 + 0.42 * n)
    panel = figure.subplots()
    # From top to bottom, so that the changes can be read.
    places = np.arange(n)
    panel.plot(steps["value"], places, "-o", color=BLUE, ms=5, label=drawable(named(objective)))
    report = explanation.report
    if report is not None and report.unit == objective.unit and steps["reported"].notna().any():
        beside = drawable(f"{named(report)}, which decides nothing")
        panel.plot(steps["reported"], places, ":s", color=GREY, ms=3.5, lw=1.0, label=beside)
    labels = ["start"]
    for line in steps.iloc[1:].itertuples():
        gain = number(float(line.gain), objective, signed=True)
        labels.append(drawable(f"{line.changed}\n{gain}"))
    panel.set_yticks(places, labels)
    for text, gain in zip(panel.get_yticklabels(), steps["gain"], strict=True):
        text.set_color(RED if gain < 0 else "k")
    panel.set_ylim(n - 0.5, -0.5)
    panel.set_xlabel(drawable(label(objective)))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def incumbents_figure(explanation: Explanation) -> Figure:
    """All evaluations of a run, its incumbents, and the known evaluation nearest to each."""
    chain, objective = explanation.chain, explanation.known.objective
    assert chain is not None
    evaluations = explanation.evaluations
    assert evaluations is not None
    values = evaluations["value"].to_numpy(float)
    figure = _empty(WIDTHS["page"], 3.2)
    panel = figure.subplots()
    panel.plot(evaluations["evaluation"], values, "o", color="0.75", ms=2.5, label="evaluation")
    at, height = chain["evaluation"].to_numpy(), chain["value"].to_numpy()
    for line in chain.dropna(subset="from_value").itertuples():
        panel.annotate(
            "",
            (line.evaluation, line.value),
            (line.from_evaluation, line.from_value),
            arrowprops={"arrowstyle": "->", "color": RED, "lw": 0.8, "shrinkA": 1, "shrinkB": 2},
        )
    panel.plot(at, height, "o", color=BLUE, ms=5, label="incumbent")
    panel.plot([], [], "-", color=RED, lw=0.8, label="from the nearest known evaluation")
    shown = values[np.isfinite(values)]
    if len(shown):
        # The few that failed to learn would flatten the rest.
        low, high = np.quantile(shown, [0.25, 1.0] if objective.maximize else [0.0, 0.75])
        low, high = min(low, np.nanmin(height)), max(high, np.nanmax(height))
        room = 0.12 * (high - low) or 1.0
        panel.set_ylim(low - room, high + room)
    for line in chain.itertuples():
        if np.isfinite(line.value) and np.isfinite(line.changes):
            panel.annotate(
                f"{line.changes:.0f}", (line.evaluation, line.value), (0, 5),
                textcoords="offset points", ha="center", **_SMALL,
            )  # fmt: skip
    panel.set_xlabel("evaluation; numbers: decisions changed since the nearest known evaluation")
    panel.set_ylabel(drawable(label(objective)))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
