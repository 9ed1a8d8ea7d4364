"""Other packages' optimisers search our tables, and find what our own runs find."""

import json
import math
from importlib.util import find_spec

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab.bridges.asked import Asked
from nasbench_lab.errors import InvalidArchitectureError, MissingPackageError
from nasbench_lab.guard import kept_generators
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.testing import SyntheticBenchmark

CONDITIONAL = SearchSpace(
    "conditional",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("operation", ("conv", "pool")),
        Decision("kernel", (1, 3, 5), ordered=True, active_if={"operation": "conv"}),
    ],
)


@pytest.fixture(scope="module")
def digits():
    return lab.load_benchmark("nb201-digits")


def need(*packages):
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'nasbench-lab[bridges]'")


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [
        ("optuna", "TableProblem", "optunahub"),
        ("syne_tune", "TableBlackbox", "syne_tune"),
        ("ioh", "integer_problem", "ioh"),
        ("carps", "TableObjectiveFunction", "carps"),
    ],
)
def test_says_what_to_install_where_the_package_is_absent(monkeypatch, module, name, package):
    monkeypatch.setattr("nasbench_lab.algorithm.needs.find_spec", lambda name: None)
    bridge = __import__(f"nasbench_lab.bridges.{module}", fromlist=[name])
    with pytest.raises(
        MissingPackageError, match=rf"{package}: pip install 'nasbench-lab\[bridges\]'"
    ):
        getattr(bridge, name)("nb201-digits")


def test_values_with_names_stand_for_architectures():
    asked = Asked(SyntheticBenchmark(CONDITIONAL))
    assert asked.architecture({"layers": 2, "operation": "conv", "kernel": 1}) == (2, 0, 1)
    assert asked.architecture({"layers": 2, "operation": "pool"}) == (2, 1, 0)
    assert asked.architecture({"layers": 2, "operation": "pool", "kernel": 1}) == (2, 1, 0)
    for wrong in ({"layers": 2, "operation": "conv"}, {"layers": 7, "operation": "pool"}):
        with pytest.raises(InvalidArchitectureError, match="Expected a value of"):
            asked.architecture(wrong)


def test_what_is_asked_is_paid_once(digits):
    asked = Asked(digits)
    *_, last = asked.training((1, 2, 3, 4, 0, 1))
    assert asked.spent == 0
    asked.pay(last)
    again = asked.evaluate((1, 2, 3, 4, 0, 1))
    assert (again.values, asked.spent) == (last.values, 2 * last.cost)
    assert asked.losses(again) == (-again.values[0],)
    failed = again._replace(values=(math.nan,))
    assert asked.losses(failed) == (math.inf,)


# Optuna


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_optuna_finds_on_the_bridge_what_our_run_of_it_finds(digits, pruner):
    need("optuna", "optunahub")
    import optuna

    from nasbench_lab.bridges.optuna import TableProblem

    algorithm = make_algorithm(
        *("optuna", digits.space),
        seed=3,
        sampler="tpe",
        pruner=pruner,
        fidelities=digits.fidelities,
    )
    trace = simulate(algorithm, digits, 25)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = TableProblem(digits)
    study = optuna.create_study(
        directions=problem.directions,
        sampler=optuna.samplers.TPESampler(seed=algorithm._seed, multivariate=False),
        pruner=optuna.pruners.NopPruner() if pruner == "none" else optuna.pruners.MedianPruner(),
    )
    study.optimize(problem, n_trials=25)
    names = [trial.user_attrs["architecture"] for trial in study.trials]
    assert names == digits.space.to_string(trace.architecture)
    assert [trial.user_attrs["epoch"] for trial in study.trials] == trace.epoch.tolist()
    clock = [trial.user_attrs["clock"] for trial in study.trials]
    np.testing.assert_allclose(clock, trace.end)
    assert study.best_value == trace.values[trace.epoch == 12, 0].max()
    if pruner == "median":
        assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}


