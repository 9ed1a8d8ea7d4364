"""Networks that a function builds: those of chains and of ``darts``, and those of a user's own.

Each seed has a network of its own. Whatever is drawn from the global generators, by the function or
in training, as dropout does, is drawn from streams of the seed.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nasbench_lab.errors import TrainingError, quoted
from nasbench_lab.guard import kept_generators, seed_generators
from nasbench_lab.mistakes import told
from nasbench_lab.spaces import Architecture, ChainSpace, DARTSSpace, SearchSpace
from nasbench_lab.trainer.chain import build_chain
from nasbench_lab.trainer.darts import build_darts
from nasbench_lab.trainer.datasets import ImageData
from nasbench_lab.trainer.networks import WITH_NETWORKS
from nasbench_lab.user_code.functions import TakenFunction

OWN = ("chain", "chain-signals", "darts")
"""The named spaces whose networks functions of ours build."""


def check_networks(space: SearchSpace, build: TakenFunction | None) -> None:
    """Refuses a space whose networks nobody knows how to build.

    Raises:
        TrainingError: It is not one of ours, and there is no function that builds them.
    """
    if not is_built(space, build) and space.name not in WITH_NETWORKS:
        raise TrainingError(
            f"There are no networks of the space {space.name!r} here. Expected one of "
            f"{', '.join((*WITH_NETWORKS, *OWN))}, or a function that builds them: "
            f"build(architecture), which returns a torch.nn.Module."
        )


def is_built(space: SearchSpace, build: TakenFunction | None) -> bool:
    """Whether a function builds the networks of a space."""
    return build is not None or isinstance(space, ChainSpace | DARTSSpace)


def own_network(
    space: SearchSpace,
    architecture: Architecture,
    shape: tuple[int, int, int],
    classes: int,
    skeleton: str,
) -> nn.Module:
    """Builds a network of chains or of ``darts``.

    Args:
        space: The architecture's space.
        architecture: The architecture.
        shape: Height, width and channels of an image.
        classes: The number of classes.
        skeleton: As in the recipe; chains have none.
    """
    if isinstance(space, DARTSSpace):
        return build_darts(space, architecture, shape, classes, skeleton)
    assert isinstance(space, ChainSpace)
    return build_chain(space, architecture, shape, classes)


def built_network(
    space: SearchSpace,
    architecture: Architecture,
    build: TakenFunction | None,
    data: ImageData,
    seed: int,
    skeleton: str = "paper",
) -> nn.Module:
    """Builds a network, on the CPU.

    Args:
        space: The architecture's space.
        architecture: The architecture.
        build: ``build(architecture)``, a user's function that returns a network, from ``(n, channels,
            height, width)`` normalised images to ``(n, classes)`` scores. If it has parameters
            ``shape`` and ``classes``, it is given height, width and channels, and the number of
            classes. None for chains and ``darts``.
        data: The images.
        seed: What the global generators are seeded with meanwhile.
        skeleton: As in the recipe; a user's function does not know it.

    Raises:
        TrainingError: The function fails, or its network does not fit the images.
    """
    if build is None:
        with kept_generators():
            seed_generators(seed)
            return own_network(space, architecture, data.shape, data.classes, skeleton)
    what = f"for {space.to_string(architecture)} of {space.name!r}"
    return network_by(build, architecture, data.shape, data.classes, seed, what)


def network_by(
    build: TakenFunction,
    architecture: Architecture,
    shape: tuple[int, int, int],
    classes: int,
    seed: int,
    what: str,
) -> nn.Module:
    """Builds a network by a user's function, on the CPU; arguments as of ``built_network``.

    Args:
        build: The function.
        architecture: The architecture.
        shape: Height, width and channels of an image.
        classes: The number of classes.
        seed: What the global generators are seeded with meanwhile.
        what: What it is built for, for messages.

    Raises:
        TrainingError: The function fails, or its network does not fit the images.
    """
    known = {"shape": shape, "classes": classes}
    taken = inspect.signature(build.function).parameters
    given = {name: value for name, value in known.items() if name in taken}
    with kept_generators():
        seed_generators(seed)
        try:
            network = build(architecture, **given)
        except Exception as error:  # what others have written may raise anything
            raise TrainingError(f"build failed {what}: {told(error)}") from error
        if not isinstance(network, nn.Module):
            raise TrainingError(
                f"Expected build to return a torch.nn.Module {what}, but got {quoted(network)}."
            )
        network = deepcopy(network)  # the function may return the same one each time
        height, width, channels = shape
        images = torch.zeros(2, channels, height, width)
        try:
            with torch.no_grad():  # in training, normalisation would take note of these images
                scores = network.eval()(images)
        except Exception as error:
            raise TrainingError(
                f"The network that build returned {what} fails on images of shape "
                f"(n, {channels}, {height}, {width}), that is (n, channels, height, width): "
                f"{told(error)}"
            ) from error
    given_shape = tuple(getattr(scores, "shape", ()))
    if given_shape != (2, classes):
        raise TrainingError(
            f"Expected the network that build returned {what} to give scores of shape "
            f"(n, {classes}), one for each class, but got {given_shape or type(scores).__name__} for "
            f"n = 2 images. End it with a layer of {classes} outputs, without softmax."
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise TrainingError(
            f"The network that build returned {what} has no parameters to train. Expected at least "
            f"one layer with weights."
        )
    return network.train()


def description(network: nn.Module) -> str:
    """What PyTorch says of a network's layers, and the shapes of its parameters."""
    shapes = [f"{name} {tuple(p.shape)}" for name, p in network.named_parameters()]
    return "\n".join([str(network), *shapes])


def size(network: nn.Module, shape: tuple[int, int, int]) -> tuple[float, float]:
    """Parameters and floating-point operations of a network.

    Multiply-adds are those that PyTorch's own counter sees: of convolutions, linear layers and other
    products of matrices, without biases.

    Args:
        network: From ``(n, channels, height, width)`` images.
        shape: Height, width and channels of an image.

    Returns:
        Parameters in millions, and multiply-adds per image in millions.
    """
    height, width, channels = shape
    was_training = network.training
    with kept_generators(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, channels, height, width))
    network.train(was_training)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters / 1e6, counter.get_total_flops() / 2 / 1e6


class SideBySide(nn.Module):
    """The networks of several seeds, each of which sees its own images.

    Args:
        networks: The networks.

    Attributes:
        sown: For each network what the global generators are seeded with before it sees a batch.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.sown: Sequence[int] = [0] * len(networks)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, groups * channels, height, width)`` images to ``(groups, n, classes)`` scores."""
        scores = []
        for network, part, seed in zip(
            self.networks, x.chunk(len(self.networks), dim=1), self.sown, strict=True
        ):
            seed_generators(seed)
            if x.is_cuda:
                torch.cuda.manual_seed(seed)
            scores.append(network(part))
        return torch.stack(scores)
