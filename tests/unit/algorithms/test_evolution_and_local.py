"""Crossover, mutation and selection against their distributions; local search against brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from algorithms._variation import (
    CROSSOVERS,
    check_rate,
    cross,
    multi_point,
    mutate_genes,
    one_change,
    single_point,
    uniform,
    valid_child,
)
from algorithms.genetic_algorithm import GeneticAlgorithm
from algorithms.local_search import LocalSearch
from algorithms.random_search import RandomSearch
from algorithms.regularized_evolution import RegularizedEvolution
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import HyperparameterError, InvalidArchitectureError
from nasbench_lab.landscape.landscape import _steepest, survey
from nasbench_lab.registry import load_benchmark, make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, PoolSpace, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

SPACE = get_space("nb201")
LARGE = SearchSpace("large", [Decision(f"layer {i}", "abcd") for i in range(30)])
SMALL = SearchSpace("small", [Decision("a", "xyz"), Decision("b", "u"), Decision("c", "pqrs")])


@pytest.mark.parametrize(
    ("algorithm", "hyperparameters"),
    [
        ("genetic_algorithm", {"population_size": 0}),
        ("genetic_algorithm", {"selection": "rank"}),
        ("genetic_algorithm", {"tournament_size": 0}),
        ("genetic_algorithm", {"crossover": "two_point"}),
        ("genetic_algorithm", {"n_points": 0}),
        ("genetic_algorithm", {"crossover_rate": 1.1}),
        ("genetic_algorithm", {"mutation": "bit"}),
        ("genetic_algorithm", {"mutation_rate": -0.1}),
        ("genetic_algorithm", {"mutation_rate": "x"}),
        ("genetic_algorithm", {"elitism": 20}),
        ("local_search", {"strategy": "worst"}),
        ("local_search", {"n_initial": 0}),
    ],
)
def test_hyperparameters_that_make_no_sense_are_refused(algorithm, hyperparameters):
    with pytest.raises(HyperparameterError, match=next(iter(hyperparameters))):
        make_algorithm(algorithm, SPACE, **hyperparameters)


@pytest.mark.parametrize("rate", [0, 0.5, 1, np.float64(1.0)])
def test_rates_from_0_to_1_are_taken(rate):
    check_rate("rate", rate)


# Crossover and mutation

parents = st.integers(1, 12).flatmap(
    lambda d: st.tuples(*[st.tuples(*[st.integers(0, 4)] * d) for _ in range(2)])
)


def cuts(pair):
    """Where children of (0, 0, …) and (1, 1, …) were cut."""
    return tuple(i for i in range(1, len(pair[0])) if pair[0][i] != pair[0][i - 1])


@pytest.mark.parametrize("name", CROSSOVERS)
@given(pair=parents, n_points=st.integers(1, 15), seed=st.integers(0, 2**32))
def test_a_crossover_loses_and_adds_nothing(name, pair, n_points, seed):
    children = CROSSOVERS[name](*pair, np.random.default_rng(seed), n_points)
    for a, b, c, d in zip(*pair, *children, strict=True):
        assert (c, d) in ((a, b), (b, a))


@given(d=st.integers(1, 12), n_points=st.integers(1, 15), seed=st.integers(0, 2**32))
def test_point_crossovers_cut_at_as_many_places_as_they_are_told(d, n_points, seed):
    rng = np.random.default_rng(seed)
    one, other = (0,) * d, (1,) * d
    assert len(cuts(single_point(one, other, rng, n_points))) == min(1, d - 1)
    children = multi_point(one, other, rng, n_points)
    assert len(cuts(children)) == min(n_points, d - 1)
    assert children[0][0] == 0  # what comes before the first cut stays


@pytest.mark.parametrize(
    ("crossover", "n_points", "outcomes"),
    [
        (single_point, 1, [(i,) for i in range(1, 5)]),
        (multi_point, 2, list(itertools.combinations(range(1, 5), 2))),
        (multi_point, 3, list(itertools.combinations(range(1, 5), 3))),
    ],
)
def test_cuts_are_equally_likely(crossover, n_points, outcomes):
    rng = np.random.default_rng(0)
    drawn = [cuts(crossover((0,) * 5, (1,) * 5, rng, n_points)) for _ in range(6000)]
    counts = [drawn.count(one) for one in outcomes]
    assert sum(counts) == 6000
    # Here and below: one chance in ten thousand of failing.
    assert chisquare(counts).pvalue > 1e-4


def test_uniform_crossover_exchanges_each_decision_with_chance_one_half():
    rng = np.random.default_rng(0)
    drawn = [uniform((0,) * 4, (1,) * 4, rng, 0)[0] for _ in range(8000)]
    counts = [drawn.count(one) for one in itertools.product((0, 1), repeat=4)]
    assert chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_mutation_changes_each_decision_with_its_rate_and_all_other_options_alike(rate):
    rng, n = np.random.default_rng(0), 20_000
    mutants = [mutate_genes(SMALL, (1, 0, 2), rate, rng) for _ in range(n)]
    changed_a, changed_c = (([1 - rate], [rate / 2] * 2), ([1 - rate], [rate / 3] * 3))
    chances = {
        (a, 0, c): changed_a[a != 1][0] * changed_c[c != 2][0] for a in range(3) for c in range(4)
    }
    possible = {one: chance for one, chance in chances.items() if chance > 0}
    counts = [mutants.count(one) for one in possible]
    assert sum(counts) == n  # the decision without choice stays
    assert chisquare(counts, [n * chance for chance in possible.values()]).pvalue > 1e-4


def test_one_change_counts_only_decisions_with_a_choice():
    assert one_change(SMALL) == 1 / 2
    assert one_change(SPACE) == 1 / 6
    single = SearchSpace("single", [Decision("only", "x")])
    assert one_change(single) == 1
    assert mutate_genes(single, (0,), 1.0, np.random.default_rng(0)) == (0,)


class AllAlike(SearchSpace):
    """Architectures of one option in all decisions."""

    def validate(self, architecture):
        one = super().validate(architecture)
        if len(set(one)) > 1:
            raise InvalidArchitectureError("options differ")
        return one

    def sample(self, rng, n=None):
        return (int(rng.integers(3)),) * 40

    def mutate(self, architecture, rng):
        return ((architecture[0] + 1) % 3,) * 40


ALIKE = AllAlike("alike", [Decision(f"d{i}", "xyz") for i in range(40)])


def test_where_children_are_no_architectures_parents_are_taken_and_the_spaces_mutation():
    rng, one, other = np.random.default_rng(0), (0,) * 40, (1,) * 40
    assert valid_child(ALIKE, (0, 1) * 20) is None
    assert cross(ALIKE, one, other, "uniform", rng) == (one, other)
    assert mutate_genes(ALIKE, one, 1.0, rng) == other
    trace = simulate(GeneticAlgorithm(ALIKE, mutation_rate=1), SyntheticBenchmark(ALIKE), 60)
    assert len(trace) == 60


@pytest.mark.parametrize("crossover", CROSSOVERS)
def test_children_of_cells_are_cells_and_mostly_not_their_parents(crossover):
    space, rng = get_space("nb101"), np.random.default_rng(0)
    new = 0
    for _ in range(200):
        one, other = space.sample(rng), space.sample(rng)
        for child in cross(space, one, other, crossover, rng):
            assert space.validate(child) == child
            mutant = mutate_genes(space, child, 0.1, rng)
            assert space.validate(mutant) == mutant
            new += child not in (one, other)
    assert new > 300


def test_evolution_prefers_near_options_on_request():
    """With ``near=0``, a child differs from some architecture before it by one step at most."""
    space = SearchSpace("widths", [Decision(f"w{i}", range(9), ordered=True) for i in range(3)])
    steps = {}
    for near in (0, 1):
        trace = simulate(
            RegularizedEvolution(space, seed=0, near=near), SyntheticBenchmark(space), 100
        )
        asked = trace.architecture
        steps[near] = [np.abs(asked[:i] - asked[i]).sum(axis=1).min() for i in range(10, 100)]
    assert max(steps[0]) <= 1 < max(steps[1])
    with pytest.raises(HyperparameterError, match="near"):
        RegularizedEvolution(space, near=1.1)


# The genetic algorithm


def generation_of(algorithm, scores):
    """Asks a first generation of different architectures and tells these scores."""
    trials = [algorithm.ask() for _ in scores]
    assert len({trial.architecture for trial in trials}) == len(scores)
    for trial, score in zip(trials, scores, strict=True):
        algorithm.tell(trial, Evaluation((score,), 1.0))
    return [trial.architecture for trial in trials]


def selected(scores, n=400, **hyperparameters):
    """How often each of a generation with these scores is selected, in some thousand selections."""
    counts = np.zeros(len(scores), dtype=int)
    for seed in range(n):
        algorithm = GeneticAlgorithm(
            LARGE, population_size=len(scores), crossover_rate=0, mutation_rate=0, elitism=0,
            seed=seed, **hyperparameters,
        )  # fmt: skip
        parents = generation_of(algorithm, scores)
        for _ in scores:
            counts[parents.index(algorithm.ask().architecture)] += 1
    return counts


def check_chances(counts, chances):
    assert counts[np.array(chances) == 0].sum() == 0
    possible = np.array(chances) > 0
    expected = np.array(chances)[possible] * counts.sum()
    assert chisquare(counts[possible], expected).pvalue > 1e-4


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_tournament_is_won_by_the_best_of_those_drawn(size):
    scores = [0.3, -5.0, 2.0, 1.0, 7.0, 1.5, -0.5, 4.0, 3.0, 0.0]
    rank = np.argsort(np.argsort(scores))  # 0: the worst
    chances = ((rank + 1) ** size - rank**size) / len(scores) ** size
    check_chances(selected(scores, tournament_size=size), chances)


@pytest.mark.parametrize("shift", [0.0, -100.0, 1e6])
def test_roulette_chances_are_proportional_to_the_lead_over_the_worst(shift):
    leads = np.array([0.0, 1.0, 4.0, 2.5, 0.5, 8.0, 0.0, 2.0])
    check_chances(selected((leads + shift).tolist(), selection="roulette"), leads / leads.sum())


@pytest.mark.parametrize("unit", [1.7e308, 5e-324])
def test_roulette_chances_do_not_depend_on_the_unit(unit):
    leads = np.array([0.0, 1.0, 2.0, 1.0, 1.0, 2.0, 0.0, 2.0])
    check_chances(
        selected(((leads - 1) * unit).tolist(), selection="roulette"), leads / leads.sum()
    )


@pytest.mark.parametrize("selection", ["tournament", "roulette"])
def test_equal_scores_are_selected_alike(selection):
    check_chances(selected([-3.0] * 8, selection=selection), [1 / 8] * 8)


@pytest.mark.parametrize("selection", ["tournament", "roulette"])
def test_failures_are_selected_only_if_all_failed(selection):
    nan = math.nan
    counts = selected([nan, -9.0, nan, nan, nan, -8.0, nan, nan], selection=selection)
    assert counts[[1, 5]].sum() == counts.sum()
    check_chances(selected([nan] * 8, selection=selection), [1 / 8] * 8)


def test_the_first_generation_is_random():
    trace = simulate(GeneticAlgorithm(SPACE, seed=3), SyntheticBenchmark(SPACE), 20)
    same = simulate(RandomSearch(SPACE, seed=3), SyntheticBenchmark(SPACE), 20)
    np.testing.assert_array_equal(trace.architecture, same.architecture)


@pytest.mark.parametrize("elitism", [0, 1, 4])
def test_a_generation_waits_for_its_last_result(elitism):
    algorithm, benchmark = GeneticAlgorithm(SPACE, elitism=elitism), SyntheticBenchmark(SPACE)
    for n in (20, 20 - elitism, 20 - elitism):
        trials = [algorithm.ask() for _ in range(n)]
        assert None not in trials
        for trial in reversed(trials):
            assert algorithm.ask() is None
            algorithm.tell(trial, benchmark.evaluate(trial.architecture))


@pytest.mark.parametrize("hyperparameters", [{}, {"selection": "roulette"}, {"elitism": 5}])
@pytest.mark.parametrize("workers", [1, 7])
def test_elitism_never_loses_the_best(hyperparameters, workers):
    class Watched(GeneticAlgorithm):
        def _next_generation(self):
            super()._next_generation()
            generations.append(self._parents)
            elites.append(self._generation.copy())

    generations, elites = [], []
    algorithm = Watched(SPACE, seed=1, **hyperparameters)
    benchmark = SyntheticBenchmark(SPACE, failing=0.2)
    trace = simulate(algorithm, benchmark, 400, workers=workers)
    best = [max(parents)[0] for parents in generations]
    assert len(best) > 15
    assert best == sorted(best)
    assert best[-1] == np.nanmax(trace.scores()[: len(trace) - len(trace) % 20])
    for parents, kept in zip(generations, elites, strict=True):
        scores = sorted((score for score, _ in parents), reverse=True)
        assert [score for score, _ in kept] == scores[: algorithm.elitism]


def test_without_elitism_the_best_may_be_lost():
    algorithm = GeneticAlgorithm(SPACE, population_size=5, elitism=0, mutation_rate=1, seed=0)
    scores = simulate(algorithm, SyntheticBenchmark(SPACE), 100).scores().reshape(20, 5)
    assert (np.diff(scores.max(axis=1)) < 0).any()


def test_among_few_measured_architectures_changes_that_lead_back_are_drawn_again():
    space = SearchSpace("few", [Decision(f"decision {i}", "abc") for i in range(6)])
    pool = PoolSpace(space, space.at(np.arange(0, space.size, 19)))
    start, rate, rng, n = pool.at(7), 1 / 6, np.random.default_rng(0), 4000
    # The chances of no change, and of changes whose nearest measured architecture is another.
    chances = {"none": 0.0, "other": 0.0}
    for options in map(tuple, space.at(np.arange(space.size)).tolist()):
        changed = sum(a != b for a, b in zip(options, start, strict=True))
        chance = (rate / 2) ** changed * (1 - rate) ** (6 - changed)
        if pool.nearest(options) != start:
            chances["other"] += chance
        elif not changed:
            chances["none"] += chance
    assert sum(chances.values()) < 0.8
    same = sum(mutate_genes(pool, start, rate, rng) == start for _ in range(n))
    expected = chances["none"] / sum(chances.values())
    # 5 standard errors.
    assert abs(same / n - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


@pytest.mark.parametrize(("rate", "changes"), [(0, 0), (1, 1), (None, 1)])
def test_random_mutation_is_the_spaces_own(rate, changes):
    algorithm = GeneticAlgorithm(SPACE, crossover_rate=0, mutation="random", mutation_rate=rate)
    parents = generation_of(algorithm, list(range(20)))
    for _ in range(19):
        child = algorithm.ask().architecture
        assert min(sum(map(int.__ne__, child, parent)) for parent in parents) == changes


def test_children_mix_their_parents():
    algorithm = GeneticAlgorithm(
        SPACE, population_size=2, elitism=0, crossover_rate=1, mutation_rate=0, tournament_size=1
    )
    one, other = generation_of(algorithm, [1.0, 2.0])
    child = algorithm.ask().architecture
    assert all(c in (a, b) for a, b, c in zip(one, other, child, strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_children_are_of_the_parents_of_their_generation(seed):
    algorithm = GeneticAlgorithm(
        LARGE, crossover_rate=0, mutation_rate=0, tournament_size=1, seed=seed
    )
    *_, elite = parents = generation_of(algorithm, range(20))
    for _ in range(3):
        # Their number is odd, while they are made in pairs.
        children = [algorithm.ask() for _ in range(19)]
        assert {child.architecture for child in children} <= set(parents)
        for child in children:
            algorithm.tell(child, Evaluation((0.0,), 1.0))
        parents = [elite, *(child.architecture for child in children)]


def test_what_was_observed_joins_the_generation():
    algorithm, benchmark = GeneticAlgorithm(SPACE), SyntheticBenchmark(SPACE)
    for i in range(19):
        algorithm.observe(SPACE.at(i), benchmark.evaluate(SPACE.at(i)))
    trial = algorithm.ask()
    algorithm.tell(trial, benchmark.evaluate(trial.architecture))
    algorithm.ask()
    assert len(algorithm._parents) == 20


# Local search


class Classes(SyntheticBenchmark):
    """Isomorphic architectures have one value, as in a table."""

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        return super().evaluate(self.space.canonical(architecture))


class Watched(LocalSearch):
    """Notes where it goes: a list of climbs, each a list of architectures with their scores."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.climbs = []

    def _climb(self, architecture, score):
        super()._climb(architecture, score)
        self.climbs[-1].append((architecture, score))

    def _restart(self):
        super()._restart()
        self.climbs.append([])


