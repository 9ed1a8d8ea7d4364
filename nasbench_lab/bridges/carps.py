"""Tables as objective functions and tasks of CARP-S.

from nasbench_lab.bridges.carps import task_yaml

Path("configs/task/digits.yaml").write_text(task_yaml("nb201-digits", n_trials=100))
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nasbench_lab.algorithm import need
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.bridges.asked import Asked
from nasbench_lab.clock import counts_seconds
from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import configspace_of

if TYPE_CHECKING:
    from carps.utils.trials import TrialInfo, TrialValue
    from ConfigSpace import ConfigurationSpace

if TYPE_CHECKING or find_spec("carps"):
    from carps.objective_functions.objective_function import ObjectiveFunction
else:
    ObjectiveFunction = object


class TableObjectiveFunction(ObjectiveFunction):
    """A benchmark as an objective function of CARP-S.

    Costs are the objectives, turned so that less is better. The budget of a trial is the epoch to
    train to, rounded up to one that the benchmark knows; none is a full training. The virtual time is
    what the benchmark's clock charges. What fails, violates a constraint or is no architecture has
    crashed.

    Args:
        benchmark: A benchmark, or the name of a table.
        seed: Of the noise of evaluations, and of draws from the space.
        loggers: CARP-S' loggers.

    Attributes:
        asked: The benchmark as it is asked.

    Raises:
        MissingPackageError: CARP-S is not installed.
    """

    def __init__(
        self, benchmark: Benchmark | str, seed: int = 0, loggers: list[Any] | None = None
    ) -> None:
        need("carps", "bridges")
        super().__init__(loggers)
        self.asked = Asked(benchmark, seed)
        self._configspace = configspace_of(self.asked.benchmark.space, seed)

    @property
    def configspace(self) -> ConfigurationSpace:
        """The space."""
        return self._configspace

    @property
    def f_min(self) -> float | None:
        """The least cost of the first objective, if it is known."""
        known = self.asked.benchmark
        if known.best_value is None or len(known.objectives) > 1:
            return None
        return -known.best_value if known.objectives[0].maximize else known.best_value

    def _evaluate(self, trial_info: TrialInfo) -> TrialValue:
        from carps.utils.trials import StatusType, TrialValue

        known = self.asked.benchmark
        epoch = None
        if trial_info.budget is not None and known.fidelities:
            later = (one for one in known.fidelities if one >= trial_info.budget)
            epoch = next(later, known.fidelities[-1])
        worst = [float("inf")] * len(known.objectives)
        try:
            architecture = self.asked.architecture(dict(trial_info.config))
        except InvalidArchitectureError as error:
            cost, virtual, information = worst, 0.0, {"reason": str(error)}
        else:
            evaluation = self.asked.evaluate(architecture, epoch)
            cost = list(self.asked.losses(evaluation)) if evaluation.feasible else worst
            virtual = evaluation.cost
            information = {"architecture": known.space.to_string(architecture)}
        return TrialValue(
            cost=cost if len(cost) > 1 else cost[0],
            virtual_time=virtual,
            status=StatusType.CRASHED if float("inf") in cost else StatusType.SUCCESS,
            additional_info=information,
        )


def task_yaml(benchmark: str, n_trials: int, *, by_epochs: bool = False) -> str:
    """A task of CARP-S, as the text of a YAML file.

    Args:
        benchmark: The name of a table.
        n_trials: How many trials an optimiser has.
        by_epochs: Whether optimisers may ask for fewer epochs than a full training has.

    Raises:
        MissingPackageError: CARP-S is not installed.
    """
    function = TableObjectiveFunction(benchmark)
    from carps.utils.task import get_search_space_info
    from omegaconf import OmegaConf

    with warnings.catch_warnings():  # of how CARP-S asks ConfigSpace
        warnings.simplefilter("ignore", DeprecationWarning)
        about_space = get_search_space_info(function.configspace)
    known = function.asked.benchmark
    fidelities = known.fidelities if by_epochs else ()
    task = {
        "_target_": "carps.utils.task.Task",
        "name": f"nasbench-lab/{benchmark}",
        "seed": "${seed}",
        "objective_function": {
            "_target_": f"{__name__}.{TableObjectiveFunction.__name__}",
            "benchmark": benchmark,
            "seed": "${seed}",
        },
        "input_space": {
            "_target_": "carps.utils.task.InputSpace",
            "configuration_space": {
                "_target_": "ConfigSpace.ConfigurationSpace.from_serialized_dict",
                "_convert_": "object",
                "d": function.configspace.to_serialized_dict(),
            },
            "fidelity_space": {
                "_target_": "carps.utils.task.FidelitySpace",
                "is_multifidelity": bool(fidelities),
                "fidelity_type": "epochs" if fidelities else None,
                "min_fidelity": fidelities[0] if fidelities else None,
                "max_fidelity": fidelities[-1] if fidelities else None,
            },
            "instance_space": None,
        },
        "output_space": {
            "_target_": "carps.utils.task.OutputSpace",
            "n_objectives": len(known.objectives),
            "objectives": [objective.name for objective in known.objectives],
        },
        "optimization_resources": {
            "_target_": "carps.utils.task.OptimizationResources",
            "n_trials": n_trials,
            "time_budget": None,
            "n_workers": 1,
        },
        "metadata": {
            "_target_": "carps.utils.task.TaskMetadata",
            "has_constraints": bool(known.constraints),
            "domain": "NAS",
            "objective_function_approximation": "tabular",
            "has_virtual_time": counts_seconds(known.clock),
            "deterministic": not known.noisy,
            **about_space,
        },
    }
    identity = {"benchmark_id": "nasbench-lab", "task_id": f"nasbench-lab/{benchmark}"}
    text: str = OmegaConf.to_yaml(OmegaConf.create({**identity, "task": task}))
    return f"# @package _global_\n{text}"
