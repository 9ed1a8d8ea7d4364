"""The interface of a search algorithm: ``ask`` for a trial, ``tell`` what came of it."""

from __future__ import annotations

import inspect
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nasbench_lab.errors import HyperparameterError, NasbenchLabError, UnknownNameError
from nasbench_lab.mistakes import told
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.words import counted

Seed = int | np.random.SeedSequence | np.random.Generator


class Trial(NamedTuple):
    """What an algorithm wants evaluated.

    Args:
        number: Counts the algorithm's trials from 0. A trial that continues to a later epoch keeps
            its number: ``trial._replace(epoch=later)``. A trial of number -1 was asked elsewhere.
        architecture: What to evaluate.
        epoch: After how many epochs of training, or None for all of them.
    """

    number: int
    architecture: Architecture
    epoch: int | None = None


class Evaluation(NamedTuple):
    """What a benchmark answers. It never holds a test metric.

    Args:
        values: One value per objective, in the benchmark's units; NaN where the evaluation failed.
        cost: What it took, in the unit of the benchmark's clock.
        epoch: The epoch it was measured after, or None where the benchmark does not know.
        row: The entry of the benchmark's table, or -1.
        violation: By how much the benchmark's constraints are violated; 0 where they hold, NaN where
            only a full training will tell.
    """

    values: tuple[float, ...]
    cost: float
    epoch: int | None = None
    row: int = -1
    violation: float = 0.0


class SearchAlgorithm(ABC):
    """Base of all search algorithms.

    A child overrides ``ask`` and, to learn anything, ``tell``. Any number of asks may be
    outstanding, and their results may come in any order. All randomness comes from ``self.rng``;
    an algorithm holds no table and knows no time. Pickling it in mid-run and going on with the copy
    gives the same run.

    Args:
        space: The space to search.
        seed: Seed of the algorithm's only random generator.
        maximize: Whether more is better, for the one objective or for each of several.
        fidelities: The epochs after which an architecture can be evaluated, in ascending order, the
            last a full training; empty where the benchmark knows the end of training only.
        weights: One weight per objective; ``score`` is then the weighted sum of all of them, each
            turned so that more is better, in their own units. By default the first counts alone.
    """

    citation: ClassVar[str] = ""
    """BibTeX of the papers that define the algorithm; a child without its own cites its parent's."""

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
        several = [maximize] if isinstance(maximize, bool | np.bool_) else maximize
        self.maximize = tuple(map(bool, several))
        self.fidelities = tuple(map(int, fidelities))
        self._signs = tuple(1.0 if more else -1.0 for more in self.maximize)
        self._weights = None if weights is None else self._signed(weights)
        self._n_trials = 0

    @abstractmethod
    def ask(self) -> Trial | None:
        """The next trial, or None while there is nothing to ask before more results are told.

        A search that answers None with no result outstanding is over.
        """

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:  # noqa: B027 (optional)
        """Learns the result of a trial that was asked. By default nothing is learned.

        A trial that continues to a later epoch is told once for each epoch it was asked for.
        """

    def should_stop(self, trial: Trial, evaluation: Evaluation) -> bool:
        """Whether a running trial is to be stopped at an epoch before the one it was asked for.

        An algorithm that overrides this sees every epoch of ``fidelities`` as it happens, and is
        told of a trial that it stops as of one that was asked for that epoch. The validation passes
        after these epochs are charged by the clock ``every_epoch`` only.
        """
        return False

    def trial(self, architecture: Architecture, epoch: int | None = None) -> Trial:
        """A new trial of an architecture, with the next number."""
        number = self._n_trials
        self._n_trials = number + 1
        return Trial(number, architecture, epoch)

    def score(self, evaluation: Evaluation) -> float:
        """The first objective, or the weighted sum of all, turned so that more is better.

        Minus infinity if the evaluation failed or violates a constraint.
        """
        if self._weights is None:
            value = self._signs[0] * evaluation.values[0]
        else:
            value = sum(w * v for w, v in zip(self._weights, evaluation.values, strict=True))
            if not math.isfinite(value) and all(map(math.isfinite, evaluation.values)):
                value = self._large_sum(evaluation.values)
        return -math.inf if math.isnan(value) or evaluation.violation > 0 else value

    def _large_sum(self, values: Sequence[float]) -> float:
        """The weighted sum where it overflows: at most the largest number, of its sign."""
        assert self._weights is not None
        part = sum(w * (v / 2.0**64) for w, v in zip(self._weights, values, strict=True))
        return max(-sys.float_info.max, min(part * 2.0**64, sys.float_info.max))

    def _signed(self, weights: Sequence[float]) -> tuple[float, ...]:
        """One weight per objective, negative where less is better."""
        several = tuple(weights) if isinstance(weights, Iterable) else ()
        if len(several) != len(self.maximize):
            raise HyperparameterError(
                f"Expected one weight for each of {counted(len(self.maximize), 'objective')} "
                f"but got {weights!r}."
            )
        for weight in several:
            check_number("weights", weight)
        return tuple(float(w) * sign for w, sign in zip(several, self._signs, strict=True))