def finished(algorithm):
    """The climbs that ended at an optimum."""
    return [climb for climb in algorithm.climbs[:-1] if climb]


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("strategy", ["best", "first"])
@pytest.mark.parametrize("n_initial", [1, 10])
def test_it_climbs_from_neighbour_to_better_neighbour_up_to_a_local_optimum(
    strategy, n_initial, workers
):
    benchmark = Classes(SPACE)
    algorithm = Watched(SPACE, seed=1, strategy=strategy, n_initial=n_initial)
    trace = simulate(algorithm, benchmark, 1500, workers=workers)
    asked = [SPACE.canonical(tuple(a)) for a in trace.architecture.tolist()]
    assert len(set(asked)) == len(asked) == 1500
    climbs = finished(algorithm)
    assert len(climbs) > 5
    for climb in climbs:
        for architecture, score in climb:
            assert score == benchmark.evaluate(architecture).values[0]
        for (one, low), (other, high) in itertools.pairwise(climb):
            near = [benchmark.evaluate(a).values[0] for a in SPACE.neighbours(one)]
            assert other in SPACE.neighbours(one)
            assert high == max(near) if strategy == "best" else high > low
        end, score = climb[-1]
        assert score >= max(benchmark.evaluate(a).values[0] for a in SPACE.neighbours(end))


