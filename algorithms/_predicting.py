"""What searches with a predictor have in common: it learns from the results, and ranks candidates.

Batches, candidates and defaults are those of the code of BANANAS (White et al. 2021; GitHub:
naszilla/naszilla), which NPENAS (Wei et al. 2020; GitHub: auroua/NPENASv1) took over.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms._numbers import squarable
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_number
from nasbench_lab.errors import UnsuitedError
from nasbench_lab.predictors import Predictor, make_predictor
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace

ENUMERABLE = 100_000
"""Spaces of up to so many architectures are listed to find what is left in them."""


class PredictorBased(SearchAlgorithm):
    """Base of searches in which a predictor learns from the results.

    No class of isomorphic architectures is asked for twice. Results of other searches count like its
    own.

    Args:
        space: The space to search.
        predictor: One of ``nasbench_lab.predictors.PREDICTORS``, or a class of your own.
        predictor_settings: The predictor's settings.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.

    Raises:
        UnsuitedError: The predictor needs columns, which a search does not have, or graphs.
        MissingPackageError: The predictor needs a package that is not installed.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        predictor: str | type[Predictor],
        predictor_settings: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        self.predictor, self.predictor_settings = predictor, dict(predictor_settings or {})
        if self._new_predictor(0).needs_columns:
            raise UnsuitedError(
                f"The predictor {predictor!r} learns from columns beside the architectures, which a "
                f"search does not have. Take another, such as random_forest."
            )
        self.results: list[tuple[Architecture, float]] = []
        """Canonical architectures and finite scores, in the order in which they came."""
        self.taken: set[Architecture] = set()
        """Canonical architectures that are not asked any more."""
        self._queue: deque[Architecture] = deque()

    def _trial_of(self, architecture: Architecture) -> Trial:
        self.taken.add(architecture)
        return self.trial(architecture)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self.learn(trial.architecture, evaluation)

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Adds a result to the data; its architecture is then not asked any more."""
        if self.is_final(evaluation):
            architecture = self.space.canonical(architecture)
            self.taken.add(architecture)
            self.learn(architecture, evaluation)

    def learn(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Adds a finite score to the results."""
        score = squarable(self.penalised_score(evaluation))
        if np.isfinite(score):
            self.results.append((architecture, score))

    def draw(self) -> Architecture | None:
        """A random architecture of a class not taken, or None if there seems to be none."""
        for _ in range(100):
            architecture = self.space.canonical(self.space.sample(self.rng))
            if architecture not in self.taken:
                return architecture
        if self.space.size > ENUMERABLE:
            return None
        left = [a for a in map(tuple, self.space.classes.tolist()) if a not in self.taken]
        return left[int(self.rng.random() * len(left))] if left else None

    def best(self, n: int) -> list[Architecture]:
        """The best ``n`` architectures so far, the best first."""
        ranked = sorted(self.results, key=lambda result: -result[1])
        return list(dict.fromkeys(architecture for architecture, _ in ranked))[:n]

    def fitted(self) -> Predictor:
        """A predictor that has learned the results."""
        predictor = self._new_predictor(int(self.rng.integers(2**31)))
        architectures = np.array([architecture for architecture, _ in self.results])
        predictor.fit(architectures, np.array([score for _, score in self.results]))
        return predictor

    def _new_predictor(self, seed: int) -> Predictor:
        return make_predictor(self.predictor, self.space, seed, **self.predictor_settings)


class BatchesByPredictor(PredictorBased):
    """Base of searches that ask for random architectures first, and then for batches by a predictor.

    A child overrides ``propose``. A batch is chosen when the last one was asked for, from the results
    that are known then. The search ends when all classes of architectures were asked for.

    Args:
        space: The space to search.
        predictor: As of ``PredictorBased``.
        predictor_settings: The predictor's settings.
        n_initial: How many random architectures are asked for before the predictor is used.
        batch_size: How many architectures are asked for before the predictor learns again.
        n_candidates: How many candidates are compared for a batch.
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
        check_number("n_initial", n_initial, whole=True, low=1)
        check_number("batch_size", batch_size, whole=True, low=1)
        check_number("n_candidates", n_candidates, whole=True, low=1)
        self.n_initial, self.batch_size = n_initial, batch_size
        self.n_candidates = n_candidates

    @abstractmethod
    def propose(self) -> Sequence[Architecture]:
        """Canonical architectures to ask for, the best first; those that were taken are passed over.

        It is called when there are results.
        """

    def ask(self) -> Trial | None:
        if not self._queue and len(self.taken) >= self.n_initial and self.results:
            proposed = [one for one in self.propose() if one not in self.taken]
            self._queue.extend(dict.fromkeys(proposed[: self.batch_size]))
        while self._queue:
            architecture = self._queue.popleft()
            if architecture not in self.taken:  # a result of another search may have come since
                return self._trial_of(architecture)
        drawn = self.draw()
        return None if drawn is None else self._trial_of(drawn)

    def mutants(self, n: int) -> list[Architecture]:
        """``n`` new mutants of the best architectures, or fewer, those of the best first.

        The best is mutated ``n`` times, then the next best, until there are enough.
        """
        found: dict[Architecture, None] = {}
        for parent in self.best(_MOST_PARENTS):
            copies = np.repeat(np.array([parent]), n, axis=0)
            children = self.space.canonical(self.space.mutate(copies, self.rng))
            found |= dict.fromkeys(a for a in map(tuple, children.tolist()) if a not in self.taken)
            if len(found) >= n:
                break
        return list(found)[:n]


_MOST_PARENTS = 50


def ranked(candidates: Sequence[Architecture], values: NDArray[np.float64]) -> list[Architecture]:
    """Candidates from the greatest value to the smallest; of equals, the first comes first."""
    return [candidates[i] for i in np.argsort(-values, kind="stable").tolist()]


def array_of(candidates: Sequence[Architecture]) -> Architectures:
    """``(n, d)`` architectures."""
    return np.array(candidates, dtype=np.int64)
