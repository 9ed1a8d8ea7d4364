"""Every algorithm is at least as good as random search, at equal simulated cost, on real tables.

Judged by validation regret, which is what a search optimises. The long form prints test regret as
well, for all algorithms on all tables: ``pytest -m slow -s tests/behaviour/test_all_algorithms.py``.
"""

import functools

import numpy as np
import pytest
from one_shot import BY_PREDICTORS, EVALUATING

from nasbench_lab.registry import algorithm_class, load_benchmark
from nasbench_lab.running.comparison import compare
from nasbench_lab.stats import bootstrap_interval, curves
from nasbench_lab.workers import Workers

# Controllers and DQN train a network in each run, and have seeds of their own: see test_agents.py.
ALGORITHMS = [
    name
    for name in sorted(EVALUATING)
    if name != "random_search" and not algorithm_class(name).needs_torch
]
FEW = 10
"""Seeds of the algorithms that learn a predictor, which take seconds per run."""
# Table, clock, the two budgets, the axis along which they are, and the workers.
ONE, CLUSTER = Workers(), Workers(8, synchronous=True, fail=0.05, straggle=0.1)
SETTINGS = {
    "nb201-digits": ("nb201-digits", "official", (50, 200), "seconds", ONE),
    "nb201-digits, resume": ("nb201-digits", "resume", (50, 200), "seconds", ONE),
    "nb201-digits, resume, 8 workers": ("nb201-digits", "resume", (12, 50), "seconds", CLUSTER),
    "cora": ("nas-bench-graph/cora", None, (50, 200), "evaluations", ONE),
    "cs": ("nas-bench-graph/cs", None, (50, 200), "evaluations", ONE),
    "arxiv": ("nas-bench-graph/arxiv", None, (50, 200), "evaluations", ONE),
    "analognas": ("analognas-bench/cifar10", None, (50, 200), "evaluations", ONE),
}
# Where a table knows the end of training only, these are random search under other seeds.
MULTI_FIDELITY = ("asha", "bohb", "hyperband", "learning_curve_stopping", "successive_halving")
# On this table the first epoch says little about the last (rank correlation 0.45): of the few cells
# that are best by the noise of one validation set, halving loses most early on. Random search of 350
# full trainings finds one of them as often; at the lower budget none of them is behind. By the
# official clock a trial pays for its first epochs again at each rung besides, and synchronous workers
# wait for the longest of a batch, which costs most where trainings differ most in length.
CLUSTERED = "nb201-digits, resume, 8 workers"
EXCEPTIONS = {
    ("asha", "nb201-digits"),
    ("successive_halving", "nb201-digits"),
    ("asha", CLUSTERED),
    ("hyperband", CLUSTERED),
    ("successive_halving", CLUSTERED),
}


def final(algorithms, setting, seeds, n_jobs=-1):
    """By metric and algorithm the (seeds, 2) regrets at the two budgets; the seconds of a run."""
    table, clock, budgets, axis, workers = SETTINGS[setting]
    budget = f"{budgets[-1]}s" if axis == "seconds" else budgets[-1]
    benchmark, points = load_benchmark(table, clock=clock), np.array(budgets, dtype=float)
    result = compare(
        algorithms, benchmark, budget=budget, seeds=seeds, workers=workers, n_jobs=n_jobs
    )
    regrets = {
        metric: {
            name: curves(result.traces(table, name), benchmark, points, metric, axis)
            for name in algorithms
        }
        for metric in ("valid_regret", "test_regret")
    }
    wall = {
        name: np.mean([run.wall_s for run in result.runs if run.algorithm == name])
        for name in algorithms
    }
    return regrets, wall


def standard_errors_above(ours, random):
    """By how many standard errors of the difference our mean regret is above random search's."""
    assert not np.isnan(ours).any()
    error = np.hypot(ours.std(ddof=1) / len(ours) ** 0.5, random.std(ddof=1) / len(random) ** 0.5)
    return (ours.mean() - random.mean()) / error


def in_words(regrets):
    """Mean and 95 % interval at each budget; runs without an incumbent are left out."""
    parts = []
    for column in regrets.T:
        known = column[~np.isnan(column)]
        low, high = bootstrap_interval(known)
        parts.append(f"{known.mean():.2f} [{low:.2f},{high:.2f}]")
    return " ".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_no_algorithm_is_worse_than_random_search(setting):
    everyone, n = ["random_search", *ALGORITHMS], 200
    regrets, wall = final([name for name in everyone if name not in BY_PREDICTORS], setting, n)
    slow_regrets, slow_wall = final(BY_PREDICTORS, setting, FEW)
    regrets = {metric: {**some, **slow_regrets[metric]} for metric, some in regrets.items()}
    wall |= slow_wall
    ranks = {
        metric: np.argsort(np.argsort([np.nanmean(some[name][:, 1]) for name in everyone])) + 1
        for metric, some in regrets.items()
    }
    budgets, axis = SETTINGS[setting][2:4]
    print(
        f"\n{setting}: regret at {budgets[0]} and {budgets[1]} {axis}, {n} seeds, rank by the mean; "
        f"{FEW} seeds of {', '.join(BY_PREDICTORS)}"
    )
    for i, name in enumerate(everyone):
        shown = [
            f"{metric.partition('_')[0]} {in_words(some[name])} rank {ranks[metric][i]:2}"
            for metric, some in regrets.items()
        ]
        print(f"{name:23} {', '.join(shown)}, {wall[name] * 1e3:.0f} ms per run")
    random = regrets["valid_regret"]["random_search"][:, 1]
    for name in ALGORITHMS:
        if (name, setting) not in EXCEPTIONS:
            assert standard_errors_above(regrets["valid_regret"][name][:, 1], random) < 2, name


@pytest.mark.parametrize(
    ("algorithm", "setting"),
    [
        *((name, "nb201-digits, resume") for name in MULTI_FIDELITY if name != "bohb"),
        *((name, "cora") for name in ("genetic_algorithm", "local_search", "bohb", "nsga2")),
    ],
)
def test_short_form(algorithm, setting):
    ours = final([algorithm], setting, 20, n_jobs=1)[0]["valid_regret"][algorithm]
    assert standard_errors_above(ours[:, 1], of_random_search(setting)[:, 1]) < 3


@functools.cache
def of_random_search(setting):
    """The (seeds, 2) validation regrets that the short forms compare with."""
    return final(["random_search"], setting, 40, n_jobs=1)[0]["valid_regret"]["random_search"]