def test_the_start_is_the_best_of_the_initial_architectures():
    benchmark = Classes(SPACE)
    algorithm = Watched(SPACE, seed=0, n_initial=10)
    trace = simulate(algorithm, benchmark, 30)
    initial = trace.scores()[:10]
    assert algorithm.climbs[0][0] == (tuple(trace.architecture[initial.argmax()]), initial.max())


class Rounded(Watched):
    """Equal means of trials may differ in their last digits; a landscape rounds them."""

    def score(self, evaluation):
        return round(super().score(evaluation), 8)


@pytest.mark.parametrize("table", ["nb201-digits", "nas-bench-graph/cora"])
def test_it_goes_the_way_of_steepest_ascent(table):
    benchmark = load_benchmark(table)
    algorithm = Rounded(benchmark.space, seed=0, strategy="best", n_initial=1)
    simulate(algorithm, benchmark, 3000)
    landscape = survey(benchmark.table)
    climbs = finished(algorithm)
    assert len(climbs) > 20
    for climb in climbs:
        (at, _), *_ = climb
        way = [at]
        while True:
            after, _ = _steepest(landscape, np.array([at]))
            if tuple(after[0].tolist()) == at:
                break
            at = tuple(after[0].tolist())
            way.append(at)
        assert [architecture for architecture, _ in climb] == way


