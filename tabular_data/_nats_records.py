"""The records of NAS-Bench-201 and NATS-Bench.

For each architecture and schedule, both benchmarks keep the state of their authors' class
``ArchResults``: the index and string of the architecture, and accuracies, losses and times after each
epoch for each data set and seed. Dong and Yang, ICLR 2020 (arXiv 2001.00326); Dong, Liu, Musial and
Gabrys, IEEE TPAMI 2022 (arXiv 2009.00437).
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import TableFileError

Floats = NDArray[np.float64]

_MOST_EPOCHS = 1_000
MOST_SEEDS = 32
"""The most seeds of a data set and schedule; real files have three."""
_MOST_VALUES = 400_000
"""The most values of an architecture and schedule; real ones have at most 31,000."""

SPLITS = ("x-valid", "x-test", "ori-test")
"""The evaluation splits, by their official names."""

SERIES = tuple(
    f"{split}.{what}" for split in ("train", *SPLITS) for what in ("accuracy", "loss", "time")
)
"""The values after each epoch."""


class TrainedOn(NamedTuple):
    """The data set and part of it behind an official key."""

    dataset: str
    part: str
    splits: Mapping[str, str]


_HALVES = {"x-valid": "valid", "x-test": "test", "ori-test": "valid+test"}
KEYS = {
    "cifar10-valid": TrainedOn("cifar10", "train", {"x-valid": "valid", "ori-test": "test"}),
    "cifar10": TrainedOn("cifar10", "train+valid", {"ori-test": "test"}),
    "cifar100": TrainedOn("cifar100", "train", _HALVES),
    "ImageNet16-120": TrainedOn("ImageNet16-120", "train", _HALVES),
}
"""The official keys of data sets. On CIFAR-100 and ImageNet16-120 the test set is halved into
``x-valid`` and ``x-test``, so ``ori-test`` holds both."""


SCORES = {"darcyflow": "1 minus the relative L2 error, which is the loss"}
"""What stands in the place of accuracies where they are none: numbers of at most 1, of which more is
better (NAS-Bench-360, ``precompute/darcyflow/xautodl/procedures/funcs_nasbench.py``)."""


def trained_on(key: str) -> TrainedOn:
    """The data set and part of it behind a key; others than the official ones are taken whole."""
    return KEYS.get(key) or TrainedOn(key, "train", _HALVES)


class Layout(NamedTuple):
    """How a record writes a training, apart from its values."""

    eval_names: tuple[str, ...]
    accuracies: tuple[str, ...]
    """The splits in the order of ``eval_acc1es``."""
    times: tuple[str, ...]
    """The splits in the order of ``eval_times``."""
    numpy: tuple[str, ...]
    """The costs that are NumPy numbers."""


Order = tuple[tuple[str, int], ...]
"""The data set and seed of each training, in the order of a record's results."""


class Trial(NamedTuple):
    """One training of one architecture: its values after each epoch, and its costs."""

    values: dict[str, Floats]
    costs: tuple[float, float, float]
    """Millions of FLOPs, millions of parameters, latency in seconds."""
    epochs: int
    config: dict[str, Any]
    layout: Layout


@dataclass(frozen=True)
class Schedule:
    """The trainings of an architecture with a schedule."""

    index: int
    text: str
    seeds: dict[str, tuple[int, ...]]
    trials: dict[tuple[str, int], Trial]
    order: Order


