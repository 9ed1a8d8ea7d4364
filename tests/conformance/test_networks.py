"""Our networks have the parameters and FLOPs of the official records, and compute what is written.

The peers are real records of NATS-Bench, and a network written here, edge by edge, from the paper.
"""

import numpy as np
import pytest

from nasbench_lab.registry import import_file
from nasbench_lab.spaces import get_space
from nasbench_lab.spaces.nb201 import EDGES, OPERATIONS
from nasbench_lab.tables.columns import Query

torch = pytest.importorskip("torch", reason="the networks need PyTorch")
from torch import nn
from torch.nn import functional

from nasbench_lab.trainer.networks import (
    Cell,
    Classifier,
    Residual,
    build_network,
    count,
    initialise,
)

SHAPES = {"cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}
ELEVEN = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
# Of Dong and Yang's record of architecture 11, and of Dong et al.'s of the narrowest network.
PUBLISHED = {
    ("nb201", ELEVEN, "cifar10"): (0.802426, 113.95137),
    ("nb201", ELEVEN, "cifar100"): (0.808276, 113.95722),
    ("nb201", ELEVEN, "ImageNet16-120"): (0.809576, 28.49548),
    ("nats-sss", "8:8:8:8:8", "cifar10"): (0.011714, 4.481114),
}


def costs(space, text, dataset):
    space = get_space(space)
    classes, size = SHAPES[dataset]
    with torch.device("meta"):
        network = build_network(space, space.from_string(text), classes=classes)
        return count(network, (size, size, 3))


@pytest.mark.parametrize(("which", "expected"), PUBLISHED.items())
def test_published_costs(which, expected):
    assert costs(*which) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", ["tss", "sss"])
@pytest.mark.parametrize("dataset", SHAPES)
def test_costs_of_real_records(samples, kind, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path))
    (folder,) = samples.glob(f"NATS-{kind}-*")
    table = import_file(folder)
    schedules = {c.schedule for c in table.columns.values() if c.dataset == dataset}
    compared = 0
    for schedule in schedules:
        for what, ours in (("parameters", 0), ("flops", 1)):
            for column in table.columns.values():
                if not column.fits(Query(what, dataset=dataset, schedule=schedule)):
                    continue
                values = table.values(column.name)
                for row in np.flatnonzero(~np.isnan(values)):
                    text = table.space.to_string(tuple(table.architectures[row].tolist()))
                    found = costs(table.space.name, text, dataset)[ours]
                    assert found == pytest.approx(values[row], abs=1e-6)
                    compared += 1
    assert compared >= 4


# What a cell computes


def by_the_paper(cell, x, dead_edges):
    """The output of a cell by its definition, its modules looked up by their edge."""
    nodes = [x, 0, 0, 0]
    for (source, target), option in zip(EDGES, cell.options, strict=True):
        operation, inner = OPERATIONS[option], nodes[source]
        if operation == "none" or (isinstance(inner, int) and not dead_edges):
            continue
        if isinstance(inner, int):
            inner = torch.zeros(x.shape[0], cell.channels, *x.shape[2:])
        if operation == "skip_connect":
            value = inner
        elif operation == "avg_pool_3x3":
            ones = torch.ones_like(inner)
            total = functional.avg_pool2d(inner, 3, 1, 1) * 9
            value = total / (functional.avg_pool2d(ones, 3, 1, 1) * 9)
        elif f"{source}{target}" not in cell.convolutions:
            continue  # a dead edge that was not built
        else:
            convolution, norm = cell.convolutions[f"{source}{target}"]
            assert convolution.kernel_size[0] == int(operation[-1])
            y = functional.conv2d(
                inner.clamp(min=0), convolution.weight, padding=convolution.kernel_size[0] // 2
            )
            mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)
            y = (y - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
            value = y * norm.weight[:, None, None] + norm.bias[:, None, None]
        nodes[target] = nodes[target] + value
    return torch.zeros_like(x) if isinstance(nodes[3], int) else nodes[3]


@pytest.mark.parametrize("dead_edges", [False, True])
def test_a_cell_is_what_the_paper_says(dead_edges):
    space, rng = get_space("nb201"), np.random.default_rng(0)
    for architecture in map(tuple, space.sample(rng, 60).tolist()):
        cell = Cell(architecture, 4, 4, 1, dead_edges=dead_edges, signals=False)
        cell.options = architecture
        for parameter in cell.parameters():
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
        x = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(2))
        # Sums in another order: a few rounding errors of single precision.
        torch.testing.assert_close(cell(x), by_the_paper(cell, x, dead_edges), rtol=1e-4, atol=1e-4)


