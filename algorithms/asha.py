"""Asynchronous successive halving (ASHA), in which no trial waits for others.

Li, Jamieson, Rostamizadeh, Gonina, Ben-Tzur, Hardt, Recht and Talwalkar, "A system for massively
parallel hyperparameter tuning", MLSys 2020 (arXiv 1810.05934), Algorithm 2.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from typing import Any

from algorithms._brackets import rung_epochs
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_number
from nasbench_lab.spaces import SearchSpace

_Result = tuple[float, int, Trial]
"""Minus score, number, trial: sorts the best first, and of equals those asked first."""


class ASHA(SearchAlgorithm):
    """Successive halving without brackets, in which no trial waits for others.

    A trial goes on to the next rung as soon as it is among the best ``1/eta`` (rounded down) of the
    results that its rung has so far; of equals, those asked first. The highest rung that has such a
    trial comes first. Where no rung has one, a new architecture is drawn for the lowest. Failed
    trials count as the worst of their rung, and never go on.

    Results of other searches teach nothing: a rung compares the trials that were asked for it.

    Where the benchmark knows the end of training only there is one rung, and this is random search.

    Args:
        space: The space to search.
        eta: A rung keeps one in ``eta``, and the next trains ``eta`` times as long.
        min_epoch: No rung is below this epoch.
        early_stopping_rate: s of Algorithm 2: how many of the lowest rungs are left out, at most
            all but the last.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        eta: int = 3,
        min_epoch: int = 1,
        early_stopping_rate: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("early_stopping_rate", early_stopping_rate, whole=True, low=0)
        rungs = rung_epochs(self.fidelities, eta, min_epoch)
        self.rungs = rungs[early_stopping_rate:] or rungs[-1:]
        self.eta = eta
        # Of each rung but the last: all results, sorted, and a heap of those that have not gone on.
        self._results: list[list[_Result]] = [[] for _ in self.rungs[1:]]
        self._promotable: list[list[_Result]] = [[] for _ in self.rungs[1:]]
        self._running: dict[int, int] = {}  # the rung of each trial, by number

    def ask(self) -> Trial:
        """The function get_job of Algorithm 2."""
        # The loop over the rungs, from the last but one downwards: is there a trial to promote?
        for rung in range(len(self.rungs) - 2, -1, -1):
            results, promotable = self._results[rung], self._promotable[rung]
            # The candidates are the top |rung|/eta; the best promotable trial goes on if it is one.
            n_candidates = len(results) // self.eta
            if n_candidates and promotable and promotable[0] <= results[n_candidates - 1]:
                _, number, trial = heapq.heappop(promotable)
                self._running[number] = rung + 1
                return trial._replace(epoch=self.rungs[rung + 1])
        # If not, the bottom rung grows by a random architecture.
        trial = self.trial(self.space.sample(self.rng), self.rungs[0])
        self._running[trial.number] = 0
        return trial

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """The loop over completed jobs of Algorithm 2."""
        rung = self._running.pop(trial.number)
        if rung == len(self.rungs) - 1:  # no trial goes on from here
            return
        score = self.score(evaluation)
        result = (-score, trial.number, trial)
        insort(self._results[rung], result)
        if score > -math.inf:
            heapq.heappush(self._promotable[rung], result)


ASHA.citation = """@inproceedings{li2020system,
  title = {A System for Massively Parallel Hyperparameter Tuning},
  author = {Li, Liam and Jamieson, Kevin and Rostamizadeh, Afshin and Gonina, Ekaterina and
            Ben-tzur, Jonathan and Hardt, Moritz and Recht, Benjamin and Talwalkar, Ameet},
  booktitle = {Conference on Machine Learning and Systems},
  year = {2020}
}"""
