"""A Gaussian process on architectures, as a predictor."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasbench_lab.errors import PredictorError
from nasbench_lab.predictors.gaussian_process import MOST_FITTED, fit_hyperparameters
from nasbench_lab.predictors.kernels import Kernel
from nasbench_lab.predictors.posterior import Candidates, Posterior
from nasbench_lab.predictors.predictor import Floats, Predictor
from nasbench_lab.spaces import Architectures, SearchSpace


class GaussianProcess(Predictor):
    """The Gaussian process of ``gp_bo``; the standard deviation is without the noise.

    Values far off in the longer tail count as less far, as in ``gp_bo``. It takes no columns.

    Args:
        space: The space of the architectures.
        kernel: One of ``nasbench_lab.predictors.kernels.KERNELS``.
        **kwargs: ``seed`` of ``Predictor``; nothing is random.
    """

    robust = True

    def __init__(self, space: SearchSpace, *, kernel: str = "ordinal", **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        self.kernel = Kernel(kernel, space)

    def _fit(self, architectures: Architectures, values: Floats, columns: Floats) -> None:
        if columns.shape[1]:
            raise PredictorError(
                "GaussianProcess learns from architectures only; leave out the columns."
            )
        n = len(values)
        some = np.linspace(0, n - 1, min(n, MOST_FITTED)).round().astype(np.int64)
        self.hyper = fit_hyperparameters(self.kernel, architectures[some], values[some])
        self._data = architectures, values

    def _predict(self, architectures: Architectures, columns: Floats) -> tuple[Floats, Floats]:
        posterior = Posterior(Candidates(self.kernel, architectures), self.hyper, *self._data)
        return posterior.mean, np.sqrt(np.maximum(posterior.variance, 0.0))
