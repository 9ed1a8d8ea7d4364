"""What searches by optimisers of other packages make of spaces, failures and seeds."""

import json
import re
import time
import types

import joblib
import numpy as np
import pytest
from one_shot import PEERS
from typer.testing import CliRunner

import nasbench_lab as lab
from algorithms._peers import Peer, Proposal
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.cli.app import app
from nasbench_lab.errors import HyperparameterError, MissingPackageError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.running import tasks
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

CONDITIONAL = SearchSpace(
    "conditional",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("operation", ("conv", "pool")),
        Decision("kernel", (1, 3, 5), ordered=True, active_if={"operation": "conv"}),
    ],
)


@pytest.fixture
def without_packages(monkeypatch):
    """A machine on which none of the packages is installed."""
    for module in ("algorithm.needs", "registry.listing"):
        monkeypatch.setattr(f"nasbench_lab.{module}.find_spec", lambda name: None)


@pytest.mark.parametrize("name", PEERS)
def test_says_what_to_install_where_the_package_is_absent(without_packages, name):
    install = f"pip install 'nasbench-lab[{name.replace('_', '-')}]'"
    with pytest.raises(MissingPackageError, match=re.escape(install)):
        lab.run(name, "nb201-digits", budget=5)
    rows = json.loads(CliRunner().invoke(app, ["list", "algorithms", "--json"]).stdout)
    (row,) = (row for row in rows if row["algorithm"] == name)
    assert row["needs"] == install


def test_says_what_to_install_for_a_scheduler_that_needs_more(monkeypatch):
    monkeypatch.setattr("nasbench_lab.algorithm.needs.find_spec", lambda name: None)
    install = re.escape("huggingface_hub: pip install 'nasbench-lab[syne-tune]'")
    with pytest.raises(MissingPackageError, match=install):
        make_algorithm("syne_tune", get_space("nb201"), scheduler="cqr")


def test_asks_for_no_package_that_is_there():
    pytest.importorskip("pymoo")
    rows = json.loads(CliRunner().invoke(app, ["list", "algorithms", "--json"]).stdout)
    needs = {row["algorithm"]: row["needs"] for row in rows}
    assert needs["pymoo"] == needs["random_search"] == ""


def test_an_optimiser_works_in_one_thread():
    threads = []

    class Fitting(Peer):
        needs = "joblib"

        def begin(self, seed):
            threads.append(joblib.effective_n_jobs(4))

        def propose(self, number):
            threads.append(joblib.effective_n_jobs(4))
            return Proposal((number % 5,) * 6)

        def learn(self, *_):
            threads.append(joblib.effective_n_jobs(4))

    benchmark = SyntheticBenchmark(get_space("nb201"))
    simulate(Fitting(benchmark.space, seed=1), benchmark, 3)
    assert threads == [1] * 7
    assert joblib.effective_n_jobs(4) == 4


def test_wrong_settings_are_named():
    pytest.importorskip("pymoo")
    space = get_space("nb201")
    with pytest.raises(HyperparameterError, match="nsga9"):
        make_algorithm("pymoo", space, algorithm="nsga9")
    with pytest.raises(HyperparameterError, match="mapping from names to values"):
        make_algorithm("pymoo", space, settings=7)


def test_asks_what_optuna_asks_by_itself():
    optuna = pytest.importorskip("optuna")
    benchmark = lab.load_benchmark("nb201-digits")
    algorithm = make_algorithm("optuna", benchmark.space, seed=3, sampler="tpe")
    trace = simulate(algorithm, benchmark, 30)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=algorithm._seed, multivariate=False)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rows = []
    for _ in range(30):
        trial = study.ask()
        options = [trial.suggest_categorical(d.name, range(5)) for d in benchmark.space.decisions]
        evaluation = benchmark.evaluate(tuple(options))
        study.tell(trial, evaluation.values[0])
        rows.append(evaluation.row)
    assert trace.row.tolist() == rows


