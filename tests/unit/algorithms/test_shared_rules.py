"""What is particular to each algorithm, against its paper."""

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from algorithms.gp_bo import GPBO
from algorithms.random_search import RandomSearch
from algorithms.regularized_evolution import RegularizedEvolution
from algorithms.reinforce import Reinforce
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm
from nasbench_lab.errors import HyperparameterError, UnknownNameError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.testing import SyntheticBenchmark

SPACE = get_space("nb201")
SMALL = SearchSpace("small", [Decision("a", "xyz"), Decision("b", "uv")])
LARGE = SearchSpace("large", [Decision(f"layer {i}", "abcd") for i in range(30)])


@pytest.mark.parametrize(
    ("algorithm", "hyperparameters"),
    [
        ("random_search", {"replacement": "false"}),
        ("gp_bo", {"n_initial": "x"}),
        ("gp_bo", {"n_initial": 2.5}),
        ("gp_bo", {"ucb_beta": "x"}),
        ("gp_bo", {"refit_growth": math.inf}),
        ("reinforce", {"learning_rate": "fast"}),
        ("reinforce", {"learning_rate": math.inf}),
        ("regularized_evolution", {"population_size": 0}),
        ("regularized_evolution", {"population_size": 2.5}),
        ("regularized_evolution", {"sample_size": -1}),
        ("reinforce", {"learning_rate": 0}),
        ("reinforce", {"baseline_momentum": 1.0}),
        ("gp_bo", {"kernel": "haming"}),
        ("gp_bo", {"acquisition": "pi"}),
        ("gp_bo", {"n_initial": 0}),
        ("gp_bo", {"refit_growth": 0.5}),
        ("gp_bo", {"n_candidates": 0}),
    ],
)
def test_hyperparameters_that_make_no_sense_are_refused(algorithm, hyperparameters):
    with pytest.raises(HyperparameterError, match=next(iter(hyperparameters))):
        make_algorithm(algorithm, SPACE, **hyperparameters)


def test_an_unknown_hyperparameter_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'population_size'"):
        make_algorithm("regularized_evolution", SPACE, population=3)


def test_random_search_is_uniform_with_replacement():
    trace = simulate(RandomSearch(SMALL, seed=0), SyntheticBenchmark(SMALL), 6000)
    counts = np.bincount(SMALL.index(trace.architecture), minlength=SMALL.size)
    # One chance in ten thousand of failing on a uniform draw.
    assert chisquare(counts).pvalue > 1e-4


def test_random_search_without_replacement_visits_everything_once_and_ends():
    algorithm = RandomSearch(SPACE, seed=0, replacement=False)
    trace = simulate(algorithm, SyntheticBenchmark(SPACE), 20_000)
    assert sorted(SPACE.index(trace.architecture).tolist()) == list(range(SPACE.size))


def test_evolution_follows_algorithm_1():
    # With a large sample the parent is the best of the population: the last P results.
    size = 8
    algorithm = RegularizedEvolution(SPACE, population_size=size, sample_size=400, seed=0)
    trace = simulate(algorithm, SyntheticBenchmark(SPACE), 300)
    for i in range(size, len(trace)):
        window = slice(i - size, i)
        parent = trace.architecture[window][trace.scores()[window].argmax()]
        assert (trace.architecture[i] != parent).sum() == 1


def test_evolution_starts_with_random_architectures_that_count():
    algorithm = RegularizedEvolution(SPACE, population_size=50, seed=0)
    trace = simulate(algorithm, SyntheticBenchmark(SPACE), 50)
    same = RandomSearch(SPACE, seed=0)
    assert [tuple(a) for a in trace.architecture.tolist()] == [
        same.ask().architecture for _ in range(50)
    ]


def test_evolution_draws_parents_with_replacement_from_the_whole_population():
    algorithm = RegularizedEvolution(SPACE, population_size=4, sample_size=1, seed=0)
    population = [algorithm.ask() for _ in range(4)]
    for trial in population:
        algorithm.tell(trial, Evaluation((1.0,), 1.0))
    counts = np.zeros(4)
    for _ in range(4000):
        child = algorithm.ask().architecture
        near = [sum(a != b for a, b in zip(child, p.architecture, strict=True)) for p in population]
        counts[int(np.argmin(near))] += 1
    # Children of one may by chance be as near to another: a coarse bound, not a test of uniformity.
    assert counts.min() > 0.15 * counts.sum()


