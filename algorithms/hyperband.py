"""Hyperband: successive halving that hedges between many short and few long trainings.

Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: a novel bandit-based approach to
hyperparameter optimization", JMLR 18(185), 2018 (arXiv 1603.06560), Algorithm 1.
"""

from __future__ import annotations

from typing import Any

from algorithms._brackets import BracketSearch
from nasbench_lab.spaces import SearchSpace


class Hyperband(BracketSearch):
    """Successive halving with brackets that differ in how early they stop trials.

    The first bracket draws the most architectures and starts at the lowest rung. The next starts one
    rung higher with fewer architectures, and the last trains all of its few in full. Then the first
    comes again. All brackets take about as many epochs, where a trial that goes on counts from its
    start. Within a bracket, the best ``1/eta`` of a rung (rounded down) go on.

    Args:
        space: The space to search.
        eta: A rung keeps one in ``eta``, and the next trains ``eta`` times as long.
        min_epoch: No rung is below this epoch.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self, space: SearchSpace, *, eta: int = 3, min_epoch: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(space, eta=eta, min_epoch=min_epoch, **kwargs)
        n_rungs = len(self.rungs)  # s_max + 1, so that B = n_rungs R
        for s in range(n_rungs - 1, -1, -1):  # Algorithm 1, line 1
            # Line 2: n = ceil(B/R eta^s/(s + 1)). Table 1 of the paper has fewer in some brackets (27,
            # not 34, for s = 3): there B/R/(s + 1) was rounded down first.
            n = -(-n_rungs * eta**s // (s + 1))
            # Lines 4 to 6: n_i = floor(n eta^-i) trials at the epoch r_i, for i = 0, ..., s.
            rungs = enumerate(self.rungs[-1 - s :])
            self.schedules.append([(n // eta**i, epoch) for i, epoch in rungs])


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
