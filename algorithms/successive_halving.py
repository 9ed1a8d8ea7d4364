"""Successive halving: many short trainings, the best of which go on.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016 (arXiv 1502.07943); rungs and eta as in the inner loop of Hyperband (Li et al., JMLR
2018, arXiv 1603.06560, Algorithm 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_number
from nasbench_lab.spaces import Architecture, SearchSpace


class SuccessiveHalving(SearchAlgorithm):
    """Trains many architectures for a short time and the best of them for longer.

    A bracket draws architectures and evaluates them at the lowest rung. The best ``1/eta`` of a
    rung (rounded down, at least one) go on to the next, up to full training; of equals, those asked
    first. Failed trials never go on. The next bracket starts when those before are over or wait for
    results, so that no worker is ever idle; brackets that can go on again come first, the oldest
    before the others.

    Where the benchmark knows the end of training only there is one rung, and this is random search.

    Args:
        space: The space to search.
        n_configurations: How many architectures a bracket draws; by default as many as leave one at
            the last rung.
        eta: A rung keeps one in ``eta``, and the next trains ``eta`` times as long.
        min_epoch: No rung is below this epoch.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_configurations: int | None = None,
        eta: int = 3,
        min_epoch: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        self.rungs = rung_epochs(self.fidelities, eta, min_epoch)
        if n_configurations is None:
            n_configurations = eta ** (len(self.rungs) - 1)
        check_number("n_configurations", n_configurations, whole=True, low=1)
        self.n_configurations = n_configurations
        self.eta = eta
        self._rung: int | None = None  # that a new architecture is proposed for
        self._n_brackets = 0
        self._brackets: list[_Bracket] = []  # those not over, the oldest first
        self._running: dict[int, _Bracket] = {}

    def schedule(self, bracket: int) -> list[tuple[int, int | None]]:
        """How many trials each rung of a bracket evaluates if none fails, and at which epoch.

        Args:
            bracket: Counts the brackets from 0.
        """
        n = self.n_configurations
        return [(max(n // self.eta**i, 1), epoch) for i, epoch in enumerate(self.rungs)]

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
            self._rung = bracket.epoch
            trial = self.trial(self.propose(), bracket.epoch)
        else:
            trial = promoted._replace(epoch=bracket.epoch)
        bracket.n_running += 1
        self._running[trial.number] = bracket
        return trial

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        bracket = self._running.pop(trial.number, None)
        if bracket is None:  # a trial that was not asked here
            return
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

    def __init__(self, schedule: list[tuple[int, int | None]]) -> None:
        self.rungs = schedule[::-1]  # to come, the next at the end
        n, self.epoch = self.rungs.pop()
        # Trials to be asked, the next at the end; None where an architecture is still to be drawn.
        self.waiting: list[Trial | None] = [None] * n
        self.n_running = 0
        self.results: list[tuple[float, int, Trial]] = []  # (minus score, number, trial)

    def promote(self) -> None:
        """Goes on to the next rung, if there is one, with the best of this one."""
        if self.rungs:
            n, self.epoch = self.rungs.pop()
            self.results.sort()
            self.waiting = [trial for _, _, trial in reversed(self.results[:n])]
            self.results = []


def rung_epochs(fidelities: Sequence[int], eta: int, min_epoch: int) -> tuple[int | None, ...]:
    """The epochs of the rungs, ascending: R, R/eta, R/eta² and so on, R being full training.

    Each is rounded to the nearest of the fidelities from ``min_epoch`` on, the lower of two that are
    as near; rungs that become the same are one.

    Args:
        fidelities: As of ``SearchAlgorithm``; where there are none, the only rung is None.
        eta: By how much a rung trains longer than the one below.
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


SuccessiveHalving.citation = """@inproceedings{jamieson2016nonstochastic,
  title = {Non-stochastic Best Arm Identification and Hyperparameter Optimization},
  author = {Jamieson, Kevin and Talwalkar, Ameet},
  booktitle = {International Conference on Artificial Intelligence and Statistics},
  year = {2016}
}"""
