"""Bayesian optimisation on normal scores, with a prior of other tasks.

Salinas, Shen and Perrone, "A quantile-based approach for hyperparameter transfer learning", ICML 2020
(arXiv 1909.13595): Gaussian copula processes, section 4.
"""

from __future__ import annotations

from typing import Any

from algorithms._surrogates.surrogate import Surrogate
from algorithms._transfer import NormalScores, Prior
from algorithms.gp_bo import GPBO
from nasbench_lab.algorithm import History, check_history
from nasbench_lab.spaces import SearchSpace


class QuantileTransfer(GPBO):
    """Models how results deviate, in normal scores, from what other tasks let expect.

    Scores of each task become quantiles of a standard normal (section 4.1), so that units and tails
    of the tasks do not matter. Their mean and spread over the tasks, predicted for all architectures,
    are the prior (4.2): the first architectures are Thompson samples of it, and then a Gaussian process
    models ``(z - mean) / spread`` of the results (4.3). In place of the paper's one neural network for
    all tasks, each has a Gaussian process. The scores of the search itself are ranked anew whenever
    the surrogate is fitted.

    Args:
        space: The space to search.
        history: What is known of other tasks; given by the experiment.
        **kwargs: Hyperparameters of ``gp_bo``, and ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self, space: SearchSpace, *, history: History | None = None, **kwargs: Any
    ) -> None:
        super().__init__(space, prior="none", **kwargs)
        self._check_one_objective()
        self.prior = Prior(self.kernel, check_history(history), scaled=True, calibrated=False)
        growth = self.surrogate.refit_growth
        self.surrogate = Surrogate(self.kernel, growth, self.prior, NormalScores.of)


QuantileTransfer.citation = """@inproceedings{salinas2020quantile,
  title = {A Quantile-Based Approach for Hyperparameter Transfer Learning},
  author = {Salinas, David and Shen, Huibin and Perrone, Valerio},
  booktitle = {International Conference on Machine Learning},
  year = {2020}
}"""
