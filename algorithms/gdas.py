"""GDAS: alphas are trained on sampled paths, through the Gumbel-softmax.

Dong and Yang, "Searching for a robust neural architecture in four GPU hours", CVPR 2019 (arXiv
1910.04465). Settings and the derived cell are those of the code of NAS-Bench-201 (arXiv 2001.00326;
D-X-Y/AutoDL-Projects, ``exps/NAS-Bench-201-algos/GDAS.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._differentiable import Differentiable
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    from torch import Tensor

    from nasbench_lab.trainer.supernet_training import SupernetTraining


class GDAS(Differentiable):
    """Every step samples one path by the alphas, and computes this path only.

    In the backward pass the sample is taken for the Gumbel-softmax that it was drawn from, so the
    gradient of a path's operations reaches all alphas. Operations that were not sampled are not
    computed, and have no gradient of their own (section 3.2 of the paper). The code of NAS-Bench-201
    gives them that of a constant instead.

    Results of other searches teach nothing.

    Args:
        space: The space to search.
        temperature: The temperature of the softmax in the first epoch; it falls linearly.
        min_temperature: The temperature in the last epoch.
        **kwargs: Those of ``Differentiable``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        temperature: float = 10.0,
        min_temperature: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("temperature", temperature, above=0)
        check_number("min_temperature", min_temperature, above=0)
        self.temperature, self.min_temperature = temperature, min_temperature

    def train_epoch(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        done = len(training.epochs_done) / max(1, self.epochs - 1)
        sampled = training.supernet.sampled
        tau = self.temperature + (self.min_temperature - self.temperature) * done
        batches = zip(
            training.batches("weights", rng), training.batches("alphas", rng), strict=False
        )
        for train, valid in batches:
            path, _ = self.sample(tau, rng)
            training.weights_step(*train, sampled(path))
            path, chosen = self.sample(tau, rng)
            self.alphas_step(training.loss("alphas", *valid, sampled(path), chosen))
        return self.derived(training)

    def sample(self, tau: float, rng: np.random.Generator) -> tuple[tuple[int, ...], Tensor]:
        """Draws an operation for each edge (equations 3 and 4).

        Args:
            tau: The temperature.
            rng: Where the Gumbel noise is drawn from.

        Returns:
            The operations' numbers, and ``(edges,)`` factors of their edges. They are 1, and their
            gradient is that of the Gumbel-softmax of the sampled operations.
        """
        import torch

        noise = torch.as_tensor(rng.gumbel(size=tuple(self.alphas.shape)))
        logits = self.alphas.log_softmax(1) + noise.to(self.alphas)
        soft = (logits / tau).softmax(1)
        path = logits.argmax(1, keepdim=True)
        sampled = soft.gather(1, path).squeeze(1)
        # The difference is zero, but has the gradient of the softmax.
        return tuple(path.squeeze(1).tolist()), 1.0 + (sampled - sampled.detach())


GDAS.citation = """@inproceedings{dong2019gdas,
  title = {Searching for a Robust Neural Architecture in Four {GPU} Hours},
  author = {Dong, Xuanyi and Yang, Yi},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2019}
}"""
