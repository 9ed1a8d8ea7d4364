"""Searches with a predictor: what they learn from, and what they ask for."""

import itertools
import pickle

import numpy as np
import pytest
from one_shot import BY_PREDICTORS, small

from algorithms.bananas import BANANAS
from algorithms.gp_bo import GPBO
from algorithms.npenas import NPENAS
from algorithms.pnas import PNAS
from algorithms.predictor_search import PredictorSearch
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import HyperparameterError, UnknownNameError, UnsuitedError
from nasbench_lab.predictors import Predictor
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, PoolSpace, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

SPACE = get_space("nb201")
LETTERS = SearchSpace("letters", [Decision(f"letter {i}", "abcd") for i in range(5)])


class Oracle(Predictor):
    """Knows the values: the sum of the option numbers; its standard deviation is 0.5."""

    def _fit(self, architectures, values, columns):
        Oracle.learned = len(values)

    def _predict(self, architectures, columns):
        sums = architectures.sum(axis=1)
        return sums.astype(float), np.full(len(sums), 0.5)

    def predict(self, architectures, columns=None):
        return self._predict(np.asarray(architectures), None)


def answer(algorithm, trial):
    algorithm.tell(trial, Evaluation((float(sum(trial.architecture)),), 1.0))
    return trial.architecture


def asked(algorithm, n):
    return [answer(algorithm, algorithm.ask()) for _ in range(n)]


@pytest.mark.parametrize("cls", [BANANAS, NPENAS])
def test_mutants_of_the_best_are_asked_in_the_order_of_predictions(cls):
    algorithm = cls(LETTERS, predictor=Oracle, n_initial=8, batch_size=4, n_candidates=15, seed=1)
    known = asked(algorithm, 8)
    best = max(known, key=sum)
    batch = asked(algorithm, 4)
    assert Oracle.learned == 8
    assert not set(batch) & set(known)
    if cls is NPENAS:
        assert [sum(a) for a in batch] == sorted((sum(a) for a in batch), reverse=True)
    # 15 candidates are all that differ from the best in one decision, but for what is known.
    near = [sum(a != b for a, b in zip(one, best, strict=True)) for one in batch]
    assert near.count(1) >= 3
    asked(algorithm, 4)
    assert Oracle.learned == 12


def test_thompson_sampling_draws_for_each_candidate():
    # The means of these 15 children differ by 1 to 3, the standard deviations are 0.5.
    first = set()
    for seed in range(40):
        algorithm = BANANAS(LETTERS, predictor=Oracle, n_initial=1, batch_size=1, seed=seed)
        algorithm.observe((0, 0, 0, 0, 0), Evaluation((1.0,), 1.0))
        first.add(algorithm.ask().architecture)
    # All five that are predicted best have the same chance, and no other is worth more.
    assert len(first) == 5
    assert {sum(architecture) for architecture in first} <= {2, 3}


def test_predictor_search_asks_for_the_best_of_a_small_space():
    algorithm = PredictorSearch(
        LETTERS, predictor=Oracle, n_initial=5, batch_size=6, n_candidates=1024, seed=0
    )
    known = asked(algorithm, 5)
    batch = asked(algorithm, 6)
    every = sorted(itertools.product(range(4), repeat=5), key=sum, reverse=True)
    best = [sum(a) for a in every if a not in known][:6]
    assert [sum(a) for a in batch] == best


@pytest.mark.parametrize("name", BY_PREDICTORS)
def test_each_class_is_asked_once_until_none_is_left(name):
    space = PoolSpace(SPACE, SPACE.sample(np.random.default_rng(0), 40))
    algorithm = make_algorithm(name, space, seed=1, **small(name))
    trace = simulate(algorithm, SyntheticBenchmark(space), 100, workers=3)
    assert len(trace) == len(space.classes)
    assert len({tuple(a) for a in trace.architecture.tolist()}) == len(trace)


def test_pnas_grows_edge_by_edge_with_a_beam():
    skip = SPACE.decisions[0].options.index("skip_connect")
    algorithm = PNAS(SPACE, predictor=Oracle, beam_size=3, seed=0)
    trials = []
    while algorithm._made < 6 or algorithm._queue:
        batch = []
        while (trial := algorithm.ask()) is not None:
            batch.append(trial)
        trials.append([answer(algorithm, trial) for trial in batch])
        if len(trials) > 8:
            break
    # By canonical cells; the first step tries all operations of the first edge.
    first = {SPACE.canonical((o, *[skip] * 5)) for o in range(5)}
    assert set(trials[0]) == first
    assert all(len(batch) <= 3 for batch in trials[1:6])
    assert not {a for batch in trials[1:] for a in batch} & first


