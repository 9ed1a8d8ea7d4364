"""What a benchmark gives to algorithms that ask for it: the name of its data, and scores by proxies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Proxies, Work
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.errors import UnknownNameError
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.proxies import PROXIES, score_column, seconds_column

if TYPE_CHECKING:
    from nasbench_lab.trainer.recipe import Recipe

Floats = NDArray[np.float64]

_WITH_NETWORKS = ("nb201", "nats-sss")
"""The spaces that the trainer has networks of."""


def data_of(benchmark: Benchmark) -> str | None:
    """The name of the data that a benchmark trains on, if the trainer can load it; else None."""
    if benchmark.dataset is None:
        return None
    from nasbench_lab.trainer.datasets import DATASETS

    return benchmark.dataset if benchmark.dataset in DATASETS else None


class BenchmarkProxies(Proxies):
    """The proxies of a benchmark: columns of its table, and else what the trainer computes.

    A table holds scores and the seconds that they took. What the trainer computes takes the seconds
    that are measured then; where the benchmark does not measure its own times, it takes what forward
    and backward passes over the batch are worth, so that runs repeat to the bit.

    Args:
        benchmark: The benchmark.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        self._known: dict[str, dict[Architecture, float]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The proxies that there are, those of the table first."""
        computed = () if self._recipe is None else PROXIES
        return tuple(dict.fromkeys([*self._columns, *computed]))

    def score(self, names: Sequence[str], architectures: Architectures) -> tuple[Floats, Work]:
        """Scores architectures, see ``Proxies``.

        Raises:
            UnknownNameError: There is no such proxy.
            MissingPackageError: A score must be computed, and PyTorch is not installed.
            MissingSourceError: A score must be computed, and the images are not there.
        """
        for name in names:
            if name not in self.names:
                what = f"zero-cost proxy of {self._benchmark.name!r}"
                raise UnknownNameError(what, str(name), self.names)
        space = self._benchmark.space
        many = np.asarray(architectures).reshape(-1, len(space.decisions))
        # Isomorphic architectures are one network.
        distinct, classes = np.unique(space.canonical(many), axis=0, return_inverse=True)
        members = [tuple(one) for one in distinct.tolist()]
        scores, seconds = np.empty((len(names), len(members))), 0.0
        scored = np.zeros(len(members))
        for i, name in enumerate(names):
            known = self._known.setdefault(name, {})
            new = [j for j, member in enumerate(members) if member not in known]
            of = self._looked_up if name in self._columns else self._computed
            values, took_s = of(name, distinct[new]) if new else (np.empty(0), 0.0)
            known.update(zip((members[j] for j in new), values.tolist(), strict=True))
            scored[new] += 1
            seconds += took_s
            scores[i] = [known[member] for member in members]
        passes = None
        if not self._benchmark.measured and not set(names) <= set(self._columns):
            passes = np.zeros((distinct.shape[1], max(space.n_options)))
            decisions = np.arange(distinct.shape[1])
            for member, times in zip(distinct, scored * self._share, strict=True):
                passes[decisions, member] += times
        return scores[:, classes.ravel()], Work(passes, seconds)

    @cached_property
    def _columns(self) -> dict[str, tuple[Column, Column | None]]:
        """Columns of the scores and of their seconds, by proxy."""
        if not isinstance(self._benchmark, TableBenchmark):
            return {}
        columns, found = self._benchmark.table.columns, {}
        for name, column in columns.items():
            fits = column.dataset in (None, self._benchmark.dataset)
            if column.quantity == "proxy" and fits and not column.on_test_data:
                proxy = name.removeprefix(score_column(""))
                times = columns.get(seconds_column(proxy)) or columns.get(f"{proxy}_time")
                found[proxy] = column, times
        return found

    def _looked_up(self, name: str, architectures: Architectures) -> tuple[Floats, float]:
        """Scores of the table, NaN where it has none, and the seconds of all."""
        benchmark = self._benchmark
        assert isinstance(benchmark, TableBenchmark)
        column, times = self._columns[name]
        rows = benchmark.table.row(architectures)
        values = np.where(rows >= 0, benchmark.table.values(column.name)[rows], np.nan)
        took = 0.0
        if times is not None:
            took = float(np.nansum(benchmark.table.values(times.name)[rows[rows >= 0]]))
        return (values if column.maximize else -values), took

    @cached_property
    def _space(self) -> SearchSpace:
        """The space of the networks, also where a search moves in a part of it."""
        benchmark = self._benchmark
        return benchmark.table.space if isinstance(benchmark, TableBenchmark) else benchmark.space

    @cached_property
    def _recipe(self) -> Recipe | None:
        """How the networks are trained, and so what they look like; None if nobody knows."""
        from nasbench_lab.trainer.recipe import RECIPES

        if self._space.name not in _WITH_NETWORKS:
            return None
        own: Recipe | None = getattr(self._benchmark, "recipe", None)
        return own or RECIPES.get(self._benchmark.dataset or "")

    @cached_property
    def _data(self) -> Any:
        from nasbench_lab.trainer.datasets import load_data

        own = getattr(self._benchmark, "data", None)
        recipe = self._recipe
        assert recipe is not None
        return own or load_data(recipe.data, trained_on=recipe.trained_on)

    @cached_property
    def _share(self) -> float:
        """The share of the training images that a network is scored on."""
        from nasbench_lab.trainer.scoring import IMAGES

        n = len(self._data.labels["train"])
        return min(IMAGES, n) / n

    def _computed(self, name: str, architectures: Architectures) -> tuple[Floats, float]:
        """Scores that are computed now, and the seconds of all."""
        from nasbench_lab.trainer import need_torch

        need_torch()
        from nasbench_lab.trainer.scoring import score_architecture

        recipe = self._recipe
        assert recipe is not None
        sign = 1.0 if PROXIES[name].maximize else -1.0
        values, took = [], 0.0
        for architecture in map(tuple, architectures.tolist()):
            scores = score_architecture(self._space, architecture, recipe, self._data, [name])
            values.append(sign * scores.values[name])
            took += scores.seconds[name]
        return np.array(values), took

    def __getstate__(self) -> dict[str, Any]:
        return {"_benchmark": self._benchmark, "_known": self._known}  # the rest is found again
