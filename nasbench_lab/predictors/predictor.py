"""The interface of a predictor, a model that learns what architectures are worth.

White, Zela, Ru, Liu and Hutter, "How powerful are performance predictors in neural architecture
search?", NeurIPS 2021 (arXiv 2104.01177).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import PredictorError, UnknownNameError
from nasbench_lab.predictors.standardisation import LARGEST, Standardisation
from nasbench_lab.spaces import Architectures, SearchSpace
from nasbench_lab.words import counted

Floats = NDArray[np.float64]


def library(name: str) -> Any:
    """A module that is imported without draws from Python's generator, as some make when they start.

    A search that draws from it is told that it should not.
    """
    state = random.getstate()
    try:
        return import_module(name)
    finally:
        random.setstate(state)


class Predictor(ABC):
    """A model that learns values of architectures, whether more or less of them is better.

    A child overrides ``_fit`` and ``_predict``, whose values are standardised: with mean 0 and
    variance 1. All randomness comes from the seed, so the same data give the same predictions.
    If fewer than two values differ, every prediction is their mean, and a child is not asked.

    Args:
        space: The space of the architectures.
        seed: Seed of what is random in the model.

    Attributes:
        fitted: Whether ``fit`` was called.
    """

    uncertain: ClassVar[bool] = True
    """Whether standard deviations say something; else they are 0."""

    robust: ClassVar[bool] = False
    """Whether values in the longer tail are drawn in, see ``Standardisation.of``.

    Networks that learn nothing would otherwise decide what the model says of the good ones.
    """

    needs_columns: ClassVar[bool] = False
    """Whether it cannot do without columns."""

    at_once: ClassVar[int] = 4096
    """The most architectures that are predicted together; encodings have up to thousands of numbers."""

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self.space, self.seed = space, seed
        self.fitted = False
        self._n_columns = 0
        self._constant = False
        self._standardisation = Standardisation(-np.inf, 0.0, 1.0)
        self._sign = 1.0  # by which values are multiplied, so that the longer tail is the lower one

    @abstractmethod
    def _fit(self, architectures: Architectures, values: Floats, columns: Floats) -> None:
        """Learns from ``n`` architectures, two at least, with standardised values.

        Args:
            architectures: ``(n, d)`` architectures.
            values: ``(n,)`` standardised values, not all equal.
            columns: ``(n, k)`` more numbers of each; ``k`` may be 0.
        """

    @abstractmethod
    def _predict(self, architectures: Architectures, columns: Floats) -> tuple[Floats, Floats]:
        """``(m,)`` means and standard deviations of standardised values."""

    def fit(
        self, architectures: Architectures, values: Floats, columns: Floats | None = None
    ) -> None:
        """Learns from architectures, and forgets what it learned before.

        Args:
            architectures: ``(n, d)`` architectures, at least one.
            values: ``(n,)`` their values, all finite; those beyond ``LARGEST`` are drawn in to it.
            columns: ``(n, k)`` more numbers of each, such as zero-cost scores or the values of early
                epochs; NaN where there is none.

        Raises:
            PredictorError: Numbers do not fit together, a value is not finite, there are none, or the
                model needs columns and gets none.
            MissingPackageError: The model needs a package that is not installed.
        """
        known = np.asarray(values, dtype=np.float64)
        if known.ndim != 1 or not len(known) or not np.isfinite(known).all():
            raise PredictorError(
                f"Expected at least one value, all of them finite, in one dimension for "
                f"{type(self).__name__}, but got {known.shape} values of which "
                f"{np.isfinite(known).sum()} are finite. Leave out failed evaluations."
            )
        known = np.clip(known, -LARGEST, LARGEST)
        data, more = self._checked(architectures, columns, len(known))
        if self.needs_columns and not more.shape[1]:
            raise PredictorError(
                f"{type(self).__name__} learns from columns beside the architectures, such as "
                f"zero-cost scores or early epochs. Pass columns of shape (n, k)."
            )
        self.fitted, self._n_columns = True, more.shape[1]
        middle = float(np.median(known))
        self._sign = -1.0 if self.robust and known.max() - middle > middle - known.min() else 1.0
        known = self._sign * known
        self._standardisation = (Standardisation.of if self.robust else Standardisation.plain)(
            known
        )
        self._constant = not np.ptp(known) > 0
        if not self._constant:
            self._fit(data, self._standardisation(known), more)

    def predict(
        self, architectures: Architectures, columns: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Predicts values.

        Args:
            architectures: ``(m, d)`` architectures.
            columns: ``(m, k)`` the columns that ``fit`` had too.

        Returns:
            ``(m,)`` means and ``(m,)`` standard deviations; these are 0 if the model is not
            ``uncertain``.

        Raises:
            PredictorError: ``fit`` was not called, or had other columns.
        """
        if not self.fitted:
            raise PredictorError(
                f"{type(self).__name__} has learned nothing yet. Call fit before predict."
            )
        data, more = self._checked(architectures, columns, None)
        if more.shape[1] != self._n_columns:
            raise PredictorError(
                f"{type(self).__name__} learned from {counted(self._n_columns, 'column')} beside the "
                f"architectures, but predict got {more.shape[1]}. Pass the same columns."
            )
        scale = self._standardisation
        if self._constant or not len(data):
            return np.full(len(data), scale.shift), np.zeros(len(data))
        starts = range(0, len(data), self.at_once)
        parts = [
            self._predict(data[i : i + self.at_once], more[i : i + self.at_once]) for i in starts
        ]
        mean, std = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self._sign * (mean * scale.scale + scale.shift), std * scale.scale

    def _checked(
        self, architectures: Architectures, columns: Floats | None, n: int | None
    ) -> tuple[Architectures, Floats]:
        """Architectures and columns as arrays that fit together."""
        data = np.asarray(architectures)
        if data.size == 0:
            data = np.empty((0, len(self.space.decisions)), np.int64)
        data = self.space._validate_many(data)
        n = len(data) if n is None else n
        more = np.empty((len(data), 0)) if columns is None else np.asarray(columns, np.float64)
        if len(data) != n or more.ndim != 2 or len(more) != n:
            raise PredictorError(
                f"Expected as many architectures and rows of columns as values for "
                f"{type(self).__name__}, but got {len(data)} architectures, {n} values and columns "
                f"of shape {more.shape}."
            )
        return data, more


