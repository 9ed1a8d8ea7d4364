"""A graph convolutional network on the graph of operations.

Dudziak, Chau, Abdelfattah, Lee, Kim and Lane, "BRP-NAS: prediction-based NAS using GCNs", NeurIPS 2020
(arXiv 2007.08668), sections 3 and 4: four layers of graph convolution, of which the whole graph is read
at a node that all others feed. Graph convolution: Kipf and Welling, ICLR 2017 (arXiv 1609.02907).

The network is so small that NumPy takes less time for it than PyTorch, which it then does not need.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from nasbench_lab.algorithm import check_number
from nasbench_lab.errors import UnknownNameError
from nasbench_lab.predictors.adam import Adam
from nasbench_lab.predictors.graphs import OperationGraph, check_graphs, operation_graph
from nasbench_lab.predictors.predictor import Floats, Predictor
from nasbench_lab.spaces import Architectures, SearchSpace

_GLOBAL = "all"
"""The operation of the node that all others feed."""


class GraphConvolution(Predictor):
    """The network of BRP-NAS; it gives no standard deviations.

    Columns are added to what it reads of the graph, each scaled to mean 0 and variance 1. Values far
    off in the longer tail count as less far.

    The paper predicts which of two architectures is better: a linear layer reads both graphs, and
    learns by cross entropy. If it sees each pair in both orders, the loss stays the same where the two
    halves of the layer are exchanged and negated. It is convex, so the mean of a layer and its exchange
    is at least as good. That mean gives each architecture one score, and the logit of "the first is
    better" is the difference of two scores. ``loss="pairwise"`` learns such scores. They are
    consistent: a greater score wins more duels. They are scaled so that those of the learned
    architectures have the mean and the variance of their values.

    The default is the loss that was no worse: Kendall's tau with 40 and 100 architectures, means over 6
    seeds with standard errors up to 0.02, is 0.545 and 0.617 on ``nb201-digits`` (pairwise: 0.540 and
    0.608), and 0.600 and 0.654 on ``nas-bench-201-final/cifar10`` (pairwise: 0.589 and 0.652).

    Args:
        space: The space of the architectures.
        loss: ``"squared"``, by which the paper's network learns latencies, or ``"pairwise"``.
        width: Units of a layer; the paper has 600.
        n_layers: Layers of graph convolution.
        epochs: Passes over the data.
        batch_size: Architectures of a step, at most; a pairwise loss compares all pairs of them.
        learning_rate: Adam's at the start; it falls to 0 along a cosine.
        weight_decay: Adam's.
        dropout: The share of units that a step leaves out before the last layer.
        **kwargs: ``seed`` of ``Predictor``.

    Raises:
        UnknownNameError: There is no such loss.
        UnsuitedError: The architectures of the space are no graphs.
    """

    uncertain, robust = False, True
    at_once = 512

    def __init__(
        self,
        space: SearchSpace,
        *,
        loss: str = "squared",
        width: int = 64,
        n_layers: int = 4,
        epochs: int = 100,
        batch_size: int = 16,
        learning_rate: float = 0.002,
        weight_decay: float = 5e-4,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_graphs(space)
        if loss not in LOSSES:
            raise UnknownNameError("loss", loss, LOSSES)
        for name, value, low in (
            ("width", width, 1),
            ("n_layers", n_layers, 1),
            ("epochs", epochs, 1),
            ("batch_size", batch_size, 1 if loss == "squared" else 2),
        ):
            check_number(name, value, whole=True, low=low)
        check_number("learning_rate", learning_rate, above=0)
        check_number("weight_decay", weight_decay, low=0)
        check_number("dropout", dropout, low=0, below=1)
        self.loss = loss
        self.width, self.n_layers = width, n_layers
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.dropout = dropout

    def _fit(self, architectures: Architectures, values: Floats, columns: Floats) -> None:
        graphs = self._graphs(architectures)
        names = sorted({label for graph in graphs for label in graph.labels})
        self._operations = {name: i for i, name in enumerate([_GLOBAL, *names])}
        self._centre = np.array([_mean(column) for column in columns.T])
        self._spread = np.array([_spread(column) for column in columns.T])
        rng = np.random.default_rng(self.seed)
        sizes = [len(self._operations), *[self.width] * self.n_layers]
        network = self._network = Network(sizes, columns.shape[1], rng)
        batches = self._batch(graphs, columns)
        n, steps = len(values), math.ceil(len(values) / self.batch_size)
        adam = Adam(network.parameters, self.learning_rate, self.weight_decay)
        done = 0
        with threadpool_limits(1):  # small graphs take far longer where threads wait for each other
            for _ in range(self.epochs):
                for some in np.array_split(rng.permutation(n), steps):
                    share = done / (self.epochs * steps)
                    adam.learning_rate = (
                        0.5 * self.learning_rate * (1.0 + math.cos(math.pi * share))
                    )
                    kept = rng.random((len(some), network.n_read)) >= self.dropout
                    batch = Batch(*(part[some] for part in batches))
                    adam.step(
                        network.gradient(
                            batch, values[some], LOSSES[self.loss], kept / (1.0 - self.dropout)
                        )
                    )
                    done += 1
            if self.loss == "pairwise":
                scores = network.outputs(batches)
                self._zero, self._unit = float(scores.mean()), float(scores.std()) or 1.0

    def _predict(self, architectures: Architectures, columns: Floats) -> tuple[Floats, Floats]:
        with threadpool_limits(1):
            mean = self._network.outputs(self._batch(self._graphs(architectures), columns))
        if self.loss == "pairwise":
            mean = (mean - self._zero) / self._unit
        return mean, np.zeros(len(mean))

    def _graphs(self, architectures: Architectures) -> list[OperationGraph]:
        return [operation_graph(self.space, tuple(one)) for one in architectures.tolist()]

    def _batch(self, graphs: list[OperationGraph], columns: Floats) -> Batch:
        """What the network reads of graphs and columns.

        The first node is the one that all feed. A node takes the mean of those that feed it and of
        itself. An operation that was not learned is 0, and so is a column without a number.
        """
        most = 1 + max(len(graph.labels) for graph in graphs)
        nodes = np.zeros((len(graphs), most, len(self._operations)))
        ways = np.zeros((len(graphs), most, most))
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
        scaled = np.nan_to_num((columns - self._centre) / self._spread, posinf=3.0, neginf=-3.0)
        return Batch(ways @ nodes, ways, scaled)


class Batch(NamedTuple):
    """What a network reads of ``n`` architectures.

    Args:
        fed: ``(n, nodes, operations)`` shares of the operations in what feeds each node.
        ways: ``(n, nodes, nodes)`` shares of the nodes in what feeds each.
        columns: ``(n, k)`` columns.
    """

    fed: Floats
    ways: Floats
    columns: Floats


Loss = Callable[[Floats, Floats], tuple[float, Floats]]
"""From ``(n,)`` outputs and ``(n,)`` values to the loss and its ``(n,)`` slopes in the outputs."""


class Network:
    """Graph convolution, and a linear layer on the first node and the columns.

    A layer is ``relu(ways @ nodes @ weights)`` (Kipf and Welling, equation 2).

    Args:
        sizes: The number of operations, and the units of each layer.
        n_columns: The number of columns.
        rng: Draws the weights uniformly, as Glorot and Bengio (AISTATS 2010).
    """

    def __init__(self, sizes: list[int], n_columns: int, rng: np.random.Generator) -> None:
        self.n_read = sizes[-1] + n_columns
        """The number of inputs of the last layer."""
        shapes = [*itertools.pairwise(sizes), (self.n_read, 1)]
        self.parameters = np.empty(sum(rows * columns for rows, columns in shapes))
        """All weights, one after the other."""
        self._gradient = np.empty_like(self.parameters)
        self.layers, self._slopes = [], []  # parts of the two
        start = 0
        for rows, columns in shapes:
            part = slice(start, start + rows * columns)
            start = part.stop
            limit = math.sqrt(6.0 / (rows + columns))
            self.parameters[part] = rng.uniform(-limit, limit, rows * columns)
            self.layers.append(self.parameters[part].reshape(rows, columns))
            self._slopes.append(self._gradient[part].reshape(rows, columns))

    def outputs(self, batch: Batch) -> Floats:
        """``(n,)`` outputs."""
        *_, read = self._states(batch)
        return (read @ self.layers[-1])[:, 0]

    def gradient(self, batch: Batch, values: Floats, loss: Loss, kept: Floats) -> Floats:
        """The gradient of the loss in the parameters; it is overwritten by the next.

        Args:
            batch: The architectures.
            values: ``(n,)`` their values.
            loss: The loss.
            kept: ``(n, n_read)`` factors of the inputs of the last layer, 0 for what is left out.
        """
        fed, states, read = self._states(batch)
        read = read * kept
        _, slope = loss((read @ self.layers[-1])[:, 0], values)
        np.matmul(read.T, slope[:, None], out=self._slopes[-1])
        width = states[-1].shape[2]
        back = (slope[:, None] * self.layers[-1][:, 0] * kept)[:, None, :width]
        for i in reversed(range(len(states))):
            flat = (back * (states[i] > 0)).reshape(-1, back.shape[2])
            np.matmul(fed[i].reshape(-1, fed[i].shape[2]).T, flat, out=self._slopes[i])
            if i:
                of_fed = (flat @ self.layers[i].T).reshape(fed[i].shape)
                back = self._ways(batch, i).swapaxes(1, 2) @ of_fed
        return self._gradient

    def _states(self, batch: Batch) -> tuple[list[Floats], list[Floats], Floats]:
        """What feeds the nodes at each layer, what they become, and what the last layer reads."""
        fed: list[Floats] = []
        states: list[Floats] = []
        for i, layer in enumerate(self.layers[:-1]):
            n_nodes = self._ways(batch, i).shape[1]
            fed.append(self._ways(batch, i) @ states[-1] if i else batch.fed[:, :n_nodes])
            flat = fed[-1].reshape(-1, len(layer)) @ layer
            states.append(np.maximum(flat, 0.0).reshape(len(fed[-1]), n_nodes, -1))
        return fed, states, np.hstack([states[-1][:, 0], batch.columns])

    def _ways(self, batch: Batch, i: int) -> Floats:
        """The ways at a layer; after the last of them, only the first node is read."""
        return batch.ways[:, :1] if i == len(self.layers) - 2 else batch.ways


def squared_loss(outputs: Floats, values: Floats) -> tuple[float, Floats]:
    """The mean squared error."""
    errors = outputs - values
    return float((errors**2).mean()), 2.0 * errors / len(errors)


def pairwise_loss(outputs: Floats, values: Floats) -> tuple[float, Floats]:
    """The mean cross entropy of which of two has the greater value, over pairs of different values.

    The logit of a pair is the difference of its outputs. The loss is 0 if all values are equal.
    """
    greater = values[:, None] > values
    differences = outputs[:, None] - outputs
    n_pairs = max(1, int(greater.sum()))
    slopes = np.where(greater, -expit(-differences), 0.0) / n_pairs
    loss = np.logaddexp(0.0, -differences[greater]).sum() / n_pairs
    return float(loss), slopes.sum(axis=1) - slopes.sum(axis=0)


LOSSES: dict[str, Loss] = {"squared": squared_loss, "pairwise": pairwise_loss}
"""What the network may learn by."""


def _mean(column: Floats) -> float:
    finite = column[np.isfinite(column)]
    return float(finite.mean()) if len(finite) else 0.0


def _spread(column: Floats) -> float:
    finite = column[np.isfinite(column)]
    return float(finite.std()) or 1.0 if len(finite) else 1.0
