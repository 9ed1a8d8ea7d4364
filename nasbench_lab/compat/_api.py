"""The common part of the drop-ins for ``nats_bench`` and ``nas_201_api``: queries by official index."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeVar

from nasbench_lab.compat._columns import Records
from nasbench_lab.compat._errors import (
    OfficialBehaviourWarning,
    OfficialKeyError,
    ReadOnlyError,
)
from nasbench_lab.compat._records import ArchResults, Info
from nasbench_lab.errors import NasbenchLabError, QueryError
from nasbench_lab.tables.table import Table

DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")

_KEPT = 10_000
"""The number of cached answers, of about 3 KB each, which make repeated queries fast."""

_choice = random.choice
_bits = random.getrandbits

_T = TypeVar("_T")


class _Simulated(NamedTuple):
    """The possible outcomes of ``simulate_train_eval``, which draws one at each call."""

    outcomes: list[tuple[float, float]]
    """Accuracy and seconds of each trial."""
    latency: Any
    passes: list[float]
    """Seconds of a validation pass, if they are drawn separately and added."""


class _Results(Mapping[int, dict[str, ArchResults]]):
    """The official ``arch2infos_dict``: results by index, then by schedule."""

    def __init__(self, api: MetaAPI) -> None:
        self._api = api

    def __getitem__(self, index: int) -> dict[str, ArchResults]:
        api = self._api
        row = api._loaded_rows[index]
        make, records = api._results_class, api._records
        return {hp: make(records, index, row, hp) for hp in api._hps(row)}

    def __contains__(self, index: object) -> bool:
        return index in self._api._loaded_rows

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._api._loaded_rows))

    def __len__(self) -> int:
        return len(self._api._loaded_rows)


class MetaAPI:
    """Queries by official index, with the methods of the official ``NASBenchMetaAPI``.

    Args:
        table: The table.
        filename: The name of the file in the official API.
        verbose: Whether each call is printed.
    """

    _results_class: ClassVar[type[ArchResults]] = ArchResults
    _index_error: ClassVar[type[NasbenchLabError]] = QueryError
    _comments: ClassVar[Mapping[str, str]] = {}
    _flop_name: ClassVar[str] = "flop_max"
    evaluated_indexes: Any

    def __init__(self, table: Table, filename: str | None, verbose: bool) -> None:
        self._records = Records(table)
        self._loaded_rows: dict[int, int] = self._records.rows
        self._avaliable_hps: set[str] = set(self._records.schedules)
        self.arch2infos_dict = _Results(self)
        self.filename = filename
        self.verbose = verbose
        self._used_time: float = 0
        self._warned: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._answers: dict[tuple[Any, ...], list[Info]] = {}
        self._trials: dict[tuple[Any, ...], tuple[list[Info], int, int]] = {}
        self._costs: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._simulated: dict[tuple[Any, ...], _Simulated] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Caches are not sent to another process.
        dropped = {"_answers", "_trials", "_costs", "_simulated", "arch2infos_dict"}
        dropped |= {"meta_archs", "archstr2index"}
        return {name: value for name, value in vars(self).items() if name not in dropped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.arch2infos_dict = _Results(self)
        self._forget()

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

    def _prepare(self, index: int) -> None:
        """Makes a record available, if records are read one by one."""

    def _results(self, index: int, hp: object) -> ArchResults:
        """The results of an architecture and schedule, which must exist."""
        row = self._loaded_rows[index]
        if hp not in self._hps(row):
            raise OfficialKeyError(self._wrong_hp(index, row, hp))
        return self._results_class(self._records, index, row, str(hp))

    def _wrong_hp(self, index: int, row: int, hp: object) -> str:
        return (
            f"Architecture {index} has the schedules {', '.join(map(repr, self._hps(row)))}, "
            f"not {hp!r}."
        )

    def _checked_results(self, index: int, hp: object, name: object) -> ArchResults:
        self._prepare(index)
        row = self._loaded_rows.get(index)
        if row is None:
            raise QueryError(f"The file has no record of architecture {index}.")
        if name not in self._hps(row):
            raise QueryError(self._wrong_hp(index, row, hp))
        return self._results_class(self._records, int(index), row, str(name))

    def _hp_name(self, hp: object) -> object:
        return str(hp)

    def query_meta_info_by_index(self, arch_index: int, hp: str = "12") -> ArchResults:
        """The results of an architecture with a schedule."""
        self._say(f"Call query_meta_info_by_index with arch_index={arch_index}, hp={hp}")
        return self._checked_results(arch_index, hp, self._hp_name(hp))

    def query_by_index(self, arch_index: int, dataname: str | None = None, hp: str = "12") -> Any:
        """The results with a schedule, or a dictionary by seed of the trials on one data set."""
        self._say(f"Call query_by_index with arch_index={arch_index}, {dataname=}, hp={hp}")
        results = self._checked_results(arch_index, hp, self._hp_name(hp))
        if dataname is None:
            return results
        if dataname not in results.get_dataset_names():
            raise QueryError(
                f"Expected one of {', '.join(results.get_dataset_names())} but got {dataname!r}."
            )
        return results.query(dataname)

    def query_by_arch(self, arch: Any, hp: str) -> str | None:
        """The older name of ``query_info_str_by_arch``."""
        return self.query_info_str_by_arch(arch, hp)

    def query_info_str_by_arch(self, arch: Any, hp: str = "12") -> str | None:
        """A text about an architecture with a schedule; None if it has no record."""
        self._say(f"Call query_info_str_by_arch with arch={arch} and hp={hp}")
        index = self._index(arch)
        self._prepare(index)
        row = self._loaded_rows.get(index)
        if row is None:
            self._not_evaluated(index)
            return None
        if hp not in self._hps(row):
            raise QueryError(self._wrong_hp(index, row, hp))
        return "\n".join(self._describe(self._results(index, hp), f"arch-index={index}"))

    def _not_evaluated(self, index: int) -> None:
        raise NotImplementedError

    # Metrics

    def get_more_info(
        self,
        index: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str = "12",
        is_random: bool | int = True,
    ) -> Info:
        """Accuracies (%), losses and times (s) after an epoch.

        Args:
            index: An official index, or an argument of ``query_index_by_arch``.
            dataset: ``"cifar10-valid"``, ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
            iepoch: The epoch, counted from 0; None for the last.
            hp: The schedule.
            is_random: True for a trial drawn from Python's global ``random``, False for the mean
                over trials, or a seed.

        Returns:
            A new dictionary. ``…-all-time`` is the sum up to the epoch, ``…-per-time`` its mean per
            epoch. Values that the record lacks at that epoch are left out.
        """
        if self.verbose:
            self._say(
                f"Call get_more_info with {index=}, {dataset=}, {iepoch=}, {hp=}, {is_random=}"
            )
        if is_random is True and type(index) is int:
            try:
                answers, n, width = self._trials[index, dataset, iepoch, hp]
            except (KeyError, TypeError):
                pass
            else:
                # This draws the same bits as random.choice in half the time.
                drawn = _bits(width)
                while drawn >= n:
                    drawn = _bits(width)
                return answers[drawn].copy()
        return self._more_info(self._index(index), dataset, iepoch, hp, is_random)

    def _more_info(
        self, index: int, dataset: str, iepoch: int | None, hp: str, is_random: bool | int
    ) -> Info:
        """The same for an index that was checked."""
        self._prepare(index)
        if index not in self._loaded_rows:
            raise QueryError(f"The file has no record of architecture {index}.")
        key: tuple[Any, ...] = (index, dataset, iepoch, hp)
        results = self._results(index, str(hp))
        if is_random is True:
            if key in self._answers:
                return _choice(self._answers[key]).copy()
            seeds = results.get_dataset_seeds(dataset)
            seed = _choice(seeds)
            splits = self._splits(results, dataset, iepoch, list)
            answers = [
                self._answer({name: infos[i] for name, infos in splits.items()}, dataset, hp)
                for i in range(len(seeds))
            ]
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            self._answers[key] = answers
            if len(self._trials) >= _KEPT:
                self._trials.clear()
            self._trials[index, dataset, iepoch, hp] = answers, len(seeds), len(seeds).bit_length()
            return answers[seeds.index(seed)].copy()
        key = (*key, type(is_random), is_random)
        if key not in self._answers:

            def choose(infos: list[Info]) -> Info:
                if is_random is False:
                    return results.averaged(infos)
                return infos[results.position(dataset, is_random)]

            chosen = self._splits(results, dataset, iepoch, choose)
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            self._answers[key] = [self._answer(chosen, dataset, hp)]
        return self._answers[key][0].copy()

    def _splits(
        self,
        results: ArchResults,
        dataset: str,
        iepoch: int | None,
        choose: Callable[[list[Info]], _T],
    ) -> dict[str, _T]:
        """The chosen values of each split that all trials have."""
        splits = {"train": choose(results.infos(dataset, "train", iepoch))}
        if dataset == "cifar10-valid":
            splits["valid"] = choose(results.infos(dataset, "x-valid", iepoch))
            others = {"test": "ori-test"}
        elif dataset == "cifar10":
            others = {"valid": "x-valid", "test": "ori-test"}
        else:
            others = {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
        for name, setname in others.items():
            try:
                splits[name] = choose(results.infos(dataset, setname, iepoch))
            except Exception:  # the official code catches everything too
                continue
        return splits

    def _answer(self, splits: Mapping[str, Info], dataset: str, hp: str) -> Info:
        n_epochs = splits["train"]["iepoch"] + 1
        answer: Info = {}
        for name, info in splits.items():
            total = info["all_time"]
            answer[f"{name}-loss"] = info["loss"]
            answer[f"{name}-accuracy"] = info["accuracy"]
            answer[f"{name}-per-time"] = None if total is None else total / n_epochs
            answer[f"{name}-all-time"] = total
            if name == "train" and dataset in self._comments:
                answer["comment"] = self._comments[dataset].format(hp)
        return answer

    def _simulate(
        self, arch: Any, dataset: str, iepoch: int | None, hp: str, latency_hp: str, account: bool
    ) -> tuple[float, Any, float, float]:
        """Draws a trial, charges its time and returns the values that a search would see."""
        key = (arch, dataset, iepoch, hp)
        plain = type(arch) is int or type(arch) is str
        simulated = self._simulated.get(key) if plain else None
        if simulated is not None:
            accuracy, cost = _choice(simulated.outcomes)
            latency = simulated.latency
            if simulated.passes:
                cost += _choice(simulated.passes)
        else:
            answers, chosen, passes, one_pass = self._draw(arch, dataset, iepoch, hp)
            name = "valtest" if passes else "valid"
            accuracy = chosen[f"{name}-accuracy"]
            cost = chosen["train-all-time"] + one_pass
            latency = self._cost_info(self._index(arch), dataset, latency_hp)["latency"]
            if plain:
                self._keep(key, name, answers, latency, passes)
        if account:
            self._used_time += cost
        return accuracy, latency, cost, self._used_time

    def _keep(
        self,
        key: tuple[Any, ...],
        name: str,
        answers: list[Info],
        latency: Any,
        passes: list[float],
    ) -> None:
        """Caches the outcomes of the trials, unless the times of a trial are unknown."""
        times = [(a["train-all-time"], 0.0 if passes else a["valid-per-time"]) for a in answers]
        if None in passes or any(None in pair for pair in times):
            return
        if len(self._simulated) >= _KEPT:
            self._simulated.clear()
        outcomes = [
            (a[f"{name}-accuracy"], sum(pair)) for a, pair in zip(answers, times, strict=True)
        ]
        self._simulated[key] = _Simulated(outcomes, latency, passes)

    def _draw(
        self, arch: Any, dataset: str, iepoch: int | None, hp: str
    ) -> tuple[list[Info], Info, list[float], float]:
        """All trials, the drawn trial, possible times of a validation pass, and its time.

        The possible times are empty if the time is not drawn.
        """
        index = self._index(arch)
        if dataset not in DATASETS[1:]:
            raise self._index_error(
                f"Expected one of {', '.join(DATASETS[1:])} but got {dataset!r}."
            )
        source = "cifar10-valid" if dataset == "cifar10" else dataset
        chosen = self._more_info(index, source, iepoch, hp, True)
        answers = self._answers[index, source, iepoch, hp]
        if "valid-accuracy" in chosen or not self._falls_back:
            return answers, chosen, [], chosen["valid-per-time"]
        if "valtest-accuracy" not in chosen:
            raise OfficialKeyError(
                f"Architecture {index} on {dataset!r} with schedule {hp!r} has no accuracy at "
                f"epoch {iepoch} but that on training data."
            )
        self._warn(
            "leak",
            f"{dataset!r} has no validation accuracy at epoch {iepoch} of schedule {hp!r}, so "
            f"simulate_train_eval gives the accuracy on validation and test data together, as "
            f"officially: test data leak into the search. Ask for the last epoch (iepoch=None), "
            f"or search on cifar10.",
        )
        at_end = self._more_info(index, dataset, None, hp, True)
        passes = [a["valid-per-time"] for a in self._answers[index, dataset, None, hp]]
        return answers, chosen, passes, at_end["valid-per-time"]

    _falls_back: ClassVar[bool] = True

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
            results = self._checked_results(index, hp, self._hp_name(hp))
            if len(self._costs) >= _KEPT:
                self._costs.clear()
            self._costs[key] = results.get_compute_costs(dataset)
        return self._costs[key]

    def get_net_param(self, index: int, dataset: str, seed: int | None, hp: str = "12") -> Any:
        """None for each trial, as officially for files without weights; tables have no weights."""
        return self.query_meta_info_by_index(index, hp).get_net_param(dataset, seed)

    def get_net_config(self, index: int, dataset: str) -> dict[str, Any]:
        """The configuration from which the official code builds the network."""
        self._say(f"Call get_net_config with index={index}, dataset={dataset}.")
        self._prepare(index)
        if index not in self._loaded_rows:
            raise QueryError(f"The file has no record of architecture {index}.")
        first: ArchResults = next(iter(self.arch2infos_dict[index].values()))
        config: dict[str, Any] = first.results(dataset)[0].get_config(None)
        return config

    def clear_params(self, index: int, hp: str | None = None) -> None:
        """Only checks its arguments, as a table has no weights."""
        self._say(f"Call clear_params with index={index} and hp={hp}")
        row = self._loaded_rows[index]
        if hp is not None and str(hp) not in self._hps(row):
            raise QueryError(self._wrong_hp(index, row, hp))

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
        dataset, setname = official_split(dataset, metric_on_set)
        best, highest = -1, None
        for index in indexes:
            self._prepare(index)
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

    # For people

    def _describe(self, results: ArchResults, extra: str | None = None) -> list[str]:
        """The lines of the official text about the results with one schedule."""
        names = results.get_dataset_names()
        lines = [results.arch_str, f"datasets : {names}, extra-info : {extra}"]
        for dataset in names:
            costs = results.get_compute_costs(dataset)
            latency = costs["latency"]
            shown = f"{latency * 1000:.2f}" if latency is not None and latency > 0 else None
            lines.append(
                f"{dataset:14s} FLOP={costs['flops']:6.2f} M, Params={costs['params']:.3f} MB, "
                f"latency={shown} ms."
            )
            parts = []
            for label, setname in [("train", "train"), *self._shown_splits(dataset)]:
                info = results.get_metrics(dataset, setname)
                text = self._metric_text.format(loss=info["loss"], accuracy=info["accuracy"])
                parts.append(f"{label} : [{text}]")
            lines.append(f"{dataset:14s} {', '.join(parts)}")
        return lines

    _metric_text: ClassVar[str]

    def _shown_splits(self, dataset: str) -> list[tuple[str, str]]:
        if dataset == "cifar10-valid":
            return [("valid", "x-valid")]
        if dataset == "cifar10":
            return [("test ", "ori-test")]
        return [("valid", "x-valid"), ("test", "x-test")]

    def show(self, index: int = -1) -> None:
        """Prints the results of an architecture, or of all that were loaded."""
        if index >= len(self):
            print(f"This index ({index}) is out of range (0~{len(self)}).")
            return
        if index >= 0:
            if index not in self.evaluated_indexes:
                self._prepare(index)
            if index not in self.evaluated_indexes:
                print(f"The {index}-th architecture has not been evaluated or not saved.")
            else:
                self._show_one(index)
            return
        print(self)
        indexes = sorted(self.evaluated_indexes)
        for i, number in enumerate(indexes):
            print(
                f"\n{'-' * 10} The ({i:5d}/{len(indexes):5d}) {number:06d}-th architecture! {'-' * 10}"
            )
            print(f"arch : {self._records.string(number)}")
            self._show_one(number)

    def _show_one(self, index: int) -> None:
        for results in self.arch2infos_dict[index].values():
            print(f"{'>' * 40} {results.get_total_epoch():03d} epochs {'>' * 40}")
            print("\n".join(self._describe(results)))
        print(f"{'<' * 40}------------{'<' * 40}")


def official_split(dataset: str, metric_on_set: str) -> tuple[str, str]:
    """The key of the data set and split that ``find_best`` means."""
    if dataset == "cifar10":
        splits = {"valid": ("cifar10-valid", "x-valid"), "test": ("cifar10", "ori-test")}
        return splits.get(metric_on_set, (dataset, metric_on_set))
    if dataset in ("cifar100", "ImageNet16-120"):
        metric_on_set = {"valid": "x-valid", "test": "x-test"}.get(metric_on_set, metric_on_set)
    return dataset, metric_on_set


def refuse_reload(*_: object) -> NoReturn:
    """Refuses, as the source of an API is fixed when it is made."""
    raise ReadOnlyError(
        "An API over an imported table reads from that table only. To read another archive, make a "
        "new API from its path."
    )
