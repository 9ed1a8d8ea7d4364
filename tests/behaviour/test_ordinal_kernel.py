"""The order of options helps: the ordinal kernel of gp_bo against the categorical one."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from nasbench_lab import stats
from nasbench_lab.registry import load_benchmark
from nasbench_lab.running.search import run

pytestmark = pytest.mark.slow

TABLES = ["fcnet/protein_structure", "fcnet/slice_localization", "mlp/phoneme", "mlp/vehicle"]


def test_the_ordinal_kernel_finds_good_networks_sooner():
    """After 50 evaluations; later the noise of single trials decides on several tables."""
    differences = []
    for table in TABLES:
        benchmark = load_benchmark(table)
        regrets = np.array(
            [
                [
                    stats.anytime(run(f"gp_bo(kernel={kernel})", benchmark, 50, seed), benchmark)[
                        -1
                    ]
                    for seed in range(30)
                ]
                for kernel in ("ordinal", "hamming")
            ]
        )
        differences.append((regrets[0] - regrets[1]) / regrets.std())
    assert wilcoxon(np.concatenate(differences), alternative="less").pvalue < 0.01
