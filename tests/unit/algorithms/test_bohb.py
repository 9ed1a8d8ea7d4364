"""BOHB and its densities, against statsmodels and against the paper."""

import copy
import itertools
import math

import numpy as np
import pytest
from scipy.stats import chisquare
from statsmodels.nonparametric import kernels
from statsmodels.nonparametric.api import KDEMultivariate

from algorithms._surrogates.kde import KDE, ProductKernel
from algorithms.bohb import BOHB
from algorithms.hyperband import Hyperband
from algorithms.random_search import RandomSearch
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.registry import load_benchmark
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

SPACE = get_space("nb201")
MIXED = SearchSpace(
    "mixed",
    [
        Decision("width", (8, 16, 32, 64), ordered=True),
        Decision("operation", "abc"),
        Decision("only", "x"),
        Decision("rate", (0.1, 0.01, 0.001), ordered=True),
        Decision("flag", "yn"),
    ],
)


def product(sizes, ordered):
    """A space of decisions with so many options, ordered or not."""
    return SearchSpace(
        "product",
        [
            Decision(f"{i}", tuple(range(n)), o)
            for i, (n, o) in enumerate(zip(sizes, ordered, strict=True))
        ],
    )


def every(space):
    return np.array(list(itertools.product(*map(range, space.n_options))))


def statsmodels_kde(space, points, bandwidths):
    var_type = "".join("o" if decision.ordered else "u" for decision in space.decisions)
    return KDEMultivariate(points, var_type, bandwidths, rng=0)


# Densities


def test_density_of_unordered_decisions_is_that_of_statsmodels():
    space = product((3, 4, 2), (False,) * 3)
    points = space.sample(np.random.default_rng(0), 30)
    # statsmodels takes the options that occur for all that there are.
    assert all(len(np.unique(column)) == n for column, n in zip(points.T, (3, 4, 2), strict=True))
    model = KDE(ProductKernel(space), points, 1e-3)
    theirs = statsmodels_kde(space, points, model.bandwidths).pdf(every(space))
    np.testing.assert_allclose(np.exp(model.log_density(every(space))), theirs, rtol=1e-12)


