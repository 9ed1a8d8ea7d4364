"""What algorithms make of other tasks: scores that can be compared, models of tasks, and priors.

Searches of one process share the models, as they depend on the space and the history only.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from algorithms._decisions import drawn_architecture
from nasbench_lab.algorithm import History, OtherTask
from nasbench_lab.predictors.gaussian_process import fit_hyperparameters
from nasbench_lab.predictors.kernels import Hyperparameters, Kernel
from nasbench_lab.predictors.posterior import Candidates
from nasbench_lab.predictors.standardisation import LARGEST, Standardisation
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace

Floats = NDArray[np.float64]

MOST_KNOWN = 200
"""The most architectures of a task that its model is fitted to."""

BLOCK = 4096
"""So many architectures are predicted at a time."""


def normal_scores(scores: Floats) -> Floats:
    """``(n,)`` scores as quantiles of a standard normal: of equal ranks, whatever their unit.

    Salinas, Shen and Perrone, ICML 2020 (arXiv 1909.13595), section 4.1. The quantile of the k-th of
    n is that of (k - 1/2) / n, and equal scores have the mean of their ranks.
    """
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - 0.5 * (counts - 1))[which.ravel()]
    quantiles: Floats = ndtri((ranks - 0.5) / len(scores))
    return quantiles


@dataclass(frozen=True, eq=False)
class NormalScores:
    """The map from scores to normal scores, as it is for some scores, and between and beyond them.

    Args:
        scores: ``(k,)`` different scores, ascending.
        quantiles: ``(k,)`` what they are mapped to.
    """

    scores: Floats
    quantiles: Floats

    @classmethod
    def of(cls, scores: Floats) -> NormalScores:
        """The map of ``(n,)`` scores."""
        different, first = np.unique(scores, return_index=True)
        return cls(different, normal_scores(scores)[first])

    @overload
    def __call__(self, score: float) -> float: ...
    @overload
    def __call__(self, score: Floats) -> Floats: ...
    def __call__(self, score: float | Floats) -> float | Floats:
        """The normal scores; a score beyond the greatest has that of a better one of one more."""
        inside = np.interp(score, self.scores, self.quantiles)
        n = len(self.scores) + 1
        beyond = max(float(ndtri((n - 0.5) / n)), float(self.quantiles[-1]) + 0.1)
        result = np.where(np.asarray(score) > self.scores[-1], beyond, inside)
        return float(result) if np.ndim(score) == 0 else result


def some_of(task: OtherTask, most: int = MOST_KNOWN) -> NDArray[np.int64]:
    """``(k,)`` positions of architectures of a task, evenly spaced from the worst to the best."""
    order = np.argsort(task.scores, kind="stable")
    places = np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(np.int64)
    return order[places]


class TaskModel:
    """A Gaussian process on what is known of a task (GPML, Algorithm 2.1).

    Args:
        kernel: The kernel.
        architectures: ``(n, d)`` architectures.
        targets: ``(n,)`` targets, of mean zero and variance one.
        hyper: Its hyperparameters; by default those that make the targets likeliest.
    """

    def __init__(
        self,
        kernel: Kernel,
        architectures: Architectures,
        targets: Floats,
        hyper: Hyperparameters | None = None,
    ) -> None:
        self.kernel = kernel
        self.hyper = hyper or fit_hyperparameters(kernel, architectures, targets)
        self._coefficients = kernel.coefficients(kernel.features(architectures), self.hyper.lengths)
        covariance = self._cross(architectures)
        covariance[np.diag_indices(len(targets))] += self.hyper.noise + 1e-10
        lower = np.linalg.cholesky(covariance)
        self._inverse = solve_triangular(lower, np.eye(len(targets)), lower=True)
        self._weights = self._inverse.T @ (self._inverse @ targets)

    def _cross(self, architectures: Architectures) -> Floats:
        """``(n, m)`` covariances of what is known with other architectures."""
        r2 = self._coefficients @ self.kernel.features(architectures).T
        covariance: Floats = self.hyper.amplitude * self.kernel.of_square(r2)
        return covariance

    def predict(self, architectures: Architectures) -> tuple[Floats, Floats]:
        """``(m,)`` means and variances."""
        means, variances = np.empty(len(architectures)), np.empty(len(architectures))
        for i in range(0, len(architectures), BLOCK):
            cross = self._cross(architectures[i : i + BLOCK])
            means[i : i + BLOCK] = self._weights @ cross
            white = self._inverse @ cross
            variances[i : i + BLOCK] = self.hyper.amplitude - np.einsum("ij,ij->j", white, white)
        return means, np.maximum(variances, 1e-12)

    def left_out(self, targets: Floats) -> tuple[Floats, Floats]:
        """``(n,)`` means and variances of each target as predicted from the others (GPML 5.12)."""
        precision = np.einsum("ij,ij->j", self._inverse, self._inverse)
        return targets - self._weights / precision, 1.0 / precision

    def sample(self, architectures: Architectures, n: int, rng: np.random.Generator) -> Floats:
        """``(n, m)`` joint samples of the function at some architectures."""
        cross = self._cross(architectures)
        white = self._inverse @ cross
        features = self.kernel.features(architectures)
        coefficients = self.kernel.coefficients(features, self.hyper.lengths)
        covariance = self.hyper.amplitude * self.kernel.of_square(coefficients @ features.T)
        covariance -= white.T @ white
        covariance[np.diag_indices(len(covariance))] += 1e-6 * self.hyper.amplitude
        lower = np.linalg.cholesky(covariance)
        samples: Floats = self._weights @ cross + rng.normal(size=(n, len(lower))) @ lower.T
        return samples


@functools.lru_cache(maxsize=16)
def task_models(
    kernel: str, space: SearchSpace, history: History, by_rank: bool
) -> tuple[TaskModel, ...]:
    """A model of each task.

    Args:
        kernel: One of ``KERNELS``.
        space: The space.
        history: What is known of the tasks.
        by_rank: Whether the targets are normal scores, and not standardised scores.
    """
    models = []
    for task in history.tasks:
        which = some_of(task)
        if by_rank:
            targets = normal_scores(task.scores)[which]
        else:
            scores = np.clip(task.scores, -LARGEST, LARGEST)
            targets = Standardisation.of(scores)(scores[which])
        with threadpool_limits(1):  # as in a search
            models.append(TaskModel(Kernel(kernel, space), task.architectures[which], targets))
    return tuple(models)


@functools.lru_cache(maxsize=8)
def predicted_at_all(
    models: tuple[TaskModel, ...], candidates: Candidates
) -> tuple[Floats, Floats]:
    """``(tasks, m)`` means and variances at candidates that many searches share."""
    return predicted(models, candidates.architectures)


def predicted(models: tuple[TaskModel, ...], architectures: Architectures) -> tuple[Floats, Floats]:
    """``(tasks, m)`` means and variances."""
    means, variances = zip(*(model.predict(architectures) for model in models), strict=True)
    return np.array(means), np.array(variances)


class Prior:
    """What other tasks let expect of the targets of a Gaussian process.

    The mean over the tasks of what their models predict, in normal scores, and the spread: that of
    the tasks, and their models' doubt.

    Args:
        kernel: The kernel of the models.
        history: What is known of the tasks.
        scaled: Whether the targets deviate from the mean by the spread, and not by the same amount
            everywhere.
        calibrated: Whether the mean is shifted and stretched to fit the search's own targets, so that
            tasks which mislead soon count for nothing.
    """

    def __init__(self, kernel: Kernel, history: History, scaled: bool, calibrated: bool) -> None:
        self.models = task_models(kernel.name, kernel.space, history, True)
        self.scaled, self.calibrated = scaled, calibrated
        self._offset, self._slope = 0.0, 1.0

    def expected(
        self, candidates: Candidates | Architectures, shared: bool = False
    ) -> tuple[Floats, Floats]:
        """``(m,)`` means over the tasks and spreads.

        Args:
            candidates: The architectures.
            shared: Whether other searches ask for the same ``Candidates``.
        """
        if isinstance(candidates, Candidates) and shared:
            means, variances = predicted_at_all(self.models, candidates)
        elif isinstance(candidates, Candidates):
            means, variances = predicted(self.models, candidates.architectures)
        else:
            means, variances = predicted(self.models, candidates)
        return means.mean(axis=0), np.sqrt(means.var(axis=0) + variances.mean(axis=0))

    def at(
        self, candidates: Candidates | Architectures, shared: bool = False
    ) -> tuple[Floats, Floats]:
        """``(m,)`` means and scales of the targets; arguments as for ``expected``."""
        mean, spread = self.expected(candidates, shared)
        scale = spread if self.scaled else np.ones_like(spread)
        return self._offset + self._slope * mean, scale

    def calibrate(self, architectures: Architectures, targets: Floats) -> None:
        """Fits the mean to targets of the search by least squares.

        The slope is drawn towards 1 as by one more target at a distance of one, and is never below 0.
        """
        if self.calibrated:
            mean, _ = self.expected(architectures)
            centred = mean - mean.mean()
            slope = (float(centred @ targets) + 1.0) / (float(centred @ centred) + 1.0)
            self._slope = max(0.0, slope)
            self._offset = float(targets.mean()) - self._slope * float(mean.mean())


ELITE = 0.05
"""The share of a task's architectures whose options a policy is learned from."""


