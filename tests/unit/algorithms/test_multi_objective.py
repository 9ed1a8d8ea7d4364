"""NSGA-II and random scalarizations, against their papers and pymoo; warm starts of their bases."""

import math
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from scipy.stats import chisquare, kstest
from threadpoolctl import threadpool_limits

from algorithms.gp_bo import GPBO
from algorithms.nsga2 import NSGA2, crowding_distance, non_dominated_sort
from algorithms.random_scalarization import RandomScalarization
from algorithms.regularized_evolution import RegularizedEvolution
from algorithms.reinforce import Reinforce
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

SPACE = get_space("nb201")
SINGLE = SearchSpace("single", [Decision("only", ("one",)), Decision("same", ("other",))])
BOTH = (True, False)

VARIANTS = {
    "nsga2": ("nsga2", {}),
    "nsga2 of one": ("nsga2", {"population_size": 1}),
    "nsga2 multi_point": ("nsga2", {"population_size": 7, "crossover": "multi_point"}),
    "nsga2 single_point": ("nsga2", {"crossover": "single_point", "mutation_rate": 0.5}),
    **{
        f"random_scalarization of {base}": ("random_scalarization", {"base": base})
        for base in (
            *("regularized_evolution", "random_search", "reinforce", "gp_bo", "nsga2"),
            *("genetic_algorithm", "local_search", "asha", "hyperband"),
        )
    },
    "random_scalarization linear": ("random_scalarization", {"scalarization": "linear"}),
    "random_scalarization at once": ("random_scalarization", {"n_initial": 1, "n_weights": 1}),
}


@pytest.mark.parametrize("workers", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [{}, {"failing": 0.3}, {"failing": 1.0}, {"constant": True}])
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_objectives(variant, kind, workers):
    name, hyperparameters = VARIANTS[variant]
    for space, epochs in ((SPACE, None), (SPACE, 9), (get_space("nb101"), None), (SINGLE, None)):
        benchmark = SyntheticBenchmark(space, maximize=BOTH, epochs=epochs, **kind)
        algorithm = make_algorithm(
            name, space, maximize=BOTH, fidelities=benchmark.fidelities, **hyperparameters
        )
        trace = simulate(algorithm, benchmark, 50, workers=workers)
        # Some bases ask nothing twice.
        assert len(trace) == 50 or space is SINGLE


@pytest.mark.parametrize("name", ["nsga2", "random_scalarization"])
def test_minimising_is_maximising_the_negative(name):
    traces = [
        simulate(
            make_algorithm(name, SPACE, maximize=maximize),
            SyntheticBenchmark(SPACE, maximize=maximize),
            100,
        ).architecture
        for maximize in ((True, True), (False, True), (False, False))
    ]
    np.testing.assert_array_equal(traces[0], traces[1])
    np.testing.assert_array_equal(traces[0], traces[2])


@pytest.mark.parametrize("variant", ["nsga2", "random_scalarization of gp_bo"])
def test_pickled_in_mid_run_with_two_objectives(variant):
    name, hyperparameters = VARIANTS[variant]
    benchmark = SyntheticBenchmark(SPACE, maximize=BOTH)
    algorithm = make_algorithm(name, SPACE, maximize=BOTH, **hyperparameters)

    def go_on(algorithm):
        asked = []
        for _ in range(35):
            asked.append(algorithm.ask())
            algorithm.tell(asked[-1], benchmark.evaluate(asked[-1].architecture))
        return asked

    with threadpool_limits(1):
        go_on(algorithm)
        copy = pickle.loads(pickle.dumps(algorithm))
        assert go_on(algorithm) == go_on(copy)


@pytest.mark.parametrize(
    ("name", "hyperparameters"),
    [
        ("nsga2", {"population_size": 0}),
        ("nsga2", {"crossover": "none"}),
        ("nsga2", {"crossover_rate": 1.1}),
        ("nsga2", {"mutation_rate": -0.1}),
        ("nsga2", {"weights": (1.0,)}),
        ("random_scalarization", {"n_weights": 0}),
        ("random_scalarization", {"n_initial": 0}),
        ("random_scalarization", {"weights": (1.0,)}),
        ("random_scalarization", {"scalarization": "product"}),
        ("random_scalarization", {"base": "no_such"}),
        ("random_scalarization", {"base": "random_scalarization"}),
    ],
)
def test_hyperparameters_that_make_no_sense_are_refused(name, hyperparameters):
    with pytest.raises(HyperparameterError, match=next(iter(hyperparameters))):
        make_algorithm(name, SPACE, **hyperparameters)


