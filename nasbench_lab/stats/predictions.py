"""What predictors achieved: means with intervals, and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.stats.intervals import bootstrap_interval
from nasbench_lab.words import counted

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


def prediction_lines(frame: pd.DataFrame, unit: str) -> list[str]:
    """What predictors achieved, in sentences.

    The predictor with the greatest mean rank correlation after the most architectures is compared with
    the next best, over the seeds, in which both learn from the same architectures. The two are not told
    apart if the 95 % bootstrap interval of the difference holds 0.

    Args:
        frame: The frame of a ``nasbench_lab.landscape.predictors.PredictorStudy``.
        unit: The unit of the regret.
    """
    means = prediction_frame(frame, ("kendall", "regret"))
    most = int(means["architectures"].max())
    last = means[means["architectures"] == most]
    best, *others = last.sort_values("kendall", ascending=False, kind="stable").to_dict("records")
    name = best["predictor"]
    found = (
        f"Having learned from {counted(most, 'architecture')}, {name} ranks others with a Kendall's τ "
        f"of {interval_of(best, 'kendall')}"
    )
    if others:
        found += f"; the next best is {others[0]['predictor']} with {others[0]['kendall']:.2f}"
        if not _differ(frame, most, name, others[0]["predictor"]):
            found += ", and the two cannot be told apart"
    lines = [f"{found}."]
    first = means[means["predictor"] == name].to_dict("records")[0]
    if first["architectures"] < most:
        few = counted(int(first["architectures"]), "architecture")
        lines.append(f"Having learned from {few}, {name} has {interval_of(first, 'kendall')}.")
    points = {"%": " points", "": "", "1": ""}.get(unit, f" {unit}")
    lines.append(
        f"What {name} then predicts to be the best of the others is worse than their best by "
        f"{interval_of(best, 'regret', '.3g')}{points}."
    )
    return lines


def interval_of(line: Mapping[Any, Any], metric: str, form: str = ".2f") -> str:
    """The mean of a line of ``prediction_frame``, with its interval, as text."""
    value, low, high = (f"{line[metric + end]:{form}}" for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]".replace("-", "−")


def _differ(frame: pd.DataFrame, n: int, one: str, other: str) -> bool:
    """Whether the rank correlations of two predictors differ by more than chance explains."""
    by_seed = frame[frame["architectures"] == n].pivot(
        index="seed", columns="predictor", values="kendall"
    )
    low, high = bootstrap_interval(by_seed[one] - by_seed[other])
    return len(by_seed) > 1 and not low <= 0.0 <= high
