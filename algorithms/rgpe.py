"""Bayesian optimisation with an ensemble of the surrogates of several tasks.

Feurer, Letham and Bakshy, "Scalable meta-learning for Bayesian optimization using
ranking-weighted Gaussian process ensembles", ICML 2018 AutoML Workshop (arXiv 1802.02219).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms._surrogates import acquisition as acquisitions
from algorithms._transfer import TaskModel, predicted, predicted_at_all, task_models
from algorithms.gp_bo import GPBO
from nasbench_lab.algorithm import History, check_choice, check_history, check_number
from nasbench_lab.predictors.posterior import Posterior
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace

Floats = NDArray[np.float64]

FEW = 3
"""With fewer results, the target's own surrogate has no part in the ensemble."""

MOST_RANKED = 64
"""The most results by which the surrogates are weighed; the time grows with their square."""


class RGPE(GPBO):
    """A ranking-weighted ensemble of Gaussian processes: one for each other task, and the search's own.

    A surrogate's weight is how often, in samples of all, it ranks the results of the search best; the
    search's own is judged by predictions without the result in question (section 4.1). One whose
    median loss is beyond the 95th percentile of the own surrogate's losses has no weight (4.2). Weights
    are computed again whenever the surrogate is fitted. The initial architectures are each the best by
    one other task, drawn at random.

    Args:
        space: The space to search.
        history: What is known of other tasks; given by the experiment.
        n_initial: How many architectures other tasks alone propose.
        n_samples: How many samples of the rankings weigh the surrogates.
        **kwargs: Other hyperparameters of ``gp_bo``, whose acquisition must be ``ei`` or ``ucb``, and
            ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        history: History | None = None,
        n_initial: int = 5,
        n_samples: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, n_initial=n_initial, prior="none", **kwargs)
        check_number("n_samples", n_samples, whole=True, low=1)
        check_choice("acquisition", self.acquisition, ("ei", "ucb"))
        self._check_one_objective()
        self.n_samples = n_samples
        self._models = task_models(self.kernel.name, space, check_history(history), False)
        self.weights = np.append(np.full(len(self._models), 1.0 / len(self._models)), 0.0)
        """``(tasks + 1,)`` weights of the other tasks' surrogates, and last of the search's own."""
        self._weighed = 0  # how many results there were

    def _draw_initial(self) -> Architecture | None:
        """The best by one of the other tasks that was not asked before."""
        chosen = int(self.rng.random() * len(self._models))
        candidates = self._initial_candidates()
        if self._whole:
            means = predicted_at_all(self._models, candidates)[0][chosen]
        else:
            means, _ = self._models[chosen].predict(candidates.architectures)
        return self._best_new(candidates, means)

    def _acquire(self, posterior: Posterior, barred: NDArray[np.bool_]) -> int:
        """The position of the candidate at which the acquisition function is greatest."""
        n = len(self.surrogate.results)
        if n >= FEW and n >= self._weighed * self.surrogate.refit_growth:
            self._weigh()
            self._weighed = n
        candidates = posterior.candidates
        if self._whole and not self.preselection:
            means, variances = predicted_at_all(self._models, candidates)
        else:
            means, variances = predicted(self._models, candidates.architectures)
        # The ensemble is Gaussian too (section 4): means weighted, variances by their squares.
        others, own = self.weights[:-1], float(self.weights[-1])
        mean = others @ means + own * posterior.mean
        variance = others**2 @ variances + own**2 * np.maximum(posterior.variance, 0.0)
        if self.acquisition == "ucb":
            return acquisitions.best_by_upper_bound(mean, variance, self.ucb_beta, barred, self.rng)
        best = self._best_expected(posterior)
        return acquisitions.best_by_expected_improvement(mean, variance, best, barred, self.rng)

    def _best_expected(self, posterior: Posterior) -> float:
        """The greatest mean of the ensemble at the results, as the scales of the tasks differ."""
        architectures, targets = self._results()
        means, _ = predicted(self._models, architectures)
        own = float(self.weights[-1])
        return float((self.weights[:-1] @ means + own * targets).max())

    def _results(self) -> tuple[Architectures, Floats]:
        """Architectures and targets of results, the last ``MOST_RANKED`` of them and the best."""
        results = self.surrogate.results
        if len(results) > MOST_RANKED:
            best = max(results, key=lambda result: result[1])
            results = [best, *results[1 - MOST_RANKED :]]
        scores = np.array([score for _, score in results])
        return np.array([a for a, _ in results]), self.surrogate.standardisation(scores)

    def _weigh(self) -> None:
        """Weighs the surrogates by how well they rank the results (section 4.1, equation 5)."""
        architectures, targets = self._results()
        losses = [
            ranking_losses(model.sample(architectures, self.n_samples, self.rng), targets)
            for model in self._models
        ]
        losses.append(ranking_losses(self._left_out(architectures, targets), targets))
        self.weights = rank_weights(np.array(losses))

    def _left_out(self, architectures: Architectures, targets: Floats) -> Floats:
        """``(samples, n)`` samples of each result as predicted from the others (GPML 5.12)."""
        assert self.surrogate.hyper is not None
        model = TaskModel(self.kernel, architectures, targets, self.surrogate.hyper)
        mean, variance = model.left_out(targets)
        return mean + np.sqrt(variance) * self.rng.normal(size=(self.n_samples, len(targets)))


def ranking_losses(samples: Floats, targets: Floats) -> Floats:
    """How many pairs of results each sample ranks the wrong way (equation 4).

    Args:
        samples: ``(s, n)`` predictions.
        targets: ``(n,)`` what came of them.

    Returns:
        ``(s,)`` counts; each pair counts twice, once in each order.
    """
    wrong = (samples[:, :, None] < samples[:, None, :]) != (targets[:, None] < targets[None, :])
    losses: Floats = wrong.sum(axis=(1, 2)).astype(np.float64)
    return losses


def rank_weights(losses: Floats) -> Floats:
    """``(k,)`` weights of surrogates by their ``(k, samples)`` losses; the last one is the own.

    Each sample gives its weight to the surrogate of the least loss: among equals to the own one, else
    to all of them in equal parts.
    """
    median, allowed = np.median(losses[:-1], axis=1), np.quantile(losses[-1], 0.95)
    counted = losses.copy()
    counted[:-1][median > allowed] = np.inf  # against the dilution of weights (section 4.2)
    best = counted == counted.min(axis=0)
    best[:-1] &= ~best[-1]
    weights: Floats = (best / best.sum(axis=0)).mean(axis=1)
    return weights


RGPE.citation = """@article{feurer2018scalable,
  title = {Scalable Meta-Learning for {Bayesian} Optimization using Ranking-Weighted {Gaussian}
           Process Ensembles},
  author = {Feurer, Matthias and Letham, Benjamin and Bakshy, Eytan},
  journal = {arXiv preprint arXiv:1802.02219},
  year = {2018}
}"""
