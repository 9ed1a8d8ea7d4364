"""Proxies of activations: patterns of ReLUs, and features."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from nasbench_lab.errors import TrainingError
from nasbench_lab.trainer.proxies.running import (
    SMALLEST,
    Batch,
    eigenvalues_of,
    hooked,
    logits_of,
    unchanged,
    weights_of,
)

REGION_STEP = 1e-3
"""How far ``linear_regions`` moves each image, as a share of the way to the next one."""

ZEN_REPEATS, ZEN_STEP = 2, 0.01
"""How often ``zen`` draws weights and images, and the size of its disturbance."""

PUBLISHED_SHARE = 0.19
"""The share of the batch in the running variances after two batches, 1 − 0.9²."""


def naswot(network: nn.Sequential, batch: Batch) -> float:
    """The logarithm of det K, where K counts the ReLUs in the same state for two images.

    Mellor et al. 2021 (arXiv 2006.04647, version 3), equation 2. A ReLU counts once, also if several
    convolutions share its output; the published scores count it for each. Eigenvalues that are zero up
    to rounding count as the rounding, so the score is finite.
    """
    kernel, _ = _pattern_kernel(network, batch.images)
    return float(eigenvalues_of(kernel).log().sum())


def linear_regions(
    network: nn.Sequential, batch: Batch, *, step: float | None = REGION_STEP
) -> float:
    """How many different patterns of active ReLUs the inputs have.

    Chen et al. 2021 (arXiv 2102.11535), section 3.1.2: inputs with the same pattern lie in the same
    linear region. Nearly every network tells all images of a batch apart, so the inputs are the
    images, and each image moved by a small step towards the next one of the batch. (The authors
    shrink networks and images instead.)

    Args:
        network: The network.
        batch: The images.
        step: The step, as a share of the way; None for the images alone.
    """
    images = batch.images
    if step is not None:
        images = torch.cat([images, images + step * (images.roll(-1, 0) - images)])
    kernel, units = _pattern_kernel(network, images)
    # An image counts if no image before it has all units in common.
    same = (kernel == units).tril(diagonal=-1)
    return float((~same.any(dim=1)).sum())


def _pattern_kernel(network: nn.Sequential, images: Tensor) -> tuple[Tensor, int]:
    """``(n, n)`` numbers of ReLUs in the same state for two images, and the number of all."""
    with _Rectified() as seen, unchanged(network), torch.no_grad():
        logits_of(network, images)
    n, units = len(images), 0
    kernel = torch.zeros(n, n, dtype=torch.float64, device=images.device)
    for output in seen.outputs:
        signs = (output > 0).flatten(1).to(torch.float32) * 2 - 1
        units += signs.shape[1]
        # Whole numbers below 2^24, so float32 is exact.
        kernel += (signs @ signs.T).double()
    return (kernel + units) / 2, units


class _Rectified(TorchFunctionMode):
    """Keeps the outputs of all ReLUs, whichever way the network calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in (functional.relu, torch.relu, Tensor.relu):
            self.outputs.append(output)
        return output


def zen(
    network: nn.Sequential,
    batch: Batch,
    *,
    repeats: int = ZEN_REPEATS,
    seed: int = 0,
    share: float = 1.0,
) -> float:
    """The sum of log E‖f(x) − f(x + αε)‖, and of log σ̄ over the layers of batch normalisation.

    Lin et al. 2021 (arXiv 2102.01063), algorithm 1, with α = 0.01: f gives the features before
    global pooling, x and ε are standard normal and of the batch's shape, and weights are drawn from
    a standard normal distribution. σ̄² is the mean over channels of the variances that the layer divides
    by. As in the published scores, the norm is the sum of absolute values, and sums within cells
    stay. Those scores agree with running variances after the two batches of one repeat, which are
    0.81 + 0.19 of the batch's: ``share=PUBLISHED_SHARE``.

    Args:
        network: The network.
        batch: Any batch; only its shape counts.
        repeats: How often weights and images are drawn.
        seed: The seed of the draws.
        share: The share of the batch in the variances; the rest is 1.
    """
    shape, device = batch.images.shape, batch.images.device
    generator = torch.Generator().manual_seed(seed)

    def normal(shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, batch.images.dtype)

    features: list[Tensor] = []
    logarithms: list[Tensor] = []

    def note_scale(module: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        variance = inputs[0].var(dim=(0, 2, 3), correction=0).double().mean()
        logarithms.append(((1 - share) + share * variance + module.eps).log() / 2)

    scales = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    found = 0.0
    pooling = _pooling(network).register_forward_pre_hook(lambda _, x: features.append(x[0]))
    with hooked(pooling), unchanged(network), torch.no_grad():
        for module in scales:
            module.reset_parameters()
        for _ in range(repeats):
            for weight in weights_of(network):
                weight.copy_(normal(weight.shape))
            images, disturbance = normal(shape), normal(shape)
            with hooked(*[module.register_forward_pre_hook(note_scale) for module in scales]):
                network(images)
            network(images + ZEN_STEP * disturbance)
            before, after = (one.double().flatten(1) for one in features)
            distance = float((before - after).abs().sum(dim=1).mean())
            found += math.log(max(distance, SMALLEST)) + float(sum(logarithms))
            features.clear()
            logarithms.clear()
    return found / repeats


def _pooling(network: nn.Sequential) -> nn.Module:
    """The global pooling.

    Raises:
        TrainingError: There is none.
    """
    for module in network.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return module
    raise TrainingError("Expected a network with global average pooling, whose input zen compares.")
