"""Random scalarizations: several objectives become several searches for one each.

Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive
multiobjective optimization problems", IEEE Transactions on Evolutionary Computation 10(1), 2006;
Paria, Kandasamy and Póczos, "A flexible framework for multi-objective Bayesian optimization using
random scalarizations", UAI 2019 (arXiv 1805.12168).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from algorithms._base import make_base
from algorithms._numbers import squarable
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, check_choice, check_number
from nasbench_lab.errors import HyperparameterError
from nasbench_lab.spaces import SearchSpace

RHO = 0.05
"""Weight of the linear scalarization in the augmented Chebyshev one, as in ParEGO."""


class RandomScalarization(SearchAlgorithm):
    """Searches for several weightings of the objectives at once, each with an algorithm of its own.

    Random architectures come first. The best and the worst that they reach in each objective become
    0 and 1 of its loss, and the losses of an architecture become one score per weight vector. Each
    ask goes to the search of one of the vectors, drawn at random, and every result is told to all.

    Args:
        space: The space to search.
        base: What searches for one weighting: the name of an algorithm, or a class.
        base_hyperparameters: Its hyperparameters.
        n_weights: How many weight vectors are drawn, uniformly from the simplex; a single objective
            needs one.
        n_initial: Random architectures before the searches start. If all of them failed, more.
        scalarization: The score of losses ``f`` by weights ``w`` is ``-sum_j w_j f_j`` if
            ``linear``, and ``-(max_j w_j f_j + 0.05 sum_j w_j f_j)`` if ``chebyshev``, which also
            finds what lies in concave parts of the front.
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
        self._searches = [
            make_base(base, space, self.rng, True, self.fidelities, **(base_hyperparameters or {}))
            for _ in self.weight_vectors
        ]
        # Which search a trial belongs to and its number there, and the other way round.
        self._owners: dict[int, tuple[int, int]] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._initial: list[tuple[Trial, Evaluation]] = []
        self._initial_costs: list[list[float]] = []
        self._ranges: list[tuple[float, float]] = []  # lowest cost and range, once they are known

    def ask(self) -> Trial | None:
        if not self._ranges:
            return self.trial(self.space.sample(self.rng))
        n = len(self._searches)
        drawn = int(self.rng.random() * n)
        # If it has to wait for results, the next.
        for k in (*range(drawn, n), *range(drawn)):
            trial = self._searches[k].ask()
            if trial is not None:
                return self._renumbered(trial, k)
        return None

    def _renumbered(self, trial: Trial, k: int) -> Trial:
        """The trial of a search with a number here; it keeps that when it continues."""
        owner = k, trial.number
        number = self._numbers.get(owner)
        if number is None:
            number = self._numbers[owner] = self.trial(trial.architecture).number
            self._owners[number] = owner
        return trial._replace(number=number)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        if self._ranges:
            self._teach(trial, evaluation)
            return
        self._initial.append((trial, evaluation))
        costs = self._costs(evaluation)
        if costs is not None:
            self._initial_costs.append(costs)
        if len(self._initial) >= self.n_initial and self._initial_costs:
            for column in zip(*self._initial_costs, strict=True):
                self._ranges.append((min(column), max(column) - min(column) or 1.0))
            for one in self._initial:
                self._teach(*one)
            self._initial, self._initial_costs = [], []

    def _teach(self, trial: Trial, evaluation: Evaluation) -> None:
        """Tells all searches: the one that asked as its own trial, the others as a warm start."""
        owner, number = self._owners.get(trial.number, (-1, -1))
        own, foreign = trial._replace(number=number), trial._replace(number=-1)
        costs = self._costs(evaluation)
        for k, (search, weights) in enumerate(
            zip(self._searches, self.weight_vectors, strict=True)
        ):
            score = math.nan if costs is None else self._scalarized(costs, weights)
            search.tell(
                own if k == owner else foreign,
                Evaluation((score,), evaluation.cost, evaluation.epoch, evaluation.row),
            )

    def _costs(self, evaluation: Evaluation) -> list[float] | None:
        """The objectives turned so that less is better; None if it failed or is infeasible."""
        if evaluation.violation > 0 or not all(map(math.isfinite, evaluation.values)):
            return None
        signed = zip(self._signs, evaluation.values, strict=True)
        return [-sign * squarable(value) for sign, value in signed]

    def _scalarized(self, costs: list[float], weights: list[float]) -> float:
        """The score of an evaluation by one weight vector; more is better."""
        weighted = [
            w * (cost - lowest) / spread
            for w, cost, (lowest, spread) in zip(weights, costs, self._ranges, strict=True)
        ]
        if self.scalarization == "linear":
            return -sum(weighted)
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
