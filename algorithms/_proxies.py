"""Scores by zero-cost proxies, which several algorithms use.

Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-cost proxies for lightweight NAS", ICLR 2021 (arXiv
2101.08134), section 5, and the authors' example ``notebooks/nas_examples.ipynb``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Proxies, Work, check_proxies
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import Architectures

_ROWS = 256
"""How many architectures are compared with all others at once."""

_AT_ONCE = 100
"""How many architectures of a pool are scored before the best of them is recommended."""


def proxy_names(proxy: str | Sequence[str]) -> tuple[str, ...]:
    """The names of one proxy, or of several that vote.

    Raises:
        HyperparameterError: They are no names, or one comes twice.
    """
    names = (proxy,) if isinstance(proxy, str) else proxy
    listed = tuple(names) if isinstance(names, list | tuple) else ()
    if not listed or not all(isinstance(n, str) for n in listed) or len(set(listed)) < len(listed):
        raise HyperparameterError(
            f"Expected a zero-cost proxy, or several different ones that vote, for proxy but got "
            f"{proxy!r}."
        )
    return listed


class Ranking:
    """Ranks architectures by a proxy, or by the vote of several.

    Args:
        proxies: The benchmark's proxies.
        proxy: The proxy, or several.

    Raises:
        UnsuitedError: The benchmark has no proxies.
        UnknownNameError: It has others.
        HyperparameterError: ``proxy`` is no name.
    """

    def __init__(self, proxies: Proxies | None, proxy: str | Sequence[str]) -> None:
        self.names = proxy_names(proxy)
        self._proxies = check_proxies(proxies, self.names)

    def score(self, architectures: Architectures) -> tuple[NDArray[np.float64], Work]:
        """``(k, n)`` scores of architectures by each proxy, and the work of it."""
        scores, work = self._proxies.score(self.names, architectures)
        return np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf), work

    def ranked(self, architectures: Architectures) -> tuple[Architectures, Work]:
        """``(n, d)`` architectures from best to worst, and the work of scoring them.

        Of equals, the first comes first; what has no score comes last.
        """
        scores, work = self.score(architectures)
        return architectures[best_first(scores)], work


def best_first(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """``(n,)`` positions from best to worst, of ``(k, n)`` scores of ``k`` proxies."""
    return _descending(votes(scores))


def _descending(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """``(n,)`` positions from the largest value to the smallest; of equals, the first is first."""
    return np.argsort(-values, kind="stable")


def votes(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n,)`` values by which architectures are ranked; more is better.

    A single proxy ranks by its scores. Of several, a majority decides between any two architectures
    (the paper's vote), and one is ranked by how many others it beats, less those that beat it; the mean
    of its ranks decides between equals.

    Args:
        scores: ``(k, n)`` scores of ``k`` proxies, more is better.
    """
    return _with_ranks(won(scores, scores)[0], scores)


def won(
    scores: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wins less losses by majority, of architectures against others, and of the others.

    Args:
        scores: ``(k, n)`` scores of ``k`` proxies.
        others: ``(k, m)`` scores of others.

    Returns:
        ``(n,)`` and ``(m,)`` numbers; zeros where there is a single proxy, as its ranks decide.
    """
    k, n = scores.shape
    wins, of_others = np.zeros(n), np.zeros(others.shape[1])
    if k == 1:
        return wins, of_others
    for first in range(0, n, _ROWS):
        rows = scores[:, first : first + _ROWS, None]
        ahead = (rows > others[:, None]).astype(np.int8) - (rows < others[:, None])
        decided = np.sign(ahead.sum(axis=0))
        wins[first : first + _ROWS] = decided.sum(axis=1)
        of_others -= decided.sum(axis=0)
    return wins, of_others


def _with_ranks(wins: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n,)`` wins, and the mean rank, where equal scores have the same, as less than one win."""
    n = scores.shape[1]
    ranks = [np.unique(line, return_inverse=True)[1].reshape(n) for line in scores]
    result: NDArray[np.float64] = wins + np.mean(ranks, axis=0) / (n + 1)
    return result


class Pool:
    """Random architectures that are scored, some at a time, and then ranked.

    Args:
        ranking: What ranks them.
        architectures: ``(n, d)`` architectures.
    """

    def __init__(self, ranking: Ranking, architectures: Architectures) -> None:
        self._ranking, self._all = ranking, architectures
        self._scores = np.empty((len(ranking.names), 0))
        self._won = np.empty(0)  # so that no two are compared twice
        self.ranked = architectures[:0]
        """``(m, d)`` those that were scored, from best to worst."""

    @property
    def finished(self) -> bool:
        """Whether all of them were scored."""
        return len(self.ranked) == len(self._all)

    def score_some(self) -> Work:
        """Scores some more.

        Returns:
            The work, which recommends the best of all so far.
        """
        n = len(self.ranked)
        scores, work = self._ranking.score(self._all[n : n + _AT_ONCE])
        wins, losses = won(scores, self._scores)
        self._won = np.concatenate([self._won + losses, wins + won(scores, scores)[0]])
        self._scores = np.concatenate([self._scores, scores], axis=1)
        self.ranked = self._all[_descending(_with_ranks(self._won, self._scores))]
        return work._replace(architecture=tuple(self.ranked[0].tolist()))