def test_a_cell_of_signals_is_the_middle_row_of_a_cell_of_images():
    """On a picture of one row, a 3 by 3 kernel is its middle row, and the mean leaves borders out."""
    space, rng = get_space("nb201"), np.random.default_rng(5)
    for architecture in map(tuple, space.sample(rng, 20).tolist()):
        row = Cell(architecture, 4, 4, 1, dead_edges=True, signals=True)
        image = Cell(architecture, 4, 4, 1, dead_edges=True, signals=False)
        pairs = zip(row.convolutions.values(), image.convolutions.values(), strict=True)
        for of_row, of_image in pairs:
            weight = torch.randn(
                of_image[0].weight.shape, generator=torch.Generator().manual_seed(1)
            )
            of_image[0].weight.data = weight
            middle = weight.shape[2] // 2
            of_row[0].weight.data = weight[:, :, middle : middle + 1]
        x = torch.randn(5, 4, 1, 9, generator=torch.Generator().manual_seed(2))
        # Sums in another order: a few rounding errors of single precision.
        torch.testing.assert_close(row(x), image(x), rtol=1e-4, atol=1e-4)


def test_networks_for_signals_have_kernels_of_height_one():
    space, sizes = get_space("nb201"), get_space("nats-sss")
    for one, name in ((space, ELEVEN), (sizes, "8:16:24:32:40")):
        for skeleton in ("tiny", "paper"):
            settings = {"classes": 10, "image_channels": 1, "skeleton": skeleton}
            network = build_network(one, one.from_string(name), **settings, signals=True)
            layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
            assert {layer.kernel_size for layer in layers} == {(1, 1), (1, 3)}
            assert network(torch.zeros(2, 1, 1, 40)).shape == (1, 2, 10)


def test_networks_side_by_side_are_the_networks_one_by_one():
    space, rng = get_space("nb201"), np.random.default_rng(1)
    for architecture in map(tuple, space.sample(rng, 8).tolist()):
        settings = {"classes": 10, "image_channels": 2, "skeleton": "tiny"}
        together = build_network(space, architecture, **settings, groups=3)
        initialise(together, [np.random.default_rng(seed) for seed in range(3)])
        x = torch.randn(8, 6, 8, 8, generator=torch.Generator().manual_seed(0))
        scores = together(x)
        for seed in range(3):
            alone = build_network(space, architecture, **settings)
            initialise(alone, [np.random.default_rng(seed)])
            one = alone(x[:, 2 * seed : 2 * seed + 2])[0]
            # Sums in another order, through three batch normalisations.
            torch.testing.assert_close(scores[seed], one, rtol=1e-3, atol=1e-3)


def test_the_skeletons_have_the_papers_layers():
    space = get_space("nb201")
    network = build_network(space, space.from_string(ELEVEN), classes=10)
    cells = [module for module in network if isinstance(module, Cell)]
    assert [cell.channels for cell in cells] == [16] * 5 + [32] * 5 + [64] * 5
    assert len([module for module in network if isinstance(module, Residual)]) == 2
    tiny = build_network(
        space, space.from_string(ELEVEN), classes=10, image_channels=1, skeleton="tiny"
    )
    assert [module.channels for module in tiny if isinstance(module, Cell)] == [8, 16, 32]
    assert not any(isinstance(module, Residual) for module in tiny.modules())
    sizes = get_space("nats-sss")
    network = build_network(sizes, sizes.from_string("8:16:24:32:40"), classes=10)
    assert [m.channels for m in network if isinstance(m, Cell)] == [8, 24, 40]
    assert isinstance(network[-1], Classifier)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (1, 2, 10)


def test_dead_edges_are_built_in_the_published_network_only():
    space = get_space("nb201")
    # The convolution into node 1 leads nowhere.
    dead = space.from_string("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    for skeleton, convolutions in (("tiny", 0), ("paper", 15)):
        network = build_network(space, dead, classes=10, skeleton=skeleton)
        cells = [module for module in network if isinstance(module, Cell)]
        assert sum(len(cell.convolutions) for cell in cells) == convolutions


def test_isomorphic_cells_have_the_same_costs_in_the_tiny_network():
    space, rng = get_space("nb201"), np.random.default_rng(3)
    for architecture in map(tuple, space.sample(rng, 40).tolist()):
        found = []
        for one in (architecture, space.canonical(architecture)):
            with torch.device("meta"):
                network = build_network(space, one, classes=10, skeleton="tiny")
                found.append(count(network, (8, 8, 3)))
        assert found[0] == found[1]
