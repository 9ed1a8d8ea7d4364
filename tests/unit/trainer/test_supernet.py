"""Supernets, checked against networks of single paths, and mixtures computed term by term."""

import numpy as np
import pytest

from nasbench_lab.spaces import get_space
from nasbench_lab.spaces.nb201 import EDGES, NONE, OPERATIONS, POOL, SKIP
from nasbench_lab.trainer import RECIPES, load_data

torch = pytest.importorskip("torch")

from nasbench_lab.trainer.supernet import HalvedImages, Supernet
from nasbench_lab.trainer.supernet_layers import Norm

SPACE = get_space("nb201")
DATA = [name for name, recipe in RECIPES.items() if recipe.skeleton == "tiny"]
CELLS = [
    (3, 3, 3, 3, 3, 3),
    (2, 0, 3, 1, 0, 4),
    (0, 0, 0, 0, 0, 0),
    (1, 1, 1, 1, 1, 1),
    (4, 4, 4, 4, 4, 4),
    (3, 0, 2, 0, 3, 0),  # a dead edge
    *(tuple(cell) for cell in SPACE.sample(np.random.default_rng(0), 4).tolist()),
]


@pytest.fixture(params=DATA)
def data(request):
    return load_data(request.param)


def batch(data, n=12):
    return next(HalvedImages(data).batches("weights", np.random.default_rng(0), n))


def uneven(supernet):
    """Gives every normalisation a scale and a shift of its own."""
    stream = np.random.default_rng(1)
    with torch.no_grad():
        for norm in (m for m in supernet.modules() if isinstance(m, Norm)):
            norm.weight.copy_(torch.from_numpy(stream.uniform(0.5, 1.5, len(norm.weight))))
            norm.bias.copy_(torch.from_numpy(stream.uniform(-1, 1, len(norm.bias))))
            norm.mean.copy_(torch.from_numpy(stream.uniform(-1, 1, len(norm.bias))))
            norm.var.copy_(torch.from_numpy(stream.uniform(0.5, 1.5, len(norm.bias))))
    return supernet


@pytest.mark.parametrize("training", [True, False])
def test_a_path_is_the_network_of_this_path(data, training):
    supernet = uneven(Supernet(data, 3, affine=True, normalisation="running")).train(training)
    x, _ = batch(data)
    for cell in CELLS:
        network = supernet.network(cell)
        scores, own = supernet(x, cell), network(x)[0]
        assert torch.equal(scores, own), SPACE.to_string(cell)
        # The statistics that were kept are those of its own network, too.
        kept, again = (n.state_dict() for n in (network, supernet.network(cell)))
        assert all(torch.equal(kept[k], again[k]) for k in kept if k[-19:] != "num_batches_tracked")


def test_the_gradients_of_a_path_are_those_of_its_network(data):
    supernet = Supernet(data, 3, affine=True)
    x, y = batch(data)
    for cell in CELLS:
        network = supernet.network(cell)
        supernet.zero_grad()
        torch.nn.functional.cross_entropy(supernet(x, cell), y).backward()
        torch.nn.functional.cross_entropy(network(x)[0], y).backward()
        # Weights with the gradients in their place are copied like weights.
        with torch.no_grad():
            for parameter in supernet.parameters():
                new = parameter.grad
                parameter.copy_(torch.zeros_like(parameter) if new is None else new)
        gradients = supernet.network(cell)
        for own, shared in zip(network.parameters(), gradients.parameters(), strict=True):
            new = torch.zeros_like(own) if own.grad is None else own.grad
            assert torch.allclose(new, shared, rtol=1e-5, atol=1e-7), SPACE.to_string(cell)
        supernet = Supernet(data, 3, affine=True)


