"""What the APIs for ``nats_bench`` and ``nas_201_api`` hold: architectures, records and costs."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, ClassVar

from nasbench_lab.compat._by_index import ByIndex, BySchedules
from nasbench_lab.compat._columns import Records
from nasbench_lab.compat._errors import OfficialBehaviourWarning, OfficialKeyError
from nasbench_lab.compat._records import ArchResults
from nasbench_lab.errors import NasbenchLabError, QueryError
from nasbench_lab.tables.table import Table

DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")

KEPT = 10_000
"""The number of cached answers, of about 3 KB each, which make repeated queries fast."""


class Held:
    """The architectures and records of an API, and their costs.

    Args:
        table: The table.
        filename: The name of the file in the official API.
        verbose: Whether each call is printed.
    """

    _results_class: ClassVar[type[ArchResults]] = ArchResults
    _index_error: ClassVar[type[NasbenchLabError]] = QueryError
    evaluated_indexes: Any

    def __init__(self, table: Table, filename: str | None, verbose: bool) -> None:
        self._records = Records(table)
        self._loaded_rows: dict[int, int] = dict(self._records.rows)
        self._avaliable_hps: set[str] = set(self._records.schedules)
        self._hold()
        self.filename = filename
        self.verbose = verbose
        self._used_time: float = 0
        self._warned: set[str] = set()
        self._forget()

    def _hold(self, changed: Mapping[int, BySchedules] | None = None) -> None:
        """Makes the dictionary of results, in which some may have been changed."""
        self.arch2infos_dict = ByIndex(self._loaded_rows, self._make, self._forget, changed)

    def _make(self, index: int, on_change: Callable[[], None]) -> BySchedules:
        row, make = self._loaded_rows[index], self._results_class.of_table
        return {hp: make(self._records, index, row, hp, on_change) for hp in self._hps(row)}

    def _forget(self) -> None:
        """Empties the caches."""
        self._costs: dict[tuple[Any, ...], dict[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Caches are not sent to another process.
        dropped = {"_answers", "_trials", "_costs", "_simulated", "arch2infos_dict"}
        dropped |= {"meta_archs", "archstr2index", "arch2infos_less", "arch2infos_full"}
        state = {name: value for name, value in vars(self).items() if name not in dropped}
        results = self.arch2infos_dict
        return {**state, "changed": {index: results[index] for index in results.changeable}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        changed = state.pop("changed")
        vars(self).update(state)
        self._hold(changed)
        self._forget()

    def _remember(self, cache: dict[Any, Any], index: int, key: Any, value: Any) -> None:
        """Keeps an answer about an architecture, unless users may change what it comes from."""
        if index in self.arch2infos_dict.changeable:
            return
        if len(cache) >= KEPT:
            cache.clear()
        cache[key] = value

    def _say(self, text: str) -> None:
        if self.verbose:
            print(text)

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(text, OfficialBehaviourWarning, stacklevel=4)

    # Architectures

    @cached_property
    def meta_archs(self) -> list[str]:
        """The strings of all architectures, in the official order."""
        return self._records.strings()

    @cached_property
    def archstr2index(self) -> dict[str, int]:
        """The official index of each string."""
        return {text: index for index, text in enumerate(self.meta_archs)}

    def __len__(self) -> int:
        return len(self._records.order)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.meta_archs[index]
        if index < 0:
            self._warn(
                "[-1]",
                f"api[{index}] counts from the end, as officially. query_index_by_arch gives -1 "
                f"for an unknown architecture: api[-1] is not that architecture, but the last one.",
            )
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected an index from 0 to {len(self) - 1} but got {index}.")
        return self._records.string(index)

    def arch(self, index: int) -> str:
        """The string of the architecture at an official index."""
        self._say(f"Call arch with index={index}")
        if not 0 <= index < len(self):
            raise self._index_error(f"Expected an index from 0 to {len(self) - 1} but got {index}.")
        return self._records.string(index)

    def random(self) -> int:
        """A random official index, drawn from Python's global ``random``."""
        return random.randint(0, len(self) - 1)

    def query_index_by_arch(self, arch: Any) -> int:
        """The official index of an architecture.

        Args:
            arch: A string, an object with a method ``tostr``, or an int, which is only checked.

        Returns:
            The index; -1 for anything else, also for a string that is not in the list or a NumPy
            integer.
        """
        if self.verbose:
            self._say(f"Call query_index_by_arch with arch={arch}")
        return self._index(arch)

    def _index(self, arch: Any) -> int:
        if isinstance(arch, int):
            if 0 <= arch < len(self):
                return arch
            raise QueryError(f"Expected an index from 0 to {len(self) - 1} but got {arch}.")
        text = arch if isinstance(arch, str) or not hasattr(arch, "tostr") else arch.tostr()
        index = self.archstr2index.get(text, -1) if isinstance(text, str) else -1
        if index == -1:
            self._warn(
                "unknown",
                f"{arch!r} is not an architecture of the list, which gives the index -1, as "
                f"officially. Expected a string such as {self._records.string(0)!r}, or an int "
                f"(int(index) for a NumPy integer).",
            )
        return index

    # What is held

    @property
    def avaliable_hps(self) -> list[str]:
        """The schedules; the spelling is the official one."""
        return list(self._avaliable_hps)

    @property
    def used_time(self) -> float:
        """Seconds that ``simulate_train_eval`` has charged."""
        return self._used_time

    def reset_time(self) -> None:
        self._used_time = 0

    def _hps(self, row: int) -> list[str]:
        return self._records.hps(row)

    def _prepare_info(self, index: int) -> None:
        """Makes a record available, if records are read one by one; scripts call it by this name."""

    def _schedules(self, index: int) -> Collection[str]:
        """The schedules of an architecture that is loaded."""
        given = self.arch2infos_dict.given.get(index)
        return self._hps(self._loaded_rows[index]) if given is None else given

    def _results(self, index: int, hp: object) -> ArchResults:
        """The results of an architecture and schedule, which must exist; not to be given away."""
        if hp not in self._schedules(index):
            raise OfficialKeyError(self._wrong_hp(index, hp))
        given = self.arch2infos_dict.given.get(index)
        if given is not None:
            return given[str(hp)]
        row = self._loaded_rows[index]
        return self._results_class.of_table(self._records, int(index), row, str(hp))

    def _wrong_hp(self, index: int, hp: object) -> str:
        held = ", ".join(map(repr, self._schedules(index)))
        return f"Architecture {index} has the schedules {held}, not {hp!r}."

    def _checked_results(self, index: int, hp: object, name: object) -> ArchResults:
        self._prepare_info(index)
        if index not in self._loaded_rows:
            raise QueryError(f"The file has no record of architecture {index}.")
        if name not in self._schedules(index):
            raise QueryError(self._wrong_hp(index, hp))
        return self._results(index, name)

    def _hp_name(self, hp: object) -> object:
        return str(hp)

    def query_meta_info_by_index(self, arch_index: int, hp: str = "12") -> ArchResults:
        """The results of an architecture with a schedule."""
        self._say(f"Call query_meta_info_by_index with arch_index={arch_index}, hp={hp}")
        results = self._checked_results(arch_index, hp, self._hp_name(hp))
        # Changes of a copy do not reach the API.
        return copy.deepcopy(results) if arch_index in self.arch2infos_dict.given else results

    def query_by_index(self, arch_index: int, dataname: str | None = None, hp: str = "12") -> Any:
        """The results with a schedule, or a dictionary by seed of the trials on one data set."""
        self._say(f"Call query_by_index with arch_index={arch_index}, {dataname=}, hp={hp}")
        results = Held.query_meta_info_by_index(self, arch_index, hp)
        if dataname is None:
            return results
        if dataname not in results.get_dataset_names():
            raise QueryError(
                f"Expected one of {', '.join(results.get_dataset_names())} but got {dataname!r}."
            )
        return results.query(dataname)

    # Costs

    def get_cost_info(self, index: int, dataset: str, hp: str = "12") -> dict[str, Any]:
        """FLOPs and parameters in millions, latency and times in seconds."""
        if self.verbose:
            self._say(f"Call get_cost_info with index={index}, dataset={dataset}, and hp={hp}.")
        return self._cost_info(index, dataset, hp).copy()

    def get_latency(self, index: int, dataset: str, hp: str = "12") -> Any:
        """Seconds of a forward pass of 256 images, or None."""
        if self.verbose:
            self._say(f"Call get_latency with index={index}, dataset={dataset}, and hp={hp}.")
        return self._cost_info(index, dataset, hp)["latency"]

    def _cost_info(self, index: int, dataset: str, hp: str) -> dict[str, Any]:
        key = (index, dataset, hp, type(hp))
        if key not in self._costs or index not in self._loaded_rows:
            costs = self._checked_results(index, hp, self._hp_name(hp)).get_compute_costs(dataset)
            self._remember(self._costs, index, key, costs)
            return costs
        return self._costs[key]

    def get_net_param(self, index: int, dataset: str, seed: int | None, hp: str = "12") -> Any:
        """None for each trial, as officially for files without weights; tables have no weights."""
        return self.query_meta_info_by_index(index, hp).get_net_param(dataset, seed)

    def get_net_config(self, index: int, dataset: str) -> dict[str, Any]:
        """The configuration from which the official code builds the network."""
        self._say(f"Call get_net_config with index={index}, dataset={dataset}.")
        self._prepare_info(index)
        if index not in self._loaded_rows:
            raise QueryError(f"The file has no record of architecture {index}.")
        first = self._results(index, next(iter(self._schedules(index))))
        config: dict[str, Any] = first.results(dataset)[0].get_config(None)
        return config

    def clear_params(self, index: int, hp: str | None = None) -> None:
        """Only checks its arguments, as a table has no weights."""
        self._say(f"Call clear_params with index={index} and hp={hp}")
        if hp is not None and str(hp) not in self._schedules(index):
            raise QueryError(self._wrong_hp(index, hp))

    def statistics(self, dataset: str, hp: str | int) -> dict[int, int]:
        """The number of architectures by their number of trials."""
        self._say(f"Call statistics with dataset={dataset} and hp={hp}.")
        if dataset not in DATASETS:
            raise QueryError(f"Expected one of {', '.join(DATASETS)} but got {dataset!r}.")
        counts: dict[int, int] = {}
        for index in self._counted():
            seeds = self._results(index, str(hp)).dataset_seed.get(dataset, [])
            counts[len(seeds)] = counts.get(len(seeds), 0) + 1
        return counts

    def _counted(self) -> Any:
        return self.evaluated_indexes

    # The best

    def _best(
        self,
        indexes: Any,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None,
        param_max: float | None,
        hp: str,
    ) -> tuple[int, Any]:
        dataset, setname = remap_dataset_set_names(dataset, metric_on_set)
        best, highest = -1, None
        for index in indexes:
            self._prepare_info(index)
            results = self._results(index, hp)
            if flop_max is not None or param_max is not None:
                costs = results.get_compute_costs(dataset)
                if flop_max is not None and costs["flops"] > flop_max:
                    continue
                if param_max is not None and costs["params"] > param_max:
                    continue
            accuracies = [info["accuracy"] for info in results.infos(dataset, setname)]
            accuracy = results.results_class.mean(accuracies)
            if best == -1 or highest < accuracy:
                best, highest = index, accuracy
        if best == -1:
            self._say("No architecture was looked at, or none is within the limits.")
        else:
            self._say(f"The best is {best} {self._records.string(best)}: {highest:.3f}%")
        return best, highest


def remap_dataset_set_names(
    dataset: str, metric_on_set: str, verbose: bool = False
) -> tuple[str, str]:
    """The key of the data set and split that ``find_best`` means."""
    if verbose:
        print(f"Call remap_dataset_set_names with {dataset=} and {metric_on_set=}")
    if dataset == "cifar10":
        splits = {"valid": ("cifar10-valid", "x-valid"), "test": ("cifar10", "ori-test")}
        return splits.get(metric_on_set, (dataset, metric_on_set))
    if dataset in ("cifar100", "ImageNet16-120"):
        metric_on_set = {"valid": "x-valid", "test": "x-test"}.get(metric_on_set, metric_on_set)
    return dataset, metric_on_set
