"""Supernets of ``darts``, checked against the authors' numbers, single paths, and term by term."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from nasbench_lab.errors import InvalidArchitectureError, TrainingError, UnknownNameError
from nasbench_lab.spaces import get_space
from nasbench_lab.trainer import load_data

torch = pytest.importorskip("torch")

from nasbench_lab.guard import SeededGenerators, kept_generators
from nasbench_lab.trainer.supernet_darts import PAPER, DARTSSupernet
from nasbench_lab.trainer.supernet_layers import Norm

SPACE = get_space("darts")
DATA = load_data("digits")
SMALL = (2, 3)
EDGES, OPTIONS = 28, 8
PER_CELL = 14
ARCHITECTURES = [tuple(one) for one in SPACE.sample(np.random.default_rng(0), 3).tolist()]
ARCHITECTURES += [tuple(min(n - 1, option) for n in SPACE.n_options) for option in range(7)]


def made(skeleton=SMALL, **settings):
    return DARTSSupernet(SPACE, DATA, 3, skeleton, **settings)


def images(n=4, double=False):
    pixels = np.random.default_rng(1).normal(size=(n, 1, 8, 8))
    return torch.from_numpy(pixels if double else pixels.astype(np.float32))


def uneven(supernet):
    """Gives every normalisation a scale, a shift and statistics of its own."""
    stream = np.random.default_rng(1)
    bounds = (0.5, 1.5), (-1, 1), (-1, 1), (0.5, 1.5)
    with torch.no_grad():
        for norm in (m for m in supernet.modules() if isinstance(m, Norm)):
            for values, (low, high) in zip(norm.values(), bounds, strict=True):
                values.copy_(torch.from_numpy(stream.uniform(low, high, len(values))))
    return supernet


def test_the_supernet_of_the_paper_has_as_many_parameters():
    """As the log of the authors' ``train_search.py`` has it: "param size = 1.930618MB"."""
    cifar10 = SimpleNamespace(shape=(32, 32, 3), classes=10)
    supernet = DARTSSupernet(SPACE, cifar10, skeleton=PAPER)
    assert sum(weight.numel() for weight in supernet.weights()) == 1_930_618
    assert supernet.mixture_shape == (2 * PER_CELL, OPTIONS)


@pytest.mark.parametrize("training", [True, False])
def test_a_path_is_the_network_of_this_architecture(training):
    supernet = uneven(made(affine=True, normalisation="running")).train(training)
    x = images(12)
    for architecture in ARCHITECTURES:
        network = supernet.network(architecture)
        assert torch.equal(supernet(x, architecture), network(x)), SPACE.to_string(architecture)
        # The statistics that were kept are those of its own network, too.
        kept, again = (n.state_dict() for n in (network, supernet.network(architecture)))
        assert all(torch.equal(kept[k], again[k]) for k in kept if "num_batches" not in k)


def single_operations(supernet):
    """The operations of each cell, edge and option, out of networks of architectures."""
    found = {}
    for option, first in itertools.product(range(7), (0, 2, 3)):
        # The inputs first and first + 1, or the last two that there are.
        cell = []
        for node in range(2, 6):
            low = min(first, node - 2)
            cell.append(((low, option), (low + 1, option)))
        network = supernet.network(SPACE.of_cells([tuple(cell)] * 2))
        for number, block in enumerate(network.cells):
            for node, (pair, operations) in enumerate(zip(cell, block.operations, strict=True), 2):
                for (source, _), operation in zip(pair, operations, strict=True):
                    found[number, node, source, option] = operation
    return network, found


def term_by_term(supernet, x, weights, factors):
    """Equation 2 of the paper, and the cells of its section 2.1."""
    network, operations = single_operations(supernet)
    before = last = network.stem(x)
    for number, block in enumerate(network.cells):
        kind = PER_CELL * (number in (1, 2))  # of three cells, the second and the third reduce
        states = [layer(y) for layer, y in zip(block.inputs, (before, last), strict=True)]
        edge = kind
        for node in range(2, 6):
            total = 0
            for source in range(node):
                for option in range(7):
                    value = operations[number, node, source, option](states[source])
                    total = total + factors[edge] * weights[edge, 1 + option] * value
                edge += 1
            states.append(total)
        before, last = last, torch.cat(states[2:], 1)
    return network.classifier(last.mean((2, 3)))


def test_a_mixture_is_the_weighted_sum_of_all_operations():
    supernet = uneven(made(affine=True)).double()
    x, stream = images(double=True), np.random.default_rng(2)
    weights = torch.from_numpy(stream.dirichlet(np.ones(OPTIONS), EDGES))
    factors = torch.from_numpy(stream.uniform(0.5, 2, EDGES))
    expected = term_by_term(supernet, x, weights, factors)
    assert torch.allclose(supernet(x, weights, factors), expected, rtol=1e-10, atol=1e-10)


def test_one_operation_for_each_edge_is_the_mixture_of_these():
    supernet = uneven(made()).double()
    x, stream = images(double=True), np.random.default_rng(2)
    factors = torch.from_numpy(stream.uniform(0.5, 2, EDGES))
    for options in ([0] * EDGES, *stream.integers(OPTIONS, size=(3, EDGES)).tolist()):
        mixture = torch.nn.functional.one_hot(torch.tensor(options), OPTIONS).double()
        path = supernet.sampled(options)
        assert torch.allclose(supernet(x, path), supernet(x, mixture), rtol=1e-10)
        assert torch.allclose(supernet(x, path, factors), supernet(x, mixture, factors))


