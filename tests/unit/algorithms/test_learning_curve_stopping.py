"""Stopping by extrapolated learning curves, and algorithms built on others."""

import math
import pickle

import numpy as np
import pytest
from scipy.stats import t as student

from algorithms._base import make_base
from algorithms.learning_curve_stopping import LearningCurveStopping
from algorithms.random_search import RandomSearch
from algorithms.regularized_evolution import RegularizedEvolution
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.predictors.learning_curve import EXPONENTS, power_law
from nasbench_lab.registry import load_benchmark, make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import get_space
from nasbench_lab.testing import SyntheticBenchmark

SPACE = get_space("nb201")
EPOCHS = tuple(range(1, 13))


@pytest.fixture(scope="module")
def digits():
    return load_benchmark("nb201-digits")


class Recorder(RandomSearch):
    """Random search that remembers results."""

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self.told, self.observed = [], []

    def tell(self, trial, evaluation):
        self.told.append((trial, evaluation))

    def observe(self, architecture, evaluation):
        self.observed.append((architecture, evaluation))


def train(algorithm, trial, curve, epochs=EPOCHS, **rest):
    """Shows a trial's epochs until it is stopped, and tells it; gives the last epoch's index."""
    for i, (epoch, value) in enumerate(zip(epochs, curve, strict=True)):
        evaluation = Evaluation((value,), float(epoch), epoch, **rest)
        if i == len(epochs) - 1 or algorithm.should_stop(trial, evaluation):
            algorithm.tell(trial, evaluation)
            return i
    raise AssertionError


# Extrapolation


def fitted(scores, epochs):
    """The same by general least squares."""
    predictions, weights = [], []
    for c in EXPONENTS:
        powers = np.array(epochs, dtype=float) ** -c
        design = np.stack([np.ones(len(epochs)), powers], axis=1)
        (a, b), *_ = np.linalg.lstsq(design[: len(scores)], scores, rcond=None)
        residual = ((scores - a - b * powers[: len(scores)]) ** 2).sum()
        predictions.append(a + b * powers[-1])
        weights.append(residual ** (-0.5 * len(scores)))
    return np.average(predictions, weights=weights)


@pytest.mark.parametrize("epochs", [EPOCHS, (4, 12, 36, 108), tuple(range(1, 201))])
def test_power_law_is_least_squares_averaged_by_likelihood(epochs):
    rng = np.random.default_rng(0)
    for k in range(3, len(epochs), 1 if len(epochs) < 20 else 25):
        scores = 90 - 60 / np.arange(1, k + 1) + rng.normal(size=k)
        assert power_law(scores.tolist(), epochs) == pytest.approx(fitted(scores, epochs), rel=1e-9)


@pytest.mark.parametrize("c", EXPONENTS.tolist())
def test_power_law_continues_a_power_law(c):
    curve = [5.0 - 3.0 * t**-c for t in EPOCHS]
    for k in (4, 8, 11):
        assert power_law(curve[:k], EPOCHS) == pytest.approx(curve[-1], abs=1e-5)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_power_law_does_not_depend_on_the_unit(k):
    scores = np.random.default_rng(0).normal(size=k)
    scaled = power_law((-1e6 + 3e4 * scores).tolist(), EPOCHS)
    assert scaled == pytest.approx(-1e6 + 3e4 * power_law(scores.tolist(), EPOCHS), rel=1e-9)


def test_power_law_of_a_flat_curve_or_a_single_score_is_the_score():
    assert power_law([0.1] * 7, EPOCHS) == pytest.approx(0.1)
    assert power_law([3.0], EPOCHS) == 3.0


# Decisions


