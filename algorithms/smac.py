"""SMAC's facades: Bayesian optimisation with random forests or Gaussian processes, and Hyperband.

Lindauer et al., "SMAC3: a versatile Bayesian optimization package for hyperparameter optimization",
JMLR 2022 (arXiv 2109.09831).
"""

from __future__ import annotations

import math
import tempfile
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms._peers import Losses, Peer, Proposal, Worst
from nasbench_lab.algorithm import Evaluation, check_choice, check_number
from nasbench_lab.spaces import Architecture, SearchSpace, configspace_of, names_of, values_of

FACADES = {
    "hpo": "HyperparameterOptimizationFacade",
    "blackbox": "BlackBoxFacade",
    "algorithm_configuration": "AlgorithmConfigurationFacade",
    "random": "RandomFacade",
    "multi_fidelity": "MultiFidelityFacade",
    "hyperband": "HyperbandFacade",
}
"""The name of each facade in SMAC."""

LARGEST = 1e5
"""Greater losses count as this, as SMAC adds 1e-10 to what it takes the logarithm of.

The unit of each loss is a power of ten by which the first is below 1,000.
"""

BY_BUDGETS = ("multi_fidelity", "hyperband")
"""The facades that train for some epochs, and go on with the best."""


class SMAC(Peer):
    """A facade of SMAC's proposes architectures.

    An ordered decision is an ``OrdinalHyperparameter`` to it, and any other a ``Categorical``. A
    decision that exists only under conditions has them in SMAC too. Trials that run are known to it.
    Failures are trials that crashed, with the worst losses that were seen before. Results of other
    searches are told as trials. Several objectives become one as SMAC's facades have it. On a space
    that is used up, the search is over.

    SMAC writes into a folder, which is a temporary one here and is removed at once.

    Args:
        space: The space to search.
        facade: ``hpo`` (random forest), ``blackbox`` (Gaussian process), ``algorithm_configuration``,
            ``random``; or, where there are epochs, ``multi_fidelity`` (BOHB) or ``hyperband``, which
            are ``hpo`` and ``random`` elsewhere.
        planned: How many evaluations SMAC plans with: its initial design is a share of them.
        settings: More arguments of SMAC's ``Scenario``.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    needs = "smac"
    learns_several = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        facade: str = "hpo",
        planned: int = 200,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("facade", facade, tuple(FACADES))
        check_number("planned", planned, whole=True, low=1)
        self.facade, self.planned = facade, planned
        self._names = names_of(space)
        self._values = [values_of(decision) for decision in space.decisions]
        super().__init__(space, settings=settings, **kwargs)

    def begin(self, seed: int) -> Any:
        import smac

        name, arguments = self.facade, dict[str, Any]()
        if name in BY_BUDGETS and len(self.fidelities) > 1:
            arguments = {"min_budget": self.fidelities[0], "max_budget": self.fidelities[-1]}
        elif name in BY_BUDGETS:
            name = {"multi_fidelity": "hpo", "hyperband": "random"}[name]
        if self.n_losses > 1:
            arguments["objectives"] = [f"loss {i}" for i in range(self.n_losses)]
        self._infos: dict[int, Any] = {}
        self._worst = Worst(self.n_losses)
        self._units: list[float] | None = None
        self._target_seed = 0  # all trials have one
        # By a configuration: the last proposal of it.
        self._configurations: dict[Any, int] = {}
        with tempfile.TemporaryDirectory() as folder:
            scenario = smac.Scenario(
                **{
                    "configspace": configspace_of(self.space, seed),
                    "n_trials": self.planned,
                    "deterministic": True,
                    "seed": seed,
                    "output_directory": folder,
                    **arguments,
                    **self.settings,
                }
            )
            facade = getattr(smac, FACADES[name])
            return facade(
                scenario,
                _no_target,
                acquisition_maximizer=_ordered(facade.get_acquisition_maximizer(scenario)),
                overwrite=True,
                logging_level=False,
            )

    def propose(self, number: int) -> Proposal | None:
        from smac.main.exceptions import ConfigurationSpaceExhaustedException as UsedUp

        try:
            info = self.optimiser.ask()
        except (StopIteration, UsedUp):
            return None
        self._infos[number], self._target_seed = info, info.seed
        before = self._configurations.get(info.config)
        self._configurations[info.config] = number
        given = dict(info.config)
        options = tuple(
            values.index(given[name]) if name in given else 0
            for name, values in zip(self._names, self._values, strict=True)
        )
        if info.budget is None:
            return Proposal(options)
        epoch = self.fidelities[
            min(bisect_left(self.fidelities, info.budget), len(self.fidelities) - 1)
        ]
        return Proposal(options, epoch, before)

    def learn(
        self, number: int, losses: Losses | None, violation: float, epoch: int | None
    ) -> None:
        self._learn(self._infos.pop(number), losses)

    def _learn(self, info: Any, losses: Losses | None) -> None:
        from smac.runhistory import StatusType, TrialValue

        known = self._worst.unless(losses)
        if losses is not None and self._units is None:
            self._units = [10.0 ** max(0.0, math.floor(math.log10(abs(x) + 1)) - 2) for x in losses]
        units = self._units or [1.0] * self.n_losses
        cost = [
            min(max(loss / unit, -LARGEST), LARGEST)
            for loss, unit in zip(known, units, strict=True)
        ]
        value = TrialValue(
            cost=cost[0] if self.n_losses == 1 else cost,
            status=StatusType.CRASHED if losses is None else StatusType.SUCCESS,
        )
        self.optimiser.tell(info, value, save=False)

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Tells a result of another search."""
        if self.is_final(evaluation):
            self._call("add", architecture, self._told(evaluation)[0])

    def add(self, architecture: Architecture, losses: Losses | None) -> None:
        """Tells the losses of an architecture that SMAC did not ask for."""
        from ConfigSpace import Configuration
        from smac.runhistory import TrialInfo

        exists = self.space.active(np.array([architecture]))[0].tolist()
        columns = zip(self._names, self._values, architecture, exists, strict=True)
        values = {name: known[option] for name, known, option, here in columns if here}
        scenario = self.optimiser.scenario
        configuration = Configuration(scenario.configspace, values)
        info = TrialInfo(configuration, seed=self._target_seed, budget=scenario.max_budget)
        self._learn(info, losses)


def _ordered(maximizer: Any) -> Any:
    """Gives the local search of a maximiser its starts in one order.

    SMAC takes them from a set of configurations, whose hashes are other ones in each process.
    """
    search = getattr(maximizer, "_local_search", None)
    if search is not None:
        starts = search._get_init_points_from_previous_configs
        search._get_init_points_from_previous_configs = lambda *arguments: sorted(
            starts(*arguments), key=repr
        )
    return maximizer


def _no_target(config: Any, seed: int = 0, budget: float = 0.0) -> float:
    """Stands for what SMAC would call; it is asked and told instead."""
    raise AssertionError("SMAC is asked and told, and calls nothing.")


SMAC.citation = """@article{lindauer2022smac,
  title = {{SMAC3}: A Versatile {Bayesian} Optimization Package for Hyperparameter Optimization},
  author = {Lindauer, Marius and Eggensperger, Katharina and Feurer, Matthias and
            Biedenkapp, Andr{\\'e} and Deng, Difan and Benjamins, Carolin and Ruhkopf, Tim and
            Sass, Ren{\\'e} and Hutter, Frank},
  journal = {Journal of Machine Learning Research},
  volume = {23},
  pages = {1--9},
  year = {2022}
}"""