def check_schedule(name: object) -> str:
    """Refuses an invalid name of a schedule, as it becomes part of names of columns and files.

    Raises:
        TableFileError: The name is not a number of epochs.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[0-9]{1,4}", name):
        raise TableFileError(f"expected a schedule such as '12' but got {reprlib.repr(name)}")
    return name


def parse(info: Any) -> Schedule:
    """Reads the state of an ``ArchResults``.

    Raises:
        Exception: The state is something else. It is a ``TableFileError`` if the case was foreseen.
    """
    index, text, results = info["arch_index"], info["arch_str"], info["all_results"]
    if type(index) is not int or not isinstance(text, str):
        raise TableFileError(
            f"expected index and string but got {reprlib.repr(index)} and {reprlib.repr(text)}"
        )
    seeds = {_key(key): _seeds(found) for key, found in info["dataset_seed"].items()}
    listed = [(key, seed) for key, found in seeds.items() for seed in found]
    if not isinstance(results, dict) or set(listed) != set(results) or len(listed) > len(results):
        raise TableFileError(
            f"its seeds are {reprlib.repr(seeds)} but its results are {reprlib.repr(results)}"
        )
    if sum(_length(results[one]) for one in listed) * len(SERIES) > _MOST_VALUES:
        raise TableFileError(f"it has more than {_MOST_VALUES:,} values")
    trials = {
        (key, seed): _trial(results[key, seed], f"results of {key} with seed {seed}")
        for key, seed in listed
    }
    order = tuple(results)
    return Schedule(index, text, seeds, trials, _orders.setdefault(order, order))


def _length(result: Any) -> int:
    """The number of epochs of a training; 0 for anything else."""
    n = result.get("epochs") if isinstance(result, dict) else None
    return n if type(n) is int and 0 < n <= _MOST_EPOCHS else 0


def _key(key: object) -> str:
    # Others than the official ones are of such files as NAS-Bench-360's.
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", key):
        raise TableFileError(
            f"expected results of a data set such as {', '.join(KEYS)} but got {reprlib.repr(key)}"
        )
    return key


def _seeds(seeds: object) -> tuple[int, ...]:
    if (
        not isinstance(seeds, list)
        or len(seeds) > MOST_SEEDS
        or not all(type(seed) is int and abs(seed) < 1 << 63 for seed in seeds)
    ):
        raise TableFileError(
            f"expected a list of seeds, at most {MOST_SEEDS} of 64 bits, but got "
            f"{reprlib.repr(seeds)}"
        )
    return tuple(seeds)


def _configuration(content: object) -> dict[str, Any]:
    """The configuration of the network, without the architecture: a few words and numbers."""
    if content is None:
        return {}
    plain = (
        isinstance(content, dict)
        and len(content) <= 20
        and all(
            isinstance(name, str)
            and isinstance(value, str | int | float | bool | None)
            and len(str(value)) <= 1000
            for name, value in content.items()
        )
    )
    if not plain:
        raise TableFileError(
            f"expected words and numbers as arch_config but got {reprlib.repr(content)}"
        )
    assert isinstance(content, dict)
    # Apart from the architecture, all networks have the same configuration, which is kept once.
    config = {k: "" if k in ("arch_str", "channels") else v for k, v in content.items()}
    if len(_configs) < _MOST_CONFIGS:
        key = tuple((name, type(value), value) for name, value in config.items())  # True is not 1
        return _configs.setdefault(key, config)
    return config


def _trial(result: Any, where: str) -> Trial:
    try:
        n = result["epochs"]
        if type(n) is not int or not 0 < n <= _MOST_EPOCHS:
            raise TableFileError(f"expected a number of epochs but got {reprlib.repr(n)}")
        values = {
            "train.accuracy": _by_epoch(result["train_acc1es"], n),
            "train.loss": _by_epoch(result["train_losses"], n),
            "train.time": _by_epoch(result.get("train_times"), n),
        }
        for what, name in (
            ("accuracy", "eval_acc1es"),
            ("loss", "eval_losses"),
            ("time", "eval_times"),
        ):
            values.update(_by_split(result.get(name) or {}, what, n))
        latencies = result.get("latency")
        latency = np.nan
        if latencies is not None:
            latency = sum(_numbers(latencies)) / len(latencies) if latencies else np.nan
        flops, parameters = map(float, _numbers([result["flop"], result["params"]]))
        return Trial(
            {name: series for name, series in values.items() if series is not None},
            (flops, parameters, latency),
            n,
            _configuration(result.get("arch_config")),
            _layout(result),
        )
    except KeyError as error:
        raise TableFileError(f"{where} lack {error}") from error
    except (TableFileError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise TableFileError(f"{where}: {error}") from error


_NUMBERS = {float, int, np.float64}
_configs: dict[tuple[tuple[str, type, Any], ...], dict[str, Any]] = {}
_MOST_CONFIGS = 1000
_layouts: dict[Layout, Layout] = {}
_orders: dict[Order, Order] = {}


def _layout(result: dict[str, Any]) -> Layout:
    """The layout of a record; equal ones are one object, as there are some 265,000 trainings."""
    names = result.get("eval_names")
    listed = tuple(names) if isinstance(names, list) else ()
    costs = {
        "params": [result["params"]],
        "flop": [result["flop"]],
        "latency": result.get("latency"),
    }
    layout = Layout(
        tuple(name for name in listed if name in SPLITS),
        _order(result.get("eval_acc1es") or {}),
        _order(result.get("eval_times") or {}),
        tuple(name for name, some in costs.items() if some and type(some[0]) is np.float64),
    )
    return _layouts.setdefault(layout, layout)


def _order(content: dict[str, Any]) -> tuple[str, ...]:
    """The splits in the order of a dict's keys, in which those of a split follow each other."""
    if not content:
        return ()
    ends = next(iter(content)), next(reversed(content))
    (first, _, start), (last, _, stop) = (key.partition("@") for key in ends)
    between = [
        name for name in SPLITS if f"{name}@{start}" in content or f"{name}@{stop}" in content
    ]
    return tuple(dict.fromkeys([first, *(name for name in between if name != last), last]))


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list):
        raise TableFileError(f"expected a list of numbers but got {reprlib.repr(values)}")
    if not set(map(type, values)) <= _NUMBERS:
        (strange, *_) = [v for v in values if type(v) not in _NUMBERS]
        raise TableFileError(f"expected a number but got {reprlib.repr(strange)}")
    return values


