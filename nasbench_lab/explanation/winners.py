"""What the winners have in common: options that are more frequent among the best than in the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab import stats
from nasbench_lab.errors import QueryError
from nasbench_lab.explanation.known import Known

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
    compared = sum(n for n in space.n_options if n > 1)
    lines: list[dict[str, Any]] = []
    for i, decision in enumerate(space.decisions):
        n_best, n_rest = int((exists[:, i] & best).sum()), int((exists[:, i] & ~best).sum())
        for j, option in enumerate(decision.options):
            chosen = (known.architectures[:, i] == j) & exists[:, i]
            a, b = int((chosen & best).sum()), int((chosen & ~best).sum())
            low, high = stats.wilson_interval(a, n_best, LEVEL)
            p, q = (a / n_best if n_best else math.nan), (b / n_rest if n_rest else math.nan)
            least, most = _newcombe(a, n_best, b, n_rest, 1 - (1 - LEVEL) / max(compared, 1))
            lines.append(
                {
                    "decision": decision.name,
                    "option": option,
                    "best_share": p,
                    "best_low": low,
                    "best_high": high,
                    "rest_share": q,
                    "difference": p - q,
                    "low": least,
                    "high": most,
                    "outcome": "more" if least > 0 else "less" if most < 0 else "",
                }
            )
    value = float(limit if known.objective.maximize else -limit)
    return Winners(pd.DataFrame(lines), int(best.sum()), int((~best).sum()), value)


def _newcombe(a: int, n: int, b: int, m: int, level: float) -> tuple[float, float]:
    """Interval of ``a / n - b / m`` (Newcombe, Statistics in Medicine 17, 1998, method 10)."""
    if not (n and m):
        return -1.0, 1.0
    p, q = a / n, b / m
    (p_low, p_high), (q_low, q_high) = (
        stats.wilson_interval(a, n, level),
        stats.wilson_interval(b, m, level),
    )
    below = math.hypot(p - p_low, q_high - q)
    above = math.hypot(p_high - p, q - q_low)
    return p - q - below, p - q + above