@pytest.mark.parametrize("extrapolation", ["power_law", "last_value"])
def test_stops_where_the_chance_to_be_the_best_is_below_the_threshold(digits, extrapolation):
    algorithm = LearningCurveStopping(
        SPACE, seed=0, fidelities=EPOCHS, extrapolation=extrapolation, threshold=0.1, n_initial=4
    )
    finals, predicted, n_stopped = [], [], 0  # of the trials trained in full

    def extrapolate(curve):
        return power_law(curve, EPOCHS) if extrapolation == "power_law" else curve[-1]

    for _ in range(60):
        trial = algorithm.ask()
        assert trial.epoch == 12
        curve = [digits.evaluate(trial.architecture, e).values[0] for e in EPOCHS]
        predictions = [extrapolate(curve[:k]) for k in range(1, 12)]
        expected = 11
        for i in range(2, 11):
            if len(finals) < 4:
                break
            errors = np.array(finals) - np.array(predicted)[:, i]
            n = len(errors)
            scale = errors.std(ddof=1) * math.sqrt(1 + 1 / n)
            short = max(finals) - predictions[i] - errors.mean()
            chance = student.sf(short / scale, df=n - 1)
            if chance < 0.1:
                expected = i
                break
        assert train(algorithm, trial, curve) == expected
        if expected == 11:
            finals.append(curve[-1])
            predicted.append(predictions)
        else:
            n_stopped += 1
    assert n_stopped > 15


def test_nothing_is_stopped_at_first_nor_in_the_first_epochs():
    algorithm = LearningCurveStopping(SPACE, fidelities=EPOCHS, min_epochs=4, n_initial=3)
    rng = np.random.default_rng(0)
    for i in range(40):
        curve = (np.linspace(0.5, 1.0, 12) * (5 + rng.normal() if i < 3 else 1)).tolist()
        last = train(algorithm, algorithm.ask(), curve)
        assert last == (11 if i < 3 else 3)


@pytest.mark.parametrize("value", [math.nan, 1.0])
def test_a_trial_that_fails_or_violates_a_constraint_is_stopped_at_once(value):
    algorithm = LearningCurveStopping(SPACE, fidelities=EPOCHS, base=Recorder)
    rest = {} if math.isnan(value) else {"violation": 0.1}
    assert train(algorithm, algorithm.ask(), [value] * 12, **rest) == 0
    ((_, evaluation),) = algorithm._base.told
    assert math.isnan(evaluation.values[0])


def test_a_curve_that_promises_the_best_is_never_stopped(digits):
    values = digits.table.values(digits.first_objective)
    best = tuple(digits.table.architectures[values.argmax()].tolist())
    for seed in range(10):
        algorithm = LearningCurveStopping(SPACE, seed=seed, fidelities=EPOCHS)
        for i in range(30):
            trial = algorithm.ask()
            architecture = best if i == 29 else trial.architecture
            curve = [digits.evaluate(architecture, e).values[0] for e in EPOCHS]
            last = train(algorithm, trial, curve)
        assert last == 11


# What the base algorithm is told


def test_the_base_is_told_final_scores_and_expected_ones():
    algorithm = LearningCurveStopping(
        SPACE, fidelities=EPOCHS, base=Recorder, maximize=False, n_initial=2, min_epochs=6
    )
    # Losses fall by 5 or 7 after epoch 6.
    for loss, fall in ((10.0, 5.0), (12.0, 7.0), (50.0, 6.0)):
        trial = algorithm.ask()
        curve = [loss] * 6 + [loss - fall] * 6
        last = train(algorithm, trial, curve)
    assert last == 5
    told = [evaluation.values[0] for _, evaluation in algorithm._base.told]
    # The flat curve is extrapolated to 50, and the others ended 5 and 7 below what was extrapolated.
    assert told == pytest.approx([-5.0, -5.0, -44.0])
    assert [trial.number for trial, _ in algorithm._base.told] == [0, 1, 2]
    assert all(evaluation.epoch is None for _, evaluation in algorithm._base.told)


def test_results_of_others_are_passed_on_if_they_are_final():
    algorithm = LearningCurveStopping(SPACE, fidelities=EPOCHS, base=Recorder)
    architecture = SPACE.at(7)
    algorithm.observe(architecture, Evaluation((9.0,), 1.0, 3))
    algorithm.observe(architecture, Evaluation((1.0,), 1.0, 12, row=5))
    assert algorithm._base.observed == [(architecture, Evaluation((1.0,), 1.0, row=5))]
    assert algorithm._best == 1.0


@pytest.mark.parametrize("base", ["random_search", "regularized_evolution", "gp_bo", "hyperband"])
@pytest.mark.parametrize("epochs", [None, 1])
def test_is_the_base_where_only_the_end_is_known(base, epochs):
    benchmark = SyntheticBenchmark(SPACE, epochs=epochs)
    given = {"seed": 3, "fidelities": benchmark.fidelities}
    wrapped = LearningCurveStopping(SPACE, base=base, **given)
    plain = make_algorithm(base, SPACE, **given)
    ours, theirs = (simulate(one, benchmark, 60, workers=2) for one in (wrapped, plain))
    np.testing.assert_array_equal(ours.architecture, theirs.architecture)


