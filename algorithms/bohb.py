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

    The model is fitted to the results at the highest epoch that has enough of them. It is a density
    of the good architectures and a density of the others. Several architectures are drawn from the
    first, and the one with the greatest ratio of the two densities is proposed. Failed evaluations
    count as the worst. Results of other searches count like its own.

    Where the benchmark knows the end of training only there is one rung, and this is a TPE with a
    share of random architectures.

    The model may propose an architecture that was evaluated before, and does so more often the longer
    it searches. The paper and its reference implementation, HpBandSter, evaluate it again and pay for
    it; so does this. On ``nb201-digits``, a quarter of all evaluations are repeats in runs of 100
    simulated seconds, and two thirds in runs of 1,000; without repeats (``avoid_repeats``) they end
    better.

    Args:
        space: The space to search.
        good_fraction: q of the paper: the share of the results that counts as good. Either density
            has at least N_min results, which is the number of decisions plus one.
        random_fraction: rho of the paper: the share of architectures drawn at random.
        n_samples: N_s: how many architectures are drawn from the density of the good.
        bandwidth_factor: b_w: the factor of the bandwidths in these draws.
        min_bandwidth: No bandwidth of a density is below it.
        avoid_repeats: Whether no architecture is proposed for a rung if it, or an isomorphic one, was
            evaluated at that rung or a later one. The next best draw is proposed instead, or a random
            architecture. Where ``MOST_DRAWS`` random ones are repeats too, the space counts as used
            up at that rung, and repeats are allowed there.
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
        # The latest epoch at which each class of architectures was evaluated, and the epochs of the
        # rungs at which the space is used up.
        self._latest: dict[Architecture, int] = {}
        self._used_up: set[int] = set()
        self._kernel = ProductKernel(space)
        self._n_min = len(space.decisions) + 1
        # The observations D_b by epoch b, 0 where it is not known: minus score and architecture, the
        # best first.
        self._results: dict[int, list[tuple[float, Architecture]]] = {}
        self._models: tuple[KDE, KDE] | None = None  # l, of the good, and g, of the others
        self._model_epoch = 0

    def ask(self) -> Trial:
        trial = super().ask()
        self._note(trial.architecture, trial.epoch)
        return trial

    def propose(self) -> Architecture:
        """Algorithm 2: samples the next architecture."""
        epoch = self._proposal_epoch or 0
        proposals = self._proposals()
        if not self.avoid_repeats or epoch in self._used_up:
            return next(proposals)
        for architecture in itertools.islice(proposals, self.n_samples + MOST_DRAWS):
            if self._latest.get(self.space.canonical(architecture), -1) < epoch:
                return architecture
        self._used_up.add(epoch)
        return next(proposals)

    def _note(self, architecture: Architecture, epoch: int | None) -> None:
        """Remembers that an architecture was evaluated at an epoch, if that matters."""
        if self.avoid_repeats:
            key = self.space.canonical(architecture)
            self._latest[key] = max(self._latest.get(key, -1), epoch or 0)

    def _proposals(self) -> Iterator[Architecture]:
        """Proposals of the model, the best first, and then random architectures without end."""
        # Line 1: with chance rho, a random architecture. Line 3: also where there is no model.
        random = self.rng.random() < self.random_fraction
        models = None if random else self._models or self._fit()
        if models is not None:
            good, others = models
            # Line 5: N_s draws from l', which is l with greater bandwidths.
            draws = good.sample(self.rng, self.n_samples, self.bandwidth_factor)
            # Line 6: the one of the greatest ratio l/g comes first. The ratio is rounded, so that the
            # search does not depend on the last bits in which processors differ.
            log_ratio = good.log_density(draws) - others.log_density(draws)
            for i in np.argsort(-log_ratio.round(9), kind="stable").tolist():
                # Not all combinations are architectures.
                with contextlib.suppress(InvalidArchitectureError):
                    yield self.space.nearest(draws[i].tolist())
        while True:
            yield self.space.sample(self.rng)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        super().tell(trial, evaluation)
        self.observe(trial.architecture, evaluation)

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Adds a result, of this search or another, to the data of the model."""
        epoch = evaluation.epoch or 0
        self._note(architecture, epoch)
        result = -self.score(evaluation), architecture
        insort(self._results.setdefault(epoch, []), result, key=lambda result: result[0])
        if epoch >= self._model_epoch:
            self._models = None

    def _fit(self) -> tuple[KDE, KDE] | None:
        """Lines 2 to 4: the models l and g at the highest epoch with enough results, or None."""
        epochs = [epoch for epoch, data in self._results.items() if len(data) >= self._n_min + 2]
        if not epochs:
            return None
        self._model_epoch = max(epochs)
        ranked = np.array([architecture for _, architecture in self._results[self._model_epoch]])
        # Equation (3): N_b,l = max(N_min, q N_b) and N_b,g = max(N_min, N_b - N_b,l).
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
