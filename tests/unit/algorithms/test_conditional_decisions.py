"""What decisions that exist only under conditions do to the algorithms."""

import numpy as np
import pytest
from scipy.stats import chisquare

from algorithms._surrogates.kde import KDE, ProductKernel
from algorithms._variation import CROSSOVERS, cross, mutate_genes
from algorithms.local_search import LocalSearch
from algorithms.reinforce import Reinforce
from nasbench_lab.algorithm import Evaluation, Trial
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.testing import SyntheticBenchmark

P_MIN = 0.001  # seeds are fixed; a sound generator fails one seed in a thousand

SPACE = SearchSpace(
    "conditional",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("width 1", (8, 16), ordered=True),
        Decision("width 2", (8, 16, 32), ordered=True, active_if={"layers": [2, 3]}),
        Decision("kind 3", ("a", "b", "c"), active_if={"layers": 3}),
    ],
)
EVERY = SPACE.at(np.arange(SPACE.size))


def test_the_gradient_of_a_decision_that_does_not_exist_is_zero():
    policy = Reinforce(SPACE, seed=0)
    for number, (architecture, value) in enumerate([((0, 1, 0, 0), 0.2), ((1, 0, 2, 0), 0.9)]):
        policy.tell(Trial(number, architecture), Evaluation((value,), 1.0))
    chances = policy.probabilities()
    assert np.ptp(chances[0]) > 0
    assert np.ptp(chances[2]) > 0
    assert chances[3].tolist() == [1 / 3] * 3


def test_the_policy_has_the_chances_of_its_architectures():
    policy = Reinforce(SPACE, seed=0)
    policy._logits[:, 0] += [0.5, 0.2, -0.3, 1.0]
    chances, exists = policy.probabilities(), SPACE.active(EVERY)
    expected = np.where(exists, chances[np.arange(4), EVERY], 1.0).prod(axis=1)
    assert expected.sum() == pytest.approx(1)
    drawn = SPACE.index(np.array([policy.ask().architecture for _ in range(20_000)]))
    counts = np.bincount(drawn, minlength=SPACE.size)
    assert chisquare(counts, 20_000 * expected).pvalue > P_MIN


@pytest.mark.parametrize("rows", [slice(0, 2), slice(None), slice(3, 9), [1, 1, 20, 5]])
def test_the_density_of_all_architectures_sums_to_one_and_is_what_is_drawn(rows):
    kernel = ProductKernel(SPACE)
    density = KDE(kernel, EVERY[rows], min_bandwidth=0.05)
    chances = np.exp(density.log_density(EVERY))
    assert chances.sum() == pytest.approx(1)
    n = 20_000
    drawn = density.sample(np.random.default_rng(1), n)
    # Of a combination of options, the density is that of the architecture that it stands for.
    nearest = np.array([SPACE.nearest(options) for options in drawn[:200].tolist()])
    assert (density.log_density(drawn[:200]) == density.log_density(nearest)).all()
    numbers = [SPACE.index(SPACE.nearest(options)) for options in drawn.tolist()]
    counts = np.bincount(numbers, minlength=SPACE.size)
    often = n * chances >= 5  # Cochran's rule for the test
    expected = np.append(n * chances[often], n * chances[~often].sum())
    found = np.append(counts[often], counts[~often].sum())
    if not expected[-1]:
        expected, found = expected[:-1], found[:-1]
    assert chisquare(found, expected).pvalue > P_MIN


def test_around_points_without_a_decision_all_its_options_have_one_chance():
    density = KDE(ProductKernel(SPACE), EVERY[EVERY[:, 0] == 0], min_bandwidth=0.05)
    with_third = [(2, 0, 1, option) for option in range(3)]
    assert np.ptp(density.log_density(np.array(with_third))) == 0


@pytest.mark.parametrize("crossover", CROSSOVERS)
def test_children_have_the_options_of_the_parent_that_has_the_decision(crossover):
    short, long, rng = (0, 1, 0, 0), (2, 0, 2, 1), np.random.default_rng(2)
    for _ in range(50):
        for child in cross(SPACE, short, long, crossover, rng):
            assert SPACE.validate(child) == child
            assert child[0] == 0 or child[2:] == (2, 1)


def test_children_of_equal_parents_are_these():
    rng = np.random.default_rng(3)
    for parent in map(tuple, EVERY.tolist()):
        assert cross(SPACE, parent, parent, "uniform", rng) == (parent, parent)
        assert mutate_genes(SPACE, parent, 1e-12, rng) == parent


def test_genes_that_come_to_exist_are_drawn_uniformly():
    rng, parent = np.random.default_rng(4), (0, 0, 0, 0)
    mutants = np.array([mutate_genes(SPACE, parent, 0.5, rng) for _ in range(20_000)])
    for decision in (2, 3):
        new = mutants[SPACE.active(mutants)[:, decision], decision]
        assert chisquare(np.bincount(new, minlength=3)).pvalue > P_MIN


def test_local_search_goes_on_where_neighbours_are_too_many_to_list():
    space = SearchSpace(
        "deep",
        [
            Decision("layers", tuple(range(1, 21)), ordered=True),
            *(
                Decision(f"w{i}", (8, 16, 32), active_if={"layers": range(i, 21)})
                for i in range(2, 21)
            ),
        ],
    )
    search = LocalSearch(space, seed=0, n_initial=2)
    trace = simulate(search, SyntheticBenchmark(space), 60)
    assert len(np.unique(trace.architecture, axis=0)) == 60
