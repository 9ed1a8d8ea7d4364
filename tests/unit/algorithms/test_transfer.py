"""What algorithms make of other tasks, by the papers' formulas and by hand."""

import itertools
from statistics import NormalDist

import numpy as np
import pytest
from related_tables import SPACE, related_table

import nasbench_lab as lab
from algorithms._surrogates.surrogate import Surrogate
from algorithms._transfer import (
    NormalScores,
    Prior,
    TaskModel,
    learned_policy,
    normal_scores,
    some_of,
    task_models,
)
from algorithms.rgpe import rank_weights, ranking_losses
from algorithms.transfer_bounding_box import bounding_box
from nasbench_lab.algorithm import Evaluation, History, OtherTask
from nasbench_lab.errors import HyperparameterError, UnsuitedError
from nasbench_lab.predictors.kernels import Kernel
from nasbench_lab.predictors.posterior import Candidates
from nasbench_lab.registry import make_algorithm
from nasbench_lab.running.search import run
from nasbench_lab.spaces import get_space
from nasbench_lab.testing import SyntheticBenchmark
from nasbench_lab.testing.synthetic import synthetic_history

NEEDING = ["quantile_transfer", "rgpe", "transfer_bounding_box", "transfer_zero_shot"]


def task(name, scores, which=None):
    which = np.arange(len(scores)) if which is None else np.asarray(which)
    return OtherTask(name, SPACE.at(which), np.array(scores, dtype=float))


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("related")
    return [lab.TableBenchmark(related_table(folder, number)) for number in range(3)]


@pytest.fixture(scope="module")
def history(benchmarks):
    every = SPACE.at(np.arange(SPACE.size))
    return History([OtherTask(b.name, every, b.evaluate_many(every)[0][:, 0]) for b in benchmarks])


def test_normal_scores_are_quantiles_of_ranks_whatever_the_unit():
    scores = np.array([3.0, -1e300, 7.0, 3.0, 1e308])
    quantile = NormalDist().inv_cdf
    expected = [quantile(0.4), quantile(0.1), quantile(0.7), quantile(0.4), quantile(0.9)]
    np.testing.assert_allclose(normal_scores(scores), expected)
    scores = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(normal_scores(scores), normal_scores(np.exp(scores)))
    mapped = NormalScores.of(scores)
    np.testing.assert_allclose(mapped(scores), normal_scores(scores))
    assert mapped(scores.max() + 1e9) > normal_scores(scores).max()
    assert mapped(-1e9) == normal_scores(scores).min()
    assert NormalScores.of(np.array([2.0, 2.0]))(2.0) == 0


def test_what_a_model_is_fitted_to_goes_from_the_worst_to_the_best():
    of = task("a", np.random.default_rng(1).normal(size=100))
    chosen = of.scores[some_of(of, 11)]
    assert (
        chosen.tolist() == np.sort(of.scores)[np.linspace(0, 99, 11).round().astype(int)].tolist()
    )
    assert sorted(some_of(of, 500).tolist()) == list(range(100))


def test_a_task_model_is_the_gaussian_process_of_the_textbook():
    rng = np.random.default_rng(2)
    known, others = SPACE.at(np.arange(0, 40)), SPACE.at(np.arange(100, 130))
    targets = rng.normal(size=40)
    model = TaskModel(Kernel("ordinal", SPACE), known, targets)

    def covariance(a, b):
        squares = Kernel("ordinal", SPACE).squares(np.concatenate([a, b]))
        r2 = (squares * model.hyper.lengths[:, None, None] ** -2.0).sum(axis=0)
        return model.hyper.amplitude * np.exp(-0.5 * r2[: len(a), len(a) :])

    noisy = covariance(known, known) + (model.hyper.noise + 1e-10) * np.eye(40)
    cross = covariance(known, others)
    mean, variance = model.predict(others)
    solved = np.linalg.solve(noisy, cross)
    np.testing.assert_allclose(mean, solved.T @ targets, atol=1e-6)
    posterior = covariance(others, others) - cross.T @ solved
    np.testing.assert_allclose(variance, np.diag(posterior), atol=1e-6)
    samples = model.sample(others, 4000, rng)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=6 * np.sqrt(posterior.max() / 4000))
    np.testing.assert_allclose(np.cov(samples.T), posterior, atol=0.15 * posterior.max() + 1e-3)
    # Leaving out is conditioning on the others.
    means, variances = model.left_out(targets)
    for i in (0, 7, 39):
        rest = np.delete(np.arange(40), i)
        k = noisy[np.ix_(rest, rest)]
        weights = np.linalg.solve(k, noisy[rest, i])
        assert means[i] == pytest.approx(weights @ targets[rest], abs=1e-6)
        assert variances[i] == pytest.approx(noisy[i, i] - weights @ noisy[rest, i], abs=1e-6)


