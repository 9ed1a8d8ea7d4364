"""Search on a space that is narrowed by what was seen of it."""

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.spaces import Decision, SearchSpace, get_space, prune

SPACE = SearchSpace("plain", [Decision(name, tuple("uvwx")) for name in "abcd"])


def score(architecture):
    """The more of the last option, the better."""
    return float(sum(option == 3 for option in architecture)), architecture[0] / 10


def searched(n, space=SPACE, **settings):
    """The architectures that are asked, one after the other, and the algorithm."""
    algorithm = make_algorithm("space_pruning", space, seed=1, **settings)
    asked = []
    for _ in range(n):
        trial = algorithm.ask()
        asked.append(trial.architecture)
        algorithm.tell(trial, Evaluation((sum(score(trial.architecture)),), 1.0))
    return asked, algorithm


def test_it_searches_what_pruning_leaves():
    asked, algorithm = searched(80, evaluations=40, keep=0.1)
    first = asked[:40]
    expected = prune(SPACE, (np.array(first), [sum(score(a)) for a in first]), keep=0.1)
    assert algorithm.narrowed == expected
    assert all(expected.narrow(architecture) is not None for architecture in asked[40:])
    assert not all(expected.narrow(architecture) is not None for architecture in first)


def test_each_round_narrows_what_is_left():
    asked, algorithm = searched(90, evaluations=30, rounds=2, keep=0.3)
    sizes = {SPACE.size}
    first = prune(SPACE, (np.array(asked[:30]), [sum(score(a)) for a in asked[:30]]), keep=0.3)
    assert all(first.narrow(architecture) is not None for architecture in asked[30:])
    inside = [a for a in asked[:60] if first.narrow(a) is not None]
    known = np.array([first.narrow(a) for a in inside]), [sum(score(a)) for a in inside]
    assert algorithm.narrowed == first.within(prune(first.space, known, keep=0.3))
    assert algorithm.narrowed.space.size <= 0.09 * max(sizes)


def test_the_base_learns_what_was_seen_of_the_part():
    class Base(lab.SearchAlgorithm):
        def __init__(self, space, **kwargs):
            super().__init__(space, **kwargs)
            self.observed, self.told = [], []

        def ask(self):
            return self.trial(self.space.sample(self.rng))

        def tell(self, trial, evaluation):
            self.told.append((trial.architecture, evaluation.values))

        def observe(self, architecture, evaluation):
            self.observed.append((architecture, evaluation.values))

    asked, algorithm = searched(70, base=Base, evaluations=40)
    base, narrowed = algorithm._base, algorithm.narrowed
    inside = [a for a in asked[:40] if narrowed.narrow(a) is not None]
    assert base.observed == [(narrowed.narrow(a), (sum(score(a)),)) for a in inside]
    assert base.told == [(narrowed.narrow(a), (sum(score(a)),)) for a in asked[40:]]
    # A result of another search is passed on where it lies in the part.
    other = narrowed.restore((0,) * len(narrowed.space.decisions))
    algorithm.observe(other, Evaluation((1.0,), 1.0))
    outside = next(a for a in map(tuple, SPACE.at(np.arange(256))) if not narrowed.narrow(a))
    algorithm.observe(outside, Evaluation((1.0,), 1.0))
    assert base.observed[-1] == (narrowed.narrow(other), (1.0,))
    assert len(base.observed) == len(inside) + 1


def test_trials_that_continue_keep_their_numbers():
    trace = lab.run(
        "space_pruning",
        lab.load_benchmark("nb201-digits", clock="resume"),
        budget=120,
        seed=0,
        base="asha",
        evaluations=20,
    )
    continued = trace.since > 0
    assert continued.any()
    cells = {}
    for number, architecture in zip(trace.trial.tolist(), trace.architecture.tolist(), strict=True):
        assert cells.setdefault(number, architecture) == architecture


def test_a_space_with_gaps():
    algorithm = make_algorithm(
        "space_pruning", get_space("nb101"), seed=3, evaluations=10, base="genetic_algorithm"
    )
    rng = np.random.default_rng(0)
    for _ in range(40):
        trial = algorithm.ask()
        assert algorithm.space.validate(trial.architecture) == trial.architecture
        algorithm.tell(trial, Evaluation((rng.random(),), 1.0))


def test_what_does_not_suit_is_refused_at_once():
    for settings in (
        {"keep": 0.0},
        {"keep": 1.0},
        {"rounds": 0},
        {"evaluations": 1},
        {"by": "median"},
        {"base": "learning_curve_stopping"},
        {"base": "nothing"},
        {"base_hyperparameters": {"population_size": 0}},
    ):
        with pytest.raises(HyperparameterError):
            make_algorithm("space_pruning", SPACE, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("base", ["random_search", "regularized_evolution"])
def test_a_narrowed_space_is_searched_faster(base):
    names = {"whole": base, "narrowed": f"space_pruning(base={base})"}
    result = lab.compare(names, "nas-bench-201-final/cifar10", budget=150, seeds=50, n_jobs=1)
    regret = result.summary().set_index("algorithm")["test_regret"]
    assert regret["narrowed"] < regret["whole"]
