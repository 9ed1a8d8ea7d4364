"""BANANAS: Bayesian optimisation with neural architectures.

White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural
architecture search", AAAI 2021 (arXiv 1910.11858), Algorithm 1; defaults as in the authors' code
(naszilla/naszilla).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms._predicting import PredictorBased, array_of, ranked
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.predictors import Predictor
from nasbench_lab.spaces import Architecture, SearchSpace


class BANANAS(PredictorBased):
    """Mutates the best, and asks for the mutants that are best by independent Thompson sampling.

    The predictor is an ensemble of five networks on the path encoding, or the one-hot encoding where
    there are no paths. See ``PredictorBased`` for what is asked when.

    Args:
        space: The space to search.
        predictor: One that gives standard deviations, see ``nasbench_lab.predictors``.
        predictor_settings: Its settings.
        n_initial: Random architectures before the predictor is used.
        batch_size: k of Algorithm 1, how many are asked for before the predictor learns again.
        n_candidates: How many mutants of the best are compared.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        predictor: str | type[Predictor] = "mlp_ensemble",
        predictor_settings: Mapping[str, Any] | None = None,
        n_initial: int = 10,
        batch_size: int = 10,
        n_candidates: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            space, predictor=predictor, predictor_settings=predictor_settings, **kwargs
        )
        self.set_sizes(n_initial, batch_size, n_candidates)
        if not self._new_predictor(0).uncertain:
            raise HyperparameterError(
                f"Expected for predictor one that gives standard deviations, which Thompson sampling "
                f"needs, such as mlp_ensemble, random_forest or gp, but got {predictor!r}."
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
