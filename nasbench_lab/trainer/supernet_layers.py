"""The layers of supernets: normalisation, convolutions side by side, and cells of all operations."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.spaces import Architecture
from nasbench_lab.spaces.nb201 import CONV_1X1, CONV_3X3, EDGES, POOL, SKIP
from nasbench_lab.trainer.networks import Size, averaged

# The edges that leave each node but the last, by their numbers in EDGES.
_LEAVING = [[e for e, (start, _) in enumerate(EDGES) if start == node] for node in range(3)]
BY_SOURCE = [edge for edges in _LEAVING for edge in edges]
"""All edges, ordered by the node that they leave."""


class Norm(nn.Module):
    """Batch normalisation of which a part of the channels can be used, times a factor.

    Args:
        channels: The number of channels.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether scale and shift are trained; if not they are 1 and 0.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, normalisation: str, *, affine: bool = True) -> None:
        super().__init__()
        self.affine = affine
        self.weight = nn.Parameter(torch.ones(channels), requires_grad=affine)
        self.bias = nn.Parameter(torch.zeros(channels), requires_grad=affine)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))
        self.normalisation = normalisation
        # The weight of the batch at hand in the kept statistics; 0 where none are kept.
        self.momentum = 0.1 if normalisation == "running" else 0.0

    def values(self, part: slice | None = None) -> list[Tensor]:
        """Scale, shift, mean and variance of a part of the channels, or of all."""
        values: list[Tensor] = [self.weight, self.bias, self.mean, self.var]
        return values if part is None else [value[part] for value in values]

    def forward(self, x: Tensor, part: slice | None = None, factor: Tensor | None = None) -> Tensor:
        weight, bias, mean, var = self.values(part)
        if factor is not None:
            # Where nothing is trained, the scale is 1 and the shift is 0.
            weight = factor * weight if self.affine or not factor.ndim else factor
            bias = factor * bias if self.affine else bias
        if x.is_cuda:
            # cuDNN reads four factors at once, from an address that is a multiple of 16.
            weight = weight.clone()
        of_batch = self.training or self.normalisation == "batch"
        if of_batch and not self.momentum:
            return functional.batch_norm(x, None, None, weight, bias, training=True)
        return functional.batch_norm(x, mean, var, weight, bias, of_batch, self.momentum)


