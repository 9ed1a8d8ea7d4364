"""What an evaluation costs by the training and validation times of a table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.columns import Column, Query
from nasbench_lab.errors import QueryError
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

    @property
    def columns(self) -> set[str]:
        """Names of the columns that are read."""
        return {c.name for c in (self._own, self._train, self._valid) if c is not None}

    def clocks(self, epoch: int | None) -> list[str]:
        """The clocks that can be kept for evaluations at an epoch."""
        held = ["evaluations"]
        if self._own is not None:
            held.append("train_only")
        if self._train is not None and self._valid is not None:
            held += ["official", "resume"]
            if epoch is not None and _every(self._valid, epoch):
                held.append("every_epoch")
        return held

    def costs(self, clock: str, epoch: int | None) -> NDArray[np.float64]:
        """``(rows,)`` seconds that a clock charges for training to an epoch; NaN if unknown.

        Raises:
            QueryError: The table does not hold the times at that epoch.
        """
        if clock == "train_only":
            return self._cumulative(self._own, epoch)
        if clock == "every_epoch":
            return self.train(epoch) + self._passes(epoch)
        return self.train(epoch) + self._one_pass(epoch)

    def train(self, epoch: int | None) -> NDArray[np.float64]:
        """``(rows,)`` seconds of training up to an epoch, as the clocks with validation charge."""
        return self._cumulative(self._train, epoch)

    def _cumulative(self, column: Column | None, epoch: int | None) -> NDArray[np.float64]:
        assert column is not None
        if column.quantity == "train_time":
            return self._table.values(Query(column.name, epoch=epoch if column.epochs else None))
        if epoch is None:
            raise QueryError(
                f"{self._table.name!r} holds the time of one epoch, but not how many its networks "
                f"were trained for. Name an epoch."
            )
        return self._sum(column, epoch)

    def _sum(self, column: Column, epoch: int) -> NDArray[np.float64]:
        """``(rows,)``: what a column of times after each epoch adds up to."""
        if column.epochs is None:
            return epoch * self._table.values(column.name)
        each = [self._table.values(Query(column.name, epoch=e)) for e in range(1, epoch + 1)]
        return np.asarray(np.sum(each, axis=0))

    def _passes(self, epoch: int | None) -> NDArray[np.float64]:
        assert self._valid is not None
        assert epoch is not None
        return self._sum(self._valid, epoch)

    def _one_pass(self, epoch: int | None) -> NDArray[np.float64]:
        assert self._valid is not None
        if epoch is not None and self._valid.epochs is not None and _every(self._valid, epoch):
            # Officially that is the mean of the passes so far.
            return self._sum(self._valid, epoch) / epoch
        return self._table.values(
            Query(self._valid.name, epoch=epoch if self._valid.epochs else None)
        )


def _one(columns: Iterable[Column], quantity: str) -> Column | None:
    found = [column for column in columns if column.quantity == quantity]
    return found[0] if len(found) == 1 else None


def _every(column: Column, epoch: int) -> bool:
    """Whether a column knows every epoch up to one."""
    return column.epochs is None or column.epochs[:epoch] == tuple(range(1, epoch + 1))
