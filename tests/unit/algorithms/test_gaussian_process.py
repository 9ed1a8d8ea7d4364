"""The Gaussian process and its acquisition functions, against scikit-learn and brute force."""

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
from algorithms._surrogates.gaussian_process import (
    Hyperparameters,
    Kernel,
    Posterior,
    fit_hyperparameters,
    log_marginal_likelihood,
)
from algorithms._surrogates.surrogate import Standardisation, Surrogate
from algorithms.gp_bo import GPBO, _class_features
from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

TOLERANCE = 1e-6

SPACE = get_space("nb201")


def problem(kernel_name, n=40, m=300, seed=0, space=SPACE):
    rng = np.random.default_rng(seed)
    kernel = Kernel(kernel_name, space)
    features = kernel.features(space.sample(rng, n))
    candidates = kernel.features(space.sample(rng, m))
    y = rng.normal(size=n)
    lengths = rng.uniform(0.7, 5.0, size=kernel.n_groups)
    return kernel, features, candidates, y, Hyperparameters(1.7, lengths, 0.03)


def sklearn_model(kernel, hyper, features, y):
    lengths = hyper.lengths[kernel.groups]
    shape = RBF(lengths) if kernel.name == "hamming" else Matern(lengths, nu=2.5)
    full = ConstantKernel(hyper.amplitude) * shape + WhiteKernel(hyper.noise)
    return GaussianProcessRegressor(full, optimizer=None).fit(features, y)


@pytest.mark.parametrize("name", ["hamming", "matern", "path"])
def test_posterior_agrees_with_scikit_learn(name):
    kernel, features, candidates, y, hyper = problem(name)
    mean, sd = sklearn_model(kernel, hyper, features, y).predict(candidates, return_std=True)
    variance = sd**2 - hyper.noise  # scikit-learn's includes the noise

    whole = Posterior(kernel, hyper, candidates)
    whole.add_all(features, y)
    one_by_one = Posterior(kernel, hyper, candidates, capacity=4)
    for point, target in zip(features, y, strict=True):
        one_by_one.add(point, target)
    for posterior in (whole, one_by_one):
        np.testing.assert_allclose(posterior.mean, mean, atol=TOLERANCE)
        np.testing.assert_allclose(posterior.variance, variance, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["hamming", "matern", "path"])
def test_log_marginal_likelihood_and_gradient_agree_with_scikit_learn(name):
    kernel, features, _, y, hyper = problem(name)
    squares = kernel.square_by_group(features, features)
    value, gradient = log_marginal_likelihood(kernel, squares, y, hyper.to_log())
    model = sklearn_model(kernel, hyper, features, y)
    theirs, their_gradient = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    assert value == pytest.approx(theirs, abs=TOLERANCE)
    # scikit-learn has one length scale per feature; ours are shared within a group.
    of_lengths = np.bincount(kernel.groups, their_gradient[1:-1])
    expected = np.concatenate([their_gradient[:1], of_lengths, their_gradient[-1:]])
    np.testing.assert_allclose(gradient, expected, atol=1e-5)

    def value_at(theta):
        return log_marginal_likelihood(kernel, squares, y, theta)[0]

    np.testing.assert_allclose(gradient, approx_fprime(hyper.to_log(), value_at, 1e-6), atol=1e-3)


def test_hamming_kernel_is_the_weighted_hamming_kernel():
    kernel, *_, hyper = problem("hamming")
    a, b = SPACE.sample(np.random.default_rng(1), 2)
    differs = a != b
    expected = hyper.amplitude * math.exp(-(differs / hyper.lengths**2).sum())
    features = kernel.features(np.array([a, b]))
    assert kernel.matrix(features[:1], features[1:], hyper)[0, 0] == pytest.approx(expected)


def test_ordered_options_further_apart_are_less_alike():
    space = SearchSpace("s", [Decision("c", (8, 16, 32, 64), ordered=True), Decision("o", "ab")])
    kernel = Kernel("hamming", space)
    features = kernel.features(np.array([[0, 0], [1, 0], [2, 0], [3, 0]]))
    alike = kernel.matrix(features[:1], features, Hyperparameters(1.0, np.ones(2), 0.1))[0]
    assert np.all(np.diff(alike) < 0)


def test_unknown_kernels_and_encodings_are_refused():
    with pytest.raises(UnknownNameError, match="hamming"):
        Kernel("haming", SPACE)
    with pytest.raises(UnknownNameError, match="path"):
        Kernel("path", SearchSpace("s", [Decision("a", "xy")]))


@pytest.mark.parametrize("name", ["hamming", "matern", "path"])
def test_fit_does_not_lose_to_scikit_learns_optimiser(name):
    kernel, features, _, _, _ = problem(name, n=60)
    truth = Hyperparameters(1.0, np.linspace(1.0, 4.0, kernel.n_groups), 0.01)
    covariance = kernel.matrix(features, features, truth) + 0.01 * np.eye(60)
    y = np.linalg.cholesky(covariance) @ np.random.default_rng(2).normal(size=60)
    fitted = fit_hyperparameters(kernel, features, y)
    squares = kernel.square_by_group(features, features)
    ours = log_marginal_likelihood(kernel, squares, y, fitted.to_log())[0]
    at_truth = log_marginal_likelihood(kernel, squares, y, truth.to_log())[0]
    assert ours >= at_truth


