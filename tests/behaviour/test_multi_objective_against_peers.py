"""Searches for a Pareto front find at least as much as random search and as much as their peers.

Judged by the share of the exact front's hypervolume, on two real tables. On nb201-digits random
search finds almost all of it; what is left is small, and so are all differences.
"""

import numpy as np
import pytest

from nasbench_lab.pareto import hypervolume_curve, pareto_front
from nasbench_lab.registry import load_benchmark
from nasbench_lab.running.search import run

TABLES = {
    "nas-bench-graph/cora": ["valid_accuracy", "latency"],
    "nb201-digits": ["valid_accuracy", "parameters"],
}
POPULATION = 20
PEERS = ("pymoo", "optuna")


@pytest.fixture(scope="module", params=TABLES)
def benchmark_(request):
    return load_benchmark(request.param, objective=TABLES[request.param])


def directions(benchmark):
    return [objective.maximize for objective in benchmark.objectives]


def pymoo_loop(benchmark, n, seed):
    """NSGA-II of pymoo with the same population and variation."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.core.variable import Choice
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.rm import ChoiceRandomMutation
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    n_options, found = benchmark.space.n_options, []

    class Cells(Problem):
        def __init__(self):
            last = np.array(n_options) - 1
            super().__init__(n_var=len(n_options), n_obj=2, xl=0, xu=last, vtype=int)
            self.vars = {i: Choice(options=list(range(k))) for i, k in enumerate(n_options)}

        def _evaluate(self, x, out, *args, **kwargs):
            values, _ = benchmark.evaluate_many(x.astype(np.int64))
            found.append(values)
            # What the table lacks is worse than all it has.
            out["F"] = np.nan_to_num(np.where(directions(benchmark), -values, values), nan=1e6)

    # This mutation also draws the option that is there, so that the rate has to be higher.
    rate = 1 / len(n_options) * n_options[0] / (n_options[0] - 1)
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=UniformCrossover(prob=0.9),
        mutation=ChoiceRandomMutation(prob_var=rate),
        eliminate_duplicates=False,
    )
    minimize(Cells(), algorithm, ("n_eval", n), seed=seed)
    return np.concatenate(found)[:n]


def optuna_loop(benchmark, n, seed):
    """NSGA-II of Optuna with the same population."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=["maximize" if more else "minimize" for more in directions(benchmark)],
        sampler=optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed),
    )
    found = []
    for _ in range(n):
        trial = study.ask()
        cell = tuple(
            trial.suggest_categorical(d.name, list(range(len(d.options))))
            for d in benchmark.space.decisions
        )
        found.append(benchmark.evaluate(cell).values)
        if np.isnan(found[-1]).any():
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, found[-1])
    return np.array(found)


def shares(name, benchmark, seeds, n):
    """(seeds,) shares of the exact front's hypervolume after n evaluations by an algorithm or peer.

    Prints their mean and its standard error.
    """
    loop = {"pymoo": pymoo_loop, "optuna": optuna_loop}.get(name)
    every, _ = benchmark.evaluate_many(benchmark.table.architectures)
    front = every[pareto_front(every, directions(benchmark))]
    found = []
    for seed in range(seeds):
        values = loop(benchmark, n, seed) if loop else run(name, benchmark, n, seed).values
        found.append(hypervolume_curve(values, front, directions(benchmark))[-1])
    error = np.std(found, ddof=1) / seeds**0.5
    print(f"{benchmark.name}, {n} evaluations, {name}: {np.mean(found):.4f}, error {error:.4f}")
    return np.array(found)


def assert_no_worse(ours, theirs, errors):
    """Equal is enough, up to some standard errors of the difference."""
    error = np.hypot(ours.std(ddof=1) / len(ours) ** 0.5, theirs.std(ddof=1) / len(theirs) ** 0.5)
    assert ours.mean() >= theirs.mean() - errors * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "n"),
    [
        *(("nsga2", n) for n in (200, 400)),
        *(("random_scalarization", n) for n in (200, 400)),
        ("random_scalarization(base=gp_bo)", 200),
    ],
)
def test_mean_share_is_no_less_than_a_peers(benchmark_, algorithm, n):
    mine = shares(algorithm, benchmark_, 50, n)
    assert_no_worse(mine, shares("random_search", benchmark_, 200, n), errors=1)
    for peer in PEERS:
        assert_no_worse(mine, shares(peer, benchmark_, 50, n), errors=3)


@pytest.mark.parametrize(
    "algorithm", ["nsga2", pytest.param("random_scalarization", marks=pytest.mark.slow)]
)
def test_short_form(benchmark_, algorithm):
    mine = shares(algorithm, benchmark_, 50, 200)
    assert_no_worse(mine, shares("random_search", benchmark_, 100, 200), errors=1)
    assert_no_worse(mine, shares("pymoo", benchmark_, 15, 200), errors=3)


def test_short_form_of_gp_bo(benchmark_):
    mine = shares("random_scalarization(base=gp_bo, n_weights=4)", benchmark_, 3, 80)
    assert_no_worse(mine, shares("random_search", benchmark_, 100, 80), errors=1)
