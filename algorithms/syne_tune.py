"""Syne Tune's schedulers.

Salinas, Seeger, Klein, Perrone, Wistuba and Archambeau, "Syne Tune: a library for large scale
hyperparameter tuning and reproducible research", AutoML 2022.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from algorithms._peers import Losses, Peer, Proposal
from nasbench_lab.algorithm import Evaluation, Trial, check_choice, need
from nasbench_lab.spaces import SearchSpace, names_of, syne_tune_space_of, values_of

SCHEDULERS = {
    "random_search": "RandomSearch",
    "tpe": "TPE",
    "rea": "REA",
    "bore": "BORE",
    "cqr": "CQR",
    "asha": "ASHA",
    "asha_bore": "ASHABORE",
    "asha_cqr": "ASHACQR",
    "bohb": "BOHB",
}
"""The name of each scheduler among Syne Tune's baselines."""

STOPPING = ("asha", "asha_bore", "asha_cqr", "bohb")
"""The schedulers that stop trials."""

CONFORMAL = ("cqr", "asha_cqr")
"""The schedulers whose modules import huggingface_hub, which Syne Tune itself does not install."""


class SyneTune(Peer):
    """A scheduler of Syne Tune's proposes architectures, and may stop trainings.

    An ordered decision is ``ordinal`` to it, and any other a ``choice``. Syne Tune knows no decisions
    that exist only under conditions: it chooses all, and those that do not exist are left out. It
    learns one loss, of ``score``. A failed evaluation is a trial with an error. Results of other
    searches teach it nothing. Most schedulers propose nothing again that they proposed before; on a
    space that is used up, the search is over.

    Several schedulers, ``random_search`` among them, pass their seed over and draw from NumPy's global
    generator; the state that they draw from is this search's own, so its seed holds all the same.

    Args:
        space: The space to search.
        scheduler: ``random_search``, ``tpe``, ``rea`` (regularized evolution), ``bore`` or ``cqr``;
            or one that stops trials, ``asha``, ``asha_bore``, ``asha_cqr`` or ``bohb``, which are
            ``random_search``, ``bore``, ``cqr`` and ``tpe`` where there are no epochs.
        settings: More arguments of Syne Tune's scheduler, such as ``{'population_size': 20}``.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    needs = "syne_tune"

    def __init__(
        self,
        space: SearchSpace,
        *,
        scheduler: str = "tpe",
        settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("scheduler", scheduler, tuple(SCHEDULERS))
        if scheduler in CONFORMAL:
            need("huggingface_hub", "syne-tune")
        self.scheduler = scheduler
        self._names = names_of(space)
        self._values = [values_of(decision) for decision in space.decisions]
        super().__init__(space, settings=settings, **kwargs)

    @property
    def watches_epochs(self) -> bool:
        """Whether a scheduler that stops trials is to see every epoch."""
        return self.scheduler in STOPPING

    def begin(self, seed: int) -> Any:
        from syne_tune.optimizer import baselines

        space = syne_tune_space_of(self.space)
        name, arguments = self.scheduler, dict[str, Any]()
        if name in STOPPING and self.fidelities:
            arguments = {"time_attr": "epoch", "max_t": self.fidelities[-1]}
            arguments["grace_period"] = self.fidelities[0]
        elif name in STOPPING:
            name = dict(zip(STOPPING, ("random_search", "bore", "cqr", "tpe"), strict=True))[name]
        metric = {"metrics": ["loss"]} if name == "random_search" else {"metric": "loss"}
        arguments |= {"do_minimize": True, "random_seed": seed, **metric, **self.settings}
        self._trials_there: dict[int, Any] = {}
        return getattr(baselines, SCHEDULERS[name])(space, **arguments)

    def propose(self, number: int) -> Proposal | None:
        from syne_tune.backend.trial_status import Trial as TheirTrial

        suggestion = self.optimiser.suggest()
        if suggestion is None:
            return None
        created = datetime.datetime.fromtimestamp(0)  # nothing depends on it
        trial = TheirTrial(trial_id=number, config=suggestion.config, creation_time=created)
        self._trials_there[number] = trial
        self.optimiser.on_trial_add(trial)
        columns = zip(self._names, self._values, strict=True)
        return Proposal(tuple(known.index(suggestion.config[name]) for name, known in columns))

    def learn(
        self, number: int, losses: Losses | None, violation: float, epoch: int | None
    ) -> None:
        trial = self._trials_there.pop(number)
        if losses is None:
            self.optimiser.on_trial_error(trial)
            return
        result = {"loss": losses[0]}
        if self.fidelities:
            result["epoch"] = epoch or self.fidelities[-1]
        self.optimiser.on_trial_complete(trial, result)

    def should_stop(self, trial: Trial, evaluation: Evaluation) -> bool:
        """Reports an epoch to the scheduler, and asks whether the training goes on."""
        return self.watches_epochs and self._stops(trial, evaluation)

    def report(self, number: int, loss: float, epoch: int) -> bool:
        """Reports the loss of a proposal after an epoch; whether its training is to end."""
        from syne_tune.optimizer.scheduler import SchedulerDecision

        result = {"loss": loss, "epoch": epoch}
        decision = self.optimiser.on_trial_result(self._trials_there[number], result)
        return bool(decision != SchedulerDecision.CONTINUE)


SyneTune.citation = """@inproceedings{salinas2022syne,
  title = {Syne Tune: A Library for Large Scale Hyperparameter Tuning and Reproducible Research},
  author = {Salinas, David and Seeger, Matthias and Klein, Aaron and Perrone, Valerio and
            Wistuba, Martin and Archambeau, Cedric},
  booktitle = {International Conference on Automated Machine Learning},
  year = {2022}
}"""