class FeaturePredictor(Predictor):
    """A predictor that learns from features: an encoding of the architecture, and the columns.

    Of a column, the feature is the share of the learned architectures that have less, so that scores
    of any size, or infinite ones, can be learned from; it is 1/2 where there is no number.

    Args:
        space: The space of the architectures.
        seed: Seed of what is random in the model.
        encoding: One of the space's encodings; None for the best that is known for the model.

    Raises:
        UnknownNameError: The space has no such encoding.
    """

    preferred: ClassVar[tuple[str, ...]] = ("one_hot",)
    """The encodings that suit the model, the best first; a space has the last of them at least."""

    def __init__(self, space: SearchSpace, *, seed: int = 0, encoding: str | None = None) -> None:
        super().__init__(space, seed=seed)
        if encoding is None:
            encoding = next(name for name in self.preferred if name in space.encodings)
        if encoding not in space.encodings:
            raise UnknownNameError(f"encoding of {space.name!r}", encoding, space.encodings)
        self.encoding = encoding
        self._sorted: list[Floats] = []

    @abstractmethod
    def _fit_features(self, features: Floats, values: Floats) -> None:
        """Learns from ``(n, k)`` features and ``(n,)`` standardised values."""

    @abstractmethod
    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        """``(m,)`` means and standard deviations at ``(m, k)`` features."""

    def _fit(self, architectures: Architectures, values: Floats, columns: Floats) -> None:
        self._sorted = [np.sort(column[~np.isnan(column)]) for column in columns.T]
        self._fit_features(self._features(architectures, columns), values)

    def _predict(self, architectures: Architectures, columns: Floats) -> tuple[Floats, Floats]:
        return self._predict_features(self._features(architectures, columns))

    def _features(self, architectures: Architectures, columns: Floats) -> Floats:
        encoded = self.space.encode(architectures, self.encoding)
        shares = [_shares(known, new) for known, new in zip(self._sorted, columns.T, strict=True)]
        return np.column_stack([encoded, *shares])


def _shares(known: Floats, new: Floats) -> Floats:
    """The share of known numbers that are less than new ones, equals counted half."""
    if not len(known):
        return np.full(len(new), 0.5)
    below, to = (np.searchsorted(known, new, side) for side in ("left", "right"))
    return np.where(np.isnan(new), 0.5, (below + to) / (2.0 * len(known)))
