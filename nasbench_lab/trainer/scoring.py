"""Scores of architectures by zero-cost proxies, on the images and by the seed of a table's columns."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.tables.proxies import PROXIES
from nasbench_lab.trainer.datasets import ImageData
from nasbench_lab.trainer.networks import build_network, initialise
from nasbench_lab.trainer.proxies import Batch, Scores, score
from nasbench_lab.trainer.recipe import Recipe
from nasbench_lab.trainer.training import WEIGHTS, one_thread, stream_of, trained_as

IMAGES = 64
"""How many training images architectures are scored on."""

_CHOICE = 2
"""The purpose of the stream that draws the images."""


def training_batch(
    data: ImageData, *, images: int = IMAGES, seed: int = 0, device: str = "cpu"
) -> Batch:
    """Random training images, normalised and not augmented.

    Args:
        data: The images; all of the split ``train`` if they are fewer.
        images: How many.
        seed: The seed of the draw.
        device: Where they are put.
    """
    which = stream_of(seed, _CHOICE).permutation(len(data.labels["train"]))[:images]
    pixels = torch.from_numpy(data.images["train"][which]).float()
    pixels = (pixels - torch.tensor(data.mean)) / torch.tensor(data.std)
    labels = torch.from_numpy(data.labels["train"][which])
    return Batch(pixels.permute(0, 3, 1, 2).contiguous().to(device), labels.to(device))


def score_architecture(
    space: SearchSpace,
    architecture: Architecture,
    recipe: Recipe,
    data: ImageData,
    names: Sequence[str] = tuple(PROXIES),
    *,
    seed: int = 0,
    device: str = "cpu",
) -> Scores:
    """Scores an architecture as a table's columns hold it.

    The network has the initial weights with which ``train`` begins for the seed.

    Args:
        space: The architecture's space.
        architecture: The architecture. With the skeleton ``tiny``, isomorphic cells have the same
            network, that of the canonical cell.
        recipe: The recipe of the training, for its skeleton.
        data: The images of the recipe's data set.
        names: The proxies.
        seed: The seed of the initial weights, of the images, and of what ``zen`` draws.
        device: ``cpu``, where one thread is used, or ``cuda``.

    Raises:
        UnknownNameError: There is no such proxy.
        InvalidArchitectureError: The architecture is not of the space.
    """
    # New layers draw values from PyTorch's global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]):
        network = build_network(
            space,
            trained_as(space, architecture, recipe),
            classes=data.classes,
            image_channels=data.shape[2],
            skeleton=recipe.skeleton,
            signals=data.shape[0] == 1,
        )
    initialise(network, [stream_of(seed, WEIGHTS)])
    batch = training_batch(data, seed=seed, device=device)
    with one_thread(torch.device(device)):
        return score(network.to(device), batch, names, seed=seed)