# On real learning curves


@pytest.mark.parametrize("base", ["random_search", "regularized_evolution"])
@pytest.mark.parametrize("extrapolation", ["power_law", "last_value"])
def test_stopped_trials_would_rarely_have_been_the_best(digits, extrapolation, base):
    finals = digits.table.values(digits.first_objective)
    n = stopped = wrong = epochs = 0
    for seed in range(20):
        algorithm = LearningCurveStopping(
            SPACE, seed=seed, fidelities=EPOCHS, extrapolation=extrapolation, base=base
        )
        trace = simulate(algorithm, digits, 100)
        was_stopped = trace.epoch < 12
        reached = np.where(was_stopped, -np.inf, finals[trace.row])
        best = np.maximum.accumulate(reached)
        n += len(trace)
        stopped += was_stopped.sum()
        wrong += (was_stopped & (finals[trace.row] > best)).sum()
        epochs += trace.epoch.sum()
    print(
        f"{extrapolation} on {base}: {stopped / n:.0%} stopped, of which {wrong / stopped:.1%} would "
        f"have been the best; {1 - epochs / n / 12:.0%} of all epochs saved"
    )
    assert wrong / stopped < 0.05
    assert epochs / n / 12 < 0.9


def test_with_the_epochs_that_are_saved_random_search_finds_better_networks(digits):
    finals = digits.table.values(digits.first_objective)

    def regrets(cls):
        found = []
        for seed in range(40):
            trace = simulate(cls(SPACE, seed=seed, fidelities=EPOCHS), digits, "1200epochs")
            found.append(finals.max() - finals[trace.row[trace.epoch == 12]].max())
        return np.array(found)

    ours, plain = regrets(LearningCurveStopping), regrets(RandomSearch)
    print(f"regret after 1,200 epochs: {ours.mean():.3f}, random search {plain.mean():.3f}")
    assert ours.mean() < plain.mean()


# Hyperparameters, bases and the contract


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base", "random_serach"),
        ("base", RandomSearch(SPACE)),
        ("base", "_base"),
        ("base", "learning_curve_stopping"),
        ("base", "random_scalarization"),
        ("extrapolation", "linear"),
        ("threshold", 0.0),
        ("threshold", 1.0),
        ("min_epochs", 0),
        ("n_initial", 1),
    ],
)
def test_hyperparameters_that_make_no_sense_are_refused(name, value):
    with pytest.raises(HyperparameterError, match=name):
        LearningCurveStopping(SPACE, **{name: value})


def test_an_unknown_base_is_refused_with_the_choices():
    with pytest.raises(HyperparameterError, match=r"gp_bo.*random_search.*regularized_evolution"):
        make_base("annealing", SPACE, 0, True, ())


@pytest.mark.parametrize("base", ["regularized_evolution", RegularizedEvolution])
def test_a_base_is_built_with_its_hyperparameters(base):
    algorithm = LearningCurveStopping(
        SPACE, base=base, base_hyperparameters={"population_size": 7}, maximize=False
    )
    assert isinstance(algorithm._base, RegularizedEvolution)
    assert algorithm._base.population_size == 7
    assert algorithm._base.maximize == (True,)


@pytest.mark.parametrize("seed", [5, np.random.SeedSequence(5), np.random.default_rng(5)])
def test_a_base_shares_the_generator_also_after_pickling(seed):
    algorithm = LearningCurveStopping(SPACE, seed=seed)
    copy = pickle.loads(pickle.dumps(algorithm))
    for one in (algorithm, copy):
        assert one._base.rng is one.rng
    assert [algorithm.ask() for _ in range(5)] == [copy.ask() for _ in range(5)]


@pytest.mark.parametrize("name", ["successive_halving", "asha", "bohb", "genetic_algorithm"])
def test_the_class_of_a_base_is_the_one_that_its_file_defines(name):
    assert type(make_base(name, SPACE, 0, True, ())) is type(make_algorithm(name, SPACE))