def hyperparameters_of(cls: type[SearchAlgorithm]) -> dict[str, Any]:
    """Names and defaults of an algorithm's own hyperparameters."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if name not in GIVEN
        and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }


GIVEN = ("space", "seed", "maximize", "fidelities")
"""What an algorithm is told by the experiment, and is no hyperparameter."""


def build(
    cls: type[SearchAlgorithm],
    space: SearchSpace,
    /,
    *,
    seed: Seed,
    maximize: bool | Sequence[bool],
    fidelities: Sequence[int],
    **hyperparameters: Any,
) -> SearchAlgorithm:
    """Builds an algorithm, with a helpful error for a hyperparameter that it does not have.

    Raises:
        UnknownNameError: There is no such hyperparameter.
        HyperparameterError: A value does not fit, or the class cannot be built as all are.
    """
    known = dict(hyperparameters_of(cls))
    given: dict[str, Any] = {"seed": seed, "maximize": maximize}
    for base in cls.__mro__:
        # **kwargs lead to the next class that has an __init__.
        if "__init__" not in vars(base):
            continue
        if issubclass(base, SearchAlgorithm):
            known = {**hyperparameters_of(base), **known}
        parameters = inspect.signature(base).parameters
        if "fidelities" in parameters:
            given["fidelities"] = fidelities
        if all(one.kind is not one.VAR_KEYWORD for one in parameters.values()):
            break
    for name in hyperparameters:
        if name not in known:
            raise UnknownNameError(f"hyperparameter of {cls.__name__}", name, known)
    try:
        inspect.signature(cls).bind(space, **given, **hyperparameters)
        return cls(space, **given, **hyperparameters)
    except NasbenchLabError:
        raise
    except (Exception, SystemExit) as error:
        raise HyperparameterError(
            f"{cls.__name__} cannot be built: {told(error)}. Its __init__ must "
            f"take space, seed and maximize (pass **kwargs on to super().__init__), and have a "
            f"default for each hyperparameter."
        ) from error


def check_number(
    name: str,
    value: object,
    *,
    whole: bool = False,
    low: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Refuses a hyperparameter that is no finite number within bounds.

    Args:
        name: The hyperparameter.
        value: Its value.
        whole: Whether it must be an int.
        low: The smallest value allowed.
        above: What it must be more than.
        below: What it must be less than.

    Raises:
        HyperparameterError: It is something else; the message says what was expected.
    """
    kinds = int | np.integer if whole else int | float | np.integer | np.floating
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if not (fits and value >= low and above < value < below):  # type: ignore[operator]
        bounds = {"of at least": low, "above": above, "below": below}
        limits = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
        wanted = " ".join(
            filter(None, ["whole number" if whole else "number", " and ".join(limits)])
        )
        raise HyperparameterError(f"Expected a {wanted} for {name} but got {value!r}.")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuses a hyperparameter that is none of the choices.

    Raises:
        HyperparameterError: It is something else; the message lists the choices.
    """
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise HyperparameterError(
            f"Expected one of {', '.join(map(str, choices))} for {name} but got {value!r}."
        )
