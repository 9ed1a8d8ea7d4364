"""The networks of the space ``chain``."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench_lab.spaces import Architecture, ChainSpace
from nasbench_lab.spaces.chain import BLOCKS, CONVOLUTION, DENSE_LAYERS, KINDS, MAX_POOLING, NOTHING
from nasbench_lab.trainer.networks import square

_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class AveragePooling(nn.AvgPool2d):
    """Average pooling; on a GPU the values lie channel by channel, for the reason in ``averaged``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous() if x.is_cuda else x)


def build_chain(
    space: ChainSpace, architecture: Architecture, shape: tuple[int, int, int], classes: int
) -> nn.Sequential:
    """Builds the network of a chain.

    Convolutions have the stride 1 and keep height and width; pooling halves both, rounded up. Batch
    normalisation stands between each convolution or dense layer and its activation, and replaces
    their biases. Dropout acts on the inputs of dense layers and of the classifier. The networks of
    signals have the height 1 throughout.

    Args:
        space: The chain's space.
        architecture: The chain.
        shape: Height, width and channels of an image.
        classes: The number of classes.

    Returns:
        A network from ``(n, channels, height, width)`` images to ``(n, classes)`` scores.
    """
    chosen = space.options(architecture)
    normed = chosen["batch normalisation"] == "yes"
    activation = _ACTIVATIONS[str(chosen["activation"])]
    height, width, channels = shape
    signals = height == 1
    layers: list[nn.Module] = []
    for i in range(1, BLOCKS + 1):
        kind = KINDS.index(str(chosen[f"block {i}"]))
        if kind == CONVOLUTION:
            kernel = square(int(chosen[f"kernel {i}"]), signals)
            filters, padding = int(chosen[f"filters {i}"]), (kernel[0] // 2, kernel[1] // 2)
            layers.append(nn.Conv2d(channels, filters, kernel, padding=padding, bias=not normed))
            layers += [nn.BatchNorm2d(filters)] if normed else []
            layers.append(activation())
            channels = filters
        elif kind != NOTHING:
            pooling = nn.MaxPool2d if kind == MAX_POOLING else AveragePooling
            layers.append(pooling(square(2, signals), ceil_mode=True))
            height, width = -(-height // 2), -(-width // 2)
    layers.append(nn.Flatten())
    features = height * width * channels
    dropout = float(chosen["dropout"])
    for i in range(1, DENSE_LAYERS + 1):
        if f"units {i}" in chosen:
            units = int(chosen[f"units {i}"])
            layers += [nn.Dropout(dropout)] if dropout else []
            layers.append(nn.Linear(features, units, bias=not normed))
            layers += [nn.BatchNorm1d(units)] if normed else []
            layers.append(activation())
            features = units
    layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(features, classes))
