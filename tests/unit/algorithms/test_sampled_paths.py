"""One-shot methods that sample paths: what they draw, evaluate, pay for and recommend."""

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from nasbench_lab.errors import HyperparameterError
from nasbench_lab.registry import algorithm_class
from nasbench_lab.spaces import get_space

torch = pytest.importorskip("torch", reason="one-shot methods need PyTorch")
from one_shot import run

from nasbench_lab.trainer.networks import without_dead_edges
from nasbench_lab.trainer.supernet_training import SupernetTraining

SPACE = get_space("nb201")
TINY = {"data": "digits", "epochs": 2, "images": 64, "batch_size": 16}
SMALL_EVOLUTION = {"population_size": 8, "generations": 3, "parents": 3}


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    """A data folder of its own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))


def make(name, seed=0, **settings):
    small = SMALL_EVOLUTION if name == "spos" else {"final_candidates": 5}
    return algorithm_class(name)(SPACE, seed=seed, **{**TINY, **small, **settings})


def fitness(path):
    """A made-up accuracy: better with more convolutions, and different for different paths."""
    return sum((0, 3, 5, 7, 2)[option] * (1 + edge / 7) for edge, option in enumerate(path))


@pytest.fixture
def made_up(monkeypatch):
    """Lets nothing be computed: paths that are trained and evaluated are noted."""
    trained, evaluated = [], []

    def accuracies(self, paths):
        evaluated.extend((path, True) for path in paths)
        return list(map(fitness, paths))

    def batch_accuracy(self, path, batch):
        evaluated.append((path, False))
        return fitness(path)

    def step(self, x, y, path):
        trained.append(path)

    monkeypatch.setattr(SupernetTraining, "accuracies", accuracies)
    monkeypatch.setattr(SupernetTraining, "batch_accuracy", batch_accuracy)
    monkeypatch.setattr(SupernetTraining, "weights_step", step)
    return trained, evaluated


# What is drawn


@pytest.mark.parametrize("name", ["random_search_ws", "spos"])
def test_paths_are_trained_uniformly(made_up, name):
    run(make(name, epochs=3, images=800, batch_size=1))
    trained, _ = made_up
    assert len(trained) == 3 * 400
    for decision in np.array(trained).T:
        # Right draws fail for one seed in 10,000 per decision; this seed passes.
        assert chisquare(np.bincount(decision, minlength=5)).pvalue > 1e-4
    # Decisions are independent of each other: all pairs of two edges alike.
    pairs = np.array(trained)[:, 0] * 5 + np.array(trained)[:, 5]
    assert chisquare(np.bincount(pairs, minlength=25)).pvalue > 1e-4
    assert len(set(trained)) > 1100


def test_enas_trains_what_its_controller_draws(made_up):
    algorithm = make("enas", epochs=1, images=400, batch_size=1, controller_steps=0)
    algorithm.training = algorithm._new_training()
    with torch.no_grad():  # a policy that is nearly certain of the first edge
        algorithm.controller.output.weight.zero_()
        algorithm.controller.output.bias.copy_(torch.tensor([0.0, 0, 0, 100, 0]))
    run(algorithm)
    shares = np.bincount(np.array(made_up[0]).ravel(), minlength=5) / (200 * 6)
    # A logit of 2.5 tanh(20) = 2.5 against four of 0; 5 standard errors.
    expected = math.exp(2.5) / (math.exp(2.5) + 4)
    assert abs(shares[3] - expected) < 5 * math.sqrt(expected * (1 - expected) / 1200)


# What is recommended


def test_the_best_of_random_paths_is_recommended(made_up):
    algorithm = make("random_search_ws", epochs=3, candidates=4, final_candidates=20)
    works, trial = run(algorithm)
    _, evaluated = made_up
    assert all(whole for _, whole in evaluated)
    paths = [path for path, _ in evaluated]
    assert paths == [without_dead_edges(path) for path in paths]
    # A path that is drawn twice is evaluated once.
    groups = [paths[:4], paths[4:8], paths[8:]]
    assert [max(group, key=fitness) for group in groups] == [work.architecture for work in works]
    assert len(groups[-1]) <= 20 < len(groups[-1]) + 4
    assert trial.architecture == works[-1].architecture


def test_networks_that_are_the_same_are_evaluated_once(made_up):
    algorithm = make("random_search_ws")
    training = algorithm._new_training()
    alike = [(0, 3, 0, 0, 0, 2), (0, 3, 2, 0, 3, 2), (0, 3, 0, 0, 4, 2)]  # nothing leads to node 1
    other = (3, 0, 0, 0, 2, 0)  # isomorphic, but with other shared weights
    assert SPACE.canonical(alike[0]) == SPACE.canonical(other)
    assert set(algorithm.accuracies(training, [*alike, other])) == {alike[0], other}
    assert [path for path, _ in made_up[1]] == [alike[0], other]


def test_enas_derives_the_best_of_what_its_controller_draws(made_up):
    algorithm = make("enas", controller_steps=3, controller_paths=2, candidates=4)
    works, _ = run(algorithm)
    _, evaluated = made_up
    batches = [path for path, whole in evaluated if not whole]
    assert len(batches) == 2 * 3 * 2  # rewards are of single batches
    whole = [path for path, is_whole in evaluated if is_whole]
    assert [work.architecture for work in works] == [
        max(whole[:4], key=fitness),
        max(whole[4:], key=fitness),
    ]


# What is paid for


def test_forward_passes_count_a_third():
    # 800 training images; 400 of them in each half.
    whole = {"images": None, "batch_size": 400, "epochs": 2, "candidates": 2}
    works, _ = run(make("random_search_ws", **whole, final_candidates=3))
    assert [work.shared for work in works] == pytest.approx([0.5 + 2 / 6, 0.5 + 3 / 6])
    for work in works:
        assert np.allclose(work.passes.sum(axis=1), work.shared)
    works, _ = run(
        make("enas", **whole, final_candidates=3, controller_steps=2, controller_paths=2)
    )
    assert [work.shared for work in works] == pytest.approx([0.5 + 6 / 6, 0.5 + 7 / 6])
    works, _ = run(make("spos", **whole, generations=1, population_size=4, parents=2))
    # Recalibration passes over the other half too.
    assert [work.shared for work in works] == pytest.approx([0.5 + 4 / 6] * 2 + [8 / 6])
    works, _ = run(make("spos", **whole, generations=1, population_size=4, normalisation="batch"))
    assert [work.shared for work in works] == pytest.approx([0.5 + 2 / 6] * 2 + [4 / 6])


# Evolution


def test_the_population_evolves_as_algorithm_1_says(made_up, monkeypatch):
    algorithm = make("spos", generations=4, population_size=10, parents=4, mutation_rate=0.3)
    calls = []
    for kind in ("crossed", "mutated"):
        original = getattr(algorithm, kind)

        def spy(top, rng, original=original, kind=kind):
            calls.append((kind, tuple(top), original(top, rng)))
            return calls[-1][-1]

        monkeypatch.setattr(algorithm, kind, spy)
    works, trial = run(algorithm)
    evaluated = [path for path, _ in made_up[1]][2 * algorithm.candidates :]
    assert len(evaluated) == 4 * 10
    assert len(set(evaluated)) == 40  # nothing is evaluated twice
    tops = [tuple(sorted(evaluated[: 10 * i], key=fitness, reverse=True)[:4]) for i in range(1, 5)]
    assert [work.architecture for work in works[2:]] == [top[0] for top in tops]
    # Parents are the best so far; half of the children are of crossover, half of mutation.
    assert list(dict.fromkeys(top for _, top, _ in calls)) == tops
    for i, top in enumerate(tops[:-1], start=1):
        children = evaluated[10 * i : 10 * i + 10]
        for kind, half in (("crossed", children[:5]), ("mutated", children[5:])):
            made = {without_dead_edges(child) for k, t, child in calls if (k, t) == (kind, top)}
            assert set(half) <= made
    assert trial.architecture == max(evaluated, key=fitness)


def test_children_come_of_the_best_by_crossover_and_mutation():
    algorithm, rng = make("spos", mutation_rate=0.1), np.random.default_rng(0)
    one, other = (1, 1, 1, 1, 1, 1), (3, 3, 3, 3, 3, 3)
    crossed = np.array([algorithm.crossed([one, other], rng) for _ in range(2000)])
    assert set(crossed.ravel()) == {1, 3}
    # Two different parents with chance 1/2, and then each decision of one of them with chance 1/2.
    mixed = (crossed != crossed[:, :1]).any(axis=1)
    expected = 0.5 * (1 - 2 * 0.5**6)
    assert abs(mixed.mean() - expected) < 5 * math.sqrt(expected * (1 - expected) / 2000)
    mutated = np.array([algorithm.mutated([one], rng) for _ in range(2000)])
    changed = mutated != 1
    assert abs(changed.mean() - 0.1) < 5 * math.sqrt(0.1 * 0.9 / 12_000)
    assert chisquare(np.bincount(mutated[changed], minlength=5)[[0, 2, 3, 4]]).pvalue > 1e-4


def test_evolution_changes_no_weights_and_beats_random_paths(made_up):
    algorithm = make("spos", epochs=1, population_size=20, generations=6, parents=5)
    algorithm.ask()
    before = {n: v.clone() for n, v in algorithm.training.supernet.state_dict().items()}
    run(algorithm)
    after = algorithm.training.supernet.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())
    found = fitness(algorithm.history[-1].derived)
    every = np.sort([fitness(without_dead_edges(tuple(cell))) for cell in SPACE.classes.tolist()])
    # It evaluates 120 paths; the best of so many random ones would be about as rare as 1 in 120.
    assert found > np.quantile(every, 1 - 1 / 1200)


# The controller


def test_the_baseline_is_a_moving_mean_of_earlier_rewards(made_up):
    algorithm = make("enas", baseline_decay=0.9)
    algorithm._new_training()
    assert [algorithm.advantage(r) for r in (0.5, 0.7, 0.2)] == pytest.approx([0.0, 0.2, -0.32])
    # 0.5, then 0.9 * 0.5 + 0.1 * 0.7 = 0.52, then 0.9 * 0.52 + 0.1 * 0.2.
    assert float(algorithm.controller.baseline) == pytest.approx(0.488)


def test_the_controller_learns_what_is_rewarded(made_up):
    algorithm = make(
        "enas", epochs=1, controller_steps=80, controller_paths=4, controller_learning_rate=0.05
    )
    run(algorithm)
    paths = [path for path, whole in made_up[1] if not whole]
    rewards = np.array([fitness(path) for path in paths]).reshape(80, 4).mean(axis=1)
    spread = np.std([fitness(path) for path in paths[:80]])
    # The last 20 steps are means of 80 rewards: far beyond their standard error.
    assert rewards[-20:].mean() > rewards[:20].mean() + spread


def test_only_the_controller_is_trained_by_rewards():
    algorithm = make("enas", controller_steps=2, gradient_clip=1e-12, weight_decay=0.0)
    algorithm.ask()
    training = algorithm.training
    weights = {n: v.clone() for n, v in training.supernet.state_dict().items()}
    policy = {n: v.clone() for n, v in algorithm.controller.state_dict().items()}
    algorithm.train_controller(training, np.random.default_rng(0))
    now = training.supernet.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in now.items())
    assert not torch.equal(policy["output.bias"], algorithm.controller.state_dict()["output.bias"])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("random_search_ws", {"candidates": 0}),
        ("random_search_ws", {"final_candidates": 1.5}),
        ("random_search_ws", {"normalisation": "layer"}),
        ("spos", {"population_size": 1}),
        ("spos", {"generations": 0}),
        ("spos", {"parents": 0}),
        ("spos", {"mutation_rate": 0}),
        ("spos", {"mutation_rate": 1.1}),
        ("enas", {"controller_steps": -1}),
        ("enas", {"controller_paths": 0}),
        ("enas", {"controller_learning_rate": 0}),
        ("enas", {"entropy_weight": -0.1}),
        ("enas", {"baseline_decay": 1}),
        ("enas", {"final_candidates": 0}),
    ],
)
def test_what_does_not_fit_is_refused(name, wrong):
    with pytest.raises(HyperparameterError, match=f"Expected .* {next(iter(wrong))}"):
        make(name, **wrong)
