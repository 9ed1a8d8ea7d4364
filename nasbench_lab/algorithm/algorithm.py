"""The interface of a search algorithm: ``ask`` for a trial, ``tell`` its result.

An algorithm may also work itself, such as train a supernet; ``ask`` then returns ``Work``.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from nasbench_lab.algorithm.checks import check_number
from nasbench_lab.algorithm.work import Work
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.words import counted

Seed = int | np.random.SeedSequence | np.random.Generator


class Trial(NamedTuple):
    """An evaluation that an algorithm asks for.

    Args:
        number: Counts the algorithm's trials from 0. A trial that continues to a later epoch keeps
            its number: ``trial._replace(epoch=later)``.
        architecture: The architecture to evaluate.
        epoch: The epoch of training to evaluate it after, or None for the last.
    """

    number: int
    architecture: Architecture
    epoch: int | None = None


class Evaluation(NamedTuple):
    """The answer of a benchmark. It never holds a test metric.

    Args:
        values: One value per objective, in the benchmark's units; NaN where the evaluation failed.
        cost: The cost of the evaluation, in the unit of the benchmark's clock.
        epoch: The epoch that was evaluated, or None where the benchmark does not know.
        row: The entry of the benchmark's table, or -1.
        violation: By how much the benchmark's constraints are violated; 0 where they hold, NaN where
            only a full training will tell.
    """

    values: tuple[float, ...]
    cost: float
    epoch: int | None = None
    row: int = -1
    violation: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether no constraint is violated, as far as the benchmark knows."""
        return not self.violation > 0


