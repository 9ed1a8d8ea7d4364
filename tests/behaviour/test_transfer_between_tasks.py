"""What other tasks show helps where the tasks are alike, on real tables.

On NAS-Bench-201 the three data sets rank the architectures alike (correlations of 0.93 to 0.97). The
short form of this is in ``tests/unit/algorithms/test_transfer.py``, on made-up tables.
"""

import pytest
from scipy.stats import mannwhitneyu

from nasbench_lab.running.transfer import study_transfer
from nasbench_lab.stats import final_value

LEARNING = ["regularized_evolution", "reinforce", "gp_bo"]
NEEDING = ["transfer_zero_shot", "transfer_bounding_box", "quantile_transfer", "rgpe"]


@pytest.mark.slow
def test_alike_tasks_help_every_algorithm_on_every_task(tmp_path):
    study = study_transfer(
        "nas-bench-201-final", [*LEARNING, *NEEDING], budget=20, seeds=30, folder=tmp_path
    )
    print(study.per_task()[["task", "name", "regret", "against", "change", "effect"]].to_string())
    p_values = {}
    for variant in study.variants:
        other = study.counterpart(variant)
        for task in study.tasks if other is not None else ():
            benchmark = study.alone.benchmark(task)
            ours, theirs = (
                [final_value(trace, benchmark, "valid_regret") for trace in study.traces(task, one)]
                for one in (variant, other)
            )
            p = mannwhitneyu(ours, theirs, alternative="less").pvalue
            p_values[study.name(variant), task] = p
    assert len(p_values) == 7 * 3
    assert {key: p for key, p in p_values.items() if p >= 0.001} == {}
