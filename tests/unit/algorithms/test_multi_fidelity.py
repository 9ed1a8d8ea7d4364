"""Successive halving, Hyperband and ASHA, against their papers."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms._brackets import rung_epochs
from algorithms.asha import ASHA
from algorithms.hyperband import Hyperband
from algorithms.random_search import RandomSearch
from algorithms.successive_halving import SuccessiveHalving
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import HyperparameterError, UnknownNameError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

SPACE = get_space("nb201")
ALL = [
    (SuccessiveHalving, {}),
    (SuccessiveHalving, {"n_configurations": 20, "eta": 2}),
    (SuccessiveHalving, {"n_configurations": 2}),
    (Hyperband, {}),
    (Hyperband, {"eta": 2, "min_epoch": 3}),
    (ASHA, {}),
    (ASHA, {"eta": 2, "min_epoch": 2}),
    (ASHA, {"early_stopping_rate": 1}),
    (ASHA, {"early_stopping_rate": 9}),
]
every = pytest.mark.parametrize(
    ("cls", "hyperparameters"), ALL, ids=lambda x: getattr(x, "__name__", str(x))
)


def epochs(n):
    return tuple(range(1, n + 1))


# Rungs and schedules


@pytest.mark.parametrize(
    ("fidelities", "eta", "min_epoch", "rungs"),
    [
        ((), 3, 1, (None,)),
        ((), 3, 7, (None,)),
        (epochs(1), 3, 1, (1,)),
        (epochs(12), 3, 1, (1, 4, 12)),
        (epochs(12), 3, 2, (4, 12)),
        (epochs(12), 3, 12, (12,)),
        ((2, 10), 3, 3, (10,)),  # 3.33 is nearer to 2
        (epochs(12), 2, 1, (1, 3, 6, 12)),  # 1.5 is rounded down
        (epochs(200), 3, 1, (2, 7, 22, 67, 200)),
        ((4, 12, 36, 108), 3, 1, (4, 12, 36, 108)),
        ((12, 90), 3, 1, (12, 90)),
        # Where a logarithm in floating point finds a rung too few: log(243, 3) is 4.999….
        (epochs(243), 3, 1, (1, 3, 9, 27, 81, 243)),
        (epochs(1000), 10, 1, (1, 10, 100, 1000)),
    ],
)
def test_rungs(fidelities, eta, min_epoch, rungs):
    assert rung_epochs(fidelities, eta, min_epoch) == rungs


def test_hyperband_has_the_schedule_of_algorithm_1():
    # R = 81 and eta = 3 by the formulas of Algorithm 1: (n_i, r_i) for s = 4, …, 0, and again.
    table = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    algorithm = Hyperband(SPACE, fidelities=epochs(81))
    assert [algorithm.schedule(i) for i in range(10)] == table * 2


@pytest.mark.parametrize("eta", [2, 3, 4, 5])
@pytest.mark.parametrize("s_max", [1, 2, 3])
def test_hyperband_schedule_agrees_with_the_formulas_in_floating_point(eta, s_max):
    full = eta**s_max
    algorithm = Hyperband(SPACE, fidelities=epochs(full), eta=eta)
    for bracket, s in enumerate(range(s_max, -1, -1)):
        n = math.ceil((s_max + 1) * full / full * eta**s / (s + 1))
        expected = [(math.floor(n / eta**i), full / eta**s * eta**i) for i in range(s + 1)]
        assert algorithm.schedule(bracket) == expected


def test_successive_halving_has_the_schedule_of_the_inner_loop():
    def schedule(**hyperparameters):
        return SuccessiveHalving(SPACE, fidelities=epochs(27), **hyperparameters).schedule(5)

    assert schedule() == [(27, 1), (9, 3), (3, 9), (1, 27)]
    assert schedule(n_configurations=100) == [(100, 1), (33, 3), (11, 9), (3, 27)]
    assert schedule(n_configurations=5) == [(5, 1), (1, 3), (1, 9), (1, 27)]
    assert schedule(min_epoch=4) == [(3, 9), (1, 27)]


@pytest.mark.parametrize("eta", [2, 3, 5])
def test_a_bracket_is_a_search_of_scikit_learn(eta):
    """The same candidates in, the same ones at every rung.

    Their number is a power of eta; scikit-learn rounds other numbers up.
    """
    from sklearn.base import BaseEstimator
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    benchmark = SyntheticBenchmark(SPACE, epochs=eta**2)

    class Network(BaseEstimator):
        def __init__(self, index=0, epochs=1):
            self.index, self.epochs = index, epochs

        def fit(self, x, y):
            return self

        def score(self, x, y):
            return benchmark.evaluate(SPACE.at(self.index), self.epochs).values[0]

    halving = HalvingRandomSearchCV(
        Network(),
        {"index": list(range(SPACE.size))},
        n_candidates=eta**2,
        factor=eta,
        resource="epochs",
        max_resources=eta**2,
        min_resources=1,
        cv=2,
        random_state=0,
        refit=False,
    ).fit(np.zeros((4, 1)), np.zeros(4))
    theirs = [
        {
            params["index"]
            for params, i in zip(*(halving.cv_results_[k] for k in ("params", "iter")), strict=True)
            if i == rung
        }
        for rung in range(3)
    ]
    drawn = iter(theirs[0])

    class Given(SuccessiveHalving):
        def propose(self):
            return SPACE.at(next(drawn))

    algorithm = Given(SPACE, eta=eta, fidelities=benchmark.fidelities)
    trace = simulate(algorithm, benchmark, sum(map(len, theirs)))
    schedule = list(zip(halving.n_candidates_, halving.n_resources_, strict=True))
    assert algorithm.schedule(0) == schedule
    for (_, epoch), indices in zip(schedule, theirs, strict=True):
        assert set(SPACE.index(trace.architecture[trace.epoch == epoch]).tolist()) == indices


# What is promoted


def play(algorithm, seed, n, workers, failing=0.2):
    """Asks n times while up to some trials run and end in any order; then all of them end.

    Returns what happened: (trial, None) where it was asked, and (trial, score) where it was told.
    There are few scores, so that many are equal.
    """
    rng = np.random.default_rng(seed)
    running, events = [], []
    while n or running:
        # Several may end before anybody asks again.
        if n and (not running or (len(running) < workers and rng.random() < 0.6)):
            trial = algorithm.ask()
            assert trial.number not in {other.number for other in running}
            running.append(trial)
            events.append((trial, None))
            n -= 1
        else:
            trial = running.pop(int(rng.integers(len(running))))
            score = math.nan if rng.random() < failing else float(rng.integers(20))
            algorithm.tell(trial, Evaluation((score,), 1.0, trial.epoch))
            events.append((trial, score))
    return events


def best(scores, n):
    """The numbers of the n best trials of {number: score} that did not fail."""
    succeeded = [number for number, score in scores.items() if not math.isnan(score)]
    return sorted(succeeded, key=lambda number: (-scores[number], number))[:n]


@given(
    seed=st.integers(0, 2**32 - 1),
    cls=st.sampled_from([SuccessiveHalving, Hyperband]),
    eta=st.integers(2, 4),
    workers=st.integers(1, 12),
    failing=st.sampled_from([0.0, 0.2, 0.8, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_exactly_the_best_of_a_rung_go_on(seed, cls, eta, workers, failing):
    algorithm = cls(SPACE, eta=eta, fidelities=epochs(27))
    events = play(algorithm, seed, 200, workers, failing)
    asked, scores = {}, {}  # {epoch: {number: …}}
    for trial, score in events:
        where = asked if score is None else scores
        where.setdefault(trial.epoch, {})[trial.number] = score
    n_trials, first, bracket = algorithm._n_trials, 0, 0
    while first < n_trials:  # brackets draw their architectures one after the other
        (n, epoch), *later = algorithm.schedule(bracket)
        numbers = range(first, min(first + n, n_trials))
        assert set(numbers) <= set(asked[epoch])
        over = len(numbers) == n
        for n_next, next_epoch in later:
            promoted = [number for number in asked.get(next_epoch, {}) if number in numbers]
            expected = best({number: scores[epoch][number] for number in numbers}, n_next)
            # The best is asked first; when the asks ended, some may have been left.
            assert promoted == expected[: len(promoted)] if over else not promoted
            over = over and len(promoted) == len(expected)
            numbers, epoch = promoted, next_epoch
        first, bracket = first + n, bracket + 1


def test_idle_workers_start_the_next_bracket_and_come_back_to_the_older():
    algorithm = SuccessiveHalving(SPACE, fidelities=epochs(9))
    trials = [algorithm.ask() for _ in range(12)]
    assert [(trial.number, trial.epoch) for trial in trials] == [(i, 1) for i in range(12)]
    for trial in trials[:9]:  # the older bracket's, of which the last are the best
        algorithm.tell(trial, Evaluation((float(trial.number),), 1.0))
    asked = [algorithm.ask() for _ in range(4)]
    assert asked == [*(trials[i]._replace(epoch=3) for i in (8, 7, 6)), (12, asked[3][1], 1)]


def test_brackets_that_are_over_are_forgotten():
    algorithm = SuccessiveHalving(SPACE, fidelities=epochs(9))
    play(algorithm, 0, 1000, 4)
    assert len(algorithm._brackets) <= 4


def test_equal_scores_go_on_in_the_order_in_which_they_were_asked():
    algorithm = SuccessiveHalving(SPACE, fidelities=epochs(9))
    for trial in reversed([algorithm.ask() for _ in range(9)]):
        algorithm.tell(trial, Evaluation((1.0,), 1.0))
    assert [algorithm.ask().number for _ in range(3)] == [0, 1, 2]


class Algorithm2:
    """ASHA as the paper has it: every get_job looks at every rung and sorts it."""

    def __init__(self, n_rungs, eta):
        self.rungs, self.promoted = [{} for _ in range(n_rungs)], [set() for _ in range(n_rungs)]
        self.eta, self.n_drawn = eta, 0

    def get_job(self):
        for k in reversed(range(len(self.rungs) - 1)):
            candidates = best(self.rungs[k], len(self.rungs[k]) // self.eta)
            promotable = [number for number in candidates if number not in self.promoted[k]]
            if promotable:
                self.promoted[k].add(promotable[0])
                return promotable[0], k + 1
        self.n_drawn += 1
        return self.n_drawn - 1, 0


@given(
    seed=st.integers(0, 2**32 - 1),
    eta=st.integers(2, 4),
    rate=st.integers(0, 2),
    workers=st.integers(1, 12),
    failing=st.sampled_from([0.0, 0.2, 0.8, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_asha_asks_what_algorithm_2_asks(seed, eta, rate, workers, failing):
    algorithm = ASHA(SPACE, eta=eta, early_stopping_rate=rate, fidelities=epochs(27))
    events = play(algorithm, seed, 200, workers, failing)
    rungs = rung_epochs(epochs(27), eta, 1)[rate:]
    assert algorithm.rungs == rungs
    restated = Algorithm2(len(rungs), eta)
    for trial, score in events:
        if score is None:
            number, k = restated.get_job()
            assert (trial.number, trial.epoch) == (number, rungs[k])
        else:
            restated.rungs[rungs.index(trial.epoch)][trial.number] = score


# All of them


@every
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("failing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("space", ["nb201", "nb101"])
def test_trials_continue_with_their_number_and_architecture(
    cls, hyperparameters, workers, failing, space
):
    benchmark = SyntheticBenchmark(get_space(space), epochs=27, failing=failing)
    algorithm = cls(benchmark.space, seed=1, fidelities=benchmark.fidelities, **hyperparameters)
    trace = simulate(algorithm, benchmark, 300, workers=workers)
    assert len(trace) == 300
    assert set(trace.epoch.tolist()) <= set(algorithm.rungs)
    for number in range(trace.trial.max() + 1):
        own = np.flatnonzero(trace.trial == number)
        assert (np.diff(trace.epoch[own]) > 0).all()
        assert (trace.start[own][1:] >= trace.end[own][:-1]).all()
        assert (trace.architecture[own] == trace.architecture[own[0]]).all()
    if failing == 1.0:
        assert len(set(trace.trial.tolist())) == 300
    elif len(algorithm.rungs) > 1:
        assert 27 in trace.epoch
        assert trace.trial.max() < 250


@every
def test_no_worker_ever_waits(cls, hyperparameters):
    algorithm = cls(SPACE, fidelities=epochs(27), **hyperparameters)
    assert len({algorithm.ask().number for _ in range(200)}) == 200


@every
@pytest.mark.parametrize("workers", [1, 4])
def test_without_fidelities_it_is_random_search(cls, hyperparameters, workers):
    def architectures(algorithm):
        return simulate(algorithm, SyntheticBenchmark(SPACE), 60, workers=workers).architecture

    random = architectures(RandomSearch(SPACE, seed=3))
    np.testing.assert_array_equal(architectures(cls(SPACE, seed=3, **hyperparameters)), random)


@every
def test_minimising_is_maximising_the_negative(cls, hyperparameters):
    up, down = (
        simulate(
            cls(SPACE, seed=1, maximize=more, fidelities=epochs(27), **hyperparameters),
            SyntheticBenchmark(SPACE, maximize=more, epochs=27),
            200,
        )
        for more in (True, False)
    )
    np.testing.assert_array_equal(up.trial, down.trial)
    np.testing.assert_array_equal(up.architecture, down.architecture)


@every
@pytest.mark.parametrize("asks", [7, 50])
def test_a_pickled_copy_goes_on_identically(cls, hyperparameters, asks):
    algorithm = cls(SPACE, seed=2, fidelities=epochs(27), **hyperparameters)
    play(algorithm, 0, asks, 5)
    running = [algorithm.ask() for _ in range(5)]
    copy = pickle.loads(pickle.dumps(algorithm))
    for one in (algorithm, copy):
        for trial in running:
            one.tell(trial, Evaluation((float(trial.number % 3),), 1.0))
    assert play(algorithm, 1, 100, 5, failing=0.0) == play(copy, 1, 100, 5, failing=0.0)


@every
def test_a_space_of_one_architecture_is_survived(cls, hyperparameters):
    space = SearchSpace("one", [Decision("only", ("one",))])
    benchmark = SyntheticBenchmark(space, epochs=27)
    algorithm = cls(space, fidelities=benchmark.fidelities, **hyperparameters)
    assert len(simulate(algorithm, benchmark, 100, workers=3)) == 100


@every
def test_results_that_were_not_asked_for_are_ignored(cls, hyperparameters):
    algorithm, same = (cls(SPACE, fidelities=epochs(27), **hyperparameters) for _ in range(2))
    assert play(algorithm, 0, 20, 2, failing=0.0) == play(same, 0, 20, 2, failing=0.0)
    for epoch in (None, *algorithm.rungs):
        algorithm.observe(SPACE.at(0), Evaluation((1e9,), 1.0, epoch))
    assert play(algorithm, 1, 100, 2, failing=0.0) == play(same, 1, 100, 2, failing=0.0)


@pytest.mark.parametrize("cls", [SuccessiveHalving, Hyperband, ASHA])
@pytest.mark.parametrize(
    "hyperparameters",
    [{"eta": 1}, {"eta": 2.5}, {"eta": "3"}, {"min_epoch": 0}, {"min_epoch": 13}],
)
def test_hyperparameters_that_make_no_sense_are_refused(cls, hyperparameters):
    with pytest.raises(HyperparameterError, match=next(iter(hyperparameters))):
        cls(SPACE, fidelities=epochs(12), **hyperparameters)


def test_hyperparameters_of_one_algorithm_are_checked_too():
    with pytest.raises(HyperparameterError, match="n_configurations"):
        SuccessiveHalving(SPACE, n_configurations=0)
    with pytest.raises(HyperparameterError, match="early_stopping_rate"):
        ASHA(SPACE, early_stopping_rate=-1)


@pytest.mark.parametrize("algorithm", ["hyperband", "bohb"])
def test_hyperband_has_no_number_of_configurations(algorithm):
    with pytest.raises(UnknownNameError, match="n_configurations"):
        make_algorithm(algorithm, SPACE, n_configurations=9)
