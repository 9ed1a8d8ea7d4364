"""Brackets of rungs: what successive halving and Hyperband share.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016 (arXiv 1502.07943), as the inner loop of Hyperband has it: Li, Jamieson, DeSalvo,
Rostamizadeh and Talwalkar, JMLR 18(185), 2018 (arXiv 1603.06560), Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_number
from nasbench_lab.spaces import Architecture, SearchSpace

Schedule = list[tuple[int, int | None]]
"""The rungs of a bracket, the lowest first: how many trials each evaluates, and at which epoch."""


class BracketSearch(SearchAlgorithm):
    """Runs bracket after bracket of successive halving. A child fills ``schedules``.

    A bracket draws architectures and evaluates them at its lowest rung. The best of a rung go on to
    the next; of equals, those asked first. Failed trials never go on. No worker is ever idle: while
    all brackets wait for results, the next one begins. Of the brackets that can go on, the oldest
    comes first.

    Results of other searches teach nothing: a bracket compares the trials that it drew.

    Args:
        space: The space to search.
        eta: A rung trains ``eta`` times as long as the one below.
        min_epoch: No rung is below this epoch.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self, space: SearchSpace, *, eta: int = 3, min_epoch: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(space, **kwargs)
        self.rungs = rung_epochs(self.fidelities, eta, min_epoch)
        self.eta = eta
        self.schedules: list[Schedule] = []
        """The schedules that the brackets have in turn, if no trial fails."""
        self._n_brackets = 0
        self._brackets: list[_Bracket] = []  # those that are not over, the oldest first
        self._running: dict[int, _Bracket] = {}  # the bracket of each trial, by number
        self._proposal_epoch: int | None = None

    def schedule(self, bracket: int) -> Schedule:
        """How many trials each rung of a bracket evaluates if none fails, and at which epoch.

        Args:
            bracket: Counts the brackets from 0.
        """
        return self.schedules[bracket % len(self.schedules)]

    def propose(self) -> Architecture:
        """A new architecture for the lowest rung of a bracket."""
        return self.space.sample(self.rng)

    def ask(self) -> Trial:
        for bracket in self._brackets:
            if bracket.waiting:
                break
        else:
            bracket = _Bracket(self.schedule(self._n_brackets))
            self._brackets.append(bracket)
            self._n_brackets += 1
        promoted = bracket.waiting.pop()
        if promoted is None:
            # Algorithm 1, line 3: get_hyperparameter_configuration, for one trial.
            self._proposal_epoch = bracket.epoch
            trial = self.trial(self.propose(), bracket.epoch)
        else:
            trial = promoted._replace(epoch=bracket.epoch)
        # Line 7: run_then_return_val_loss.
        bracket.n_running += 1
        self._running[trial.number] = bracket
        return trial

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        bracket = self._running.pop(trial.number)
        bracket.n_running -= 1
        score = self.score(evaluation)
        if score > -math.inf:
            bracket.results.append((-score, trial.number, trial))
        if not bracket.waiting and not bracket.n_running:
            bracket.promote()
            if not bracket.waiting:
                self._brackets.remove(bracket)


class _Bracket:
    """The current rung of a bracket, and the rungs to come."""

    def __init__(self, schedule: Schedule) -> None:
        self.rungs = schedule[::-1]  # the rungs to come, the next at the end
        n, self.epoch = self.rungs.pop()
        # Trials to be asked, the next at the end; None where an architecture is still to be drawn.
        self.waiting: list[Trial | None] = [None] * n
        self.n_running = 0
        self.results: list[tuple[float, int, Trial]] = []  # (minus score, number, trial)

    def promote(self) -> None:
        """Algorithm 1, line 8 (top_k): the best of this rung go on to the next, if there is one."""
        if self.rungs:
            n, self.epoch = self.rungs.pop()
            self.results.sort()
            self.waiting = [trial for _, _, trial in reversed(self.results[:n])]
            self.results = []


def rung_epochs(fidelities: Sequence[int], eta: int, min_epoch: int) -> tuple[int | None, ...]:
    """The epochs of the rungs, ascending: R, R/eta, R/eta² and so on, where R is full training.

    Each is rounded to the nearest of the fidelities from ``min_epoch`` on; of two that are as near,
    to the lower. Rungs of the same epoch are one.

    Args:
        fidelities: As of ``SearchAlgorithm``; where there are none, the only rung is None.
        eta: A rung trains ``eta`` times as long as the one below.
        min_epoch: The lowest epoch.

    Raises:
        HyperparameterError: ``eta`` is no whole number of at least 2, or ``min_epoch`` none from 1
            to R.
    """
    check_number("eta", eta, whole=True, low=2)
    full = fidelities[-1] if fidelities else math.inf
    check_number("min_epoch", min_epoch, whole=True, low=1, below=full + 1)
    if not fidelities:
        return (None,)
    epochs = [epoch for epoch in fidelities if epoch >= min_epoch]
    rungs, power = [], 1
    # In whole numbers: a logarithm of R may be off by a rounding error, and by one when rounded down.
    while min_epoch * power <= full:
        rungs.append(min(epochs, key=lambda epoch: abs(epoch * power - full)))
        power *= eta
    return tuple(sorted(set(rungs)))
