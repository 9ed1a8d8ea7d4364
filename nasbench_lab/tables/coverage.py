"""How much of its space a table holds."""

from __future__ import annotations

import math
from typing import NamedTuple

ENOUGH, ALL_BUT = 0.5, 0.99
"""The shares of a space that a table must hold: to stand for the space, and to count as whole."""

DRAWS = 1000
"""How many random architectures an estimate is made from."""


class Coverage(NamedTuple):
    """The share of the architectures of a space that a table has rows for; isomorphic ones count.

    Args:
        share: The share, from 0 to 1.
        size: How many architectures the space has.
        held: How many of them the table has rows for; None if the share is an estimate from
            ``DRAWS`` random architectures.
    """

    share: float
    size: int
    held: int | None

    def __str__(self) -> str:
        """``5,000 of the 116,640 architectures of its space (4.2 %)``."""
        percent = f"{math.floor(1000 * self.share) / 10:g} %"
        if percent == "0 %":
            percent = "less than 0.1 %"
        if self.held is None:
            return f"an estimated {percent} of its space (from {DRAWS:,} random architectures)"
        if self.held == self.size:
            return f"all {self.size:,} architectures of its space"
        return f"{self.held:,} of the {self.size:,} architectures of its space ({percent})"
