"""A trial of a NATS-Bench or NAS-Bench-201 table, in the shape of the official object.

``ResultsCount`` is a view, which reads each number from the table on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from nasbench_lab.compat._columns import Curve, Split, Trainings
from nasbench_lab.compat._errors import OfficialKeyError, ReadOnlyError
from nasbench_lab.errors import NasbenchLabError, QueryError

if TYPE_CHECKING:
    from nasbench_lab.compat._records import ArchResults

Info = dict[str, Any]
"""The values after an epoch: ``iepoch``, ``loss``, ``accuracy``, ``cur_time``, ``all_time``."""


class ResultsCount:
    """One trial: the training of an architecture with one seed.

    Attributes are those of the official class: ``name`` (the data set), ``seed`` (four digits, as in
    the official files), ``epochs``, ``params`` and ``flop`` (millions), ``latency`` (a list with the
    mean, in seconds, or None), ``arch_config``, and dictionaries by epoch counted from 0:
    ``train_acc1es`` (%), ``train_losses``, ``train_times`` (s of each epoch), ``eval_acc1es``,
    ``eval_losses``, ``eval_times`` with keys such as ``"x-valid@11"``. ``train_acc5es`` and
    ``net_state_dict`` are None, as the table does not have them.
    """

    __slots__ = ("_arch", "_row", "_trainings", "_trial")

    train_acc5es = None
    net_state_dict = None

    _epoch_error: ClassVar[type[NasbenchLabError]] = QueryError
    _time_error: ClassVar[type[NasbenchLabError]] = QueryError

    def __init__(self, trainings: Trainings, row: int, trial: int, arch: ArchResults) -> None:
        self._trainings, self._row, self._trial = trainings, row, trial
        self._arch = arch

    @staticmethod
    def mean(values: Sequence[Any]) -> Any:
        """The mean of numbers, of the official API's type."""
        return sum(values) / len(values)

    @staticmethod
    def total(values: Sequence[Any]) -> Any:
        """The sum of numbers, as the official API adds them up."""
        return sum(values)

    @property
    def _arch_str(self) -> str:
        return self._arch.arch_str

    def __repr__(self) -> str:
        names = self.eval_names
        return (
            f"{type(self).__name__}({self.name}, arch={self._arch_str}, FLOP={self.flop:.2f}M, "
            f"Param={self.params:.3f}MB, seed={self.seed}, {len(names)} eval-sets: "
            f"[{', '.join(names)}])"
        )

    def __deepcopy__(self, memo: object) -> ResultsCount:
        return self  # never changes

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
        if config.get("name") == "infer.shape.tiny":
            config["channels"] = self._arch_str
        config["arch_str"] = self._arch_str
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

    def get_total_epoch(self) -> int:
        return self.epochs

    def get_latency(self) -> float:
        """Seconds, or -1.0 if there is no measurement."""
        latency = self.latency
        return -1.0 if latency is None else latency[0]

    def get_eval_set(self) -> list[str]:
        return self.eval_names

    def get_times(self) -> dict[str, Any]:
        """``T-<split>@epoch`` and ``@total``, mean and sum over epochs in seconds, or None."""
        splits = {"train": self._trainings.train}
        splits |= {name: self._trainings.evaluations[name] for name in self.eval_names}
        result: dict[str, Any] = {}
        for name, split in splits.items():
            times = split.time.by_epoch(self._row, self._trial, self.epochs)
            complete = len(times) == self.epochs or (name == "train" and times)
            values = list(times.values())
            result[f"T-{name}@epoch"] = self.mean(values) if complete else None
            result[f"T-{name}@total"] = self.total(values) if complete else None
        return result

    def _epoch(self, iepoch: int | None) -> int:
        if iepoch is None:
            return self.epochs - 1
        if not 0 <= iepoch < self.epochs:
            raise self._epoch_error(
                f"Expected an epoch from 0 to {self.epochs - 1}, or None for the last, but got "
                f"{iepoch}: {self.name} with schedule {self._trainings.hp} has {self.epochs} epochs."
            )
        return iepoch

    def get_train(self, iepoch: int | None = None) -> Info:
        """Accuracy, loss and times on the training data after an epoch counted from 0."""
        iepoch = self._epoch(iepoch)
        split, row, trial = self._trainings.train, self._row, self._trial
        time = split.time.at(row, trial, iepoch)
        total = split.time.total(row, trial, iepoch)
        if total is None and split.time.any(row, trial):
            raise self._lacks("training times up to", iepoch)
        return self._info(split, iepoch, time, total, "train")

    def get_eval(self, name: str, iepoch: int | None = None) -> Info:
        """Accuracy, loss and times on an evaluation split after an epoch counted from 0."""
        iepoch = self._epoch(iepoch)
        if name == "valid":
            name = "x-valid"
        row, trial = self._row, self._trial
        split = self._trainings.evaluations.get(name)
        time = total = None
        if split is not None:
            time = split.time.at(row, trial, iepoch)
            total = split.time.total(row, trial, iepoch)
        if total is None:
            others = self._trainings.evaluations.values()
            if any(other.time.any(row, trial) for other in others):
                error = self._time_error if time is None else OfficialKeyError
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
            f"The record of {self._arch_str} on {self.name!r} with schedule "
            f"{self._trainings.hp!r} and seed {self.seed} has no {what} epoch {iepoch}. It holds "
            f"train, {', '.join(self.eval_names)}, but not all of them at every epoch."
        )

    def get_net_param(self, clone: bool = False) -> None:
        """None, as officially after weights were cleared; tables have no weights."""

    def get_config(self, str2structure: Callable[[str], Any] | None) -> dict[str, Any]:
        """The configuration from which the official code builds this network."""
        config = self.arch_config
        if config.get("name") == "infer.shape.tiny":
            genotype = config["genotype"]
            return {
                "name": "infer.shape.tiny",
                "channels": config["channels"],
                "genotype": genotype if str2structure is None else str2structure(genotype),
                "num_classes": config["class_num"],
            }
        cell: dict[str, Any] = (
            {"arch_str": self._arch_str}
            if str2structure is None
            else {"genotype": str2structure(self._arch_str)}
        )
        return {
            "name": "infer.tiny",
            "C": config["channel"],
            "N": config["num_cells"],
            **cell,
            "num_classes": config["class_num"],
        }

    def state_dict(self) -> dict[str, Any]:
        """A copy of all attributes as plain dictionaries."""
        return {name: getattr(self, name) for name in _ATTRIBUTES}

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise ReadOnlyError(READ_ONLY)

    update_train_info = update_eval = update_OLD_eval = update_latency = _refuse  # noqa: N815
    reset_eval = reset_pseudo_train_times = reset_pseudo_eval_times = load_state_dict = _refuse


READ_ONLY = (
    "This is a view of an imported table, which is never changed. Keep changed times or latencies "
    "in variables of your own, or use the official package for this."
)

_ATTRIBUTES = (
    "name",
    "net_state_dict",
    "train_acc1es",
    "train_acc5es",
    "train_losses",
    "train_times",
    "arch_config",
    "params",
    "flop",
    "seed",
    "epochs",
    "latency",
    "eval_names",
    "eval_acc1es",
    "eval_losses",
    "eval_times",
)