def test_a_surrogate_with_a_prior_models_deviations_from_it(history):
    kernel = Kernel("ordinal", SPACE)
    results = [(tuple(SPACE.at(i)), float(score)) for i, score in enumerate([3.0, 1, 4, 1.5, 9, 2])]
    candidates = Candidates(kernel, SPACE.at(np.arange(50, 60)))
    prior = Prior(kernel, history, scaled=True, calibrated=False)
    surrogate = Surrogate(kernel, 100.0, prior, NormalScores.of)
    for result in results[:5]:
        surrogate.add_result(*result)
    before = surrogate.posterior_at(candidates)
    observed = np.array([a for a, _ in results[:5]])
    mean, scale = prior.at(observed)
    targets = (normal_scores(np.array([s for _, s in results[:5]])) - mean) / scale
    model = TaskModel(kernel, observed, targets)
    np.testing.assert_allclose(before.mean, model.predict(candidates.architectures)[0], atol=1e-6)
    # The mean and spread over tasks, of which each says the same of itself as its model.
    models = task_models("ordinal", SPACE, history, True)
    each = np.array([m.predict(observed)[0] for m in models])
    doubt = np.array([m.predict(observed)[1] for m in models])
    np.testing.assert_allclose(mean, each.mean(axis=0))
    np.testing.assert_allclose(scale**2, each.var(axis=0) + doubt.mean(axis=0))
    surrogate.add_result(*results[5])
    assert not np.array_equal(before.mean, model.predict(candidates.architectures)[0])


def test_a_prior_that_misleads_is_flattened(history):
    kernel = Kernel("ordinal", SPACE)
    architectures = SPACE.at(np.arange(0, 240, 4))
    prior = Prior(kernel, history, scaled=False, calibrated=True)
    raw, _ = prior.expected(architectures)
    for factor, slope in ((0.5, 0.5), (-1.0, 0.0)):
        prior.calibrate(architectures, 2.0 + factor * raw)
        mean, scale = prior.at(architectures)
        # One target in favour of a slope of one has little to say among 60.
        centred = raw - raw.mean()
        assert mean.mean() == pytest.approx((2.0 + factor * raw).mean())
        assert mean - mean.mean() == pytest.approx(slope * centred, abs=0.05)
        assert (scale == 1).all()


def test_zero_shot_asks_in_the_order_that_covers_the_tasks(history, benchmarks):
    scaled = np.array([(t.scores - t.scores.min()) / np.ptp(t.scores) for t in history.tasks])
    algorithm = make_algorithm("transfer_zero_shot", SPACE, history=history)
    left, covered, expected = list(range(SPACE.size)), np.zeros(3), []
    for _ in range(12):
        gains = [np.maximum(scaled[:, i] - covered, 0).sum() for i in left]
        if max(gains) <= 0:
            covered[:] = 0
            gains = [scaled[:, i].sum() for i in left]
        expected.append(left.pop(int(np.argmax(gains))))
        covered = np.maximum(covered, scaled[:, expected[-1]])
    assert [SPACE.index(algorithm.ask().architecture) for _ in range(12)] == expected
    # The best of each task is among the first few.
    assert {int(t.scores.argmax()) for t in history.tasks} <= set(expected[:5])


def test_zero_shot_predicts_what_a_task_does_not_know_and_then_draws():
    true = SPACE.at(np.arange(SPACE.size)) @ np.array([3.0, 2.0, 1.0, 0.5])
    first, second = np.arange(0, 120), np.arange(60, 240)
    history = History([task("a", true[first], first), task("b", true[second], second)])
    algorithm = make_algorithm("transfer_zero_shot", SPACE, history=history, seed=1)
    asked = [algorithm.ask().architecture for _ in range(SPACE.size)]
    assert len(set(asked)) == SPACE.size
    # Both tasks have the same trend, so the best of the whole is asked at once.
    assert true[SPACE.index(np.array(asked[:3]))].max() == true.max()
    few = History([task("a", [1.0, 3.0])])
    others = [make_algorithm("transfer_zero_shot", SPACE, history=few, seed=s) for s in (1, 2)]
    asked = [[a.ask().architecture for _ in range(9)] for a in others]
    assert asked[0][:2] == asked[1][:2] == [SPACE.at(1), SPACE.at(0)]
    assert asked[0] != asked[1]
    assert len(set(asked[0])) == 9


