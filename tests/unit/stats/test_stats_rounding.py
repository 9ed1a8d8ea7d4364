"""Where values are the same but for rounding errors, frames and tests agree that they tie."""

from dataclasses import replace

import numpy as np

from nasbench_lab import stats
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare


def test_means_that_differ_by_rounding_only_share_the_best_rank():
    made = compare(["random_search", "local_search"], "nb201-digits", budget=4, seeds=20, n_jobs=1)
    # The second has the runs of the first, under other seeds, so that they are added up otherwise.
    first, second = made.algorithms
    traces = made.traces("nb201-digits", first)
    rng = np.random.default_rng(0)
    for _ in range(30):
        order = rng.permutation(20)
        runs = [
            run if run.algorithm == first else replace(run, trace=traces[order[run.seed]])
            for run in made.runs
        ]
        result = Result(made.experiment, runs)
        table = stats.table_frame(result, "test").set_index("algorithm")
        if table["mean"][first] < table["mean"][second]:
            break
    assert 0 < table["mean"][second] - table["mean"][first] < 1e-9
    assert table["rank"].tolist() == [1.5, 1.5]
    assert table["best"].all()
    assert table["p"].isna().tolist() == [True, False]
