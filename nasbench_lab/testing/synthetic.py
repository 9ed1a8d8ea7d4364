"""Benchmarks, proxies and other tasks whose values are made up, over any space."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation, History, OtherTask, Proxies, Work
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace
from nasbench_lab.tables.proxies import PROXIES


class SyntheticBenchmark(Benchmark):
    """Objectives made up from the options, over any space.

    A value is a sum of one weight per option and, for neighbouring decisions, of one weight per
    pair of options: smooth enough to be learned, not separable. An evaluation costs 1, or, where
    there are epochs, as many seconds as new epochs. An algorithm's own work costs as many as epochs
    that it is worth, or its own.

    Args:
        space: The space.
        maximize: Whether more is better, in each objective; a minimised objective is the maximised
            one times -1.
        failing: The share of architectures whose evaluation fails.
        constant: Whether all architectures are worth the same.
        epochs: Epochs of a full training, in which learning curves rise to the value, some faster
            than others.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        maximize: bool | Sequence[bool] = True,
        failing: float = 0.0,
        constant: bool = False,
        epochs: int | None = None,
    ) -> None:
        self.name, self.space, self.epochs = "synthetic", space, epochs
        self.clock = "resume" if epochs else "evaluations"
        self.fidelities = tuple(range(1, epochs + 1)) if epochs else ()
        several = [maximize] if isinstance(maximize, bool) else maximize
        names = ("value", *(f"value_{i}" for i in range(1, len(several))))
        self.objectives = tuple(map(Objective, names, [""] * len(names), several))
        self.failing, self.constant = failing, constant
        rng = np.random.default_rng(0)
        sizes = space.n_options
        self._weights = [
            (
                [rng.normal(size=n).tolist() for n in sizes],
                [(0.5 * rng.normal(size=pair)).tolist() for pair in itertools.pairwise(sizes)],
            )
            for _ in several
        ]

    def charge(self, work: Work) -> float:
        """What work is worth in epochs; its seconds if it trained nothing."""
        return work.seconds if work.passes is None else work.epochs

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """The made-up values of an architecture."""
        a = self.space.validate(architecture)
        at = self.epochs if epoch is None else epoch
        cost = 1.0 if self.epochs is None or at is None else float(at - (since or 0))
        if self.failing and random.Random(str(a)).random() < self.failing:
            return Evaluation((math.nan,) * len(self.objectives), cost, at)
        missing = 0.0
        if at and self.epochs:
            # What is missing at an epoch halves with each, from a start that varies.
            start = 4.0 * random.Random(f"curve of {a}").random()
            missing = start * (0.5**at - 0.5**self.epochs)
        values = []
        for objective, (single, pairs) in zip(self.objectives, self._weights, strict=True):
            value = sum(w[o] for w, o in zip(single, a, strict=True)) - missing
            value += sum(w[a[i]][a[i + 1]] for i, w in enumerate(pairs))
            values.append(0.0 if self.constant else value if objective.maximize else -value)
        return Evaluation(tuple(values), cost, at)


class SyntheticProxies(Proxies):
    """Scores made up from the options, over any space; each takes a hundredth of a second.

    Args:
        space: The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._scored: dict[str, set[Architecture]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All proxies."""
        return tuple(PROXIES)

    def score(self, names: Sequence[str], architectures: Architectures) -> tuple[Any, Work]:
        """The made-up scores of architectures."""
        scores = np.zeros((len(names), len(architectures)))
        n = 0
        for line, name in zip(scores, names, strict=True):
            rng = np.random.default_rng(self.names.index(name))
            for options, n_options in zip(architectures.T, self.space.n_options, strict=True):
                line += rng.normal(size=n_options)[options]
            members = set(map(tuple, architectures.tolist()))
            scored = self._scored.setdefault(name, set())
            n += len(members - scored)
            scored |= members
        return scores, Work(seconds=0.01 * n)


def synthetic_history(space: SearchSpace) -> History:
    """Two other tasks, with a few architectures of made-up scores, over any space."""
    tasks = []
    for number in range(2):
        rng = np.random.default_rng([7, number])
        architectures = np.unique(space.canonical(space.sample(rng, 12)), axis=0)
        scores = np.zeros(len(architectures))
        for options, n_options in zip(architectures.T, space.n_options, strict=True):
            scores += rng.normal(size=n_options)[options]
        tasks.append(OtherTask(f"task {number}", architectures, scores))
    return History(tasks)