def test_optuna_has_conditions_and_several_objectives():
    need("optuna", "optunahub")
    import optuna

    from nasbench_lab.bridges.optuna import TableProblem

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    benchmark = SyntheticBenchmark(CONDITIONAL, maximize=(True, False), epochs=3)
    problem = TableProblem(benchmark)
    assert [one.name for one in problem.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert set(problem.search_space) == {"layers", "operation", "kernel"}
    study = optuna.create_study(
        directions=problem.directions, sampler=optuna.samplers.RandomSampler(seed=1)
    )
    study.optimize(problem, n_trials=20)
    for trial in study.trials:
        architecture = problem.asked.architecture(trial.params)
        assert set(trial.params) == set(CONDITIONAL.options(architecture))
        assert tuple(trial.values) == benchmark.evaluate(architecture).values
    values = {"layers": 0, "operation": "pool"}
    assert problem.evaluate(values) == benchmark.evaluate((0, 1, 0)).values


# Syne Tune


def test_a_scheduler_finds_on_the_blackbox_what_our_run_of_it_finds(digits):
    need("syne_tune", "huggingface_hub")
    from syne_tune.optimizer.baselines import RandomSearch

    from nasbench_lab.bridges.syne_tune import TableBlackbox

    algorithm = make_algorithm("syne_tune", digits.space, seed=3, scheduler="random_search")
    trace = simulate(algorithm, digits, 15)
    blackbox = TableBlackbox(digits)
    with kept_generators():
        # Syne Tune's random search passes its seed over, and draws from this generator.
        np.random.seed(algorithm._seed)  # noqa: NPY002 (their search draws from it)
        scheduler = RandomSearch(
            blackbox.configuration_space, metrics=["valid_accuracy"], random_seed=algorithm._seed
        )
        configurations = [scheduler.suggest().config for _ in range(15)]
    ends = [blackbox(configuration, 12) for configuration in configurations]
    assert [end["valid_accuracy"] for end in ends] == trace.values[:, 0].tolist()
    np.testing.assert_allclose([end["elapsed_time"] for end in ends], trace.cost)
    curves = blackbox(configurations[0])
    assert curves.shape == (12, 2)
    assert curves[-1].tolist() == list(ends[0].values())
    assert (np.diff(curves[:, 1]) > 0).all()
    assert blackbox.fidelity_values.tolist() == list(range(1, 13))


@pytest.mark.slow
def test_syne_tunes_simulator_runs_on_the_blackbox(digits, monkeypatch, tmp_path):
    need("syne_tune", "huggingface_hub")
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository import UserBlackboxBackend
    from syne_tune.optimizer.baselines import ASHA

    from nasbench_lab.bridges.syne_tune import TableBlackbox

    blackbox = TableBlackbox(digits)
    backend = UserBlackboxBackend(blackbox, elapsed_time_attr="elapsed_time")
    scheduler = ASHA(
        *(blackbox.configuration_space, "valid_accuracy", "epoch", 12),
        do_minimize=False,
        random_seed=1,
    )
    tuner = Tuner(
        trial_backend=backend,
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_finished=12),
        n_workers=2,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        save_tuner=False,
    )
    tuner.run()
    statuses = tuner.tuning_status.overall_metric_statistics
    assert statuses.max_metrics["valid_accuracy"] > 50


# IOH


def test_ioh_logs_what_our_run_finds(digits, tmp_path):
    need("ioh")
    import ioh

    from nasbench_lab.bridges.ioh import integer_problem

    trace = lab.run("random_search", digits, budget=20, seed=1)
    problem = integer_problem(digits)
    logger = ioh.logger.Analyzer(root=str(tmp_path), folder_name="digits")
    problem.attach_logger(logger)
    values = [problem(architecture) for architecture in trace.architecture.tolist()]
    assert values == trace.values[:, 0].tolist()
    assert problem.state.current_best.y == trace.values[:, 0].max()
    assert problem.state.evaluations == 20
    logger.close()
    (file,) = (tmp_path / "digits").glob("*.json")
    (run,) = json.loads(file.read_text())["scenarios"][0]["runs"]
    assert run["evals"] == 20
    assert run["best"]["y"] == pytest.approx(trace.values[:, 0].max())


def test_ioh_knows_bounds_and_directions():
    need("ioh")
    from nasbench_lab.bridges.ioh import integer_problem

    benchmark = SyntheticBenchmark(CONDITIONAL, maximize=False)
    problem = integer_problem(benchmark)
    assert np.ravel(problem.bounds.ub).tolist() == [2, 1, 2]
    assert problem([0, 1, 2]) == benchmark.evaluate((0, 1, 0)).values[0]
    assert problem([0, 3, 0]) == math.inf


# CARP-S


def test_an_optimiser_of_carps_runs_a_task_and_finds_what_the_table_says(digits):
    need("carps")
    from carps.optimizers.random_search import RandomSearchOptimizer
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from nasbench_lab.bridges.carps import TableObjectiveFunction, task_yaml

    text = task_yaml("nb201-digits", n_trials=15)
    assert text.startswith("# @package _global_\n")
    config = OmegaConf.create(text)
    config.seed = 3
    task = instantiate(config.task)
    optimiser = RandomSearchOptimizer(task)
    optimiser.setup_optimizer()
    optimiser.run()
    draws = TableObjectiveFunction(digits, seed=3)  # the same draws from the same space
    architectures = [
        draws.asked.architecture(dict(draws.configspace.sample_configuration())) for _ in range(15)
    ]
    expected = [-digits.evaluate(architecture).values[0] for architecture in architectures]
    costs = [value.cost for _, value in optimiser.history]
    assert costs == expected
    assert task.objective_function.asked.spent == pytest.approx(
        sum(value.virtual_time for _, value in optimiser.history)
    )
    assert optimiser.get_current_incumbent()[1].cost == min(expected)


def test_carps_may_ask_for_epochs_and_conditions(digits):
    need("carps")
    from carps.utils.trials import TrialInfo

    from nasbench_lab.bridges.carps import TableObjectiveFunction, task_yaml

    function = TableObjectiveFunction(digits)
    configuration = function.configspace.sample_configuration()
    architecture = function.asked.architecture(dict(configuration))
    early = function.evaluate(TrialInfo(config=configuration, budget=2.5))
    assert early.cost == -digits.evaluate(architecture, 3).values[0]
    assert early.virtual_time == digits.evaluate(architecture, 3).cost
    assert "max_fidelity: 12" in task_yaml("nb201-digits", 5, by_epochs=True)
    failing = TableObjectiveFunction(SyntheticBenchmark(CONDITIONAL, failing=1.0))
    assert len(failing.configspace.conditions) == 1
    crashed = failing.evaluate(TrialInfo(config=failing.configspace.sample_configuration()))
    assert (crashed.status.name, crashed.cost) == ("CRASHED", math.inf)
