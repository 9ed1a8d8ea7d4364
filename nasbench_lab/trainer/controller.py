"""The controller of ENAS: a recurrent network that draws architectures, decision by decision.

Pham, Guan, Zoph, Le and Dean, "Efficient neural architecture search via parameter sharing", ICML 2018
(arXiv 1802.03268), section 2.2. Sizes, temperature and bound of the logits are those of the
NAS-Bench-201 code (D-X-Y/AutoDL-Projects, ``search_model_enas_utils.py``). Policy gradient: Williams,
"Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
Learning 1992.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BOUND = 0.1
"""Parameters start uniformly between ± this (Pham et al., section 3.2)."""


class Controller(nn.Module):
    """A policy over architectures, whose decisions all have equally many options.

    The option of a decision is drawn from a softmax that depends on all options before it. The
    controller starts from a learned input; after that, its input is the embedding of the last option.

    Args:
        decisions: How many decisions an architecture has.
        options: How many options each has.
        rng: Draws the initial parameters.
        hidden: Units of each layer.
        layers: Layers of the LSTM.
        temperature: The logits are divided by it.
        tanh_constant: The logits then lie between ± this, which keeps the policy from early certainty.

    Attributes:
        baseline: The moving mean of the rewards; NaN before the first. It is kept with the parameters.
    """

    baseline: Tensor

    def __init__(
        self,
        decisions: int,
        options: int,
        rng: np.random.Generator,
        *,
        hidden: int = 32,
        layers: int = 2,
        temperature: float = 5.0,
        tanh_constant: float = 2.5,
    ) -> None:
        super().__init__()
        self.decisions, self.options = decisions, options
        self.temperature, self.tanh_constant = temperature, tanh_constant
        with torch.device("meta"):  # no draws from PyTorch's global generator
            self.start = nn.Parameter(torch.empty(1, hidden))
            self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True)
            self.embedding = nn.Embedding(options, hidden)
            self.output = nn.Linear(hidden, options)
        self.to_empty(device="cpu")
        self.register_buffer("baseline", torch.tensor(math.nan, dtype=torch.float64))
        with torch.no_grad():
            for parameter in self.parameters():
                values = rng.uniform(-BOUND, BOUND, tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(values))

    def forward(self, architectures: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probability of each architecture, and the entropy of the draws that led to it.

        Args:
            architectures: ``(n, decisions)`` options, as int64.

        Returns:
            ``(n,)`` log-probabilities, and ``(n,)`` sums over the decisions of the entropy of the
            option, given the options before it; both in nats.
        """
        # The whole sequence is known, so the LSTM reads it at once.
        first = self.start.expand(len(architectures), 1, -1)
        inputs = torch.cat([first, self.embedding(architectures[:, :-1])], dim=1)
        hidden, _ = self.lstm(inputs)
        log_probabilities = self._log_probabilities(hidden)
        chosen = log_probabilities.gather(2, architectures[..., None])[..., 0]
        entropies = -(log_probabilities.exp() * log_probabilities).sum(dim=2)
        return chosen.sum(dim=1), entropies.sum(dim=1)

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """``(n, decisions)`` architectures that the policy draws; no gradient is kept."""
        uniform = rng.random((n, self.decisions))
        inputs, state = self.start.expand(n, 1, -1), None
        drawn = np.empty((n, self.decisions), dtype=np.int64)
        with torch.no_grad():
            for decision in range(self.decisions):
                hidden, state = self.lstm(inputs, state)
                probabilities = self._log_probabilities(hidden[:, 0]).double().exp().cpu().numpy()
                below = probabilities.cumsum(axis=1) <= uniform[:, decision, None]
                # Sums of probabilities may end a rounding error below 1.
                drawn[:, decision] = np.minimum(below.sum(axis=1), self.options - 1)
                options = torch.from_numpy(drawn[:, decision]).to(self.start.device)
                inputs = self.embedding(options)[:, None]
        return drawn

    def _log_probabilities(self, hidden: Tensor) -> Tensor:
        logits = self.tanh_constant * torch.tanh(self.output(hidden) / self.temperature)
        return torch.log_softmax(logits, dim=-1)


def policy_loss(
    controller: Controller,
    architectures: NDArray[np.int64],
    advantages: Sequence[float],
    entropy_weight: float,
) -> Tensor:
    """A loss whose gradient is an unbiased estimate of minus that of what the policy maximises.

    That is the mean reward plus ``entropy_weight`` times the entropy, over the policy's architectures.
    The entropy of a draw counts as a part of its reward, and has a gradient of its own, as it depends
    on the parameters.

    Args:
        controller: The policy.
        architectures: ``(n, decisions)`` architectures that the policy drew.
        advantages: ``(n,)`` rewards without the entropy, minus a baseline that does not depend on the
            architecture.
        entropy_weight: The weight of the entropy.
    """
    log_probabilities, entropies = controller(torch.from_numpy(architectures))
    gains = torch.tensor(list(advantages), dtype=entropies.dtype)
    gains = gains + entropy_weight * entropies.detach()
    # Williams 1992: the gradient of the mean of R is the mean of R times the gradient of log p.
    loss: Tensor = -(log_probabilities * gains + entropy_weight * entropies).mean()
    return loss
