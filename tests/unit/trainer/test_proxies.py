"""Zero-cost proxies, against formulas for two layers, finite differences and published scores."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="scores of networks need PyTorch")
from torch import nn
from torch.nn import functional

from nasbench_lab.errors import TrainingError, UnknownNameError
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.proxies import PROXIES
from nasbench_lab.trainer import proxies
from nasbench_lab.trainer.datasets import load_data
from nasbench_lab.trainer.networks import build_network, initialise
from nasbench_lab.trainer.proxies import Batch, score
from nasbench_lab.trainer.proxies.activations import PUBLISHED_SHARE
from nasbench_lab.trainer.recipe import RECIPES
from nasbench_lab.trainer.scoring import score_architecture, training_batch

PUBLISHED = (
    Path(__file__).parents[4] / "shared" / "data" / "nb201_columns" / "zero_cost_cifar10.csv"
)

SPACE = get_space("nb201")
EVERY_OPERATION = (3, 1, 4, 2, 3, 2)
NO_PATH, SKIPS, POOLS = (0,) * 6, (1,) * 6, (4,) * 6


# Two layers: scores are V relu(W x), and x has three values


def two_layers(n=7, seed=0):
    rng = np.random.default_rng(seed)
    w, v, x = rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=(n, 3))
    labels = np.arange(n) % 2
    network = nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2, bias=False),
    ).double()
    with torch.no_grad():
        network[0].weight.copy_(torch.from_numpy(w).view(4, 3, 1, 1))
        network[4].weight.copy_(torch.from_numpy(v))
    batch = Batch(torch.from_numpy(x).view(n, 3, 1, 1), torch.from_numpy(labels))
    return network, batch, w, v, x, labels


def gradients(w, v, x, labels):
    """Gradients of the mean cross-entropy by W, V, W x and V h, by the chain rule."""
    hidden = np.maximum(x @ w.T, 0)
    exponentials = np.exp(hidden @ v.T)
    wrong = (exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(2)[labels]) / len(x)
    inner = (wrong @ v) * (x @ w.T > 0)
    return inner.T @ x, wrong.T @ hidden, inner, wrong


def test_sums_over_weights():
    network, batch, w, v, x, labels = two_layers()
    by_w, by_v, inner, wrong = gradients(w, v, x, labels)
    expected = {
        "params": 20e-6,
        "l2_norm": np.linalg.norm(w) + np.linalg.norm(v),
        "grad_norm": np.linalg.norm(by_w) + np.linalg.norm(by_v),
        "snip": np.abs(w * by_w).sum() + np.abs(v * by_v).sum(),
        "plain": (w * by_w).sum() + (v * by_v).sum(),
        # Of each of four hidden units and two outputs: half the mean square.
        "fisher": (
            ((x @ w.T * inner) ** 2).mean(axis=0).sum()
            + ((np.maximum(x @ w.T, 0) @ v.T * wrong) ** 2).mean(axis=0).sum()
        )
        / 2,
        # Each layer's Σ θ ∂R/∂θ is R, and there are two.
        "synflow": math.log(2 * (np.abs(v) @ np.abs(w)).sum()),
    }
    assert score(network, batch, list(expected)).values == pytest.approx(expected, rel=1e-12)


def test_multiply_adds_are_those_of_the_records():
    network = build_network(SPACE, SPACE.from_string(_ARCHITECTURE_11), classes=10)
    batch = Batch(torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64))
    assert proxies.flops(network, batch) == pytest.approx(113.95137, abs=1e-5)
    assert proxies.params(network, batch) == pytest.approx(0.802426, abs=1e-9)


_ARCHITECTURE_11 = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
)


def test_gradients_of_images():
    network, batch, w, v, x, labels = two_layers()
    by_image = ((x @ w.T > 0) * v.sum(axis=0)) @ w
    eigenvalues = np.clip(np.linalg.eigvalsh(np.corrcoef(by_image)), 0, None) + 1e-5
    jacov = -(np.log(eigenvalues) + 1 / eigenvalues).sum()
    # Five of seven eigenvalues are 0 up to rounding, which 1 / 1e-5 makes visible.
    assert proxies.jacov(network, batch) == pytest.approx(jacov, rel=1e-6)
    classes = [np.corrcoef(by_image[labels == label]) for label in (0, 1)]
    sums = [np.log(np.abs(one) + 1e-5).sum() for one in classes]
    assert proxies.epe_nas(network, batch) == pytest.approx(sum(map(abs, sums)), rel=1e-9)


def test_many_classes_are_compared_with_each_other(monkeypatch):
    network, batch, w, v, x, labels = two_layers()
    monkeypatch.setattr("nasbench_lab.trainer.proxies.images.CLASSES", 1)
    by_image = ((x @ w.T > 0) * v.sum(axis=0)) @ w
    sums = [
        np.log(np.abs(np.corrcoef(by_image[labels == c])) + 1e-5).sum() / (labels == c).sum()
        for c in (0, 1)
    ]
    expected = 2 * abs(sums[0] - sums[1]) / 2
    assert proxies.epe_nas(network, batch) == pytest.approx(expected, rel=1e-9)


def test_patterns_of_units():
    network, batch, w, _, x, _ = two_layers(n=3, seed=6)
    on = x @ w.T > 0
    same = (on[:, None] == on).sum(axis=2)
    assert np.linalg.matrix_rank(same) == 3
    assert proxies.naswot(network, batch) == pytest.approx(np.linalg.slogdet(same)[1], rel=1e-9)


def test_regions_of_a_line():
    """Units that switch at 0, 1 and 2 cut the line into four regions."""
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.copy_(torch.tensor([0.0, -1.0, -2.0]))

    def regions(points, **settings):
        batch = Batch(torch.tensor(points).view(-1, 1, 1, 1), torch.zeros(len(points)))
        return proxies.linear_regions(network, batch, **settings)

    assert regions([-5.0, -1.0, 0.5, 0.9, 1.5], step=None) == 3
    assert regions([-5.0, -1.0, 0.5, 0.9, 1.5, 9.0, 2.5], step=None) == 4
    # A tenth of the way to the next point: from 0.9 to 1.5 and from 1.5 to 0.9.
    assert regions([0.9, 1.5], step=None) == 2
    assert regions([0.95, 0.5], step=0.1) == 1
    assert regions([0.95, 1.95], step=0.1) == 2
    assert regions([0.95, 2.95], step=0.4) == 3


def test_tangent_kernel():
    network, batch, w, v, x, _ = two_layers(n=5)
    on, hidden = x @ w.T > 0, np.maximum(x @ w.T, 0)
    inner = on * v.sum(axis=0)
    kernel = (inner @ inner.T) * (x @ x.T) + 2 * hidden @ hidden.T
    eigenvalues = np.linalg.eigvalsh(kernel)
    assert proxies.ntk(network, batch) == pytest.approx(eigenvalues[-1] / eigenvalues[0], rel=1e-6)


def test_an_image_twice_makes_kernels_singular():
    """A zero eigenvalue counts as the rounding of the largest, so nothing is infinite."""
    network, batch, *_ = two_layers(n=3)
    twice = Batch(batch.images.repeat(2, 1, 1, 1), batch.labels.repeat(2))
    assert 1e13 < proxies.ntk(network, twice) < 1e15
    rounding = math.log(6 * np.finfo(np.float64).eps)
    assert proxies.naswot(network, twice) < 3 * (rounding + 6 * math.log(10))


def test_normalisation_does_not_change_zen():
    """What a layer of batch normalisation divides by is multiplied back: the paper's purpose."""
    first, second = nn.Conv2d(3, 5, 3, bias=False), nn.Conv2d(5, 5, 3, bias=False)
    end = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)]
    plain = nn.Sequential(first, second, *end)
    normalised = nn.Sequential(first, nn.BatchNorm2d(5), second, nn.BatchNorm2d(5), *end)
    batch = Batch(torch.zeros(64, 3, 8, 8), torch.zeros(64))
    # Channels are divided by their own scales, and the mean of squares is multiplied back.
    assert proxies.zen(normalised, batch, repeats=30) == pytest.approx(
        proxies.zen(plain, batch, repeats=30), abs=0.2
    )
    (one,) = {proxies.zen(plain, batch, repeats=1, seed=3) for _ in range(2)}
    weights = torch.Generator().manual_seed(3)
    a, b = (torch.randn(layer.weight.shape, generator=weights) for layer in (first, second))
    torch.randn(2, 5, generator=weights)
    x, e = (torch.randn(64, 3, 8, 8, generator=weights) for _ in range(2))
    f, g = (
        functional.conv2d(functional.conv2d(images, a), b).relu().double()
        for images in (x, x + 0.01 * e)
    )
    assert one == pytest.approx(math.log((f - g).abs().sum() / 64), rel=1e-9)


