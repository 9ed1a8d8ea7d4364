"""Whether two small samples of accuracies have the same mean; see ``nasbench_lab.validation``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.stats.significance import holm

Floats = NDArray[np.float64]

LEVEL = 0.05
"""The level of the test."""

ROUNDING = 1e-12
"""Means whose relative difference is no greater are equal, and differ by rounding only."""


@dataclass(frozen=True)
class Agreement:
    """The test of an architecture: difference and half its interval in points, and Holm's p."""

    difference: float
    half_width: float
    p: float


def agreement(pairs: Sequence[tuple[Floats, Floats]], *, pooled: bool = True) -> list[Agreement]:
    """Tests whether the two samples of each pair have the same mean; see ``nasbench_lab.validation``.

    Args:
        pairs: The table's trials and the trained ones of each architecture.
        pooled: Whether the standard deviation is pooled over all of them (Student), or each sample
            has its own (Welch).
    """
    from scipy.stats import t as student

    if not pooled:
        return _welch(pairs)
    samples = [sample for pair in pairs for sample in pair]
    freedom = sum(len(sample) - 1 for sample in samples)
    if freedom < 1:
        return [Agreement(float(b.mean() - a.mean()), math.nan, math.nan) for a, b in pairs]
    squares = math.fsum((len(s) - 1) * _variance(s) for s in samples if len(s) > 1)
    deviation = math.sqrt(squares / freedom)
    differences, halves, ps = [], [], []
    for a, b in pairs:
        difference = float(b.mean() - a.mean())
        error = deviation * math.sqrt(1 / len(a) + 1 / len(b))
        if error == 0:
            # All trials are equal, so any difference is significant.
            p = 1.0 if math.isclose(a.mean(), b.mean(), rel_tol=ROUNDING) else 0.0
        else:
            p = 2 * float(student.sf(abs(difference) / error, freedom))
        differences.append(difference)
        halves.append(error * float(student.ppf(1 - LEVEL / 2, freedom)))
        ps.append(p)
    corrected = holm(ps).tolist()
    return [Agreement(*values) for values in zip(differences, halves, corrected, strict=True)]


def _welch(pairs: Sequence[tuple[Floats, Floats]]) -> list[Agreement]:
    from scipy.stats import t as student

    differences, halves, ps = [], [], []
    for a, b in pairs:
        difference, half, p = float(b.mean() - a.mean()), math.nan, math.nan
        if len(a) > 1 and len(b) > 1:
            u, v = _variance(a) / len(a), _variance(b) / len(b)
            if u + v == 0:
                half, p = 0.0, 1.0 if math.isclose(a.mean(), b.mean(), rel_tol=ROUNDING) else 0.0
            else:
                freedom = (u + v) ** 2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))
                error = math.sqrt(u + v)
                half = error * float(student.ppf(1 - LEVEL / 2, freedom))
                p = 2 * float(student.sf(abs(difference) / error, freedom))
        differences.append(difference)
        halves.append(half)
        ps.append(p)
    corrected = holm(ps).tolist()  # NaN stays, and does not count
    return [Agreement(*values) for values in zip(differences, halves, corrected, strict=True)]


def _variance(sample: Floats) -> float:
    """The variance of a sample; exactly 0 for equal values, although their mean may be rounded."""
    return float(sample.var(ddof=1)) if np.ptp(sample) else 0.0
