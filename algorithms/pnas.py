"""Progressive search: architectures grow decision by decision.

Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang and Murphy, "Progressive neural architecture
search", ECCV 2018 (arXiv 1712.00559), Algorithm 1. There, cells grow block by block; here, an edge or a
layer at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algorithms._predicting import PredictorBased, array_of
from algorithms._variation import valid_child
from nasbench_lab.algorithm import Evaluation, Trial, check_number
from nasbench_lab.predictors import Predictor
from nasbench_lab.spaces import Architecture, SearchSpace

PLAIN = ("skip_connect", "skip", "identity")
"""Options that leave a value as it is; decisions that are not made yet have one, if they can."""

Prefix = tuple[int, ...]
"""The options of the decisions made so far, in the order in which they are made."""


class PNAS(PredictorBased):
    """Makes one decision after the other, with a beam of the best so far.

    A partial architecture has skip connections for the decisions that are not made, or their first
    options where there are none. At each step every member of the beam is extended by all options of
    the next decision. The predictor, which has learned all results, ranks the extensions; the best are
    evaluated, and are the next beam. An extension that was evaluated before is not evaluated again.

    Several partial architectures may be the same as long as the other decisions are skip connections,
    such as all wirings of four skip connections. They are evaluated once, and each of them is extended;
    if they are more than ``beam_size``, so many of them are drawn.

    The paper's search is over when all decisions are made. Here it goes on from the best architecture
    with another pass, in random order, in which what is not decided is as in the best. While the
    results of a step are outstanding, it waits.

    The surrogate matters. On ``nas-bench-graph/cora``, where the path encoding has 7,380 numbers, the
    mean validation regret after 100 and 200 evaluations is 1.23 and 0.61 with ``mlp_ensemble`` (6
    seeds), and 0.81 and 0.33 with ``ridge`` (12 seeds). Random search has 1.13 and 0.99 (8 seeds).

    Args:
        space: The space to search.
        predictor: The surrogate; the paper has ensembles of recurrent networks or of perceptrons.
        predictor_settings: Its settings.
        beam_size: K of Algorithm 1, how many extensions are evaluated at each step.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        predictor: str | type[Predictor] = "mlp_ensemble",
        predictor_settings: Mapping[str, Any] | None = None,
        beam_size: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            space, predictor=predictor, predictor_settings=predictor_settings, **kwargs
        )
        check_number("beam_size", beam_size, whole=True, low=1)
        self.beam_size = beam_size
        self._rest: Architecture = tuple(map(_plain, space.decisions))
        self._order = list(range(len(space.decisions)))
        self._made = 0
        # The beam: architectures, each with the decisions that lead to it.
        self._beam: dict[Architecture, list[Prefix]] = {(): [()]}
        self._scores: dict[Architecture, float] = {}
        self._outstanding = 0
        self._new_in_pass = False

    def ask(self) -> Trial | None:
        while True:
            while self._queue:
                architecture = self._queue.popleft()
                if architecture not in self.taken:
                    return self._evaluate(architecture)
            if self._outstanding:
                return None  # the next step needs the results of this one
            if self._made == len(self._order) and not self._begin_pass():
                drawn = self.draw()  # nothing near the best is new
                return None if drawn is None else self._evaluate(drawn)
            self._queue.extend(self.propose())

    def _evaluate(self, architecture: Architecture) -> Trial:
        self._outstanding += 1
        self._new_in_pass = True
        return self._trial_of(architecture)

    def propose(self) -> Sequence[Architecture]:
        """Makes the next decision, and returns what is to be evaluated for it."""
        decision = self._order[self._made]
        self._made += 1
        options = range(self.space.n_options[decision])
        # Algorithm 1, expand-by-one: each member of the beam, by all options.
        extensions = self._whole(
            [(*prefix, option) for prefix in self._kept() for option in options]
        )
        candidates = list(extensions)
        if len(candidates) > self.beam_size and self.results:
            # The surrogate predicts what is not known, and the best K are kept.
            mean, _ = self.fitted().predict(array_of(candidates))
            values = [
                self._scores.get(a, m) for a, m in zip(candidates, mean.tolist(), strict=True)
            ]
            best = np.argsort(-np.array(values), kind="stable")[: self.beam_size]
            candidates = [candidates[i] for i in best.tolist()]
        self._beam = {one: self._some(extensions[one]) for one in candidates}
        return candidates

    def _kept(self) -> list[Prefix]:
        """The beam, without what failed if anything did not."""
        scored = {a: prefixes for a, prefixes in self._beam.items() if a in self._scores}
        kept = scored or self._beam
        if not kept:
            return [tuple(self._rest[i] for i in self._order[: self._made - 1])]
        return [prefix for prefixes in kept.values() for prefix in prefixes]

    def _some(self, prefixes: list[Prefix]) -> list[Prefix]:
        """As many of the prefixes as the beam may have members, at random."""
        if len(prefixes) <= self.beam_size:
            return prefixes
        drawn = self.rng.permutation(len(prefixes))[: self.beam_size]
        return [prefixes[i] for i in np.sort(drawn).tolist()]

    def _whole(self, prefixes: Sequence[Prefix]) -> dict[Architecture, list[Prefix]]:
        """Canonical architectures of the decisions made and the rest, each with all that give it.

        What is no architecture of the space is left out.
        """
        found: list[Architecture] = []
        valid: list[Prefix] = []
        for prefix in prefixes:
            options = list(self._rest)
            for decision, option in zip(self._order, prefix, strict=False):
                options[decision] = option
            architecture = valid_child(self.space, options)
            if architecture is not None:
                found.append(architecture)
                valid.append(prefix)
        whole: dict[Architecture, list[Prefix]] = {}
        if found:
            canonical = self.space.canonical(array_of(found)).tolist()
            for architecture, prefix in zip(map(tuple, canonical), valid, strict=True):
                whole.setdefault(architecture, []).append(prefix)
        return whole

    def _begin_pass(self) -> bool:
        """Begins a pass around the best; False if the last one found nothing new."""
        if not (self._new_in_pass and self.results):
            return False
        self._new_in_pass = False
        (self._rest,) = self.best(1)
        self._order = self.rng.permutation(len(self._order)).tolist()
        self._made, self._beam = 0, {(): [()]}
        return True

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self._outstanding -= 1
        super().tell(trial, evaluation)

    def learn(self, architecture: Architecture, evaluation: Evaluation) -> None:
        known = len(self.results)
        super().learn(architecture, evaluation)
        for seen, score in self.results[known:]:
            self._scores[seen] = max(score, self._scores.get(seen, score))


def _plain(decision: Any) -> int:
    """The option of a decision that is not made yet."""
    names = [str(option) for option in decision.options]
    return next((names.index(name) for name in PLAIN if name in names), 0)


PNAS.citation = """@inproceedings{liu2018progressive,
  title = {Progressive Neural Architecture Search},
  author = {Liu, Chenxi and Zoph, Barret and Neumann, Maxim and Shlens, Jonathon and Hua, Wei and
            Li, Li-Jia and Fei-Fei, Li and Yuille, Alan and Huang, Jonathan and Murphy, Kevin},
  booktitle = {European Conference on Computer Vision},
  year = {2018}
}"""