# Whole networks


def network_of(cell, skeleton="tiny", channels=1, seed=0):
    network = build_network(SPACE, cell, classes=10, image_channels=channels, skeleton=skeleton)
    initialise(network, [np.random.default_rng(seed)])
    return network


def digits(n=16):
    return training_batch(load_data("digits"), images=n)


def test_derivatives_by_the_scale_of_all_weights():
    """``plain`` is the loss's derivative by a common factor; ``grasp`` that of −½ g·g."""
    network, (images, labels) = network_of(EVERY_OPERATION).double(), digits()
    batch = Batch(images.double(), labels)
    layers = [m for m in network.modules() if hasattr(m, "weight") and m.weight.dim() > 1]

    def scaled(factor):
        other = copy.deepcopy(network)
        of_other = [m for m in other.modules() if hasattr(m, "weight") and m.weight.dim() > 1]
        for layer in of_other:
            layer.weight.data.mul_(factor)
        loss = functional.cross_entropy(other(batch.images)[0], labels)
        found = torch.autograd.grad(loss, [layer.weight for layer in of_other])
        return loss.item(), sum(float((g * g).sum()) for g in found)

    assert len(layers) > 10
    step = 1e-5
    (loss_up, square_up), (loss_down, square_down) = scaled(1 + step), scaled(1 - step)
    # Rounding is some 1e-16 / step, and the error of the differences some step².
    slope = (loss_up - loss_down) / (2 * step)
    assert proxies.plain(network, batch) == pytest.approx(slope, rel=1e-6, abs=1e-9)
    curvature = -(square_up - square_down) / (4 * step)
    assert proxies.grasp(network, batch) == pytest.approx(curvature, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("skeleton", ["tiny", "paper"])
def test_tangent_kernel_of_a_network_image_by_image(skeleton):
    network = network_of(EVERY_OPERATION, skeleton).double()
    batch = Batch(torch.from_numpy(np.random.default_rng(1).normal(size=(4, 1, 8, 8))), None)
    alone = copy.deepcopy(network)
    for module in alone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        alone.train()(batch.images)
    alone.eval()
    rows = []
    for image in batch.images:
        found = torch.autograd.grad(
            alone(image[None]).sum(), list(alone.parameters()), materialize_grads=True
        )
        rows.append(torch.cat([g.flatten() for g in found]))
    eigenvalues = torch.linalg.eigvalsh(torch.stack(rows) @ torch.stack(rows).T)
    expected = float(eigenvalues[-1] / eigenvalues[0])
    assert proxies.ntk(network, batch) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("skeleton", ["tiny", "paper"])
@pytest.mark.parametrize("space", ["nb201", "nats-sss"])
def test_every_proxy_of_every_kind_of_network(space, skeleton):
    space = get_space(space)
    cells = [EVERY_OPERATION, NO_PATH, SKIPS, POOLS] if space == SPACE else [(0, 1, 2, 3, 7)]
    cells = cells[: 2 if skeleton == "paper" else None]
    for cell in cells:
        network = build_network(space, cell, classes=10, image_channels=1, skeleton=skeleton)
        initialise(network, [np.random.default_rng(5)])
        network.eval()
        before = copy.deepcopy(network.state_dict())
        values, seconds = score(network, digits(6))
        assert list(values) == list(seconds) == list(PROXIES)
        assert all(math.isfinite(value) for value in values.values()), values
        assert all(taken >= 0 for taken in seconds.values())
        # It is as it was.
        assert not any(module.training for module in network.modules())
        assert all(parameter.grad is None for parameter in network.parameters())
        after = network.state_dict()
        assert all(torch.equal(after[name], held) for name, held in before.items())
        # No hook is left.
        assert score(network, digits(6)).values == values


def test_a_cell_without_a_path_is_the_worst():
    names = ["synflow", "jacov", "naswot", "zen", "ntk", "linear_regions", "grad_norm"]
    none = score(network_of(NO_PATH), digits(), names).values
    some = score(network_of(EVERY_OPERATION), digits(), names).values
    for name in names:
        better = some[name] > none[name] if PROXIES[name].maximize else some[name] < none[name]
        assert better, name


def test_seeds():
    data, recipe = load_data("digits"), RECIPES["digits"]
    first, again, other = (
        score_architecture(SPACE, EVERY_OPERATION, recipe, data, seed=seed).values
        for seed in (0, 0, 1)
    )
    assert first == again
    assert {name for name in first if first[name] == other[name]} <= {
        *("params", "flops", "linear_regions")
    }
    isomorphic = (0, 1, 0, 0, 0, 3)  # a skip and a convolution, to the output by another node
    assert SPACE.canonical(isomorphic) != isomorphic
    names = ["snip", "zen", "ntk"]
    assert (
        score_architecture(SPACE, isomorphic, recipe, data, names).values
        == score_architecture(SPACE, SPACE.canonical(isomorphic), recipe, data, names).values
    )


@pytest.mark.parametrize("space", ["nb201", "nats-sss"])
def test_signals(space):
    """Images of height 1: every proxy, of networks whose kernels have the height 1."""
    space, data = get_space(space), load_data("mnist1d")
    cell = EVERY_OPERATION if space == SPACE else (0, 1, 2, 3, 7)
    values, _ = score_architecture(space, cell, RECIPES["mnist1d"], data)
    assert list(values) == list(PROXIES)
    assert all(math.isfinite(value) for value in values.values()), values
    none = (NO_PATH if space == SPACE else (0,) * 5), ["params", "synflow"]
    fewer, _ = score_architecture(space, none[0], RECIPES["mnist1d"], data, none[1])
    assert fewer["params"] < values["params"]
    assert fewer["synflow"] < values["synflow"]


def test_the_batch_is_of_training_images():
    data = load_data("digits")
    images, labels = training_batch(data, images=5, seed=1)
    pixels = (images.permute(0, 2, 3, 1).numpy() * data.std[0] + data.mean[0]).round()
    for image, label in zip(pixels, labels, strict=True):
        (place,) = np.flatnonzero((data.images["train"] == image).all(axis=(1, 2, 3)))
        assert data.labels["train"][place] == label
    assert len(training_batch(data, images=10_000).images) == 800


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"names": ["synflo"]}, UnknownNameError, "synflow"),
        ({"images": 1}, TrainingError, "at least 2 images"),
        ({"groups": 2}, TrainingError, "groups=1"),
    ],
)
def test_what_cannot_be_scored(change, error, words):
    groups = change.get("groups", 1)
    network = build_network(
        SPACE, SKIPS, classes=10, image_channels=1, skeleton="tiny", groups=groups
    )
    images, labels = digits(change.get("images", 4))
    with pytest.raises(error, match=words):
        score(network, Batch(images.repeat(1, groups, 1, 1), labels), change.get("names", ["snip"]))


