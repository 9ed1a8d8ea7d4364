"""A benchmark as other packages ask it: by values with names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.errors import InvalidArchitectureError, short
from nasbench_lab.registry import load_benchmark
from nasbench_lab.spaces import Architecture, Value, names_of, values_of


class Asked:
    """A benchmark that is asked by values with names, and sums up what it is paid.

    Names and values of decisions are those of ``nasbench_lab.spaces.names_of`` and ``values_of``: the
    texts of options, or their numbers where they are ordered.

    Args:
        benchmark: A benchmark, or the name of a table.
        seed: Of the noise of evaluations, if the benchmark has any.

    Attributes:
        benchmark: The benchmark.
        names: The name of each decision.
        values: The values of each decision.
        spent: What was paid, in the unit of the benchmark's clock.
    """

    def __init__(self, benchmark: Benchmark | str, seed: int = 0) -> None:
        self.benchmark = load_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
        self.names = names_of(self.benchmark.space)
        self.values = [values_of(decision) for decision in self.benchmark.space.decisions]
        self.spent = 0.0
        self._rng = np.random.default_rng(seed)

    def chosen(self, choose: Callable[[int], Value | None]) -> Architecture:
        """The architecture of which each decision that exists is chosen.

        Args:
            choose: Gives a value for the decision with a number.

        Raises:
            InvalidArchitectureError: The values stand for no architecture.
        """
        space = self.benchmark.space
        options = [0] * len(self.names)
        for i, known in enumerate(self.values):
            if not space.conditional or space.active(np.array([options]))[0, i]:
                value = choose(i)
                if value is None or value not in known:
                    raise InvalidArchitectureError(
                        f"Expected a value of {self.names[i]!r} out of "
                        f"{short(', '.join(map(str, known)))} but got {value!r}."
                    )
                options[i] = known.index(value)
        return space.nearest(options)

    def architecture(self, values: Mapping[str, Value]) -> Architecture:
        """The architecture with these values, without those of decisions that do not exist.

        Raises:
            InvalidArchitectureError: A value is missing or wrong, or they stand for no architecture.
        """
        return self.chosen(lambda i: values.get(self.names[i]))

    def training(self, architecture: Architecture) -> Iterator[Evaluation]:
        """One training: its evaluations after each epoch that the benchmark knows; none is paid."""
        noise = int(self._rng.integers(2**63))
        for epoch in self.benchmark.fidelities or (None,):
            yield self.benchmark.evaluate(architecture, epoch, np.random.default_rng(noise))

    def evaluate(self, architecture: Architecture, epoch: int | None = None) -> Evaluation:
        """Evaluates an architecture after some epochs, None for all, and pays."""
        noise = int(self._rng.integers(2**63))
        return self.pay(self.benchmark.evaluate(architecture, epoch, np.random.default_rng(noise)))

    def pay(self, evaluation: Evaluation) -> Evaluation:
        """Adds up the cost of an evaluation."""
        self.spent += evaluation.cost
        return evaluation

    def losses(self, evaluation: Evaluation) -> tuple[float, ...]:
        """The objectives, turned so that less is better; infinite if the evaluation failed."""
        pairs = zip(self.benchmark.objectives, evaluation.values, strict=True)
        losses = [-value if objective.maximize else value for objective, value in pairs]
        return tuple(math.inf if math.isnan(loss) else loss for loss in losses)
