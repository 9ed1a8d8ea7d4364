"""Evolution guided by a neural predictor.

Wei, Niu, Tang, Wang, Hu and Liang, "NPENAS: neural predictor guided evolution for neural architecture
search", IEEE Transactions on Neural Networks and Learning Systems 2022 (arXiv 2003.12857), Algorithm 1
(NPENAS-NP); defaults as in the authors' code (auroua/NPENASv1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from algorithms._predicting import BatchesByPredictor, array_of, ranked
from nasbench_lab.predictors import Predictor
from nasbench_lab.predictors.graphs import has_graphs
from nasbench_lab.spaces import Architecture, SearchSpace


class NPENAS(BatchesByPredictor):
    """Each generation has many children of the best, of which those predicted best are evaluated.

    See ``BatchesByPredictor`` for what is asked when. ``n_initial`` is the size of the first
    generation, ``n_candidates`` how many children a generation has, and ``batch_size`` how many of
    them are evaluated.

    Args:
        space: The space to search.
        predictor: The paper's is a graph network. None is one, ``gcn``, where architectures are graphs,
            and ``mlp_ensemble``, as of BANANAS, where they are not.
        **kwargs: Other hyperparameters of ``BatchesByPredictor``, and ``seed`` and ``maximize`` of
            ``SearchAlgorithm``.
    """

    def __init__(
        self, space: SearchSpace, *, predictor: str | type[Predictor] | None = None, **kwargs: Any
    ) -> None:
        if predictor is None:
            predictor = "gcn" if has_graphs(space) else "mlp_ensemble"
        super().__init__(space, predictor=predictor, **kwargs)

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
