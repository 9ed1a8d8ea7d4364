"""BOHB: Bayesian optimisation and Hyperband.

Falkner, Klein and Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", ICML
2018 (arXiv 1807.01774), Algorithm 2. Good and bad architectures have a density each, as in the TPE
of Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
"""

from __future__ import annotations

import contextlib
import itertools
from bisect import insort
from collections.abc import Iterator
from typing import Any

import numpy as np

from algorithms._surrogates.kde import KDE, ProductKernel
from algorithms._variation import check_rate
from algorithms.hyperband import Hyperband
from algorithms.local_search import MOST_DRAWS
from nasbench_lab.algorithm import Evaluation, Trial, check_number
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import Architecture, SearchSpace


class BOHB(Hyperband):
    """Hyperband whose brackets start with architectures that a model proposes.

    The model is of the results at the highest epoch that has enough of them: one density of the good
    architectures and one of the others. Of some draws from the good, the one at which the ratio of
    the two is greatest is proposed. Failed evaluations are the worst.

    Where the benchmark knows the end of training only there is one rung, and this is a TPE with a
    share of random architectures.

    The model may propose what was evaluated before, and the more so the longer it searches. The paper
    and its reference implementation, HpBandSter, evaluate that again and pay for it, and so does
    this. On ``nb201-digits``, a quarter of what runs of 100 simulated seconds evaluate is known, and
    two thirds in those of 1,000; without repeats (``avoid_repeats``) they end better.

    Args:
        space: The space to search.
        good_fraction: The paper's q: the share of the results that counts as good. Good and others
            are each at least the number of decisions plus one, the paper's N_min.
        random_fraction: The paper's rho: the share of architectures drawn at random.
        n_samples: N_s, how many are drawn from the density of the good.
        bandwidth_factor: b_w, by how much the bandwidths are greater in these draws.
        min_bandwidth: No bandwidth of a density is below it.
        avoid_repeats: Whether an architecture, or an isomorphic one, is proposed for a rung only if
            it was not asked there or at a later one before: instead of it the best other draw is, or
            a random architecture. Where ``MOST_DRAWS`` of these are known too, the space is taken
            for used up, and repeats are allowed at that rung.
        **kwargs: Those of ``Hyperband``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        good_fraction: float = 0.15,
        random_fraction: float = 1 / 3,
        n_samples: int = 64,
        bandwidth_factor: float = 3.0,
        min_bandwidth: float = 1e-3,
        avoid_repeats: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("good_fraction", good_fraction, above=0, below=1)
        check_rate("random_fraction", random_fraction)
        check_number("n_samples", n_samples, whole=True, low=1)
        check_number("bandwidth_factor", bandwidth_factor, above=0)
        check_number("min_bandwidth", min_bandwidth, above=0)
        self.good_fraction = good_fraction
        self.random_fraction = random_fraction
        self.n_samples = n_samples
        self.bandwidth_factor = bandwidth_factor
        self.min_bandwidth = min_bandwidth
        self.avoid_repeats = avoid_repeats
        # Of each class of architectures that was asked, the latest rung; and rungs that are used up.
        self._latest: dict[Architecture, int] = {}
        self._used_up: set[int] = set()
        self._kernel = ProductKernel(space)
        self._n_min = len(space.decisions) + 1
        # By epoch (0 where it is not known): minus score and architecture, the best first.
        self._results: dict[int, list[tuple[float, Architecture]]] = {}
        self._models: tuple[KDE, KDE] | None = None  # of the good and of the others
        self._model_epoch = 0

    def ask(self) -> Trial:
        trial = super().ask()
        self._note(trial.architecture, trial.epoch)
        return trial

    def propose(self) -> Architecture:
        rung = self._rung or 0
        candidates = self._candidates()
        if not self.avoid_repeats or rung in self._used_up:
            return next(candidates)
        for architecture in itertools.islice(candidates, self.n_samples + MOST_DRAWS):
            if self._latest.get(self.space.canonical(architecture), -1) < rung:
                return architecture
        self._used_up.add(rung)
        return next(candidates)

    def _note(self, architecture: Architecture, epoch: int | None) -> None:
        """Remembers at which rung an architecture was asked."""
        if self.avoid_repeats:
            known = self.space.canonical(architecture)
            self._latest[known] = max(self._latest.get(known, -1), epoch or 0)

    def _candidates(self) -> Iterator[Architecture]:
        """What the model proposes, the best first, and then random architectures without end."""
        random = self.rng.random() < self.random_fraction
        models = None if random else self._models or self._fit()
        if models is not None:
            good, others = models
            drawn = good.sample(self.rng, self.n_samples, self.bandwidth_factor)
            log_ratio = good.log_density(drawn) - others.log_density(drawn)
            # Rounded, so that the search does not depend on the last bits in which processors differ.
            for i in np.argsort(-log_ratio.round(9), kind="stable").tolist():
                # Not all combinations are architectures.
                with contextlib.suppress(InvalidArchitectureError):
                    yield self.space.validate(drawn[i].tolist())
        while True:
            yield self.space.sample(self.rng)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        super().tell(trial, evaluation)
        epoch = evaluation.epoch or 0
        self._note(trial.architecture, epoch)
        result = -self.score(evaluation), trial.architecture
        insort(self._results.setdefault(epoch, []), result, key=lambda one: one[0])
        if epoch >= self._model_epoch:
            self._models = None

    def _fit(self) -> tuple[KDE, KDE] | None:
        """The models at the highest epoch that has enough results, or None."""
        enough = [epoch for epoch, told in self._results.items() if len(told) >= self._n_min + 2]
        if not enough:
            return None
        self._model_epoch = max(enough)
        ranked = np.array([architecture for _, architecture in self._results[self._model_epoch]])
        n_good = max(self._n_min, int(self.good_fraction * len(ranked)))
        n_others = max(self._n_min, len(ranked) - n_good)
        self._models = (
            KDE(self._kernel, ranked[:n_good], self.min_bandwidth),
            KDE(self._kernel, ranked[-n_others:], self.min_bandwidth),
        )
        return self._models


BOHB.citation = """@inproceedings{falkner2018bohb,
  title = {{BOHB}: Robust and Efficient Hyperparameter Optimization at Scale},
  author = {Falkner, Stefan and Klein, Aaron and Hutter, Frank},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}"""
