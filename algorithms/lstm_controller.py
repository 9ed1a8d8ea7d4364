"""REINFORCE with an LSTM that decides one option after another.

Zoph and Le, "Neural architecture search with reinforcement learning", ICLR 2017 (arXiv 1611.01578),
section 3. The baseline is that of the NATS-Bench baselines (arXiv 2009.00437, section 4), as in
``reinforce``; the LSTM is that of ENAS there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from algorithms._controllers import ControllerSearch
from nasbench_lab.spaces import Architectures


class LSTMController(ControllerSearch):
    """Policy gradient on an LSTM, which can learn which options are good together.

    Results of other searches teach nothing: the gradient is that of the expected reward only if the
    policy itself drew the architecture.

    Args:
        space: The space to search.
        **kwargs: Those of ``ControllerSearch``.
    """

    def train(self, architectures: Architectures, advantages: NDArray[np.float64]) -> None:
        from nasbench_lab.trainer.controller import policy_loss

        assert self.controller is not None
        exists = self.space.active(architectures)
        # The sum over decisions of equation 2, with the baseline and the entropy.
        self.step(
            policy_loss(
                self.controller, architectures, advantages.tolist(), self.entropy_weight, exists
            )
        )


LSTMController.citation = """@inproceedings{zoph2017neural,
  title = {Neural Architecture Search with Reinforcement Learning},
  author = {Zoph, Barret and Le, Quoc V.},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}"""
