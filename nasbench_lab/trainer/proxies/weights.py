"""Proxies of weights: their number, their norms, and their gradients."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from nasbench_lab.trainer.networks import count
from nasbench_lab.trainer.proxies.running import (
    SMALLEST,
    Batch,
    hooked,
    keep,
    layers_of,
    logits_of,
    loss_of,
    unchanged,
    weights_of,
)


def params(network: nn.Sequential, batch: Batch) -> float:
    """Parameters in millions, those of normalisation included."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def flops(network: nn.Sequential, batch: Batch) -> float:
    """Multiply-adds for one image in millions, as the table's column ``flops`` counts them."""
    _, channels, height, width = batch.images.shape
    return count(network, (height, width, channels))[1]


def l2_norm(network: nn.Sequential, batch: Batch) -> float:
    """The sum of the layers' Euclidean norms of weights, without biases and normalisation.

    A baseline of NAS-Bench-Suite-Zero; Abdelfattah et al. 2021 (arXiv 2101.08134) call such sums over
    the network equation 2.
    """
    return sum(float(weight.detach().double().norm()) for weight in weights_of(network))


def grad_norm(network: nn.Sequential, batch: Batch) -> float:
    """The sum of the layers' Euclidean norms of gradients.

    Abdelfattah et al. 2021 (arXiv 2101.08134), section 3.2; a sum of layers' norms, as in the
    published scores, and not the norm of all.
    """
    return sum(float(gradient.double().norm()) for _, gradient in _gradients(network, batch))


def snip(network: nn.Sequential, batch: Batch) -> float:
    """The sum of the absolute values of θ ∂L/∂θ over all weights.

    The connection sensitivity of Lee et al. 2019 (arXiv 1810.02340), section 4, without its
    normalisation, which would make the sum 1; as in equations 1 and 2 of Abdelfattah et al. 2021
    (arXiv 2101.08134), and in the published scores.
    """
    return sum(float((w * g).double().abs().sum()) for w, g in _gradients(network, batch))


def plain(network: nn.Sequential, batch: Batch) -> float:
    """The sum of θ ∂L/∂θ over all weights, signs included.

    The saliency of Mozer and Smolensky 1989, which Abdelfattah et al. 2021 compute beside ``snip``.
    Weights before batch normalisation add nearly nothing, as their scale has no effect.
    """
    return sum(float((w * g).double().sum()) for w, g in _gradients(network, batch))


def grasp(network: nn.Sequential, batch: Batch) -> float:
    """The sum of −θ ⊙ Hg over all weights: H is the Hessian of the loss, and g its gradient.

    Wang et al. 2020 (arXiv 2002.07376), equation 8, at temperature 1; summed as in equations 1 and 2
    of Abdelfattah et al. 2021 (arXiv 2101.08134), and in the published scores.
    """
    weights = weights_of(network)
    with unchanged(network):
        gradients = torch.autograd.grad(
            loss_of(network, batch), weights, create_graph=True, materialize_grads=True
        )
        # Hg is the gradient of g·g if the first factor counts as a constant.
        product = torch.stack([(g.detach() * g).sum() for g in gradients]).sum()
        curvatures = torch.autograd.grad(product, weights, materialize_grads=True)
    return sum(
        float(-(w.detach() * hg).double().sum()) for w, hg in zip(weights, curvatures, strict=True)
    )


def fisher(network: nn.Sequential, batch: Batch) -> float:
    """The sum over channels of ½ E[(Σ a ∂L/∂a)²], the mean over images, the sum over positions.

    Turner et al. 2020 (arXiv 1906.04113), as in equation 3 of Abdelfattah et al. 2021 (arXiv
    2101.08134): an approximation of the loss's change when a channel is removed. As in the published
    scores, the channels are the outputs of all convolutions and of the linear layer, and L is the mean
    loss.
    """
    outputs: list[Tensor] = []
    hooks = [layer.register_forward_hook(keep(outputs)) for layer in layers_of(network)]
    with hooked(*hooks), unchanged(network):
        gradients = torch.autograd.grad(loss_of(network, batch), outputs, materialize_grads=True)
    total = 0.0
    for output, gradient in zip(outputs, gradients, strict=True):
        product = (output.detach() * gradient).double()
        if product.dim() == 4:
            product = product.sum(dim=(2, 3))
        elif product.dim() == 3:  # the classifier's, with the group first
            product = product.squeeze(0)
        total += float(product.square().mean(dim=0).sum() / 2)
    return total


def synflow(network: nn.Sequential, batch: Batch) -> float:
    """The natural logarithm of Σ θ ∂R/∂θ, where R is the sum of the outputs for an image of ones.

    Tanaka et al. 2020 (arXiv 2006.05467), section 6: all parameters are replaced by their
    absolute values, and there is no batch normalisation, in double precision. The published scores
    have the logarithm too. Weights and no biases are summed over. Where nothing flows, the score is
    the logarithm of the smallest normal number, about −708.
    """
    linear = copy.deepcopy(network).double().eval()
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    for module in linear.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, inputs, __: inputs[0])
    weights = weights_of(linear)
    ones = torch.ones_like(batch.images[:1], dtype=torch.float64)
    gradients = torch.autograd.grad(logits_of(linear, ones).sum(), weights, materialize_grads=True)
    flow = sum(float((w.detach() * g).sum()) for w, g in zip(weights, gradients, strict=True))
    return math.log(max(flow, SMALLEST))


def _gradients(network: nn.Sequential, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """The weights of each layer and the gradients of the loss; zeros where a layer has no effect."""
    weights = weights_of(network)
    with unchanged(network):
        gradients = torch.autograd.grad(loss_of(network, batch), weights, materialize_grads=True)
    return [(w.detach(), g) for w, g in zip(weights, gradients, strict=True)]
