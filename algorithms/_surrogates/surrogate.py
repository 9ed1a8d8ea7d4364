"""A Gaussian process on the scores of architectures that keeps up with a running search."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from algorithms._transfer import NormalScores, Prior
from nasbench_lab.predictors.gaussian_process import MOST_FITTED, fit_hyperparameters
from nasbench_lab.predictors.kernels import Hyperparameters, Kernel
from nasbench_lab.predictors.posterior import Candidates, Posterior
from nasbench_lab.predictors.standardisation import Standardisation
from nasbench_lab.spaces import Architecture, Architectures

Floats = NDArray[np.float64]


class Surrogate:
    """A Gaussian process whose data are the results of a search and its pending trials.

    A pending trial is a fantasy: its target is the predicted mean, so that it narrows the variance
    and leaves the means as they are. Its result replaces it.

    Args:
        kernel: The kernel.
        refit_growth: The hyperparameters are fitted again whenever the results have grown in number
            by this factor.
        prior: What is expected of the targets, which are then modelled by their deviations from it,
            in its scales; None for zero and one.
        standardise: Chooses the map from scores to targets.
    """

    def __init__(
        self,
        kernel: Kernel,
        refit_growth: float,
        prior: Prior | None = None,
        standardise: Callable[[Floats], Standardisation | NormalScores] = Standardisation.of,
    ) -> None:
        self.kernel = kernel
        self.refit_growth = refit_growth
        self.prior = prior
        self._standardise = standardise
        self.results: list[tuple[Architecture, float]] = []
        """Architectures and finite scores, in the order in which they came."""
        self._greatest = -math.inf  # of the scores
        self.pending: dict[int, Architecture] = {}
        """The architecture of each trial whose result is outstanding, by the trial's number."""
        self.hyper: Hyperparameters | None = None
        self.standardisation: Standardisation | NormalScores = Standardisation(-math.inf, 0.0, 1.0)
        self._next_fit = 0
        # The posterior that is kept up to date, and the number of the pending trial that each of its
        # observations is, or None if it is a result.
        self._posterior: Posterior | None = None
        self._numbers: list[int | None] = []

    @property
    def best(self) -> float:
        """The target of the best result."""
        return self.standardisation(self._greatest)

    def add_pending(self, number: int, architecture: Architecture) -> None:
        """Adds a trial whose result is outstanding."""
        self.pending[number] = architecture
        if self._posterior is not None:
            self._posterior.add(architecture)
            self._numbers.append(number)

    def finish(self, number: int, score: float) -> None:
        """Takes the result of a pending trial; a score that is not finite is no result."""
        architecture = self.pending.pop(number)
        self._append(architecture, score)
        if self._posterior is None:
            return
        i = self._numbers.index(number)
        if math.isfinite(score):
            self._posterior.observe(i, self._target(architecture, score))
            self._numbers[i] = None
        else:
            self._posterior.remove(i)
            del self._numbers[i]

    def add_result(self, architecture: Architecture, score: float) -> None:
        """Takes a result that no pending trial led to; a score that is not finite is no result."""
        self._append(architecture, score)
        if self._posterior is not None and math.isfinite(score):
            self._posterior.add(architecture, self._target(architecture, score))
            self._numbers.append(None)

    def posterior_at(self, candidates: Candidates) -> Posterior:
        """The posterior at candidates, which are the same in each call.

        It is kept, and takes in results and pending trials as they come, until the hyperparameters
        are due to be fitted again.
        """
        if self._posterior is None:
            self._posterior = self.condition(candidates)
            self._numbers = [*[None] * len(self.results), *self.pending]
        return self._posterior

    def condition(self, candidates: Candidates) -> Posterior:
        """A new posterior at candidates, given all results and fantasies."""
        scores = np.array([score for _, score in self.results])
        observed = np.array([architecture for architecture, _ in self.results])
        if self.hyper is None or len(scores) >= self._next_fit:
            self.hyper = self._fit(observed, scores)
        architectures = np.array([*observed, *self.pending.values()])
        waiting = np.full(len(self.pending), math.nan)
        targets = np.concatenate([self._targets(observed, scores), waiting])
        return Posterior(candidates, self.hyper, architectures, targets)

    def _fit(self, observed: Architectures, scores: Floats) -> Hyperparameters:
        """Fits the hyperparameters, to results from the whole course of the search if they are many."""
        n = len(scores)
        self.standardisation = self._standardise(scores)
        if self.prior is not None:
            self.prior.calibrate(observed, self.standardisation(scores))
        some = np.linspace(0, n - 1, min(n, MOST_FITTED)).round().astype(np.int64)
        self._next_fit = max(n + 1, math.ceil(n * self.refit_growth))
        targets = self._targets(observed[some], scores[some])
        return fit_hyperparameters(self.kernel, observed[some], targets)

    def _targets(self, architectures: Architectures, scores: Floats) -> Floats:
        """``(n,)`` targets of the Gaussian process."""
        targets = self.standardisation(scores)
        if self.prior is None:
            return targets
        mean, scale = self.prior.at(architectures)
        return (targets - mean) / scale

    def _target(self, architecture: Architecture, score: float) -> float:
        """One target."""
        if self.prior is None:
            return self.standardisation(score)
        return float(self._targets(np.array([architecture]), np.array([score]))[0])

    def _append(self, architecture: Architecture, score: float) -> None:
        """Notes a finite score; a posterior whose hyperparameters are due to be fitted again goes."""
        if math.isfinite(score):
            self.results.append((architecture, score))
            self._greatest = max(self._greatest, score)
        if len(self.results) >= self._next_fit:
            self._posterior = None
