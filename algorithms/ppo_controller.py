"""Proximal policy optimisation of an LSTM that decides one option after another.

Zoph, Vasudevan, Shlens and Le, "Learning transferable architectures for scalable image recognition",
CVPR 2018 (arXiv 1707.07012), appendix A; PPO: Schulman, Wolski, Dhariwal, Radford and Klimov,
"Proximal policy optimization algorithms", 2017 (arXiv 1707.06347).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._controllers import ControllerSearch
from algorithms._variation import check_rate
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architectures, SearchSpace

if TYPE_CHECKING:
    import torch


class PPOController(ControllerSearch):
    """Trains a controller several times on each batch, but not far from the policy that drew it.

    Results of other searches teach nothing.

    Args:
        space: The space to search.
        batch_size: Results for each update of the policy; 20 in the paper.
        updates: How many steps are taken with each batch.
        clip: ε of Schulman et al.: what changes a decision's chance by a greater part earns no more.
        learning_rate: Step size of Adam; 0.00035 in the paper, for 100 times as many results.
        entropy_weight: What a nat of entropy is worth, in standard deviations of the rewards.
        **kwargs: Those of ``ControllerSearch``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        batch_size: int = 10,
        updates: int = 10,
        clip: float = 0.2,
        learning_rate: float = 0.003,
        entropy_weight: float = 0.03,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            space,
            batch_size=batch_size,
            learning_rate=learning_rate,
            entropy_weight=entropy_weight,
            **kwargs,
        )
        check_number("updates", updates, whole=True, low=1)
        check_number("clip", clip, above=0)
        check_rate("clip", clip)
        self.updates, self.clip = updates, clip

    def train(self, architectures: Architectures, advantages: NDArray[np.float64]) -> None:
        import torch

        assert self.controller is not None
        options = torch.from_numpy(architectures)
        exists = torch.from_numpy(self.space.active(architectures))
        with torch.no_grad():
            old, _ = self.controller.steps(options, exists)
        for _ in range(self.updates):
            new, entropies = self.controller.steps(options, exists)
            gains = clipped_gains(new, old, torch.from_numpy(advantages)[:, None], self.clip)
            # Equation 9 without a value function, as the baseline is a moving average.
            self.step(-(gains + self.entropy_weight * entropies).sum(dim=1).mean())


def clipped_gains(
    new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, clip: float
) -> torch.Tensor:
    """Equation 7 of Schulman et al. for each decision.

    Args:
        new: ``(n, d)`` log-probabilities of the decisions by the policy.
        old: The same by the policy as it was before the batch.
        advantages: ``(n, 1)`` the advantage of each architecture.
        clip: ε.
    """
    ratios = (new - old).exp()
    return (ratios * advantages).minimum(ratios.clamp(1 - clip, 1 + clip) * advantages)


PPOController.citation = """@inproceedings{zoph2018learning,
  title = {Learning Transferable Architectures for Scalable Image Recognition},
  author = {Zoph, Barret and Vasudevan, Vijay and Shlens, Jonathon and Le, Quoc V.},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2018}
}

@article{schulman2017proximal,
  title = {Proximal Policy Optimization Algorithms},
  author = {Schulman, John and Wolski, Filip and Dhariwal, Prafulla and Radford, Alec and
            Klimov, Oleg},
  journal = {arXiv preprint arXiv:1707.06347},
  year = {2017}
}"""
