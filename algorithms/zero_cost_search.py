"""Search by zero-cost proxies.

Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-cost proxies for lightweight NAS", ICLR 2021 (arXiv
2101.08134): random search with zero-cost warmup (section 5), by ``synflow`` or by the vote of several
proxies (section 3). The authors score 3,000 architectures in ``notebooks/nas_examples.ipynb`` of their
repository (SamsungLabs/zero-cost-nas).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from algorithms._proxies import Pool, Ranking
from nasbench_lab.algorithm import Proxies, SearchAlgorithm, Trial, Work, check_number
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace


class ZeroCostSearch(SearchAlgorithm):
    """Scores a pool of random architectures without training, and then evaluates the best first.

    Scoring is work of the algorithm itself, some architectures at a time. From its first part on the
    best by score is what it recommends, until something is evaluated. When all of a pool were
    evaluated, there is another pool, and the search ends when the space is used up. No result teaches
    it anything.

    Args:
        space: The space to search.
        proxies: The scores; given by the benchmark.
        proxy: The proxy that ranks, such as ``synflow`` or ``naswot``, or several that vote:
            ``('synflow', 'jacov', 'snip')``, as in the paper.
        pool_size: How many random architectures are scored before any is evaluated; fewer if some of
            them are equal or isomorphic, and all architectures if the space has no more.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.

    Raises:
        UnsuitedError: The benchmark has no proxies.
        UnknownNameError: It has other ones.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        proxies: Proxies | None = None,
        proxy: str | Sequence[str] = "synflow",
        pool_size: int = 3000,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("pool_size", pool_size, whole=True, low=1)
        self.pool_size = pool_size
        self._ranking = Ranking(proxies, proxy)
        self._drawn: set[Architecture] = set()
        self._pool = Pool(self._ranking, self._draw())
        self._next = 0

    def ask(self) -> Trial | Work | None:
        if self._pool.finished and self._next == len(self._pool.ranked):
            self._pool, self._next = Pool(self._ranking, self._draw()), 0
            if self._pool.finished:
                return None  # the space is used up
        if not self._pool.finished:
            return self._pool.score_some()
        self._next += 1
        return self.trial(tuple(self._pool.ranked[self._next - 1].tolist()))

    def _draw(self) -> Architectures:
        """Random architectures that are new, one of each class, in the order of the draws."""
        for _ in range(3):
            drawn = self.space.sample(self.rng, self.pool_size)
            if self.space.size <= self.pool_size:
                drawn = self.space.at(self.rng.permutation(self.space.size))
            members = dict.fromkeys(map(tuple, self.space.canonical(drawn).tolist()))
            new = [member for member in members if member not in self._drawn]
            if new:
                self._drawn.update(new)
                return np.array(new)
        return np.empty((0, len(self.space.decisions)), np.int64)


ZeroCostSearch.citation = r"""@inproceedings{abdelfattah2021zerocost,
  title = {Zero-Cost Proxies for Lightweight {NAS}},
  author = {Abdelfattah, Mohamed S. and Mehrotra, Abhinav and Dudziak, {\L}ukasz and
            Lane, Nicholas D.},
  booktitle = {International Conference on Learning Representations},
  year = {2021}
}"""
