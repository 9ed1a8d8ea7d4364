"""What the winners have in common: options that are more frequent among the best than in the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.errors import QueryError
from nasbench_lab.explanation.known import Floats, Known

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95

LEAST = 10
"""The fewest architectures that are called the best."""


@dataclass(frozen=True)
class Winners:
    """The options of the best architectures beside those of the rest.

    Args:
        options: A line per option: its share among the best (``best_share``, with Wilson's interval
            ``best_low`` to ``best_high``) and in the rest (``rest_share``), of those that have the
            decision; their ``difference`` with Newcombe's interval ``low`` to ``high``; and
            ``outcome``, ``more`` or ``less`` frequent among the best if that interval excludes 0.
        best: How many are among the best.
        rest: How many are not.
        limit: The value of the worst of the best.
    """

    options: pd.DataFrame
    best: int
    rest: int
    limit: float


def winners(known: Known, share: float = 0.05) -> Winners:
    """Compares the best architectures with the rest, option by option.

    The intervals of the shares are at ``LEVEL``. Those of the differences hold together at that level
    (Bonferroni's correction over all options). They take architectures for independent draws, which
    those of a search are not.

    Args:
        known: The architectures.
        share: How many are the best; at least ``LEAST``, and all that equal the worst of them.

    Raises:
        QueryError: The share is not between 0 and 1.
    """
    import pandas as pd

    if not 0 < share < 1:
        raise QueryError(
            f"Expected a share of the architectures between 0 and 1, such as 0.05, as the best, but "
            f"got {share:g}."
        )
    scores, space = known.scores, known.space
    k = min(max(LEAST, math.ceil(share * len(scores))), len(scores) // 2)
    limit = np.sort(scores)[-k]
    best = scores >= limit
    exists = space.active(known.architectures)
    lines: list[dict[str, Any]] = []
    for i, decision in enumerate(space.decisions):
        chosen, n = known.architectures[:, i], len(decision.options)
        of_best = np.bincount(chosen[exists[:, i] & best], minlength=n)
        of_rest = np.bincount(chosen[exists[:, i] & ~best], minlength=n)
        names = {"decision": decision.name, "n": of_best.sum(), "m": of_rest.sum()}
        for option, a, b in zip(decision.options, of_best, of_rest, strict=True):
            lines.append({**names, "option": option, "a": a, "b": b})
    frame = pd.DataFrame(lines)
    in_best, all_best, in_rest, all_rest = (frame[key].to_numpy(float) for key in "anbm")
    low, high = wilson(in_best, all_best, LEVEL)
    compared = sum(options for options in space.n_options if options > 1)
    together = 1 - (1 - LEVEL) / max(compared, 1)
    least, most = newcombe(in_best, all_best, in_rest, all_rest, together)
    with np.errstate(invalid="ignore"):
        shares, others = in_best / all_best, in_rest / all_rest
    options = frame[["decision", "option"]].assign(
        best_share=shares,
        best_low=low,
        best_high=high,
        rest_share=others,
        difference=shares - others,
        low=least,
        high=most,
        outcome=np.select([least > 0, most < 0], ["more", "less"], ""),
    )
    value = float(limit if known.objective.maximize else -limit)
    return Winners(options, int(best.sum()), int((~best).sum()), value)


def wilson(successes: Floats, n: Floats, level: float) -> tuple[Floats, Floats]:
    """``(k,)`` ends of Wilson's intervals, for many shares at once; 0 and 1 where ``n`` is 0."""
    from scipy.stats import norm

    z = norm.ppf((1 + level) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (
        np.where(n > 0, np.clip(middle - reach, 0, 1), 0.0),
        np.where(n > 0, np.clip(middle + reach, 0, 1), 1.0),
    )


def newcombe(a: Floats, n: Floats, b: Floats, m: Floats, level: float) -> tuple[Floats, Floats]:
    """Intervals of ``a / n - b / m`` (Newcombe, Statistics in Medicine 17, 1998, method 10).

    -1 and 1 where there is no such share.
    """
    (p_low, p_high), (q_low, q_high) = wilson(a, n, level), wilson(b, m, level)
    with np.errstate(invalid="ignore"):
        p, q = a / n, b / m
        low = p - q - np.hypot(p - p_low, q_high - q)
        high = p - q + np.hypot(p_high - p, q - q_low)
    known = (n > 0) & (m > 0)
    return np.where(known, low, -1.0), np.where(known, high, 1.0)
