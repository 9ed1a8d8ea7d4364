"""Kernel density estimation on architectures.

A product of one kernel per decision, as in Li and Racine, "Nonparametric econometrics", Princeton
University Press 2007: for unordered decisions that of Aitchison and Aitken, "Multivariate binary
discrimination by the kernel method", Biometrika 63, 1976; for ordered ones that of Wang and van
Ryzin, "A class of smooth estimators for discrete distributions", Biometrika 68, 1981.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.spaces import Architectures, SearchSpace

Floats = NDArray[np.float64]


class ProductKernel:
    """One kernel per decision; each gives the options of a decision chances that sum to 1.

    With bandwidth ``h`` around option ``a`` of ``c`` options, option ``b`` has the chance

    - of an unordered decision: ``1 - h`` if it is ``a``, else ``h / (c - 1)``. ``h`` is at most
      ``(c - 1) / c``, where all options have the same chance;
    - of an ordered decision: proportional to 1 if it is ``a``, else to ``h^|a - b| / 2``. ``h`` is at
      most 1. Wang and van Ryzin's factor ``1 - h`` makes the sum over all integers 1; here the sum
      over the ``c`` options is 1.

    A decision that does not exist in an architecture has no chance to multiply, so that the chances of
    all architectures sum to 1. Around a point without the decision, all its options have the same
    chance.

    Arrays are padded to the largest number of options.

    Args:
        space: The space of the architectures, taken as a product of the decisions that exist.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        ordered = np.array([decision.ordered for decision in space.decisions])
        counts = np.array(space.n_options)
        options = np.arange(counts.max())
        steps = np.abs(options[:, None] - options)
        self.last_option = counts - 1
        self.is_option = options < counts[:, None]
        """``(d, c)``: False is padding."""
        # The distance of two options: their steps if ordered, else 1 if they differ.
        self._distance = np.where(ordered[:, None, None], steps, steps > 0).astype(np.float64)
        self._half = np.where(ordered[:, None, None] & (steps > 0), np.log(0.5), 0.0)
        self._ordered = ordered
        # A decision with one option leaves nothing to smooth; 2 keeps its formulas finite.
        self._counts = np.maximum(counts, 2)
        self.log_uniform = np.where(self.is_option, -np.log(counts)[:, None], 0.0)
        """``(d, c)``: the logarithms of equal chances."""
        self._greatest = np.where(ordered, 1.0, (self._counts - 1) / self._counts)

    def log_chances(self, bandwidths: Floats) -> Floats:
        """``(d,)`` bandwidths above 0 -> ``(d, c, c)`` logarithms of the chance of each option.

        The axes are the decision, the option at the centre, and the option. Padding has no meaning.
        """
        h = np.minimum(bandwidths, self._greatest)
        with np.errstate(divide="ignore"):  # np.where computes both branches
            other = np.where(self._ordered, h, h / (1.0 - h) / (self._counts - 1))
        logs = np.log(other)[:, None, None] * self._distance + self._half
        total = (np.exp(logs) * self.is_option[:, None, :]).sum(axis=2, keepdims=True)
        normalised: Floats = logs - np.log(total)
        return normalised

    def normal_reference(self, points: Architectures) -> Floats:
        """``(d,)`` bandwidths for ``(n, d)`` points: ``1.06 s n^(-1/(4 + d))``, Scott's rule.

        ``s^2`` is half the mean squared distance of two points. Of ordered decisions that is the
        variance of the option's number. Of unordered ones, different options are at distance 1, so
        that their numbering does not matter. Only points with the decision are compared.
        """
        n, d = points.shape
        shares = self.one_hot(points).mean(axis=0).reshape(self.is_option.shape)
        if self._space.conditional:
            shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1 / n)
        squares = np.einsum("da,dab,db->d", shares, self._distance**2, shares)
        bandwidths: Floats = 1.06 * np.sqrt(0.5 * squares) * n ** (-1.0 / (4 + d))
        return bandwidths

    def one_hot(self, points: Architectures) -> Floats:
        """``(n, d)`` combinations of options -> ``(n, d c)``, with padding.

        All is 0 for a decision that does not exist.
        """
        options = np.arange(self.is_option.shape[1])
        indicators: Floats = (points[:, :, None] == options).astype(np.float64)
        if self._space.conditional:
            indicators *= self.active(points)[:, :, None]
        return indicators.reshape(len(points), -1)

    def active(self, points: Architectures) -> NDArray[np.bool_]:
        """``(n, d)``: which decisions exist."""
        return self._space.active(points)


class KDE:
    """A kernel density estimate: the mean of the kernels around the points.

    Args:
        kernel: The kernel.
        points: ``(n, d)`` architectures.
        min_bandwidth: No bandwidth is below it, so that no architecture has probability 0.
    """

    def __init__(self, kernel: ProductKernel, points: Architectures, min_bandwidth: float) -> None:
        self.kernel, self.points = kernel, points
        self.bandwidths = np.maximum(kernel.normal_reference(points), min_bandwidth)
        self._exists = kernel.active(points)
        logs = kernel.log_chances(self.bandwidths)[np.arange(points.shape[1]), points]
        logs = np.where(self._exists[:, :, None], logs, kernel.log_uniform)
        # (n, d c): around each point, the logarithm of the chance of every option.
        self._logs = logs.reshape(len(points), -1)

    def log_density(self, points: Architectures) -> Floats:
        """``(m, d)`` combinations of options -> ``(m,)`` logarithms of their probabilities.

        The probability is that of the architecture which a combination stands for.
        """
        logs = self._logs @ self.kernel.one_hot(points).T
        highest = logs.max(axis=0)
        density: Floats = highest + np.log(np.exp(logs - highest).mean(axis=0))
        return density

    def sample(self, rng: np.random.Generator, n: int, factor: float = 1.0) -> Architectures:
        """Draws ``(n, d)`` architectures, with all bandwidths times a factor.

        They are combinations of options, which some spaces do not have as architectures; ``nearest``
        of the space leaves out decisions that do not exist.
        """
        d = len(self.bandwidths)
        chances = np.exp(self.kernel.log_chances(factor * self.bandwidths))
        chosen = (rng.random(n) * len(self.points)).astype(np.int64)
        around = chances[np.arange(d), self.points[chosen]]
        uniform = np.exp(self.kernel.log_uniform)
        around = np.where(self._exists[chosen][:, :, None], around, uniform)
        cumulative = (around * self.kernel.is_option).cumsum(axis=2)
        u = rng.random((n, d, 1))
        options = (cumulative <= u).sum(axis=2)
        # Sums of chances may end a rounding error below 1.
        drawn: Architectures = np.minimum(options, self.kernel.last_option)
        return drawn