def test_the_beam_of_pnas_is_that_of_brute_force():
    # With a predictor that knows all values, each step keeps the best extensions of the last beam.
    algorithm = PNAS(LETTERS, predictor=Oracle, beam_size=3, seed=0)
    beam = [()]
    seen = set()
    for step in range(5):
        batch = []
        while (trial := algorithm.ask()) is not None:
            batch.append(trial)
            if len(batch) == 4:
                break
        extended = [(*prefix, option) for prefix in beam for option in range(4)]
        whole = {prefix: (*prefix, *[0] * (4 - step)) for prefix in extended}
        if step:
            extended = sorted(extended, key=lambda p: -sum(p))[:3]
            kept = [prefix for prefixes in algorithm._beam.values() for prefix in prefixes]
            assert sorted(map(sum, kept)) == sorted(map(sum, extended))
            extended = kept
        new = {whole[p] for p in extended} - seen
        assert {trial.architecture for trial in batch} == new
        seen |= new
        beam = list(extended)
        for trial in batch:
            answer(algorithm, trial)
        if step == 3:
            break
    assert max(sum(a) for a in seen) == 12  # all d but the last letter


def test_partial_architectures_that_are_the_same_so_far_are_extended_each_for_itself():
    # Skip connections have one wiring only, so the first step has one architecture for all nine.
    space = get_space("nas-bench-graph")
    algorithm = PNAS(space, predictor=Oracle, beam_size=9, seed=0)
    skip = space.operations.index("skip")
    assert answer(algorithm, algorithm.ask()) == space.canonical((0, *[skip] * 4))
    (wirings,) = algorithm._beam.values()
    assert sorted(wirings) == [(wiring,) for wiring in range(9)]
    asked(algorithm, 2 * 9)  # the operations of the first two nodes
    wirings = {prefix[0] for prefixes in algorithm._beam.values() for prefix in prefixes}
    assert len(wirings) > 1
    assert all(len(prefixes) <= 9 for prefixes in algorithm._beam.values())


def test_pnas_waits_for_its_step_and_goes_on_after_the_last():
    algorithm = PNAS(LETTERS, predictor=Oracle, beam_size=3, seed=0)
    first = [algorithm.ask() for _ in range(4)]
    assert algorithm.ask() is None
    for trial in first:
        answer(algorithm, trial)
    more = asked(algorithm, 60)
    assert (3, 3, 3, 3, 3) in more
    assert len(set(more)) == 60


@pytest.mark.parametrize("loss", ["squared", "pairwise"])
def test_npenas_with_the_graph_network_of_its_paper(loss):
    space = PoolSpace(SPACE, SPACE.sample(np.random.default_rng(0), 150))
    settings = {"loss": loss, "width": 8, "n_layers": 2, "epochs": 3}
    algorithm = NPENAS(space, predictor_settings=settings, batch_size=5, seed=0)
    assert algorithm.predictor == "gcn"
    asked(algorithm, 10)
    predictor = pickle.loads(pickle.dumps(algorithm)).fitted()  # that of the next batch
    mean, _ = predictor.predict(np.array(asked(algorithm, 5)))
    assert mean.tolist() == sorted(mean.tolist(), reverse=True)
    assert len(set(mean.tolist())) > 1
    assert NPENAS(LETTERS).predictor == "mlp_ensemble"
    with pytest.raises(UnsuitedError, match="such as ordinal or random_forest"):
        NPENAS(LETTERS, predictor="gcn")


@pytest.mark.parametrize("name", BY_PREDICTORS)
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"predictor": "zero_cost"}, UnsuitedError, "learns from columns"),
        ({"predictor": "forest"}, UnknownNameError, "Unknown predictor"),
        ({"predictor_settings": {"depth": 3}}, UnknownNameError, "Unknown setting"),
        ({"predictor": "gp", "predictor_settings": {"kernel": "wl"}}, UnsuitedError, "graphs"),
    ],
)
def test_unsuited_predictors_are_refused(name, settings, error, message):
    with pytest.raises(error, match=message):
        make_algorithm(name, LETTERS, **settings)


def test_sizes_and_models_that_cannot_be_are_refused():
    for name in ("n_initial", "batch_size", "n_candidates"):
        with pytest.raises(HyperparameterError, match=f"at least 1 for {name}"):
            BANANAS(LETTERS, **{name: 0})
    with pytest.raises(HyperparameterError, match="gives standard deviations"):
        BANANAS(LETTERS, predictor="ridge")
    with pytest.raises(HyperparameterError, match="beam_size"):
        PNAS(LETTERS, beam_size=0)


def test_gp_bo_searches_with_the_weisfeiler_lehman_kernel():
    space = PoolSpace(SPACE, SPACE.sample(np.random.default_rng(0), 150))
    algorithm = GPBO(space, kernel="wl", seed=0)
    trace = simulate(algorithm, SyntheticBenchmark(space), 30, workers=2)
    assert len({tuple(a) for a in trace.architecture.tolist()}) == 30
    with pytest.raises(UnsuitedError, match="are none"):
        GPBO(LETTERS, kernel="wl")