def test_fantasies_narrow_the_variance_and_leave_the_mean():
    kernel, features, candidates, y, hyper = problem("hamming")
    posterior = Posterior(kernel, hyper, candidates)
    posterior.add_all(features[:-3], y[:-3])
    mean, variance = posterior.mean.copy(), posterior.variance.copy()
    for point in features[-3:]:
        posterior.add(point, None)
    np.testing.assert_array_equal(posterior.mean, mean)
    assert np.all(posterior.variance <= variance)
    # A fantasy at its predicted mean is an observation of that mean.
    n = len(y) - 3
    believed = Posterior(kernel, hyper, candidates)
    believed.add_all(features[:n], y[:n])
    for point in features[n:]:
        predictor = Posterior(kernel, hyper, point[None])
        predictor.add_all(features[:n], y[:n])
        believed.add(point, float(predictor.mean[0]))
    np.testing.assert_allclose(posterior.variance, believed.variance, atol=TOLERANCE)


def test_observe_and_truncate_give_the_posterior_of_the_data_alone():
    kernel, features, candidates, y, hyper = problem("matern")
    posterior = Posterior(kernel, hyper, candidates)
    for point, target in zip(features[:-1], y[:-1], strict=True):
        posterior.add(point, target)
    posterior.add(features[-1], None)
    posterior.observe(float(y[-1]))
    posterior.add(features[0], None)
    posterior.truncate(len(y))
    fresh = Posterior(kernel, hyper, candidates)
    fresh.add_all(features, y)
    np.testing.assert_allclose(posterior.mean, fresh.mean, atol=TOLERANCE)
    np.testing.assert_allclose(posterior.variance, fresh.variance, atol=TOLERANCE)


def test_same_point_twice_is_survived():
    kernel, features, candidates, _, _ = problem("hamming")
    hyper = Hyperparameters(1.0, np.ones(kernel.n_groups), 1e-6)
    posterior = Posterior(kernel, hyper, candidates)
    for _ in range(5):
        posterior.add(features[0], 1.0)
    assert np.all(np.isfinite(posterior.mean))
    assert np.all(posterior.variance >= -1e-9)


def test_posterior_covariance_agrees_with_scikit_learn():
    kernel, features, candidates, y, hyper = problem("matern")
    model = sklearn_model(kernel, hyper, features, y)
    _, theirs = model.predict(candidates[:20], return_cov=True)
    posterior = Posterior(kernel, hyper, candidates)
    posterior.add_all(features, y)
    ours = posterior.covariance(np.arange(20))
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
    kernel, features, candidates, y, hyper = problem("hamming")
    posterior = Posterior(kernel, hyper, candidates)
    posterior.add_all(features, y)
    rng = np.random.default_rng(0)
    barred = rng.random(len(candidates)) < 0.5
    bound = posterior.mean + 2.0 * np.sqrt(posterior.variance)
    chosen = best_by_upper_bound(posterior.mean, posterior.variance, 2.0, barred, rng)
    assert bound[chosen] == pytest.approx(bound[~barred].max())
    drawn = [best_by_thompson_sample(posterior, barred, rng) for _ in range(200)]
    assert not barred[drawn].any()
    assert len(set(drawn)) > 5


def test_thompson_draws_each_candidate_as_often_as_it_is_the_maximum():
    kernel, features, candidates, y, hyper = problem("hamming", n=15, m=6)
    posterior = Posterior(kernel, hyper, candidates)
    posterior.add_all(features, y)
    rng = np.random.default_rng(0)
    n = 4000
    barred = np.zeros(6, dtype=bool)
    drawn = np.bincount([best_by_thompson_sample(posterior, barred, rng) for _ in range(n)],
                        minlength=6) / n  # fmt: skip
    model = sklearn_model(kernel, hyper, features, y)
    mean, covariance = model.predict(candidates, return_cov=True)
    samples = rng.multivariate_normal(mean, covariance - hyper.noise * np.eye(6), size=20_000)
    expected = np.bincount(samples.argmax(axis=1), minlength=6) / len(samples)
    # 5 standard errors of a share at 4,000 draws are at most 0.04.
    np.testing.assert_allclose(drawn, expected, atol=0.04)


# The surrogate of a running search


CANDIDATES = Kernel("hamming", SPACE).features(SPACE.sample(np.random.default_rng(7), 300))


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
    surrogate = Surrogate(Kernel("hamming", SPACE), refit_growth=4.0)
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
    check_posterior(surrogate, _class_features(SPACE, "hamming"))


def test_scores_far_below_the_others_do_not_set_the_scale():
    scores = np.array([1.0, 2.0, 3.0, 4.0, 5.0, -1e6])  # median 2.5, upper quartile 3.75
    standardisation = Standardisation.of(scores)
    assert standardisation.floor == 2.5 - 3 * 1.25
    targets = standardisation(scores)
    assert targets.mean() == pytest.approx(0.0)
    assert targets.std() == pytest.approx(1.0)
    assert targets[-1] == standardisation(-math.inf)
    assert Standardisation.of(np.full(4, 7.0)) == Standardisation(-math.inf, 7.0, 1.0)
