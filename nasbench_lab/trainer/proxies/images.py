"""Proxies of the gradients of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench_lab.trainer.proxies.running import Batch, logits_of, unchanged

STABILISER = 1e-5
"""What the papers of ``jacov`` and ``epe_nas`` add before they take logarithms and inverses."""

CLASSES = 100
"""The number of classes from which on ``epe_nas`` compares classes with each other."""


def jacov(network: nn.Sequential, batch: Batch) -> float:
    """−Σ log(λ + k) + 1/(λ + k) over the eigenvalues λ of the correlations of images' gradients.

    Mellor et al. 2020 (arXiv 2006.04647, version 1), section 3, with k = 1e-5. The gradients are
    those of the sum of all outputs. Images whose gradients do not vary count as equal.
    """
    correlations = _correlations(_image_gradients(network, batch)[0])
    eigenvalues = torch.linalg.eigvalsh(correlations).clamp(min=0.0) + STABILISER
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


def epe_nas(network: nn.Sequential, batch: Batch) -> float:
    """The correlations of images' gradients within each class.

    Lopes et al. 2021 (arXiv 2102.08099), section 3: a class c with several images has
    s(c) = Σ log(abs ρ + k) over the entries ρ of its correlation matrix, with k = 1e-5. For up to 100
    classes the score is Σ abs s(c). For more, each s(c) is divided by the number of its images, and the
    score is the sum of abs(s(c) − s(d)) over all pairs, divided by the number of classes.
    """
    gradients, classes = _image_gradients(network, batch)
    sums = []
    for label in torch.unique(batch.labels):
        of_class = gradients[batch.labels == label]
        if len(of_class) < 2:
            continue
        logarithms = (_correlations(of_class).abs() + STABILISER).log()
        sums.append(logarithms.sum() / (len(of_class) if classes > CLASSES else 1))
    if not sums:
        return 0.0
    found = torch.stack(sums)
    if classes <= CLASSES:
        return float(found.abs().sum())
    return float((found[:, None] - found).abs().sum() / len(found))


def _image_gradients(network: nn.Sequential, batch: Batch) -> tuple[Tensor, int]:
    """``(n, pixels)`` gradients of the sum of all outputs by each image, and how many outputs."""
    images = batch.images.detach().clone().requires_grad_()
    with unchanged(network):
        outputs = logits_of(network, images)
        (gradient,) = torch.autograd.grad(outputs.sum(), images, materialize_grads=True)
    return gradient.flatten(1).double(), outputs.shape[1]


def _correlations(rows: Tensor) -> Tensor:
    """``(n, n)`` correlations of rows; rows that do not vary correlate with each other by 1."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    constant = (norms == 0).to(rows.dtype)
    units = torch.cat([centred / (norms + constant), constant], dim=1)
    return units @ units.T
