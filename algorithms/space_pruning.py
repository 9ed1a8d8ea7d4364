"""Search on a space that is narrowed by what was seen of it.

Radosavovic, Kosaraju, Girshick, He and Dollár, "Designing network design spaces", CVPR 2020 (arXiv
2003.13678), and Hu et al., "Angle-based search space shrinking for neural architecture search", ECCV
2020 (arXiv 2004.13431): random architectures show which options good ones have; the others are
dropped, and another algorithm searches what remains. Both papers do this once, by hand or with a
supernet, before they search; here its evaluations are paid for like all others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms._narrowed import PATIENCE, NarrowedSearch
from nasbench_lab.algorithm import (
    Evaluation,
    SearchAlgorithm,
    Trial,
    Work,
    check_choice,
    check_number,
)
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import CRITERIA, Architecture, SearchSpace, prune


class SpacePruning(NarrowedSearch):
    """Random search that narrows the space, and then another algorithm on what remains.

    In each round random architectures of the space as it is are evaluated, and all evaluations in it
    so far narrow it to the share ``keep`` of its size (see ``nasbench_lab.spaces.prune``). After the
    last round the base algorithm observes what is known of the narrowed space, and searches it.

    Args:
        space: The space to search.
        base: The algorithm that searches the narrowed space: the name of a file beside this one, or a
            class. One that is given images or proxies by the benchmark does not suit.
        base_hyperparameters: The base algorithm's hyperparameters.
        rounds: How often the space is narrowed.
        evaluations: How many architectures are evaluated in each round.
        keep: The share of the space that each round keeps, at most.
        by: What options are kept by, ``best`` or ``mean``.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        base: str | type[SearchAlgorithm] = "regularized_evolution",
        base_hyperparameters: Mapping[str, Any] | None = None,
        rounds: int = 1,
        evaluations: int = 50,
        keep: float = 0.1,
        by: str = "best",
        **kwargs: Any,
    ) -> None:
        super().__init__(space, base=base, base_hyperparameters=base_hyperparameters, **kwargs)
        check_number("rounds", rounds, whole=True, low=1)
        check_number("evaluations", evaluations, whole=True, low=2)
        check_number("keep", keep, above=0, below=1)
        check_choice("by", by, tuple(CRITERIA))
        self.rounds, self.evaluations, self.keep, self.by = rounds, evaluations, keep, by
        self._seen: list[tuple[Architecture, Evaluation]] = []
        self._told, self._narrowings = 0, 0

    def ask(self) -> Trial | Work | None:
        if self._base is not None:
            return self._ask_base()
        for _ in range(PATIENCE):
            with contextlib.suppress(InvalidArchitectureError):
                drawn = self.narrowed.space.sample(self.rng)
                return self.trial(self.narrowed.restore(drawn))
        return self.trial(self.space.sample(self.rng))

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        if self._tell_base(trial, evaluation):
            return
        self.observe(trial.architecture, evaluation)
        self._told += 1
        if self._base is None and self._told >= (self._narrowings + 1) * self.evaluations:
            self._narrow()

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Keeps a final result until the space is narrowed; the base algorithm observes it then."""
        if self._base is None:
            if self.is_final(evaluation):
                self._seen.append((architecture, evaluation))
        else:
            self._observe_in_part(architecture, evaluation)

    def _narrow(self) -> None:
        """Narrows the space, and after the last round gives what remains to the base algorithm."""
        inside = [(self.narrowed.narrow(a), self.score(e)) for a, e in self._seen]
        known = [(a, score) for a, score in inside if a is not None]
        part = self.narrowed.space
        architectures = np.array([a for a, _ in known], dtype=np.int64)
        scores = [score for _, score in known]
        fewer = prune(part, (architectures, scores), keep=self.keep, by=self.by)
        self.narrowed = self.narrowed.within(fewer)
        self._narrowings += 1
        if self._narrowings == self.rounds:
            self._base = self._base_on(self.narrowed.space, self.rng)
            for architecture, evaluation in self._seen:
                self.observe(architecture, evaluation)
            self._seen = []


SpacePruning.citation = r"""@inproceedings{radosavovic2020designing,
  title = {Designing Network Design Spaces},
  author = {Radosavovic, Ilija and Kosaraju, Raj Prateek and Girshick, Ross and He, Kaiming and
            Doll{\'a}r, Piotr},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year = {2020}
}

@inproceedings{hu2020angle,
  title = {Angle-based Search Space Shrinking for Neural Architecture Search},
  author = {Hu, Yiming and Liang, Yuding and Guo, Zichao and Wan, Ruosi and Zhang, Xiangyu and
            Wei, Yichen and Gu, Qingyi and Sun, Jian},
  booktitle = {European Conference on Computer Vision},
  year = {2020}
}"""
