"""The joint space of architecture and hyperparameters of HPOLib's fully connected networks.

Klein and Hutter, "Tabular benchmarks for joint architecture and hyperparameter optimization", 2019
(arXiv 1905.04970), table 1: a network of two hidden layers for regression.
"""

from __future__ import annotations

from nasbench_lab.spaces.base import SearchSpace
from nasbench_lab.spaces.decisions import Decision

_UNITS = (16, 32, 64, 128, 256, 512)
_DROPOUT = (0.0, 0.3, 0.6)


def fcnet() -> SearchSpace:
    """The space of 62,208 networks, in the order in which the published files list decisions."""
    return SearchSpace(
        "fcnet",
        [
            Decision("activation of layer 1", ("relu", "tanh")),
            Decision("activation of layer 2", ("relu", "tanh")),
            Decision("batch size", (8, 16, 32, 64), ordered=True),
            Decision("dropout of layer 1", _DROPOUT, ordered=True),
            Decision("dropout of layer 2", _DROPOUT, ordered=True),
            Decision("learning rate", (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1), ordered=True),
            Decision("schedule", ("cosine", "const")),
            Decision("units of layer 1", _UNITS, ordered=True),
            Decision("units of layer 2", _UNITS, ordered=True),
        ],
    )
