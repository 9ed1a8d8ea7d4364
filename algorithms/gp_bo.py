"""Bayesian optimisation with a Gaussian-process surrogate.

Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", Journal
of Global Optimization 1998; on architectures: Kandasamy et al., NeurIPS 2018 (arXiv 1802.07191) and
White et al., AAAI 2021 (arXiv 1910.11858).
"""

from __future__ import annotations

import functools
import math
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from algorithms._numbers import LARGEST, squarable
from algorithms._surrogates import acquisition as acquisitions
from algorithms._surrogates.gaussian_process import (
    KERNELS,
    Hyperparameters,
    Kernel,
    Posterior,
    fit_hyperparameters,
)
from nasbench_lab.algorithm import (
    Evaluation,
    SearchAlgorithm,
    Trial,
    check_choice,
    check_number,
)
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace

WHOLE = 100_000
"""Up to this many architectures, the acquisition function is computed for all of them."""


class GPBO(SearchAlgorithm):
    """Asks for what the surrogate expects to improve most on the best so far.

    Of isomorphic architectures one, the canonical one, is a candidate, and it is asked once. Trials
    whose results are outstanding enter the surrogate at their predicted mean. Spaces of more than
    100,000 architectures are represented by random candidates and mutations of the best.

    Args:
        space: The space to search.
        kernel: ``hamming``, ``matern`` (both on decisions) or ``path`` (on paths through a cell).
        acquisition: ``ei`` (expected improvement), ``ucb`` (upper confidence bound) or ``thompson``.
        n_initial: Random architectures before the surrogate is used.
        ucb_beta: Standard deviations above the mean in ``ucb``.
        refit_growth: The hyperparameters are fitted again whenever the data have grown by this
            factor.
        n_candidates: Candidates drawn for each ask where the space is too large to score whole.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    citation = r"""@article{jones1998efficient,
  title = {Efficient Global Optimization of Expensive Black-Box Functions},
  author = {Jones, Donald R. and Schonlau, Matthias and Welch, William J.},
  journal = {Journal of Global Optimization},
  volume = {13},
  number = {4},
  pages = {455--492},
  year = {1998}
}

