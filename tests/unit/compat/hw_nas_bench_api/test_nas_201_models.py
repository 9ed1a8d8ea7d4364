"""``nas_201_models``: from a configuration of HW-NAS-Bench to the network of a cell."""

import importlib
import sys
from collections import namedtuple

import pytest

torch = pytest.importorskip("torch")

from nasbench_lab.compat.hw_nas_bench_api.nas_201_models import get_cell_based_tiny_net
from nasbench_lab.errors import InvalidArchitectureError, MissingPackageError, QueryError

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
CONFIG = {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": CELL, "num_classes": 10}


@pytest.mark.parametrize(
    ("classes", "millions"), [(10, 0.802426), (100, 0.808276), (120, 0.809576)]
)
def test_the_network_has_as_many_parameters_as_the_official_record_says(classes, millions):
    """The record is that of index 11 in NATS-Bench's topology space."""
    network = get_cell_based_tiny_net({**CONFIG, "num_classes": classes})
    assert sum(weights.numel() for weights in network.parameters()) == round(millions * 1e6)


def test_the_network_of_channels_has_the_published_number_of_parameters():
    """The authors' notebook on issue 21 of NATS-Bench prints .067378 million for this one."""
    all_convolutions = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    config = {
        **{"name": "infer.shape.tiny", "channels": "8:8:8:16:40", "num_classes": 10},
        "genotype": all_convolutions + "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    }
    network = get_cell_based_tiny_net(config)
    assert sum(weights.numel() for weights in network.parameters()) == 67378
    features, scores = network(torch.randn(3, 3, 16, 16))
    assert (features.shape, scores.shape) == ((3, 40), (3, 10))
    with pytest.raises(QueryError):
        get_cell_based_tiny_net({**config, "genotype": CELL})
    with pytest.raises(InvalidArchitectureError):
        get_cell_based_tiny_net({**config, "channels": "8:8:8:16:41"})


@pytest.mark.parametrize("classes", [10, 120])
def test_gives_features_and_scores(classes):
    torch.manual_seed(4)
    network = get_cell_based_tiny_net({**CONFIG, "num_classes": classes}).eval()
    features, scores = network(torch.randn(3, 3, 16, 16))
    assert (features.shape, scores.shape) == ((3, 64), (3, classes))
    weight, bias = network.classifier.weight, network.classifier.bias
    torch.testing.assert_close(scores, features @ weight.T + bias)
    assert all(weights.isfinite().all() for weights in network.parameters())
    torch.manual_seed(4)
    again = get_cell_based_tiny_net({**CONFIG, "num_classes": classes})
    assert all(map(torch.equal, network.parameters(), again.parameters()))
    other = get_cell_based_tiny_net({**CONFIG, "num_classes": classes})
    assert not all(map(torch.equal, network.parameters(), other.parameters()))


def test_takes_attributes_and_a_genotype():
    class Structure:
        def tostr(self):
            return CELL

    fields = {**{k: v for k, v in CONFIG.items() if k != "arch_str"}, "genotype": Structure()}
    network = get_cell_based_tiny_net(namedtuple("Config", fields)(**fields))
    assert str(network) == str(get_cell_based_tiny_net(CONFIG))


@pytest.mark.parametrize(
    "changed",
    [{"N": 17}, {"C": 36}, {"name": "infer.shape.tiny"}, {"num_classes": None}, {"arch_str": None}],
)
def test_other_networks_are_refused(changed):
    config = {k: v for k, v in {**CONFIG, **changed}.items() if v is not None}
    with pytest.raises(QueryError, match="as get_net_config gives it"):
        get_cell_based_tiny_net(config)


def test_a_text_that_is_no_cell_is_refused():
    with pytest.raises(InvalidArchitectureError):
        get_cell_based_tiny_net({**CONFIG, "arch_str": "|nor_conv_3x3~0|"})


def test_says_what_to_install_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, get_cell_based_tiny_net.__module__)
    with pytest.raises(MissingPackageError, match="train"):
        importlib.import_module(get_cell_based_tiny_net.__module__)
