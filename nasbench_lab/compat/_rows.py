"""What a table holds about an architecture and a trial, read number by number.

The objects never change. Those that users get are in ``_records`` and ``_results_count``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_lab.compat._columns import Curve, Records, Split, Trainings
from nasbench_lab.compat._errors import OfficialKeyError
from nasbench_lab.errors import NasbenchLabError

Info = dict[str, Any]
"""The values after an epoch: ``iepoch``, ``loss``, ``accuracy``, ``cur_time``, ``all_time``."""


class _Unchanging:
    """An object that copies share."""

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> Any:
        return self


class TrialRow(_Unchanging):
    """One training of an architecture. Properties are the attributes of the official object.

    Args:
        records: The records of the table.
        trainings: Those for its data set with its schedule.
        index: The official index of the architecture.
        row: The row of the table.
        trial: The place among the trials of the table.
    """

    __slots__ = ("_index", "_records", "_row", "_trainings", "_trial")

    train_acc5es = None
    net_state_dict = None

    def __init__(
        self, records: Records, trainings: Trainings, index: int, row: int, trial: int
    ) -> None:
        self._records, self._trainings = records, trainings
        self._index, self._row, self._trial = index, row, trial

    def __reduce__(self) -> tuple[Any, ...]:
        return TrialRow, (self._records, self._trainings, self._index, self._row, self._trial)

    @property
    def name(self) -> str:
        return self._trainings.dataset

    @property
    def seed(self) -> str:
        return f"{self._trainings.seeds[self._trial]:04d}"

    @property
    def epochs(self) -> int:
        return self._trainings.epochs

    @property
    def params(self) -> float:
        return self._value(self._trainings.parameters, "params")

    @property
    def flop(self) -> float:
        return self._value(self._trainings.flops, "flop")

    def _value(self, curve: Curve, name: str) -> float:
        value = curve.at(self._row, self._trial, self.epochs - 1)
        if value is None:
            value = float("nan")
        return np.float64(value) if name in self._trainings.numpy else value

    @property
    def latency(self) -> list[float] | None:
        value = self._value(self._trainings.latency, "latency")
        return [value] if value == value else None

    @property
    def arch_config(self) -> dict[str, Any]:
        config = dict(self._trainings.config)
        text = self._records.string(self._index)
        if config.get("name") == "infer.shape.tiny":
            config["channels"] = text
        config["arch_str"] = text
        return config

    @property
    def train_acc1es(self) -> dict[int, float]:
        return self._trainings.train.accuracy.by_epoch(self._row, self._trial, self.epochs)

    @property
    def train_losses(self) -> dict[int, float]:
        losses = self._trainings.train.loss.by_epoch(self._row, self._trial, self.epochs)
        return {i: losses.get(i, float("nan")) for i in self.train_acc1es}

    @property
    def train_times(self) -> dict[int, float] | None:
        return self._trainings.train.time.by_epoch(self._row, self._trial, self.epochs) or None

    @property
    def eval_names(self) -> list[str]:
        found = self._trainings.evaluations
        return [n for n in self._trainings.names if found[n].any(self._row, self._trial)]

    @property
    def eval_acc1es(self) -> dict[str, float]:
        return self._evaluations(self._trainings.accuracies, lambda split: split.accuracy)

    @property
    def eval_losses(self) -> dict[str, float]:
        losses = self._evaluations(self._trainings.accuracies, lambda split: split.loss)
        return {key: losses.get(key, float("nan")) for key in self.eval_acc1es}

    @property
    def eval_times(self) -> dict[str, float]:
        return self._evaluations(self._trainings.times, lambda split: split.time)

    def _evaluations(
        self, names: Sequence[str], curve: Callable[[Split], Curve]
    ) -> dict[str, float]:
        return {
            f"{name}@{i}": value
            for name in names
            for i, value in curve(self._trainings.evaluations[name])
            .by_epoch(self._row, self._trial, self.epochs)
            .items()
        }

    def times(self, name: str) -> list[float] | None:
        """The seconds of each epoch on a split; None without, or if an evaluation lacks some."""
        splits = self._trainings.evaluations
        split = self._trainings.train if name == "train" else splits.get(name)
        if split is None:
            return None
        times = split.time.by_epoch(self._row, self._trial, self.epochs)
        complete = len(times) == self.epochs or (name == "train" and times)
        return list(times.values()) if complete else None

    def train(self, iepoch: int) -> Info:
        """Accuracy, loss and times on the training data after an epoch counted from 0."""
        split, row, trial = self._trainings.train, self._row, self._trial
        time = split.time.at(row, trial, iepoch)
        total = split.time.total(row, trial, iepoch)
        if total is None and split.time.any(row, trial):
            raise self._lacks("training times up to", iepoch)
        return self._info(split, iepoch, time, total, "train")

    def evaluation(self, name: str, iepoch: int, time_error: type[NasbenchLabError]) -> Info:
        """The same on an evaluation split; ``time_error`` is raised if it lacks a time there."""
        row, trial = self._row, self._trial
        split = self._trainings.evaluations.get(name)
        time = total = None
        if split is not None:
            time = split.time.at(row, trial, iepoch)
            total = split.time.total(row, trial, iepoch)
        if total is None:
            others = self._trainings.evaluations.values()
            if any(other.time.any(row, trial) for other in others):
                error = time_error if time is None else OfficialKeyError
                raise self._lacks(f"times of {name!r} up to", iepoch, error)
        if split is None:
            raise self._lacks(f"values of {name!r} at", iepoch)
        return self._info(split, iepoch, time, total, name)

    def _info(
        self, split: Split, iepoch: int, time: float | None, total: float | None, name: str
    ) -> Info:
        accuracy = split.accuracy.at(self._row, self._trial, iepoch)
        if accuracy is None:
            raise self._lacks(f"values of {name!r} at", iepoch)
        # Trainings that diverged have accuracies, but no losses.
        loss = split.loss.at(self._row, self._trial, iepoch)
        return {
            "iepoch": iepoch,
            "loss": float("nan") if loss is None else loss,
            "accuracy": accuracy,
            "cur_time": time,
            "all_time": total,
        }

    def _lacks(
        self, what: str, iepoch: int, error: type[NasbenchLabError] = OfficialKeyError
    ) -> NasbenchLabError:
        return error(
            f"The record of {self._records.string(self._index)} on {self.name!r} with schedule "
            f"{self._trainings.hp!r} and seed {self.seed} has no {what} epoch {iepoch}. It holds "
            f"train, {', '.join(self.eval_names)}, but not all of them at every epoch."
        )


class ArchRow(_Unchanging):
    """All trainings of an architecture with one schedule.

    Args:
        records: The records of the table.
        index: The official index.
        row: The row of the table.
        hp: The schedule.
    """

    __slots__ = ("_records", "_row", "_trainings", "hp", "index")

    def __init__(self, records: Records, index: int, row: int, hp: str) -> None:
        self._records, self._row, self.hp, self.index = records, row, hp, index
        self._trainings: Mapping[str, Trainings] = records.trainings.get(hp, {})

    def __reduce__(self) -> tuple[Any, ...]:
        return ArchRow, (self._records, self.index, self._row, self.hp)

    def __len__(self) -> int:
        return sum(len(trainings.trials(self._row)) for trainings in self._trainings.values())

    @property
    def arch_str(self) -> str:
        return self._records.string(self.index)

    def datasets(self) -> list[str]:
        """The data sets that it was trained on."""
        return [name for name, t in self._trainings.items() if t.trials(self._row)]

    def trials(self, dataset: str) -> dict[int, TrialRow]:
        """The trials on a data set by seed, in the order of the record's list of seeds; or none."""
        trainings = self._trainings.get(dataset)
        if trainings is None:
            return {}
        return {
            trainings.seeds[t]: TrialRow(self._records, trainings, self.index, self._row, t)
            for t in trainings.trials(self._row)
        }

    def all_trials(self) -> dict[tuple[str, int], TrialRow]:
        """All trials by data set and seed, in the order of the record."""
        found = {
            (name, seed): t for name in self.datasets() for seed, t in self.trials(name).items()
        }
        order = [key for key in self._records.results.get(self.hp, ()) if key in found]
        return {key: found[key] for key in dict.fromkeys((*order, *found))}

    def seeds(self, dataset: str) -> list[int]:
        """The seeds of a data set, in the order of the record's list; or none."""
        trainings = self._trainings.get(dataset)
        if trainings is None:
            return []
        return [trainings.seeds[trial] for trial in trainings.trials(self._row)]
