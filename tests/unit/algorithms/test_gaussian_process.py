"""The Gaussian process and its acquisition functions, against scikit-learn and brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from algorithms._surrogates.acquisition import (
    best_by_expected_improvement,
    best_by_thompson_sample,
    best_by_upper_bound,
    log_expected_improvement,
)
from algorithms._surrogates.surrogate import Surrogate
from algorithms.gp_bo import GPBO, all_candidates
from nasbench_lab.errors import UnknownNameError
from nasbench_lab.predictors import posterior as posteriors
from nasbench_lab.predictors.gaussian_process import fit_hyperparameters, log_marginal_likelihood
from nasbench_lab.predictors.kernels import Hyperparameters, Kernel
from nasbench_lab.predictors.posterior import Candidates, OnGrid, Posterior, Stored
from nasbench_lab.predictors.standardisation import Standardisation
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

TOLERANCE = 1e-6

SPACE = get_space("nb201")


# A space of a few decisions, two of them ordered; its grid is four times as large as SPACE's classes.
MIXED = SearchSpace(
    "mixed",
    [
        Decision("operation", "abc"),
        Decision("width", (8, 16, 32, 64, 128), ordered=True),
        Decision("pooling", "xy"),
        Decision("rate", (1e-4, 1e-3, 1e-2, 1e-1), ordered=True),
        Decision("alone", "z"),
        Decision("kernel", (1, 3, 5), ordered=True),
    ],
)

CONDITIONAL = SearchSpace(
    "conditional",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("width 1", (8, 16, 32, 64), ordered=True),
        Decision("width 2", (8, 16, 32, 64), ordered=True, active_if={"layers": (2, 3)}),
        Decision("dropout", ("no", "yes"), active_if={"layers": 3, "width 2": (16, 32, 64)}),
        Decision("rate", (1e-4, 1e-3, 1e-2, 1e-1), ordered=True, active_if={"dropout": "yes"}),
        Decision("activation", "abc", active_if={"layers": 3}),
    ],
)

# Kernels, spaces, and whether covariances are stored.
FORMS = [
    *itertools.product(("ordinal", "hamming"), (SPACE, MIXED, CONDITIONAL), (OnGrid, Stored)),
    *itertools.product(("matern",), (SPACE, MIXED, CONDITIONAL), (Stored,)),
    ("path", SPACE, Stored),
]
IDS = [f"{name}-{space.name}-{form.__name__}" for name, space, form in FORMS]


@pytest.fixture
def form(request, monkeypatch):
    """Makes a posterior take one of the forms: a stored number costs all or nothing."""
    name, space, kind = request.param
    monkeypatch.setattr(posteriors, "READ", math.inf if kind is OnGrid else 0)
    return name, space, kind


def problem(kernel_name, n=40, m=300, seed=0, space=SPACE):
    """A kernel, candidates, observed architectures, targets and hyperparameters."""
    rng = np.random.default_rng(seed)
    kernel = Kernel(kernel_name, space)
    observed, candidates = space.sample(rng, n), space.sample(rng, m)
    lengths = rng.uniform(0.7, 5.0, size=kernel.n_lengths)
    y = rng.normal(size=n)
    return kernel, Candidates(kernel, candidates), observed, y, Hyperparameters(1.7, lengths, 0.03)


def coordinates(kernel, architectures):
    """``(n, k)`` coordinates with the kernel's distances, and the number of the length of each."""
    if kernel.name == "path":
        paths = kernel.space.encode(architectures, "path")
        return paths, np.zeros(paths.shape[1], dtype=np.int64)
    columns, groups = [], []
    active = kernel.space.active(architectures)
    for i, decision in enumerate(kernel.space.decisions):
        n, option, missing = len(decision.options), architectures[:, [i]], ~active[:, [i]]
        if decision.ordered and kernel.name != "hamming":
            # One coordinate per step, passed or not: all options are at a distance of 1/2 from the
            # middle. Where the decision does not exist is above the middle.
            passed = np.where(missing, 0.5, option >= np.arange(1, n)) * math.sqrt(2 / (n - 1))
            columns += [passed, missing * math.sqrt(1.5)]
        else:
            columns += [(option == np.arange(n)) & ~missing, missing]
        groups += [i] * (columns[-2].shape[1] + 1)
    return np.concatenate(columns, axis=1, dtype=float), np.array(groups)