# Sorting and crowding


@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_fronts_are_those_of_pymoo(m, decimals):
    rng = np.random.default_rng(m)
    for n in (1, 2, 10, 60):
        values = rng.random((n, m)).round(decimals)
        theirs = NonDominatedSorting().do(-values)
        ours = non_dominated_sort(values, np.zeros(n))
        assert [front.tolist() for front in ours] == [sorted(front) for front in theirs]


@st.composite
def evaluated(draw):
    """(n, 2) values, NaN where the violation is infinite, and (n,) violations."""
    value = st.integers(0, 3).map(float)
    row = st.tuples(value, value, st.sampled_from([0.0, 0.0, 1.0, 2.0, math.inf]))
    rows = np.array(draw(st.lists(row, min_size=1, max_size=12)))
    rows[np.isinf(rows[:, 2]), 0] = math.nan
    return rows[:, :2], rows[:, 2]


@given(evaluated())
def test_fronts_are_by_the_definition_of_constraint_domination(case):
    values, violations = case

    def dominates(i, j):
        a, b = values[i].tolist(), values[j].tolist()
        if violations[i] > 0 or violations[j] > 0:
            return violations[i] < violations[j]
        return a[0] >= b[0] and a[1] >= b[1] and a != b

    left, fronts = list(range(len(values))), []
    while left:
        fronts.append([i for i in left if not any(dominates(j, i) for j in left)])
        left = [i for i in left if i not in fronts[-1]]
    assert [front.tolist() for front in non_dominated_sort(values, violations)] == fronts