def test_the_first_better_one_is_gone_to_at_once_and_late_results_count_if_they_are_near():
    algorithm = Watched(LARGE, seed=0, strategy="first", n_initial=1)
    algorithm.tell(algorithm.ask(), Evaluation((0.0,), 1.0))
    here, *others = list(iter(algorithm.ask, None))
    algorithm.tell(here, Evaluation((1.0,), 1.0))
    assert algorithm.ask().architecture in LARGE.neighbours(here.architecture)
    assert algorithm.climbs[-1][-1] == (here.architecture, 1.0)
    near = LARGE.neighbours(here.architecture)
    (far, *_), (late, *_) = (
        [trial for trial in others if (trial.architecture in near) == close]
        for close in (False, True)
    )
    algorithm.tell(far, Evaluation((5.0,), 1.0))
    list(iter(algorithm.ask, None))
    assert algorithm.climbs[-1][-1] == (here.architecture, 1.0)
    algorithm.tell(late, Evaluation((2.0,), 1.0))
    algorithm.ask()
    assert algorithm.climbs[-1][-1] == (late.architecture, 2.0)


@pytest.mark.parametrize("strategy", ["best", "first"])
def test_it_waits_while_all_neighbours_are_being_evaluated(strategy):
    algorithm = LocalSearch(SPACE, seed=0, strategy=strategy, n_initial=1)
    algorithm.tell(algorithm.ask(), Evaluation((0.0,), 1.0))
    near = list(iter(algorithm.ask, None))
    assert len({SPACE.canonical(trial.architecture) for trial in near}) == len(near)
    for trial in near[1:]:
        algorithm.tell(trial, Evaluation((-1.0,), 1.0))
        assert algorithm.ask() is None
    algorithm.tell(near[0], Evaluation((-1.0,), 1.0))
    assert algorithm.ask() is not None  # a restart


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("hyperparameters", [{}, {"strategy": "best", "n_initial": 1}])
def test_the_search_ends_when_everything_is_known(hyperparameters, workers):
    algorithm = LocalSearch(SMALL, seed=0, **hyperparameters)
    trace = simulate(algorithm, SyntheticBenchmark(SMALL, failing=0.2), 100, workers=workers)
    assert sorted(SMALL.index(trace.architecture).tolist()) == list(range(SMALL.size))
    assert algorithm.ask() is None


def test_all_of_nb201_is_found_one_of_each_class():
    trace = simulate(LocalSearch(SPACE, seed=0), Classes(SPACE), 20_000)
    assert len(trace) == 5260


def test_what_was_observed_is_not_asked():
    algorithm, benchmark = LocalSearch(SPACE, seed=0), Classes(SPACE)
    observed = {SPACE.canonical(SPACE.at(i)) for i in range(0, SPACE.size, 3)}
    for architecture in sorted(observed):
        algorithm.observe(architecture, benchmark.evaluate(architecture))
    trace = simulate(algorithm, benchmark, 300)
    assert not observed & {SPACE.canonical(tuple(a)) for a in trace.architecture.tolist()}