def learned_policy(space: SearchSpace, history: History, weight: float) -> Floats:
    """``(d, most options)`` chances of options that other tasks teach; 0 where there is no option.

    For each task, the chances under which its best architectures are likeliest, which are the shares
    of these that have the option (the step of the cross-entropy method: Rubinstein, Methodology and
    Computing in Applied Probability 1999); then the mean over the tasks.

    Args:
        space: The space.
        history: What is known of the tasks.
        weight: From 0, equal chances, to 1, what the tasks teach alone.
    """
    options = np.arange(max(space.n_options))
    exists = options < np.array(space.n_options)[:, None]
    uniform = exists / exists.sum(axis=1, keepdims=True)
    taught = np.zeros_like(uniform)
    for task in history.tasks:
        n = math.ceil(ELITE * len(task.scores))
        elite = task.architectures[np.argsort(-task.scores, kind="stable")[:n]]
        active = space.active(elite)
        counts = ((elite[:, :, None] == options) & active[:, :, None]).sum(axis=0)
        total = counts.sum(axis=1, keepdims=True)
        # A decision that none of them has is not learned.
        taught += np.where(total > 0, counts / np.maximum(total, 1), uniform)
    policy: Floats = (1.0 - weight) * uniform + weight * taught / len(history.tasks)
    return policy


def draw_from(policy: Floats, space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Draws an architecture by the chances of the options of each decision."""
    cumulative = policy.cumsum(axis=1)
    last = np.array(space.n_options) - 1

    def draw() -> list[int]:
        drawn = (cumulative <= rng.random(len(cumulative))[:, None]).sum(axis=1)
        # Sums of probabilities may end a rounding error below 1.
        options: list[int] = np.minimum(drawn, last).tolist()
        return options

    return drawn_architecture(space, rng, draw)
