"""Random scalarizations: several objectives become several searches for one each.

Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive
multiobjective optimization problems", IEEE Transactions on Evolutionary Computation 10(1), 2006;
Paria, Kandasamy and Póczos, "A flexible framework for multi-objective Bayesian optimization using
random scalarizations", UAI 2019 (arXiv 1805.12168).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from algorithms._base import make_base
from algorithms._numbers import squarable
from nasbench_lab.algorithm import (
    Evaluation,
    Proxies,
    SearchAlgorithm,
    Trial,
    Work,
    check_choice,
    check_number,
)
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import Architecture, SearchSpace

RHO = 0.05
"""Weight of the linear scalarization in the augmented Chebyshev one, as in ParEGO."""


class RandomScalarization(SearchAlgorithm):
    """Searches for several weightings of the objectives at once, each with an algorithm of its own.

    Random architectures come first. Their best and worst value in each objective become 0 and 1 of
    its loss. Each weight vector makes one score of the losses of an architecture, and has a search
    of its own. Each ask goes to one of the searches, drawn at random. The search that asked is told
    the result by its own score, and all others observe it by theirs. All of them observe the initial
    random architectures, and results from elsewhere.

    Args:
        space: The space to search.
        base: The algorithm that searches for one weighting: a name, or a class.
        base_hyperparameters: The base algorithm's hyperparameters.
        n_weights: How many weight vectors are drawn, uniformly from the simplex; a single objective
            needs one.
        n_initial: Random architectures before the searches start; more if all of them failed.
        scalarization: The score of losses ``f`` with weights ``w``: ``-sum_j w_j f_j`` if ``linear``;
            ``-(max_j w_j f_j + 0.05 sum_j w_j f_j)`` if ``chebyshev``, which also reaches the concave
            parts of the front.
        data: For the base algorithm, as ``proxies``; given by the benchmark.
        proxies: See ``Proxies``.
        **kwargs: ``seed``, ``maximize`` and ``fidelities`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        base: str | type[SearchAlgorithm] = "regularized_evolution",
        base_hyperparameters: Mapping[str, Any] | None = None,
        n_weights: int = 8,
        n_initial: int = 20,
        scalarization: str = "chebyshev",
        data: str | None = None,
        proxies: Proxies | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        if self._weights is not None:
            raise HyperparameterError("Expected no weights: they are drawn at random.")
        check_number("n_weights", n_weights, whole=True, low=1)
        check_number("n_initial", n_initial, whole=True, low=1)
        check_choice("scalarization", scalarization, ("chebyshev", "linear"))
        self.n_initial = n_initial
        self.scalarization = scalarization
        n_objectives = len(self.maximize)
        vectors = self.rng.dirichlet([1.0] * n_objectives, n_weights if n_objectives > 1 else 1)
        self.weight_vectors: list[list[float]] = vectors.tolist()
        given: dict[str, Any] = {"data": data, "proxies": proxies}
        self._searches = [
            make_base(
                base,
                space,
                self.rng,
                True,
                self.fidelities,
                **given,
                **(base_hyperparameters or {}),
            )
            for _ in self.weight_vectors
        ]
        # The search that asked a trial and the trial's number there, and the other way round.
        self._owners: dict[int, tuple[int, int]] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._initial: list[tuple[Architecture, Evaluation]] = []
        self._initial_costs: list[list[float]] = []
        # The lowest cost of each objective and the range of its costs, once the searches start.
        self._ranges: list[tuple[float, float]] = []

    def ask(self) -> Trial | Work | None:
        if not self._ranges:
            return self.trial(self.space.sample(self.rng))
        n = len(self._searches)
        first = int(self.rng.random() * n)
        # If this search waits for results, the next is asked.
        for k in (*range(first, n), *range(first)):
            asked = self._searches[k].ask()
            if isinstance(asked, Work):
                return asked
            if asked is not None:
                return self._renumbered(asked, k)
        return None

    def _renumbered(self, trial: Trial, k: int) -> Trial:
        """The trial of search ``k`` with a number of its own here, which it keeps when it continues."""
        owner = k, trial.number
        number = self._numbers.get(owner)
        if number is None:
            number = self._numbers[owner] = self.trial(trial.architecture).number
            self._owners[number] = owner
        return trial._replace(number=number)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        owner = self._owners.get(trial.number)
        if owner is None:  # an initial random architecture
            self._share(trial.architecture, evaluation)
            return
        owner_k, number = owner
        for k, (search, scalar) in enumerate(self._scalarizations(evaluation)):
            if k == owner_k:
                search.tell(trial._replace(number=number), scalar)
            else:
                search.observe(trial.architecture, scalar)

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Passes a result to all searches; before they start, only that of a full training."""
        if self._ranges or self.is_final(evaluation):
            self._share(architecture, evaluation)

    def _share(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Lets all searches observe a result, or keeps it until they start."""
        if self._ranges:
            for search, scalar in self._scalarizations(evaluation):
                search.observe(architecture, scalar)
            return
        self._initial.append((architecture, evaluation))
        costs = self._costs(evaluation)
        if costs is not None:
            self._initial_costs.append(costs)
        if len(self._initial) >= self.n_initial and self._initial_costs:
            self._start()

    def _start(self) -> None:
        """Fixes the ranges of the costs, and lets the searches observe the results so far."""
        for column in zip(*self._initial_costs, strict=True):
            self._ranges.append((min(column), max(column) - min(column) or 1.0))
        initial, self._initial, self._initial_costs = self._initial, [], []
        for architecture, evaluation in initial:
            self._share(architecture, evaluation)

    def _scalarizations(
        self, evaluation: Evaluation
    ) -> Iterator[tuple[SearchAlgorithm, Evaluation]]:
        """Each search, and the evaluation with the score of its weights as the only value."""
        costs = self._costs(evaluation)
        for search, weights in zip(self._searches, self.weight_vectors, strict=True):
            score = math.nan if costs is None else self._scalarized(costs, weights)
            yield search, Evaluation((score,), evaluation.cost, evaluation.epoch, evaluation.row)

    def _costs(self, evaluation: Evaluation) -> list[float] | None:
        """The objectives turned so that less is better; None if it failed or is infeasible."""
        if not evaluation.feasible or not all(map(math.isfinite, evaluation.values)):
            return None
        signed = zip(self._signs, evaluation.values, strict=True)
        return [-sign * squarable(value) for sign, value in signed]

    def _scalarized(self, costs: list[float], weights: list[float]) -> float:
        """The score that one weight vector gives to costs; more is better."""
        weighted = [
            w * (cost - lowest) / spread
            for w, cost, (lowest, spread) in zip(weights, costs, self._ranges, strict=True)
        ]
        if self.scalarization == "linear":
            return -sum(weighted)
        # ParEGO's augmented Chebyshev function, negated.
        return -max(weighted) - RHO * sum(weighted)


RandomScalarization.citation = r"""@article{knowles2006parego,
  title = {{ParEGO}: A Hybrid Algorithm with On-Line Landscape Approximation for Expensive
           Multiobjective Optimization Problems},
  author = {Knowles, Joshua},
  journal = {IEEE Transactions on Evolutionary Computation},
  volume = {10},
  number = {1},
  pages = {50--66},
  year = {2006}
}

@inproceedings{paria2019flexible,
  title = {A Flexible Framework for Multi-Objective {Bayesian} Optimization using Random
           Scalarizations},
  author = {Paria, Biswajit and Kandasamy, Kirthevasan and P{\'o}czos, Barnab{\'a}s},
  booktitle = {Conference on Uncertainty in Artificial Intelligence},
  year = {2019}
}"""