def sklearn_model(kernel, hyper, observed, y):
    points, groups = coordinates(kernel, observed)
    lengths = hyper.lengths[groups]
    shape = RBF(lengths) if kernel.product else Matern(lengths, nu=2.5)
    full = ConstantKernel(hyper.amplitude) * shape + WhiteKernel(hyper.noise)
    return GaussianProcessRegressor(full, optimizer=None).fit(points, y)


def sklearn_posterior(kernel, hyper, observed, y, candidates):
    """Means and variances at candidates."""
    points, _ = coordinates(kernel, candidates.architectures)
    mean, sd = sklearn_model(kernel, hyper, observed, y).predict(points, return_std=True)
    return mean, sd**2 - hyper.noise  # scikit-learn's variance includes the noise


def check(posterior, mean, variance):
    np.testing.assert_allclose(posterior.mean, mean, atol=TOLERANCE)
    np.testing.assert_allclose(posterior.variance, variance, atol=TOLERANCE)


@pytest.mark.parametrize("form", FORMS, ids=IDS, indirect=True)
def test_posterior_agrees_with_scikit_learn(form):
    name, space, kind = form
    kernel, candidates, observed, y, hyper = problem(name, space=space)
    expected = sklearn_posterior(kernel, hyper, observed, y, candidates)
    whole = Posterior(candidates, hyper, observed, y)
    one_by_one = Posterior(candidates, hyper, observed[:1], y[:1])
    late = Posterior(candidates, hyper, observed[:1], y[:1])
    for point, target in zip(observed[1:], y[1:], strict=True):
        one_by_one.add(tuple(point), target)
        late.add(tuple(point))
        assert late.mean.shape == (len(candidates),)  # is kept, and then updated
        late.observe(late.n - 1, target)
    for posterior in (whole, one_by_one, late):
        assert type(posterior.cross) is kind
        check(posterior, *expected)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("n", [1, 30, 200])
def test_posterior_of_all_architectures_agrees_with_scikit_learn(n, order):
    kernel, _, observed, y, hyper = problem("ordinal", n=n, space=MIXED)
    candidates = Candidates(kernel, MIXED.classes[::order])
    posterior = Posterior(candidates, hyper, observed, y)
    assert type(posterior.cross) is (OnGrid if n > 9 else Stored)  # what is faster
    check(posterior, *sklearn_posterior(kernel, hyper, observed, y, candidates))


@pytest.mark.parametrize("form", FORMS, ids=IDS, indirect=True)
def test_posterior_with_outstanding_targets_is_that_of_their_predicted_means(form):
    name, space, _ = form
    kernel, candidates, observed, y, hyper = problem(name, space=space)
    rng = np.random.default_rng(3)
    targets = y.copy()
    targets[[5, 30, 31, 39]] = math.nan
    posterior = Posterior(candidates, hyper, observed[:35], targets[:35])
    for point, target in zip(observed[35:], targets[35:], strict=True):
        posterior.add(tuple(point), target)
    rows = list(range(len(y)))
    while True:
        left = targets[rows]
        known = observed[rows][~np.isnan(left)]
        mean, _ = sklearn_posterior(kernel, hyper, known, left[~np.isnan(left)], candidates)
        # The variance depends on no target.
        _, variance = sklearn_posterior(kernel, hyper, observed[rows], y[rows], candidates)
        check(posterior, mean, variance)
        waiting = np.flatnonzero(np.isnan(left))
        if not len(waiting):
            break
        i = int(rng.choice(waiting))
        if rng.random() < 0.5:
            posterior.remove(i)
            del rows[i]
        else:
            posterior.observe(i, y[rows[i]])
            targets[rows[i]] = y[rows[i]]
        extra = len(waiting) == 3
        if extra:
            posterior.add(tuple(observed[0]), 1.0)
            observed, y = np.append(observed, observed[:1], 0), np.append(y, 1.0)
            targets = np.append(targets, 1.0)
            rows.append(len(y) - 1)


