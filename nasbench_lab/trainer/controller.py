"""A controller: a recurrent network that draws architectures, decision by decision.

Zoph and Le, "Neural architecture search with reinforcement learning", ICLR 2017 (arXiv 1611.01578),
section 3; Pham, Guan, Zoph, Le and Dean, "Efficient neural architecture search via parameter sharing",
ICML 2018 (arXiv 1802.03268), section 2.2. Sizes, temperature and bound of the logits are those of the
NAS-Bench-201 code (D-X-Y/AutoDL-Projects, ``search_model_enas_utils.py``). Policy gradient: Williams,
"Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
Learning 1992.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BOUND = 0.1
"""Parameters start uniformly between ± this (Pham et al., section 3.2)."""

_NEVER = -1e9
"""The logit of what is no option of a decision: its probability is 0, and gradients stay finite."""


class Controller(nn.Module):
    """A policy over architectures.

    The option of a decision is drawn from a softmax that depends on all options before it. The
    controller starts from a learned input; after that, its input is the embedding of the last option.
    A decision that does not exist is passed over: its option is 0, and no chance played a part.

    Args:
        alphabets: For each decision, the numbers of its options among all that there are. Decisions
            with the same numbers share embeddings and outputs, as they do in ENAS.
        rng: Draws the initial parameters.
        hidden: Units of each layer.
        layers: Layers of the LSTM.
        temperature: The logits are divided by it.
        tanh_constant: The logits then lie between ± this, which keeps the policy from early certainty;
            None for no bound.

    Attributes:
        baseline: The moving mean of the rewards; NaN before the first. It is kept with the parameters.
    """

    baseline: Tensor
    first: Tensor
    foreign: Tensor

    def __init__(
        self,
        alphabets: Sequence[range],
        rng: np.random.Generator,
        *,
        hidden: int = 32,
        layers: int = 2,
        temperature: float = 5.0,
        tanh_constant: float | None = 2.5,
    ) -> None:
        super().__init__()
        self.alphabets = tuple(alphabets)
        options = max(alphabet.stop for alphabet in alphabets)
        self.temperature, self.tanh_constant = temperature, tanh_constant
        with torch.device("meta"):  # no draws from PyTorch's global generator
            self.start = nn.Parameter(torch.empty(1, hidden))
            self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True)
            self.embedding = nn.Embedding(options, hidden)
            self.output = nn.Linear(hidden, options)
        self.to_empty(device="cpu")
        self.register_buffer("baseline", torch.tensor(math.nan, dtype=torch.float64))
        first = torch.tensor([alphabet.start for alphabet in alphabets])
        foreign = [[number not in alphabet for number in range(options)] for alphabet in alphabets]
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("foreign", torch.tensor(foreign), persistent=False)
        with torch.no_grad():
            for parameter in self.parameters():
                values = rng.uniform(-BOUND, BOUND, tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(values))

    def forward(self, architectures: Tensor, exists: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-probability of each architecture, and the entropy of the draws that led to it.

        Args:
            architectures: ``(n, decisions)`` options, as int64.
            exists: ``(n, decisions)`` whether each decision exists; by default all do.

        Returns:
            ``(n,)`` log-probabilities, and ``(n,)`` sums over the decisions of the entropy of the
            option, given the options before it; both in nats.
        """
        log_probabilities, entropies = self.steps(architectures, exists)
        return log_probabilities.sum(dim=1), entropies.sum(dim=1)

    def steps(self, architectures: Tensor, exists: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As ``forward``, but ``(n, decisions)`` of each decision; 0 for those that do not exist."""
        # The whole sequence is known, so the LSTM reads it at once.
        numbers = architectures + self.first
        start = self.start.expand(len(numbers), 1, -1)
        inputs = torch.cat([start, self.embedding(numbers[:, :-1])], dim=1)
        hidden, _ = self.lstm(inputs)
        log_probabilities = self._log_probabilities(hidden, self.foreign)
        chosen = log_probabilities.gather(2, numbers[..., None])[..., 0]
        entropies = -(log_probabilities.exp() * log_probabilities).sum(dim=2)
        if exists is not None:
            chosen, entropies = chosen * exists, entropies * exists
        return chosen, entropies

    def sample(
        self,
        rng: np.random.Generator,
        n: int,
        exists: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None,
    ) -> NDArray[np.int64]:
        """``(n, decisions)`` architectures that the policy draws; no gradient is kept.

        Args:
            rng: Where they are drawn from.
            n: How many.
            exists: Tells of ``(n, decisions)`` options which decisions exist; only those before it
                say whether one does. By default all exist.
        """
        uniform = rng.random((n, len(self.alphabets)))
        inputs, state = self.start.expand(n, 1, -1), None
        drawn = np.zeros((n, len(self.alphabets)), dtype=np.int64)
        with torch.no_grad():
            for decision, alphabet in enumerate(self.alphabets):
                hidden, state = self.lstm(inputs, state)
                logs = self._log_probabilities(hidden[:, 0], self.foreign[decision])
                probabilities = logs[:, alphabet.start : alphabet.stop].double().exp().cpu().numpy()
                below = probabilities.cumsum(axis=1) <= uniform[:, decision, None]
                # Sums of probabilities may end a rounding error below 1.
                options = np.minimum(below.sum(axis=1), len(alphabet) - 1)
                drawn[:, decision] = options
                if exists is not None:
                    drawn[:, decision] *= exists(drawn)[:, decision]
                numbers = torch.from_numpy(drawn[:, decision] + alphabet.start)
                inputs = self.embedding(numbers.to(self.start.device))[:, None]
        return drawn

    def _log_probabilities(self, hidden: Tensor, foreign: Tensor) -> Tensor:
        logits = self.output(hidden) / self.temperature
        if self.tanh_constant is not None:
            logits = self.tanh_constant * torch.tanh(logits)
        return torch.log_softmax(logits.masked_fill(foreign, _NEVER), dim=-1)


def policy_loss(
    controller: Controller,
    architectures: NDArray[np.int64],
    advantages: Sequence[float],
    entropy_weight: float,
    exists: NDArray[np.bool_] | None = None,
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
        exists: ``(n, decisions)`` whether each decision exists; by default all do.
    """
    mask = None if exists is None else torch.from_numpy(exists)
    log_probabilities, entropies = controller(torch.from_numpy(architectures), mask)
    gains = torch.tensor(list(advantages), dtype=entropies.dtype)
    gains = gains + entropy_weight * entropies.detach()
    # Williams 1992: the gradient of the mean of R is the mean of R times the gradient of log p.
    loss: Tensor = -(log_probabilities * gains + entropy_weight * entropies).mean()
    return loss
