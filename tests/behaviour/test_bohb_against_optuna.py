"""BOHB's model against Optuna's TPE, both at full fidelity, in validation regret."""

import warnings

import numpy as np
import pytest

from algorithms.bohb import BOHB
from nasbench_lab.registry import load_benchmark
from nasbench_lab.simulator import simulate


def regrets(benchmark, rows):
    """Final regret of each run of (seeds, n) rows."""
    values = benchmark.table.values(benchmark.first_objective)
    return values.max() - values[rows].max(axis=1)


def optuna_rows(benchmark, seed, n):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that Optuna calls experimental
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        rows = []
        for _ in range(n):
            trial = study.ask()
            architecture = tuple(
                trial.suggest_categorical(d.name, list(range(len(d.options))))
                for d in benchmark.space.decisions
            )
            evaluation = benchmark.evaluate(architecture)
            study.tell(trial, evaluation.values[0])
            rows.append(evaluation.row)
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("table", ["nb201-digits", "analognas-bench/cifar10"])
@pytest.mark.parametrize("n", [100, 200])
def test_gains_on_random_search_two_thirds_of_what_optuna_does(table, n):
    """A third of BOHB's architectures are random, so two thirds of the gain are what is expected."""
    seeds, benchmark = 50, load_benchmark(table)
    space = benchmark.space
    ours = regrets(
        benchmark,
        np.array([simulate(BOHB(space, seed=s), benchmark, n).row for s in range(seeds)]),
    )
    theirs = regrets(benchmark, np.array([optuna_rows(benchmark, s, n) for s in range(seeds)]))
    drawn = space.sample(np.random.default_rng(0), 1000 * n)
    random = regrets(benchmark, benchmark.table.row(drawn).reshape(1000, n))
    print(
        f"{table}, {n} evaluations: bohb {ours.mean():.3f}, optuna {theirs.mean():.3f}, "
        f"random search {random.mean():.3f}"
    )
    assert random.mean() - ours.mean() >= 2 / 3 * (random.mean() - theirs.mean())
