"""ENAS: a recurrent controller learns which paths of a supernet are good, by policy gradient.

Pham, Guan, Zoph, Le and Dean, "Efficient neural architecture search via parameter sharing", ICML 2018
(arXiv 1802.03268), section 2.2. Settings are those of the code of NAS-Bench-201 (arXiv 2001.00326;
D-X-Y/AutoDL-Projects, ``ENAS.py`` and ``ENAS.config``), with two exceptions: the weights are trained
as in the other one-shot methods, and a step of the controller is taken after 1 path, not 20. There, the
controller sees 2.6 batches for each batch that the weights are trained on; with 20 paths it would see
over 100 on data sets as small as ours.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._paths import Paths
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    import torch

    from nasbench_lab.trainer.controller import Controller
    from nasbench_lab.trainer.supernet_training import SupernetTraining

CONTROLLER_CLIP = 5.0
"""The greatest norm of the controller's gradient, as in ``ENAS.py``."""


class ENAS(Paths):
    """Trains paths that a controller draws, and the controller by their accuracies, in turn.

    Results of other searches teach nothing.

    Args:
        space: The space to search.
        controller_steps: Steps of the controller after each epoch of the weights.
        controller_paths: How many paths are drawn for each of these steps.
        controller_learning_rate: The learning rate of Adam, whose betas are 0 and 0.999.
        entropy_weight: What a nat of entropy is worth, in accuracies from 0 to 1.
        baseline_decay: The weight of the old mean when a reward comes to the baseline.
        final_candidates: How many paths are drawn at the end, of which the best is recommended.
        **kwargs: Those of ``Paths``.

    Attributes:
        controller: The controller; None before the first ``ask``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        controller_steps: int = 50,
        controller_paths: int = 1,
        controller_learning_rate: float = 1e-3,
        entropy_weight: float = 1e-4,
        baseline_decay: float = 0.99,
        final_candidates: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("controller_steps", controller_steps, whole=True, low=0)
        check_number("controller_paths", controller_paths, whole=True, low=1)
        check_number("controller_learning_rate", controller_learning_rate, above=0)
        check_number("entropy_weight", entropy_weight, low=0)
        check_number("baseline_decay", baseline_decay, low=0, below=1)
        check_number("final_candidates", final_candidates, whole=True, low=1)
        self.controller_steps, self.controller_paths = controller_steps, controller_paths
        self.controller_learning_rate = controller_learning_rate
        self.entropy_weight, self.baseline_decay = entropy_weight, baseline_decay
        self.final_candidates = final_candidates
        self.controller: Controller | None = None
        self._adam: torch.optim.Adam | None = None

    def prepare(self, training: SupernetTraining) -> None:
        import torch

        from nasbench_lab.trainer.controller import Controller

        alphabets = [range(n) for n in self.space.n_options]
        self.controller = Controller(alphabets, training.stream(2))
        self._adam = torch.optim.Adam(
            self.controller.parameters(),
            lr=self.controller_learning_rate,
            betas=(0.0, 0.999),
            eps=1e-3,
        )
        training.states |= {"controller": self.controller, "controller_optimizer": self._adam}

    def train_epoch(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        # "Training the shared parameters ω of the child models": the policy is fixed.
        for x, y in training.batches("weights", rng):
            (path,) = self.drawn(rng, 1)
            training.weights_step(x, y, path)
        self.train_controller(training, rng)
        # "Deriving architectures": several are drawn from the policy, and the best is taken.
        last = len(training.epochs_done) == self.epochs - 1
        paths = self.drawn(rng, self.final_candidates if last else self.candidates)
        return self.best(training, paths), self.shares(np.array(paths))

    def train_controller(self, training: SupernetTraining, rng: np.random.Generator) -> None:
        """The other phase, "training the controller parameters θ": the weights are fixed."""
        import torch
        from torch.nn.utils import clip_grad_norm_

        from nasbench_lab.trainer.controller import policy_loss

        assert self.controller is not None
        assert self._adam is not None
        batches = itertools.chain.from_iterable(
            training.batches("alphas", rng) for _ in itertools.count()
        )
        for _ in range(self.controller_steps):
            paths = self.drawn(rng, self.controller_paths)
            advantages = []
            for path in paths:
                reward = training.batch_accuracy(path, next(batches)) / 100
                advantages.append(self.advantage(reward))
            loss = policy_loss(self.controller, np.array(paths), advantages, self.entropy_weight)
            self._adam.zero_grad()
            torch.autograd.backward(loss)
            clip_grad_norm_(self.controller.parameters(), CONTROLLER_CLIP)
            self._adam.step()

    def drawn(self, rng: np.random.Generator, n: int) -> list[Architecture]:
        """Paths that the controller draws."""
        assert self.controller is not None
        return [tuple(path) for path in self.controller.sample(rng, n).tolist()]

    def advantage(self, reward: float) -> float:
        """A reward minus the moving mean of those before it, to which it is added then."""
        assert self.controller is not None
        baseline = float(self.controller.baseline)
        if math.isnan(baseline):
            baseline = reward
        self.controller.baseline.fill_(baseline + (1 - self.baseline_decay) * (reward - baseline))
        return reward - baseline


ENAS.citation = """@inproceedings{pham2018efficient,
  title = {Efficient Neural Architecture Search via Parameter Sharing},
  author = {Pham, Hieu and Guan, Melody Y. and Zoph, Barret and Le, Quoc V. and Dean, Jeff},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}"""
