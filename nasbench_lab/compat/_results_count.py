"""A trial of NATS-Bench or NAS-Bench-201, in the shape of the official object."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from nasbench_lab.compat._errors import OfficialAssertionError, OfficialKeyError
from nasbench_lab.compat._rows import Info, TrialRow
from nasbench_lab.errors import NasbenchLabError, QueryError

_CURVES = (
    "train_acc1es",
    "train_losses",
    "train_times",
    "eval_acc1es",
    "eval_times",
    "eval_losses",
)
_ATTRIBUTES = (  # in the official order
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
    "eval_times",
    "eval_losses",
)


class ResultsCount:
    """One trial: the training of an architecture with one seed.

    An object of a table reads each number on demand. An attribute that was asked for or set belongs to
    the object, so changes are kept there and never reach the table. Objects of a table have no
    ``train_acc5es`` and no weights.

    Args:
        name: The data set.
        state_dict: The weights, or None.
        train_accs: Accuracies on training data (%) by epoch counted from 0.
        train_losses: Losses by epoch counted from 0.
        params: Millions of parameters.
        flop: Millions of floating-point operations.
        arch_config: What the official code builds the network from.
        seed: Four digits, as in the official files.
        epochs: The number of epochs.
        latency: A list of measurements in seconds, or None.

    More attributes are those of the official class: ``train_times`` (s of each epoch) by epoch, and
    ``eval_acc1es``, ``eval_losses`` and ``eval_times`` with keys such as ``"x-valid@11"``.
    """

    _source: TrialRow | None = None
    """The row of the table that attributes are read from on demand."""

    _epoch_error: ClassVar[type[NasbenchLabError]] = QueryError
    _time_error: ClassVar[type[NasbenchLabError]] = QueryError
    _twice_error: ClassVar[type[NasbenchLabError]] = QueryError

    def __init__(
        self,
        name: Any,
        state_dict: Any,
        train_accs: Any,
        train_losses: Any,
        params: Any,
        flop: Any,
        arch_config: Any,
        seed: Any,
        epochs: Any,
        latency: Any,
    ) -> None:
        self.name = name
        self.net_state_dict = state_dict
        self.train_acc1es = copy.deepcopy(train_accs)
        self.train_acc5es: Any = None
        self.train_losses = copy.deepcopy(train_losses)
        self.train_times: Any = None
        self.arch_config = copy.deepcopy(arch_config)
        self.params = params
        self.flop = flop
        self.seed = seed
        self.epochs = epochs
        self.latency = latency
        self.reset_eval()

    @classmethod
    def of_table(cls, source: TrialRow) -> Self:
        """The trial of a table."""
        result = cls.__new__(cls)
        result._source = source
        return result

    @classmethod
    def create_from_state_dict(cls, state_dict: Mapping[str, Any]) -> Self:
        """The trial of a state, as ``state_dict`` gives it and the official files hold it."""
        result = cls(*[None] * 10)
        result.load_state_dict(state_dict)
        return result

    def __getattr__(self, name: str) -> Any:
        # Only what the object does not have yet comes here.
        if name not in _ATTRIBUTES or self._source is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = getattr(self._source, name)
        setattr(self, name, value)
        return value

    def _unread(self) -> TrialRow | None:
        """The row of the table, unless the object has values by epoch of its own."""
        source, own = self._source, vars(self)
        if source is None or not own.keys().isdisjoint(_CURVES):
            return None
        return source if own.get("epochs", source.epochs) == source.epochs else None

    def _read_all(self) -> None:
        """Reads all attributes, in the official order, and lets go of the table."""
        if self._source is not None:
            read = {name: getattr(self, name) for name in _ATTRIBUTES}
            own = {name: value for name, value in vars(self).items() if name != "_source"}
            vars(self).clear()
            vars(self).update({**read, **own})

    def drop_weights(self) -> None:
        """Lets go of the weights, which become the last attribute, as officially."""
        self._read_all()
        del self.net_state_dict
        self.net_state_dict = None

    def state_dict(self) -> dict[str, Any]:
        """All attributes by name."""
        self._read_all()
        return dict(vars(self))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the attributes of a state."""
        vars(self).update({name: value for name, value in state_dict.items() if name != "_source"})

    @staticmethod
    def mean(values: Sequence[Any]) -> Any:
        """The mean of numbers, of the official API's type."""
        return sum(values) / len(values)

    @staticmethod
    def total(values: Sequence[Any]) -> Any:
        """The sum of numbers, as the official API adds them up."""
        return sum(values)

    def __repr__(self) -> str:
        names = self.eval_names
        return (
            f"{type(self).__name__}({self.name}, arch={self.arch_config['arch_str']}, "
            f"FLOP={self.flop:.2f}M, Param={self.params:.3f}MB, seed={self.seed}, "
            f"{len(names)} eval-sets: [{', '.join(names)}])"
        )

    # Changes

    def update_train_info(
        self, train_acc1es: Any, train_acc5es: Any, train_losses: Any, train_times: Any
    ) -> None:
        """Sets what was measured on training data after each epoch."""
        self.train_acc1es, self.train_acc5es = train_acc1es, train_acc5es
        self.train_losses, self.train_times = train_losses, train_times

    def reset_pseudo_train_times(self, estimated_per_epoch_time: float) -> None:
        """Sets the seconds of every epoch of training."""
        self.train_times = dict.fromkeys(range(self.epochs), estimated_per_epoch_time)

    def reset_pseudo_eval_times(self, eval_name: str, estimated_per_epoch_time: float) -> None:
        """Sets the seconds of an evaluation after every epoch.

        Raises:
            QueryError: There is no such evaluation split.
        """
        if eval_name not in self.eval_names:
            raise QueryError(
                f"Expected one of the evaluation splits {', '.join(self.eval_names) or '(none)'} "
                f"but got {eval_name!r}."
            )
        for i in range(self.epochs):
            self.eval_times[f"{eval_name}@{i}"] = estimated_per_epoch_time

    def reset_eval(self) -> None:
        """Forgets all evaluations."""
        self.eval_names: list[str] = []
        self.eval_acc1es: dict[str, Any] = {}
        self.eval_times: dict[str, Any] = {}
        self.eval_losses: dict[str, Any] = {}

    def update_latency(self, latency: Any) -> None:
        """Sets the measurements of latency, a list in seconds or None."""
        self.latency = copy.deepcopy(latency)

    def update_eval(
        self, accs: Mapping[str, Any], losses: Mapping[str, Any], times: Mapping[str, Any]
    ) -> None:
        """Adds evaluations, whose keys are such as ``"x-valid@11"`` and include every epoch."""
        for name in dict.fromkeys(key.split("@")[0] for key in accs):
            self._add_name(name, self._twice_error)
            for i in range(self.epochs):
                key = f"{name}@{i}"
                self.eval_acc1es[key] = accs[key]
                self.eval_losses[key] = losses[key]
                self.eval_times[key] = times[key]

    def update_OLD_eval(  # noqa: N802 (the official name)
        self, name: str, accs: Mapping[int, Any], losses: Mapping[int, Any]
    ) -> None:
        """Adds an evaluation split by epochs, counted from 0, of which some may be missing."""
        self._add_name(name, OfficialAssertionError)
        for i in range(self.epochs):
            if i in accs:
                self.eval_acc1es[f"{name}@{i}"] = accs[i]
                self.eval_losses[f"{name}@{i}"] = losses[i]

    def _add_name(self, name: str, error: type[NasbenchLabError]) -> None:
        if name in self.eval_names:
            raise error(f"Expected a new evaluation split but {name!r} was added before.")
        self.eval_names.append(name)

    # Questions

    def get_total_epoch(self) -> int:
        epochs: int = self.epochs
        return epochs

    def get_latency(self) -> Any:
        """Seconds, or -1.0 if there is no measurement."""
        return -1.0 if self.latency is None else sum(self.latency) / len(self.latency)

    def get_eval_set(self) -> list[str]:
        return self.eval_names

    def get_times(self) -> dict[str, Any]:
        """``T-<split>@epoch`` and ``@total``, mean and sum over epochs in seconds, or None."""
        source = self._unread()
        result: dict[str, Any] = {}
        for name in ("train", *self.eval_names):
            times = self._times(name) if source is None else source.times(name)
            result[f"T-{name}@epoch"] = None if times is None else self.mean(times)
            result[f"T-{name}@total"] = None if times is None else self.total(times)
        return result

    def _times(self, name: str) -> list[Any] | None:
        if name == "train":
            return list(self.train_times.values()) if isinstance(self.train_times, dict) else None
        try:
            return [self.eval_times[f"{name}@{i}"] for i in range(self.epochs)]
        except (KeyError, TypeError):
            return None

    def judge_valid(self, iepoch: int) -> None:
        """Refuses an epoch that there is not."""
        if not 0 <= iepoch < self.epochs:
            raise self._epoch_error(
                f"Expected an epoch from 0 to {self.epochs - 1}, or None for the last, but got "
                f"{iepoch}: the training on {self.name} has {self.epochs} epochs."
            )

    def _epoch(self, iepoch: int | None) -> int:
        iepoch = self.epochs - 1 if iepoch is None else iepoch
        self.judge_valid(iepoch)
        return iepoch

    def get_train(self, iepoch: int | None = None) -> Info:
        """Accuracy, loss and times on the training data after an epoch counted from 0."""
        iepoch = self._epoch(iepoch)
        if (source := self._unread()) is not None:
            return source.train(iepoch)
        return _info(iepoch, self.train_losses, self.train_acc1es, self.train_times, lambda i: i)

    def get_eval(self, name: str, iepoch: int | None = None) -> Info:
        """Accuracy, loss and times on an evaluation split after an epoch counted from 0."""
        iepoch = self._epoch(iepoch)
        name = "x-valid" if name == "valid" else name
        if (source := self._unread()) is not None:
            return source.evaluation(name, iepoch, self._time_error)
        times = (isinstance(self.eval_times, dict) and self.eval_times) or None
        if times and f"{name}@{iepoch}" not in times:
            raise self._time_error(f"There is no time of {name!r} at epoch {iepoch}.")
        return _info(
            iepoch, self.eval_losses, self.eval_acc1es, times, lambda epoch: f"{name}@{epoch}"
        )

    def get_net_param(self, clone: bool = False) -> Any:
        """The weights; None for a trial of a table, as officially after they were cleared."""
        return copy.deepcopy(self.net_state_dict) if clone else self.net_state_dict

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
            {"arch_str": config["arch_str"]}
            if str2structure is None
            else {"genotype": str2structure(config["arch_str"])}
        )
        return {
            "name": "infer.tiny",
            "C": config["channel"],
            "N": config["num_cells"],
            **cell,
            "num_classes": config["class_num"],
        }


def _info(iepoch: int, losses: Any, accuracies: Any, times: Any, key: Callable[[int], Any]) -> Info:
    """The values after an epoch, of dictionaries with a key for each epoch."""
    time = total = None
    try:
        if times is not None:
            time = times[key(iepoch)]
            total = sum([times[key(i)] for i in range(iepoch + 1)])
        loss, accuracy = losses[key(iepoch)], accuracies[key(iepoch)]
    except KeyError as error:
        raise OfficialKeyError(
            f"There is no value at {error}, which epoch {iepoch} needs."
        ) from error
    return {
        "iepoch": iepoch,
        "loss": loss,
        "accuracy": accuracy,
        "cur_time": time,
        "all_time": total,
    }