def test_reinforce_gradient_is_that_of_the_expected_reward():
    algorithm = Reinforce(SMALL, seed=0)
    rng = np.random.default_rng(1)
    algorithm._logits = np.where(np.isinf(algorithm._logits), -np.inf, rng.normal(size=(2, 3)))
    seen = []
    algorithm._adam_step = seen.append
    trial = algorithm.ask()
    algorithm._reward_sum, algorithm._reward_weight = 0.0, 1.0
    algorithm.tell(trial, Evaluation((2.0,), 1.0))
    advantage = 2.0 - 0.2 / 1.0  # baseline: 0.9 * 0 + 0.1 * 2 over weight 0.9 + 0.1

    def log_probability(logits):
        algorithm._logits = logits
        p = algorithm.probabilities()
        return sum(math.log(p[d, o]) for d, o in enumerate(trial.architecture))

    at = algorithm._logits.copy()
    for d, o in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        up, down = at.copy(), at.copy()
        up[d, o] += 1e-6
        down[d, o] -= 1e-6
        slope = (log_probability(up) - log_probability(down)) / 2e-6
        assert seen[0][d, o] == pytest.approx(-advantage * slope, abs=1e-6)


def test_reinforce_steps_are_those_of_adam():
    algorithm = Reinforce(SMALL, seed=0, learning_rate=0.05)
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(20, 2, 3))
    mean = square = x = 0.0
    for t, gradient in enumerate(gradients, start=1):
        algorithm._adam_step(gradient)
        # One parameter at a time, as Algorithm 1 of Kingma and Ba is written.
        g = gradient[0, 1]
        mean = 0.9 * mean + 0.1 * g
        square = 0.999 * square + 0.001 * g * g
        x -= 0.05 * (mean / (1 - 0.9**t)) / (math.sqrt(square / (1 - 0.999**t)) + 1e-8)
    assert algorithm._logits[0, 1] == pytest.approx(x)


def test_reinforce_draws_by_its_probabilities():
    algorithm = Reinforce(SMALL, seed=0)
    algorithm._logits = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, -np.inf]])
    drawn = np.array([algorithm.ask().architecture for _ in range(8000)])
    p = algorithm.probabilities()
    for d, n in enumerate(SMALL.n_options):
        counts = np.bincount(drawn[:, d], minlength=n)
        # One chance in ten thousand of failing.
        assert chisquare(counts, p[d, :n] * 8000).pvalue > 1e-4


def test_reinforce_learns_what_is_rewarded():
    algorithm = Reinforce(SMALL, seed=0, learning_rate=0.1)
    for _ in range(500):
        trial = algorithm.ask()
        algorithm.tell(trial, Evaluation((float(trial.architecture == (2, 1)),), 1.0))
    p = algorithm.probabilities()
    assert p[0, 2] > 0.9
    assert p[1, 1] > 0.9


def test_gp_bo_asks_no_class_twice_and_ends_when_all_are_asked():
    space = SearchSpace("s", [Decision("a", "xyz"), Decision("b", "uvw")])
    for acquisition in ("ei", "ucb", "thompson"):
        algorithm = GPBO(space, seed=0, n_initial=3, acquisition=acquisition)
        trace = simulate(algorithm, SyntheticBenchmark(space), 100)
        assert sorted(space.index(trace.architecture).tolist()) == list(range(space.size))


def test_gp_bo_asks_canonical_architectures_only():
    trace = simulate(GPBO(SPACE, seed=0), SyntheticBenchmark(SPACE), 60)
    canonical = SPACE.canonical(trace.architecture)
    np.testing.assert_array_equal(trace.architecture, canonical)
    assert len(np.unique(canonical, axis=0)) == 60


def test_gp_bo_chooses_what_scikit_learn_would_choose():
    """Each ask has the greatest expected improvement under a fresh scikit-learn model."""
    from scipy.stats import norm
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    benchmark = SyntheticBenchmark(SPACE)
    algorithm = GPBO(SPACE, seed=0, refit_growth=2.0)
    classes = np.unique(SPACE.index(SPACE.canonical(SPACE.at(np.arange(SPACE.size)))))
    onehot = SPACE.encode(SPACE.at(classes))
    asked, scores = [], []
    for step in range(30):
        trial = algorithm.ask()
        if step >= 12:
            hyper = algorithm.surrogate.hyper
            y = algorithm.surrogate.standardisation(np.array(scores))
            shape = RBF(np.repeat(hyper.lengths, 5))
            kernel = ConstantKernel(hyper.amplitude) * shape + WhiteKernel(hyper.noise)
            at = np.searchsorted(classes, asked)
            model = GaussianProcessRegressor(kernel, optimizer=None).fit(onehot[at], y)
            mean, sd = model.predict(onehot, return_std=True)
            sd = np.sqrt(np.maximum(sd**2 - hyper.noise, 1e-12))
            z = (mean - y.max()) / sd
            improvement = sd * (norm.pdf(z) + z * norm.cdf(z))
            improvement[at] = 0.0
            chosen = improvement[np.searchsorted(classes, SPACE.index(trial.architecture))]
            assert chosen == pytest.approx(improvement.max(), rel=1e-4)
        evaluation = benchmark.evaluate(trial.architecture)
        algorithm.tell(trial, evaluation)
        asked.append(SPACE.index(trial.architecture))
        scores.append(evaluation.values[0])


