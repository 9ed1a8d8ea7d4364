"""BOHB: Bayesian optimisation and Hyperband.

Falkner, Klein and Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", ICML
2018 (arXiv 1807.01774), Algorithm 2. Good and bad architectures have a density each, as in the TPE
of Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
"""

from __future__ import annotations

from bisect import insort
from typing import Any

import numpy as np

from algorithms._surrogates.kde import KDE, ProductKernel
from algorithms._variation import check_rate
from algorithms.hyperband import Hyperband
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

    Args:
        space: The space to search.
        good_fraction: The paper's q: the share of the results that counts as good. Good and others
            are each at least the number of decisions plus one, the paper's N_min.
        random_fraction: The paper's rho: the share of architectures drawn at random.
        n_samples: N_s, how many are drawn from the density of the good.
        bandwidth_factor: b_w, by how much the bandwidths are greater in these draws.
        min_bandwidth: No bandwidth of a density is below it.
        **kwargs: Those of ``Hyperband``.
    """

    citation = """@inproceedings{falkner2018bohb,
  title = {{BOHB}: Robust and Efficient Hyperparameter Optimization at Scale},
  author = {Falkner, Stefan and Klein, Aaron and Hutter, Frank},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}"""

    def __init__(
        self,
        space: SearchSpace,
        *,
        good_fraction: float = 0.15,
        random_fraction: float = 1 / 3,
        n_samples: int = 64,
        bandwidth_factor: float = 3.0,
        min_bandwidth: float = 1e-3,
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
        self._kernel = ProductKernel(space)
        self._n_min = len(space.decisions) + 1
        # By epoch (0 where it is not known): minus score and architecture, the best first.
        self._results: dict[int, list[tuple[float, Architecture]]] = {}
        self._models: tuple[KDE, KDE] | None = None  # of the good and of the others
        self._model_epoch = 0

    def propose(self) -> Architecture:
        random = self.rng.random() < self.random_fraction
        models = None if random else self._models or self._fit()
        if models is None:
            return self.space.sample(self.rng)
        good, others = models
        drawn = good.sample(self.rng, self.n_samples, self.bandwidth_factor)
        log_ratio = good.log_density(drawn) - others.log_density(drawn)
        # Rounded, so that the search does not depend on the last bits in which processors differ.
        for i in np.argsort(-log_ratio.round(9), kind="stable").tolist():
            try:
                return self.space.validate(drawn[i].tolist())
            except InvalidArchitectureError:  # not all combinations are architectures
                continue
        return self.space.sample(self.rng)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        super().tell(trial, evaluation)
        epoch = evaluation.epoch or 0
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
