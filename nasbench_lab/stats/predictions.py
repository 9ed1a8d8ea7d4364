"""Means and intervals of what predictors achieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_lab.stats.intervals import bootstrap_interval

if TYPE_CHECKING:
    import pandas as pd


def prediction_frame(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Means over seeds, with 95 % bootstrap intervals.

    Args:
        frame: The frame of a ``nasbench_lab.landscape.predictors.PredictorStudy``.
        metrics: Columns of it.

    Returns:
        A line per predictor and number of architectures, in their order, with ``seeds`` and, for each
        metric M, ``M``, ``M_low`` and ``M_high``.
    """
    import pandas as pd

    lines = []
    for (predictor, n), part in frame.groupby(["predictor", "architectures"], sort=False):
        line = {"predictor": predictor, "architectures": n, "seeds": len(part)}
        samples = part[list(metrics)].to_numpy(dtype=np.float64)
        low, high = bootstrap_interval(samples)
        for i, metric in enumerate(metrics):
            line |= {metric: samples[:, i].mean()}
            line |= {f"{metric}_low": low[i], f"{metric}_high": high[i]}
        lines.append(line)
    return pd.DataFrame(lines)
