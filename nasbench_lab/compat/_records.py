"""An architecture of a NATS-Bench or NAS-Bench-201 table, in the shape of the official object.

``ArchResults`` is a view, which reads each number from the table on demand.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from nasbench_lab.compat._columns import Records, Trainings
from nasbench_lab.compat._errors import OfficialKeyError, ReadOnlyError
from nasbench_lab.compat._results_count import READ_ONLY, Info, ResultsCount
from nasbench_lab.errors import QueryError


class ArchResults:
    """All trials of an architecture with one schedule: a view of the table.

    Args:
        records: The records of the table.
        index: The official index.
        row: The row of the table.
        hp: The schedule.
    """

    results_class: ClassVar[type[ResultsCount]] = ResultsCount
    clear_net_done = True

    def __init__(self, records: Records, index: int, row: int, hp: str) -> None:
        self._records, self._row, self._hp = records, row, hp
        self._trainings: Mapping[str, Trainings] = records.trainings.get(hp, {})
        self.arch_index = int(index)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(arch-index={self.arch_index}, arch={self.arch_str}, "
            f"{len(self.all_results)} runs, clear={self.clear_net_done})"
        )

    def __deepcopy__(self, memo: object) -> ArchResults:
        return self  # never changes

    @property
    def arch_str(self) -> str:
        return self._records.string(self.arch_index)

    @property
    def dataset_seed(self) -> dict[str, list[int]]:
        found = {name: self._seeds(trainings) for name, trainings in self._trainings.items()}
        return {name: seeds for name, seeds in found.items() if seeds}

    @property
    def all_results(self) -> dict[tuple[str, int], ResultsCount]:
        return {
            (dataset, seed): result
            for dataset in self.get_dataset_names()
            for seed, result in self.query(dataset).items()
        }

    def _seeds(self, trainings: Trainings) -> list[int]:
        return [trainings.seeds[trial] for trial in trainings.trials(self._row)]

    def _of(self, dataset: str) -> Trainings:
        trainings = self._trainings.get(dataset)
        if trainings is None or not trainings.trials(self._row):
            raise OfficialKeyError(
                f"Architecture {self.arch_index} has no record for {dataset!r} with schedule "
                f"{self._hp!r}, only for {', '.join(self.get_dataset_names()) or 'none'}."
            )
        return trainings

    def results(self, dataset: str) -> list[ResultsCount]:
        """The trials on a data set, in the order of the record's list of seeds."""
        trainings, make, row = self._of(dataset), self.results_class, self._row
        return [make(trainings, row, trial, self) for trial in trainings.trials(row)]

    def get_dataset_names(self) -> list[str]:
        return [name for name, t in self._trainings.items() if t.trials(self._row)]

    def get_dataset_seeds(self, dataset: str) -> list[int]:
        return self._seeds(self._of(dataset))

    def query(self, dataset: str, seed: int | None = None) -> Any:
        """The trial with a seed, or a dictionary of all by seed."""
        trials = dict(zip(self.get_dataset_seeds(dataset), self.results(dataset), strict=True))
        if seed is None:
            return trials
        if seed not in trials:
            raise OfficialKeyError(
                f"Architecture {self.arch_index} has no trial with seed {seed!r} on {dataset!r} "
                f"with schedule {self._hp!r}, only {', '.join(map(str, trials))}."
            )
        return trials[seed]

    def get_compute_costs(self, dataset: str) -> dict[str, Any]:
        """``flops`` and ``params`` in millions, ``latency`` and times in seconds, or None."""
        results = self.results(dataset)
        seeds = self.get_dataset_seeds(dataset)
        mean = self.results_class.mean
        latencies = [latency for r in results if (latency := r.get_latency()) > 0]
        info: dict[str, Any] = {
            "flops": mean(self._agreed([r.flop for r in results], seeds)),
            "params": mean(self._agreed([r.params for r in results], seeds)),
            "latency": mean(latencies) if latencies else None,
        }
        times: dict[str, list[Any]] = {}
        for result in results:
            for name, value in result.get_times().items():
                times.setdefault(name, []).append(value)
        for name, values in times.items():
            info[name] = None if values[0] is None else mean(values)
        return info

    def get_comput_costs(self, dataset: str) -> dict[str, Any]:
        """The name of ``get_compute_costs`` in versions 1.x of ``nas-bench-201``."""
        return self.get_compute_costs(dataset)

    def _agreed(self, costs: list[float], seeds: list[int]) -> list[float]:
        """The costs of all trials; if they differ, that of seed 888, as since version 1.6."""
        if len({f"{cost:.5f}" for cost in costs}) > 1:
            return [costs[seeds.index(888)]]
        return costs

    def infos(self, dataset: str, setname: str, iepoch: int | None = None) -> list[Info]:
        """The values of each trial after an epoch; an error if a trial lacks them."""
        if setname == "train":
            return [result.get_train(iepoch) for result in self.results(dataset)]
        return [result.get_eval(setname, iepoch) for result in self.results(dataset)]

    def averaged(self, infos: list[Info]) -> Info:
        """The mean over trials; None if the first trial has no value."""
        mean = self.results_class.mean
        return {
            name: None if first is None else mean([info[name] for info in infos])
            for name, first in infos[0].items()
        }

    def get_metrics(
        self,
        dataset: str,
        setname: str,
        iepoch: int | None = None,
        is_random: bool | int = False,
    ) -> Info:
        """Accuracy (%), loss and times (s) after an epoch.

        Args:
            dataset: ``"cifar10-valid"``, ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
            setname: ``"train"``, ``"x-valid"``, ``"x-test"`` or ``"ori-test"``.
            iepoch: The epoch, counted from 0; None for the last.
            is_random: False for the mean over trials, True for a trial drawn with Python's
                ``random``, or a seed.
        """
        infos = self.infos(dataset, setname, iepoch)
        if is_random is True:
            return infos[random.randint(0, len(infos) - 1)]
        if is_random is False:
            return self.averaged(infos)
        return infos[self.position(dataset, is_random)]

    def position(self, dataset: str, seed: object) -> int:
        """The position of a seed among the trials.

        Raises:
            QueryError: There is no trial with this seed, or it is no seed at all.
        """
        seeds = self.get_dataset_seeds(dataset)
        if not isinstance(seed, int) or seed not in seeds:
            raise QueryError(
                f"Expected True (one random trial), False (the mean) or one of the seeds "
                f"{', '.join(map(str, seeds))} of architecture {self.arch_index} on {dataset!r} "
                f"with schedule {self._hp!r}, but got {seed!r}."
            )
        return seeds.index(seed)

    def get_latency(self, dataset: str) -> float:
        """Mean over trials in seconds.

        Raises:
            QueryError: A trial has no latency.
        """
        latencies = [result.get_latency() for result in self.results(dataset)]
        if min(latencies) <= 0:
            raise QueryError(f"{self!r} has no latency for every trial on {dataset!r}.")
        return sum(latencies) / len(latencies)

    def get_total_epoch(self, dataset: str | None = None) -> int:
        names = self.get_dataset_names() if dataset is None else [dataset]
        if any(not isinstance(name, str) for name in names):
            raise QueryError(f"Expected the name of a data set or None but got {dataset!r}.")
        epochs = {self._of(name).epochs for name in names}
        if len(epochs) != 1:
            raise QueryError(f"The trainings of {self!r} have {sorted(epochs)} epochs; name one.")
        return epochs.pop()

    def get_net_param(self, dataset: str, seed: int | None = None) -> Any:
        """None for each trial, as officially after weights were cleared."""
        if seed is None:
            return dict.fromkeys(self.get_dataset_seeds(dataset))
        if (dataset, seed) not in self.all_results:
            raise QueryError(f"{self!r} has no trial {(dataset, seed)}.")
        return None

    def arch_idx_str(self) -> str:
        return f"{self.arch_index:06d}"

    def clear_params(self) -> None:
        """Does nothing, as a table has no weights."""

    def state_dict(self) -> dict[str, Any]:
        """The content of the official files on this architecture and schedule, as dictionaries."""
        return {
            "arch_index": self.arch_index,
            "arch_str": self.arch_str,
            "all_results": {key: result.state_dict() for key, result in self.all_results.items()},
            "dataset_seed": copy.deepcopy(self.dataset_seed),
            "clear_net_done": self.clear_net_done,
        }

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise ReadOnlyError(READ_ONLY)

    update = load_state_dict = reset_latency = _refuse
    reset_pseudo_train_times = reset_pseudo_eval_times = _refuse
