"""Algorithms that learn beat the one that does not, on real tables, in validation regret.

Test regret is another matter: on some of these tables better validation buys nothing, see the
summary's notes. The long form is the claim; the short form notices when it breaks.
"""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from nasbench_lab.running.comparison import compare
from nasbench_lab.stats import anytime
from tabular_data.nas_bench_graph import DATASETS

BUDGET = 200


def final_regrets(algorithm, dataset, seeds):
    """(seeds,) validation regrets after 200 evaluations."""
    result = compare([algorithm], f"nas-bench-graph/{dataset}", budget=BUDGET, seeds=seeds)
    benchmark = result.benchmark(result.benchmarks[0])
    return np.array([anytime(run.trace, benchmark, "valid_regret")[-1] for run in result.runs])


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "seeds"), [("regularized_evolution", 200), ("gp_bo", 50)])
def test_beats_random_search_on_at_least_seven_of_nine_tables(algorithm, seeds):
    p_values = {}
    for dataset in DATASETS:
        ours = final_regrets(algorithm, dataset, seeds)
        random = final_regrets("random_search", dataset, seeds)
        p = wilcoxon(ours, random, alternative="less").pvalue if (ours != random).any() else 1.0
        p_values[dataset] = p
        print(f"{algorithm} on {dataset}: {ours.mean():.3f} against {random.mean():.3f}, p {p:.1g}")
    assert sum(p < 0.01 for p in p_values.values()) >= 7, p_values


@pytest.mark.parametrize("dataset", ["cora"])
@pytest.mark.parametrize(("algorithm", "seeds"), [("regularized_evolution", 40), ("gp_bo", 4)])
def test_short_form(algorithm, seeds, dataset):
    ours = final_regrets(algorithm, dataset, seeds)
    random = final_regrets("random_search", dataset, 100)
    error = np.hypot(ours.std(ddof=1) / seeds**0.5, random.std(ddof=1) / len(random) ** 0.5)
    # On this table the long form's difference is 4 to 15 of these standard errors; 1 is asked.
    assert random.mean() - ours.mean() > error
