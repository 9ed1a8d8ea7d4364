"""An explanation in sentences, one or two for each question."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.benchmark import Objective
from nasbench_lab.explanation.known import Floats
from nasbench_lab.landscape.analysis import bulk
from nasbench_lab.words import counted, listed

if TYPE_CHECKING:
    from nasbench_lab.explanation.explanation import Explanation

_NAMED = 3
"""The most decisions or options that a sentence names."""

_MOST_APART = 0.5
"""If values far from all others make up more of the variance, it says little of the others."""

WEAK = 0.5
"""A forest that explains less of the variance is called weak."""

NO_UNIT = ("", "1")
"""Units of plain numbers, which are not written."""

QUESTIONS = {
    "importance": "Which decisions matter?",
    "winners": "What do the best have in common?",
    "path": "How far is it to the best?",
    "incumbents": "How did the search get there?",
}


def sentences(explanation: Explanation) -> dict[str, str]:
    """The answers to ``QUESTIONS`` in words, without those that do not apply."""
    answers = {
        "importance": _importance(explanation),
        "winners": _winners(explanation),
        "path": _path(explanation),
        "incumbents": _incumbents(explanation),
    }
    return {name: answer for name, answer in answers.items() if answer}


def number(value: float, objective: Objective, *, signed: bool = False) -> str:
    """A value with its unit; a signed one is a difference."""
    text = f"{value:{'+' if signed else ''}.4g}".replace("-", "−")
    unit = "points" if signed and objective.unit == "%" else objective.unit
    return text if unit in NO_UNIT else f"{text} {unit}"


def named(objective: Objective) -> str:
    """The objective's name in words."""
    return objective.name.replace("_", " ")


def label(objective: Objective) -> str:
    """The objective as an axis shows it, with its unit."""
    return named(objective) + ("" if objective.unit in NO_UNIT else f" ({objective.unit})")


def _importance(explanation: Explanation) -> str:
    found, what = explanation.importance, named(explanation.known.objective)
    lines = found.decisions.dropna(subset="importance")
    if not len(lines):
        return "All known values are equal, so no decision matters."
    first = lines.sort_values("importance", ascending=False, kind="stable").head(_NAMED)
    if found.method == "permutation":
        drops = [f"{line.decision} ({line.importance:.2f})" for line in first.itertuples()]
        return (
            f"A random forest predicts {what} with R² {found.fit:.2f}. R² drops most if these "
            f"decisions are permuted: {listed(drops)}.{_weak(found.fit)}"
        )
    text = (
        f"Single decisions explain {found.alone:.0%} of the variance of {what}, and pairs "
        f"{found.together:.0%} beyond that. Most is explained by "
        f"{_shares(first, 'importance')}"
    )
    if found.pairs is not None and len(found.pairs):
        pair = found.pairs.iloc[0]
        text += f"; of pairs, by {pair['first']} with {pair['second']} ({pair['importance']:.0%})"
    apart, variance = _apart(explanation.known.scores)
    if variance > _MOST_APART:
        text += (
            f". But {counted(apart, 'architecture')} far from all others "
            f"{'makes' if apart == 1 else 'make'} up {variance:.0%} of the variance"
        )
    good = lines.dropna(subset="among_good")
    if len(good):
        good = good.sort_values("among_good", ascending=False, kind="stable").head(_NAMED)
        text += f". Among the best quarter it is {_shares(good, 'among_good')}"
    if found.method == "exact":
        return f"{text}."
    return (
        f"{text}. This is what a random forest learnt; it explains {max(found.fit, 0):.0%} of the "
        f"variance of what it did not learn.{_weak(found.fit)}"
    )


def _apart(scores: Floats) -> tuple[int, float]:
    """How many values are far from all others, and their share of the variance."""
    low, high = bulk(scores)
    squares, far = (scores - scores.mean()) ** 2, (scores < low) | (scores > high)
    return int(far.sum()), float(squares[far].sum() / squares.sum())