def test_optuna_knows_order_and_conditions():
    optuna = pytest.importorskip("optuna")
    benchmark = SyntheticBenchmark(CONDITIONAL)
    algorithm = make_algorithm("optuna", CONDITIONAL, seed=1, sampler="random")
    trace = simulate(algorithm, benchmark, 20)
    trials = algorithm.optimiser.trials
    for trial, architecture in zip(trials, trace.architecture.tolist(), strict=True):
        names = set(CONDITIONAL.options(tuple(architecture)))
        assert set(trial.params) == names
        assert trial.distributions["layers"] == optuna.distributions.IntDistribution(0, 2)
        choices = optuna.distributions.CategoricalDistribution((0, 1))
        assert trial.distributions["operation"] == choices
    assert any("kernel" not in trial.params for trial in trials)


def test_optuna_is_told_of_failures_violations_and_all_objectives():
    pytest.importorskip("optuna")
    algorithm = make_algorithm("optuna", CONDITIONAL, seed=1, maximize=(True, False))
    first, second, third = (algorithm.ask() for _ in range(3))
    algorithm.tell(second, Evaluation((float("nan"), 1.0), 1.0))
    algorithm.tell(first, Evaluation((3.0, 4.0), 1.0, violation=0.5))
    algorithm.tell(third, Evaluation((3.0, 4.0), 1.0))
    states = [trial.state.name for trial in algorithm.optimiser.trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE"]
    assert algorithm.optimiser.trials[0].values == [-3.0, 4.0]
    assert algorithm.optimiser.trials[0].constraints == {"violation": 0.5}
    assert [d.name for d in algorithm.optimiser.directions] == ["MINIMIZE"] * 2
    weighted = make_algorithm(
        "optuna", CONDITIONAL, seed=1, maximize=(True, False), weights=(1, 0.5)
    )
    weighted.tell(weighted.ask(), Evaluation((3.0, 4.0), 1.0))
    assert weighted.optimiser.trials[0].values == [-1.0]


def test_optunas_pruners_end_trainings():
    pytest.importorskip("optuna")
    trace = lab.run(
        "optuna(sampler=random, pruner=successive_halving)", "nb201-digits", budget=40, seed=1
    )
    assert {"stopped", "done"} == set(trace.to_frame()["status"])
    whole = lab.run("optuna(sampler=random)", "nb201-digits", budget=10, seed=1)
    assert set(whole.epoch.tolist()) == {12}


@pytest.mark.parametrize("algorithm", ["nsga2", "de"])
def test_pymoo_asks_a_generation_and_waits(algorithm):
    pytest.importorskip("pymoo")
    space = get_space("nb201")
    search = make_algorithm("pymoo", space, seed=1, algorithm=algorithm, population_size=8)
    asked = [search.ask() for _ in range(9)]
    assert asked[8] is None
    assert len({trial.architecture for trial in asked[:8]}) > 4
    for trial in asked[:8]:
        search.tell(trial, Evaluation((float(sum(trial.architecture)),), 1.0))
    assert search.ask() is not None


def test_pymoo_gets_better():
    pytest.importorskip("pymoo")
    benchmark = lab.load_benchmark("nb201-digits")
    values = benchmark.table.values(benchmark.first_objective)
    trace = lab.run("pymoo(population_size=10)", benchmark, budget=150, seed=2)
    first, last = values[trace.row[:30]].mean(), values[trace.row[-30:]].mean()
    assert last > first + np.std(values) / 4


def test_nevergrad_knows_order():
    nevergrad = pytest.importorskip("nevergrad")
    algorithm = make_algorithm("nevergrad", CONDITIONAL, seed=1)
    layers, operation, _ = algorithm.optimiser.parametrization
    assert type(layers) is nevergrad.p.TransitionChoice
    assert type(operation) is nevergrad.p.Choice
    with pytest.raises(HyperparameterError, match="Did you mean 'TwoPointsDE'"):
        make_algorithm("nevergrad", CONDITIONAL, optimizer="TwoPointDE")


def test_smac_knows_order_and_conditions():
    config = pytest.importorskip("ConfigSpace")
    pytest.importorskip("smac")
    algorithm = make_algorithm("smac", CONDITIONAL, seed=1, facade="random")
    space = algorithm.optimiser.scenario.configspace
    assert isinstance(space["layers"], config.OrdinalHyperparameter)
    assert isinstance(space["operation"], config.CategoricalHyperparameter)
    (condition,) = space.conditions
    assert isinstance(condition, config.InCondition)
    assert (condition.parent.name, condition.child.name) == ("operation", "kernel")
    first, second = algorithm.ask(), algorithm.ask()
    algorithm.tell(second, Evaluation((float("nan"),), 1.0))
    algorithm.tell(first, Evaluation((5.0,), 1.0))
    history = algorithm.optimiser.runhistory
    assert [value.status.name for value in history.values()] == ["SUCCESS", "CRASHED"]
    assert next(iter(history.values())).cost == -5.0


def test_smac_goes_on_with_the_best_where_there_are_epochs():
    pytest.importorskip("smac")
    trace = lab.run("smac(facade=hyperband)", "nb201-digits", budget="40epochs", seed=1)
    assert len(set(trace.epoch.tolist())) > 1
    assert set(trace.epoch.tolist()) <= set(range(1, 13))


def test_syne_tune_knows_order_and_stops_trainings():
    config_space = pytest.importorskip("syne_tune").config_space
    algorithm = make_algorithm("syne_tune", CONDITIONAL, seed=1)
    assert isinstance(algorithm.optimiser.config_space["layers"], config_space.Ordinal)
    assert type(algorithm.optimiser.config_space["operation"]) is config_space.Categorical
    trace = lab.run("syne_tune(scheduler=asha)", "nb201-digits", budget=30, seed=1)
    assert {"stopped", "done"} == set(trace.to_frame()["status"])


def test_a_global_generator_that_a_package_draws_from_stays_as_it_was():
    pytest.importorskip("syne_tune")
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 (what must not change)
    lab.run("syne_tune(scheduler=bore)", "nb201-digits", budget=12, seed=1)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002 (as above)


def test_no_run_is_charged_with_the_import_of_the_package(monkeypatch):
    pytest.importorskip("pymoo")
    from algorithms.pymoo import Pymoo

    events, begin, clock = [], Pymoo.begin, time.perf_counter

    def beginning(self, seed):
        events.append("begin")
        return begin(self, seed)

    def reading():
        events.append("clock")
        return clock()

    monkeypatch.setattr(Pymoo, "begin", beginning)
    monkeypatch.setattr(tasks, "time", types.SimpleNamespace(perf_counter=reading))
    result = lab.compare(["pymoo"], "nb201-digits", budget=5, seeds=2, n_jobs=1)
    assert len(list(result.traces("nb201-digits", "pymoo"))) == 2
    # The task's own clock comes first, then the import, then the clock and the first run.
    first = events.index("clock")
    assert events[first : first + 4] == ["clock", "begin", "clock", "begin"]


@pytest.mark.parametrize("on_top", ["random_scalarization", "learning_curve_stopping"])
def test_other_algorithms_build_on_a_peer_that_stops_nothing(on_top):
    pytest.importorskip("optuna")
    benchmark = SyntheticBenchmark(get_space("nb201"), epochs=3)
    known = {"base": "optuna", "fidelities": benchmark.fidelities}
    algorithm = make_algorithm(
        on_top, benchmark.space, base_hyperparameters={"sampler": "random"}, **known
    )
    assert len(simulate(algorithm, benchmark, 30)) == 30
    pruning = {"sampler": "random", "pruner": "median"}
    with pytest.raises(HyperparameterError, match="stops no trials but got Optuna"):
        make_algorithm(on_top, benchmark.space, base_hyperparameters=pruning, **known)
