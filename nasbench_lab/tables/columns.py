"""The parts of a table: columns, queries to them, and a description."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError, TableFileError, did_you_mean, short
from nasbench_lab.spaces import Decision, SearchSpace, get_space


@dataclass(frozen=True)
class Column:
    """One measured quantity.

    Args:
        name: Unique within the table, such as ``"valid_accuracy"``.
        quantity: What is measured: ``"accuracy"``, ``"loss"``, ``"latency"``, ``"parameters"``, …
            ``"train_time"`` is the time of all training up to the epoch (without epochs: of the whole
            training), ``"train_time_per_epoch"`` that of one epoch, and ``"valid_time"`` that of one
            validation pass after the epoch.
        unit: ``"%"``, ``"s"``, ``"M"`` (millions), …
        maximize: Whether more is better.
        split: The data that it was measured on: ``"train"``, ``"valid"``, ``"test"``,
            ``"valid+test"``, or None if there is none or the authors do not say.
        dataset: The data set that the networks were trained for.
        schedule: The training schedule, if the table has several.
        trials: The seeds of the trials, or a single entry that says what was averaged.
        epochs: The epochs after which it was measured, counted from 1; None for a single value, at
            the end or the same after every epoch.
        description: A sentence for people.
        trained_on: The part of the data set that the networks were trained on, ``"train"`` or
            ``"train+valid"``, if the table has both.
        also: The benchmark's own words for data set and split, which a query may use, such as
            ``"cifar10-valid"`` and ``"x-valid"``.
    """

    name: str
    quantity: str
    unit: str
    maximize: bool
    split: str | None = None
    dataset: str | None = None
    schedule: str | None = None
    trials: tuple[int | str, ...] = ("mean",)
    epochs: tuple[int, ...] | None = None
    description: str = ""
    trained_on: str | None = None
    also: tuple[str, ...] = ()

    @property
    def on_test_data(self) -> bool:
        """Whether the column is of test data, or may be."""
        return self.split not in (None, "train", "valid")

    def fits(self, query: Query) -> bool:
        """Whether a query may mean this column."""
        if query.metric not in (self.name, self.quantity):
            return False
        return all(
            wanted is None or wanted == held or (wanted in self.also and name != "schedule")
            for name, wanted, held in (
                ("dataset", query.dataset, self.dataset),
                ("trained_on", query.trained_on, self.trained_on),
                ("split", query.split, self.split),
                ("schedule", query.schedule, self.schedule),
            )
        )


SHARES = ("accuracy", "auc", "f1", "precision", "recall")
"""Words of quantities from 0 to 1 in unit ``1``, or to 100 in unit ``%``."""
AMOUNTS = (
    *("energy", "error", "flops", "intensity", "latency", "macs", "memory", "parameters"),
    *("params", "power", "size", "throughput", "time", "uncertainty"),
)
"""Words of quantities that are not negative, in any unit."""
_WHOLE = {"1": 1.0, "%": 100.0}
_ROUNDED = 1 + 1e-9
"""The factor by which rounding may lift a mean of highest values."""


def bounds(column: Column) -> tuple[float, float]:
    """The lowest and the highest value that a column can have, both included.

    ========================================  =========  ====================================
    quantity has the word                     unit       values
    ========================================  =========  ====================================
    one of ``SHARES``                         ``%``      from 0 to 100
    one of ``SHARES``                         ``1``      from 0 to 1
    one of ``AMOUNTS``                        any        at least 0, finite
    ``loss``                                  any        any, and infinity: training diverged
    anything else                             any        finite
    ========================================  =========  ====================================

    Underscores separate words, as in ``"valid_accuracy"``; a missing value is NaN.
    """
    words = set(re.split(r"[\W_]+", column.quantity.lower()))
    largest = float(np.finfo(np.float64).max)
    if column.unit in _WHOLE and words.intersection(SHARES):
        return 0.0, _WHOLE[column.unit]
    if words.intersection(AMOUNTS):
        return 0.0, largest
    return -largest, math.inf if "loss" in words else largest


def check_values(column: Column, values: NDArray[Any], place: Callable[[int], str]) -> None:
    """Refuses values that a column cannot have.

    Args:
        column: The column.
        values: ``(rows, trials, epochs)``; NaN where there is none.
        place: Returns the name of a row: file and record.

    Raises:
        TableFileError: A value is out of the column's ``bounds``; the message says where.
    """
    low, high = bounds(column)
    most = high * _ROUNDED if high in _WHOLE.values() else high
    if not values.size:
        return
    # This needs no array as large as the values; NaN passes both comparisons.
    least, largest = (float(f.reduce(values, axis=None)) for f in (np.fmin, np.fmax))
    if not least < low and not largest > most:
        return
    wide = values.astype(np.float64)
    row, trial, epoch = np.argwhere((wide < low) | (wide > most))[0].tolist()
    expected = (
        f"from {low:g} to {high:g}"
        if high in _WHOLE.values()
        else f"{'that is not negative and ' if low == 0 else ''}that is finite"
    )
    where = f"trial {column.trials[trial]}" if len(column.trials) > 1 else ""
    if column.epochs and len(column.epochs) > 1:
        where += f"{', ' if where else ''}epoch {column.epochs[epoch]}"
    raise TableFileError(
        f"{place(row)}: expected a value of {column.quantity} in {column.unit} {expected} for "
        f"{column.name!r} but got {float(values[row, trial, epoch]):.9g}"
        f"{f' ({where})' if where else ''}."
    )


@dataclass(frozen=True)
class Query:
    """A query to a table: a column, an epoch and the trials.

    Args:
        metric: A column's name, or a quantity that the other fields narrow down to one column.
        split: The data that it is measured on: ``"train"``, ``"valid"``, ``"test"``,
            ``"valid+test"``, or the benchmark's own word, such as ``"x-valid"``.
        dataset: The data set of the training, or the benchmark's own key, such as
            ``"cifar10-valid"``.
        schedule: The training schedule, such as ``"12"``; each schedule is a separate training.
        epoch: The epoch, counted from 1; None for the last.
        trial: ``"mean"`` over the trials that exist, ``"random"`` (one of them, drawn anew at each
            evaluation), or the seed of one trial.
        trained_on: The part of the data set that was trained on, ``"train"`` or ``"train+valid"``.
    """

    metric: str
    split: str | None = None
    dataset: str | None = None
    schedule: str | None = None
    epoch: int | None = None
    trial: int | str = "mean"
    trained_on: str | None = None

    @classmethod
    def of(cls, query: Query | str) -> Query:
        """A query as it is, or the query of a metric's name."""
        return query if isinstance(query, Query) else cls(query)


