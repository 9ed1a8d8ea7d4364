"""Numbers that can be squared and added up."""

from __future__ import annotations

import math

LARGEST = 1e100
"""Beyond it, sums of squares, and what is made of them, may overflow."""


def squarable(value: float) -> float:
    """The value, or of a finite one beyond ``LARGEST`` that with its sign."""
    return math.copysign(LARGEST, value) if LARGEST < abs(value) < math.inf else value
