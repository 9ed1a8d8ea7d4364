"""Optuna's samplers and pruners.

Akiba, Sano, Yanase, Ohta and Koyama, "Optuna: a next-generation hyperparameter optimization
framework", KDD 2019 (arXiv 1907.10902).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithms._decisions import DecisionProcess
from algorithms._peers import Losses, Peer, Proposal
from nasbench_lab.algorithm import Evaluation, Trial, check_choice, need
from nasbench_lab.spaces import Architecture, SearchSpace, names_of

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("RandomSampler", {}),
    "tpe": ("TPESampler", {"multivariate": False}),
    "tpe_multivariate": ("TPESampler", {"multivariate": True}),
    "gp": ("GPSampler", {}),
    "cmaes": ("CmaEsSampler", {}),
    "nsga2": ("NSGAIISampler", {}),
    "nsga3": ("NSGAIIISampler", {}),
    "qmc": ("QMCSampler", {}),
}
"""The name of each sampler in Optuna, and its arguments."""

KNOWING_CONSTRAINTS = ("tpe", "tpe_multivariate", "nsga2", "nsga3")
"""The samplers that prefer small violations to great ones, and none to both."""

PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "hyperband": "HyperbandPruner",
    "successive_halving": "SuccessiveHalvingPruner",
}
"""The name of each pruner in Optuna."""


class Optuna(Peer):
    """Optuna proposes architectures, and may prune trainings.

    An ordered decision is an integer to it, and any other is categorical. A decision that exists only
    under conditions is suggested where it exists, as Optuna's trials define their spaces while they
    run. Failures are trials that failed, of which its samplers learn nothing. Results of other searches
    are added to the study. ``tpe``, ``tpe_multivariate``, ``nsga2`` and ``nsga3`` are told by how much
    constraints are violated; to the others an architecture that violates one is as bad as the worst, or
    one that failed where there are several objectives.

    All samplers learn from several objectives, except ``cmaes``, which follows ``score``. ``cmaes``
    models ordered decisions only, and draws all others at random: on a space without any it is random
    search.

    Args:
        space: The space to search.
        sampler: ``tpe`` models each decision by itself, ``tpe_multivariate`` all together, which is
            Optuna's own default for one objective. ``gp`` needs PyTorch, and ``cmaes`` the package
            cmaes, which the extra ``optuna`` installs. Others: ``random``, ``nsga2``, ``nsga3`` and
            ``qmc``.
        pruner: ``none``, ``median``, ``hyperband`` or ``successive_halving``. With a pruner every
            epoch of a training is reported; those of Optuna know one objective.
        settings: Arguments of Optuna's sampler, such as ``{'n_startup_trials': 20}``.
        pruner_settings: Arguments of Optuna's pruner.
        **kwargs: ``seed``, ``maximize``, ``fidelities`` and ``weights`` of ``SearchAlgorithm``.
    """

    needs = "optuna"

    def __init__(
        self,
        space: SearchSpace,
        *,
        sampler: str = "tpe",
        pruner: str = "none",
        settings: Mapping[str, Any] | None = None,
        pruner_settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("sampler", sampler, tuple(SAMPLERS))
        check_choice("pruner", pruner, tuple(PRUNERS))
        if sampler == "gp":
            need("torch", "train")
        if sampler == "cmaes":
            need("cmaes", "optuna")
        self.sampler, self.pruner = sampler, pruner
        self.learns_several = sampler != "cmaes" and pruner == "none"
        self.knows_constraints = sampler in KNOWING_CONSTRAINTS
        self.pruner_settings = dict(pruner_settings or {})
        self._process = DecisionProcess(space)
        self._names = names_of(space)
        super().__init__(space, settings=settings, **kwargs)

    @property
    def watches_epochs(self) -> bool:
        """Whether a pruner is to see every epoch."""
        return self.pruner != "none"

    def begin(self, seed: int) -> Any:
        import optuna

        name, arguments = SAMPLERS[self.sampler]
        if self.sampler == "tpe_multivariate" and self.space.conditional:
            arguments = {**arguments, "group": True}
        sampler = getattr(optuna.samplers, name)(seed=seed, **{**arguments, **self.settings})
        arguments = {}
        if self.fidelities and self.pruner in ("hyperband", "successive_halving"):
            arguments = {"min_resource": self.fidelities[0]}
        if self.fidelities and self.pruner == "hyperband":
            arguments["max_resource"] = self.fidelities[-1]
        arguments |= self.pruner_settings
        self._suggested: dict[int, optuna.Trial] = {}
        return optuna.create_study(
            # Hyperband's pruner takes a bracket by the study's name, which is random otherwise.
            study_name="nasbench-lab",
            sampler=sampler,
            pruner=getattr(optuna.pruners, PRUNERS[self.pruner])(**arguments),
            directions=["minimize"] * self.n_losses,
        )

    def propose(self, number: int) -> Proposal:
        trial = self._suggested[number] = self.optimiser.ask()
        state = self._process.start
        while n := self._process.n_actions(state):
            decision, name = self.space.decisions[len(state)], self._names[len(state)]
            if n == 1:
                option = 0
            elif decision.ordered:
                option = trial.suggest_int(name, 0, n - 1)
            else:
                option = trial.suggest_categorical(name, range(n))
            state = self._process.after(state, option)
        return Proposal(state)

    def learn(
        self, number: int, losses: Losses | None, violation: float, epoch: int | None
    ) -> None:
        from optuna.trial import TrialState

        trial = self._suggested.pop(number)
        if losses is None:
            self.optimiser.tell(trial, state=TrialState.FAIL)
            return
        if self.knows_constraints:
            trial.set_constraint("violation", violation)
        if self.fidelities and epoch not in (None, self.fidelities[-1]):
            self.optimiser.tell(trial, state=TrialState.PRUNED)
        else:
            self.optimiser.tell(trial, losses)

    def refuse(self, number: int) -> None:
        from optuna.trial import TrialState

        # What is pruned at once is worse to a TPE than all that was evaluated; failures teach nothing.
        self.optimiser.tell(self._suggested.pop(number), state=TrialState.PRUNED)

    def should_stop(self, trial: Trial, evaluation: Evaluation) -> bool:
        """Reports an epoch, and asks the pruner."""
        return self.watches_epochs and self._stops(trial, evaluation)

    def report(self, number: int, loss: float, epoch: int) -> bool:
        """Reports the loss of a proposal after an epoch; whether its training is to end."""
        trial = self._suggested[number]
        trial.report(loss, epoch)
        pruned: bool = trial.should_prune()
        return pruned

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Adds a result of another search to the study."""
        if self.is_final(evaluation):
            self._call("add", architecture, *self._told(evaluation))

    def add(self, architecture: Architecture, losses: Losses | None, violation: float) -> None:
        """Adds a trial to the study that was not suggested by it."""
        import optuna

        if losses is None:
            return
        distributions: dict[str, Any] = {}
        params: dict[str, int] = {}
        for state, option in self._process.path(architecture):
            decision, name = self.space.decisions[len(state)], self._names[len(state)]
            n = len(decision.options)
            if n > 1:
                params[name] = option
                distributions[name] = (
                    optuna.distributions.IntDistribution(0, n - 1)
                    if decision.ordered
                    else optuna.distributions.CategoricalDistribution(range(n))
                )
        self.optimiser.add_trial(
            optuna.trial.create_trial(
                values=list(losses),
                params=params,
                distributions=distributions,
                constraints={"violation": violation} if self.knows_constraints else None,
            )
        )


Optuna.citation = """@inproceedings{akiba2019optuna,
  title = {Optuna: A Next-Generation Hyperparameter Optimization Framework},
  author = {Akiba, Takuya and Sano, Shotaro and Yanase, Toshihiko and Ohta, Takeru and
            Koyama, Masanori},
  booktitle = {International Conference on Knowledge Discovery and Data Mining},
  year = {2019}
}"""
