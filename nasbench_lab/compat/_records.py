"""An architecture of NATS-Bench or NAS-Bench-201, in the shape of the official object."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

from nasbench_lab.compat._columns import Records
from nasbench_lab.compat._errors import (
    OfficialAssertionError,
    OfficialIndexError,
    OfficialKeyError,
)
from nasbench_lab.compat._pickles import pickle_load
from nasbench_lab.compat._results_count import ResultsCount
from nasbench_lab.compat._rows import ArchRow, Info
from nasbench_lab.errors import NasbenchLabError, QueryError

_READ = ("arch_str", "all_results", "dataset_seed")
"""The attributes that are read from a table on demand."""

_HELD = ("all_results", "dataset_seed")
"""Those of them that users can change."""

_DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")


class ArchResults:
    """All trials of an architecture with one schedule.

    An object of a table reads it on demand. What was asked for or changed belongs to the object; no
    change reaches the table. Attributes are those of the official class: ``arch_index``,
    ``arch_str``, ``dataset_seed`` (the seeds by data set), ``all_results`` (the trials by data set
    and seed) and ``clear_net_done`` (whether weights were cleared).

    Args:
        arch_index: The official index.
        arch_str: The string of the architecture.
    """

    results_class: ClassVar[type[ResultsCount]] = ResultsCount
    _source: ArchRow | None = None
    _on_change: Callable[[], None] | None = None
    """Called when an object that an API holds may be changed from now on."""

    _state_error: ClassVar[type[NasbenchLabError]] = QueryError

    def __init__(self, arch_index: Any, arch_str: Any) -> None:
        self.arch_index = int(arch_index)
        self.arch_str = copy.deepcopy(arch_str)
        self.all_results: dict[tuple[str, int], ResultsCount] = {}
        self.dataset_seed: dict[str, list[int]] = {}
        self.clear_net_done = False

    @classmethod
    def of_table(
        cls,
        records: Records,
        index: int,
        row: int,
        hp: str,
        on_change: Callable[[], None] | None = None,
    ) -> Self:
        """The trials of a row of a table with one schedule.

        Args:
            records: The records of the table.
            index: The official index.
            row: The row of the table.
            hp: The schedule.
            on_change: Called before anything that could be changed is given away.
        """
        result = cls.__new__(cls)
        held = {"arch_index": int(index), "clear_net_done": True}  # a table has no weights
        vars(result).update(held, _source=ArchRow(records, index, row, hp), _on_change=on_change)
        return result

    @classmethod
    def create_from_state_dict(cls, state_dict_or_file: Mapping[str, Any] | str) -> Self:
        """The trials of a state, as ``state_dict`` gives it, or of a file that holds one.

        Raises:
            QueryError: It is something else.
        """
        if not isinstance(state_dict_or_file, str | dict):
            raise QueryError(
                f"Expected a dictionary or the path of a file but got "
                f"{type(state_dict_or_file).__name__}."
            )
        state = state_dict_or_file
        result = cls(-1, -1)
        result.load_state_dict(cls._load(state) if isinstance(state, str) else state)
        return result

    @staticmethod
    def _load(path: str) -> Any:
        """The content of a file."""
        return pickle_load(path)

    def __getattr__(self, name: str) -> Any:
        # Only what the object does not have yet comes here.
        source = self._source
        if name not in _READ or source is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value: Any
        if name == "arch_str":
            value = source.arch_str
        elif name == "dataset_seed":
            value = {dataset: source.seeds(dataset) for dataset in source.datasets()}
        else:
            make = self.results_class.of_table
            value = {key: make(trial) for key, trial in source.all_trials().items()}
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if self._on_change is not None and name in _HELD:
            self._on_change()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_on_change"}

    def _unread(self) -> ArchRow | None:
        """The row of the table, unless the object has trials of its own."""
        return self._source if vars(self).keys().isdisjoint(_HELD) else None

    # States

    def state_dict(self) -> dict[str, Any]:
        """The content of the official files on this architecture and schedule, as dictionaries."""
        state = {
            "arch_index": self.arch_index,
            "arch_str": self.arch_str,
            "all_results": self._checked(self.all_results),
            "dataset_seed": self.dataset_seed,
            "clear_net_done": self.clear_net_done,
        }
        for key, result in state["all_results"].items():
            if not isinstance(result, ResultsCount):
                raise self._state_error(
                    f"Expected a ResultsCount at {key} of all_results but got "
                    f"{type(result).__name__}."
                )
        state["all_results"] = {
            k: result.state_dict() for k, result in state["all_results"].items()
        }
        more = self.__getstate__().items()
        return {**state, **{name: v for name, v in more if name not in state and name != "_source"}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the content of ``state_dict``."""
        state = {k: v for k, v in state_dict.items() if k not in ("_source", "_on_change")}
        if "all_results" in state:
            make = self.results_class.create_from_state_dict
            state["all_results"] = {
                key: make(one) for key, one in self._checked(state["all_results"]).items()
            }
        for name, value in state.items():
            setattr(self, name, value)

    def _checked(self, results: Any) -> dict[Any, Any]:
        if not isinstance(results, dict):
            raise self._state_error(
                f"Expected a dictionary as all_results but got {type(results).__name__}."
            )
        return results

    # Changes

    def update(self, dataset_name: str, seed: int, result: ResultsCount) -> None:
        """Adds a trial; the seeds of its data set are sorted.

        Raises:
            QueryError: There is a trial with this seed; in ``nas_201_api`` an assertion.
        """
        seeds = self.dataset_seed.setdefault(dataset_name, [])
        if seed in seeds:
            raise self._state_error(
                f"Architecture {self.arch_index} already has a trial with seed {seed!r} on "
                f"{dataset_name!r}."
            )
        self.dataset_seed[dataset_name] = sorted([*seeds, seed])
        if (dataset_name, seed) in self.all_results:
            raise OfficialAssertionError(
                f"all_results already has {(dataset_name, seed)}, which dataset_seed lacks."
            )
        self.all_results[dataset_name, seed] = result
        self.clear_net_done = False

    def reset_latency(self, dataset: str, seed: int | None, latency: float) -> None:
        """Sets the latency (s) of the trial with a seed, or of all on a data set."""
        for result in self._chosen(dataset, seed):
            result.update_latency([latency])

    def reset_pseudo_train_times(
        self, dataset: str, seed: int | None, estimated_per_epoch_time: float
    ) -> None:
        """Sets the seconds of every epoch of training; trials as for ``reset_latency``."""
        for result in self._chosen(dataset, seed):
            result.reset_pseudo_train_times(estimated_per_epoch_time)

    def reset_pseudo_eval_times(
        self, dataset: str, seed: int | None, eval_name: str, estimated_per_epoch_time: float
    ) -> None:
        """Sets the seconds of every evaluation; trials as for ``reset_latency``."""
        for result in self._chosen(dataset, seed):
            result.reset_pseudo_eval_times(eval_name, estimated_per_epoch_time)

    def _chosen(self, dataset: str, seed: int | None) -> Iterable[ResultsCount]:
        if seed is None:
            return list(self.query(dataset).values())
        return [self.query(dataset, seed)]

    def clear_params(self) -> None:
        """Lets go of weights; a table has none."""
        if self._unread() is None:
            for result in self.all_results.values():
                result.drop_weights()
        self.clear_net_done = True

    # Questions

    def __repr__(self) -> str:
        source = self._unread()
        return (
            f"{type(self).__name__}(arch-index={self.arch_index}, arch={self.arch_str}, "
            f"{len(self.all_results if source is None else source)} runs, "
            f"clear={self.clear_net_done})"
        )

    def results(self, dataset: str) -> list[ResultsCount]:
        """The trials on a data set, in the order of the record's list of seeds."""
        if (source := self._unread()) is None:
            return [self.query(dataset, seed) for seed in self._seeds(dataset)]
        trials = source.trials(dataset).values()
        return [self.results_class.of_table(trial) for trial in trials] or self._lacks(dataset)

    def _seeds(self, dataset: str) -> list[int]:
        if (source := self._unread()) is not None:
            return source.seeds(dataset) or self._lacks(dataset)
        if dataset not in self.dataset_seed:
            self._lacks(dataset)
        return self.dataset_seed[dataset]

    def _lacks(self, dataset: str) -> Any:
        raise OfficialKeyError(
            f"Architecture {self.arch_index} has no record for {dataset!r} with this schedule, only "
            f"for {', '.join(map(str, self.get_dataset_names())) or 'none'}."
        )

    def get_dataset_names(self) -> list[str]:
        source = self._unread()
        return list(self.dataset_seed) if source is None else source.datasets()

    def get_dataset_seeds(self, dataset: str) -> list[int]:
        return copy.copy(self._seeds(dataset))

    def query(self, dataset: str, seed: int | None = None) -> Any:
        """The trial with a seed, or a dictionary of all by seed."""
        if seed is None:
            return {one: self.query(dataset, one) for one in self._seeds(dataset)}
        trials = self.all_results
        if (dataset, seed) not in trials:
            held = [one for name, one in trials if name == dataset]
            raise OfficialKeyError(
                f"Architecture {self.arch_index} has no trial with seed {seed!r} on {dataset!r} "
                f"with this schedule, only {', '.join(map(str, held)) or 'none'}."
            )
        return trials[dataset, seed]

    def get_compute_costs(self, dataset: str) -> dict[str, Any]:
        """``flops`` and ``params`` in millions, ``latency`` and times in seconds, or None."""
        results = self.results(dataset)
        seeds = self._seeds(dataset)
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
        seeds = self._seeds(dataset)
        if not isinstance(seed, int) or seed not in seeds:
            raise QueryError(
                f"Expected True (one random trial), False (the mean) or one of the seeds "
                f"{', '.join(map(str, seeds))} of architecture {self.arch_index} on {dataset!r}, "
                f"but got {seed!r}."
            )
        return seeds.index(seed)

    def get_latency(self, dataset: str) -> float:
        """Mean over trials in seconds.

        Raises:
            QueryError: A trial has no latency.
        """
        latencies: list[float] = [result.get_latency() for result in self.results(dataset)]
        if not all(isinstance(latency, float) and latency > 0 for latency in latencies):
            raise QueryError(f"{self!r} has no latency for every trial on {dataset!r}.")
        return sum(latencies) / len(latencies)

    def get_total_epoch(self, dataset: str | None = None) -> int:
        """The number of epochs of all trainings, or of those on one data set."""
        names = self.get_dataset_names() if dataset is None else [dataset]
        if any(not isinstance(name, str) for name in names):
            raise QueryError(f"Expected the name of a data set or None but got {dataset!r}.")
        epochs = {result.get_total_epoch() for name in names for result in self.results(name)}
        if not epochs:
            raise OfficialIndexError(f"{self!r} has no training on {dataset or 'any data set'!r}.")
        if len(epochs) > 1:
            raise QueryError(f"The trainings of {self!r} have {sorted(epochs)} epochs; name one.")
        return epochs.pop()

    def get_net_param(self, dataset: str, seed: int | None = None) -> Any:
        """The weights of the trial with a seed, or of all by seed; a table has None."""
        if seed is None:
            both = zip(self._seeds(dataset), self.results(dataset), strict=True)
            return {one: result.get_net_param() for one, result in both}
        source = self._unread()
        held = self.all_results if source is None else source.all_trials()
        if (dataset, seed) not in held:
            raise QueryError(f"{self!r} has no trial {(dataset, seed)}.")
        return self.all_results[dataset, seed].get_net_param() if source is None else None

    def arch_idx_str(self) -> str:
        return f"{self.arch_index:06d}"

    def debug_test(self) -> None:
        """Prints latency, trials and times for each of the official data sets."""
        for dataset in _DATASETS:
            print(f"---->>>> {dataset}")
            print(f"The latency on {dataset} is {self.get_latency(dataset)} s")
            for result in self.query(dataset).values():
                print(f"  ==>> result = {result}")
                print(f"  ==>> cost = {result.get_times()}")