class ConvNorm(nn.Module):
    """A convolution without bias, and batch normalisation.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Height and width of the kernel, odd.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether the normalisation's scale and shift are trained.
        stride: The step of the kernel down and to the right.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Size,
        normalisation: str,
        *,
        affine: bool = True,
        stride: Size = (1, 1),
    ) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(c_out, c_in, *kernel))
        self.padding = (kernel[0] // 2, kernel[1] // 2)
        self.norm = Norm(c_out, normalisation, affine=affine)

    def forward(self, x: Tensor, part: slice | None = None, factor: Tensor | None = None) -> Tensor:
        weight = self.weight if part is None else self.weight[part]
        x = functional.conv2d(x, weight, None, self.stride, self.padding)
        return cast(Tensor, self.norm(x, part, factor))


class MixedCell(nn.Module):
    """A cell whose edges carry all operations.

    Args:
        channels: Channels of all nodes.
        kernel: Height and width of the larger convolution and of the pooling.
        normalisation: One of ``NORMALISATIONS``.
        affine: Whether the operations' normalisation has a scale and a shift that are trained.
        share: The operations see the first of so many equal parts of the channels; the others are
            passed on as they are.
    """

    def __init__(
        self, channels: int, kernel: Size, normalisation: str, affine: bool, share: int
    ) -> None:
        super().__init__()
        self.channels, self.kernel, self.share = channels, kernel, share
        self.padding = (kernel[0] // 2, kernel[1] // 2)
        self.width = width = channels // share
        # Of each node the convolutions on the edges that leave it, side by side.
        self.small, self.large = (
            nn.ModuleList(
                ConvNorm(width, len(edges) * width, size, normalisation, affine=affine)
                for edges in _LEAVING
            )
            for size in ((1, 1), kernel)
        )

    def convolution(self, edge: int, option: int) -> ConvNorm:
        """The convolutions beside that of an edge, in which ``part`` is its own."""
        convolutions = self.small if option == CONV_1X1 else self.large
        return cast(ConvNorm, convolutions[EDGES[edge][0]])

    def part(self, edge: int) -> slice:
        """The channels of an edge in the convolutions of the node that it leaves."""
        first = _LEAVING[EDGES[edge][0]].index(edge) * self.width
        return slice(first, first + self.width)

    def pooled(self, x: Tensor) -> Tensor:
        """The mean of each window of the kernel's size, without padding in it."""
        return averaged(x, self.kernel, self.padding)

    def mixture(self, x: Tensor, weights: Tensor, factors: Tensor | None) -> Tensor:
        """The output of a mixture.

        Args:
            x: ``(n, channels, height, width)`` values of the first node.
            weights: ``(6, 5)`` weights, times the factors of the edges; edges in the order of
                ``BY_SOURCE``.
            factors: ``(6,)`` factors of the edges, in the order of ``EDGES``.
        """
        # The weight of an edge's convolution is a factor of its channels.
        small, large = (
            weights[:, option, None].expand(-1, self.width).flatten()
            for option in (CONV_1X1, CONV_3X3)
        )
        of_edges = weights[None, :, :, None, None, None]
        sums: list[Tensor | None] = [x, None, None, None]
        rests: list[Tensor | None] = [None] * 4
        first = 0
        for node, edges in enumerate(_LEAVING):
            value = _given(sums[node])
            seen = value if self.share == 1 else value[:, : self.width]
            active = functional.relu(seen)
            end = first + len(edges)
            part = slice(first * self.width, end * self.width)
            total = self.small[node](active, None, small[part])
            total = total + self.large[node](active, None, large[part])
            # (n, edges, channels, height, width)
            total = total.view(len(x), len(edges), self.width, *seen.shape[2:])
            total = torch.addcmul(total, seen[:, None], of_edges[:, first:end, SKIP])
            total = torch.addcmul(total, self.pooled(seen)[:, None], of_edges[:, first:end, POOL])
            first = end
            for edge, term in zip(edges, total.unbind(1), strict=True):
                target = EDGES[edge][1]
                sums[target] = _plus(sums[target], term)
                if self.share > 1:
                    rest = value[:, self.width :]
                    rest = rest if factors is None else rest * factors[edge]
                    rests[target] = _plus(rests[target], rest)
            if self.share > 1:
                # Each channel is seen by the operations of one node in so many.
                mixed = torch.cat([_given(sums[node + 1]), _given(rests[node + 1])], 1)
                mixed = mixed.view(len(x), self.share, self.width, *x.shape[2:])
                sums[node + 1] = mixed.transpose(1, 2).flatten(1, 2)
        return _given(sums[3])

    def path(
        self, x: Tensor, cell: Architecture, live: list[int], factors: Tensor | None
    ) -> Tensor:
        """The output for one operation per edge, of which only the live ones are computed."""
        sums: list[Tensor | None] = [x, None, None, None]
        active: dict[int, Tensor] = {}
        for edge in live:
            source, target = EDGES[edge]
            option, value = cell[edge], _given(sums[source])
            factor = None if factors is None else factors[edge]
            if option in (CONV_1X1, CONV_3X3):
                if source not in active:
                    active[source] = functional.relu(value)
                value = self.convolution(edge, option)(active[source], self.part(edge), factor)
            else:
                value = self.pooled(value) if option == POOL else value
                value = value if factor is None else value * factor
            sums[target] = _plus(sums[target], value)
        output = sums[3]
        return torch.zeros_like(x) if output is None else output


def _plus(before: Tensor | None, term: Tensor) -> Tensor:
    """A sum with one more term."""
    return term if before is None else before + term


def _given(value: Tensor | None) -> Tensor:
    """A value that is there: nodes come in order, and live edges leave only what is fed."""
    assert value is not None
    return value