def test_the_box_holds_the_best_and_little_else():
    best = [(1, 0, 0, 3), (3, 0, 2, 1)]
    scores = [[float(SPACE.at(i) == b) for i in range(SPACE.size)] for b in best]
    history = History([task(str(i), s) for i, s in enumerate(scores)])
    box = bounding_box(SPACE, history, 1)
    # Of the ordered width and rate all between, of the operation those two.
    assert box.kept == ((1, 2, 3), (0,), (0, 2), (1, 2, 3))
    for base in ("random_search", "gp_bo"):
        algorithm = make_algorithm("transfer_bounding_box", SPACE, history=history, base=base)
        for _ in range(9):
            trial = algorithm.ask()
            assert box.narrow(trial.architecture) is not None
            algorithm.tell(trial, Evaluation((1.0,), 1.0))
    assert bounding_box(SPACE, history, 240).space.size == SPACE.size


def test_a_box_that_is_searched_through_is_left(history):
    only = History([history.tasks[0]])
    task_0 = SyntheticBenchmark(SPACE)
    trace = lab.simulate(make_algorithm("transfer_bounding_box", SPACE, history=only), task_0, 20)
    best = SPACE.at(int(history.tasks[0].scores.argmax()))
    asked = list(map(tuple, trace.architecture.tolist()))
    assert (len(trace), asked[0]) == (20, best)
    assert len(set(asked)) > 10


def test_ranking_losses_count_misranked_pairs():
    rng = np.random.default_rng(3)
    samples, targets = rng.normal(size=(7, 9)), rng.integers(4, size=9).astype(float)
    for sample, loss in zip(samples, ranking_losses(samples, targets), strict=True):
        pairs = itertools.product(range(9), repeat=2)
        assert loss == sum((sample[j] < sample[k]) != (targets[j] < targets[k]) for j, k in pairs)


def test_surrogates_are_weighed_by_how_often_they_rank_best():
    def weights(*losses):
        return rank_weights(np.array(losses, dtype=float)).tolist()

    own = [4, 4, 4, 4]
    assert weights([1, 9, 1, 1], own) == [0.75, 0.25]
    # Equal losses go to the own surrogate, or in parts to the others.
    assert weights([4, 4, 4, 4], own) == [0.0, 1.0]
    assert weights([1, 1, 1, 1], [1, 1, 1, 1], own) == [0.5, 0.5, 0.0]
    # What is mostly worse than the own one has no weight, though it is best once.
    assert weights([1, 9, 9, 9], own) == [0.0, 1.0]


def test_rgpe_trusts_the_task_that_ranks_as_the_results_do(history):
    flipped = history.tasks[1]._replace(name="flipped", scores=-history.tasks[0].scores)
    given = History([history.tasks[0], flipped])
    algorithm = make_algorithm("rgpe", SPACE, history=given, seed=1)
    for _ in range(20):
        trial = algorithm.ask()
        value = history.tasks[0].scores[SPACE.index(trial.architecture)]
        algorithm.tell(trial, Evaluation((float(value),), 1.0))
    assert algorithm.weights.sum() == pytest.approx(1)
    assert algorithm.weights[0] > 0.5
    assert algorithm.weights[1] == 0
    assert max(s for _, s in algorithm.surrogate.results) == history.tasks[0].scores.max()


def test_a_policy_is_the_shares_of_options_among_the_best():
    scores = np.zeros(SPACE.size)
    best = SPACE.index(np.array([[4, 3, 0, 1]] * 1 + [[4, 2, 0, 1]]))
    scores[best] = [1.0, 2.0]
    # An elite of 12: these two, and the first ten of those that are worth nothing.
    ten = [i for i in range(SPACE.size) if i not in best][:10]
    elite = SPACE.at(np.array([*best, *ten]))
    shares = [np.bincount(column, minlength=5) / 12 for column in elite.T]
    sizes = np.array(SPACE.n_options)
    uniform = (np.arange(5) < sizes[:, None]) / sizes[:, None]
    policy = learned_policy(SPACE, History([task("a", scores)]), 0.8)
    np.testing.assert_allclose(policy, 0.2 * uniform + 0.8 * np.array(shares))
    np.testing.assert_allclose(policy.sum(axis=1), 1)
    np.testing.assert_allclose(learned_policy(SPACE, History([task("a", scores)]), 0.0), uniform)
    reinforce = make_algorithm("reinforce", SPACE, history=History([task("a", scores)]))
    np.testing.assert_allclose(reinforce.probabilities(), policy)