def found_column(columns: Mapping[str, Column], query: Query, whose: str) -> Column:
    """The one column that a query means.

    Args:
        columns: The columns by name.
        query: The query.
        whose: What they are the columns of, for messages.

    Raises:
        QueryError: No column or several fit; the message lists the columns.
    """
    fitting = [column for column in columns.values() if column.fits(query)]
    exact = [column for column in fitting if column.name == query.metric]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    wanted = {k: getattr(query, k) for k in _NARROWING}
    asked = ", ".join([query.metric, *(f"{k}={v}" for k, v in wanted.items() if v)])
    if fitting:
        problem = f"has several columns for {asked}: {_names(fitting)}"
    else:
        # Columns of the same quantity help more than a long list of all.
        alike = [c for c in columns.values() if query.metric in (c.name, c.quantity)]
        problem = f"has no column for {asked}. It holds {_names(alike or columns.values())}"
    guess = "" if fitting else did_you_mean(query.metric, columns)
    raise QueryError(f"{whose} {problem}.{guess}")


_NARROWING = ("dataset", "trained_on", "split", "schedule")


def _names(columns: Iterable[Column]) -> str:
    parts = []
    for column in columns:
        details = [
            column.dataset,
            column.trained_on and f"trained on {column.trained_on}",
            column.split,
            column.schedule and f"schedule {column.schedule}",
        ]
        detail = ", ".join(str(k) for k in details if k)
        parts.append(f"{column.name} ({detail})" if detail else column.name)
    return "; ".join(parts)


