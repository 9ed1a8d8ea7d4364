"""How long training takes, beside the usual loop: one seed, a data loader, PyTorch's defaults."""

import numpy as np
import pytest

from nasbench_lab.spaces import get_space

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from nasbench_lab.trainer.datasets import load_data
from nasbench_lab.trainer.networks import build_network, initialise
from nasbench_lab.trainer.recipe import RECIPES
from nasbench_lab.trainer.training import train

SPACE = get_space("nb201")
CELL = SPACE.from_string(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
)
EPOCHS, SEEDS = 2, (0, 1, 2)
WHAT = "train a cell on the digits, per seed and epoch"


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


def test_three_seeds_at_once(measure, data):
    recipe = RECIPES["digits"]
    measure(
        WHAT,
        lambda: train(SPACE, CELL, recipe, data, seeds=SEEDS, device="cpu", epochs=EPOCHS),
        per=EPOCHS * len(SEEDS),
    )


def test_the_usual_loop(measure, data):
    recipe = RECIPES["digits"]

    def loader(split, batch_size):
        images = torch.from_numpy(data.images[split]).permute(0, 3, 1, 2).float()
        images = ((images - data.mean[0]) / data.std[0]).contiguous()
        labels = torch.from_numpy(data.labels[split])
        return DataLoader(TensorDataset(images, labels), batch_size, shuffle=split == "train")

    def one_seed():
        network = build_network(SPACE, CELL, classes=10, image_channels=1, skeleton=recipe.skeleton)
        initialise(network, [np.random.default_rng(0)])
        optimizer = torch.optim.SGD(
            network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        loaders = {split: loader(split, recipe.batch_size) for split in data.images}
        for _ in range(EPOCHS):
            network.train()
            for x, y in loaders["train"]:
                optimizer.zero_grad()
                loss = functional.cross_entropy(network(x)[0], y)
                loss.backward()
                optimizer.step()
            network.eval()
            with torch.no_grad():
                for split in ("valid", "test"):
                    for x, y in loaders[split]:
                        functional.cross_entropy(network(x)[0], y).item()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measure("peer: the usual PyTorch loop, one seed", one_seed, per=EPOCHS, beside=WHAT)
    finally:
        torch.set_num_threads(threads)
