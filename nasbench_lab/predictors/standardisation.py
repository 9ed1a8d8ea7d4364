"""The targets of a model that has mean zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST = 1e100
"""Sums of the squares of greater numbers may overflow."""


@dataclass(frozen=True)
class Standardisation:
    """The map from scores to the targets of a Gaussian process, which has mean zero.

    Args:
        floor: Scores below it are drawn in to it.
        shift: The mean of the scores after that.
        scale: Their standard deviation, or 1 where it is zero or not a number that can be squared.
    """

    floor: float
    shift: float
    scale: float

    @classmethod
    def of(cls, scores: Floats) -> Standardisation:
        """Chooses the map for ``(n,)`` scores.

        Accuracies have a long lower tail of networks that learn nothing. How bad these are says
        little about how good the good ones are, and would set the scale. The floor is therefore as
        far below the median as three times the distance of the upper quartile above it.
        """
        median, upper = np.quantile(scores, [0.5, 0.75])
        floor = float(median - 3.0 * (upper - median)) if upper > median else -math.inf
        return cls.plain(np.maximum(scores, floor), floor)

    @classmethod
    def plain(cls, scores: Floats, floor: float = -math.inf) -> Standardisation:
        """The map of ``(n,)`` scores, none below ``floor``, to mean 0 and variance 1."""
        # Division by the range comes first, so that no square over- or underflows.
        spread = float(np.ptp(scores))
        scale = float((scores / spread).std()) * spread if 1e-290 < spread < 1e290 else 1.0
        return cls(floor, float(scores.mean()), scale)

    @overload
    def __call__(self, score: float) -> float: ...
    @overload
    def __call__(self, score: Floats) -> Floats: ...
    def __call__(self, score: float | Floats) -> float | Floats:
        """The targets of some scores, none beyond ``LARGEST``."""
        target = (np.maximum(score, self.floor) - self.shift) / self.scale
        clipped: Floats = np.clip(target, -LARGEST, LARGEST)
        return clipped
