"""The neural tangent kernel."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.errors import TrainingError
from nasbench_lab.trainer.networks import Classifier
from nasbench_lab.trainer.proxies.running import Batch, eigenvalues_of, keep, logits_of


def ntk(network: nn.Sequential, batch: Batch) -> float:
    """The condition number of the neural tangent kernel: its largest eigenvalue by its smallest.

    Chen et al. 2021 (arXiv 2102.11535), section 3.1.1: Θ(x, x') = J(x) J(x')ᵀ, where J
    is the gradient of the sum of the outputs by all parameters, as in the authors' code. The network is
    to be a function of one image, so batch normalisation has the batch's statistics as constants (the
    authors' code has gradients through them). An eigenvalue that is zero up to rounding counts as
    the rounding, so the number is finite, at most some 1e14.
    """
    copied, images = copy.deepcopy(network), batch.images
    layers = [m for m in copied.modules() if next(m.parameters(recurse=False), None) is not None]
    for layer in layers:
        if not isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d | Classifier):
            raise TrainingError(
                f"Expected a network of convolutions, linear layers and batch normalisation, whose "
                f"gradients by image are known, but got parameters in {type(layer).__name__}."
            )
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # the statistics of the next batch become the running ones
    with torch.no_grad():
        copied.train()(images)
    copied.eval()
    calls: list[tuple[nn.Module, Tensor]] = []
    outputs: list[Tensor] = []
    for layer in layers:
        layer.register_forward_pre_hook(lambda module, x: calls.append((module, x[0].detach())))
        layer.register_forward_hook(keep(outputs))
    total = logits_of(copied, images).sum()
    gradients = torch.autograd.grad(total, outputs, materialize_grads=True)
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    for (layer, x), gradient in zip(calls, gradients, strict=True):
        for rows in _by_image(layer, x, gradient):
            kernel += (exact := rows.double()) @ exact.T
    eigenvalues = eigenvalues_of(kernel)
    return float(eigenvalues[-1] / eigenvalues[0])


def _by_image(layer: nn.Module, x: Tensor, gradient: Tensor) -> Iterator[Tensor]:
    """``(n, parameters)`` gradients of each parameter of a layer, for each image.

    Args:
        layer: The layer.
        x: Its input.
        gradient: The gradient of its output.
    """
    n = len(x)
    if isinstance(layer, nn.BatchNorm2d):
        shape = (1, -1, 1, 1)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        scale = (layer.running_var + layer.eps).rsqrt().view(shape)
        yield (gradient * (x - layer.running_mean.view(shape)) * scale).sum(dim=(2, 3))
        yield gradient.sum(dim=(2, 3))
        return
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)
        patches = functional.unfold(
            x, layer.kernel_size, layer.dilation, layer.padding, layer.stride
        )
        by_place = gradient.flatten(2)
        yield (by_place @ patches.transpose(1, 2)).reshape(n, -1)
        bias = by_place.sum(dim=2)
    else:
        bias = gradient.view(n, -1)
        yield (x[:, :, None] * bias[:, None, :]).reshape(n, -1)
    if layer.bias is not None:
        yield bias