@pytest.mark.parametrize("decimals", [1, 15])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_crowding_distance_is_that_of_pymoo(m, decimals):
    rng = np.random.default_rng(m)
    for n in (3, 4, 10, 60):
        values = rng.random((n, m)).round(decimals)
        values[rng.integers(n, size=n // 3)] = values[0]  # duplicates
        # pymoo takes the mean over the objectives, the paper the sum.
        theirs = m * get_crowding_function("cd").do(values)
        np.testing.assert_allclose(crowding_distance(values), theirs)


def test_crowding_distance_where_pymoo_differs():
    # Up to two points are infinitely far apart to pymoo even if they are equal.
    assert crowding_distance(np.array([[1.0, 2.0], [1.0, 2.0]])).tolist() == [0.0, 0.0]
    assert crowding_distance(np.array([[1.0, 2.0]])).tolist() == [0.0]
    assert crowding_distance(np.array([[1.0, 2.0], [2.0, 1.0]])).tolist() == [math.inf] * 2


def test_crowding_distance_by_hand():
    values = np.array([[0.0, 10.0], [1.0, 6.0], [3.0, 5.0], [4.0, 0.0]])
    expected = [math.inf, 3 / 4 + 5 / 10, 3 / 4 + 6 / 10, math.inf]
    assert crowding_distance(values) == pytest.approx(expected)


# NSGA-II


def generation(algorithm, evaluate):
    """Asks until nothing is left to ask, then tells; returns the architectures."""
    trials = list(iter(algorithm.ask, None))
    for trial in trials:
        algorithm.tell(trial, evaluate(trial.architecture))
    return [trial.architecture for trial in trials]


def test_nsga2_waits_for_its_generation():
    benchmark = SyntheticBenchmark(SPACE, maximize=BOTH)
    algorithm = NSGA2(SPACE, population_size=5, maximize=BOTH)
    for _ in range(4):
        trials = [algorithm.ask() for _ in range(6)]
        assert [trial is None for trial in trials] == [False] * 5 + [True]
        for trial in reversed(trials[:5]):
            assert algorithm.ask() is None
            algorithm.tell(trial, benchmark.evaluate(trial.architecture))


def test_nsga2_keeps_the_best_fronts_and_the_least_crowded():
    benchmark = SyntheticBenchmark(SPACE, maximize=BOTH)
    algorithm = NSGA2(SPACE, population_size=12, maximize=BOTH)
    pool = []
    for _ in range(15):
        asked = generation(algorithm, benchmark.evaluate)
        pool = pool + [(a, *benchmark.evaluate(a).values) for a in asked]
        costs = np.array([[-first, second] for _, first, second in pool])
        expected = []
        for front in NonDominatedSorting().do(costs):
            room = 12 - len(expected)
            crowding = get_crowding_function("cd").do(-costs[np.sort(front)])
            order = np.argsort(-crowding, kind="stable")[:room]
            expected += [pool[i] for i in np.sort(front)[order]]
            if len(expected) == 12:
                break
        pool = expected
        kept = [(a, *values) for a, values, _ in algorithm._results]
        assert sorted(kept) == sorted(pool)


def test_nsga2_parents_win_tournaments_of_two():
    # Children that are copies of their parents show who was selected.
    space = SearchSpace("s", [Decision("a", range(4))])
    algorithm = NSGA2(space, population_size=2000, crossover_rate=0.0, mutation_rate=0.0)
    population = [(0, -math.inf, (0,)), (0, -1.0, (1,)), (0, -0.5, (2,)), (1, -math.inf, (3,))]
    drawn = Counter(a for _ in range(2000) for a in algorithm._breed(population))
    # The fittest wins unless both draws miss it.
    expected = 4000 * np.array([7, 5, 3, 1]) / 16
    assert chisquare([drawn[(i,)] for i in range(4)], expected).pvalue > 1e-4


def test_nsga2_crosses_and_mutates():
    space = SearchSpace("s", [Decision(f"layer {i}", "ab") for i in range(200)])
    population = [(0, 0.0, (0,) * 200), (0, 0.0, (1,) * 200)]

    def ones(**hyperparameters):
        algorithm = NSGA2(space, **hyperparameters)
        return np.array([sum(a) for _ in range(300) for a in algorithm._breed(population)])

    assert set(ones(crossover_rate=0.0, mutation_rate=0.0)) == {0, 200}
    # Parents that are two of the same have nothing to exchange.
    mixed = ones(crossover_rate=1.0, mutation_rate=0.0)
    assert np.mean((mixed > 60) & (mixed < 140)) == pytest.approx(0.5, abs=0.1)
    mutated = ones(crossover_rate=0.0)
    assert np.minimum(mutated, 200 - mutated).mean() == pytest.approx(1.0, abs=0.2)


def test_nsga2_prefers_what_violates_constraints_least():
    # The better the values, the greater the violation: only 0 to 4 of 20 options are feasible.
    space = SearchSpace("s", [Decision("a", range(20)), Decision("b", range(20))])

    def evaluate(architecture):
        a, b = architecture
        values = (math.nan, 0.0) if b == 0 else (float(a), float(b))
        return Evaluation(values, 1.0, violation=max(0.0, a - 4.0))

    algorithm = NSGA2(space, population_size=10, maximize=(True, True), seed=3)
    before = math.inf
    for _ in range(30):
        generation(algorithm, evaluate)
        violations = [violation for _, _, violation in algorithm._results]
        assert max(violations) <= before
        before = max(violations)
    assert before == 0.0
    assert {a for (a, _), _, _ in algorithm._results} == {4}
    assert {b for (_, b), _, _ in algorithm._results} == {19}


def test_nsga2_of_one_objective_keeps_the_best():
    benchmark = SyntheticBenchmark(SPACE)
    algorithm = NSGA2(SPACE, population_size=6)
    seen = []
    for _ in range(20):
        seen += [benchmark.evaluate(a).values[0] for a in generation(algorithm, benchmark.evaluate)]
        assert algorithm._results[0][1][0] == max(seen)


def test_nsga2_lets_observed_results_compete():
    benchmark = SyntheticBenchmark(SPACE)
    best = max(map(SPACE.at, range(0, SPACE.size, 7)), key=lambda a: benchmark.evaluate(a).values)
    algorithm = NSGA2(SPACE, population_size=6)
    algorithm.observe(best, benchmark.evaluate(best))
    generation(algorithm, benchmark.evaluate)
    assert algorithm._results[0][0] == best
    assert len(algorithm._results) == 6


# Random scalarizations


class Recorder(SearchAlgorithm):
    """Random search that remembers results, and asks ``may_ask`` trials only.

    A result that it observes is remembered with a trial of number -1.
    """

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self.told, self.may_ask = [], 1000

    def ask(self):
        self.may_ask -= 1
        return self.trial(self.space.sample(self.rng)) if self.may_ask >= 0 else None

    def tell(self, trial, evaluation):
        self.told.append((trial, evaluation))

    def observe(self, architecture, evaluation):
        self.tell(Trial(-1, architecture), evaluation)


@pytest.mark.parametrize("scalarization", ["chebyshev", "linear"])
def test_every_search_is_told_every_result_by_its_own_weights(scalarization):
    benchmark = SyntheticBenchmark(SPACE, maximize=BOTH)
    settings = {"base": Recorder, "n_initial": 10, "scalarization": scalarization}
    algorithm = RandomScalarization(SPACE, maximize=BOTH, **settings)
    results = []
    for i in range(40):
        trial = algorithm.ask()
        evaluation = benchmark.evaluate(trial.architecture)._replace(row=i, epoch=7)
        if i == 3:
            evaluation = evaluation._replace(values=(1e9, math.nan))
        if i in (5, 25):
            evaluation = evaluation._replace(values=(1e9, -1e9), violation=0.1)
        results.append(evaluation)
        algorithm.tell(trial, evaluation)
    costs = np.array([r.values for r in results]) * [-1, 1]
    good = [i for i in range(10) if i not in (3, 5)]
    low, high = costs[good].min(axis=0), costs[good].max(axis=0)
    losses = (costs - low) / (high - low)
    asked_here = 0
    for search, weights in zip(algorithm._searches, algorithm.weight_vectors, strict=True):
        assert search.maximize == (True,)
        assert [e.row for _, e in search.told] == list(range(40))
        assert all(e[1:] == (*r[1:4], 0.0) for (_, e), r in zip(search.told, results, strict=True))
        weighted = losses * weights
        expected = -weighted.sum(axis=1)
        if scalarization == "chebyshev":
            expected = 0.05 * expected - weighted.max(axis=1)
        expected[[3, 5, 25]] = math.nan
        np.testing.assert_allclose([e.values[0] for _, e in search.told], expected)
        # Its own trials come back with the numbers that it gave them.
        own = [t.number for t, _ in search.told if t.number >= 0]
        assert own == list(range(len(own)))
        assert all(t.number == -1 for t, _ in search.told[:10])
        asked_here += len(own)
    assert asked_here == 30


def test_weights_are_uniform_on_the_simplex():
    algorithm = RandomScalarization(
        SPACE, base="random_search", n_weights=2000, maximize=[True] * 3
    )
    weights = np.array(algorithm.weight_vectors)
    assert weights.sum(axis=1) == pytest.approx(1.0)
    # Of three, each is distributed as 1 - sqrt(u). One chance in ten thousand of failing each.
    for column in weights.T:
        assert kstest(1 - (1 - column) ** 2, "uniform").pvalue > 1e-4


def test_each_ask_draws_one_of_the_searches():
    algorithm = RandomScalarization(SPACE, base=Recorder, n_initial=1, n_weights=5, maximize=BOTH)
    algorithm.tell(algorithm.ask(), Evaluation((1.0, 1.0), 1.0))
    for _ in range(1000):
        algorithm.ask()
    assert chisquare([1000 - search.may_ask for search in algorithm._searches]).pvalue > 1e-4


def test_a_search_that_waits_is_passed_over():
    algorithm = RandomScalarization(SPACE, base=Recorder, n_initial=1, n_weights=5, maximize=BOTH)
    algorithm.tell(algorithm.ask(), Evaluation((1.0, 1.0), 1.0))
    for search in algorithm._searches:
        search.may_ask = 2
    assert len(list(iter(algorithm.ask, None))) == 10


def test_random_architectures_come_first_until_one_succeeds():
    algorithm = RandomScalarization(SPACE, base=Recorder, n_initial=4, maximize=BOTH)
    for _ in range(50):
        algorithm.tell(algorithm.ask(), Evaluation((1.0, math.nan), 1.0))
    assert not algorithm._searches[0].told
    algorithm.tell(algorithm.ask(), Evaluation((1.0, 1.0), 1.0))
    # All of one value: the range is then 1.
    algorithm.observe(SPACE.at(0), Evaluation((3.0, 1.0), 1.0))
    assert all(len(search.told) == 52 for search in algorithm._searches)
    for search, weights in zip(algorithm._searches, algorithm.weight_vectors, strict=True):
        # More is better in the first objective, which is 2 better than what came first.
        loss = -2.0 * weights[0]
        assert search.told[51][1].values[0] == pytest.approx(-max(loss, 0.0) - 0.05 * loss)


def test_one_objective_needs_one_search():
    benchmark = SyntheticBenchmark(SPACE)
    algorithm = RandomScalarization(SPACE, n_initial=10, seed=0)
    trace = simulate(algorithm, benchmark, 100)
    assert algorithm.weight_vectors == [[1.0]]
    # As its base does from the start: children of the last ten, one decision away.
    for i in range(10, 100):
        parents = trace.architecture[max(0, i - 10) : i]
        assert ((parents != trace.architecture[i]).sum(axis=1) <= 1).any()


def test_trials_of_a_multi_fidelity_base_continue_with_their_numbers():
    benchmark = SyntheticBenchmark(SPACE, maximize=BOTH, epochs=9)
    given = {"maximize": BOTH, "fidelities": benchmark.fidelities}
    algorithm = RandomScalarization(SPACE, base="asha", n_weights=3, **given)
    trace = simulate(algorithm, benchmark, 300, workers=4)
    rungs = {}
    for trial, epoch, a in zip(trace.trial, trace.epoch, trace.architecture.tolist(), strict=True):
        rungs.setdefault(int(trial), []).append((int(epoch), a))
    continued = [told for told in rungs.values() if len(told) > 1]
    assert len(continued) > 30
    for told in continued:
        assert [epoch for epoch, _ in told] == [1, 3, 9][: len(told)]
        assert all(a == told[0][1] for _, a in told)


# Results of other searches


def foreign_architectures(n):
    return [SPACE.at(i * 701 % SPACE.size) for i in range(n)]


def test_evolution_counts_observed_results_towards_its_initial_population():
    benchmark = SyntheticBenchmark(SPACE)
    algorithm = RegularizedEvolution(SPACE, population_size=6, sample_size=100, seed=0)
    observed = foreign_architectures(6)
    for architecture in observed:
        algorithm.observe(architecture, benchmark.evaluate(architecture))
    best = max(observed, key=lambda architecture: benchmark.evaluate(architecture).values)
    child = algorithm.ask()
    assert child.number == 0
    assert sum(a != b for a, b in zip(child.architecture, best, strict=True)) == 1


def test_evolution_observes_what_is_better_than_its_oldest():
    algorithm = RegularizedEvolution(SPACE, population_size=3)
    scores = [2.0, 5.0, 4.0, 1.0, 3.0, math.nan, 5.0]
    for architecture, score in zip(foreign_architectures(7), scores, strict=True):
        algorithm.observe(architecture, Evaluation((score,), 1.0))
    # 3 takes the place of 2; then 5 is the oldest, and no better than 5.
    assert [score for score, _ in algorithm._population] == [5.0, 4.0, 3.0]


def test_gp_bo_asks_nothing_that_it_observed():
    space = SearchSpace("s", [Decision("a", "uvwxyz"), Decision("b", "uvwxyz")])
    benchmark = SyntheticBenchmark(space)
    algorithm = GPBO(space, seed=0, n_initial=4, refit_growth=1e9)
    asked, observed = [], []
    while (trial := algorithm.ask()) is not None:
        asked.append(trial.architecture)
        algorithm.tell(trial, benchmark.evaluate(trial.architecture))
        left = [space.at(i) for i in range(36) if space.at(i) not in {*asked, *observed}]
        if len(asked) > 8 and left:
            observed.append(left[0])
            algorithm.observe(left[0], benchmark.evaluate(left[0]))
    assert sorted(asked + observed) == [space.at(i) for i in range(36)]


def test_reinforce_learns_nothing_from_what_its_policy_did_not_draw():
    algorithm = Reinforce(SPACE, seed=0)
    before = algorithm.probabilities()
    for reward, architecture in enumerate(foreign_architectures(5)):
        algorithm.observe(architecture, Evaluation((float(reward),), 1.0))
    np.testing.assert_array_equal(algorithm.probabilities(), before)
