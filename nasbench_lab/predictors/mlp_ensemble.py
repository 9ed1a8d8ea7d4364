"""An ensemble of multilayer perceptrons.

White, Neiswanger and Savani, "BANANAS", AAAI 2021 (arXiv 1910.11858), section 4: five networks of ten
layers of 20 units. Absolute errors, 150 epochs and batches of 32 are those of the authors' later code
(naszilla, ``naszilla/params.py``); the paper divides the errors by the distance from a bound, which
needs to know what is better.

The networks learn in step, as one product of matrices each layer, which takes far less time than one
after the other.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nasbench_lab.algorithm import check_number
from nasbench_lab.predictors.adam import Adam
from nasbench_lab.predictors.predictor import FeaturePredictor, Floats
from nasbench_lab.spaces import SearchSpace


class MLPEnsemble(FeaturePredictor):
    """Networks that differ in their first weights; the standard deviation is theirs.

    Features that are the same in all learned architectures are left out, such as paths that none has.
    The paper leaves out improbable paths; spaces have up to thousands.

    Args:
        space: The space of the architectures.
        n_networks: How many networks.
        n_layers: How many hidden layers each has.
        width: Units of a layer.
        epochs: Passes over the data.
        batch_size: Architectures of a step, at most.
        learning_rate: Adam's.
        **kwargs: ``seed`` and ``encoding`` of ``FeaturePredictor``; the path encoding, if the space
            has it.
    """

    preferred = ("path", "one_hot")

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_networks: int = 5,
        n_layers: int = 10,
        width: int = 20,
        epochs: int = 150,
        batch_size: int = 32,
        learning_rate: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        for name, value in (
            ("n_networks", n_networks),
            ("n_layers", n_layers),
            ("width", width),
            ("epochs", epochs),
            ("batch_size", batch_size),
        ):
            check_number(name, value, whole=True, low=1)
        check_number("learning_rate", learning_rate, above=0)
        self.n_networks, self.n_layers, self.width = n_networks, n_layers, width
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate

    def _fit_features(self, features: Floats, values: Floats) -> None:
        rng = np.random.default_rng(self.seed)
        self._varying = np.ptp(features, axis=0) > 0
        features = features[:, self._varying]
        sizes = [features.shape[1], *[self.width] * self.n_layers, 1]
        networks = self._networks = Networks(self.n_networks, sizes, rng)
        adam = Adam(networks.parameters, self.learning_rate)
        for _ in range(self.epochs):
            order = rng.permutation(len(values))
            for i in range(0, len(values), self.batch_size):
                batch = order[i : i + self.batch_size]
                adam.step(networks.gradient(features[batch], values[batch]))

    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        each = self._networks.outputs(features[:, self._varying])[-1][..., 0]
        return each.mean(axis=0), each.std(axis=0)


class Networks:
    """Perceptrons of the same sizes with rectified units and one linear output.

    Args:
        n: How many.
        sizes: Inputs, units of each hidden layer, and outputs, which are one.
        rng: Draws the first weights uniformly, as Glorot and Bengio (AISTATS 2010); biases are 0.
    """

    def __init__(self, n: int, sizes: list[int], rng: np.random.Generator) -> None:
        shapes = [(n, a + 1, b) for a, b in itertools.pairwise(sizes)]
        self.parameters = np.zeros(sum(n * rows * columns for _, rows, columns in shapes))
        """All weights and biases of all networks, one after the other."""
        self._gradient = np.empty_like(self.parameters)
        self._layers, self._slopes = [], []  # parts of the two, biases in the last rows
        start = 0
        for _, rows, columns in shapes:
            part = slice(start, start + n * rows * columns)
            start = part.stop
            layer = self.parameters[part].reshape(n, rows, columns)
            limit = (6.0 / (rows - 1 + columns)) ** 0.5
            layer[:, :-1] = rng.uniform(-limit, limit, (n, rows - 1, columns))
            self._layers.append(layer)
            self._slopes.append(self._gradient[part].reshape(n, rows, columns))

    def outputs(self, features: Floats) -> list[Floats]:
        """The features, and the outputs ``(n, m, units)`` of each layer at ``(m, k)`` features."""
        results = [features[None]]
        for i, layer in enumerate(self._layers):
            output = results[-1] @ layer[:, :-1]
            output += layer[:, -1:]
            if i < len(self._layers) - 1:
                np.maximum(output, 0.0, out=output)
            results.append(output)
        return results

    def gradient(self, features: Floats, values: Floats) -> Floats:
        """The gradient of the mean absolute error at ``(m, k)`` features, of each network."""
        results = self.outputs(features)
        back = np.sign(results[-1] - values[:, None]) / len(values)
        for i in reversed(range(len(self._layers))):
            slope = self._slopes[i]
            np.matmul(results[i].swapaxes(1, 2), back, out=slope[:, :-1])
            slope[:, -1] = back.sum(axis=1)
            if i:
                back = back @ self._layers[i][:, :-1].swapaxes(1, 2)
                back *= results[i] > 0
        return self._gradient
