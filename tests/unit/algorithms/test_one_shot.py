"""One-shot methods: their gradients and samples against what they are defined as, and their runs."""

import copy
import pickle

import numpy as np
import pytest

from nasbench_lab.algorithm import Trial
from nasbench_lab.errors import HyperparameterError, TableFileError, TrainingError
from nasbench_lab.guard import SeededGenerators, kept_generators
from nasbench_lab.registry import algorithm_class
from nasbench_lab.spaces import get_space

torch = pytest.importorskip("torch", reason="one-shot methods need PyTorch")
from torch.nn.functional import cross_entropy, gumbel_softmax

from algorithms import darts
from nasbench_lab.trainer import supernet_training

SPACE = get_space("nb201")
TINY = {"data": "digits", "epochs": 3, "images": 32, "batch_size": 16}
METHODS = {
    "darts": ("darts", {}),
    "second order": ("darts", {"order": 2}),
    "pc_darts": ("pc_darts", {"warm_up": 0.4}),
    "gdas": ("gdas", {}),
}
DIFFERENTIABLE = tuple(METHODS)
METHODS |= {
    "random_search_ws": ("random_search_ws", {"candidates": 2, "final_candidates": 3}),
    # Two generations follow the epoch, and count as epochs.
    "spos": ("spos", {"epochs": 1, "generations": 2, "population_size": 4, "candidates": 2}),
    "enas": ("enas", {"controller_steps": 2, "candidates": 2, "final_candidates": 3}),
}
methods = pytest.mark.parametrize("method", METHODS)
differentiable = pytest.mark.parametrize("method", DIFFERENTIABLE)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """A data folder of its own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))
    return tmp_path / "supernets"


def make(method, seed=0, space=SPACE, **settings):
    name, hyperparameters = METHODS[method]
    return algorithm_class(name)(space, seed=seed, **{**TINY, **hyperparameters, **settings})


def run(algorithm, epochs=None):
    """The work of some epochs, or of a whole search, which leaves a trial."""
    works = []
    while len(works) != epochs:
        work = algorithm.ask()
        if isinstance(work, Trial):
            return works, work
        works.append(work)
    return works


def same(one, other):
    """Whether two histories are the same to the bit, but for the seconds."""
    return len(one) == len(other) and all(
        np.array_equal(a, b, equal_nan=True)
        for e, f in zip(one, other, strict=True)
        for a, b in zip(e._replace(seconds=0), f._replace(seconds=0), strict=True)
    )


def begun(method, double=False, **settings):
    """An algorithm after an epoch, its training, and a batch of each half."""
    algorithm = make(method, **settings)
    run(algorithm, 1)
    training, rng = algorithm.training, np.random.default_rng(0)
    batches = [next(training.batches(half, rng)) for half in ("weights", "alphas")]
    if double:
        training.supernet.double()
        algorithm.alphas.data = algorithm.alphas.data.double()
        for state in training.optimizer.state.values():
            state["momentum_buffer"] = state["momentum_buffer"].double()
        batches = [(x.double(), y) for x, y in batches]
    return algorithm, training, *batches


# Runs


@methods
def test_a_run_recommends_after_every_epoch_and_evaluates_the_last_recommendation(method):
    algorithm, seen = make(method), []
    algorithm.progress = lambda *counts: seen.append(counts)
    works, trial = run(algorithm)
    assert [work.architecture for work in works] == [e.derived for e in algorithm.history]
    assert trial.architecture == works[-1].architecture
    assert algorithm.ask() is None
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for work, epoch in zip(works, algorithm.history, strict=True):
        assert SPACE.validate(epoch.derived) == epoch.derived
        if method in DIFFERENTIABLE:
            assert epoch.derived == tuple(epoch.probabilities.argmax(axis=1))
        assert np.allclose(epoch.probabilities.sum(axis=1), 1)
        # While a population evolves, no weights are trained.
        assert 0 <= epoch.weights_accuracy <= 100 or (
            method == "spos" and epoch is not algorithm.history[0]
        )
        assert np.array_equal(work.passes, epoch.passes)
        assert work.seconds == epoch.seconds > 0


@methods
def test_the_seed_makes_the_run_and_nothing_is_drawn_from_global_generators(method):
    with kept_generators():
        generators = SeededGenerators(0)
        first, again, other = (make(method, seed) for seed in (1, 1, 2))
        for algorithm in (first, again, other):
            run(algorithm)
        assert generators.used() == []
    assert same(first.history, again.history)
    assert not same(first.history, other.history)


@methods
def test_a_copy_in_mid_run_goes_on_identically(method):
    algorithm = make(method)
    run(algorithm, 1)
    copies = [pickle.loads(pickle.dumps(algorithm)), copy.deepcopy(algorithm)]
    run(algorithm)
    for other in copies:
        run(other)
        assert same(algorithm.history, other.history)


@methods
def test_a_run_that_was_killed_continues_with_the_same_result(method, monkeypatch, folder):
    whole = make(method)
    run(whole)
    assert not folder.exists()  # it took less than a minute
    monkeypatch.setattr(supernet_training, "CHECKPOINT_EVERY_S", 0.0)
    killed = make(method)
    run(killed, 2)
    (file,) = folder.iterdir()
    before = file.read_bytes()
    trained = []
    original = supernet_training.SupernetTraining.train_epoch
    monkeypatch.setattr(
        supernet_training.SupernetTraining,
        "train_epoch",
        lambda self, train: trained.append(1) or original(self, train),
    )
    continued = make(method)
    _, trial = run(continued)
    assert len(trained) == 1
    assert same(continued.history, whole.history)
    weights = zip(
        continued.training.supernet.state_dict().values(),
        whole.training.supernet.state_dict().values(),
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in weights)
    assert continued.history[0].seconds == killed.history[0].seconds
    continued.tell(trial, None)
    assert not file.exists()
    # Another seed or setting is another run.
    file.write_bytes(before)
    run(make(method, seed=1), 1)
    run(make(method, weight_decay=0.0), 1)
    own = {"random_search_ws": "candidates", "spos": "parents", "enas": "controller_paths"}
    run(make(method, **{own.get(method, "alphas_learning_rate"): 7}), 1)
    assert len(trained) == 4
    file.write_bytes(before[:-1])
    with pytest.raises(TableFileError, match="Delete it to train from the start"):
        make(method).ask()


@differentiable
def test_what_the_work_counts_for(method):
    algorithm = make(method, images=None, batch_size=400)
    works, _ = run(algorithm)
    # Half of the training set for the weights, and half for the alphas.
    passes = [work.passes for work in works]
    shared = [work.shared for work in works]
    if method == "gdas":
        assert np.allclose([p.sum(axis=1) for p in passes], 1.0)
        assert shared == [1.0, 1.0, 1.0]
        assert any((p == 0).any() for p in passes)  # of a path only
        return
    expected = {"darts": [1.0] * 3, "second order": [2.5] * 3, "pc_darts": [0.5, 1.0, 1.0]}[method]
    assert shared == expected
    parts = 4 if method == "pc_darts" else 1
    assert np.array_equal(passes, [np.full((6, 5), e / parts) for e in expected])


def test_memory_errors_say_what_to_do(monkeypatch):
    algorithm = make("darts")

    def fail(*_):
        raise RuntimeError("[enforce fail] not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(algorithm, "train_epoch", fail)
    with pytest.raises(TrainingError, match="Lower it"):
        algorithm.ask()


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        *(("darts", {n: 0}) for n in ("epochs", "batch_size", "learning_rate", "gradient_clip")),
        ("darts", {"order": 3}),
        ("darts", {"epochs": 1.5}),
        ("darts", {"momentum": 1.0}),
        ("darts", {"images": 1}),
        ("darts", {"normalisation": "layer"}),
        ("darts", {"data": None}),
        ("darts", {"data": "cifar10"}),
        ("darts", {"space": get_space("nats-sss")}),
        ("darts", {"alphas_learning_rate": 0}),
        ("darts", {"alphas_weight_decay": -1}),
        ("pc_darts", {"warm_up": 1.5}),
        ("gdas", {"temperature": 0}),
        ("gdas", {"min_temperature": float("nan")}),
    ],
)
def test_what_does_not_fit_is_refused(method, wrong):
    with pytest.raises(HyperparameterError, match="Expected"):
        make(method, **wrong)


# DARTS


def test_the_gradient_of_the_alphas_is_that_of_finite_differences():
    algorithm, training, _, (x, y) = begun("darts", double=True)
    assert torch.autograd.gradcheck(
        lambda alphas: training.loss("alphas", x, y, alphas.softmax(1)), (algorithm.alphas,)
    )


def test_the_alphas_step_against_their_gradient():
    algorithm, training, _, (x, y) = begun("darts", alphas_weight_decay=0.0)
    algorithm._adam.state.clear()
    before = algorithm.alphas.detach().clone()
    loss = training.loss("alphas", x, y, algorithm.alphas.softmax(1))
    (gradient,) = torch.autograd.grad(loss, [algorithm.alphas], retain_graph=True)
    algorithm.alphas_step(loss)
    # The first step of Adam is the learning rate against the sign.
    moved = (algorithm.alphas - before).detach()
    assert torch.allclose(moved, -3e-4 * gradient.sign(), rtol=0.01)


def test_the_second_order_is_the_gradient_through_a_step_of_the_weights(monkeypatch):
    # The difference of equation 8 comes near the product as the step becomes small.
    monkeypatch.setattr(darts, "EPSILON", 1e-5)
    algorithm, training, train, valid = begun("second order", double=True)
    supernet, alphas = training.supernet, algorithm.alphas
    settings = training.optimizer.param_groups[0]
    xi = settings["lr"] = 0.5  # so that the second term matters

    weights = {n: p for n, p in supernet.named_parameters() if p.requires_grad}

    def loss(weights, batch):
        x, y = batch
        scores = torch.func.functional_call(supernet, weights, (x, alphas.softmax(1)))
        return cross_entropy(scores, y)

    gradients = torch.autograd.grad(loss(weights, train), list(weights.values()), create_graph=True)
    after = {
        name: weight
        - xi
        * (
            gradient
            + settings["weight_decay"] * weight
            + settings["momentum"] * training.optimizer.state[weight]["momentum_buffer"]
        )
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
    (exact,) = torch.autograd.grad(loss(after, valid), [alphas])
    (first,) = torch.autograd.grad(loss({n: w.detach() for n, w in after.items()}, valid), [alphas])
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    computed = algorithm.unrolled_gradient(training, train, valid)
    second = exact - first
    assert second.norm() > 0.1 * first.norm()
    assert (computed - exact).norm() < 1e-5 * second.norm()
    # The weights are as before, to the bit.
    assert all(torch.equal(kept[name], weight) for name, weight in weights.items())


# PC-DARTS


def test_the_weights_are_trained_alone_at_first():
    algorithm = make("pc_darts", epochs=5)
    run(algorithm)
    probabilities = [epoch.probabilities for epoch in algorithm.history]
    assert np.array_equal(probabilities[0], probabilities[1])
    assert not np.array_equal(probabilities[1], probabilities[2])
    assert (
        np.isnan([e.alphas_accuracy for e in algorithm.history]).tolist()
        == [True] * 2 + [False] * 3
    )


def test_edges_share_the_node_they_lead_to_and_their_betas_are_trained():
    algorithm, training, _, (x, y) = begun("pc_darts", warm_up=0.0)
    edges = algorithm.edge_weights(training)
    assert edges[0] == 1
    assert torch.allclose(torch.stack([edges[1:3].sum(), edges[3:].sum()]), torch.ones(2))
    before = algorithm.betas.detach().clone()
    algorithm.alphas_step(training.loss("alphas", x, y, algorithm.alphas.softmax(1), edges))
    # The only edge into a node has all of it.
    assert (algorithm.betas != before).tolist()[1:] == [True] * 5
    assert algorithm.betas.grad[0] == 0


# GDAS


class Noise:
    """A generator that gives this Gumbel noise."""

    def __init__(self, noise):
        self.noise = noise

    def gumbel(self, size):
        assert size == self.noise.shape
        return self.noise.numpy()


def test_a_sample_is_hard_forward_and_soft_backward_as_in_pytorch():
    algorithm, training, _, (x, y) = begun("gdas")
    with torch.no_grad():
        algorithm.alphas.copy_(torch.from_numpy(np.random.default_rng(3).normal(size=(6, 5))))
    with kept_generators():
        torch.manual_seed(4)
        noise = -torch.empty_like(algorithm.alphas).exponential_().log()
        for tau in (10.0, 1.0, 0.1):
            path, factors = algorithm.sample(tau, Noise(noise))
            torch.manual_seed(4)
            theirs = gumbel_softmax(algorithm.alphas.log_softmax(1), tau, hard=True)
            assert path == tuple(theirs.argmax(1).tolist())
            # To the bit: the scores are those of the path.
            assert torch.equal(factors, torch.ones(6))
            assert torch.equal(training.supernet(x, path, factors), training.supernet(x, path))
            # The gradient of the loss, through the factors of the operations that were sampled.
            loss = cross_entropy(training.supernet(x, path, factors), y)
            (gradient,) = torch.autograd.grad(loss, [algorithm.alphas])
            sampled = theirs.gather(1, torch.tensor(path)[:, None])[:, 0]
            loss = cross_entropy(training.supernet(x, path, sampled), y)
            (expected,) = torch.autograd.grad(loss, [algorithm.alphas])
            assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-7)


def test_paths_are_sampled_as_often_as_the_softmax_of_the_alphas_says():
    algorithm, *_ = begun("gdas")
    with torch.no_grad():
        algorithm.alphas.copy_(torch.from_numpy(np.random.default_rng(3).normal(size=(6, 5))))
    n, rng = 4000, np.random.default_rng(0)
    paths = np.array([algorithm.sample(0.1, rng)[0] for _ in range(n)])
    shares = (paths[:, :, None] == np.arange(5)).mean(axis=0)
    expected = algorithm.alphas.detach().softmax(1).numpy()
    # 5 standard errors.
    assert (abs(shares - expected) < 5 * np.sqrt(expected * (1 - expected) / n)).all()


def test_the_temperature_falls_along_a_line(monkeypatch):
    algorithm, seen = make("gdas", images=4), []
    sample = algorithm.sample
    monkeypatch.setattr(algorithm, "sample", lambda tau, rng: seen.append(tau) or sample(tau, rng))
    run(algorithm)
    assert seen[::2] == seen[1::2] == pytest.approx([10.0, 5.05, 0.1])
    alone = make("gdas", images=4, epochs=1)
    assert len(run(alone)[0]) == 1
