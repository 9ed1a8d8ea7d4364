"""Acquisition functions, which choose the candidate to evaluate. More is always better here."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

from nasbench_lab.predictors.posterior import Posterior

Floats = NDArray[np.float64]

ACQUISITIONS = ("ei", "ucb", "thompson")

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_SQRT_HALF_PI = math.sqrt(0.5 * math.pi)

# Smaller differences may be rounding errors. Candidates that a kernel cannot tell apart are tied, and
# chance decides between them, not the last bits of a processor's arithmetic.
_TIE = 1e-6


def log_expected_improvement(mean: Floats, sd: Floats, best: float) -> Floats:
    """The logarithm of the expected improvement over ``best``, accurate far into the tail.

    Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization",
    NeurIPS 2023 (arXiv 2310.20708), equations 7 to 9.

    Args:
        mean: ``(m,)`` posterior means.
        sd: ``(m,)`` posterior standard deviations, more than 0.
        best: The best value so far.
    """
    z = (mean - best) / sd
    result = np.empty_like(z)
    near = z > -1.0
    near_z = z[near]
    result[near] = np.log(np.exp(-0.5 * near_z**2 - _HALF_LOG_2PI) + near_z * ndtr(near_z))
    # h(z) = phi(z) (1 - |z| Phi(z) / phi(z)); erfcx gives the ratio. For |z| > 1e4 the difference
    # cancels, and its limit 1 / z^2 is right to 3e-8.
    x = -z[~near]
    ratio = 1.0 - _SQRT_HALF_PI * x * erfcx(x / math.sqrt(2.0))
    far = x > 1e4
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = np.where(far, -2.0 * np.log(x), np.log(np.maximum(ratio, 1e-300)))
    result[~near] = tail - 0.5 * x**2 - _HALF_LOG_2PI
    return result + np.log(sd)


def best_by_expected_improvement(
    mean: Floats, variance: Floats, best: float, barred: NDArray[np.bool_], rng: np.random.Generator
) -> int:
    """The candidate of the greatest expected improvement, ties broken at random.

    The logarithm is computed only where an upper bound allows the maximum: ``h(z) <= z + phi(0)`` for
    ``z > 0``, else ``h(z) <= phi(z) / (1 + z^2)``, from Gordon's bound of Mills' ratio (Annals of
    Mathematical Statistics 12, 1941).

    Args:
        mean: ``(m,)`` posterior means.
        variance: ``(m,)`` posterior variances.
        best: The best value so far.
        barred: ``(m,)`` candidates that must not be chosen; at least one is False.
        rng: The generator that decides between ties.
    """
    sd = np.sqrt(np.maximum(variance, 1e-12))
    z = (mean - best) / sd
    squares = z * z
    bound = np.log(sd / (1.0 + squares))
    bound -= 0.5 * squares + _HALF_LOG_2PI
    above = np.flatnonzero(z > 0)
    bound[above] = np.log(sd[above] * (z[above] + 0.4))
    bound[barred] = -np.inf
    first = np.array([bound.argmax()])
    greatest = log_expected_improvement(mean[first], sd[first], best).item()
    chosen = np.flatnonzero(bound >= greatest - _TIE)
    return _greatest(chosen, log_expected_improvement(mean[chosen], sd[chosen], best), rng)


def best_by_upper_bound(
    mean: Floats, variance: Floats, beta: float, barred: NDArray[np.bool_], rng: np.random.Generator
) -> int:
    """The candidate of the greatest ``mean + beta sd`` (GP-UCB: Srinivas et al., ICML 2010)."""
    bound = np.where(barred, -np.inf, mean + beta * np.sqrt(np.maximum(variance, 0.0)))
    return _greatest(np.arange(len(bound)), bound, rng)


def best_by_thompson_sample(
    posterior: Posterior,
    barred: NDArray[np.bool_],
    rng: np.random.Generator,
    n: int = 512,
    *,
    shift: Floats | float = 0.0,
    scale: Floats | float = 1.0,
) -> int:
    """The maximum of one joint sample from the posterior (Thompson 1933).

    The sample is drawn at the ``n`` candidates with the greatest ``mean + 3 sd``, which almost surely
    include the maximum. The function is ``shift + scale`` times that of the posterior.
    """
    bound = posterior.mean + 3.0 * np.sqrt(np.maximum(posterior.variance, 0.0))
    bound = shift + scale * bound
    bound[barred] = -np.inf
    which = np.argpartition(bound, -min(n, len(bound)))[-n:]
    which = np.sort(which[~barred[which]])
    covariance = posterior.covariance(which)
    covariance[np.diag_indices(len(which))] += 1e-6 * posterior.hyper.amplitude
    sample = posterior.mean[which] + np.linalg.cholesky(covariance) @ rng.normal(size=len(which))
    of_each = np.ones(len(bound))
    sample = (shift * of_each)[which] + (scale * of_each)[which] * sample
    return int(which[sample.argmax()])


def _greatest(which: NDArray[np.int64], values: Floats, rng: np.random.Generator) -> int:
    tied = which[values >= values.max() - _TIE]
    return int(tied[int(rng.random() * len(tied))])
