"""Random search.

Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 2012; as a baseline of
architecture search: Li and Talwalkar, "Random search and reproducibility for neural architecture
search", UAI 2019 (arXiv 1902.07638).
"""

from __future__ import annotations

from typing import Any

from nasbench_lab.algorithm import SearchAlgorithm, Trial, check_choice
from nasbench_lab.spaces import Architecture, SearchSpace


class RandomSearch(SearchAlgorithm):
    """Draws architectures uniformly and independently. No result teaches it anything.

    Args:
        space: The space to search.
        replacement: Whether an architecture may be drawn again, as in the papers. Without
            replacement the search ends when the space is used up.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(self, space: SearchSpace, *, replacement: bool = True, **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        check_choice("replacement", replacement, (True, False))
        self.replacement = replacement
        self._drawn: set[Architecture] = set()

    def ask(self) -> Trial | None:
        architecture = self.space.sample(self.rng)
        if not self.replacement:
            if len(self._drawn) == self.space.size:
                return None
            while architecture in self._drawn:
                architecture = self.space.sample(self.rng)
            self._drawn.add(architecture)
        return self.trial(architecture)


RandomSearch.citation = """@article{bergstra2012random,
  title = {Random Search for Hyper-Parameter Optimization},
  author = {Bergstra, James and Bengio, Yoshua},
  journal = {Journal of Machine Learning Research},
  volume = {13},
  pages = {281--305},
  year = {2012}
}

@inproceedings{li2019random,
  title = {Random Search and Reproducibility for Neural Architecture Search},
  author = {Li, Liam and Talwalkar, Ameet},
  booktitle = {Conference on Uncertainty in Artificial Intelligence},
  year = {2019}
}"""
