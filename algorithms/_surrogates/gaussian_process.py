"""Gaussian-process regression on architectures.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006 (GPML): posterior
by Algorithm 2.1, hyperparameters by equations 5.8 and 5.9. All models have mean zero: their targets
must be standardised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces import Architectures, SearchSpace

Floats = NDArray[np.float64]

KERNELS = ("hamming", "matern", "path")

_SQRT5 = math.sqrt(5.0)
# Bounds of the logarithms of amplitude, length scales and noise, for targets of variance 1. The bounds
# of the length scales matter. Few data make extreme scales likely: a long one says that a decision is
# irrelevant, a short one that it decides everything, and the search would rely on either.
_BOUNDS = {"amplitude": (-3.0, 5.0), "length": (-0.5, 2.0), "noise": (-14.0, 0.0)}


@dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters of a Gaussian process.

    Args:
        amplitude: Variance of the function.
        lengths: ``(g,)`` length scales, one per group of features.
        noise: Variance of the noise.
    """

    amplitude: float
    lengths: Floats
    noise: float

    def to_log(self) -> Floats:
        """``(g + 2,)`` logarithms: amplitude, length scales, noise."""
        values: Floats = np.log(np.concatenate([[self.amplitude], self.lengths, [self.noise]]))
        return values

    @classmethod
    def from_log(cls, theta: Floats) -> Hyperparameters:
        """The inverse of ``to_log``."""
        values = np.exp(theta)
        return cls(float(values[0]), values[1:-1], float(values[-1]))


class Kernel:
    """A stationary kernel on an encoding of architectures.

    With features ``phi`` in groups ``g``, ``r^2 = sum_g |phi_g(x) - phi_g(x')|^2 / length_g^2``:

    - ``hamming``: ``exp(-r^2 / 2)`` on one-hot features, one group per decision, which is
      ``exp(-sum_d [x_d != x'_d] / length_d^2)``, the weighted Hamming kernel.
    - ``matern``: Matérn 5/2 (GPML equation 4.17) on the same features.
    - ``path``: Matérn 5/2 on the path encoding (White et al. 2021, arXiv 1910.11858), one group.

    The options of an ordered decision are encoded as sums of steps, so that options far apart in
    the order are far apart in the features.

    Args:
        name: One of ``KERNELS``.
        space: The space of the architectures.

    Raises:
        UnknownNameError: There is no such kernel, or the space has no path encoding.
    """

    def __init__(self, name: str, space: SearchSpace) -> None:
        if name not in KERNELS:
            raise UnknownNameError("kernel", name, KERNELS)
        if name == "path" and "path" not in space.encodings:
            raise UnknownNameError(
                f"encoding of {space.name!r}", "path", space.encodings, "Choose another kernel."
            )
        self.name = name
        self.space = space
        self.smooth = name == "hamming"
        if name == "path":
            none = np.empty((0, len(space.decisions)), dtype=np.int64)
            self.groups = np.zeros(space.encode(none, "path").shape[1], dtype=np.int64)
        else:
            self.groups = np.repeat(np.arange(len(space.n_options)), space.n_options)
        self.n_groups = int(self.groups[-1]) + 1

    def features(self, architectures: Architectures) -> Floats:
        """``(n, d)`` architectures -> ``(n, k)`` features."""
        if self.name == "path":
            return self.space.encode(architectures, "path")
        features = self.space.encode(architectures)
        for group, decision in enumerate(self.space.decisions):
            if decision.ordered and len(decision.options) > 1:
                steps = np.cumsum(features[:, self.groups == group][:, ::-1], axis=1)[:, ::-1]
                features[:, self.groups == group] = steps / math.sqrt(len(decision.options) - 1)
        return features

    def of_square(self, r2: Floats) -> Floats:
        """The kernel of amplitude 1 as a function of ``r^2``, elementwise."""
        if self.smooth:
            return np.exp(-0.5 * r2)
        r = _SQRT5 * np.sqrt(np.maximum(r2, 0.0))
        return (1.0 + r + r * r / 3.0) * np.exp(-r)

    def slope(self, r2: Floats) -> Floats:
        """Minus twice the derivative of ``of_square``, elementwise."""
        if self.smooth:
            return np.exp(-0.5 * r2)
        r = _SQRT5 * np.sqrt(np.maximum(r2, 0.0))
        return (5.0 / 3.0) * (1.0 + r) * np.exp(-r)

    def square_by_group(self, a: Floats, b: Floats) -> Floats:
        """``(g, n, m)`` squared distances within each group of ``(n, k)`` and ``(m, k)``."""
        result = np.empty((self.n_groups, len(a), len(b)))
        for group in range(self.n_groups):
            x, y = a[:, self.groups == group], b[:, self.groups == group]
            result[group] = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2.0 * (x @ y.T)
        return result

    def scale(self, features: Floats, lengths: Floats) -> Floats:
        """Features in units of their length scales, so that ``r^2`` is a plain distance."""
        return features / lengths[self.groups]

    def matrix(self, a: Floats, b: Floats, hyper: Hyperparameters) -> Floats:
        """``(n, m)`` covariances between ``(n, k)`` and ``(m, k)`` features."""
        x, y = self.scale(a, hyper.lengths), self.scale(b, hyper.lengths)
        r2 = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2.0 * (x @ y.T)
        return hyper.amplitude * self.of_square(r2)


