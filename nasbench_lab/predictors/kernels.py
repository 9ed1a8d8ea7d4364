"""Kernels on architectures.

A kernel is a function of ``r^2 = sum_g s_g(x, x') / length_g^2``, a sum of squared distances of which
each has a length scale. Of most kernels, each distance is that of one decision.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.predictors.graphs import ROUNDS, check_graphs, labels_of
from nasbench_lab.spaces import Architectures, Decision, SearchSpace

Floats = NDArray[np.float64]

KERNELS = ("ordinal", "hamming", "matern", "path", "wl")

_SQRT5 = math.sqrt(5.0)


@dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters of a Gaussian process.

    Args:
        amplitude: Variance of the function.
        lengths: ``(g,)`` length scales, one per distance.
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
    """A kernel on the architectures of a space.

    - ``ordinal``: ``exp(-r^2 / 2)``, a product of one kernel per decision. The squared distance of two
      options of an ordered decision grows with the steps between them. Different options of another
      decision are at the squared distance 2.
    - ``hamming``: as ``ordinal``, with all decisions taken as unordered, so that it is
      ``exp(-sum_d [x_d != x'_d] / length_d^2)``, the weighted Hamming kernel.
    - ``matern``: Matérn 5/2 (GPML equation 4.17) of the distance of ``ordinal``.
    - ``path``: Matérn 5/2 on the path encoding (White et al. 2021, arXiv 1910.11858).
    - ``wl``: ``exp(-r^2 / 2)`` of the counts of Weisfeiler-Lehman labels, see ``graphs.Labels`` (Ru et
      al. 2021, arXiv 2006.07556). The counts of each round are scaled to length 1; their squared
      distances, from 0 to 2, have a length scale each, so that the data choose the rounds. It does not
      tell apart architectures whose operations are connected in the same way.

    A decision that does not exist in an architecture has one more option there, which is as far from
    all others as they can be.

    A squared distance is linear in the features ``phi`` of one architecture, with coefficients that
    depend on the other: ``r^2 = c(x) phi(x')``. The features are 0 or 1, but of ``wl`` any.

    Args:
        name: One of ``KERNELS``.
        space: The space of the architectures.

    Raises:
        UnknownNameError: There is no such kernel, or the space has no path encoding.
        UnsuitedError: The kernel is ``wl``, and the architectures of the space are no graphs.
    """

    def __init__(self, name: str, space: SearchSpace) -> None:
        if name not in KERNELS:
            raise UnknownNameError("kernel", name, KERNELS)
        if name == "path" and "path" not in space.encodings:
            raise UnknownNameError(
                f"encoding of {space.name!r}", "path", space.encodings, "Choose another kernel."
            )
        if name == "wl":
            check_graphs(space)
        self.name = name
        self.space = space
        self.product = name in ("ordinal", "hamming")
        """Whether the kernel is a product of one kernel per decision."""
        self._gaussian = name not in ("matern", "path")
        ordinal = name != "hamming"
        self.tables = [_table(decision, ordinal) for decision in space.decisions]
        """``(c, c)`` squared distances of the options of each decision."""
        self.n_levels = tuple(map(len, self.tables))
        self.grid_size = math.prod(self.n_levels)
        """The number of all combinations of options."""
        self._starts = np.cumsum([0, *self.n_levels])
        self.n_lengths = {"path": 1, "wl": ROUNDS + 1}.get(name, len(self.tables))

    def levels(self, architectures: Architectures) -> NDArray[np.int64]:
        """``(n, d)``: the option of each decision, or the number of options where it does not exist."""
        n_options = np.array(self.space.n_options)
        levels: NDArray[np.int64] = np.where(
            self.space.active(architectures), architectures, n_options
        )
        return levels

    def features(self, architectures: Architectures) -> Floats:
        """``(n, d)`` architectures -> ``(n, k)`` features of 0 and 1."""
        if self.name == "path":
            paths = self.space.encode(architectures, "path")
            return np.pad(paths, ((0, 0), (0, 1)), constant_values=1.0)
        if self.name == "wl":
            labels = labels_of(self.space)
            counts = labels.counts(architectures)
            for i, j in itertools.pairwise(labels.starts):
                counts[:, i:j] /= np.linalg.norm(counts[:, i:j], axis=1, keepdims=True)
            return np.pad(counts, ((0, 0), (0, 1)), constant_values=1.0)
        features = np.zeros((len(architectures), int(self._starts[-1])))
        columns = self.levels(architectures) + self._starts[:-1]
        np.put_along_axis(features, columns, 1.0, axis=1)
        return features

    def coefficients(self, features: Floats, lengths: Floats) -> Floats:
        """``(n, k)`` features -> the ``(n, k)`` coefficients of ``r^2``."""
        if self.name == "path":
            # (x - y)^2 = x + (1 - 2 x) y for x and y of 0 and 1; the last feature is always 1.
            result = 1.0 - 2.0 * features
            result[:, -1] = features[:, :-1].sum(axis=1)
            result /= lengths[0] ** 2
            return result
        result = np.empty_like(features)
        if self.name == "wl":
            # (x - y)^2 = 2 - 2 x y for x and y of length 1; the last feature is always 1.
            for k, (i, j) in enumerate(itertools.pairwise(labels_of(self.space).starts)):
                np.multiply(features[:, i:j], -2.0 / lengths[k] ** 2, out=result[:, i:j])
            result[:, -1] = 2.0 * (lengths**-2.0).sum()
            return result
        for i, table in enumerate(self.tables):
            columns = slice(self._starts[i], self._starts[i + 1])
            np.matmul(features[:, columns], table / lengths[i] ** 2, out=result[:, columns])
        return result

    def of_square(self, r2: Floats) -> Floats:
        """The kernel of amplitude 1 as a function of ``r^2``, elementwise."""
        if self._gaussian:
            return np.exp(-0.5 * r2)
        r = _SQRT5 * np.sqrt(np.maximum(r2, 0.0))
        return (1.0 + r + r * r / 3.0) * np.exp(-r)

    def slope(self, r2: Floats) -> Floats:
        """Minus twice the derivative of ``of_square``, elementwise."""
        if self._gaussian:
            return np.exp(-0.5 * r2)
        r = _SQRT5 * np.sqrt(np.maximum(r2, 0.0))
        return (5.0 / 3.0) * (1.0 + r) * np.exp(-r)

    def squares(self, architectures: Architectures) -> Floats:
        """``(g, n, n)`` squared distances between ``(n, d)`` architectures."""
        if self.name == "path":
            features = self.features(architectures)
            return (self.coefficients(features, np.ones(1)) @ features.T)[None]
        if self.name == "wl":
            features = self.features(architectures)
            parts = [features[:, i:j] for i, j in itertools.pairwise(labels_of(self.space).starts)]
            return np.array([np.maximum(2.0 - 2.0 * part @ part.T, 0.0) for part in parts])
        levels = self.levels(architectures).T
        return np.array([t[np.ix_(x, x)] for t, x in zip(self.tables, levels, strict=True)])


def _table(decision: Decision, ordinal: bool) -> Floats:
    """``(c, c)`` squared distances of a decision's options, the greatest of which is 2."""
    n = len(decision.options)
    table = 2.0 * (1.0 - np.eye(n))
    if ordinal and decision.ordered and n > 1:
        ranks = np.arange(n) / (n - 1)
        table = 2.0 * np.abs(ranks[:, None] - ranks)
    if decision.conditions:
        table = np.pad(table, (0, 1), constant_values=2.0)
        table[n, n] = 0.0
    return table