def test_gp_bo_searches_spaces_too_large_to_score_whole():
    benchmark = SyntheticBenchmark(LARGE)
    ours = [simulate(GPBO(LARGE, seed=s), benchmark, 60).scores().max() for s in range(3)]
    random = [simulate(RandomSearch(LARGE, seed=s), benchmark, 60).scores().max() for s in range(3)]
    assert min(ours) > max(random)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e155])
def test_gp_bo_does_not_mind_the_scale_of_the_objective(scale):
    class Scaled(SyntheticBenchmark):
        def evaluate(self, architecture, epoch=None, rng=None):
            result = super().evaluate(architecture)
            return result._replace(values=(result.values[0] * scale,))

    trace = simulate(GPBO(SPACE, seed=0), Scaled(SPACE), 30)
    assert len(trace) == 30


def test_gp_bo_learns_from_trials_that_it_did_not_ask():
    benchmark = SyntheticBenchmark(SPACE)
    algorithm = GPBO(SPACE, seed=0, n_initial=5)
    observed = [SPACE.at(i * 1000) for i in range(12)]
    for architecture in observed:
        algorithm.observe(architecture, benchmark.evaluate(architecture))
    asked = {algorithm.ask().architecture for _ in range(20)}
    assert not asked & set(map(SPACE.canonical, observed))


def test_gp_bo_with_the_path_kernel_runs():
    algorithm = GPBO(SPACE, seed=0, kernel="path")
    assert len(simulate(algorithm, SyntheticBenchmark(SPACE), 40)) == 40


def test_an_algorithm_above_one_that_knows_no_epochs_is_built_without_them():
    class Plain(SearchAlgorithm):
        def __init__(self, space, *, seed=0, maximize=True):
            super().__init__(space, seed=seed, maximize=maximize)

        def ask(self):
            return self.trial(self.space.sample(self.rng))

    class Above(Plain):
        def __init__(self, space, *, rate=1, **kwargs):
            super().__init__(space, **kwargs)

    for cls in (Plain, Above):
        assert make_algorithm(cls, SPACE, seed=1, fidelities=(1, 2)).fidelities == ()
        for wrapper in ("learning_curve_stopping", "random_scalarization"):
            built = make_algorithm(wrapper, SPACE, base=cls, fidelities=(1, 2))
            assert built.ask() is not None
    with pytest.raises(UnknownNameError, match=r"'rat'\. Did you mean 'rate'"):
        make_algorithm("random_scalarization", SPACE, base=Above, base_hyperparameters={"rat": 1})


def test_an_algorithm_that_stops_trials_is_no_base():
    class Stops(RandomSearch):
        def should_stop(self, trial, evaluation):
            return True

    with pytest.raises(HyperparameterError, match="stops no trials but got Stops"):
        make_algorithm("random_scalarization", SPACE, base=Stops)


def test_the_penalised_score_of_an_infeasible_one_is_the_worst_so_far():
    algorithm = RandomSearch(SPACE, maximize=False)

    def scored(value, violation=0.0):
        return algorithm.penalised_score(Evaluation((value,), 1.0, violation=violation))

    assert scored(1.0, 0.5) == -math.inf  # no score yet
    assert scored(math.nan) == -math.inf
    assert scored(math.nan, 0.5) == -math.inf
    assert [scored(value) for value in (2.0, 5.0, math.inf, 3.0)] == [-2.0, -5.0, -math.inf, -3.0]
    assert [scored(value, 0.1) for value in (1.0, 9.0, math.nan)] == [-5.0] * 3
    # Whether it is feasible is not known before the end of training: that is no violation.
    assert scored(7.0, math.nan) == -7.0
    assert scored(0.0, math.inf) == -7.0


@pytest.mark.parametrize("violation", [0.0, math.nan])
def test_what_is_not_known_to_be_infeasible_is_feasible(violation):
    assert Evaluation((1.0,), 1.0, violation=violation).feasible
    assert not Evaluation((1.0,), 1.0, violation=0.1).feasible


def tell_three(algorithm):
    """Two feasible results, and an infeasible one of a greater value; gives its architecture."""
    for value, violation in ((2.0, 0.0), (1.0, 0.0), (9.0, 0.1)):
        trial = algorithm.ask()
        algorithm.tell(trial, Evaluation((value,), 1.0, violation=violation))
    return trial.architecture


def test_gp_bo_takes_what_is_infeasible_for_the_worst():
    algorithm = GPBO(SPACE, seed=0)
    tell_three(algorithm)
    assert [score for _, score in algorithm.surrogate.results] == [2.0, 1.0, 1.0]


def test_reinforce_makes_what_is_infeasible_less_likely():
    algorithm = Reinforce(LARGE, seed=0)
    gradients = []
    algorithm._adam_step = gradients.append
    architecture = tell_three(algorithm)
    # Adam goes down the gradient, which is positive at the options of the architecture.
    assert (gradients[-1][np.arange(len(architecture)), architecture] > 0).all()
