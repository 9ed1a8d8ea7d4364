"""Numbers that can be squared and added up."""

from __future__ import annotations

import math

from nasbench_lab.predictors.standardisation import LARGEST


def squarable(value: float) -> float:
    """The value; ``LARGEST`` with its sign instead of a finite value beyond."""
    return math.copysign(LARGEST, value) if LARGEST < abs(value) < math.inf else value
