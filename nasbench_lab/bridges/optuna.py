"""Tables as problems of OptunaHub, for Optuna's samplers and pruners.

import optuna
from nasbench_lab.bridges.optuna import TableProblem

problem = TableProblem("nb201-digits", clock="resume")
study = optuna.create_study(directions=problem.directions)
study.optimize(problem, n_trials=100)
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nasbench_lab.algorithm import Evaluation, need
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.bridges.asked import Asked
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import Value

if TYPE_CHECKING:
    import optuna

if TYPE_CHECKING or find_spec("optunahub"):
    from optunahub.benchmarks import BaseProblem
else:
    BaseProblem = object


class TableProblem(BaseProblem):
    """A benchmark as a problem of OptunaHub.

    An ordered decision is an integer, and any other is categorical. A decision that exists only under
    conditions is suggested where it exists. Every epoch that the benchmark knows is reported, so that
    pruners work; of several objectives Optuna knows the last values only. A trial is told of
    violations of constraints. Values that stand for no architecture are pruned.

    Each trial has the attributes ``architecture``, ``epoch``, ``cost``, and ``clock``, which is what
    all trials have cost so far. A pruned trial costs what its epochs do.

    Args:
        benchmark: A benchmark, or the name of a table.
        seed: Of the noise of evaluations, if the benchmark has any.

    Attributes:
        asked: The benchmark as it is asked, with what was spent.

    Raises:
        MissingPackageError: OptunaHub is not installed.
    """

    def __init__(self, benchmark: Benchmark | str, seed: int = 0) -> None:
        need("optunahub", "bridges")
        self.asked = Asked(benchmark, seed)

    @property
    def search_space(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The distribution of each decision, by name."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            name: IntDistribution(0, len(values) - 1)
            if isinstance(values[0], int)
            else CategoricalDistribution(values)
            for name, values in zip(self.asked.names, self.asked.values, strict=True)
        }

    @property
    def directions(self) -> list[optuna.study.StudyDirection]:
        """The direction of each objective."""
        from optuna.study import StudyDirection

        return [
            StudyDirection.MAXIMIZE if objective.maximize else StudyDirection.MINIMIZE
            for objective in self.asked.benchmark.objectives
        ]

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        """Evaluates a trial, and reports its epochs."""
        from optuna import TrialPruned

        distributions = self.search_space

        def suggest(i: int) -> Value:
            name = self.asked.names[i]
            distribution = distributions[name]
            value: Value = (
                trial.suggest_int(name, distribution.low, distribution.high)
                if isinstance(self.asked.values[i][0], int)
                else trial.suggest_categorical(name, distribution.choices)
            )
            return value

        benchmark = self.asked.benchmark
        try:
            architecture = self.asked.chosen(suggest)
        except InvalidArchitectureError as error:
            raise TrialPruned(str(error)) from error
        trial.set_user_attr("architecture", benchmark.space.to_string(architecture))
        *before, last = self.asked.training(architecture)
        for evaluation in before if len(benchmark.objectives) == 1 else ():
            trial.report(evaluation.values[0], evaluation.epoch)
            if trial.should_prune():
                self._note(trial, evaluation)
                raise TrialPruned(f"pruned after {evaluation.epoch} epochs")
        return self._note(trial, last)

    def _note(self, trial: optuna.Trial, evaluation: Evaluation) -> float | tuple[float, ...]:
        """Pays for an evaluation, notes what it was, and gives its values."""
        self.asked.pay(evaluation)
        trial.set_user_attr("epoch", evaluation.epoch)
        trial.set_user_attr("cost", evaluation.cost)
        trial.set_user_attr("clock", self.asked.spent)
        if self.asked.benchmark.constraints:
            trial.set_constraint("violation", max(0.0, evaluation.violation))
        return evaluation.values[0] if len(evaluation.values) == 1 else evaluation.values

    def evaluate(self, params: Mapping[str, Any]) -> float | tuple[float, ...]:
        """The values of an architecture after full training.

        Args:
            params: A value for each decision; those of decisions that do not exist are left out.

        Raises:
            InvalidArchitectureError: They stand for no architecture.
        """
        values = self.asked.evaluate(self.asked.architecture(params)).values
        return values[0] if len(values) == 1 else values
