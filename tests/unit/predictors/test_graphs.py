"""Graphs of operations, and the Weisfeiler-Lehman kernel by a brute-force count of labels."""

from collections import Counter

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from nasbench_lab.predictors import graphs
from nasbench_lab.predictors.graphs import ROUNDS, Labels, OperationGraph, operation_graph
from nasbench_lab.predictors.kernels import Hyperparameters, Kernel
from nasbench_lab.predictors.posterior import Candidates, Posterior
from nasbench_lab.spaces import PoolSpace, get_space

NB201 = get_space("nb201")
POOL = PoolSpace(NB201, NB201.sample(np.random.default_rng(0), 150))
GRAPHS = PoolSpace(
    get_space("nas-bench-graph"),
    get_space("nas-bench-graph").sample(np.random.default_rng(0), 150),
)


@pytest.mark.parametrize(
    ("text", "labels", "sources"),
    [
        # The edge from 1 to 2 leads nowhere, and nothing reaches the one from 2 to the output.
        (
            "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|",
            ("input", "nor_conv_1x1", "skip_connect", "avg_pool_3x3", "output"),
            ((), (0,), (0,), (1,), (2, 3)),
        ),
        (
            "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            ("input", "output"),
            ((), ()),
        ),
        (
            "|nor_conv_1x1~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|none~1|nor_conv_3x3~2|",
            ("input", "nor_conv_1x1", "skip_connect", "avg_pool_3x3", "nor_conv_3x3", "output"),
            ((), (0,), (0,), (1,), (2, 3), (4,)),
        ),
    ],
)
def test_operations_on_edges_become_nodes(text, labels, sources):
    graph = operation_graph(NB201, NB201.from_string(text))
    assert graph == OperationGraph(labels, sources)


def test_operations_on_nodes_stay_nodes():
    space = get_space("nas-bench-graph")
    cell = space.from_string("Arch([0, 0, 1, 2], ['gcn', 'gin', 'fc', 'cheb'])")
    assert operation_graph(space, cell) == OperationGraph(
        ("input", "gcn", "gin", "fc", "cheb", "output"), ((), (0,), (0,), (1,), (2,), (3, 4))
    )


def texts(graph, rounds):
    """The label of each node as the text of all that is in it, by recursion."""

    def text(node, depth):
        if not depth:
            return graph.labels[node]
        below = sorted(text(source, depth - 1) for source in graph.sources[node])
        return f"<{text(node, depth - 1)}:{','.join(below)}>"

    return Counter(text(node, rounds) for node in range(len(graph.labels)))


@pytest.mark.parametrize("space", [POOL, GRAPHS], ids=["nb201", "nas-bench-graph"])
def test_kernel_is_a_count_of_labels_by_brute_force(space):
    some = space.sample(np.random.default_rng(1), 25)
    squares = Kernel("wl", space).squares(some)
    cells = [operation_graph(space, tuple(one)) for one in some.tolist()]
    for rounds in range(ROUNDS + 1):
        counts = [texts(graph, rounds) for graph in cells]
        for i, one in enumerate(counts):
            for j, other in enumerate(counts):
                common = sum(n * other[label] for label, n in one.items())
                norms = [sum(n * n for n in count.values()) for count in (one, other)]
                distance = 2.0 - 2.0 * common / (norms[0] * norms[1]) ** 0.5
                assert squares[rounds, i, j] == pytest.approx(distance, abs=1e-9)


def test_labels_that_are_not_known_are_one(monkeypatch):
    monkeypatch.setattr(graphs, "_ALL", 10)
    monkeypatch.setattr(graphs, "_SOME", 20)
    labels = Labels(POOL)
    every = POOL.at(np.arange(POOL.size))
    counts = labels.counts(every)
    nodes = [len(operation_graph(POOL, tuple(one)).labels) for one in every.tolist()]
    for i in range(ROUNDS + 1):
        part = counts[:, labels.starts[i] : labels.starts[i + 1]]
        np.testing.assert_array_equal(part.sum(axis=1), nodes)  # each node is counted once
    assert counts[:, labels.starts[ROUNDS]].any()


@pytest.mark.parametrize("one_by_one", [False, True])
def test_posterior_agrees_with_scikit_learn(one_by_one):
    kernel, rng = Kernel("wl", POOL), np.random.default_rng(2)
    observed, candidates = POOL.sample(rng, 20), POOL.sample(rng, 40)
    y, hyper = rng.normal(size=20), Hyperparameters(1.7, np.array([0.8, 1.5, 3.0]), 0.03)

    def points(architectures):
        features, starts = kernel.features(architectures), Labels(POOL).starts
        lengths = np.repeat(hyper.lengths, np.diff(starts))
        return features[:, :-1] / lengths

    model = GaussianProcessRegressor(
        ConstantKernel(hyper.amplitude) * RBF(1.0) + WhiteKernel(hyper.noise), optimizer=None
    ).fit(points(observed), y)
    mean, sd = model.predict(points(candidates), return_std=True)
    first = 1 if one_by_one else 20
    posterior = Posterior(Candidates(kernel, candidates), hyper, observed[:first], y[:first])
    for architecture, target in zip(observed[first:], y[first:], strict=True):
        posterior.add(tuple(architecture.tolist()), target)
    np.testing.assert_allclose(posterior.mean, mean, atol=1e-6)
    np.testing.assert_allclose(posterior.variance, sd**2 - hyper.noise, atol=1e-6)
