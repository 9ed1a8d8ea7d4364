"""Surrogates: benchmarks that answer for a whole space by a model of a table's trainings.

Siems, Zimmer et al., "NAS-Bench-301 and the case for surrogate benchmarks for neural architecture
search", 2020 (arXiv 2008.09777).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Evaluation, Work
from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.errors import PredictorError, TableFileError
from nasbench_lab.predictors import Predictor, make_predictor
from nasbench_lab.registry import load_benchmark
from nasbench_lab.spaces import Architecture, Architectures

FOLDS = 5
FEWEST = 2 * FOLDS
"""The fewest architectures that a surrogate is fitted to."""

Floats = NDArray[np.float64]


class HeldOut(NamedTuple):
    """How far predictions are from the values of architectures that a model has not seen.

    Each architecture is predicted by a model of the four other fifths.

    Args:
        n: How many architectures.
        rmse: The root of the mean squared error, in the unit of the objective.
        spread: The standard deviation of the values, which the mean alone would have as its error.
        kendall: Kendall's rank correlation of predictions and values; NaN if either is constant.
    """

    n: int
    rmse: float
    spread: float
    kendall: float

    def sentence(self, unit: str) -> str:
        """The error in words."""
        return (
            f"Held-out error, of {self.n:,} architectures that the model has not seen: "
            f"{self.rmse:.3g} {unit} (root mean square), where the mean of all would have "
            f"{self.spread:.3g}; Kendall's τ {self.kendall:.2f}."
        )


class Surrogate(Benchmark):
    """A benchmark that predicts what the architectures of a space are worth.

    A predictor learns the trained architectures of a table, and answers for all of its space. A search
    sees its mean and noise, normal with the predictor's standard deviation; results are reported in
    the mean. If the table has times of trainings, another such model predicts them. Isomorphic
    architectures are predicted alike. It is fitted when it is made, the same each time.

    Args:
        table: A table's name, or table and task.
        predictor: One of ``nasbench_lab.predictors.PREDICTORS``.
        settings: The predictor's settings.
        noise: Whether a search sees noise, if the predictor has standard deviations.
        seed: Seed of what is random in the model, and of the fifths.
        fingerprint: The ``fingerprint`` that the table must have; None for any.

    Raises:
        PredictorError: The table has too few architectures.
        TableFileError: The table is another than the one of the fingerprint.
        NasbenchLabError: As ``load_benchmark`` and ``make_predictor``.
    """

    def __init__(
        self,
        table: str,
        predictor: str = "random_forest",
        settings: Mapping[str, Any] | None = None,
        *,
        noise: bool = True,
        seed: int = 0,
        fingerprint: str | None = None,
    ) -> None:
        source = load_benchmark(table, missing="fail")
        self._source = source
        (objective,) = source.objectives[:1]
        self.name = f"{table}-surrogate"
        self.space, self.dataset = source.space, source.dataset
        self.objectives = (objective,)
        self.reported = Objective(f"predicted_{objective.name}", objective.unit, objective.maximize)
        self.clock = "evaluations" if source.clock == "evaluations" else "train_only"
        self.table = source.fingerprint
        if fingerprint is not None and fingerprint != self.table:
            raise TableFileError(
                f"The table {table!r} is another one than that which the surrogate was fitted to. "
                f"Fit it again: nasbench-lab fit-surrogate {table}"
            )
        self._made = (predictor, dict(settings or {}), seed)
        self._architectures, self._values, costs = _known(source)
        self._model = self._fitted(self._values)
        self._cost = None if self.clock == "evaluations" else self._fitted(costs)
        self.noisy = noise and self._model.uncertain

    def _fitted(self, values: Floats, rows: NDArray[Any] | slice = slice(None)) -> Predictor:
        name, settings, seed = self._made
        model = make_predictor(name, self.space, seed, **settings)
        model.fit(self._architectures[rows], values[rows])
        return model

    @property
    def fingerprint(self) -> str:
        """A checksum of the table's columns and of how the model was made."""
        return hashlib.sha256(f"{self.table} {self._made}".encode()).hexdigest()

    def held_out(self) -> HeldOut:
        """The error on architectures that a model has not seen."""
        from scipy.stats import kendalltau

        n = len(self._values)
        fold = np.random.default_rng([self._made[2], n]).permutation(n) % FOLDS
        predicted = np.empty(n)
        for i in range(FOLDS):
            model = self._fitted(self._values, fold != i)
            predicted[fold == i] = model.predict(self._architectures[fold == i])[0]
        return HeldOut(
            n,
            float(np.sqrt(np.mean((predicted - self._values) ** 2))),
            float(np.std(self._values)),
            float(kendalltau(predicted, self._values).statistic),
        )

    def report_value(self, architecture: Architecture) -> float:
        """The predicted mean, without noise."""
        return self._predicted(architecture)[0]

    def _predicted(self, architecture: Architecture) -> tuple[float, float]:
        mean, std = self._model.predict(np.array([self.space.canonical(architecture)]))
        return float(mean[0]), float(std[0])

    def charge(self, work: Work) -> float:
        """What an algorithm's own work takes, as the table charges it."""
        return self._source.charge(work)

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """The value of one training; ``rng`` draws its noise."""
        value, std = self._predicted(architecture)
        if self.noisy and rng is not None:
            value += float(rng.normal(0.0, std))
        cost = 1.0
        if self._cost is not None:
            seconds, _ = self._cost.predict(np.array([self.space.canonical(architecture)]))
            cost = max(float(seconds[0]), 0.0)
        return Evaluation((value,), cost)


def _known(source: TableBenchmark) -> tuple[Architectures, Floats, Floats]:
    """Architectures of a table in their canonical form, their values and what they cost."""
    values = source.table.values(source.first_objective)
    architectures = source.table.architectures
    rows = np.flatnonzero(np.isfinite(values) & (architectures >= 0).all(axis=1))
    every = source.space.canonical(architectures[rows])
    architectures, first, of = np.unique(every, axis=0, return_index=True, return_inverse=True)
    if len(architectures) < FEWEST:
        raise PredictorError(
            f"Expected at least {FEWEST} architectures with values of {source.first_objective.metric} "
            f"in {source.name!r} to fit a surrogate to, but got {len(architectures)}."
        )
    # Rows of isomorphic architectures are trainings of one.
    counts = np.bincount(of.reshape(-1))
    means = np.bincount(of.reshape(-1), weights=values[rows]) / counts
    rng = np.random.default_rng(0)
    costs = [source.evaluate(tuple(one), rng=rng).cost for one in every[first].tolist()]
    return architectures, means, np.array(costs)