class SearchAlgorithm(ABC):
    """Base of all search algorithms.

    A child overrides ``ask`` and, to learn from results, ``tell``. It may override ``observe`` to
    learn from results of other searches, and ``should_stop`` to end trials early. It may work itself
    in ``ask``, and return ``Work`` that says how much. Any number of trials may be outstanding, and
    their results may come in any order. All randomness comes from ``self.rng``; an algorithm holds no
    table and knows no time. A copy that is pickled in mid-run continues with the same run.

    Args:
        space: The space to search.
        seed: Seed of the algorithm's only random generator.
        maximize: Whether more is better, for the one objective or for each of several.
        fidelities: The epochs after which an architecture can be evaluated, in ascending order. The
            last is a full training. Empty where the benchmark knows the end of training only.
        weights: One weight per objective; ``score`` is then the weighted sum of the objectives in
            their own units, each turned so that more is better. By default only the first counts.
    """

    citation: ClassVar[str] = ""
    """BibTeX of the papers that define the algorithm; a child without its own cites its parent's.

    An algorithm of one file assigns it at the end of the file, after the class.
    """

    needs_torch: ClassVar[bool] = False
    """Whether it searches only where PyTorch is installed; it is listed everywhere."""

    needs: ClassVar[str] = ""
    """The package that it searches with, such as ``"optuna"``.

    An extra of that name installs it, with hyphens for underscores.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: Seed = 0,
        maximize: bool | Sequence[bool] = True,
        fidelities: Sequence[int] = (),
        weights: Sequence[float] | None = None,
    ) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        directions = [maximize] if isinstance(maximize, bool | np.bool_) else maximize
        self.maximize = tuple(map(bool, directions))
        self.fidelities = tuple(map(int, fidelities))
        self._signs = tuple(1.0 if more else -1.0 for more in self.maximize)
        self._weights = None if weights is None else self._signed(weights)
        self._n_trials = 0
        self._worst_score = math.inf

    def reweigh(self, weights: Sequence[float]) -> None:
        """Changes the weights of the objectives in ``score``, for results that are told from now on.

        Raises:
            HyperparameterError: There is not one finite weight for each objective.
        """
        self._weights = self._signed(weights)

    @abstractmethod
    def ask(self) -> Trial | Work | None:
        """The next trial, or work that was done here, or None while the algorithm waits.

        A search that answers None with nothing outstanding is over. Work occupies a worker too, and
        ``ask`` is not called again before it has ended.
        """

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:  # noqa: B027 (optional)
        """Learns the result of a trial that ``ask`` gave. By default nothing is learned.

        A trial that continues to a later epoch is told once for each epoch it was asked for.
        """

    def observe(  # noqa: B027 (optional)
        self, architecture: Architecture, evaluation: Evaluation
    ) -> None:
        """Learns a result that this algorithm did not ask for: of another search, or of a warm start.

        It may come before the first ``ask`` and between any two calls, and its architecture may be
        one that was asked. By default nothing is learned, because ``tell`` may look for what ``ask``
        noted of a trial; an algorithm that only knows ``ask`` and ``tell`` searches as if nothing
        had been observed. An algorithm that compares full trainings passes over others, see
        ``is_final``.

        Args:
            architecture: The architecture that was evaluated, one of ``space``.
            evaluation: Its result.
        """

    def should_stop(self, trial: Trial, evaluation: Evaluation) -> bool:
        """Whether a running trial stops at this epoch, which is before the one it was asked for.

        An algorithm that overrides this sees every epoch of ``fidelities`` as it happens. When it
        stops a trial it is told the result of that epoch, as if it had asked for it. The validation
        passes after these epochs are charged by the clock ``every_epoch`` only.
        """
        return False

    @property
    def watches_epochs(self) -> bool:
        """Whether ``should_stop`` is to see every epoch: where it is overridden."""
        return type(self).should_stop is not SearchAlgorithm.should_stop

    def trial(self, architecture: Architecture, epoch: int | None = None) -> Trial:
        """A new trial of an architecture, with the next number."""
        number = self._n_trials
        self._n_trials = number + 1
        return Trial(number, architecture, epoch)

    def is_final(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation is that of a full training."""
        return not self.fidelities or evaluation.epoch in (None, self.fidelities[-1])

    def score(self, evaluation: Evaluation) -> float:
        """The first objective, or the weighted sum of all, turned so that more is better.

        Minus infinity if the evaluation failed or is infeasible.
        """
        if self._weights is None:
            value = self._signs[0] * evaluation.values[0]
        else:
            value = sum(w * v for w, v in zip(self._weights, evaluation.values, strict=True))
            if not math.isfinite(value) and all(map(math.isfinite, evaluation.values)):
                value = self._large_sum(evaluation.values)
        return value if evaluation.feasible and not math.isnan(value) else -math.inf

    def penalised_score(self, evaluation: Evaluation) -> float:
        """The score, but for an infeasible evaluation the worst finite score before it.

        A model that learns from finite numbers only would learn nothing from minus infinity, and
        propose infeasible architectures again. Call this once for each result, in their order.

        Returns:
            Minus infinity if the evaluation failed, or is infeasible and has no finite score before.
        """
        score = self.score(evaluation)
        if not evaluation.feasible:
            return self._worst_score if math.isfinite(self._worst_score) else -math.inf
        if math.isfinite(score):
            self._worst_score = min(self._worst_score, score)
        return score

    def _large_sum(self, values: Sequence[float]) -> float:
        """The weighted sum where it overflows: at most the largest number, of its sign."""
        assert self._weights is not None
        part = sum(w * (v / 2.0**64) for w, v in zip(self._weights, values, strict=True))
        return max(-sys.float_info.max, min(part * 2.0**64, sys.float_info.max))

    def _signed(self, weights: Sequence[float]) -> tuple[float, ...]:
        """One weight per objective, negative where less is better."""
        numbers = tuple(weights) if isinstance(weights, Iterable) else ()
        if len(numbers) != len(self.maximize):
            raise HyperparameterError(
                f"Expected one weight for each of {counted(len(self.maximize), 'objective')} "
                f"but got {weights!r}."
            )
        for weight in numbers:
            check_number("weights", weight)
        return tuple(float(w) * sign for w, sign in zip(numbers, self._signs, strict=True))
