"""One-shot accuracies of many cells at once are those of each cell by itself."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="supernets need PyTorch")
from small_data import small_digits

from nasbench_lab.spaces import get_space
from nasbench_lab.trainer import ranking
from nasbench_lab.trainer import supernet as module
from nasbench_lab.trainer.ranking import one_shot_accuracies
from nasbench_lab.trainer.recipe import NORMALISATIONS
from nasbench_lab.trainer.supernet import HalvedImages, Supernet

SPACE = get_space("nb201")
DATA = small_digits()


def trained(normalisation, share=1):
    """A supernet after a few steps, so that statistics and accuracies differ between paths."""
    supernet = Supernet(DATA, 1, normalisation=normalisation, share=share)
    images, rng = HalvedImages(DATA), np.random.default_rng(0)
    optimizer = torch.optim.SGD(supernet.weights(), lr=0.3)
    for _ in range(2):
        for x, y in images.batches("weights", rng, 16):
            optimizer.zero_grad()
            path = SPACE.sample(rng)
            torch.nn.functional.cross_entropy(supernet(x, path), y).backward()
            optimizer.step()
    return supernet, images


CELLS = [
    *map(tuple, SPACE.sample(np.random.default_rng(2), 16).tolist()),
    (0, 0, 0, 0, 0, 0),  # no way through
    (3, 0, 0, 0, 0, 3),  # dead edges only
    (0, 0, 0, 1, 0, 0),
    (0, 0, 3, 3, 2, 2),  # edges that are fed by nothing
]


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_accuracies_are_those_of_each_path(monkeypatch, normalisation):
    monkeypatch.setattr(module, "EVALUATED", 20)  # several batches
    supernet, images = trained(normalisation)
    seen = []
    shared = one_shot_accuracies(supernet, images, CELLS, lambda *done: seen.append(done))
    assert supernet.training
    assert shared.tolist() == [supernet.accuracy(images, cell) for cell in CELLS]
    assert len(set(shared.tolist())) > 3
    assert seen[-1][0] == seen[-1][1] == len(seen)
    # Where too much would be kept, the same comes of each path by itself.
    monkeypatch.setattr(ranking, "KEPT", 4 * 8 * 64 * len(images.halves["alphas"]) - 1)
    monkeypatch.delattr(ranking, "_FirstCell")
    assert one_shot_accuracies(supernet, images, CELLS[:3]).tolist() == shared[:3].tolist()


def test_paths_of_a_supernet_of_parts_of_the_channels_are_evaluated_too():
    supernet, images = trained("batch", share=4)
    shared = one_shot_accuracies(supernet, images, CELLS[:5])
    assert shared.tolist() == [supernet.accuracy(images, cell) for cell in CELLS[:5]]


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_accuracy_of_a_path_is_that_of_its_own_network(normalisation):
    supernet, images = trained(normalisation)
    ((x, y),) = images.plain("alphas")
    for cell in CELLS[:8]:
        accuracy = supernet.accuracy(images, cell)  # which recalibrates, if need be
        network = supernet.network(cell).train(normalisation == "batch")
        with torch.no_grad():
            own = 100 * (network(x)[0].argmax(1) == y).double().mean()
        assert accuracy == pytest.approx(float(own), abs=1e-9)