def log_marginal_likelihood(
    kernel: Kernel, squares: Floats, y: Floats, theta: Floats
) -> tuple[float, Floats]:
    """The log marginal likelihood and its gradient (GPML equations 5.8 and 5.9).

    Args:
        kernel: The kernel.
        squares: ``(g, n, n)`` squared distances of the data by group.
        y: ``(n,)`` targets.
        theta: ``(g + 2,)`` log hyperparameters.

    Returns:
        The value and the ``(g + 2,)`` gradient; minus infinity and zeros where the covariance is
        numerically singular.
    """
    n = len(y)
    hyper = Hyperparameters.from_log(theta)
    weights = hyper.lengths**-2.0
    r2 = np.tensordot(weights, squares, axes=1)
    covariance = hyper.amplitude * kernel.of_square(r2)
    covariance_y = covariance.copy()
    covariance_y[np.diag_indices(n)] += hyper.noise
    lower, failed = lapack.dpotrf(covariance_y, lower=True, clean=True)
    if failed:
        return -math.inf, np.zeros_like(theta)
    alpha = cho_solve((lower, True), y)
    value = -0.5 * float(y @ alpha) - float(np.log(np.diag(lower)).sum()) - 0.5 * n * _LOG_2PI
    inverse, _ = lapack.dpotri(lower, lower=True)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    outer = np.outer(alpha, alpha) - inverse
    sloped = hyper.amplitude * outer * kernel.slope(r2)
    gradient = np.empty_like(theta)
    gradient[0] = 0.5 * float((outer * covariance).sum())
    gradient[1:-1] = 0.5 * weights * (squares.reshape(len(squares), -1) @ sloped.ravel())
    gradient[-1] = 0.5 * hyper.noise * float(np.trace(outer))
    return value, gradient


_LOG_2PI = math.log(2.0 * math.pi)


def fit_hyperparameters(kernel: Kernel, features: Floats, y: Floats) -> Hyperparameters:
    """Maximises the marginal likelihood with L-BFGS-B from a fixed start.

    It does not start from the last result, which is often at a bound when data are few, and would
    stay there.

    Args:
        kernel: The kernel.
        features: ``(n, k)`` features of the data.
        y: ``(n,)`` targets, standardised.
    """
    squares = kernel.square_by_group(features, features)
    start = Hyperparameters(1.0, np.full(kernel.n_groups, math.sqrt(kernel.n_groups)), 1e-2)
    bounds = [_BOUNDS["amplitude"], *[_BOUNDS["length"]] * kernel.n_groups, _BOUNDS["noise"]]

    def loss(theta: Floats) -> tuple[float, Floats]:
        value, gradient = log_marginal_likelihood(kernel, squares, y, theta)
        return (-value, -gradient) if math.isfinite(value) else (1e10, gradient)

    optimum = minimize(
        loss, start.to_log(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 30}
    )
    # Rounding makes the search independent of the last bits in which processors differ. The data do
    # not determine more than three decimals of a logarithm.
    return Hyperparameters.from_log(np.round(optimum.x, 3))


