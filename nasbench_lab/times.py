"""What an evaluation costs by the training and validation times of a table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.columns import Column, Query
from nasbench_lab.table import Table


class Times:
    """The times of the networks that a column was measured on, by the mean over trials.

    NAS-Bench-201 trains for CIFAR-10 on half of the training data and on all of it. A validation
    pass exists only after the former, so wherever one is charged, both times are those of that
    training, as in the official ``simulate_train_eval``.

    Args:
        table: The table.
        column: What is measured.
    """

    def __init__(self, table: Table, column: Column) -> None:
        self._table = table
        trained_on = {column.trained_on, "train", None}
        alike = [
            c
            for c in table.columns.values()
            if c.dataset == column.dataset
            and c.schedule == column.schedule
            and c.trained_on in trained_on
        ]
        own = [c for c in alike if c.trained_on == column.trained_on]
        halved = [c for c in alike if c.trained_on in ("train", None)]
        self._own = _one(own, "train_time_per_epoch") or _one(own, "train_time")
        self._train = _one(halved, "train_time_per_epoch") or _one(halved, "train_time")
        self._valid = _one(halved, "valid_time")
        self._known: dict[tuple[str, int | None, int | str], NDArray[np.float64]] = {}

    @property
    def columns(self) -> set[str]:
        """Names of the columns that are read."""
        return {c.name for c in (self._own, self._train, self._valid) if c is not None}

    def clocks(self, epoch: int | None) -> list[str]:
        """The clocks that can be kept for evaluations at an epoch."""
        held = ["evaluations"]
        if self._charges(self._own, epoch):
            held.append("train_only")
        if self._valid is not None and self._charges(self._train, epoch):
            held += ["official", "resume"]
            if epoch is not None and _every(self._valid, epoch):
                held.append("every_epoch")
        return held

    def _charges(self, column: Column | None, epoch: int | None) -> bool:
        """Whether a column says how long training to an epoch takes."""
        if column is None or column.quantity == "train_time":
            return column is not None
        return epoch is not None and _every(column, epoch)

    def costs(
        self, clock: str, epoch: int | None, trial: int | str = "mean"
    ) -> NDArray[np.float64]:
        """``(rows,)`` seconds that a clock charges for training to an epoch; NaN if unknown.

        Args:
            clock: One of those that can be kept.
            epoch: The epoch, or None for the end where the table knows that only.
            trial: The seed of a trial, or the mean over those that exist. Times that are not kept by
                trial are the same for all.

        Raises:
            QueryError: The table does not hold the times at that epoch.
        """
        key = clock, epoch, trial
        if key not in self._known:
            if clock == "train_only":
                self._known[key] = self._cumulative(self._own, epoch, trial)
            else:
                passes = self._passes if clock == "every_epoch" else self._one_pass
                train = self._cumulative(self._train, epoch, trial)
                self._known[key] = train + passes(epoch, trial)
        return self._known[key]

    def train(self, epoch: int | None, trial: int | str = "mean") -> NDArray[np.float64]:
        """``(rows,)`` seconds of training up to an epoch, as the clocks with validation charge."""
        key = "train", epoch, trial
        if key not in self._known:
            self._known[key] = self._cumulative(self._train, epoch, trial)
        return self._known[key]

    def _values(self, column: Column, epoch: int | None, trial: int | str) -> NDArray[np.float64]:
        held = trial if trial in column.trials else "mean"
        return self._table.values(Query(column.name, epoch=epoch, trial=held))

    def _cumulative(
        self, column: Column | None, epoch: int | None, trial: int | str
    ) -> NDArray[np.float64]:
        assert column is not None
        if column.quantity == "train_time":
            return self._values(column, epoch if column.epochs else None, trial)
        assert epoch is not None
        return self._sum(column, epoch, trial)

    def _sum(self, column: Column, epoch: int, trial: int | str) -> NDArray[np.float64]:
        """``(rows,)``: what a column of times after each epoch adds up to."""
        if column.epochs is None:
            return epoch * self._values(column, None, trial)
        each = [self._values(column, e, trial) for e in range(1, epoch + 1)]
        return np.asarray(np.sum(each, axis=0))

    def _passes(self, epoch: int | None, trial: int | str) -> NDArray[np.float64]:
        assert self._valid is not None
        assert epoch is not None
        return self._sum(self._valid, epoch, trial)

    def _one_pass(self, epoch: int | None, trial: int | str) -> NDArray[np.float64]:
        assert self._valid is not None
        if epoch is not None and self._valid.epochs is not None and _every(self._valid, epoch):
            # Officially that is the mean of the passes so far.
            return self._sum(self._valid, epoch, trial) / epoch
        return self._values(self._valid, epoch if self._valid.epochs else None, trial)


def _one(columns: Iterable[Column], quantity: str) -> Column | None:
    found = [column for column in columns if column.quantity == quantity]
    return found[0] if len(found) == 1 else None


def _every(column: Column, epoch: int) -> bool:
    """Whether a column knows every epoch up to one."""
    return column.epochs is None or column.epochs[:epoch] == tuple(range(1, epoch + 1))
