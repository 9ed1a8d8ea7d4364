"""Searches by optimisers of other packages keep the contract too, where these are installed."""

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from one_shot import PEERS

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.registry import algorithm_class, make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import get_space
from nasbench_lab.testing import ALGORITHM_CHECKS, SyntheticBenchmark
from nasbench_lab.testing.repeats import in_other_processes

VARIANTS = {
    "optuna": [
        {"sampler": "tpe"},
        {"sampler": "random"},
        {"sampler": "tpe_multivariate"},
        {"sampler": "gp"},
        {"sampler": "cmaes"},
        {"sampler": "nsga2"},
        {"sampler": "tpe", "pruner": "median"},
        {"sampler": "random", "pruner": "hyperband"},
    ],
    "nevergrad": [{}, {"optimizer": "TwoPointsDE"}, {"optimizer": "NGOpt"}],
    "pymoo": [{}, *({"algorithm": name} for name in ("nsga2", "sms_emoa", "de", "pso"))],
    "smac": [{"facade": "random"}, {}, {"facade": "blackbox"}, {"facade": "multi_fidelity"}],
    "syne_tune": [
        {"scheduler": name} for name in ("random_search", "tpe", "rea", "bore", "cqr", "asha")
    ],
}

QUICK = {
    *("check_same_seed_same_run", "check_owns_its_randomness", "check_survives_failures"),
    *("check_pickles_in_mid_run", "check_unreliable_workers", "check_constant_objective"),
}
"""Checks on one small space, of the first variant of each; the slow test has all others."""


LARGE = {
    *("check_asks_trials_of_the_space", "check_outstanding_asks", "check_learning_curves"),
    *("check_tiny_spaces", "check_several_objectives"),
}
"""Checks on spaces of up to 40 decisions, where Optuna's ``gp`` takes minutes."""


@pytest.fixture
def in_this_process(monkeypatch):
    """Takes other processes for ones that give the same, as starting them takes seconds."""
    monkeypatch.setattr("nasbench_lab.testing.contract.differs_elsewhere", lambda *_: False)


def need(name, hyperparameters):
    """Skips what needs a package that is not installed."""
    packages = [algorithm_class(name).needs]
    packages += {"gp": ["torch"], "cmaes": ["cmaes"]}.get(hyperparameters.get("sampler"), [])
    packages += ["huggingface_hub"] * (hyperparameters.get("scheduler") == "cqr")
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'nasbench-lab[{name.replace('_', '-')}]'")


@pytest.mark.parametrize(
    ("name", "hyperparameters", "check"),
    [
        pytest.param(
            *(name, hyperparameters, check),
            id=f"{name}-{i}-{check.__name__}",
            marks=[pytest.mark.slow] * (i > 0 or check.__name__ not in QUICK),
        )
        for name, variants in VARIANTS.items()
        for i, hyperparameters in enumerate(variants)
        for check in ALGORITHM_CHECKS
        if hyperparameters != {"sampler": "gp"} or check.__name__ not in LARGE
    ],
)
def test_contract(in_this_process, name, hyperparameters, check):
    need(name, hyperparameters)
    check(lambda *a, **k: make_algorithm(name, *a, **hyperparameters, **k))


def test_every_peer_is_checked():
    assert set(VARIANTS) == set(PEERS)


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_same_run_in_other_processes(name):
    """Long enough that models propose most of what is evaluated."""
    makers = []
    for hyperparameters in VARIANTS[name]:
        need(name, hyperparameters)
        planned = {"planned": 30} if name in ("smac", "nevergrad") else {}
        makers.append(partial(make_algorithm, name, **{**planned, **hyperparameters}))

    def searches():
        benchmark = SyntheticBenchmark(get_space("nb201"))
        return [simulate(make(benchmark.space, seed=1), benchmark, 30) for make in makers]

    here = searches()
    for there in in_other_processes(searches, ("1", "2")):
        for variant, one, other in zip(VARIANTS[name], here, there, strict=True):
            assert one.equals(other), variant


@pytest.mark.parametrize("name", PEERS)
def test_results_of_other_searches_break_nothing(name):
    need(name, {})
    benchmark = SyntheticBenchmark(get_space("nb201"), failing=0.2)
    algorithm = make_algorithm(name, benchmark.space, seed=1)
    for architecture in map(tuple, benchmark.space.sample(np.random.default_rng(5), 5).tolist()):
        algorithm.observe(architecture, benchmark.evaluate(architecture))
    algorithm.observe((0,) * 6, Evaluation((float("nan"),), 1.0))
    assert len(simulate(algorithm, benchmark, 25, workers=3)) == 25
