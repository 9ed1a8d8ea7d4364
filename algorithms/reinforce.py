"""REINFORCE with one independent softmax per decision.

Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
learning", Machine Learning 1992; the controller is that of the NAS-Bench-201 and NATS-Bench
baselines (arXiv 2009.00437, section 4). Adam: Kingma and Ba, ICLR 2015 (arXiv 1412.6980). A policy
that other tasks have taught: Wong et al., "Transfer learning with neural AutoML", NeurIPS 2018.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms._numbers import squarable
from algorithms._transfer import draw_from, learned_policy
from nasbench_lab.algorithm import Evaluation, History, SearchAlgorithm, Trial, check_number
from nasbench_lab.spaces import SearchSpace


class Reinforce(SearchAlgorithm):
    """Policy gradient on the options' logits, with a moving average of rewards as baseline.

    Results of other searches teach nothing: the gradient is that of the expected reward only if the
    policy itself drew the architecture. But the policy may begin with what other tasks teach: with
    equal chances mixed with the shares of the options among their best.

    Args:
        space: The space to search.
        learning_rate: Step size of Adam.
        baseline_momentum: The weight of the old average when a reward arrives.
        history: What is known of other tasks; given by the experiment, if that has any.
        prior_weight: How much of the first policy is learned from other tasks, below 1.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        learning_rate: float = 0.01,
        baseline_momentum: float = 0.9,
        history: History | None = None,
        prior_weight: float = 0.8,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("learning_rate", learning_rate, above=0)
        check_number("baseline_momentum", baseline_momentum, low=0, below=1)
        self.learning_rate = learning_rate
        self.baseline_momentum = baseline_momentum
        # (d, most options): decisions with fewer options are padded with logits of minus infinity.
        options = np.arange(max(space.n_options))
        exists = options < np.array(space.n_options)[:, None]
        self._logits = np.where(exists, 0.0, -np.inf)
        check_number("prior_weight", prior_weight, low=0, below=1)
        if history is not None:
            policy = learned_policy(space, history, prior_weight)
            self._logits = np.log(policy, out=self._logits, where=policy > 0)
        self._decisions = np.arange(len(space.n_options))
        self._adam_mean = np.zeros_like(self._logits)
        self._adam_square = np.zeros_like(self._logits)
        self._n_updates = 0
        self._reward_sum = 0.0
        self._reward_weight = 0.0

    def probabilities(self) -> NDArray[np.float64]:
        """``(d, most options)`` chances of each option of each decision, 0 where there is none."""
        weights: NDArray[np.float64] = np.exp(
            self._logits - self._logits.max(axis=1, keepdims=True)
        )
        weights /= weights.sum(axis=1, keepdims=True)
        return weights

    def ask(self) -> Trial:
        return self.trial(draw_from(self.probabilities(), self.space, self.rng))

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        reward = squarable(self.penalised_score(evaluation))
        if not math.isfinite(reward):
            return
        # The baseline: a moving average, divided by the sum of its weights as it starts at 0.
        m = self.baseline_momentum
        self._reward_sum = m * self._reward_sum + (1 - m) * reward
        self._reward_weight = m * self._reward_weight + (1 - m)
        advantage = reward - self._reward_sum / self._reward_weight
        # REINFORCE (Williams 1992): the step is (reward - baseline) times the gradient of log pi(a),
        # which is one_hot(a) - pi. Adam minimises, so the sign is turned.
        gradient = self.probabilities()
        gradient[self._decisions, trial.architecture] -= 1.0
        if self.space.conditional:
            # A decision that does not exist was not drawn, and has no part in log pi(a).
            gradient[~self.space.active(np.array([trial.architecture]))[0]] = 0.0
        self._adam_step(advantage * gradient)

    def _adam_step(self, gradient: NDArray[np.float64]) -> None:
        """Algorithm 1 of Kingma and Ba."""
        beta1, beta2, epsilon = 0.9, 0.999, 1e-8
        self._n_updates += 1
        # The biased estimates of the first and second moment, and then the corrected ones.
        self._adam_mean = beta1 * self._adam_mean + (1 - beta1) * gradient
        self._adam_square = beta2 * self._adam_square + (1 - beta2) * gradient**2
        mean = self._adam_mean / (1 - beta1**self._n_updates)
        square = self._adam_square / (1 - beta2**self._n_updates)
        self._logits = self._logits - self.learning_rate * mean / (np.sqrt(square) + epsilon)


Reinforce.citation = """@article{williams1992simple,
  title = {Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
           Learning},
  author = {Williams, Ronald J.},
  journal = {Machine Learning},
  volume = {8},
  pages = {229--256},
  year = {1992}
}

@inproceedings{wong2018transfer,
  title = {Transfer Learning with Neural {AutoML}},
  author = {Wong, Catherine and Houlsby, Neil and Lu, Yifeng and Gesmundo, Andrea},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018}
}"""
