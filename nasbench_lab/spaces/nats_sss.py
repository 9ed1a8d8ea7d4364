"""The size space of NATS-Bench.

Dong, Liu, Musial and Gabrys, "NATS-Bench: Benchmarking NAS algorithms for architecture topology and
size", TPAMI 2021 (arXiv 2009.00437): one cell, and five layers with a choice of their channels.
"""

from __future__ import annotations

from nasbench_lab.spaces.base import SearchSpace
from nasbench_lab.spaces.decisions import Decision
from nasbench_lab.spaces.nb201 import CONV_3X3, SKIP

CHANNELS = (8, 16, 24, 32, 40, 48, 56, 64)
LAYERS = 5
CELL = (CONV_3X3, CONV_3X3, CONV_3X3, SKIP, CONV_3X3, CONV_3X3)
"""The cell of all networks, with its edges in the order of ``nb201``."""


def nats_sss() -> SearchSpace:
    """The space of 8^5 = 32,768 networks, written as ``8:8:8:8:8``.

    The official index may differ from the space's own; see the table.
    """
    return SearchSpace(
        "nats-sss",
        [Decision(f"channels of layer {i + 1}", CHANNELS, ordered=True) for i in range(LAYERS)],
    )
