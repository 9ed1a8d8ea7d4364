"""Makes tables from the records of NAS-Bench-201 and NATS-Bench, in little memory."""

from __future__ import annotations

import contextlib
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import TableFileError
from nasbench_lab.files import folder_errors
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table
from tabular_data._nats_records import (
    MOST_SEEDS,
    SCORES,
    SERIES,
    Floats,
    Layout,
    Order,
    Packed,
    trained_on,
)

_LARGEST = 1 << 28
"""The most bytes of a column; those of the official files have 75 million."""

_MOST_DATASETS = 16
"""The most data sets of a file; the official files have four."""


class _Group:
    """All trainings for a data set with a schedule; a file has their values."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = open(path, "wb")  # noqa: SIM115 (closed when it is read)
        self.length = 0
        self.epochs = 0
        self.config: dict[str, Any] = {}
        self.layout = Layout((), (), (), ())
        self.odd = 0
        self.series = np.zeros(len(SERIES), dtype=bool)
        """Whether any training has values of each series."""
        # Arrays by seed, not lists, as there are some 265,000 trainings.
        self.rows: dict[int, array[int]] = defaultdict(partial(array, "q"))
        self.places: dict[int, array[int]] = defaultdict(partial(array, "q"))
        self.starts: dict[int, array[int]] = defaultdict(partial(array, "q"))
        self.counts: dict[int, array[int]] = defaultdict(partial(array, "q"))
        self.costs: dict[int, array[float]] = defaultdict(lambda: array("d"))

    def add(self, row: int, place: int, seed: int, packed: Packed, i: int, start: int) -> None:
        counts, config = packed.counts[i], packed.configs[i]
        if self.epochs not in (0, packed.epochs[i]):
            raise TableFileError(
                f"it was trained for {packed.epochs[i]} epochs, others for {self.epochs}"
            )
        if packed.layouts[i] != self.layout:  # some records lack a split
            both = zip(self.layout, packed.layouts[i], strict=True)
            self.layout = Layout(*(max(pair, key=len) for pair in both))
        self.config = self.config or config
        self.odd += config != self.config
        self.epochs = packed.epochs[i]
        self.series |= counts > 0
        self.rows[seed].append(row)
        if len(self.rows) > MOST_SEEDS:
            raise TableFileError(
                f"expected at most {MOST_SEEDS} different seeds; {seed} is one more"
            )
        self.places[seed].append(place)
        self.starts[seed].append(self.length)
        self.counts[seed].extend(counts.tolist())
        self.costs[seed].extend(packed.costs[i].tolist())
        n = int(counts.sum())
        with folder_errors(self.path.parent):
            self.file.write(packed.values[start : start + n].tobytes())
        self.length += n

    @property
    def seeds(self) -> list[int]:
        return sorted(self.rows)


class Collector:
    """Makes a table from records that come one after the other, in little memory.

    Use it in a ``with`` statement; its end deletes the temporary files.

    Args:
        texts: The architectures' strings by official index.
        space: The name of their space.
        work: A folder for temporary files.
    """

    def __init__(self, texts: Sequence[str], space: str, work: Path) -> None:
        self.space = get_space(space)
        self.texts = texts
        order = self.space.index(self.space.from_string(list(texts)))
        if len(np.unique(order)) != len(order):
            raise TableFileError("its list of architectures names one of them twice")
        self.order = order
        self.indices: list[int] = []
        self.datasets: list[str] = []
        self.evaluated: NDArray[np.int64] | None = None
        """The indices that the file lists as evaluated; None without a list."""
        self.groups: dict[str, dict[str, _Group]] = {}
        self.results: dict[str, list[tuple[str, int]]] = {}
        """The data set and seed of each training with a schedule, in the order of the records."""
        self._seen: set[int] = set()
        self._work = tempfile.TemporaryDirectory(prefix=".values-", dir=work)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for groups in self.groups.values():
            for group in groups.values():
                # Closing flushes, which fails again on a full disk.
                with contextlib.suppress(OSError):
                    group.file.close()
        self._work.cleanup()

    def columns(self) -> set[str]:
        """The names of the columns of accuracies, losses and times that will be written."""
        return {
            f"{key}.{name}.{series}"
            for name, groups in self.groups.items()
            for key, group in groups.items()
            for series, sizes in zip(SERIES, group.series.tolist(), strict=True)
            if sizes
        }

    def add(self, index: int, packed: Mapping[str, Packed]) -> None:
        """Takes all schedules of an architecture.

        Raises:
            TableFileError: The record does not fit the index.
        """
        if not 0 <= index < len(self.texts):
            raise TableFileError(
                f"its index {index} is not from 0 to {len(self.texts) - 1}, as the list of "
                f"architectures is"
            )
        if index in self._seen:
            raise TableFileError(f"index {index} is repeated")
        self._seen.add(index)
        row = len(self.indices)
        self.indices.append(index)
        for name, packing in packed.items():
            if packing.index != index or packing.text != self.texts[index]:
                raise TableFileError(
                    f"schedule {name} is of architecture {packing.index} {packing.text!r}, where the "
                    f"list of architectures has {index} {self.texts[index]!r}"
                )
            groups = self.groups.setdefault(name, {})
            _merge(self.results.setdefault(name, []), packing.order)
            start = i = 0
            for key, seeds in packing.seeds.items():
                if key not in self.datasets:
                    if len(self.datasets) == _MOST_DATASETS:
                        raise TableFileError(
                            f"expected at most {_MOST_DATASETS} data sets; {key!r} is one more"
                        )
                    self.datasets.append(key)
                if key not in groups:
                    groups[key] = _Group(Path(self._work.name) / f"{name}-{key}")
                for place, seed in enumerate(seeds):
                    groups[key].add(row, place, seed, packing, i, start)
                    start += int(packing.counts[i].sum())
                    i += 1

    def write(self, folder: Path, info: Callable[[TableInfo], TableInfo], path: Path) -> None:
        """Writes the table into an existing empty folder.

        Args:
            folder: The folder.
            info: Completes the description of the table.
            path: The source of the records, for messages.

        Raises:
            TableFileError: A record has an impossible value, such as an accuracy of 200 %.
        """
        indices = np.array(self.indices)
        sort = np.argsort(indices)
        row_of = np.empty(len(indices), dtype=np.int64)
        row_of[sort] = np.arange(len(indices))
        row_of_index = np.full(self.space.size, -1, dtype=np.int32)
        row_of_index[self.order[indices[sort]]] = np.arange(len(indices))
        extra: dict[str, NDArray[Any]] = {"official_order": self.order}
        if self.evaluated is not None and not np.array_equal(self.evaluated, indices[sort]):
            extra["evaluated_indexes"] = self.evaluated
        columns: dict[Column, Any] = {
            Column(
                "official_index",
                "official_index",
                "1",
                False,
                trials=("as published",),
                description="place in the official list of architectures",
            ): indices[sort].astype(np.float64)
        }
        missing: list[str] = []
        if absent := len(self.texts) - len(indices):
            missing.append(f"{absent:,} of {len(self.texts):,} architectures are not there")
        configs: dict[str, dict[str, Any]] = {}
        layouts: dict[str, dict[str, Any]] = {}
        for name, groups in self.groups.items():
            for key in self.datasets:
                if key in groups:
                    group = groups[key]
                    with folder_errors(group.path.parent):
                        group.file.close()
                    values = _GroupValues(group, row_of)
                    columns.update(values.columns(key, name))
                    extra[f"{key}.{name}.present"] = values.present()
                    configs.setdefault(key, {})[name] = group.config
                    layouts.setdefault(key, {})[name] = group.layout._asdict()
                    missing += values.missing(f"{key}, schedule {name}")
        Table.write(
            folder,
            info(
                TableInfo(
                    name="",
                    space=self.space.name,
                    description="",
                    citation="",
                    licence="",
                    objective="",
                    report="",
                    missing=tuple(missing),
                    details={
                        "configs": configs,
                        "layouts": layouts,
                        "results": self.results,
                        "schedules": list(self.groups),
                        "datasets": self.datasets,
                    },
                )
            ),
            columns,
            row_of_index,
            extra=extra,
            place=lambda row: f"{path}, record {indices[sort[row]]}",
        )


def _merge(known: list[tuple[str, int]], order: Order) -> None:
    """Adds what is new in an order, each behind what it follows there."""
    for i, one in enumerate(order):
        if one not in known:
            known.insert(known.index(order[i - 1]) + 1 if i else 0, one)


class _GroupValues:
    """A group's values as columns; the file is read when the first of them is written."""

    def __init__(self, group: _Group, row_of: NDArray[np.int64]) -> None:
        self.group = group
        self.n_rows = len(row_of)
        self.rows = [row_of[np.array(group.rows[seed])] for seed in group.seeds]
        self.counts = [
            np.array(group.counts[seed]).reshape(-1, len(SERIES)) for seed in group.seeds
        ]
        self._values: Floats | None = None

    def present(self) -> NDArray[np.uint8]:
        """``(rows, trials)``: one more than the place among the seeds, 0 without a trial."""
        result = np.zeros((self.n_rows, len(self.rows)), dtype=np.uint8)
        for t, seed in enumerate(self.group.seeds):
            result[self.rows[t], t] = np.array(self.group.places[seed]) + 1
        return result

    def missing(self, where: str) -> list[str]:
        """Sentences about missing trials and configurations."""
        result = []
        for seed, rows in zip(self.group.seeds, self.rows, strict=True):
            if absent := self.n_rows - len(rows):
                result.append(
                    f"{where}: seed {seed} is missing for {absent:,} of {self.n_rows:,} "
                    f"architectures"
                )
        if self.group.odd:
            result.append(
                f"{where}: {self.group.odd:,} trainings state another network configuration, which "
                f"is not kept"
            )
        return result

    def columns(self, key: str, schedule: str) -> dict[Column, Any]:
        """The columns and the functions that give their values."""
        trained = trained_on(key)
        shared: dict[str, Any] = {
            "dataset": trained.dataset,
            "trained_on": trained.part,
            "schedule": schedule,
            "trials": tuple(self.group.seeds),
        }
        prefix = f"{key}.{schedule}"
        result: dict[Column, Any] = {}
        for s, name in enumerate(SERIES):
            split, what = name.split(".")
            sizes = np.concatenate([counts[:, s] for counts in self.counts])
            if not sizes.any():
                continue
            meaning = "train" if split == "train" else trained.splits.get(split, split)
            quantity, unit = what, {"accuracy": "%", "loss": "1", "time": "s"}[what]
            score = SCORES.get(key) if what == "accuracy" else None
            if score is not None:
                quantity, unit = "score", "1"
            elif what == "time":
                quantity = "train_time_per_epoch" if split == "train" else f"{meaning}_time"
            # Times that are the same after every epoch are kept once.
            epochs = None if sizes.max() == 1 and what == "time" else self._epochs(s)
            column = Column(
                f"{prefix}.{name}",
                quantity,
                unit,
                what == "accuracy",
                split=meaning,
                epochs=epochs,
                also=(key, split) if key != trained.dataset else (split,),
                description=score or "",
                **shared,
            )
            result[column] = partial(self._series, s, epochs)
        for c, (name, unit, text) in enumerate(
            (
                ("flops", "M", "millions of floating-point operations of a forward pass"),
                ("parameters", "M", "millions"),
                ("latency", "s", "a forward pass of a batch of 256 on the authors' GPU"),
            )
        ):
            column = Column(
                f"{prefix}.{name}",
                name,
                unit,
                False,
                description=text,
                also=(key,) if key != trained.dataset else (),
                **shared,
            )
            result[column] = partial(self._costs, c)
        self._values = None  # until they are written
        return result

    def _load(self) -> Floats:
        if self._values is None:
            self._values = np.fromfile(self.group.path, dtype=np.float64)
        return self._values

    def _parts(self, s: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]:
        """Rows, starts and numbers of values of a series, for each trial."""
        result = []
        for t, seed in enumerate(self.group.seeds):
            counts = self.counts[t]
            starts = np.array(self.group.starts[seed]) + counts[:, :s].sum(axis=1)
            result.append((self.rows[t], starts, counts[:, s]))
        return result

    def _epochs(self, s: int) -> tuple[int, ...]:
        """The epochs, from 1, after which any training has a value of a series."""
        values = self._load()
        has_value = np.zeros(self.group.epochs, dtype=bool)
        for _, starts, counts in self._parts(s):
            for start in starts[counts == self.group.epochs]:
                if has_value.all():
                    break
                has_value |= ~np.isnan(values[start : start + self.group.epochs])
            if (counts == 1).any():
                has_value[0 if SERIES[s].endswith(".time") else -1 :] = True
        return tuple((np.flatnonzero(has_value) + 1).tolist())

    def _series(self, s: int, epochs: tuple[int, ...] | None) -> NDArray[Any]:
        """``(rows, trials, epochs)`` values, stored epoch by epoch."""
        values = self._load()
        n = len(epochs or (0,))
        if n * len(self.rows) * self.n_rows * values.itemsize > _LARGEST:
            raise TableFileError(
                f"{len(self.rows)} seeds and {n} epochs of {self.n_rows:,} architectures make a "
                f"column of more than {_LARGEST:,} bytes"
            )
        result = np.full((n, len(self.rows), self.n_rows), np.nan)
        offsets = np.zeros(1, dtype=np.int64) if epochs is None else np.array(epochs) - 1
        for t, (rows, starts, counts) in enumerate(self._parts(s)):
            single, all_ = counts == 1, counts == self.group.epochs
            if single.any() and self.group.epochs > 1:
                # A time holds for every epoch, anything else for the last.
                which = slice(None) if SERIES[s].endswith(".time") else slice(-1, None)
                result[which, t, rows[single]] = values[starts[single]]
            for e, offset in enumerate(offsets.tolist()):
                result[e, t, rows[all_]] = values[starts[all_] + offset]
        return result.transpose(2, 1, 0)

    def _costs(self, c: int) -> Floats:
        """``(rows, trials, 1)``; the last of the columns, so the values are let go."""
        self._values = None
        result = np.full((self.n_rows, len(self.rows), 1), np.nan)
        for t, seed in enumerate(self.group.seeds):
            result[self.rows[t], t, 0] = np.array(self.group.costs[seed]).reshape(-1, 3)[:, c]
        return result
