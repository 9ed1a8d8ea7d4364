"""What one-shot methods have in common that train sampled paths and compare paths afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._one_shot import OneShot
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    from nasbench_lab.trainer.supernet_training import SupernetTraining


class Paths(OneShot):
    """Base of methods that train single paths, and recommend one of several that they evaluate.

    An evaluation is a forward pass over the half of the training set that the weights are not trained
    on, with the shared weights. It is charged. What is recommended after an epoch is the best of a few
    paths; that is for the anytime curve only, and does not change the method's result.

    Args:
        space: The space to search.
        candidates: How many paths are evaluated after each epoch.
        **kwargs: Those of ``OneShot``.
    """

    def __init__(self, space: SearchSpace, *, candidates: int = 3, **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        check_number("candidates", candidates, whole=True, low=1)
        self.candidates = candidates

    def accuracies(
        self, training: SupernetTraining, paths: Iterable[Architecture]
    ) -> dict[Architecture, float]:
        """The accuracy of each different path, which is charged.

        Paths that differ only in edges that carry nothing or lead nowhere are the same network with
        the same weights, and are evaluated once. Other isomorphic paths have other shared weights.
        """
        different = list(dict.fromkeys(map(training.supernet.pruned, paths)))
        return dict(zip(different, training.accuracies(different), strict=True))

    def best(self, training: SupernetTraining, paths: Iterable[Architecture]) -> Architecture:
        """The path of the best accuracy; the first of several."""
        known = self.accuracies(training, paths)
        return max(known, key=known.__getitem__)

    def uniform(self) -> NDArray[np.float64]:
        """``(decisions, options)`` probabilities of a policy that draws all options alike."""
        n_options = np.array(self.space.n_options)[:, None]
        return np.where(np.arange(n_options.max()) < n_options, 1 / n_options, 0.0)

    def shares(self, paths: NDArray[np.int64]) -> NDArray[np.float64]:
        """``(decisions, options)`` shares of the options among ``(n, decisions)`` paths."""
        options = np.arange(max(self.space.n_options))
        shares: NDArray[np.float64] = (paths[:, :, None] == options).mean(axis=0)
        return shares

    def pruned(self, path: Architecture) -> Architecture:
        """The path without what has no part in it: in ``nb201``, edges that lead nowhere."""
        assert self.training is not None
        return self.training.supernet.pruned(path)