def test_evolution_begins_with_what_other_tasks_teach(history):
    means = []
    for given in (None, history):
        algorithm = make_algorithm(
            "regularized_evolution", SPACE, history=given, population_size=200, prior_weight=1.0
        )
        asked = SPACE.index(np.array([algorithm.ask().architecture for _ in range(200)]))
        means.append(history.tasks[0].scores[asked].mean())
    deviation = history.tasks[0].scores.std()
    assert means[1] > means[0] + deviation


def test_a_policy_does_not_learn_of_decisions_that_none_has():
    space = lab.SearchSpace(
        "conditional",
        [
            lab.Decision("kind", ("a", "b")),
            lab.Decision("size", (1, 2, 3), active_if={"kind": "b"}),
        ],
    )
    history = History([OtherTask("t", np.array([[0, 0], [1, 2]]), np.array([2.0, 1.0]))])
    policy = learned_policy(space, history, 1.0)
    np.testing.assert_allclose(policy, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])


@pytest.mark.parametrize("name", NEEDING)
def test_without_other_tasks_there_is_no_transfer(name):
    with pytest.raises(UnsuitedError, match=r"was given none.*--warm-start"):
        run(name, "nas-bench-graph/cora", 5)


def test_weights_of_several_objectives_and_a_history_do_not_go_together(history):
    for name in ("gp_bo", "rgpe", "quantile_transfer"):
        with pytest.raises(UnsuitedError, match="Leave out one"):
            make_algorithm(name, SPACE, history=history, maximize=(True, False), weights=(1, 1))
    with pytest.raises(HyperparameterError, match="prior"):
        make_algorithm("gp_bo", SPACE, history=history, prior="median")
    with pytest.raises(HyperparameterError, match="acquisition"):
        make_algorithm("rgpe", SPACE, history=history, acquisition="thompson")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gp_bo", {}),
        ("gp_bo", {"acquisition": "thompson"}),
        ("gp_bo", {"acquisition": "ucb"}),
        ("regularized_evolution", {}),
        ("reinforce", {}),
    ],
)
def test_what_takes_a_history_keeps_the_contract_with_one(name, settings):
    space = get_space("nb201")
    history = synthetic_history(space)
    runs = [
        lab.simulate(
            make_algorithm(name, space, seed=seed, history=given, **settings),
            SyntheticBenchmark(space, failing=0.2),
            30,
            workers=3,
        )
        for seed, given in ((1, history), (1, history), (2, history), (1, None))
    ]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])
    assert not runs[0].equals(runs[3])
    none = make_algorithm("gp_bo", space, seed=1, history=history, prior="none")
    alone = make_algorithm("gp_bo", space, seed=1)
    if name == "gp_bo":
        one, other = (lab.simulate(a, SyntheticBenchmark(space), 15) for a in (none, alone))
        assert one.equals(other)


@pytest.mark.parametrize("name", [*NEEDING, "gp_bo", "reinforce", "regularized_evolution"])
def test_tasks_that_resemble_each_other_help(benchmarks, name):
    def regret(algorithm, **settings):
        traces = [run(algorithm, benchmarks[0], 15, seed, **settings) for seed in range(5)]
        return benchmarks[0].optimum("valid") - np.mean([t.scores().max() for t in traces])

    assert regret(name, history=benchmarks) < regret("random_search") / 2


@pytest.mark.parametrize("name", [*NEEDING, "gp_bo", "reinforce", "regularized_evolution"])
@pytest.mark.parametrize("scores", [[5.0], [1.0] * 30, [1.7e308, -1.7e308] * 15])
def test_tasks_that_teach_nothing_are_survived(name, scores):
    algorithm = make_algorithm(name, SPACE, history=History([task("a", scores)]), seed=1)
    assert len(lab.simulate(algorithm, SyntheticBenchmark(SPACE), 12)) == 12