@dataclass(frozen=True)
class Constraint:
    """A bound on a column, such as at most half a million parameters.

    Args:
        query: The query of the bounded column.
        limit: The bound, in the unit of the column.
        at_most: Whether the limit is an upper bound, not a lower one.

    Raises:
        QueryError: The limit is no number.
    """

    query: Query
    limit: float
    at_most: bool = True

    def __post_init__(self) -> None:
        number = isinstance(self.limit, int | float | np.number) and math.isfinite(self.limit)
        if not number or isinstance(self.limit, bool):
            raise QueryError(f"Expected a number as limit of a constraint but got {self.limit!r}.")
        # A plain float, as text would give.
        object.__setattr__(self, "query", Query.of(self.query))
        object.__setattr__(self, "limit", float(self.limit))

    @classmethod
    def of(cls, constraint: Constraint | str) -> Constraint:
        """Reads a constraint such as ``"parameters<=0.5"`` or ``"valid_accuracy >= 90"``.

        Raises:
            QueryError: It cannot be understood.
        """
        if isinstance(constraint, Constraint):
            return constraint
        match = re.fullmatch(r"\s*([^<>=\s]+)\s*([<>]=)\s*(\S+)\s*", str(constraint))
        try:
            limit = float(match[3]) if match else math.nan
        except ValueError:
            limit = math.nan
        if match is None or not math.isfinite(limit):
            raise QueryError(
                f"Expected a constraint such as 'parameters<=0.5' or 'valid_accuracy>=90' but got "
                f"{short(str(constraint))!r}."
            )
        return cls(Query(match[1]), limit, match[2] == "<=")

    def __str__(self) -> str:
        return f"{self.query.metric}{'<=' if self.at_most else '>='}{self.limit!r}"

    def violation(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distance of values beyond the limit, relative to it (absolute if it is 0).

        The distance of an unknown value is infinite.
        """
        excess = (values - self.limit) * (1.0 if self.at_most else -1.0)
        missed = np.maximum(excess, 0.0) / (abs(self.limit) or 1.0)
        return np.where(np.isnan(values), np.inf, missed)


@dataclass(frozen=True)
class Task:
    """A search that a table is made for.

    Args:
        objective: The column that a search sees.
        report: The column that results are reported in.
    """

    objective: str
    report: str


@dataclass(frozen=True)
class TableInfo:
    """The description of a table, apart from its columns.

    Args:
        name: The name, such as ``"nas-bench-graph/cora"``.
        space: The name of its search space.
        description: What was measured, how, and what to beware of.
        citation: BibTeX.
        licence: SPDX identifier, or a few words.
        objective: The column that a search sees by default; empty if no column is fit for it.
        report: The column that results are reported in by default; empty likewise.
        source: The table's source: ``version``, ``file``, ``sha256``, ``bytes``.
        clock: The clock of a search by default; empty for the one that the table's times allow.
        tasks: Other searches by name: the benchmark ``"table/name"`` is the table with that task.
        missing: The gaps of the source, in sentences.
        joins: Names of tables that get the columns too, if they are installed.
        details: Other information that a reader of the table needs, by name.
        trial: The trials that a search sees by default, ``"mean"`` or ``"random"``; results are
            reported by the mean.
        decisions: The decisions of the space, if it has no registered name; see
            ``spaces.kept_decisions``.
    """

    name: str
    space: str
    description: str
    citation: str
    licence: str
    objective: str
    report: str
    source: Mapping[str, str | int] = field(default_factory=dict)
    clock: str = ""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    trial: str = "mean"
    decisions: tuple[Decision, ...] = ()

    @property
    def search_space(self) -> SearchSpace:
        """The space: that of the decisions, or the registered one of the name.

        Raises:
            UnknownNameError: There is no such space.
        """
        return _own_space(self.space, self.decisions) if self.decisions else get_space(self.space)


_own_space = lru_cache(maxsize=64)(SearchSpace)
"""One object per space, so its caches are kept."""


def ranges(numbers: Iterable[int | str]) -> str:
    """Ascending numbers as text, ``1 to 199, 300``; words stay as they are."""
    runs: list[list[Any]] = []
    for number in numbers:
        if runs and isinstance(number, int) and number - 1 == runs[-1][-1]:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )
