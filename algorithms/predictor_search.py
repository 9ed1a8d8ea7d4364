"""Search by a predictor: it learns, and what it predicts to be best is evaluated.

White, Zela, Ru, Liu and Hutter, "How powerful are performance predictors in neural architecture
search?", NeurIPS 2021 (arXiv 2104.01177), section 5, the predictor-guided search; Wen, Liu, Chen, Li,
Bender and Kindermans, "Neural predictor for neural architecture search", ECCV 2020 (arXiv 1912.00848),
of which it is one round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from algorithms._predicting import ENUMERABLE, BatchesByPredictor, array_of, ranked
from nasbench_lab.predictors import Predictor
from nasbench_lab.spaces import Architecture, SearchSpace


class PredictorSearch(BatchesByPredictor):
    """Asks for the architectures with the best predictions, of random ones and mutants of the best.

    See ``BatchesByPredictor`` for what is asked when.

    Args:
        space: The space to search.
        predictor: See ``nasbench_lab.predictors``; its standard deviations are not used.
        n_initial: Random architectures before the predictor is used.
        n_candidates: How many random architectures are predicted for each batch, and a tenth as many
            mutants of the best; all architectures if the space has no more.
        **kwargs: Other hyperparameters of ``BatchesByPredictor``, and ``seed`` and ``maximize`` of
            ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        predictor: str | type[Predictor] = "random_forest",
        n_initial: int = 20,
        n_candidates: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            space, predictor=predictor, n_initial=n_initial, n_candidates=n_candidates, **kwargs
        )

    def propose(self) -> Sequence[Architecture]:
        predictor = self.fitted()
        if self.space.size <= min(self.n_candidates, ENUMERABLE):
            drawn = self.space.classes[self.rng.permutation(len(self.space.classes))]
        else:
            drawn = self.space.canonical(self.space.sample(self.rng, self.n_candidates))
        new = [a for a in map(tuple, drawn.tolist()) if a not in self.taken]
        candidates = list(dict.fromkeys([*self.mutants(self.n_candidates // 10 + 1), *new]))
        if not candidates:
            return []
        return ranked(candidates, predictor.predict(array_of(candidates))[0])


PredictorSearch.citation = """@inproceedings{white2021powerful,
  title = {How Powerful are Performance Predictors in Neural Architecture Search?},
  author = {White, Colin and Zela, Arber and Ru, Robin and Liu, Yang and Hutter, Frank},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021}
}

@inproceedings{wen2020neural,
  title = {Neural Predictor for Neural Architecture Search},
  author = {Wen, Wei and Liu, Hanxiao and Chen, Yiran and Li, Hai and Bender, Gabriel and
            Kindermans, Pieter-Jan},
  booktitle = {European Conference on Computer Vision},
  year = {2020}
}"""