def test_density_of_ordered_decisions_is_that_of_statsmodels():
    # With kernels so narrow that the options there are have all but 1e-15 of their mass.
    space = product((61, 61, 61, 61), (True,) * 4)
    points = 30 + (space.sample(np.random.default_rng(0), 200) > 30)
    model = KDE(ProductKernel(space), points, 1e-3)
    at = points + np.random.default_rng(1).integers(-9, 10, points.shape)
    theirs = statsmodels_kde(space, points, model.bandwidths).pdf(at)
    np.testing.assert_allclose(np.exp(model.log_density(at)), theirs, rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("h", [1e-3, 0.2, 0.5])
def test_kernels_are_those_of_statsmodels_over_the_options_that_there_are(n, h):
    options = np.arange(n)
    ours = np.exp(ProductKernel(product((n, n), (False, True))).log_chances(np.array([h, h])))
    unordered, ordered = np.array(
        [
            [f(h, options, b) for b in options]  # (n, n): option, centre
            for f in (
                lambda h, centres, b: kernels.aitchison_aitken(h, centres, b, n),
                kernels.wang_ryzin,
            )
        ]
    )
    np.testing.assert_allclose(ours[0], unordered.T, rtol=1e-12)
    # Those of Wang and van Ryzin sum to 1 over all integers.
    np.testing.assert_allclose(ours[1], (ordered / ordered.sum(axis=0)).T, rtol=1e-12)


def test_bandwidths_are_those_of_statsmodels():
    space = product((2, 8, 2, 5), (False, True, False, True))
    points = space.sample(np.random.default_rng(0), 40)
    theirs = statsmodels_kde(space, points, "normal_reference").bw
    np.testing.assert_allclose(ProductKernel(space).normal_reference(points), theirs, rtol=1e-12)


def test_how_unordered_options_are_numbered_does_not_matter():
    space, rng = product((5, 5, 5), (False,) * 3), np.random.default_rng(0)
    points, at = space.sample(rng, 20), space.sample(rng, 50)
    renumbered = rng.permutation(5)
    one, other = (KDE(ProductKernel(space), p, 1e-3) for p in (points, renumbered[points]))
    np.testing.assert_allclose(one.bandwidths, other.bandwidths, rtol=1e-12)
    np.testing.assert_allclose(
        one.log_density(at), other.log_density(renumbered[at]), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("spread", ["none", "some", "most"])
def test_densities_sum_to_one(n, spread):
    points = MIXED.sample(np.random.default_rng(n), n)
    if spread == "none":
        points[:] = points[0]
    if spread == "most":
        points[:, 0] = 3 * (np.arange(n) % 2)
    model = KDE(ProductKernel(MIXED), points, 1e-3)
    assert np.exp(model.log_density(every(MIXED))).sum() == pytest.approx(1.0)


def test_no_bandwidth_is_wider_than_uniform():
    kernel = ProductKernel(MIXED)
    chances = np.exp(kernel.log_chances(np.full(5, 100.0)))
    np.testing.assert_allclose(chances[1, :3, :3], 1 / 3)
    np.testing.assert_allclose(chances[4, :2, :2], 1 / 2)
    # An ordered option keeps twice the chance of any other.
    np.testing.assert_allclose(chances[0], (1 + np.eye(4)) / 5)


def test_density_is_defined_however_many_and_far_apart_the_options():
    # 1e-3 to the power of 199, ten times.
    space = product((200,) * 10, (True,) * 10)
    points = np.zeros((20, 10), dtype=np.int64)
    model = KDE(ProductKernel(space), points, 1e-3)
    assert np.isfinite(model.log_density(points + 199)).all()


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_samples_are_of_the_density_with_wider_bandwidths(factor):
    rng = np.random.default_rng(0)
    points = MIXED.sample(rng, 12)
    model = KDE(ProductKernel(MIXED), points, 1e-3)
    drawn = model.sample(rng, 20_000, factor)
    wider = copy.copy(model)
    logs = model.kernel.log_chances(factor * model.bandwidths)
    wider._logs = logs[np.arange(5), points].reshape(12, -1)
    expected = np.exp(wider.log_density(MIXED.at(np.arange(MIXED.size))))
    counts = np.bincount(MIXED.index(drawn), minlength=MIXED.size)
    # One chance in ten thousand of failing.
    assert chisquare(counts, expected * 20_000).pvalue > 1e-4


# Proposals


def tell(algorithm, space, n, *, seed=0, epoch=None, benchmark=None):
    """Lets it observe results of random architectures; returns these, the best first."""
    benchmark = benchmark or SyntheticBenchmark(space)
    told = []
    for row in space.sample(np.random.default_rng(seed), n).tolist():
        architecture = tuple(row)
        evaluation = benchmark.evaluate(architecture)._replace(epoch=epoch)
        algorithm.observe(architecture, evaluation)
        told.append((algorithm.score(evaluation), architecture))
    return [a for _, a in sorted(told, key=lambda one: -one[0])]


def kernel_chance(decision, h, centre, option):
    """Of one decision, by the formulas of the papers."""
    n = len(decision.options)
    if decision.ordered:
        h = min(h, 1.0)
        mass = [1.0 if o == centre else h ** abs(o - centre) / 2 for o in range(n)]
        return mass[option] / sum(mass)
    if n == 1:
        return 1.0
    h = min(h, (n - 1) / n)
    return 1 - h if option == centre else h / (n - 1)


def density(space, points, architecture, factor=1.0):
    d, n = len(space.decisions), len(points)
    bandwidths = []
    for i, decision in enumerate(space.decisions):
        pairs = [abs(a[i] - b[i]) for a in points for b in points]
        squares = [p * p if decision.ordered else float(p > 0) for p in pairs]
        deviation = math.sqrt(sum(squares) / len(squares) / 2)
        bandwidths.append(factor * max(1.06 * deviation * n ** (-1 / (4 + d)), 1e-3))
    return sum(
        math.prod(map(kernel_chance, space.decisions, bandwidths, point, architecture))
        for point in points
    ) / len(points)


@pytest.mark.parametrize("space", [SPACE, MIXED], ids=["nb201", "mixed"])
@pytest.mark.parametrize("n", [9, 30, 80])
def test_proposal_has_the_greatest_ratio_of_the_draws(space, n):
    algorithm = BOHB(space, seed=1, random_fraction=0.0)
    ranked = tell(algorithm, space, n)
    n_min = len(space.decisions) + 1
    n_good = max(n_min, int(0.15 * n))
    good, others = ranked[:n_good], ranked[-max(n_min, n - n_good) :]
    rng = copy.deepcopy(algorithm.rng)
    proposed = algorithm.ask().architecture
    rng.random()  # the choice between model and random
    drawn = algorithm._models[0].sample(rng, 64, 3.0)
    np.testing.assert_array_equal(algorithm._models[0].points, good)
    np.testing.assert_array_equal(algorithm._models[1].points, others)
    ratios = [density(space, good, a) / density(space, others, a) for a in drawn.tolist()]
    ours = density(space, good, proposed) / density(space, others, proposed)
    assert proposed in set(map(tuple, drawn.tolist()))
    assert ours == pytest.approx(max(ratios), rel=1e-8)


def test_the_model_is_of_the_highest_epoch_with_enough_results():
    algorithm = BOHB(SPACE, seed=0, fidelities=range(1, 10), random_fraction=0.0)
    enough = len(SPACE.decisions) + 3
    algorithm.ask()
    assert algorithm._models is None
    for epoch, n, expected in (
        (1, enough, 1),
        (3, enough - 1, 1),
        (3, 1, 3),
        (1, 40, 3),
        (9, 5, 3),
    ):
        tell(algorithm, SPACE, n, seed=epoch, epoch=epoch)
        algorithm.ask()
        assert algorithm._model_epoch == expected


def test_models_are_fitted_again_only_when_their_results_have_changed():
    algorithm = BOHB(SPACE, seed=0, fidelities=range(1, 10), random_fraction=0.0)
    tell(algorithm, SPACE, 20, epoch=3)
    algorithm.ask()
    models = algorithm._models
    tell(algorithm, SPACE, 5, epoch=1)
    algorithm.ask()
    assert algorithm._models is models
    tell(algorithm, SPACE, 1, epoch=3)
    algorithm.ask()
    assert algorithm._models is not models


def test_failed_evaluations_are_the_worst():
    algorithm = BOHB(SPACE, seed=0, random_fraction=0.0)
    benchmark = SyntheticBenchmark(SPACE, failing=0.4)
    tell(algorithm, SPACE, 60, benchmark=benchmark)
    algorithm.ask()
    failed = [math.isnan(benchmark.evaluate(tuple(a)).values[0]) for a in every(SPACE).tolist()]
    good, others = (np.array(failed)[SPACE.index(m.points)] for m in algorithm._models)
    assert not good.any()
    n_failed = others.sum()
    assert n_failed > 15
    assert others[-n_failed:].all()


def test_equals_are_ranked_by_who_was_told_first():
    algorithm = BOHB(SPACE, seed=0, random_fraction=0.0)
    told = [tuple(a) for a in SPACE.sample(np.random.default_rng(0), 20).tolist()]
    for architecture in told:
        algorithm.observe(architecture, Evaluation((1.0,), 1.0))
    algorithm.ask()
    np.testing.assert_array_equal(algorithm._models[0].points, told[:7])


def test_proposals_are_architectures_also_where_not_all_combinations_are():
    space = get_space("nb101")
    algorithm = BOHB(space, seed=0, random_fraction=0.0, n_samples=8)
    tell(algorithm, space, 40)
    proposed = [algorithm.ask().architecture for _ in range(50)]
    assert algorithm._models is not None
    assert [space.validate(a) for a in proposed] == proposed


def test_a_share_of_the_proposals_is_random():
    algorithm = BOHB(SPACE, seed=0)
    # All told agree in the first decision, which the model then changes rarely.
    for i, row in enumerate(SPACE.sample(np.random.default_rng(0), 60).tolist()):
        algorithm.observe((0, *row[1:]), Evaluation((float(i),), 1.0))
    random = sum(algorithm.ask().architecture[0] != 0 for _ in range(2000))
    # 4/5 of a third; the standard error is 20.
    assert abs(random - 2000 * 4 / 15) < 100


def test_asks_for_the_epochs_of_hyperband():
    benchmark = SyntheticBenchmark(SPACE, epochs=27)
    ours, theirs = (
        simulate(cls(SPACE, seed=0, fidelities=benchmark.fidelities), benchmark, 300, workers=3)
        for cls in (BOHB, Hyperband)
    )
    np.testing.assert_array_equal(ours.epoch, theirs.epoch)


def repeats(trace):
    """How many evaluations are of a network that was asked at that or a later epoch before."""
    latest, n = {}, 0
    for row, epoch in zip(trace.row.tolist(), trace.epoch.tolist(), strict=True):
        n += latest.get(row, -2) >= epoch
        latest[row] = max(latest.get(row, -2), epoch)
    return n


@pytest.mark.parametrize("fidelities", [True, False])
def test_what_is_known_is_evaluated_again_unless_that_is_avoided(fidelities):
    benchmark = load_benchmark("nb201-digits" if fidelities else "analognas-bench/cifar10")
    usual, avoiding = (
        simulate(
            BOHB(benchmark.space, seed=0, avoid_repeats=avoid, fidelities=benchmark.fidelities),
            benchmark,
            300,
        )
        for avoid in (False, True)
    )
    assert repeats(usual) > 20
    assert repeats(avoiding) == 0
    # Until the first repeat, the two are the same search.
    n = int((usual.architecture == avoiding.architecture).all(axis=1).argmin())
    assert n > 10


def test_isomorphic_architectures_and_those_told_elsewhere_are_repeats_too():
    algorithm = BOHB(SPACE, seed=0, avoid_repeats=True, random_fraction=0.0)
    told = {SPACE.canonical(tuple(a)) for a in SPACE.sample(np.random.default_rng(0), 40).tolist()}
    for i, architecture in enumerate(sorted(told)):
        algorithm.observe(architecture, Evaluation((float(i),), 1.0))
    asked = [SPACE.canonical(algorithm.ask().architecture) for _ in range(200)]
    assert len(set(asked) - told) == 200


def test_only_a_space_that_is_used_up_is_asked_again():
    size = MIXED.size
    benchmark = SyntheticBenchmark(MIXED)
    trace = simulate(BOHB(MIXED, seed=0, avoid_repeats=True), benchmark, size + 20)
    assert len({tuple(a) for a in trace.architecture[:size].tolist()}) == size
    assert len(trace) == size + 20


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"good_fraction": 0},
        {"good_fraction": 1.0},
        {"random_fraction": -0.1},
        {"n_samples": 0},
        {"bandwidth_factor": 0},
        {"min_bandwidth": 0},
        {"eta": 1},
    ],
)
def test_hyperparameters_that_make_no_sense_are_refused(hyperparameters):
    with pytest.raises(HyperparameterError, match=next(iter(hyperparameters))):
        BOHB(SPACE, **hyperparameters)


@pytest.mark.parametrize("table", ["nb201-digits", "analognas-bench/cifar10"])
def test_the_model_beats_random_search_at_full_fidelity(table):
    benchmark = load_benchmark(table)
    values = benchmark.table.values(benchmark.first_objective)

    def regrets(cls, seeds):
        runs = (simulate(cls(benchmark.space, seed=s), benchmark, 150) for s in range(seeds))
        return np.array([values.max() - values[run.row].max() for run in runs])

    ours, random = regrets(BOHB, 10), regrets(RandomSearch, 50)
    error = math.hypot(ours.std() / 10**0.5, random.std() / 50**0.5)
    # The difference is 4 to 6 of these standard errors; 1 is asked.
    assert random.mean() - ours.mean() > error
