"""What a benchmark gives to algorithms: the name of its data, and scores by zero-cost proxies."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scored_tables import LESS_IS_BETTER, SECONDS, SPACE, scored_table

import nasbench_lab as lab
from nasbench_lab.algorithm import GIVEN, SearchAlgorithm, check_proxies, hyperparameters_of
from nasbench_lab.errors import HyperparameterError, UnknownNameError, UnsuitedError
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.given import BenchmarkProxies, data_of
from nasbench_lab.experiment.toml import to_toml
from nasbench_lab.registry import load_benchmark, make_algorithm
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.testing import check_algorithm


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    table = scored_table(tmp_path_factory.mktemp("tables"))
    return lab.TableBenchmark(table)


def test_scores_and_seconds_are_those_of_the_table(scored):
    proxies = BenchmarkProxies(scored)
    assert set(proxies.names) == {"synflow", "jacov", "snip", "params", LESS_IS_BETTER}
    architectures = SPACE.at(np.array([3, 7, 3, 100]))
    scores, work = proxies.score(["synflow", LESS_IS_BETTER], architectures)
    for line, name, sign in zip(scores, ("synflow", LESS_IS_BETTER), (1, -1), strict=True):
        values = scored.table.values(f"proxy_{name}")
        np.testing.assert_array_equal(line, sign * values[[3, 7, 3, 100]])
    assert work == lab.Work(None, pytest.approx(2 * 3 * SECONDS))
    # What is known costs nothing again, also in a copy.
    copy = pickle.loads(pickle.dumps(proxies))
    for one in (proxies, copy):
        again, work = one.score(["synflow"], architectures)
        np.testing.assert_array_equal(again[0], scores[0])
        assert work.seconds == 0
    _, work = proxies.score(["jacov", "synflow"], SPACE.at(np.array([3, 8])))
    assert work.seconds == pytest.approx(3 * SECONDS)


def test_what_the_table_lacks_has_no_score(scored):
    scores, work = BenchmarkProxies(scored).score(["synflow"], SPACE.at(np.array([624])))
    assert np.isnan(scores).all()
    assert work.seconds == 0


def test_an_unknown_proxy_is_refused_with_those_that_there_are(scored):
    proxies = BenchmarkProxies(scored)
    with pytest.raises(UnknownNameError, match="Did you mean 'synflow'"):
        proxies.score(["synflo"], SPACE.at(np.array([3])))
    with pytest.raises(UnknownNameError, match="zero-cost proxy 'synflo'"):
        check_proxies(proxies, ["synflo"])
    assert check_proxies(proxies, ["synflow"]) is proxies
    for none in (None, BenchmarkProxies(load_benchmark("nas-bench-graph/cora"))):
        with pytest.raises(UnsuitedError, match="no scores by zero-cost proxies"):
            check_proxies(none, ["synflow"])


def test_columns_of_test_data_or_of_another_data_set_are_no_proxies(scored, monkeypatch):
    columns = dict(scored.table.columns)
    columns["proxy_snip"] = replace(columns["proxy_snip"], dataset="cifar10")
    columns["proxy_jacov"] = replace(columns["proxy_jacov"], split="test")
    monkeypatch.setattr(scored.table, "columns", columns)
    assert set(BenchmarkProxies(scored).names) == {"synflow", "params", LESS_IS_BETTER}


def test_isomorphic_architectures_are_scored_once_and_computed_where_there_are_no_columns():
    pytest.importorskip("torch")
    benchmark = load_benchmark("nb201-digits")
    proxies = BenchmarkProxies(benchmark)
    proxies._columns = {}  # as before the table had any
    space = benchmark.space
    many = np.array([space.at(4000), space.at(4000), space.canonical(space.at(4000))])
    scores, work = proxies.score(["params", "synflow"], many)
    parameters = benchmark.table.values("parameters")[benchmark.table.row(space.at(4000))]
    np.testing.assert_allclose(scores[0], parameters, rtol=1e-6)
    assert len(set(scores[1].tolist())) == 1
    # Two passes over 64 of the training images, along one architecture.
    n = len(proxies._data.labels["train"])
    assert work.epochs == pytest.approx(2 * 64 / n)
    assert benchmark.charge(work) > 0
    assert proxies.score(["params"], many)[1].epochs == 0


def test_scores_that_are_computed_draw_from_no_global_generator():
    torch = pytest.importorskip("torch")
    state = torch.get_rng_state()
    proxies = BenchmarkProxies(load_benchmark("nb201-digits"))
    proxies._columns = {}
    proxies.score(["synflow"], proxies._space.at(np.array([4000])))
    assert torch.equal(torch.get_rng_state(), state)


def test_measured_scores_take_measured_seconds(tmp_path):
    pytest.importorskip("torch")
    from nasbench_lab.trainer import TrainingBenchmark

    benchmark = TrainingBenchmark(clock="train_only", folder=tmp_path, device="cpu")
    scores, work = BenchmarkProxies(benchmark).score(
        ["grad_norm"], benchmark.space.at(np.array([5000]))
    )
    assert np.isfinite(scores).all()
    assert work.passes is None
    assert benchmark.charge(work) == work.seconds > 0


class Takes(SearchAlgorithm):
    """Asks for the architecture 1 if it was given all, and for 0 if nothing."""

    def __init__(self, space, *, data=None, proxies=None, **kwargs):
        super().__init__(space, **kwargs)
        names = () if proxies is None else proxies.names
        self.number = {(True, True): 1, (False, False): 0}[data == "digits", "synflow" in names]

    def ask(self):
        return self.trial(self.space.at(self.number))


def test_what_is_given_is_no_hyperparameter():
    assert hyperparameters_of(Takes) == {}
    assert {"data", "proxies"} <= set(GIVEN)
    with pytest.raises(HyperparameterError, match="data is set by the experiment"):
        run("random_search(data=digits)", "nb201-digits", 3)


def test_runs_and_comparisons_give_it():
    space = load_benchmark("nb201-digits").space
    result = compare({"takes": Takes}, "nb201-digits", budget=3, seeds=1, n_jobs=1)
    for trace in (run(Takes, "nb201-digits", 3), result.runs[0].trace):
        assert trace.architecture.tolist() == [list(space.at(1))] * 3
    experiment = Experiment.of(["random_search"], "nb201-digits", budget=3, seeds=1)
    assert "proxies" not in to_toml(experiment)
    assert not run(Takes, "nas-bench-graph/cora", 3).architecture.any()
    assert data_of(load_benchmark("nas-bench-201-final/cifar10")) == "cifar10"
    assert make_algorithm(Takes, space).number == 0


def test_algorithms_on_top_of_others_pass_it_on():
    space = load_benchmark("nb201-digits").space
    for name in ("learning_curve_stopping", "random_scalarization"):
        trace = run(name, "nb201-digits", 25, base=Takes)
        assert trace.architecture[-1].tolist() == list(space.at(1))


class Needy(SearchAlgorithm):
    """Ranks at random what it scores; refuses spaces without images."""

    def __init__(self, space, *, data=None, proxies=None, **kwargs):
        super().__init__(space, **kwargs)
        if data is None:
            raise UnsuitedError("no images")
        self.proxies = check_proxies(proxies, ["synflow"])
        self.queue = None

    def ask(self):
        if self.queue is None:
            pool = self.space.sample(self.rng, 100)
            scores, work = self.proxies.score(["synflow"], pool)
            self.queue = pool[np.argsort(-scores[0], kind="stable")].tolist()
            return work
        return self.trial(tuple(self.queue.pop(0))) if self.queue else None


def test_the_contract_gives_it_and_passes_over_what_an_algorithm_refuses(monkeypatch):
    monkeypatch.setattr("nasbench_lab.testing.contract.differs_elsewhere", lambda *_: False)
    check_algorithm(Needy)