def test_networks_that_proxies_do_not_know():
    batch = Batch(torch.randn(4, 3, 1, 1), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(TrainingError, match="PReLU"):
        proxies.ntk(nn.Sequential(nn.PReLU(), nn.Flatten(), nn.Linear(3, 2)), batch)
    with pytest.raises(TrainingError, match="global average pooling"):
        proxies.zen(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), batch)


@pytest.mark.parametrize("n", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_published_scores(n):
    """Those of NAS-Bench-Suite-Zero, of other initial weights and another batch."""
    if not PUBLISHED.exists():
        pytest.skip("the published scores are not beside this checkout")
    import pandas as pd

    published = pd.read_csv(PUBLISHED)
    chosen = published.iloc[np.random.default_rng(2).choice(len(published), n, replace=False)]
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 32, 32))).float()
    batch = Batch(images, torch.tensor([0, 1]))
    ours = []
    for text in chosen["architecture"]:
        network = build_network(SPACE, SPACE.from_string(text), classes=10)
        initialise(network, [np.random.default_rng(0)])
        values = score(network, batch, ["params", "flops", "l2_norm", "synflow"]).values
        zen = proxies.zen(network, batch, repeats=1, share=PUBLISHED_SHARE)
        ours.append({**values, "zen": zen})
    ours = pd.DataFrame(ours, index=chosen.index)
    np.testing.assert_allclose(ours["params"], chosen["params"], atol=1e-6)
    # They differ by their initial weights only, some parts in a thousand.
    np.testing.assert_allclose(ours["l2_norm"], chosen["l2_norm"], rtol=0.02)
    np.testing.assert_allclose(ours["synflow"], chosen["synflow"], rtol=0.02)
    for name in ("flops", "synflow", "zen"):  # flops there count normalisation and pooling too
        rho = ours[name].corr(chosen[name], method="spearman")
        assert rho > 0.95, (name, rho)
