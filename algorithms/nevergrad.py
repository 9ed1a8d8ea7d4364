"""Nevergrad's optimisers, among them evolution strategies and its discrete ones.

Bennet, Doerr, Moreau, Rapin, Teytaud and Teytaud, "Nevergrad: black-box optimization platform",
SIGEVOlution 14(1), 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms._peers import Losses, Peer, Proposal, Worst
from nasbench_lab.algorithm import Evaluation, check_number
from nasbench_lab.errors import HyperparameterError, did_you_mean
from nasbench_lab.spaces import Architecture, SearchSpace


class Nevergrad(Peer):
    """An optimiser of Nevergrad's proposes architectures.

    An ordered decision is a ``TransitionChoice`` to it, and any other a ``Choice``. Nevergrad knows
    no decisions that exist only under conditions: it chooses all, and those that do not exist are
    left out. With several objectives it learns all of them. What fails is told as the worst losses
    that were seen before. Results of other searches are told as what was not asked for, if the
    optimiser takes that.

    Args:
        space: The space to search.
        optimizer: A name of Nevergrad's registry, such as ``PortfolioDiscreteOnePlusOne``, which is
            made for decisions without order, ``NGOpt``, which chooses one itself, or ``TwoPointsDE``.
        planned: How many evaluations the optimiser plans with; it may be asked for more.
        settings: More arguments of the optimiser: ``{'num_workers': 4}``.
        **kwargs: ``seed``, ``maximize`` and ``weights`` of ``SearchAlgorithm``.

    Raises:
        HyperparameterError: A value does not fit, or Nevergrad has no such optimiser.
    """

    needs = "nevergrad"
    learns_several = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        optimizer: str = "PortfolioDiscreteOnePlusOne",
        planned: int = 200,
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_number("planned", planned, whole=True, low=1)
        self.optimizer, self.planned = optimizer, planned
        super().__init__(space, settings=settings, **kwargs)

    def begin(self, seed: int) -> Any:
        import nevergrad

        if self.optimizer not in nevergrad.optimizers.registry:
            names = map(str, nevergrad.optimizers.registry)
            raise HyperparameterError(
                f"Expected the name of an optimiser in nevergrad.optimizers.registry but got "
                f"{self.optimizer!r}.{did_you_mean(str(self.optimizer), names)}"
            )
        parameters = [
            (nevergrad.p.TransitionChoice if decision.ordered else nevergrad.p.Choice)(range(n))
            for decision, n in zip(self.space.decisions, self.space.n_options, strict=True)
        ]
        parametrization = nevergrad.p.Tuple(*parameters)
        parametrization.random_state = np.random.RandomState(seed)
        self._candidates: dict[int, nevergrad.p.Parameter] = {}
        self._worst = Worst(self.n_losses)
        return nevergrad.optimizers.registry[self.optimizer](
            **{"parametrization": parametrization, "budget": self.planned, **self.settings}
        )

    def propose(self, number: int) -> Proposal:
        candidate = self._candidates[number] = self.optimiser.ask()
        return Proposal(tuple(map(int, candidate.value)))

    def learn(
        self, number: int, losses: Losses | None, violation: float, epoch: int | None
    ) -> None:
        self._learn(self._candidates.pop(number), losses)

    def _learn(self, candidate: Any, losses: Losses | None) -> None:
        losses = self._worst.unless(losses)
        self.optimiser.tell(candidate, losses[0] if self.n_losses == 1 else list(losses))

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Tells a result of another search."""
        if self.is_final(evaluation):
            self._call("add", architecture, self._told(evaluation)[0])

    def add(self, architecture: Architecture, losses: Losses | None) -> None:
        """Tells the losses of an architecture that the optimiser did not ask for."""
        from nevergrad.common.errors import TellNotAskedNotSupportedError

        candidate = self.optimiser.parametrization.spawn_child(new_value=architecture)
        try:
            self._learn(candidate, losses)
        except TellNotAskedNotSupportedError:
            return


Nevergrad.citation = """@article{bennet2021nevergrad,
  title = {Nevergrad: Black-Box Optimization Platform},
  author = {Bennet, Pauline and Doerr, Carola and Moreau, Antoine and Rapin, Jeremy and
            Teytaud, Fabien and Teytaud, Olivier},
  journal = {ACM SIGEVOlution},
  volume = {14},
  number = {1},
  pages = {8--15},
  year = {2021}
}"""
