"""Zero-shot search: what was best on other tasks, in the order that covers them.

Wistuba, Schilling and Schmidt-Thieme, "Sequential model-free hyperparameter tuning", ICDM 2015
(section IV, the static sequence), and Winkelmolen, Ivkin, Bozkurt and Karnin, "Practical and sample
efficient zero-shot HPO", 2020 (arXiv 2007.13382), who predict what was not evaluated on a task.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from algorithms._transfer import TaskModel, some_of
from nasbench_lab.algorithm import History, OtherTask, SearchAlgorithm, Trial, check_history
from nasbench_lab.predictors.kernels import Kernel
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace

Floats = NDArray[np.float64]

MOST_DRAWS = 100
"""How often an architecture is drawn that was not asked before."""


class TransferZeroShot(SearchAlgorithm):
    """Asks in a fixed order, by which each next architecture adds most on the other tasks.

    The scores of each task are scaled from 0 to 1. The next architecture is the one by which the best
    score so far, summed over the tasks, grows most. When nothing grows any more, the best scores are
    forgotten, and the order begins anew with what is left. After all that is known of the tasks,
    random architectures follow. No results teach it anything, neither its own nor others.

    Args:
        space: The space to search.
        history: What is known of other tasks; given by the experiment.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self, space: SearchSpace, *, history: History | None = None, **kwargs: Any
    ) -> None:
        super().__init__(space, **kwargs)
        self._known, self._scores = _known(space, check_history(history))
        self._covered = np.zeros(len(self._scores))
        self._left = np.ones(len(self._known), dtype=np.bool_)
        self._asked: set[Architecture] = set()

    def ask(self) -> Trial:
        if not self._left.any():
            return self.trial(self._random())
        chosen = self._next()
        if not self._grows(chosen):
            self._covered[:] = 0.0
            chosen = self._next()
        self._left[chosen] = False
        self._covered = np.maximum(self._covered, self._scores[:, chosen])
        architecture = tuple(self._known[chosen].tolist())
        self._asked.add(architecture)
        return self.trial(architecture)

    def _next(self) -> int:
        """The architecture that raises the sum of the best scores most (equation 8)."""
        gains = np.maximum(self._scores - self._covered[:, None], 0.0).sum(axis=0)
        return int(np.where(self._left, gains, -1.0).argmax())

    def _grows(self, chosen: int) -> bool:
        """Whether an architecture raises the best score of any task."""
        return bool((self._scores[:, chosen] > self._covered).any())

    def _random(self) -> Architecture:
        """A random architecture, of a class not asked before if one is soon found."""
        for _ in range(MOST_DRAWS):
            architecture = self.space.canonical(self.space.sample(self.rng))
            if architecture not in self._asked:
                break
        self._asked.add(architecture)
        return architecture


@functools.lru_cache(maxsize=8)
def _known(space: SearchSpace, history: History) -> tuple[Architectures, Floats]:
    """``(m, d)`` architectures that some task knows, and their ``(tasks, m)`` scores from 0 to 1."""
    every = np.concatenate([task.architectures for task in history.tasks])
    known = np.unique(every, axis=0)
    with threadpool_limits(1):  # as in a search
        return known, np.array([_scaled(task, known, space) for task in history.tasks])


def _scaled(task: OtherTask, architectures: Architectures, space: SearchSpace) -> Floats:
    """``(m,)`` scores of a task from 0 to 1; predictions where it was not evaluated."""
    halves = 0.5 * task.scores  # whose differences do not overflow
    spread = float(np.ptp(halves))
    scores = (halves - halves.min()) / spread if spread > 0 else np.zeros_like(halves)
    if len(architectures) == len(task.architectures):
        return scores
    which = some_of(task)
    mean, deviation = float(scores[which].mean()), float(scores[which].std()) or 1.0
    targets = (scores[which] - mean) / deviation
    model = TaskModel(Kernel("ordinal", space), task.architectures[which], targets)
    predicted = np.clip(mean + deviation * model.predict(architectures)[0], 0.0, 1.0)
    of = {tuple(one): score for one, score in zip(task.architectures.tolist(), scores, strict=True)}
    measured = [of.get(tuple(one), np.nan) for one in architectures.tolist()]
    result: Floats = np.where(np.isnan(measured), predicted, measured)
    return result


TransferZeroShot.citation = r"""@inproceedings{wistuba2015sequential,
  title = {Sequential Model-Free Hyperparameter Tuning},
  author = {Wistuba, Martin and Schilling, Nicolas and Schmidt-Thieme, Lars},
  booktitle = {International Conference on Data Mining},
  year = {2015}
}

@article{winkelmolen2020practical,
  title = {Practical and Sample Efficient Zero-Shot {HPO}},
  author = {Winkelmolen, Fela and Ivkin, Nikita and Bozkurt, H. Furkan and Karnin, Zohar},
  journal = {arXiv preprint arXiv:2007.13382},
  year = {2020}
}"""
