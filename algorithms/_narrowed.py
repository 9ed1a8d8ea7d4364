"""A base algorithm that searches a part of a space."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from algorithms._base import make_base
from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, Work
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import Architecture, Narrowed, SearchSpace

PATIENCE = 1000
"""How many combinations of options in a row may be no architecture before one of all is drawn."""


class NarrowedSearch(SearchAlgorithm):
    """Passes on what a base algorithm asks in a part of the space, and what it is told.

    Args:
        space: The space to search.
        base: The base algorithm: the name of a file beside this one, or a class. One that is given
            images or proxies by the benchmark does not suit.
        base_hyperparameters: Its hyperparameters.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        base: str | type[SearchAlgorithm],
        base_hyperparameters: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        self._made_of = base, dict(base_hyperparameters or {})
        self.narrowed = Narrowed.whole_of(space)
        self._base_on(space, np.random.default_rng(0))  # to refuse at once what cannot be built
        self._base: SearchAlgorithm | None = None
        # The base algorithm's trials by their numbers here, and the other way round.
        self._proposals: dict[int, Trial] = {}
        self._numbers: dict[int, int] = {}

    def _base_on(self, space: SearchSpace, rng: np.random.Generator) -> SearchAlgorithm:
        base, hyperparameters = self._made_of
        return make_base(base, space, rng, True, self.fidelities, **hyperparameters)

    def _ask_base(self) -> Trial | Work | None:
        """What the base algorithm asks next; after many proposals that are none, one of all."""
        assert self._base is not None
        for _ in range(PATIENCE):
            # In some spaces, not every combination of options is an architecture.
            with contextlib.suppress(InvalidArchitectureError):
                asked = self._base.ask()
                return self._renumbered(asked) if isinstance(asked, Trial) else asked
        return self.trial(self.space.sample(self.rng))

    def _renumbered(self, proposal: Trial) -> Trial:
        """A trial of the base algorithm, with a number of its own, which it keeps when it continues.

        Raises:
            InvalidArchitectureError: It is no architecture; the base algorithm is told that it failed.
        """
        assert self._base is not None
        try:
            architecture = self.narrowed.restore(proposal.architecture)
        except InvalidArchitectureError:
            self._base.tell(proposal, Evaluation((math.nan,), 0.0))
            raise
        trial = self.trial(architecture, proposal.epoch)
        number = self._numbers.setdefault(proposal.number, trial.number)
        self._proposals[number] = proposal
        return trial._replace(number=number)

    def _tell_base(self, trial: Trial, evaluation: Evaluation) -> bool:
        """Tells the base algorithm of a trial, if it is one of its own."""
        if trial.number not in self._proposals:
            return False
        assert self._base is not None
        self._base.tell(self._proposals[trial.number], self._scored(evaluation))
        return True

    def _observe_in_part(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Lets the base algorithm observe a result in its part of the space."""
        if self._base is not None and (narrow := self.narrowed.narrow(architecture)) is not None:
            self._base.observe(narrow, self._scored(evaluation))

    def _scored(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation as the base algorithm sees it: one score, NaN for minus infinity."""
        score = self.score(evaluation)
        value = score if score > -math.inf else math.nan
        return Evaluation((value,), evaluation.cost, evaluation.epoch, evaluation.row)