def test_alphas_and_factors_have_the_gradients_of_finite_differences():
    supernet = uneven(made(affine=True)).double()
    x, stream = images(3, double=True), np.random.default_rng(2)
    alphas = torch.from_numpy(stream.normal(size=(EDGES, OPTIONS))).requires_grad_()
    factors = torch.from_numpy(stream.uniform(0.5, 2, EDGES)).requires_grad_()
    inputs = alphas, factors
    for shared in (supernet, uneven(made(share=2)).double()):
        assert torch.autograd.gradcheck(
            lambda a, f, shared=shared: shared(x, a.softmax(1), f), inputs, fast_mode=True
        )


def test_an_architecture_is_derived_from_the_two_strongest_inputs_of_each_node():
    supernet, stream = made(), np.random.default_rng(0)
    for _ in range(20):
        strengths = stream.dirichlet(np.ones(OPTIONS), EDGES)
        strengths[:, 0] += 2 * stream.random(EDGES)  # none, which does not count
        edge = 0
        for cell in SPACE.cells(supernet.derived(strengths)):
            for node, chosen in enumerate(cell, 2):
                of_node = strengths[edge : edge + node, 1:]
                assert all(of_node[at].argmax() == option for at, option in chosen)
                strongest = max(
                    itertools.combinations(range(node), 2),
                    key=lambda pair, of_node=of_node: of_node[list(pair)].max(axis=1).sum(),
                )
                assert tuple(at for at, _ in chosen) == strongest
                edge += node
    # Of equally strong ones, the first.
    assert supernet.derived(np.ones((EDGES, OPTIONS))) == (0,) * 22


def test_passes_count_what_is_computed():
    supernet, architecture = made(), ARCHITECTURES[0]
    passes = supernet.passes(architecture)
    assert passes.shape == (22, 10)
    assert passes[range(22), architecture].tolist() == [1.0] * 22 == passes.sum(axis=1).tolist()
    # Nodes of 2, 3, 4 and 5 inputs: each operation is computed as often.
    mixture = supernet.passes(torch.ones(EDGES, OPTIONS))
    names = [decision.name for decision in SPACE.decisions]
    for cell, node in itertools.product(("normal", "reduce"), range(2, 6)):
        for which in ("lower", "higher"):
            of_one = mixture[names.index(f"{cell} {node} {which} operation")]
            assert of_one.tolist() == [node / 2] * 7 + [0.0] * 3
        if node > 2:
            of_one = mixture[names.index(f"{cell} {node} inputs")]
            n = node * (node - 1) // 2
            assert of_one.tolist() == pytest.approx([1 / n] * n + [0.0] * (10 - n))
    options = np.random.default_rng(0).integers(OPTIONS, size=EDGES)
    sampled = supernet.passes(supernet.sampled(options.tolist()))
    is_operation = ["operation" in name for name in names]
    assert sampled[is_operation].sum() == (options > 0).sum()
    half = made(share=2).passes(torch.ones(EDGES, OPTIONS))
    assert np.array_equal(half[is_operation], mixture[is_operation] / 2)


@pytest.mark.parametrize("shape", [(7, 5, 3), (1, 40, 1), (1, 1, 2)])
def test_supernets_take_images_of_every_shape(shape):
    height, width, channels = shape
    data = SimpleNamespace(shape=shape, classes=4)
    x = torch.zeros(2, channels, height, width)
    mixture = torch.full((EDGES, OPTIONS), 1 / OPTIONS)
    nothing = [0] * EDGES
    for share in (1, 4):
        supernet = DARTSSupernet(SPACE, data, skeleton=(4, 3), share=share).eval()
        with torch.no_grad():
            for cell in (mixture, ARCHITECTURES[0], supernet.sampled(nothing)):
                assert supernet(x, cell).shape == (2, 4)


def test_a_share_of_the_channels_is_seen_and_the_others_are_passed_on():
    supernet = made((4, 3), share=4)
    normal, reduction = supernet.cells[0], supernet.cells[1]
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 8, 4, 4))).float()
    order = torch.arange(8).view(4, 2).T.flatten()
    skip = {0: 2}
    # Half of the size: the operations see the first two channels, the greatest of four pixels pass.
    passed = torch.nn.functional.max_pool2d(x[:, 2:], 2)
    seen = reduction.edges[0][2](x[:, :2])
    expected = torch.cat([seen, passed], 1)[:, order]
    assert torch.allclose(reduction._value(0, 0, x, skip), expected)
    x = x[:, :4]
    assert torch.equal(normal._value(0, 0, x, skip), x)  # one channel in each part


def test_nothing_is_drawn_from_global_generators_and_the_seed_makes_the_weights():
    with kept_generators():
        generators = SeededGenerators(0)
        one, again = made(), made()
        assert generators.used() == []
    other = DARTSSupernet(SPACE, DATA, 4, SMALL)
    pairs = list(zip(one.weights(), again.weights(), other.weights(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TrainingError, match="divides the 2 channels but got 4"):
        made(share=4)
    with pytest.raises(TrainingError, match="no network of their own"):
        made(share=2).network(ARCHITECTURES[0])
    with pytest.raises(UnknownNameError):
        made(normalisation="layer")
    with pytest.raises(InvalidArchitectureError):
        made()(images(), (0, 1, 2))