class Posterior:
    """The posterior at a fixed set of candidates, updated by one observation after the other.

    An observation adds one row to the Cholesky factor and one row to the whitened
    cross-covariances ``V = L^-1 K(X, candidates)``, from which mean and variance follow by adding a
    term (GPML Algorithm 2.1): ``O(n m)`` for ``n`` observations and ``m`` candidates.

    Args:
        kernel: The kernel.
        hyper: Its hyperparameters and the noise.
        candidates: ``(m, k)`` features of the candidates.
        capacity: The number of observations that memory is reserved for at first.
    """

    def __init__(
        self, kernel: Kernel, hyper: Hyperparameters, candidates: Floats, capacity: int = 64
    ) -> None:
        self.kernel, self.hyper = kernel, hyper
        m, k = candidates.shape
        # Feature-major: the covariances of a candidate need only the few rows of its features.
        self._by_feature = np.ascontiguousarray(kernel.scale(candidates, hyper.lengths).T)
        self._square = (self._by_feature**2).sum(axis=0)
        self.n = 0
        self._features = np.empty((capacity, k))
        self._lower = np.zeros((capacity, capacity))
        self._white = np.empty((capacity, m))
        self._white_y = np.zeros(capacity)
        self.mean = np.zeros(m)
        """``(m,)`` posterior means."""
        self.variance = np.full(m, hyper.amplitude)
        """``(m,)`` posterior variances of the function, without the noise."""

    def _grow(self, n: int) -> None:
        capacity = len(self._white)
        if n <= capacity:
            return
        more = max(n, 2 * capacity) - capacity
        self._features = np.pad(self._features, ((0, more), (0, 0)))
        self._lower = np.pad(self._lower, ((0, more), (0, more)))
        self._white = np.concatenate([self._white, np.empty((more, self._white.shape[1]))])
        self._white_y = np.pad(self._white_y, (0, more))

    def _covariances(self, scaled: Floats) -> Floats:
        """``(m,)`` covariances of the candidates with one point of ``(k,)`` scaled features."""
        present = np.flatnonzero(scaled)
        r2 = -2.0 * (scaled[present] @ self._by_feature[present])
        r2 += self._square
        r2 += scaled @ scaled
        return self.hyper.amplitude * self.kernel.of_square(r2)

    def add(self, features: Floats, y: float | None) -> None:
        """Adds one observation.

        Args:
            features: ``(k,)`` features of the point.
            y: The target, or None for a fantasy. The target of a fantasy is the predicted mean, so
                that the means stay as they are and the variances shrink (the kriging believer of
                Ginsbourger et al. 2010).
        """
        n = self.n
        self._grow(n + 1)
        scaled = self.kernel.scale(features, self.hyper.lengths)
        data = self._features[:n]
        r2 = np.maximum((data**2).sum(1) + scaled @ scaled - 2.0 * (data @ scaled), 0.0)
        row = (
            solve_triangular(
                self._lower[:n, :n],
                self.hyper.amplitude * self.kernel.of_square(r2),
                lower=True,
                check_finite=False,
            )
            if n
            else np.empty(0)
        )
        total = self.hyper.amplitude + self.hyper.noise
        pivot = math.sqrt(max(total - float(row @ row), 1e-10 * total))
        white = self._white[n]
        np.subtract(self._covariances(scaled), row @ self._white[:n], out=white)
        white /= pivot
        self._features[n] = scaled
        self._lower[n, :n] = row
        self._lower[n, n] = pivot
        white_y = 0.0 if y is None else (y - float(row @ self._white_y[:n])) / pivot
        self._white_y[n] = white_y
        self.n = n + 1
        if white_y:
            self.mean += white_y * white
        self.variance -= white * white

    def add_all(self, features: Floats, y: Floats) -> None:
        """Adds ``(n, k)`` observations with ``(n,)`` targets to a posterior that has none yet."""
        n = len(y)
        self._grow(n)
        scaled = self.kernel.scale(features, self.hyper.lengths)
        covariance = self.kernel.matrix(features, features, self.hyper)
        covariance[np.diag_indices(n)] += self.hyper.noise
        lower = np.linalg.cholesky(covariance)
        white = self._white[:n]
        for i, point in enumerate(scaled):
            white[i] = self._covariances(point)
        # In place. BLAS reads rows as columns, and so solves V' L' = K' instead of L V = K.
        blas.dtrsm(1.0, lower, white.T, side=1, lower=1, trans_a=1, overwrite_b=1)
        self._features[:n], self._lower[:n, :n] = scaled, lower
        self._white_y[:n] = solve_triangular(lower, y, lower=True)
        self.n = n
        self.mean = self._white_y[:n] @ white
        self.variance = self.hyper.amplitude - np.einsum("ij,ij->j", white, white)

    def observe(self, y: float) -> None:
        """Replaces the last observation, a fantasy, by its real target."""
        i = self.n - 1
        residual = y - float(self._lower[i, :i] @ self._white_y[:i])
        self._white_y[i] = residual / self._lower[i, i]
        self.mean += self._white_y[i] * self._white[i]

    def truncate(self, n: int) -> None:
        """Forgets all but the first ``n`` observations."""
        rows = self._white[n : self.n]
        self.mean -= self._white_y[n : self.n] @ rows
        self.variance += np.einsum("ij,ij->j", rows, rows)
        self.n = n

    def covariance(self, which: NDArray[np.int64]) -> Floats:
        """``(q, q)`` posterior covariance of some candidates, for joint samples."""
        points = self._by_feature[:, which]
        r2 = (points**2).sum(0)[:, None] + (points**2).sum(0) - 2.0 * (points.T @ points)
        white = self._white[: self.n, which]
        return self.hyper.amplitude * self.kernel.of_square(r2) - white.T @ white
