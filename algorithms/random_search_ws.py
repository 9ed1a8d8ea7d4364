"""Random search with weight sharing: the best of some random paths of a supernet.

Li and Talwalkar, "Random search and reproducibility for neural architecture search", UAI 2019 (arXiv
1902.07638), section 3.2. The number of paths that are compared at the end is that of the code of
NAS-Bench-201 (arXiv 2001.00326; D-X-Y/AutoDL-Projects, ``RANDOM-NAS``, there called RSPS): 100. The
paper compares 1,000 on a batch each, and the best 10 of them on all images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from algorithms._paths import Paths
from nasbench_lab.algorithm import check_number
from nasbench_lab.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    from nasbench_lab.trainer.supernet_training import SupernetTraining


class RandomSearchWS(Paths):
    """Trains a random path in each step, and then evaluates random paths with the shared weights.

    Results of other searches teach nothing.

    Args:
        space: The space to search.
        final_candidates: How many paths are evaluated at the end.
        **kwargs: Those of ``Paths``.
    """

    def __init__(self, space: SearchSpace, *, final_candidates: int = 100, **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        check_number("final_candidates", final_candidates, whole=True, low=1)
        self.final_candidates = final_candidates

    def train_epoch(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        # Step 1: an architecture is sampled for each batch, and its weights are trained.
        for x, y in training.batches("weights", rng):
            training.weights_step(x, y, self.space.sample(rng))
        # Step 2: random architectures are evaluated with the shared weights.
        last = len(training.epochs_done) == self.epochs - 1
        n = self.final_candidates if last else self.candidates
        return self.best(training, [self.space.sample(rng) for _ in range(n)]), self.uniform()


RandomSearchWS.citation = """@inproceedings{li2019random,
  title = {Random Search and Reproducibility for Neural Architecture Search},
  author = {Li, Liam and Talwalkar, Ameet},
  booktitle = {Conference on Uncertainty in Artificial Intelligence},
  year = {2019}
}"""
