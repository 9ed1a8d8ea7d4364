"""Successive halving: many short trainings, the best of which go on.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016 (arXiv 1502.07943); rungs and eta as in the inner loop of Hyperband (Li et al., JMLR
2018, arXiv 1603.06560, Algorithm 1).
"""

from __future__ import annotations

from typing import Any

from algorithms._brackets import BracketSearch
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import SearchSpace


class SuccessiveHalving(BracketSearch):
    """Trains many architectures for a short time and the best of them for longer.

    A bracket draws architectures and evaluates them at the lowest rung. The best ``1/eta`` of a
    rung (rounded down, at least one) go on to the next, up to full training; of equals, those asked
    first. Failed trials never go on. No worker is ever idle: while all brackets wait for results,
    the next one begins. Of the brackets that can go on, the oldest comes first.

    Where the benchmark knows the end of training only there is one rung, and this is random search.

    Args:
        space: The space to search.
        n_configurations: How many architectures a bracket draws; by default as many as leave one at
            the last rung.
        eta: A rung keeps one in ``eta``, and the next trains ``eta`` times as long.
        min_epoch: No rung is below this epoch.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_configurations: int | None = None,
        eta: int = 3,
        min_epoch: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, eta=eta, min_epoch=min_epoch, **kwargs)
        if n_configurations is None:
            n_configurations = eta ** (len(self.rungs) - 1)
        check_number("n_configurations", n_configurations, whole=True, low=1)
        self.n_configurations = n_configurations
        # Hyperband's Algorithm 1, lines 5 and 6: n_i and r_i of each rung; here at least one trial.
        self.schedules = [
            [(max(n_configurations // eta**i, 1), epoch) for i, epoch in enumerate(self.rungs)]
        ]


SuccessiveHalving.citation = """@inproceedings{jamieson2016nonstochastic,
  title = {Non-stochastic Best Arm Identification and Hyperparameter Optimization},
  author = {Jamieson, Kevin and Talwalkar, Ameet},
  booktitle = {International Conference on Artificial Intelligence and Statistics},
  year = {2016}
}"""