def _weak(fit: float) -> str:
    return " That is little, so these numbers are rough." if fit < WEAK else ""


def _shares(lines: Any, column: str) -> str:
    return listed(
        [
            f"{name} ({share:.0%})"
            for name, share in zip(lines["decision"], lines[column], strict=True)
        ]
    )


def _winners(explanation: Explanation) -> str:
    found, objective = explanation.winners, explanation.known.objective
    best = (
        f"the best {found.best:,} of {counted(found.best + found.rest, 'architecture')} "
        f"({number(found.limit, objective)} or better)"
    )
    more = found.options[found.options["outcome"] == "more"]
    if not len(more):
        return f"No option is more frequent among {best} than may be chance."
    first = more.sort_values("difference", ascending=False, kind="stable").head(_NAMED)
    told = [
        f"{line.decision} is {line.option} in {line.best_share:.0%} of them and {line.rest_share:.0%} "
        f"of the rest"
        for line in first.itertuples()
    ]
    others = len(more) - len(first)
    also = f" {counted(others, 'more option')} are more frequent too." if others > 1 else ""
    return f"Of {best}: {listed(told)}.{also}"


def _path(explanation: Explanation) -> str:
    path, objective = explanation.path, explanation.known.objective
    goal = "what the run found" if explanation.algorithm else "the best"
    if path is None:
        return f"There is no path of single changes to {goal} to show: {explanation.no_path}."
    steps = path.steps
    begin = (
        f"the first evaluation of {explanation.algorithm}, seed {explanation.seed},"
        if explanation.algorithm
        else "the start"
    )
    if not path.changes:
        return f"It begins with {goal}, at {number(steps['value'].iloc[0], objective)}."
    text = (
        f"From {begin} ({number(steps['value'].iloc[0], objective)}) "
        f"{counted(path.changes, 'change')} {'leads' if path.changes == 1 else 'lead'} to {goal} "
        f"({number(steps['value'].iloc[-1], objective)})"
    )
    if path.loses:
        lost = number(path.loses, objective, signed=True).lstrip("+")
        text += f"; every way as short loses somewhere, and this one least, {lost}"
    else:
        text += ", and no change loses"
    top = steps.iloc[int(np.nanargmax(steps["gain"]))]
    return (
        f"{text}. The change {top['changed']} gains most, "
        f"{number(top['gain'], objective, signed=True)}."
    )


def _incumbents(explanation: Explanation) -> str:
    chain, every = explanation.chain, explanation.incumbents
    if chain is None or every is None:
        return ""
    run = f"{explanation.algorithm}, seed {explanation.seed}"
    informed = chain.dropna(subset="changes")
    near = int((informed["changes"] <= 1).sum())
    text = f"{run}, had {counted(len(chain), 'incumbent')}"
    if len(informed):
        text += (
            f"; {near} of {len(informed)} that came when something was known differ from a known "
            f"evaluation in one decision or none, as {explanation.near_by_chance:.0%} of random "
            f"architectures would"
        )
    all_informed = every.dropna(subset="changes")
    shares = all_informed.assign(near=all_informed["changes"] <= 1).groupby(
        "algorithm", sort=False
    )["near"]
    told = [f"{share:.0%} of those of {name}" for name, share in shares.mean().items()]
    runs = len(every[["algorithm", "seed"]].drop_duplicates())
    if told and runs > 1:
        text += f". Over all runs, that holds for {listed(told)}"
    gains = chain["gain"].to_numpy(float)
    if np.isfinite(gains).any() and not math.isnan(np.nanmax(gains)):
        top = chain.iloc[int(np.nanargmax(gains))]
        how = f" ({top['changed']})" if top["changed"] else ""
        if top["changes"] > _NAMED:
            how = f" (it changed {top['changes']:.0f} decisions)"
        text += (
            f". Evaluation {top['evaluation']} gained most, "
            f"{number(top['gain'], explanation.known.objective, signed=True)}{how}"
        )
    return f"{text}."
