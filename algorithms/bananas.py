"""BANANAS: Bayesian optimisation with neural architectures.

White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural
architecture search", AAAI 2021 (arXiv 1910.11858), Algorithm 1; defaults as in the authors' code
(naszilla/naszilla).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from algorithms._predicting import BatchesByPredictor, array_of, ranked
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import Architecture, SearchSpace


class BANANAS(BatchesByPredictor):
    """Mutates the best, and asks for the mutants that are best by independent Thompson sampling.

    The predictor is an ensemble of five networks on the path encoding, or the one-hot encoding where
    there are no paths. See ``BatchesByPredictor`` for what is asked when.

    ``batch_size`` is k of Algorithm 1, and ``n_candidates`` how many mutants of the best are compared.
    The predictor must give standard deviations.

    Args:
        space: The space to search.
        **kwargs: The hyperparameters of ``BatchesByPredictor``, and ``seed`` and ``maximize`` of
            ``SearchAlgorithm``.

    Raises:
        HyperparameterError: The predictor gives no standard deviations.
    """

    def __init__(self, space: SearchSpace, **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        if not self._new_predictor(0).uncertain:
            raise HyperparameterError(
                f"Expected for predictor one that gives standard deviations, which Thompson sampling "
                f"needs, such as mlp_ensemble, random_forest or gp, but got {self.predictor!r}."
            )

    def propose(self) -> Sequence[Architecture]:
        # Algorithm 1, step 2: train the ensemble.
        predictor = self.fitted()
        # Step 3: generate candidates by mutating the best architectures.
        candidates = self.mutants(self.n_candidates)
        if not candidates:
            return []
        # Step 4: the acquisition function, a draw for each candidate (section 4, ITS).
        mean, std = predictor.predict(array_of(candidates))
        return ranked(candidates, mean + std * self.rng.normal(size=len(mean)))


BANANAS.citation = """@inproceedings{white2021bananas,
  title = {{BANANAS}: {Bayesian} Optimization with Neural Architectures for Neural Architecture
           Search},
  author = {White, Colin and Neiswanger, Willie and Savani, Yash},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2021}
}"""
