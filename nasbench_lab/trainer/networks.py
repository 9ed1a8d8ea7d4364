"""Networks of the spaces, several seeds at a time.

Training a small network is mostly overhead, so the networks of several seeds are trained as one:
their channels lie side by side, and every convolution is grouped, with a group for each seed. Seeds
do not affect each other. With one group this is the plain network.

The networks are those of Dong and Yang 2020 (arXiv 2001.00326, figure 1) for ``nb201`` and of Dong
et al. 2021 (arXiv 2009.00437, section 3.2) for ``nats-sss``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.spaces.nats_sss import CELL, CHANNELS
from nasbench_lab.spaces.nb201 import CONV_3X3, EDGES, NONE, POOL, SKIP, NB201Space

WITH_NETWORKS = ("nb201", "nats-sss")
"""The spaces whose networks ``build_network`` builds."""

STAGES = 3
"""Stages of cells; each halves height and width of the one before."""

Size = tuple[int, int]


def square(size: int, signals: bool) -> Size:
    """Height and width of a kernel or step of a size; signals have the height 1."""
    return (1 if signals else size, size)


def tiny_channels(signals: bool) -> int:
    """Channels of the first stage of the skeleton ``tiny``."""
    return 4 if signals else 8


class ConvBN(nn.Sequential):
    """A convolution without bias, and batch normalisation."""

    def __init__(
        self, c_in: int, c_out: int, kernel: Size, groups: int, *, stride: Size = (1, 1)
    ) -> None:
        super().__init__(
            nn.Conv2d(
                groups * c_in,
                groups * c_out,
                kernel,
                stride,
                padding=(kernel[0] // 2, kernel[1] // 2),
                groups=groups,
                bias=False,
            ),
            nn.BatchNorm2d(groups * c_out),
        )


class Cell(nn.Module):
    """A cell of NAS-Bench-201.

    Node 0 is the input and node 3 the output. A node is the sum of its edges' values. An edge carries
    nothing, its source, the 3 by 3 average of its source (without padding in the mean), or ReLU,
    convolution and batch normalisation of its source.

    Args:
        cell: The operation of each edge, in the order of ``EDGES``.
        c_in: Channels of the input.
        c_out: Channels of all other nodes.
        groups: How many networks lie side by side.
        dead_edges: Whether edges that carry nothing or lead nowhere are built. The published networks
            have them: their parameters count, and a convolution of nothing still gives the bias of
            its normalisation.
        signals: Whether the inputs have the height 1; kernels then have it too.
    """

    def __init__(
        self,
        cell: Architecture,
        c_in: int,
        c_out: int,
        groups: int,
        *,
        dead_edges: bool,
        signals: bool,
    ) -> None:
        super().__init__()
        self.window = square(3, signals)
        self.padding = (self.window[0] // 2, 1)
        self.edges = [
            (*ends, option)
            for edge, (ends, option) in enumerate(zip(EDGES, cell, strict=True))
            if option != NONE and (dead_edges or edge in live_edges(cell))
        ]
        self.channels = groups * c_out
        self.convolutions = nn.ModuleDict()
        for source, target, option in self.edges:
            width = c_in if source == 0 else c_out
            if option == SKIP and width != c_out:
                # The official code uses a 1 by 1 convolution without ReLU for a skip between widths.
                self.convolutions[f"{source}{target}"] = ConvBN(width, c_out, (1, 1), groups)
            elif option not in (SKIP, POOL):
                kernel = square(3 if option == CONV_3X3 else 1, signals)
                self.convolutions[f"{source}{target}"] = ConvBN(width, c_out, kernel, groups)

    def forward(self, x: Tensor) -> Tensor:
        nodes: list[Tensor | None] = [x, None, None, None]
        active: dict[int, Tensor] = {}
        for source, target, option in self.edges:
            value = nodes[source]
            if value is None:
                value = nodes[source] = self._nothing(x)
            name = f"{source}{target}"
            if option == POOL:
                value = averaged(value, self.window, self.padding)
            elif option == SKIP:
                value = self.convolutions[name](value) if name in self.convolutions else value
            else:
                if source not in active:
                    active[source] = functional.relu(value)
                value = self.convolutions[name](active[source])
            before = nodes[target]
            nodes[target] = value if before is None else before + value
        output = nodes[-1]
        return self._nothing(x) if output is None else output

    def _nothing(self, x: Tensor) -> Tensor:
        """The sum of no terms."""
        shape = (x.shape[0], self.channels, *x.shape[2:])
        zeros = torch.zeros(shape, dtype=x.dtype, device=x.device)
        return zeros.contiguous(memory_format=torch.channels_last)


def averaged(x: Tensor, window: Size, padding: Size) -> Tensor:
    """The mean of each window, without padding in it.

    On a GPU the values lie channel by channel. PyTorch (2.11 at least) has a wrong gradient for means
    without padding where the channels of a pixel lie side by side.
    """
    if x.is_cuda:
        x = x.contiguous()
    return functional.avg_pool2d(x, window, 1, padding, count_include_pad=False)


def live_edges(cell: Architecture) -> set[int]:
    """The edges of a cell that lie on a way from its input to its output."""
    fed, live, needed = {0}, set(), {3}
    for (source, target), option in zip(EDGES, cell, strict=True):
        if option != NONE and source in fed:
            fed.add(target)
    for edge in reversed(range(len(EDGES))):
        source, target = EDGES[edge]
        if cell[edge] != NONE and target in needed and source in fed:
            needed.add(source)
            live.add(edge)
    return live


def without_dead_edges(cell: Architecture) -> Architecture:
    """The cell with ``none`` on all edges that carry nothing or lead nowhere."""
    live = live_edges(cell)
    return tuple([option if edge in live else NONE for edge, option in enumerate(cell)])


class Residual(nn.Module):
    """The residual block of stride 2 between the stages of the published networks."""

    def __init__(self, c_in: int, c_out: int, groups: int, *, signals: bool) -> None:
        super().__init__()
        kernel, step = square(3, signals), square(2, signals)
        self.first = ConvBN(c_in, c_out, kernel, groups, stride=step)
        self.second = ConvBN(c_out, c_out, kernel, groups)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(step),
            nn.Conv2d(groups * c_in, groups * c_out, 1, groups=groups, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.second(functional.relu(self.first(functional.relu(x))))
        around: Tensor = self.shortcut(x)
        return inner + around


class Classifier(nn.Module):
    """A linear layer for each of the networks that lie side by side.

    Returns:
        ``(groups, n, classes)`` scores.
    """

    def __init__(self, c_in: int, classes: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(groups, c_in, classes))
        self.bias = nn.Parameter(torch.empty(groups, 1, classes))

    def forward(self, x: Tensor) -> Tensor:
        groups, c_in, _ = self.weight.shape
        features = x.view(len(x), groups, c_in).transpose(0, 1)
        scores: Tensor = torch.baddbmm(self.bias, features, self.weight)
        return scores


def build_network(
    space: SearchSpace,
    architecture: Architecture,
    *,
    classes: int,
    image_channels: int = 3,
    skeleton: str = "paper",
    groups: int = 1,
    signals: bool = False,
) -> nn.Sequential:
    """Builds the network of an architecture; ``initialise`` sets its parameters.

    ``paper``: for ``nb201`` a stem of 16 channels and three stages of five cells with 16, 32 and 64
    channels, joined by residual blocks of stride 2, dead edges included; for ``nats-sss`` one cell
    per stage, and channels as the architecture says.

    ``tiny``: a stem of 8 channels and three stages of one cell with 8, 16 and 32 channels, without
    dead edges. Average pooling and a 1 by 1 convolution join the stages, as residual blocks would do
    the cell's work. For ``nats-sss`` the channels are the architecture's. For signals the stem
    has the stride 2 and 4 channels, and the stages have 4, 8 and 16.

    Args:
        space: ``nb201`` or ``nats-sss``.
        architecture: An architecture of the space.
        classes: The number of classes.
        image_channels: Channels of the images.
        skeleton: ``paper`` or ``tiny``.
        groups: How many networks lie side by side.
        signals: Whether the images are signals of height 1. Kernels and steps then have the height
            1, and everything else is the same.

    Returns:
        A network from ``(n, groups * image_channels, height, width)`` images to
        ``(groups, n, classes)`` scores.

    Raises:
        UnknownNameError: There is no such space or skeleton.
        InvalidArchitectureError: The architecture is not of the space.
    """
    architecture = space.validate(architecture)
    if skeleton not in ("paper", "tiny"):
        raise UnknownNameError("skeleton", skeleton, ("paper", "tiny"))
    tiny = skeleton == "tiny"
    if isinstance(space, NB201Space):
        cell, first = architecture, tiny_channels(signals) if tiny else 16
        # Stem and first stage, then the joint and the cells of each further stage.
        widths = [first, first] + [first * 2**stage for stage in (1, 1, 2, 2)]
        cells = 1 if tiny else 5
    elif space.name == "nats-sss":
        cell, cells = CELL, 1
        channels = [CHANNELS[option] for option in architecture]
        widths = [channels[0], *channels]
    else:
        raise UnknownNameError(
            "space of networks to train",
            space.name,
            WITH_NETWORKS,
            "Others have tables only.",
        )
    step = square(2 if tiny and signals else 1, signals)
    layers: list[nn.Module] = [
        ConvBN(image_channels, widths[0], square(3, signals), groups, stride=step)
    ]
    for stage in range(STAGES):
        before, joined, inside = (
            widths[max(0, 2 * stage - 1)],
            widths[2 * stage],
            widths[2 * stage + 1],
        )
        if stage and tiny:
            layers += [nn.AvgPool2d(square(2, signals)), ConvBN(before, joined, (1, 1), groups)]
        elif stage:
            layers.append(Residual(before, joined, groups, signals=signals))
        for number in range(cells):
            c_in = inside if number else joined
            layers.append(Cell(cell, c_in, inside, groups, dead_edges=not tiny, signals=signals))
    last = widths[-1]
    layers += [nn.BatchNorm2d(groups * last), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, Classifier(last, classes, groups))


def initialise(network: nn.Module, streams: Sequence[np.random.Generator]) -> None:
    """Draws the parameters of each seed's network, as PyTorch does by default.

    Weights, and the classifier's biases, are uniform between ± 1/√(inputs of one output), as in the
    official code; normalisation starts as the identity.

    Args:
        network: A network of ``build_network`` on the CPU.
        streams: One generator for each group.
    """
    groups = len(streams)

    def draw(target: Tensor, fan_in: int) -> None:
        """Fills ``(groups, …)`` values, with a stream for each group."""
        bound = fan_in**-0.5
        values = [stream.uniform(-bound, bound, tuple(target.shape[1:])) for stream in streams]
        target.copy_(torch.from_numpy(np.stack(values)))

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                weight = module.weight
                draw(weight.view(groups, -1, *weight.shape[1:]), weight[0].numel())
            elif isinstance(module, Classifier):
                draw(module.weight, module.weight.shape[1])
                draw(module.bias, module.weight.shape[1])
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()


def count(network: nn.Sequential, shape: tuple[int, int, int]) -> tuple[float, float]:
    """Parameters and floating-point operations of a network with one group.

    As in the official records, multiply-adds of convolutions and of the classifier with its bias
    count; normalisation, pooling and sums do not.

    Args:
        network: A network of ``build_network``.
        shape: Height, width and channels of an image.

    Returns:
        Parameters in millions, and multiply-adds per image in millions.
    """
    operations = 0

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal operations
        if isinstance(module, nn.Conv2d):
            operations += module.weight.numel() * output.shape[2] * output.shape[3]
        elif isinstance(module, Classifier):
            operations += module.weight.numel() + module.bias.numel()

    hooks = [module.register_forward_hook(add) for module in network.modules()]
    was_training = network.training
    device = next(network.parameters()).device
    height, width, channels = shape
    with torch.no_grad():
        network.eval()(torch.zeros(1, channels, height, width, device=device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters / 1e6, operations / 1e6