@pytest.mark.parametrize(
    ("name", "space"), list(dict.fromkeys(form[:2] for form in FORMS)), ids=str
)
def test_log_marginal_likelihood_and_gradient_agree_with_scikit_learn(name, space):
    kernel, _, observed, y, hyper = problem(name, space=space)
    squares = np.tril(kernel.squares(observed))
    value, gradient = log_marginal_likelihood(kernel, squares, y, hyper.to_log())
    model = sklearn_model(kernel, hyper, observed, y)
    theirs, their_gradient = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    assert value == pytest.approx(theirs, abs=TOLERANCE)
    # scikit-learn has one length scale per coordinate.
    _, groups = coordinates(kernel, observed)
    of_lengths = np.bincount(groups, their_gradient[1:-1], minlength=kernel.n_lengths)
    expected = np.concatenate([their_gradient[:1], of_lengths, their_gradient[-1:]])
    np.testing.assert_allclose(gradient, expected, atol=1e-5)

    def value_at(theta):
        return log_marginal_likelihood(kernel, squares, y, theta)[0]

    np.testing.assert_allclose(gradient, approx_fprime(hyper.to_log(), value_at, 1e-6), atol=1e-3)


def covariances(kernel, hyper, a, b):
    """``(n, m)`` covariances, by the posterior's means of kernels."""
    x, y = kernel.features(a), kernel.features(b)
    return hyper.amplitude * kernel.of_square(kernel.coefficients(x, hyper.lengths) @ y.T)


