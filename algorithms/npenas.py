"""Evolution guided by a neural predictor.

Wei, Niu, Tang, Wang, Hu and Liang, "NPENAS: neural predictor guided evolution for neural architecture
search", IEEE Transactions on Neural Networks and Learning Systems 2022 (arXiv 2003.12857), Algorithm 1
(NPENAS-NP); defaults as in the authors' code (auroua/NPENASv1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms._predicting import PredictorBased, array_of, ranked
from nasbench_lab.predictors import Predictor
from nasbench_lab.spaces import Architecture, SearchSpace


class NPENAS(PredictorBased):
    """Each generation has many children of the best, of which those predicted best are evaluated.

    The paper's predictor is a graph network; ``predictor="gcn"`` is one, and needs PyTorch and
    architectures that are graphs. The default needs neither. See ``PredictorBased`` for what is asked
    when.

    Args:
        space: The space to search.
        predictor: See ``nasbench_lab.predictors``; its standard deviations are not used.
        predictor_settings: Its settings.
        n_initial: Random architectures of the first generation.
        batch_size: How many children of a generation are evaluated.
        n_candidates: How many children a generation has.
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

    def propose(self) -> Sequence[Architecture]:
        # The predictor learns all evaluated architectures anew.
        predictor = self.fitted()
        # Parents have many children each (one-to-many mutation), by one changed decision.
        children = self.mutants(self.n_candidates)
        if not children:
            return []
        # Those with the best predictions are evaluated, and join the population.
        return ranked(children, predictor.predict(array_of(children))[0])


NPENAS.citation = """@article{wei2022npenas,
  title = {{NPENAS}: Neural Predictor Guided Evolution for Neural Architecture Search},
  author = {Wei, Chen and Niu, Chuang and Tang, Yiping and Wang, Yue and Hu, Haihong and
            Liang, Jimin},
  journal = {IEEE Transactions on Neural Networks and Learning Systems},
  year = {2022}
}"""