def _by_epoch(content: Any, n: int) -> Floats | None:
    """``(n,)`` values of a dict by epoch from 0, NaN where it has none; None for no values."""
    if not content:
        return None
    if not isinstance(content, dict):
        raise TableFileError(f"expected a dict of epochs but got {reprlib.repr(content)}")
    result = np.array(_values(content, _epochs(n)), dtype=np.float64)
    if (~np.isnan(result)).sum() < len(content):
        _strange(content, set(_epochs(n)))
    return result


def _by_split(content: Any, what: str, n: int) -> dict[str, Floats]:
    """``(n,)`` values by split, of a dict with keys such as ``x-valid@11``."""
    if not isinstance(content, dict):
        raise TableFileError(f"expected a dict of splits but got {reprlib.repr(content)}")
    result, n_values = {}, 0
    for split in SPLITS:
        series = np.array(_values(content, _split_keys(split, n)), dtype=np.float64)
        if count := int((~np.isnan(series)).sum()):
            result[f"{split}.{what}"] = series
            n_values += count
    if n_values < len(content):
        _strange(content, {key for split in SPLITS for key in _split_keys(split, n)})
    return result


def _values(content: dict[Any, Any], keys: Sequence[Any]) -> list[float]:
    values = list(map(content.get, keys))
    if None in values:
        values = [np.nan if value is None else value for value in values]
    return _numbers(values)


def _strange(content: dict[Any, Any], keys: set[Any]) -> None:
    # NaN values also make fewer values than keys; they count as missing.
    for key in content:
        if key not in keys:
            raise TableFileError(f"unexpected epoch or split {reprlib.repr(key)}")


@cache
def _epochs(n: int) -> tuple[int, ...]:
    return tuple(range(n))


@cache
def _split_keys(split: str, n: int) -> tuple[str, ...]:
    return tuple(f"{split}@{epoch}" for epoch in range(n))


# From records to a table


@dataclass(frozen=True, slots=True)
class Packed:
    """A schedule's results of one architecture as few arrays, cheap to send between processes."""

    index: int
    text: str
    seeds: dict[str, tuple[int, ...]]
    counts: NDArray[np.int32]
    """``(trials, series)`` the number of values that follow: none, one for each epoch, or a single
    one. A single time is that of every epoch; any other single value is that of the last."""
    values: Floats
    costs: Floats
    epochs: tuple[int, ...]
    configs: tuple[dict[str, Any], ...]
    layouts: tuple[Layout, ...]
    order: Order


def pack(schedule: Schedule, *, curves: bool) -> Packed:
    """Puts the values of all trials into one array.

    Args:
        schedule: The schedule of a record.
        curves: Whether the values of all epochs are kept, not only those at the end.
    """
    counts, values = [], []
    for trial in schedule.trials.values():
        for name in SERIES:
            series = trial.values.get(name)
            if series is None or np.isnan(series).all():
                counts.append(0)
                continue
            if name.endswith(".time"):
                if (series == series[0]).all():
                    series = series[:1]
            elif not curves and np.isnan(series[-1]):
                counts.append(0)
                continue
            elif not curves or np.isnan(series[:-1]).all():
                series = series[-1:]
            counts.append(len(series))
            values.append(series)
    return Packed(
        schedule.index,
        schedule.text,
        schedule.seeds,
        np.array(counts, dtype=np.int32).reshape(-1, len(SERIES)),
        np.concatenate(values) if values else np.zeros(0),
        np.array([trial.costs for trial in schedule.trials.values()]),
        tuple(trial.epochs for trial in schedule.trials.values()),
        tuple(trial.config for trial in schedule.trials.values()),
        tuple(trial.layout for trial in schedule.trials.values()),
        schedule.order,
    )
