"""pymoo's evolutionary algorithms, for one objective and for several.

Blank and Deb, "pymoo: multi-objective optimization in Python", IEEE Access 8, 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms._peers import Losses, Peer, Proposal
from nasbench_lab.algorithm import check_choice, check_number
from nasbench_lab.spaces import SearchSpace, names_of

ALGORITHMS = {
    "ga": ("pymoo.algorithms.soo.nonconvex.ga", "GA"),
    "de": ("pymoo.algorithms.soo.nonconvex.de", "DE"),
    "pso": ("pymoo.algorithms.soo.nonconvex.pso", "PSO"),
    "es": ("pymoo.algorithms.soo.nonconvex.es", "ES"),
    "nsga2": ("pymoo.algorithms.moo.nsga2", "NSGA2"),
    "nsga3": ("pymoo.algorithms.moo.nsga3", "NSGA3"),
    "sms_emoa": ("pymoo.algorithms.moo.sms", "SMSEMOA"),
    "spea2": ("pymoo.algorithms.moo.spea2", "SPEA2"),
}
"""Module and name of each algorithm in pymoo."""

REAL = ("de", "pso", "es")
"""The algorithms that move in real numbers."""

SEVERAL = ("nsga2", "nsga3", "sms_emoa", "spea2")
"""The algorithms for several objectives."""

FAILED = 1e100
"""The violation of what failed."""


class Pymoo(Peer):
    """An evolutionary algorithm of pymoo proposes generations of architectures.

    ``ga``, ``nsga2``, ``nsga3``, ``sms_emoa`` and ``spea2`` use pymoo's operators for mixed
    variables: an ordered decision is an ``Integer`` to them, and any other a ``Choice``. ``de``,
    ``pso`` and ``es`` move in real numbers, which are rounded to the numbers of options. pymoo knows no
    decisions that exist only under conditions: it chooses all, and those that do not exist are left
    out.

    A generation is told when all of it is evaluated; until then the search waits. pymoo is told by how
    much constraints are violated, and failures as the greatest violations. Results of other searches
    teach it nothing. It eliminates duplicates of its own generations only, and where it finds no new
    architecture, on a space that is used up, the search is over.

    Args:
        space: The space to search.
        algorithm: ``ga``, ``de``, ``pso`` or ``es`` for one objective, which is ``score``; ``nsga2``,
            ``nsga3``, ``sms_emoa`` or ``spea2`` for several.
        population_size: Size of the population.
        settings: More arguments of pymoo's algorithm, such as ``{'n_offsprings': 5}``.
        **kwargs: ``seed``, ``maximize`` and ``weights`` of ``SearchAlgorithm``.
    """

    needs = "pymoo"
    knows_constraints = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        algorithm: str = "ga",
        population_size: int = 20,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("algorithm", algorithm, tuple(ALGORITHMS))
        check_number("population_size", population_size, whole=True, low=4)
        self.algorithm, self.population_size = algorithm, population_size
        self.learns_several = algorithm in SEVERAL
        self._names = names_of(space)
        super().__init__(space, settings=settings, **kwargs)

    def begin(self, seed: int) -> Any:
        from importlib import import_module

        from pymoo.core.problem import Problem

        module, name = ALGORITHMS[self.algorithm]
        arguments: dict[str, Any] = {"pop_size": self.population_size}
        if self.algorithm not in REAL:
            arguments |= _mixed_operators()
        if self.algorithm == "nsga3":
            from pymoo.util.ref_dirs import get_reference_directions

            arguments["ref_dirs"] = get_reference_directions(
                "energy", self.n_losses, self.population_size, seed=seed
            )
        optimiser = getattr(import_module(module), name)(**{**arguments, **self.settings})
        n = np.array(self.space.n_options)
        bounds: dict[str, Any] = (
            {"n_var": len(n), "xl": np.full(len(n), -0.5), "xu": n - 0.5}
            if self.algorithm in REAL
            else {"vars": self._variables()}
        )
        # The hypervolume is of two at least: the same loss twice puts all in the order of one.
        self._n_told = max(self.n_losses, 2) if self.algorithm == "sms_emoa" else self.n_losses
        problem = Problem(n_obj=self._n_told, n_ieq_constr=1, **bounds)
        optimiser.setup(problem, seed=seed, termination=("n_gen", 10**9), verbose=False)
        self._waiting: list[Any] = []
        self._generation: Any = None
        self._at_work: dict[int, Any] = {}
        self._over = False
        return optimiser

    def _variables(self) -> dict[str, Any]:
        """Pymoo's variables, by the decisions' names."""
        from pymoo.core.variable import Choice, Integer

        return {
            name: Integer(bounds=(0, n - 1))
            if decision.ordered and n > 1
            else Choice(options=range(n))
            for name, decision, n in zip(
                self._names, self.space.decisions, self.space.n_options, strict=True
            )
        }

    def propose(self, number: int) -> Proposal | None:
        if not self._waiting:
            if self._at_work or self._over:
                return None
            self._generation = self.optimiser.ask()
            self._waiting = [] if self._generation is None else list(self._generation)[::-1]
            self._over = not self._waiting
            if self._over:
                return None
        individual = self._at_work[number] = self._waiting.pop()
        if self.algorithm in REAL:
            options = np.clip(np.round(individual.X), 0, np.array(self.space.n_options) - 1)
        else:
            options = np.array([individual.X[name] for name in self._names])
        return Proposal(tuple(options.astype(np.int64).tolist()))

    def learn(
        self, number: int, losses: Losses | None, violation: float, epoch: int | None
    ) -> None:
        individual = self._at_work.pop(number)
        individual.set("F", np.resize(losses or [0.0], self._n_told))
        individual.set("G", np.array([FAILED if losses is None else violation]))
        individual.evaluated.update(("F", "G"))
        if not self._at_work and not self._waiting:
            self.optimiser.tell(infills=self._generation)


def _mixed_operators() -> dict[str, Any]:
    """Pymoo's operators for variables of several kinds."""
    from pymoo.core.mixed import (
        MixedVariableDuplicateElimination,
        MixedVariableMating,
        MixedVariableSampling,
    )

    return {
        "sampling": MixedVariableSampling(),
        "mating": MixedVariableMating(eliminate_duplicates=MixedVariableDuplicateElimination()),
        "eliminate_duplicates": MixedVariableDuplicateElimination(),
    }


Pymoo.citation = """@article{blank2020pymoo,
  title = {pymoo: Multi-Objective Optimization in {Python}},
  author = {Blank, Julian and Deb, Kalyanmoy},
  journal = {IEEE Access},
  volume = {8},
  pages = {89497--89509},
  year = {2020}
}"""
