"""A graph convolutional network on the graph of operations.

Dudziak, Chau, Abdelfattah, Lee, Kim and Lane, "BRP-NAS: prediction-based NAS using GCNs", NeurIPS 2020
(arXiv 2007.08668), section 3: four layers of graph convolution, of which the whole graph is read at a
node that all others feed. Here the network predicts values, as theirs of latencies does, and not which
of two is greater. Graph convolution: Kipf and Welling, ICLR 2017 (arXiv 1609.02907).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nasbench_lab.algorithm import check_number
from nasbench_lab.predictors.graphs import OperationGraph, check_graphs, operation_graph
from nasbench_lab.predictors.predictor import Floats, Predictor, library
from nasbench_lab.spaces import Architectures, SearchSpace
from nasbench_lab.trainer import need_torch

if TYPE_CHECKING:
    import torch

_GLOBAL = "all"
"""The operation of the node that all others feed."""

_AT_ONCE = 4096
"""Architectures that are predicted together."""


class GraphConvolution(Predictor):
    """The network of BRP-NAS; it gives no standard deviations.

    Columns are added to what it reads of the graph, each scaled to mean 0 and variance 1. Values far
    off in the longer tail count as less far.

    Args:
        space: The space of the architectures.
        width: Units of a layer; the paper has 600.
        n_layers: Layers of graph convolution.
        epochs: Passes over the data.
        batch_size: Architectures of a step, at most.
        learning_rate: AdamW's at the start; it falls to 0 along a cosine.
        weight_decay: AdamW's.
        dropout: The share of units that a step leaves out before the last layer.
        **kwargs: ``seed`` of ``Predictor``.

    Raises:
        UnsuitedError: The architectures of the space are no graphs.
        MissingPackageError: PyTorch is not installed.
    """

    uncertain, robust = False, True

    def __init__(
        self,
        space: SearchSpace,
        *,
        width: int = 128,
        n_layers: int = 4,
        epochs: int = 100,
        batch_size: int = 16,
        learning_rate: float = 0.002,
        weight_decay: float = 5e-4,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        need_torch()
        check_graphs(space)
        for name, value in (
            ("width", width),
            ("n_layers", n_layers),
            ("epochs", epochs),
            ("batch_size", batch_size),
        ):
            check_number(name, value, whole=True, low=1)
        check_number("learning_rate", learning_rate, above=0)
        check_number("weight_decay", weight_decay, low=0)
        check_number("dropout", dropout, low=0, below=1)
        self.width, self.n_layers, self.epochs, self.batch_size = (
            width,
            n_layers,
            epochs,
            batch_size,
        )
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.dropout = dropout
        self._operations: dict[str, int] = {}
        self._parameters: list[NDArray[np.float32]] = []

    def _fit(self, architectures: Architectures, values: Floats, columns: Floats) -> None:
        torch = library("torch")
        graphs = self._graphs(architectures)
        names = sorted({label for graph in graphs for label in graph.labels})
        self._operations = {name: i for i, name in enumerate([_GLOBAL, *names])}
        self._centre = np.array([_mean(column) for column in columns.T])
        self._spread = np.array([_spread(column) for column in columns.T])
        rng = np.random.default_rng(self.seed)
        sizes = [len(self._operations), *[self.width] * self.n_layers]
        parameters = [
            torch.tensor(rng.uniform(-1, 1, shape) * math.sqrt(6.0 / sum(shape)))
            for shape in itertools.pairwise(sizes)
        ]
        n_read = self.width + columns.shape[1]
        parameters.append(torch.tensor(rng.uniform(-1, 1, n_read) * math.sqrt(3.0 / n_read)))
        parameters = [p.float().requires_grad_() for p in parameters]
        nodes, ways = self._tensors(graphs)
        more, targets = self._scaled(columns), torch.tensor(values, dtype=torch.float32)
        n, steps = len(values), math.ceil(len(values) / self.batch_size)
        optimizer = torch.optim.AdamW(
            parameters, self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs * steps)
        with threadpool_limits(1):  # small graphs take far longer where threads wait for each other
            for _ in range(self.epochs):
                for batch in np.array_split(rng.permutation(n), steps):
                    kept = torch.tensor(rng.random((len(batch), n_read)) >= self.dropout)
                    kept = kept / (1.0 - self.dropout)
                    outputs = _outputs(
                        parameters, nodes[batch], ways[batch], more[batch], kept.float()
                    )
                    loss = ((outputs - targets[batch]) ** 2).mean()
                    optimizer.zero_grad()
                    torch.autograd.backward(loss)
                    optimizer.step()
                    schedule.step()
        self._parameters = [p.detach().numpy() for p in parameters]

    def _predict(self, architectures: Architectures, columns: Floats) -> tuple[Floats, Floats]:
        import torch

        parameters = [torch.tensor(p) for p in self._parameters]
        results = []
        with torch.no_grad(), threadpool_limits(1):
            for i in range(0, len(architectures), _AT_ONCE):
                part = slice(i, i + _AT_ONCE)
                nodes, ways = self._tensors(self._graphs(architectures[part]))
                more = self._scaled(columns[part])
                results.append(_outputs(parameters, nodes, ways, more).numpy())
        return np.concatenate(results).astype(np.float64), np.zeros(len(architectures))

    def _graphs(self, architectures: Architectures) -> list[OperationGraph]:
        return [operation_graph(self.space, tuple(one)) for one in architectures.tolist()]

    def _scaled(self, columns: Floats) -> torch.Tensor:
        """``(n, k)`` columns of mean 0 and variance 1, and 0 where there is no number."""
        import torch

        scaled = np.nan_to_num((columns - self._centre) / self._spread, posinf=3.0, neginf=-3.0)
        return torch.tensor(scaled, dtype=torch.float32)

    def _tensors(self, graphs: list[OperationGraph]) -> tuple[torch.Tensor, torch.Tensor]:
        """``(n, nodes, operations)`` nodes, and ``(n, nodes, nodes)`` shares of what feeds each.

        The first node is the one that all feed. A node takes the mean of those that feed it and of
        itself. An operation that was not learned is 0.
        """
        import torch

        most = 1 + max(len(graph.labels) for graph in graphs)
        nodes = np.zeros((len(graphs), most, len(self._operations)), np.float32)
        ways = np.zeros((len(graphs), most, most), np.float32)
        for i, graph in enumerate(graphs):
            n = len(graph.labels)
            nodes[i, 0, 0] = 1.0
            ways[i, 0, : n + 1] = 1.0 / (n + 1)
            for j, (label, sources) in enumerate(
                zip(graph.labels, graph.sources, strict=True), start=1
            ):
                if label in self._operations:
                    nodes[i, j, self._operations[label]] = 1.0
                for k in (j, *(source + 1 for source in sources)):
                    ways[i, j, k] += 1.0 / (len(sources) + 1)
        return torch.tensor(nodes), torch.tensor(ways)


def _outputs(
    parameters: list[torch.Tensor],
    nodes: torch.Tensor,
    ways: torch.Tensor,
    more: torch.Tensor,
    kept: torch.Tensor | None = None,
) -> torch.Tensor:
    """``(n,)`` outputs: each layer is ``relu(ways @ nodes @ weights)`` (Kipf and Welling, eq. 2)."""
    import torch

    for weights in parameters[:-1]:
        nodes = torch.relu(ways @ (nodes @ weights))
    read = torch.cat([nodes[:, 0], more], dim=1)
    return (read if kept is None else read * kept) @ parameters[-1]


def _mean(column: Floats) -> float:
    finite = column[np.isfinite(column)]
    return float(finite.mean()) if len(finite) else 0.0


def _spread(column: Floats) -> float:
    finite = column[np.isfinite(column)]
    return float(finite.std()) or 1.0 if len(finite) else 1.0
