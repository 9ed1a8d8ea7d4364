"""Extrapolation of learning curves.

Domhan, Springenberg and Hutter, "Speeding up automatic hyperparameter optimization of deep neural
networks by extrapolation of learning curves", IJCAI 2015; power laws: Viering and Loog, "The shape of
learning curves: a review", TPAMI 2023 (arXiv 2103.10948).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasbench_lab.errors import HyperparameterError, PredictorError
from nasbench_lab.predictors.predictor import Floats, Predictor
from nasbench_lab.spaces import Architectures, SearchSpace

EXPONENTS = np.geomspace(0.25, 4.0, 9)
"""The exponents ``c`` of the power laws ``a + b t^-c``."""


class LearningCurve(Predictor):
    """Extrapolates the values of the first epochs, which are the columns; it needs them.

    Each curve is extrapolated by ``power_law``. A line is fitted from the extrapolations to the values
    of the learned architectures, of slope 0 at least; its residuals are the standard deviation, the
    same for all. An architecture whose curve lacks a value is predicted at the mean of all.

    Args:
        space: The space of the architectures.
        epochs: The epochs of the columns, ascending, and last the one to predict. None for one epoch
            after the other, and twice as many in all.
        **kwargs: ``seed`` of ``Predictor``; nothing is random.
    """

    needs_columns = True

    def __init__(
        self, space: SearchSpace, *, epochs: Sequence[int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(space, **kwargs)
        listed = None if epochs is None else tuple(epochs)
        if listed is not None and (
            len(listed) < 2
            or not all(isinstance(epoch, int | np.integer) for epoch in listed)
            or listed[0] < 1
            or any(a >= b for a, b in itertools.pairwise(listed))
        ):
            raise HyperparameterError(
                f"Expected for epochs at least two whole numbers from 1 on in ascending order, the "
                f"last of which is the one to predict, but got {epochs!r}."
            )
        self.epochs = listed

    def _fit(self, architectures: Architectures, values: Floats, columns: Floats) -> None:
        ends = self._extrapolated(columns)
        seen = np.isfinite(ends)
        ends, values = ends[seen], values[seen]
        self._centre = float(ends.mean()) if len(ends) else 0.0
        self._level = float(values.mean()) if len(ends) else 0.0
        spread = float(np.square(ends - self._centre).sum())
        slope = float((ends - self._centre) @ values) / spread if spread > 0 else 0.0
        self._slope = max(slope, 0.0)
        residuals = values - self._level - self._slope * (ends - self._centre)
        freedom = max(len(ends) - 2, 1)
        self._std = float(np.sqrt(np.square(residuals).sum() / freedom)) if len(ends) else 1.0

    def _predict(self, architectures: Architectures, columns: Floats) -> tuple[Floats, Floats]:
        ends = self._extrapolated(columns)
        known = np.isfinite(ends)
        mean = self._level + self._slope * (np.where(known, ends, self._centre) - self._centre)
        return mean, np.where(known, self._std, max(self._std, 1.0))

    def _extrapolated(self, columns: Floats) -> Floats:
        """``(n,)`` standardised values at the last epoch of ``(n, k)`` curves; NaN if unknown."""
        k = columns.shape[1]
        epochs = self.epochs or tuple(range(1, 2 * k + 1))
        if len(epochs) <= k:
            raise PredictorError(
                f"Expected fewer columns than the {len(epochs)} epochs of LearningCurve, the last of "
                f"which is predicted, but got {k}."
            )
        curves = self._standardisation(columns)
        used = (*epochs[:k], epochs[-1])
        return np.array(
            [
                power_law(curve, used) if np.isfinite(curve).all() else np.nan
                for curve in curves.tolist()
            ]
        )


def power_law(scores: list[float], epochs: tuple[int, ...]) -> float:
    """Extrapolates the score at the last epoch from the scores at the first epochs.

    For each exponent ``c``, ``a + b t^-c`` is fitted by least squares. The predictions are averaged
    with the likelihoods as weights, for normal noise of the variance that fits best. A single score
    is extrapolated as constant.

    Args:
        scores: The scores at the first epochs.
        epochs: All epochs, ascending.
    """
    k = len(scores)
    y = np.array(scores)
    mean = y.mean()
    y -= mean
    total = y @ y
    if total == 0.0:
        return scores[-1]
    directions, end = _regressors(epochs)[k - 2]
    slopes = directions @ y
    residual = np.maximum(total - slopes * slopes, 1e-12 * total)
    weights = (residual / residual.min()) ** (-0.5 * k)
    return float(mean + weights @ (slopes * end) / weights.sum())


@functools.lru_cache(maxsize=4)
def _regressors(epochs: tuple[int, ...]) -> list[tuple[Floats, Floats]]:
    """The regressors of ``power_law`` at the first 2, 3, … epochs.

    A regressor is ``t^-c`` minus its mean, scaled to length 1, so that a least-squares fit is one
    product. The entry for ``k`` epochs has ``(9, k)`` values, a row per exponent, and ``(9,)`` values
    at the last of all epochs.
    """
    powers = np.array(epochs, dtype=np.float64) ** -EXPONENTS[:, None]
    result = []
    for k in range(2, len(epochs)):
        centre = powers[:, :k].mean(axis=1, keepdims=True)
        centred = powers[:, :k] - centre
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        result.append((centred / length, (powers[:, -1:] - centre).ravel() / length.ravel()))
    return result
