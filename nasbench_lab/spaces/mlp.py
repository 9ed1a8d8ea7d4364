"""The joint space of architecture and hyperparameters of HPOBench's multi-layer perceptrons.

Eggensperger et al., "HPOBench: A collection of reproducible multi-fidelity benchmark problems for
HPO", NeurIPS 2021 (arXiv 2109.06716), appendix: a network of up to three hidden layers of one width
for classification.
"""

from __future__ import annotations

from nasbench_lab.spaces.base import SearchSpace
from nasbench_lab.spaces.decisions import Decision

_L2 = (1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3)
_RATES = (1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3, 2.1544347e-2)


def mlp() -> SearchSpace:
    """The space of 30,000 networks, in the order in which the published files list decisions."""
    return SearchSpace(
        "mlp",
        [
            Decision("L2 penalty", (*_L2, 1.6681006e-2, 1.2915497e-1, 1.0), ordered=True),
            Decision("batch size", (4, 6, 10, 16, 25, 40, 64, 101, 161, 256), ordered=True),
            Decision("depth", (1, 2, 3), ordered=True),
            Decision(
                "initial learning rate", (*_RATES, 7.742637e-2, 2.7825594e-1, 1.0), ordered=True
            ),
            Decision("width", (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024), ordered=True),
        ],
    )
