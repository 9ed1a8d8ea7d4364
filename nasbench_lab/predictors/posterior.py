"""The posterior of a Gaussian process at a fixed set of candidates.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006 (GPML), Algorithm
2.1, here with the inverse of the Cholesky factor. What takes the time is the product of weights of the
observations with their covariances with all candidates. It has two forms. Either the covariances are
stored; or, if the kernel is a product over decisions, the product is computed on the grid of all
combinations of options, decision by decision (Saatçi, "Scalable inference for structured Gaussian
process models", PhD thesis, University of Cambridge 2011, chapter 5).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from nasbench_lab.predictors.kernels import Hyperparameters, Kernel
from nasbench_lab.spaces import Architecture, Architectures

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 2048
"""Candidates that are computed at a time where their covariances are not stored."""

MOST_STORED = 100_000
"""Covariances with more candidates are not stored if the kernel is a product."""

READ = 8
"""About so many multiplications in a product on the grid take as long as one with a stored number."""

SMALL = 32
"""Neighbouring decisions with up to so many combinations of options are one axis of the grid."""


class Candidates:
    """A set of architectures, with what a posterior at them needs and searches can share.

    Args:
        kernel: The kernel.
        architectures: ``(m, d)`` architectures.
    """

    def __init__(self, kernel: Kernel, architectures: Architectures) -> None:
        self.kernel, self.architectures = kernel, architectures

    def __len__(self) -> int:
        return len(self.architectures)

    @cached_property
    def features(self) -> sparse.csr_array:
        """``(m, k)`` features."""
        starts = range(0, len(self), BLOCK)
        blocks = [self.kernel.features(self.architectures[i : i + BLOCK]) for i in starts]
        return sparse.vstack([sparse.csr_array(block) for block in blocks], format="csr")

    @cached_property
    def cells(self) -> Ints:
        """``(m,)`` positions on the grid."""
        return _cells(self.kernel, self.architectures)

    @cached_property
    def whole(self) -> bool:
        """Whether they are all cells of the grid in order."""
        size = self.kernel.grid_size
        return len(self) == size and bool((self.cells == np.arange(size)).all())

    @cached_property
    def axes(self) -> list[list[int]]:
        """The decisions of each axis of the grid."""
        axes: list[list[int]] = []
        length = 1
        for decision, n in enumerate(self.kernel.n_levels):
            length *= n
            if length > SMALL or not axes:
                axes.append([])
                length = n
            axes[-1].append(decision)
        return axes

    @cached_property
    def cost(self) -> int:
        """The number of multiplications of a product on the grid."""
        lengths = [math.prod(self.kernel.n_levels[i] for i in axis) for axis in self.axes]
        return self.kernel.grid_size * sum(lengths)


def _cells(kernel: Kernel, architectures: Architectures) -> Ints:
    levels = kernel.levels(architectures)
    cells: Ints = np.ravel_multi_index(tuple(levels.T), kernel.n_levels)
    return cells


class CrossCovariances(ABC):
    """The covariances between ``n`` observations and ``m`` candidates."""

    @abstractmethod
    def add(self, architectures: Architectures) -> None:
        """Adds observations."""

    @abstractmethod
    def remove(self, i: int) -> None:
        """Removes observation ``i``."""

    @abstractmethod
    def at(self, which: Ints | slice) -> Floats:
        """``(n, q)`` covariances with some candidates."""

    @abstractmethod
    def weighted(self, weights: Floats) -> Floats:
        """``(n,)`` weights of the observations -> ``(m,)`` sums over the observations."""


class Stored(CrossCovariances):
    """All covariances are stored, which any kernel can be.

    Args:
        candidates: The candidates.
        hyper: The hyperparameters.
        capacity: The number of observations that memory is reserved for at first.
    """

    def __init__(self, candidates: Candidates, hyper: Hyperparameters, capacity: int) -> None:
        self._candidates, self._hyper = candidates, hyper
        self._rows = np.empty((capacity, len(candidates)))
        self._n = 0

    def add(self, architectures: Architectures) -> None:
        kernel, hyper = self._candidates.kernel, self._hyper
        n = self._n + len(architectures)
        self._rows = _grown(self._rows, n)
        coefficients = kernel.coefficients(kernel.features(architectures), hyper.lengths)
        for i, of_one in enumerate(coefficients, start=self._n):
            r2 = self._candidates.features @ of_one
            np.multiply(hyper.amplitude, kernel.of_square(r2), out=self._rows[i])
        self._n = n

    def remove(self, i: int) -> None:
        self._n -= 1
        self._rows[i : self._n] = self._rows[i + 1 : self._n + 1]

    def at(self, which: Ints | slice) -> Floats:
        return self._rows[: self._n, which]

    def weighted(self, weights: Floats) -> Floats:
        return weights @ self._rows[: self._n]


class OnGrid(CrossCovariances):
    """The covariances are never stored; the kernel must be a product over decisions.

    Args:
        candidates: The candidates.
        hyper: The hyperparameters.
    """

    def __init__(self, candidates: Candidates, hyper: Hyperparameters) -> None:
        self._candidates = candidates
        kernel = candidates.kernel
        self._levels = np.empty((0, len(kernel.tables)), dtype=np.int64)
        self._cells = np.empty(0, dtype=np.int64)
        self._size = kernel.grid_size
        # The kernel between the options of each decision; the amplitude is in the first.
        pairs = zip(kernel.tables, hyper.lengths, strict=True)
        self._by_decision = [kernel.of_square(table / length**2) for table, length in pairs]
        self._by_decision[0] = hyper.amplitude * self._by_decision[0]
        # And between those of each axis.
        self._factors: list[Floats] = []
        for axis in candidates.axes:
            factor: Floats = np.ones((1, 1))
            for decision in axis:
                factor = np.kron(factor, self._by_decision[decision]).astype(np.float64, copy=False)
            self._factors.append(factor)

    def add(self, architectures: Architectures) -> None:
        kernel = self._candidates.kernel
        self._levels = np.concatenate([self._levels, kernel.levels(architectures)])
        self._cells = np.concatenate([self._cells, _cells(kernel, architectures)])

    def remove(self, i: int) -> None:
        self._levels, self._cells = np.delete(self._levels, i, 0), np.delete(self._cells, i)

    @cached_property
    def _halves(self) -> tuple[int, int]:
        """The number of decisions in the first half of the grid, and the combinations of the others."""
        n_levels = self._candidates.kernel.n_levels
        ends = [math.prod(n_levels[i:]) for i in range(len(n_levels) + 1)]
        first = min(range(len(ends)), key=lambda i: self._size // ends[i] + ends[i])
        return first, ends[first]

    def at(self, which: Ints | slice) -> Floats:
        # A covariance is that of the first decisions times that of the others.
        n_first, n_others = self._halves
        first, others = np.divmod(self._candidates.cells[which], n_others)
        result = self._rows(range(n_first))[:, first]
        result *= self._rows(range(n_first, len(self._by_decision)))[:, others]
        return result

    def _rows(self, decisions: range) -> Floats:
        """The kernel between the observations and all combinations of options of some decisions."""
        rows = np.ones((len(self._levels), 1))
        for decision in decisions:
            options = self._by_decision[decision][self._levels[:, decision]]
            rows = (rows[:, :, None] * options[:, None, :]).reshape(len(rows), -1)
        return rows

    def weighted(self, weights: Floats) -> Floats:
        values: Floats = np.bincount(self._cells, weights, self._size).astype(
            np.float64, copy=False
        )
        for factor in self._factors:
            # The first axis is multiplied by the kernel and becomes the last.
            values = values.reshape(len(factor), -1).T @ factor
        values = values.ravel()
        return values if self._candidates.whole else values[self._candidates.cells]


class Posterior:
    """The posterior at candidates, updated by one observation after the other.

    With the Cholesky factor ``L`` of the covariances of the observations, and their covariances ``K``
    with the candidates, the variance is the prior one minus the sum of squares of the rows of
    ``L^-1 K``. An observation adds one row to ``L^-1`` and so one product to the variance. The mean is
    the product of ``L^-T L^-1 y`` with ``K``.

    The target of an observation may be outstanding. It is then taken to be the predicted mean, so that
    it narrows the variances and leaves the means as they are (the kriging believer of Ginsbourger et
    al. 2010).

    Args:
        candidates: The ``m`` candidates.
        hyper: The hyperparameters.
        architectures: ``(n, d)`` observed architectures.
        y: Their ``(n,)`` targets, at least one; NaN if outstanding.
    """

    def __init__(
        self,
        candidates: Candidates,
        hyper: Hyperparameters,
        architectures: Architectures,
        y: Floats,
    ) -> None:
        self.candidates, self.hyper = candidates, hyper
        kernel, n, m = candidates.kernel, len(y), len(candidates)
        capacity = 2 * n + 32
        self.n = n
        """The number of observations."""
        # A product on the grid is faster from some number of observations on.
        on_grid = kernel.product and (m > MOST_STORED or candidates.cost < READ * n * m)
        self.cross = OnGrid(candidates, hyper) if on_grid else Stored(candidates, hyper, capacity)
        """The covariances of observations and candidates."""
        self.cross.add(architectures)
        features = kernel.features(architectures)
        self._features = _grown(features, capacity)
        self._y = _grown(np.array(y, dtype=np.float64), capacity)
        self._inverse = np.zeros((capacity, capacity))  # of the Cholesky factor
        coefficients = kernel.coefficients(features, hyper.lengths)
        covariance = hyper.amplitude * kernel.of_square(coefficients @ features.T)
        covariance[np.diag_indices(n)] += hyper.noise
        lower = np.linalg.cholesky(covariance)
        # LAPACK reads rows as columns: its upper triangle is the lower one here.
        self._inverse[:n, :n] = lapack.dtrtri(lower.T, lower=False)[0].T
        self.variance = hyper.amplitude - self._explained()
        """``(m,)`` posterior variances of the function, without the noise."""
        self._mean: Floats | None = None
        # The last row of L^-1 K, if it is known.
        self._last: Floats | None = None

    def _explained(self) -> Floats:
        """``(m,)`` sums of squares of the rows of ``L^-1 K``."""
        n, m = self.n, len(self.candidates)
        inverse = self._inverse[:n, :n]
        result = np.zeros(m)
        if isinstance(self.cross, OnGrid) and 2 * self.candidates.cost < n * m:
            for row in inverse:
                result += self.cross.weighted(row) ** 2
            return result
        for i in range(0, m, BLOCK):
            block = slice(i, i + BLOCK)
            white = inverse @ self.cross.at(block)
            np.einsum("ij,ij->j", white, white, out=result[block])
        return result

    @property
    def mean(self) -> Floats:
        """``(m,)`` posterior means."""
        if self._mean is None:
            self._mean = self.cross.weighted(self._weights())
        return self._mean

    def _weights(self) -> Floats:
        """``(n,)`` weights of the observations in the mean, 0 for those whose target is outstanding."""
        inverse, y = self._inverse[: self.n, : self.n], self._y[: self.n]
        waiting = np.isnan(y)
        weights = (inverse @ np.where(waiting, 0.0, y)) @ inverse
        if waiting.any():
            # The predicted means of these are the targets that make their weights zero.
            columns = inverse.T @ inverse[:, waiting]
            weights -= columns @ np.linalg.solve(columns[waiting], weights[waiting])
            weights[waiting] = 0.0
        return weights

    def add(self, architecture: Architecture, y: float = math.nan) -> None:
        """Adds an observation; its target may be outstanding."""
        one = np.array([architecture])
        self.cross.add(one)
        self._append(self.candidates.kernel.features(one)[0], math.nan)
        row = self._inverse[self.n - 1, : self.n]
        self._last = self.cross.weighted(row)
        self.variance -= self._last**2
        if not math.isnan(y):
            self.observe(self.n - 1, y)

    def _append(self, features: Floats, y: float) -> None:
        """Adds an observation to all but the mean and the variance."""
        n, hyper, kernel = self.n, self.hyper, self.candidates.kernel
        self._features, self._y = _grown(self._features, n + 1), _grown(self._y, n + 1)
        if n == len(self._inverse):
            self._inverse = np.pad(self._inverse, (0, n + 32))
        inverse = self._inverse[:n, :n]
        coefficients = kernel.coefficients(features[None], hyper.lengths)[0]
        white = inverse @ (hyper.amplitude * kernel.of_square(self._features[:n] @ coefficients))
        total = hyper.amplitude + hyper.noise
        pivot = math.sqrt(max(total - float(white @ white), 1e-10 * total))
        self._inverse[n, :n] = (white @ inverse) / -pivot
        self._inverse[n, n] = 1.0 / pivot
        self._features[n], self._y[n] = features, y
        self.n = n + 1

    def observe(self, i: int, y: float) -> None:
        """Sets the outstanding target of observation ``i``."""
        self._y[i] = y
        targets = self._y[: self.n]
        if self._mean is None or self._last is None or i < self.n - 1 or np.isnan(targets).any():
            self._mean = None
        else:
            self._mean += float(self._inverse[i, : self.n] @ targets) * self._last

    def remove(self, i: int) -> None:
        """Removes observation ``i``, whose target is outstanding."""
        inverse = self._inverse[: self.n, : self.n]
        column = inverse[:, i] @ inverse  # of the inverse of the covariance matrix
        self.variance += self.cross.weighted(column) ** 2 / column[i]
        self.cross.remove(i)
        features, y = self._features[i + 1 : self.n].copy(), self._y[i + 1 : self.n].copy()
        self.n, self._last = i, None
        for later in zip(features, y.tolist(), strict=True):
            self._append(*later)

    def covariance(self, which: Ints) -> Floats:
        """``(q, q)`` posterior covariance of some candidates, for joint samples."""
        kernel, hyper = self.candidates.kernel, self.hyper
        features = kernel.features(self.candidates.architectures[which])
        r2 = kernel.coefficients(features, hyper.lengths) @ features.T
        white = self._inverse[: self.n, : self.n] @ self.cross.at(which)
        return hyper.amplitude * kernel.of_square(r2) - white.T @ white


def _grown(array: NDArray[np.float64], n: int) -> Floats:
    """The array with room for ``n`` rows at least."""
    missing = n - len(array)
    if missing <= 0:
        return array
    return np.pad(array, [(0, max(missing, len(array))), *[(0, 0)] * (array.ndim - 1)])
