"""Search in the box that holds what was best on other tasks.

Perrone, Shen, Seeger, Archambeau and Jenatton, "Learning search spaces for Bayesian optimization:
another view of hyperparameter transfer learning", NeurIPS 2019 (arXiv 1909.12552), section 4.1; the
unordered decisions as in Syne Tune (Salinas et al., AutoML 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms._narrowed import NarrowedSearch
from nasbench_lab.algorithm import (
    Evaluation,
    History,
    SearchAlgorithm,
    Trial,
    Work,
    check_history,
    check_number,
)
from nasbench_lab.spaces import Architecture, Narrowed, SearchSpace


class TransferBoundingBox(NarrowedSearch):
    """A base algorithm in the smallest box around the best architectures of other tasks.

    Of an ordered decision the box has the options from the least to the greatest that these have, of
    another decision those that they have. When the base algorithm has nothing more to ask in the box,
    random architectures of the whole space follow.

    Args:
        space: The space to search.
        history: What is known of other tasks; given by the experiment.
        base: The algorithm that searches the box: the name of a file beside this one, or a class. One
            that is given images or proxies by the benchmark does not suit.
        base_hyperparameters: The base algorithm's hyperparameters.
        n_best: How many architectures of each task are in the box, its best ones.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        history: History | None = None,
        base: str | type[SearchAlgorithm] = "gp_bo",
        base_hyperparameters: Mapping[str, Any] | None = None,
        n_best: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, base=base, base_hyperparameters=base_hyperparameters, **kwargs)
        check_number("n_best", n_best, whole=True, low=1)
        self.narrowed = bounding_box(space, check_history(history), n_best)
        self._base = self._base_on(self.narrowed.space, self.rng)

    def ask(self) -> Trial | Work | None:
        asked = self._ask_base()
        return self.trial(self.space.sample(self.rng)) if asked is None else asked

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        if not self._tell_base(trial, evaluation):
            self._observe_in_part(trial.architecture, evaluation)

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Lets the base algorithm observe a result in the box."""
        self._observe_in_part(architecture, evaluation)


def bounding_box(space: SearchSpace, history: History, n_best: int) -> Narrowed:
    """The smallest box around the best architectures of each task."""
    best = np.concatenate(
        [t.architectures[np.argsort(-t.scores, kind="stable")[:n_best]] for t in history.tasks]
    )
    exists = space.active(best)
    kept = []
    for i, decision in enumerate(space.decisions):
        options = np.unique(best[exists[:, i], i])
        if not len(options):  # none of them has the decision
            options = np.arange(len(decision.options))
        elif decision.ordered:
            options = np.arange(options[0], options[-1] + 1)
        kept.append(tuple(options.tolist()))
    return Narrowed(space, tuple(kept))


TransferBoundingBox.citation = r"""@inproceedings{perrone2019learning,
  title = {Learning Search Spaces for {Bayesian} Optimization: Another View of Hyperparameter
           Transfer Learning},
  author = {Perrone, Valerio and Shen, Huibin and Seeger, Matthias and Archambeau, C{\'e}dric and
            Jenatton, Rodolphe},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2019}
}"""
