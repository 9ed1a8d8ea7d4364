"""What a classifier is worth, from its scores: F1, precision, recall, and top-5 accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench_lab.trainer.measurements import CLASSIFICATION

TOP = 5


def classified(scores: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """The metrics of ``CLASSIFICATION``, in their order.

    Precision, recall and F1 are means over the classes that occur among the labels or the
    predictions; one that is 0 / 0 counts as 0. Of equal scores, the first is the highest, as for the
    accuracy. A score that is not a number is no answer.

    Args:
        scores: ``(groups, n, classes)`` scores of each network.
        labels: ``(groups, n)`` the right classes.

    Returns:
        ``(metrics, groups)`` values in per cent.
    """
    groups, _, classes = scores.shape
    # (groups, classes, classes): how often each class, by rows, was taken for each class.
    cells = (labels * classes + scores.argmax(dim=2)).flatten(1)
    confusion = torch.stack([torch.bincount(one, minlength=classes**2) for one in cells])
    counts = confusion.view(groups, classes, classes).double()
    right = counts.diagonal(dim1=1, dim2=2)
    actual, predicted = counts.sum(dim=2), counts.sum(dim=1)
    there = (actual + predicted > 0).double()

    def macro(numerator: Tensor, denominator: Tensor) -> Tensor:
        of_each = torch.where(denominator > 0, numerator / denominator.clamp(min=1.0), 0.0)
        return 100.0 * (of_each * there).sum(dim=1) / there.sum(dim=1)

    own = scores.gather(2, labels[..., None])
    before = torch.arange(classes, device=scores.device) < labels[..., None]
    above = ~(scores <= own) | ((scores == own) & before)
    top = (above.sum(dim=2) < min(TOP, classes)).double().mean(dim=1)
    values = {
        "macro_f1": macro(2.0 * right, actual + predicted),
        "macro_precision": macro(right, predicted),
        "macro_recall": macro(right, actual),
        "top5_accuracy": 100.0 * top,
    }
    result: NDArray[np.float64] = (
        torch.stack([values[name] for name in CLASSIFICATION]).cpu().numpy()
    )
    return result


def curves_of(
    measured: Mapping[str, Sequence[NDArray[np.float64]]], epochs: int
) -> dict[str, NDArray[np.float64]]:
    """``(groups, epochs)`` values by split and metric, of what ``classified`` gave at each epoch."""
    return {
        f"{split}_{name}": np.stack(values[:epochs], axis=2)[i]
        for split, values in measured.items()
        for i, name in enumerate(CLASSIFICATION)
    }
