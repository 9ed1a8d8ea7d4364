"""Hyperband: successive halving that hedges between many short and few long trainings.

Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: a novel bandit-based approach to
hyperparameter optimization", JMLR 18(185), 2018 (arXiv 1603.06560), Algorithm 1.
"""

from __future__ import annotations

from typing import Any

from algorithms.successive_halving import SuccessiveHalving
from nasbench_lab.spaces import SearchSpace


class Hyperband(SuccessiveHalving):
    """Successive halving with brackets that differ in how early they stop trials, for ever in turn.

    The first draws the most architectures and starts at the lowest rung, the next starts one rung
    higher with fewer, and the last trains all of its few in full. Each takes about as many epochs,
    those of a trial that goes on counted from the start.

    Args:
        space: The space to search.
        eta: A rung keeps one in ``eta``, and the next trains ``eta`` times as long.
        min_epoch: No rung is below this epoch.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self, space: SearchSpace, *, eta: int = 3, min_epoch: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(space, n_configurations=None, eta=eta, min_epoch=min_epoch, **kwargs)

    def schedule(self, bracket: int) -> list[tuple[int, int | None]]:
        n_rungs = len(self.rungs)
        s = n_rungs - 1 - bracket % n_rungs
        # ceil(B/R eta^s/(s + 1)) of Algorithm 1, where B is n_rungs R. Table 1 of the paper has fewer
        # in some brackets (27, not 34, for s = 3): there B/R/(s + 1) was rounded down first.
        n = -(-n_rungs * self.eta**s // (s + 1))
        return [(n // self.eta**i, epoch) for i, epoch in enumerate(self.rungs[-1 - s :])]


Hyperband.citation = """@article{li2018hyperband,
  title = {{Hyperband}: A Novel Bandit-Based Approach to Hyperparameter Optimization},
  author = {Li, Lisha and Jamieson, Kevin and DeSalvo, Giulia and Rostamizadeh, Afshin and
            Talwalkar, Ameet},
  journal = {Journal of Machine Learning Research},
  volume = {18},
  number = {185},
  pages = {1--52},
  year = {2018}
}"""
