"""What the searches by optimisers of other packages have in common."""

from __future__ import annotations

import logging
import math
import random
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from joblib import parallel_config

from algorithms._numbers import squarable
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, need
from nasbench_lab.errors import HyperparameterError, InvalidArchitectureError
from nasbench_lab.spaces import SearchSpace

MOST_REFUSALS = 20
"""After so many proposals that are no architectures of the space, one is drawn uniformly."""

Losses = tuple[float, ...]
"""One value for each objective that the optimiser sees, turned so that less is better."""


class Proposal(NamedTuple):
    """What an optimiser proposes.

    Args:
        options: An option number for each decision.
        epoch: The epoch to train to; None for all.
        continued: The number of the earlier proposal whose training goes on, or None.
    """

    options: tuple[int, ...]
    epoch: int | None = None
    continued: int | None = None


class Peer(SearchAlgorithm):
    """Base of searches whose architectures an optimiser of another package proposes.

    The optimiser chooses an option of each decision, and learns a loss for each objective: of all
    objectives if it can and there are no ``weights``, else of ``score``. What fails is told as the
    package has it. Proposals that are no architectures of the space are not evaluated, and told as
    failures where a child does not know better.

    The optimiser is seeded from ``self.rng``. Some packages draw from the global generators of Python
    and NumPy too. What they draw there comes from states of the search's own, and the global
    generators stay as they were. A pickled copy holds no optimiser: when it is loaded, a new one is
    told everything again, in the same order.

    A child sets ``needs``, and overrides ``begin``, ``propose`` and ``learn``.

    Args:
        space: The space to search.
        settings: More arguments of the package's optimiser, by the package's own names.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.

    Attributes:
        n_losses: How many losses the optimiser learns of an evaluation.
        optimiser: All that belongs to the package.

    Raises:
        MissingPackageError: The package is not installed.
        HyperparameterError: A value does not fit.
    """

    learns_several: bool = False
    """Whether the optimiser can learn several losses."""

    knows_constraints: bool = False
    """Whether the optimiser is told violations; else the worst score stands for them."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        need(self.needs)
        if not isinstance(settings, Mapping | None):
            raise HyperparameterError(
                f"Expected a mapping from names to values for settings but got {settings!r}."
            )
        self.settings = dict(settings or {})
        self.n_losses = len(self.maximize) if self.learns_several and self._weights is None else 1
        self._seed = int(self.rng.integers(2**31 - 1))
        self._n_proposals = 0
        # By the number of a trial that runs: the number of its proposal.
        self._running: dict[int, int] = {}
        # By the number of a proposal: its trial.
        self._trials: dict[int, Trial] = {}
        # What the optimiser was asked and told, in this order.
        self._calls: list[tuple[str, tuple[Any, ...]]] = []
        self._begin()

    # What a child overrides

    @abstractmethod
    def begin(self, seed: int) -> Any:
        """Makes the optimiser, and what else belongs to the package."""

    @abstractmethod
    def propose(self, number: int) -> Proposal | None:
        """Asks the optimiser.

        Args:
            number: The number of this proposal; ``learn`` gets it with the result.

        Returns:
            None if the optimiser waits for results, or is at its end.
        """

    @abstractmethod
    def learn(
        self, number: int, losses: Losses | None, violation: float, epoch: int | None
    ) -> None:
        """Tells the optimiser what came of a proposal.

        Args:
            number: The proposal.
            losses: ``n_losses`` finite losses; None if the evaluation failed.
            violation: By how much constraints are violated; 0 where they hold.
            epoch: The epoch that was evaluated, None if nobody knows.
        """

    def refuse(self, number: int) -> None:
        """Tells the optimiser that a proposal is no architecture of the space."""
        self.learn(number, None, 0.0, None)

    # What it has of them

    def ask(self) -> Trial | None:
        for _ in range(MOST_REFUSALS):
            number = self._n_proposals
            self._n_proposals += 1
            proposal = self._call("propose", number)
            if proposal is None:
                return None
            trial = self._trial_of(proposal)
            if trial is not None:
                self._trials[number] = trial
                self._running[trial.number] = number
                return trial
            self._call("refuse", number)
        return self.trial(self.space.sample(self.rng))

    def _trial_of(self, proposal: Proposal) -> Trial | None:
        """The trial of a proposal; None if it is no architecture of the space."""
        if proposal.continued in self._trials:
            return self._trials[proposal.continued]._replace(epoch=proposal.epoch)
        try:
            return self.trial(self.space.nearest(proposal.options), proposal.epoch)
        except InvalidArchitectureError:
            return None

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        number = self._running.pop(trial.number, None)
        if number is not None:
            self._call("learn", number, *self._told(evaluation), evaluation.epoch)

    def _told(self, evaluation: Evaluation) -> tuple[Losses | None, float]:
        """The losses of an evaluation, None if it failed, and its violation."""
        violation = evaluation.violation if evaluation.violation > 0 else 0.0
        if self.knows_constraints:
            evaluation = evaluation._replace(violation=0.0)
        if self.n_losses == 1:
            losses: Losses = (-self.penalised_score(evaluation),)
        elif evaluation.feasible:
            losses = tuple(-s * v for s, v in zip(self._signs, evaluation.values, strict=True))
        else:
            losses = (math.inf,)
        finite = all(map(math.isfinite, losses))
        return tuple(map(squarable, losses)) if finite else None, violation

    def _stops(self, trial: Trial, evaluation: Evaluation) -> bool:
        """Reports an epoch of a trial to the optimiser: whether its ``report`` ends the training.

        A child that has ``report(number, loss, epoch)`` calls it in ``should_stop``.
        """
        number, loss = self._running.get(trial.number), -self.score(evaluation)
        if number is None or not math.isfinite(loss):
            return False
        return bool(self._call("report", number, squarable(loss), evaluation.epoch))

    # How it is called

    def _call(self, name: str, *arguments: Any) -> Any:
        """Calls a method that calls the package, and notes it."""
        self._calls.append((name, arguments))
        return self._called(name, arguments)

    def _called(self, name: str, arguments: tuple[Any, ...]) -> Any:
        # One thread: threads for fits of milliseconds cost more than the fits.
        with self._own_generators(), quiet(), parallel_config(backend="sequential"):
            return getattr(self, name)(*arguments)

    def _begin(self) -> None:
        self._generators = (
            random.Random(self._seed).getstate(),
            np.random.RandomState(self._seed).get_state(),
        )
        before = set(vars(self))
        self.optimiser: Any = self._called("begin", (self._seed,))
        # What may not pickle, and is made anew.
        self._of_package = set(vars(self)) - before

    @contextmanager
    def _own_generators(self) -> Iterator[None]:
        """Puts states of this search into the global generators, and takes them out again."""
        before = random.getstate(), np.random.get_state()  # noqa: NPY002 (others draw from it)
        random.setstate(self._generators[0])
        np.random.set_state(self._generators[1])  # noqa: NPY002 (as above)
        try:
            yield
        finally:
            self._generators = random.getstate(), np.random.get_state()  # noqa: NPY002 (as above)
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002 (as above)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in self._of_package}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()
        for name, arguments in self._calls:
            self._called(name, arguments)


class Worst:
    """The worst losses so far, which stand for those of what failed.

    Args:
        n: How many losses there are.
    """

    def __init__(self, n: int) -> None:
        self._losses: Losses | None = None
        self._none = (0.0,) * n

    def unless(self, losses: Losses | None) -> Losses:
        """The losses, if there are any, which are noted; else the worst before."""
        if losses is None:
            return self._losses or self._none
        before = self._losses or losses
        self._losses = tuple(map(max, losses, before))
        return losses


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps a package from warning and logging about how it is used."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