@pytest.mark.parametrize("space", [SPACE, MIXED, CONDITIONAL])
def test_hamming_kernel_is_the_weighted_hamming_kernel(space):
    kernel, *_, hyper = problem("hamming", space=space)
    a, b = space.sample(np.random.default_rng(1), 2)
    differs = (a != b) | (space.active(a[None])[0] != space.active(b[None])[0])
    expected = hyper.amplitude * math.exp(-(differs / hyper.lengths**2).sum())
    assert covariances(kernel, hyper, a[None], b[None])[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ordinal", "matern"])
def test_ordered_options_further_apart_are_less_alike(name):
    kernel = Kernel(name, MIXED)
    line = np.zeros((5, 6), dtype=np.int64)
    line[:, 1] = range(5)
    hyper = Hyperparameters(1.0, np.ones(6), 0.1)
    alike = covariances(kernel, hyper, line[:1], line)[0]
    assert np.all(np.diff(alike) < 0)
    assert np.ptp(covariances(Kernel("hamming", MIXED), hyper, line[:1], line)[0, 1:]) == 0


def test_kernels_differ_on_ordered_decisions_only():
    for space, equal in ((SPACE, True), (MIXED, False)):
        *_, observed, _, hyper = problem("ordinal", space=space)
        matrices = [covariances(Kernel(n, space), hyper, observed, observed)
                    for n in ("ordinal", "hamming")]  # fmt: skip
        assert np.array_equal(*matrices) == equal


def test_unknown_kernels_and_encodings_are_refused():
    with pytest.raises(UnknownNameError, match="hamming"):
        Kernel("haming", SPACE)
    with pytest.raises(UnknownNameError, match="path"):
        Kernel("path", SearchSpace("s", [Decision("a", "xy")]))


@pytest.mark.parametrize("name", ["ordinal", "matern", "path"])
def test_fit_does_not_lose_to_the_truth(name):
    kernel, _, observed, _, _ = problem(name, n=60)
    truth = Hyperparameters(1.0, np.linspace(1.0, 4.0, kernel.n_lengths), 0.01)
    covariance = covariances(kernel, truth, observed, observed) + 0.01 * np.eye(60)
    y = np.linalg.cholesky(covariance) @ np.random.default_rng(2).normal(size=60)
    fitted = fit_hyperparameters(kernel, observed, y)
    squares = np.tril(kernel.squares(observed))
    ours = log_marginal_likelihood(kernel, squares, y, fitted.to_log())[0]
    at_truth = log_marginal_likelihood(kernel, squares, y, truth.to_log())[0]
    assert ours >= at_truth


@pytest.mark.parametrize("form", FORMS[:2], ids=IDS[:2], indirect=True)
def test_same_point_twice_is_survived(form):
    kernel, candidates, observed, _, _ = problem("ordinal")
    hyper = Hyperparameters(1.0, np.ones(kernel.n_lengths), 1e-6)
    posterior = Posterior(candidates, hyper, observed[:1], np.ones(1))
    for _ in range(5):
        posterior.add(tuple(observed[0]), 1.0)
    assert np.all(np.isfinite(posterior.mean))
    assert np.all(posterior.variance >= -1e-9)


@pytest.mark.parametrize("form", FORMS, ids=IDS, indirect=True)
def test_posterior_covariance_agrees_with_scikit_learn(form):
    name, space, _ = form
    kernel, candidates, observed, y, hyper = problem(name, space=space)
    points, _ = coordinates(kernel, candidates.architectures[:20])
    _, theirs = sklearn_model(kernel, hyper, observed, y).predict(points, return_cov=True)
    ours = Posterior(candidates, hyper, observed, y).covariance(np.arange(20))
    # scikit-learn adds the noise on the diagonal.
    np.testing.assert_allclose(ours, theirs - hyper.noise * np.eye(20), atol=TOLERANCE)


@pytest.mark.parametrize("z", [3.0, 0.0, -0.9, -1.1, -5.0, -30.0, -300.0, -9e3, -1.1e4, -1e6])
def test_log_expected_improvement_against_numerical_integration(z):
    # h(z) / phi(z) = integral of t exp(z t - t^2 / 2) over t > 0, here with t = s / (1 + |z|).
    scale = 1.0 + abs(z)

    def integrand(s):
        t = s / scale
        return t * math.exp(z * t - t * t / 2) / scale

    integral = quad(integrand, 0, 60 if z <= 0 else 60 * scale, limit=500)[0]
    expected = math.log(integral) - z * z / 2 - 0.5 * math.log(2 * math.pi)
    for sd in (1.0, 1e-3):
        found = log_expected_improvement(np.array([z * sd]), np.array([sd]), 0.0)[0]
        assert found == pytest.approx(expected + math.log(sd), rel=1e-9, abs=1e-5)


def test_chosen_candidate_has_the_greatest_expected_improvement():
    rng = np.random.default_rng(0)
    for case in range(300):
        m = int(rng.integers(1, 200))
        mean = rng.normal(scale=10.0 ** rng.uniform(-3, 2), size=m)
        variance = 10.0 ** rng.uniform(-8, 1, size=m)
        barred = rng.random(m) < 0.3
        barred[rng.integers(m)] = False
        best = float(rng.normal())
        chosen = best_by_expected_improvement(mean, variance, best, barred, rng)
        value = log_expected_improvement(mean, np.sqrt(variance), best)
        assert not barred[chosen]
        assert value[chosen] >= value[~barred].max() - 1e-6, case


def test_ties_are_broken_at_random_among_equals():
    rng = np.random.default_rng(0)
    mean, variance = np.array([0.0, 1.0, 1.0, 1.0, 1.0]), np.ones(5)
    barred = np.array([False, False, False, True, False])
    chosen = {best_by_expected_improvement(mean, variance, 0.5, barred, rng) for _ in range(60)}
    assert chosen == {1, 2, 4}


def test_upper_bound_and_thompson_respect_what_is_barred():
    _, candidates, observed, y, hyper = problem("ordinal")
    posterior = Posterior(candidates, hyper, observed, y)
    rng = np.random.default_rng(0)
    barred = rng.random(len(candidates)) < 0.5
    bound = posterior.mean + 2.0 * np.sqrt(posterior.variance)
    chosen = best_by_upper_bound(posterior.mean, posterior.variance, 2.0, barred, rng)
    assert bound[chosen] == pytest.approx(bound[~barred].max())
    drawn = [best_by_thompson_sample(posterior, barred, rng) for _ in range(200)]
    assert not barred[drawn].any()
    assert len(set(drawn)) > 5


def test_thompson_draws_each_candidate_as_often_as_it_is_the_maximum():
    kernel, candidates, observed, y, hyper = problem("ordinal", n=15, m=6)
    posterior = Posterior(candidates, hyper, observed, y)
    rng = np.random.default_rng(0)
    n = 4000
    barred = np.zeros(6, dtype=bool)
    drawn = np.bincount([best_by_thompson_sample(posterior, barred, rng) for _ in range(n)],
                        minlength=6) / n  # fmt: skip
    model = sklearn_model(kernel, hyper, observed, y)
    points, _ = coordinates(kernel, candidates.architectures)
    mean, covariance = model.predict(points, return_cov=True)
    samples = rng.multivariate_normal(mean, covariance - hyper.noise * np.eye(6), size=20_000)
    expected = np.bincount(samples.argmax(axis=1), minlength=6) / len(samples)
    # 5 standard errors of a share at 4,000 draws are at most 0.04.
    np.testing.assert_allclose(drawn, expected, atol=0.04)


# The surrogate of a running search


CANDIDATES = Candidates(Kernel("ordinal", SPACE), SPACE.sample(np.random.default_rng(7), 300))


def check_posterior(surrogate, candidates):
    """The posterior that was kept up to date is that of the data; gives its identity."""
    current, new = surrogate.posterior_at(candidates), surrogate.condition(candidates)
    assert current is not new
    assert current.n == new.n == len(surrogate.results) + len(surrogate.pending)
    np.testing.assert_allclose(current.mean, new.mean, atol=TOLERANCE)
    np.testing.assert_allclose(current.variance, new.variance, atol=TOLERANCE)
    return id(current)


@pytest.mark.parametrize("seed", range(5))
def test_a_surrogate_keeps_the_posterior_of_results_and_pending_trials(seed):
    rng = np.random.default_rng(seed)
    architectures = iter(map(tuple, SPACE.sample(rng, 200).tolist()))
    surrogate = Surrogate(CANDIDATES.kernel, refit_growth=4.0)
    for number in range(12):
        surrogate.add_pending(number, next(architectures))
        surrogate.finish(number, rng.normal())
    posteriors = {check_posterior(surrogate, CANDIDATES)}
    for number in range(100, 130):
        # Trials begin, end in any order, and fail; results come from elsewhere.
        surrogate.add_pending(number, next(architectures))
        while len(surrogate.pending) > number % 4:
            ended = int(rng.choice(list(surrogate.pending)))
            surrogate.finish(ended, math.nan if rng.random() < 0.2 else rng.normal())
        if rng.random() < 0.3:
            surrogate.add_result(next(architectures), rng.choice([rng.normal(), -math.inf]))
        if rng.random() < 0.7:
            posteriors.add(check_posterior(surrogate, CANDIDATES))
    assert len(surrogate.results) < 48  # the hyperparameters were fitted once only
    assert len(posteriors) == 1


def test_the_surrogate_of_a_search_has_all_that_it_asked_and_was_told():
    benchmark = SyntheticBenchmark(SPACE, failing=0.2)
    algorithm = GPBO(SPACE, seed=0, refit_growth=4.0)
    waiting, n_results = [], 0
    for i in range(60):
        waiting.append(algorithm.ask())
        own = [waiting.pop(0) for _ in range(len(waiting) - (0, 0, 2, 3)[i % 4])]
        foreign = [SPACE.at(i * 701 % SPACE.size)] if i % 3 else []
        for result in own + foreign if i % 2 else foreign + own:
            architecture = getattr(result, "architecture", result)
            evaluation = benchmark.evaluate(architecture)
            if result in own:
                algorithm.tell(result, evaluation)
            else:
                algorithm.observe(architecture, evaluation)
            n_results += not math.isnan(evaluation.values[0])
    waiting.append(algorithm.ask())
    surrogate = algorithm.surrogate
    assert surrogate.pending == {trial.number: trial.architecture for trial in waiting}
    assert len(surrogate.results) == n_results
    check_posterior(surrogate, all_candidates(SPACE, "ordinal"))


def test_scores_far_below_the_others_do_not_set_the_scale():
    scores = np.array([1.0, 2.0, 3.0, 4.0, 5.0, -1e6])  # median 2.5, upper quartile 3.75
    standardisation = Standardisation.of(scores)
    assert standardisation.floor == 2.5 - 3 * 1.25
    targets = standardisation(scores)
    assert targets.mean() == pytest.approx(0.0)
    assert targets.std() == pytest.approx(1.0)
    assert targets[-1] == standardisation(-math.inf)
    assert Standardisation.of(np.full(4, 7.0)) == Standardisation(-math.inf, 7.0, 1.0)


def test_all_of_a_large_product_is_scored_without_storing_covariances():
    space = SearchSpace("large", [Decision(f"d{i}", "abcdefgh"[: 7 + i % 2]) for i in range(6)])
    kernel = Kernel("ordinal", space)
    candidates = Candidates(
        kernel, space.at(np.random.default_rng(0).permutation(space.size)[:999])
    )
    surrogate = Surrogate(kernel, refit_growth=9.0)
    rng = np.random.default_rng(1)
    for architecture in map(tuple, space.sample(rng, 12).tolist()):
        surrogate.add_result(architecture, rng.normal())
    whole = surrogate.condition(all_candidates(space, "ordinal"))
    part = surrogate.condition(candidates)
    assert type(whole.cross) is OnGrid
    places = space.index(candidates.architectures)
    np.testing.assert_allclose(whole.mean[places], part.mean, atol=TOLERANCE)
    np.testing.assert_allclose(whole.variance[places], part.variance, atol=TOLERANCE)


@pytest.mark.parametrize(("kernel", "best_of_all"), [("ordinal", True), ("matern", False)])
def test_what_is_asked_is_the_best_of_all_in_a_large_product(kernel, best_of_all):
    space = SearchSpace("large", [Decision(f"d{i}", "ab") for i in range(17)])
    benchmark = SyntheticBenchmark(space)
    algorithm = GPBO(space, kernel=kernel, acquisition="ucb", n_initial=12, seed=0)
    found = []
    for _ in range(16):
        trial = algorithm.ask()
        if len(algorithm.surrogate.results) >= 12:
            surrogate = Surrogate(algorithm.kernel, refit_growth=1.3)
            surrogate.results = algorithm.surrogate.results
            surrogate.hyper = algorithm.surrogate.hyper
            surrogate.standardisation = algorithm.surrogate.standardisation
            surrogate._next_fit = math.inf
            every = Candidates(algorithm.kernel, space.classes)
            posterior = surrogate.condition(every)
            bound = posterior.mean + 2 * np.sqrt(posterior.variance)
            found.append(bound[space.index(trial.architecture)] >= np.nanmax(bound) - 1e-3)
        algorithm.tell(trial, benchmark.evaluate(trial.architecture))
    assert all(found) == best_of_all
