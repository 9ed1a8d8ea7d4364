"""gp_bo is no worse than what users would pick instead, on a real table with 100 evaluations."""

import warnings

import numpy as np
import pytest
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from nasbench_lab.registry import load_benchmark
from nasbench_lab.running.search import run

TABLE = "analognas-bench/cifar10"


@pytest.fixture(autouse=True)
def one_thread():
    """On matrices this small, more threads make all of them several times slower."""
    import sklearn  # noqa: F401 (its libraries are to be limited too)

    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def benchmark_():
    return load_benchmark(TABLE)


def regret(benchmark, rows):
    values = benchmark.table.values(benchmark.first_objective)
    return values.max() - values[rows].max()


def ours(benchmark, seeds, n):
    return np.array([regret(benchmark, run("gp_bo", benchmark, n, s).row) for s in range(seeds)])


def scikit_learn_loop(benchmark, seed, n):
    """Matérn on one-hot, refitted at every step, expected improvement over the whole space."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    space, values = benchmark.space, benchmark.table.values(benchmark.first_objective)
    every = space.encode(space.at(np.arange(space.size)))
    rows = np.random.default_rng(seed).choice(space.size, 10, replace=False).tolist()
    kernel = ConstantKernel(1.0) * Matern(nu=2.5) + WhiteKernel(1e-3)
    while len(rows) < n:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of hyperparameters at their bounds
            model = GaussianProcessRegressor(kernel, normalize_y=True).fit(
                every[rows], values[rows]
            )
            mean, sd = model.predict(every, return_std=True)
        gain = mean - values[rows].max()
        z = gain / np.maximum(sd, 1e-9)
        improvement = gain * norm.cdf(z) + sd * norm.pdf(z)
        improvement[rows] = -np.inf
        rows.append(int(improvement.argmax()))
    return regret(benchmark, rows)


def optuna_loop(benchmark, seed, n, sampler_name):
    import optuna
    import torch

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that Optuna calls experimental
        samplers = {
            "gp": lambda: optuna.samplers.GPSampler(seed=seed),
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True),
        }
        study = optuna.create_study(direction="maximize", sampler=samplers[sampler_name]())
        space, values = benchmark.space, benchmark.table.values(benchmark.first_objective)
        rows = []
        for _ in range(n):
            trial = study.ask()
            cell = tuple(
                trial.suggest_categorical(d.name, list(range(len(d.options))))
                for d in space.decisions
            )
            rows.append(space.index(cell))
            study.tell(trial, float(values[rows[-1]]))
    return regret(benchmark, rows)


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["scikit-learn", "gp", "tpe"])
def test_mean_regret_is_no_higher_than_a_peers(benchmark_, peer):
    seeds, n = 50, 100
    theirs = np.array([
        scikit_learn_loop(benchmark_, seed, n) if peer == "scikit-learn"
        else optuna_loop(benchmark_, seed, n, peer)
        for seed in range(seeds)
    ])  # fmt: skip
    mine = ours(benchmark_, seeds, n)
    print(f"gp_bo {mine.mean():.4f}, {peer} {theirs.mean():.4f}")
    assert mine.mean() <= theirs.mean()


def test_short_form(benchmark_):
    n = 30
    mine = ours(benchmark_, 12, n)
    theirs = np.array([scikit_learn_loop(benchmark_, seed, n) for seed in range(3)])
    error = np.hypot(mine.std(ddof=1) / 12**0.5, theirs.std(ddof=1) / 3**0.5)
    # Equal is enough, up to 2 standard errors of the difference.
    assert mine.mean() <= theirs.mean() + 2 * error