def term_by_term(supernet, x, weights, factors):
    """The scores of a mixture, from the definition: edges are weighted sums of all operations."""
    operations = {}
    for option in range(len(OPERATIONS)):
        network = supernet.network((option,) * 6)
        operations[option] = [module for module in network if hasattr(module, "convolutions")]
        layers = list(network)
    pool = torch.nn.functional.avg_pool2d
    kernel = (min(3, x.shape[2]), 3)

    def apply(stage, edge, value, option):
        source, target = EDGES[edge]
        if option == NONE:
            return torch.zeros_like(value)
        if option == POOL:
            padding = (kernel[0] // 2, 1)
            return pool(value, kernel, 1, padding, count_include_pad=False)
        if option == SKIP:
            return value
        return operations[option][stage].convolutions[f"{source}{target}"](value.relu())

    stage = 0
    for layer in layers:
        if not hasattr(layer, "convolutions"):
            x = layer(x)
            continue
        nodes = [x]
        for target in (1, 2, 3):
            nodes.append(
                sum(
                    factors[edge]
                    * weights[edge, option]
                    * apply(stage, edge, nodes[source], option)
                    for edge, (source, end) in enumerate(EDGES)
                    if end == target
                    for option in range(len(OPERATIONS))
                )
            )
        x, stage = nodes[3], stage + 1
    return x[0]


def test_a_mixture_is_the_weighted_sum_of_all_operations(data):
    supernet = uneven(Supernet(data, 3, affine=True)).double()
    x = batch(data)[0].double()
    stream = np.random.default_rng(2)
    weights = torch.from_numpy(stream.dirichlet(np.ones(5), 6))
    factors = torch.from_numpy(stream.uniform(0.5, 2, 6))
    expected = term_by_term(supernet, x, weights, factors)
    assert torch.allclose(supernet(x, weights, factors), expected, rtol=1e-10, atol=1e-10)


def test_a_mixture_of_one_operation_is_its_path(data):
    supernet = uneven(Supernet(data, 3, affine=True)).double()
    x = batch(data)[0].double()
    factors = torch.from_numpy(np.random.default_rng(2).uniform(0.5, 2, 6))
    for cell in CELLS:
        mixture = torch.nn.functional.one_hot(torch.tensor(cell), 5).double()
        if not (np.array(cell) == NONE).any():
            # A convolution of nothing still gives its shift.
            assert torch.allclose(supernet(x, mixture), supernet(x, cell), rtol=1e-10)
            assert torch.allclose(supernet(x, mixture, factors), supernet(x, cell, factors))


def test_weights_and_factors_have_the_gradients_of_finite_differences(data):
    supernet = uneven(Supernet(data, 3, affine=True)).double()
    x = batch(data, 4)[0].double()
    stream = np.random.default_rng(2)
    weights = torch.from_numpy(stream.dirichlet(np.ones(5), 6)).requires_grad_()
    factors = torch.from_numpy(stream.uniform(0.5, 2, 6)).requires_grad_()
    inputs = weights, factors
    assert torch.autograd.gradcheck(lambda w, f: supernet(x, w, f), inputs, fast_mode=True)
    assert torch.autograd.gradcheck(lambda f: supernet(x, (3, 2, 1, 4, 3, 1), f), (factors,))
    quarter = Supernet(data, 3, share=4).double()
    assert torch.autograd.gradcheck(lambda w, f: quarter(x, w, f), inputs, fast_mode=True)


def test_a_share_of_the_channels_is_seen_and_the_others_are_passed_on(data):
    """With skips only, every channel is passed on, in the order of the shuffle."""
    supernet = Supernet(data, 3, share=4)
    block = next(cell for cell in supernet.cells if cell.channels == 16)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 16, 4, 4))).float()
    skips = torch.zeros(6, 5)
    skips[:, SKIP] = 1.0
    order = torch.arange(16).view(4, 4).T.flatten()
    first = x[:, order]
    second = (x + first)[:, order]
    third = (x + first + second)[:, order]
    assert torch.allclose(block.mixture(x, skips, None), third)
    # Of no operation, the other three quarters are left, times the factor of their edge.
    factors = torch.tensor([0.0, 0.0, 0.0, 2.0, 0.0, 0.0])
    rest = torch.cat([torch.zeros(2, 4, 4, 4), 2 * x[:, 4:]], 1)
    assert torch.allclose(block.mixture(x, 0 * skips, factors), rest[:, order])