@inproceedings{kandasamy2018neural,
  title = {Neural Architecture Search with {Bayesian} Optimisation and Optimal Transport},
  author = {Kandasamy, Kirthevasan and Neiswanger, Willie and Schneider, Jeff and
            P{\'o}czos, Barnab{\'a}s and Xing, Eric P.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018}
}

@inproceedings{white2021bananas,
  title = {{BANANAS}: {Bayesian} Optimization with Neural Architectures for Neural Architecture
           Search},
  author = {White, Colin and Neiswanger, Willie and Savani, Yash},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2021}
}"""

    def __init__(
        self,
        space: SearchSpace,
        *,
        kernel: str = "hamming",
        acquisition: str = "ei",
        n_initial: int = 10,
        ucb_beta: float = 2.0,
        refit_growth: float = 1.3,
        n_candidates: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_choice("kernel", kernel, KERNELS)
        check_choice("acquisition", acquisition, acquisitions.ACQUISITIONS)
        check_number("n_initial", n_initial, whole=True, low=1)
        check_number("ucb_beta", ucb_beta, low=0)
        check_number("refit_growth", refit_growth, low=1)
        check_number("n_candidates", n_candidates, whole=True, low=1)
        self.kernel = Kernel(kernel, space)
        self.acquisition = acquisition
        self.n_initial = n_initial
        self.ucb_beta = ucb_beta
        self.refit_growth = refit_growth
        self.n_candidates = n_candidates
        self._asked: set[Architecture] = set()
        self._pending: dict[int, Architecture] = {}
        self._data: list[tuple[Architecture, float]] = []
        self._hyper: Hyperparameters | None = None
        self._next_fit = 0
        self._floor, self._shift, self._scale = -math.inf, 0.0, 1.0
        # The posterior holds the first data in order, then the pending trials as fantasies; results
        # that come while others are pending, or were asked elsewhere, make it outdated until the
        # next ask.
        self._posterior: Posterior | None = None
        self._n_conditioned = 0
        self._outdated = False
        self._barred: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    def ask(self) -> Trial | None:
        if len(self._asked) < self.n_initial or not self._data:
            architecture = self._draw()
        elif self.space.size <= WHOLE:
            architecture = self._choose_from_all()
        else:
            architecture = self._choose_from_some()
        if architecture is None:
            return None
        trial = self.trial(architecture)
        self._asked.add(architecture)
        self._pending[trial.number] = architecture
        if self._posterior is not None and not self._outdated:
            self._posterior.add(self._features([architecture])[0], None)
        return trial

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        score = squarable(self.score(evaluation))
        if evaluation.violation > 0 and self._data:
            # That it is not allowed is to be learned, whatever it is worth.
            score = min(score for _, score in self._data)
        # A trial that was not asked here (a warm start) teaches as well.
        asked = self._pending.pop(trial.number, None)
        architecture = asked or self.space.canonical(trial.architecture)
        self._asked.add(architecture)
        if math.isfinite(score):
            self._data.append((architecture, score))
        if self._posterior is None:
            return
        if asked is None:
            self._barred[_positions([architecture], self.space)] = True
        if len(self._data) >= self._next_fit:
            self._posterior = None
        elif asked and math.isfinite(score) and not self._pending and not self._outdated:
            self._posterior.observe(self._target(score))
            self._n_conditioned += 1
        else:
            self._outdated = True

    def _update(self, posterior: Posterior) -> None:
        """Puts results that came while others were pending before the fantasies of these."""
        posterior.truncate(self._n_conditioned)
        new = self._data[self._n_conditioned :]
        for features, (_, score) in zip(self._features([a for a, _ in new]), new, strict=True):
            posterior.add(features, self._target(score))
        for features in self._features(list(self._pending.values())):
            posterior.add(features, None)
        self._n_conditioned = len(self._data)
        self._outdated = False

    def _features(self, architectures: list[Architecture]) -> NDArray[np.float64]:
        shape = len(architectures), len(self.space.decisions)
        return self.kernel.features(np.array(architectures, dtype=np.int64).reshape(shape))

    def _draw(self) -> Architecture | None:
        """A random architecture of a class not asked before, or None if there seems to be none."""
        for _ in range(100):
            architecture = self.space.canonical(self.space.sample(self.rng))
            if architecture not in self._asked:
                return architecture
        if self.space.size > WHOLE:
            return None
        left = [a for a in map(tuple, _classes(self.space).tolist()) if a not in self._asked]
        return left[int(self.rng.random() * len(left))] if left else None

    def _choose_from_all(self) -> Architecture | None:
        candidates = _classes(self.space)
        if len(self._asked) == len(candidates):
            return None
        if self._posterior is None:
            self._posterior = self._condition(_class_features(self.space, self.kernel.name))
            self._barred = np.zeros(len(candidates), dtype=np.bool_)
            self._barred[_positions(sorted(self._asked), self.space)] = True
        elif self._outdated:
            self._update(self._posterior)
        i = self._acquire(self._posterior, self._barred)
        self._barred[i] = True
        return tuple(candidates[i].tolist())

    def _choose_from_some(self) -> Architecture | None:
        best = sorted(self._data, key=lambda one: -one[1])[:10]
        parents = np.array([architecture for architecture, _ in best])
        mutants = self.space.mutate(
            np.repeat(parents, self.n_candidates // 20 + 1, axis=0), self.rng
        )
        drawn = self.space.sample(self.rng, self.n_candidates)
        pool = self.space.canonical(np.concatenate([drawn, mutants]))
        fresh = sorted(set(map(tuple, pool.tolist())) - self._asked)
        if not fresh:
            return self._draw()
        posterior = self._condition(self._features(fresh))
        return fresh[self._acquire(posterior, np.zeros(len(fresh), dtype=np.bool_))]

    def _condition(self, candidates: NDArray[np.float64]) -> Posterior:
        """The posterior at ``(m, k)`` candidates given all data, with the pending as fantasies."""
        features = self._features([architecture for architecture, _ in self._data])
        scores = np.array([score for _, score in self._data])
        if self._hyper is None or len(scores) >= self._next_fit:
            self._standardise(scores)
            self._hyper = fit_hyperparameters(self.kernel, features, self._target(scores))
            self._next_fit = max(len(scores) + 1, math.ceil(len(scores) * self.refit_growth))
        posterior = Posterior(self.kernel, self._hyper, candidates, capacity=2 * len(scores) + 32)
        posterior.add_all(features, self._target(scores))
        for pending in self._features(list(self._pending.values())):
            posterior.add(pending, None)
        self._n_conditioned, self._outdated = len(self._data), False
        return posterior

    def _standardise(self, scores: NDArray[np.float64]) -> None:
        """Chooses the scale of the targets.

        Accuracies have a long lower tail of networks that learn nothing. How bad they are says
        little about how good the good ones are, and would set the scale, so what lies further below
        the median than three times the distance of the upper quartile above it is drawn in.
        """
        median, upper = np.quantile(scores, [0.5, 0.75])
        self._floor = float(median - 3.0 * (upper - median)) if upper > median else -math.inf
        kept = np.maximum(scores, self._floor)
        self._shift = float(kept.mean())
        # By the range first, so that no square over- or underflows.
        spread = float(np.ptp(kept))
        self._scale = float((kept / spread).std()) * spread if 1e-290 < spread < 1e290 else 1.0

    @overload
    def _target(self, score: float) -> float: ...
    @overload
    def _target(self, score: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def _target(self, score: Any) -> Any:
        """Scores on the scale that the surrogate sees."""
        target = (np.maximum(score, self._floor) - self._shift) / self._scale
        return np.clip(target, -LARGEST, LARGEST)

    def _acquire(self, posterior: Posterior, barred: NDArray[np.bool_]) -> int:
        if self.acquisition == "thompson":
            return acquisitions.best_by_thompson_sample(posterior, barred, self.rng)
        mean, variance = posterior.mean, posterior.variance
        if self.acquisition == "ucb":
            return acquisitions.best_by_upper_bound(mean, variance, self.ucb_beta, barred, self.rng)
        best = self._target(max(score for _, score in self._data))
        return acquisitions.best_by_expected_improvement(mean, variance, best, barred, self.rng)


# What depends on the space alone is shared by all searches of a process.


@functools.lru_cache(maxsize=4)
def _class_indices(space: SearchSpace) -> NDArray[np.int64]:
    """``(m,)`` ascending indices of the canonical architectures."""
    every = space.canonical(space.at(np.arange(space.size)))
    return np.unique(space.index(every))


@functools.lru_cache(maxsize=4)
def _classes(space: SearchSpace) -> Architectures:
    """``(m, d)``: one canonical architecture per class, in the order of their indices."""
    return space.at(_class_indices(space))


@functools.lru_cache(maxsize=4)
def _class_features(space: SearchSpace, kernel: str) -> NDArray[np.float64]:
    """``(m, k)`` features of the classes."""
    return Kernel(kernel, space).features(_classes(space))


def _positions(architectures: list[Architecture], space: SearchSpace) -> NDArray[np.int64]:
    """``(n,)``: where ``n`` canonical architectures stand among the classes."""
    return np.searchsorted(_class_indices(space), space.index(np.array(architectures)))
