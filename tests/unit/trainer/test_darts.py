"""The networks of the space ``darts``."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genotypes import DARTS_V2, PC_DARTS
from small_data import short, small_digits
from torch import nn

from nasbench_lab.spaces import get_space
from nasbench_lab.trainer.darts import DARTSNetwork, Halving, build_darts
from nasbench_lab.trainer.training import train

SPACE = get_space("darts")


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("genotype", "millions"), [(DARTS_V2, 3.3), (PC_DARTS, 3.6)])
def test_parameters_are_those_that_the_papers_publish(genotype, millions):
    """Without the auxiliary classifier, which is not counted there either."""
    with torch.device("meta"):
        network = build_darts(SPACE, SPACE.from_string(genotype), (32, 32, 3), 10)
    assert round(parameters(network) / 1e6, 1) == millions
    if genotype == DARTS_V2:
        assert parameters(network) == 3_349_342  # as the authors' evaluation prints it


def test_isomorphic_genotypes_have_as_many_parameters():
    rng = np.random.default_rng(0)
    for architecture in map(tuple, SPACE.sample(rng, 2).tolist()):
        with torch.device("meta"):
            one, other = (
                build_darts(SPACE, a, (8, 8, 1), 10, "tiny")
                for a in (architecture, SPACE.canonical(architecture))
            )
        assert parameters(one) == parameters(other)


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 5, 3), (1, 40, 1), (1, 1, 2)])
def test_networks_take_images_of_every_shape(shape):
    rng = np.random.default_rng(1)
    height, width, channels = shape
    images = torch.zeros(2, channels, height, width)
    for architecture in map(tuple, SPACE.sample(rng, 3).tolist()):
        network = DARTSNetwork(SPACE, architecture, channels, 4, channels=3, cells=3).eval()
        with torch.no_grad():
            assert network(images).shape == (2, 4)


def test_halving_sees_every_second_pixel_and_those_between():
    torch.manual_seed(0)
    halving = Halving(2, 4).eval()
    x = torch.randn(3, 2, 6, 8)
    first, second = halving.convolutions
    active = x.relu()
    with torch.no_grad():
        expected = torch.cat(
            [
                nn.functional.conv2d(active, first.weight, stride=2),
                nn.functional.conv2d(active[:, :, 1:, 1:], second.weight, stride=2),
            ],
            1,
        )
        scale = (1 + halving.norm.eps) ** -0.5
        assert torch.allclose(halving(x), expected * scale, atol=1e-6)


@pytest.mark.long
def test_a_genotype_is_trained_and_learns():
    data, recipe = small_digits(), short(epochs=3, lr=0.005)
    architecture = SPACE.at(0)  # poolings only, which are fast
    training = train(SPACE, architecture, recipe, data, device="cpu")
    with torch.device("meta"):
        network = build_darts(SPACE, architecture, data.shape, data.classes, "tiny")
    assert training.parameters == pytest.approx(parameters(network) / 1e6)
    losses = training.curves["train_loss"][0]
    assert losses[-1] < losses[0]
