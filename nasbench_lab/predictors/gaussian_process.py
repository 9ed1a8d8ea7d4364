"""Hyperparameters of a Gaussian process, by the marginal likelihood.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006 (GPML), equations
5.8 and 5.9. All models have mean zero: their targets must be standardised.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

from nasbench_lab.predictors.kernels import Hyperparameters, Kernel
from nasbench_lab.spaces import Architectures

Floats = NDArray[np.float64]

# Bounds of the logarithms of amplitude, length scales and noise, for targets of variance 1. The bounds
# of the length scales matter. Few data make extreme scales likely: a long one says that a decision is
# irrelevant, a short one that it decides everything, and the search would rely on either.
_BOUNDS = {"amplitude": (-3.0, 5.0), "length": (-0.5, 2.0), "noise": (-14.0, 0.0)}

MOST_FITTED = 256
"""The most results that hyperparameters are fitted to; the time of a fit grows with their cube."""

_LOG_2PI = math.log(2.0 * math.pi)


def log_marginal_likelihood(
    kernel: Kernel, squares: Floats, y: Floats, theta: Floats
) -> tuple[float, Floats]:
    """The log marginal likelihood and its gradient (GPML equations 5.8 and 5.9).

    All matrices are symmetric, and only their lower triangles are read.

    Args:
        kernel: The kernel.
        squares: ``(g, n, n)`` squared distances of the data, zero above the diagonals.
        y: ``(n,)`` targets.
        theta: ``(g + 2,)`` log hyperparameters.

    Returns:
        The value and the ``(g + 2,)`` gradient; minus infinity and zeros where the covariance is
        numerically singular.
    """
    n = len(y)
    hyper = Hyperparameters.from_log(theta)
    weights = hyper.lengths**-2.0
    by_group = squares.reshape(len(squares), -1)
    r2 = (weights @ by_group).reshape(n, n)
    covariance = hyper.amplitude * kernel.of_square(r2)
    covariance.ravel()[:: n + 1] += hyper.noise
    # LAPACK reads rows as columns: its upper triangle is the lower one here.
    upper, failed = lapack.dpotrf(covariance.T, lower=False, overwrite_a=True)
    if failed:
        return -math.inf, np.zeros_like(theta)
    alpha, _ = lapack.dpotrs(upper, y, lower=False)
    fit = float(y @ alpha)
    value = -0.5 * fit - float(np.log(np.diag(upper)).sum()) - 0.5 * n * _LOG_2PI
    inverse, _ = lapack.dpotri(upper, lower=False, overwrite_c=True)
    # With G = alpha alpha' - inverse, a derivative is half the sum of G times the covariance's.
    of_noise = hyper.noise * (float(alpha @ alpha) - float(np.trace(inverse)))
    outer = np.outer(alpha, alpha)
    outer -= inverse.T
    outer *= kernel.slope(r2)
    gradient = np.empty_like(theta)
    # The amplitude scales all but the noise, and the sum of G times the covariance is fit - n.
    gradient[0] = 0.5 * (fit - n - of_noise)
    gradient[1:-1] = hyper.amplitude * weights * (by_group @ outer.ravel())
    gradient[-1] = 0.5 * of_noise
    return value, gradient


def fit_hyperparameters(kernel: Kernel, architectures: Architectures, y: Floats) -> Hyperparameters:
    """Maximises the marginal likelihood with L-BFGS-B from a fixed start.

    It does not start from the last result, which is often at a bound when data are few, and would
    stay there.

    Args:
        kernel: The kernel.
        architectures: ``(n, d)`` architectures.
        y: ``(n,)`` targets, standardised.
    """
    squares = np.tril(kernel.squares(architectures))
    n_lengths = kernel.n_lengths
    start = Hyperparameters(1.0, np.full(n_lengths, math.sqrt(n_lengths)), 1e-2)
    bounds = [_BOUNDS["amplitude"], *[_BOUNDS["length"]] * n_lengths, _BOUNDS["noise"]]

    def loss(theta: Floats) -> tuple[float, Floats]:
        value, gradient = log_marginal_likelihood(kernel, squares, y, theta)
        return (-value, -gradient) if math.isfinite(value) else (1e10, gradient)

    optimum = minimize(
        loss, start.to_log(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 30}
    )
    # Rounding makes the search independent of the last bits in which processors differ. The data do
    # not determine more than three decimals of a logarithm.
    return Hyperparameters.from_log(np.round(optimum.x, 3))
