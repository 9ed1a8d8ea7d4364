"""Early stopping by extrapolated learning curves.

Domhan, Springenberg and Hutter, "Speeding up automatic hyperparameter optimization of deep neural
networks by extrapolation of learning curves", IJCAI 2015: a trial is stopped once it is improbable
that it ends above the best. The paper takes this probability from many models of the one curve, by
MCMC. Here it comes from the errors of the same extrapolation for trials that went to the end, because
a curve may have the shape of no model. Power laws: Viering and Loog, "The shape of learning curves: a
review", TPAMI 2023 (arXiv 2103.10948).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from algorithms._base import make_base
from algorithms._numbers import squarable
from nasbench_lab.algorithm import (
    Evaluation,
    Proxies,
    SearchAlgorithm,
    Trial,
    Work,
    check_choice,
    check_number,
)
from nasbench_lab.predictors.learning_curve import power_law
from nasbench_lab.spaces import Architecture, SearchSpace

Floats = NDArray[np.float64]


class LearningCurveStopping(SearchAlgorithm):
    """Another algorithm, whose trials are stopped when they will hardly be the best.

    All trials are asked for full training. At each epoch the final score of a running trial is
    extrapolated. The trials that were trained in full show the errors of extrapolations at this
    epoch. Taken as normally distributed, these errors give the chance that the trial ends above the
    best so far. The trial is stopped if this chance is below ``threshold``, and at once if an epoch
    fails or violates a constraint.

    The base algorithm is told final scores, and of a stopped trial the expected final score: the
    score of its last epoch would make it look worse than it is. Results of other searches are passed
    on to the base algorithm if they are final.

    Where the benchmark knows the end of training only, this is the base algorithm.

    Args:
        space: The space to search.
        base: The algorithm that proposes architectures: the name of a file beside this one, or a
            class.
        base_hyperparameters: The base algorithm's hyperparameters.
        extrapolation: ``power_law`` fits ``a + b t^-c`` to the epochs ``t`` so far by least squares,
            for nine ``c`` from 1/4 to 4, and averages by likelihood. ``last_value`` takes the last
            score.
        threshold: The chance below which a trial is stopped.
        min_epochs: How many epochs of a trial are seen before it may be stopped.
        n_initial: How many trials are trained in full before any is stopped.
        data: For the base algorithm, as ``proxies``; given by the benchmark.
        proxies: See ``Proxies``.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        base: str | type[SearchAlgorithm] = "random_search",
        base_hyperparameters: Mapping[str, Any] | None = None,
        extrapolation: str = "power_law",
        threshold: float = 0.05,
        min_epochs: int = 3,
        n_initial: int = 5,
        data: str | None = None,
        proxies: Proxies | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_choice("extrapolation", extrapolation, ("power_law", "last_value"))
        check_number("threshold", threshold, above=0, below=1)
        check_number("min_epochs", min_epochs, whole=True, low=1)
        check_number("n_initial", n_initial, whole=True, low=2)
        given: dict[str, Any] = {"data": data, "proxies": proxies}
        self._base = make_base(
            base, space, self.rng, True, (), **given, **(base_hyperparameters or {})
        )
        self.extrapolation = extrapolation
        self.threshold = threshold
        self.min_epochs = min_epochs
        self.n_initial = n_initial
        self._running: dict[int, _Running] = {}
        self._best = -math.inf
        # The errors of the extrapolations after min_epochs, one epoch more, and so on, up to the last
        # epoch but one: their mean, the sum of their squares around it, and the error that is exceeded
        # with the chance threshold.
        self._n_errors = 0
        self._mean_error = np.zeros(max(len(self.fidelities) - min_epochs, 0))
        self._square_error = np.zeros_like(self._mean_error)
        self._greatest_error = np.full_like(self._mean_error, math.inf)

    def ask(self) -> Trial | Work | None:
        proposal = self._base.ask()
        if proposal is None or isinstance(proposal, Work):
            return proposal
        trial = self.trial(proposal.architecture, self.fidelities[-1] if self.fidelities else None)
        self._running[trial.number] = _Running(proposal)
        return trial

    def should_stop(self, trial: Trial, evaluation: Evaluation) -> bool:
        running, score = self._running[trial.number], squarable(self.score(evaluation))
        if score == -math.inf:
            return True
        running.scores.append(score)
        i = len(running.scores) - self.min_epochs
        if i < 0:
            return False
        if self.extrapolation == "power_law":
            forecast = power_law(running.scores, self.fidelities)
        else:
            forecast = score
        running.forecasts.append(forecast)
        running.expected = forecast + float(self._mean_error[i])
        # The paper's rule: stop if P(final score > best so far) is below the threshold.
        return bool(forecast + self._greatest_error[i] < self._best)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        running, score = self._running.pop(trial.number), squarable(self.score(evaluation))
        if self.is_final(evaluation):
            self._best = max(self._best, score)
            if len(running.forecasts) == len(self._mean_error):
                self._learn_errors(score - np.array(running.forecasts))
        elif score > -math.inf:
            score = running.expected
        self._base.tell(running.proposal, _final(score, evaluation))

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Passes a final result on; an earlier epoch of another search says little about its end."""
        if self.is_final(evaluation):
            score = squarable(self.score(evaluation))
            self._best = max(self._best, score)
            self._base.observe(architecture, _final(score, evaluation))

    def _learn_errors(self, errors: Floats) -> None:
        """Takes in the errors of the extrapolations of a trial that was trained in full."""
        if not np.isfinite(errors).all():
            return
        # Mean and sum of squares are updated as in Welford, Technometrics 4(3), 1962.
        self._n_errors = n = self._n_errors + 1
        before = errors - self._mean_error
        self._mean_error = self._mean_error + before / n
        self._square_error = self._square_error + before * (errors - self._mean_error)
        if n >= self.n_initial:
            # The next error, less the mean, over (1 + 1/n)^1/2 standard deviations has Student's t
            # distribution.
            quantile = stdtrit(n - 1, 1.0 - self.threshold) * math.sqrt(1.0 + 1.0 / n)
            deviations = np.sqrt(self._square_error / (n - 1))
            self._greatest_error = self._mean_error + quantile * deviations


@dataclass
class _Running:
    """A trial whose result is outstanding.

    Args:
        proposal: The base algorithm's trial.
        scores: The scores at the epochs so far.
        forecasts: The final score as extrapolated after ``min_epochs`` and each epoch since.
        expected: The last forecast plus the mean error.
    """

    proposal: Trial
    scores: list[float] = field(default_factory=list)
    forecasts: list[float] = field(default_factory=list)
    expected: float = math.nan


def _final(score: float, evaluation: Evaluation) -> Evaluation:
    """The evaluation as the base algorithm sees it: one score, NaN for minus infinity."""
    value = score if score > -math.inf else math.nan
    return Evaluation((value,), evaluation.cost, row=evaluation.row)


LearningCurveStopping.citation = """@inproceedings{domhan2015speeding,
  title = {Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by
           Extrapolation of Learning Curves},
  author = {Domhan, Tobias and Springenberg, Jost Tobias and Hutter, Frank},
  booktitle = {International Joint Conference on Artificial Intelligence},
  year = {2015}
}"""
