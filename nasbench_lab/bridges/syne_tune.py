"""Tables as blackboxes of Syne Tune, for its schedulers and its simulator.

from syne_tune.blackbox_repository import UserBlackboxBackend
from nasbench_lab.bridges.syne_tune import TableBlackbox

backend = UserBlackboxBackend(TableBlackbox("nb201-digits"), elapsed_time_attr="elapsed_time")
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Evaluation, need
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.bridges.asked import Asked
from nasbench_lab.spaces import syne_tune_space_of

# Syne Tune's blackboxes cannot be imported without the other package.
if TYPE_CHECKING or (find_spec("syne_tune") and find_spec("huggingface_hub")):
    from syne_tune.blackbox_repository.blackbox import Blackbox
else:
    Blackbox = object

ELAPSED = "elapsed_time"
"""The name of the cost so far among the objectives."""


class TableBlackbox(Blackbox):
    """A benchmark as a blackbox of Syne Tune.

    Its objectives have the benchmark's names and units, and ``elapsed_time`` is what a training has
    cost so far, in the unit of the benchmark's clock. ``epoch`` is the fidelity; of a benchmark that
    knows the end of training only it has the value 1. Values of decisions that do not exist are left
    out. Objectives that the benchmark has no value of are NaN.

    Args:
        benchmark: A benchmark, or the name of a table.
        seed: Of the noise of evaluations, if the benchmark has any.

    Attributes:
        asked: The benchmark as it is asked.

    Raises:
        MissingPackageError: Syne Tune, or huggingface_hub which its blackboxes import, is absent.
    """

    def __init__(self, benchmark: Benchmark | str, seed: int = 0) -> None:
        need("syne_tune", "bridges")
        need("huggingface_hub", "bridges")
        from syne_tune.config_space import randint

        self.asked = Asked(benchmark, seed)
        known = self.asked.benchmark
        self._epochs = known.fidelities or (1,)
        super().__init__(
            configuration_space=syne_tune_space_of(known.space),
            fidelity_space={"epoch": randint(self._epochs[0], self._epochs[-1])},
            objectives_names=[*(objective.name for objective in known.objectives), ELAPSED],
        )

    @property
    def fidelity_values(self) -> NDArray[np.int64]:
        """The epochs after which the benchmark can evaluate."""
        return np.array(self._epochs)

    def _objective_function(
        self,
        configuration: Mapping[str, Any],
        fidelity: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> dict[str, float] | NDArray[np.float64]:
        architecture = self.asked.architecture(configuration)
        if fidelity is None:
            return np.array([self._row(one) for one in self.asked.training(architecture)])
        epoch = int(fidelity["epoch"]) if self.asked.benchmark.fidelities else None
        row = self._row(self.asked.evaluate(architecture, epoch))
        return dict(zip(self.objectives_names, row, strict=True))

    def _row(self, evaluation: Evaluation) -> tuple[float, ...]:
        """The objectives, and the cost so far."""
        return (*evaluation.values, evaluation.cost)
