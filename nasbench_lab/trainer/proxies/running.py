"""How proxies run a network: in training mode, and without leaving a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from nasbench_lab.errors import TrainingError
from nasbench_lab.trainer.networks import Classifier


class Batch(NamedTuple):
    """Images ``(n, channels, height, width)`` and their class numbers ``(n,)``."""

    images: Tensor
    labels: Tensor


SMALLEST = torch.finfo(torch.float64).tiny
"""What a logarithm is taken of in place of 0."""


@contextmanager
def unchanged(network: nn.Sequential) -> Iterator[None]:
    """Sets the network to training, and in the end puts back its modes, weights and statistics."""
    modes = [(module, module.training) for module in network.modules()]
    tensors = [*network.parameters(), *network.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    network.train()
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, values in zip(tensors, before, strict=True):
                tensor.copy_(values)
        for module, mode in modes:
            module.training = mode


def logits_of(network: nn.Sequential, images: Tensor) -> Tensor:
    """``(n, classes)`` outputs.

    Raises:
        TrainingError: Several networks lie side by side.
    """
    outputs: Tensor = network(images)
    if outputs.dim() == 3:
        if len(outputs) > 1:
            raise TrainingError(
                f"Expected a single network to score but got {len(outputs)} side by side. Build it "
                f"with groups=1."
            )
        outputs = outputs[0]
    return outputs


def loss_of(network: nn.Sequential, batch: Batch) -> Tensor:
    return functional.cross_entropy(logits_of(network, batch.images), batch.labels)


def layers_of(network: nn.Sequential) -> list[nn.Conv2d | nn.Linear | Classifier]:
    """The convolutions and linear layers."""
    kinds = nn.Conv2d | nn.Linear | Classifier
    return [module for module in network.modules() if isinstance(module, kinds)]


def weights_of(network: nn.Sequential) -> list[Tensor]:
    """The weights of convolutions and linear layers, without biases."""
    return [layer.weight for layer in layers_of(network)]


def eigenvalues_of(kernel: Tensor) -> Tensor:
    """``(n,)`` ascending eigenvalues, at least the rounding of the largest."""
    eigenvalues: Tensor = torch.linalg.eigvalsh(kernel)
    largest = float(eigenvalues[-1]) or 1.0
    rounding = len(kernel) * torch.finfo(kernel.dtype).eps * largest
    return eigenvalues.clamp(min=rounding)


@contextmanager
def hooked(*hooks: RemovableHandle) -> Iterator[None]:
    """Removes hooks in the end."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def keep(outputs: list[Tensor]) -> Callable[..., None]:
    """A hook that keeps a layer's output."""

    def hook(_: nn.Module, __: object, output: Tensor) -> None:
        outputs.append(output)

    return hook
