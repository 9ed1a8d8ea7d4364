"""Clocks: what an evaluation costs, by the training and validation times of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.tables.columns import Column, Query, ranges
from nasbench_lab.tables.table import Table

CLOCKS = {
    "evaluations": "one unit for each evaluation; for tables without training times",
    "train_only": "the training time up to the epoch",
    "official": "the training time up to the epoch and one validation pass",
    "every_epoch": "the training time up to the epoch and a validation pass after each epoch",
    "resume": "as official, but a trial that continues pays only for its new epochs",
}
"""What each clock charges for an evaluation. All but ``evaluations`` count seconds."""

REAL = "real"
"""The clock of searches in real time. Nobody asks for it: these have it."""

SENTENCES = {
    "evaluations": "each evaluation counts as one unit, as the table holds no training times",
    "train_only": "an evaluation takes the training time that the table holds",
    "official": "an evaluation takes the training time and one validation pass, as the table has them",
    "every_epoch": "an evaluation takes the training time and a validation pass after each epoch, as "
    "the table has them",
    "resume": "an evaluation takes the training time and one validation pass, as the table has them, "
    "and a trial that continues pays for its new epochs only",
    REAL: "an evaluation takes from the moment when it is asked until it has come in, and a trial that "
    "continues goes on from its checkpoint",
}
"""What each clock charges, as a part of a sentence."""


def counts_seconds(clock: str) -> bool:
    """Whether a clock counts seconds, or evaluations."""
    return clock != "evaluations"


def resumes(clock: str) -> bool:
    """Whether a trial that continues pays for its new epochs only."""
    return clock in ("resume", REAL)


class Times:
    """The times of the networks that a column was measured on, by the mean over trials.

    A cost exists only where the table has a time for it. A ``train_time`` without epochs is the
    price of the whole training, so it pays for the last epoch alone.

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
        self._epochs = sorted({epoch for c in alike for epoch in c.epochs or ()})
        self._last = self._epochs[-1] if self._epochs else None
        self._known: dict[tuple[str, int | None, int | str], NDArray[np.float64]] = {}

    @property
    def columns(self) -> set[str]:
        """Names of the columns that are read."""
        return {c.name for c in (self._own, self._train, self._valid) if c is not None}

    def clocks(self, epoch: int | None) -> list[str]:
        """The clocks that can be kept for evaluations at an epoch."""
        names = ["evaluations"]
        if self._reach(self._own, epoch):
            names.append("train_only")
        if self._reach(self._train, epoch) and self._reach(self._valid, epoch):
            names += ["official", "resume"]
            if epoch is not None and self._every(self._valid, epoch):
                names.append("every_epoch")
        return names

    def clock(self, name: str | None, epoch: int | None) -> str:
        """The clock that evaluations at an epoch are charged by.

        Args:
            name: One of ``CLOCKS``; by default what the table says, else the first that it holds
                the times for of ``official``, ``train_only`` and ``evaluations``.
            epoch: The epoch, or None for the end where the table knows that only.

        Raises:
            UnknownNameError: There is no such clock.
            QueryError: The table does not hold the times that it needs.
        """
        clocks = self.clocks(epoch)
        if name is None:
            usual = (self._table.info.clock, "official", "train_only", "evaluations")
            return next(clock for clock in usual if clock in clocks)
        if name not in CLOCKS:
            raise UnknownNameError("clock", name, CLOCKS)
        if name not in clocks:
            raise QueryError(
                f"{self._table.name!r} does not hold the times that clock {name!r} needs "
                f"({CLOCKS[name]}){f' after epoch {epoch}' if epoch else ''}. Clocks it can keep: "
                f"{', '.join(clocks)}."
            )
        return name

    def _reach(self, column: Column | None, epoch: int | None) -> bool:
        """Whether a column of times says what training to an epoch, or the pass after it, takes."""
        if column is None or not self._some(column):
            return False
        if column.quantity == "train_time_per_epoch":
            return epoch is not None and self._every(column, epoch)
        if epoch is None:
            epoch = self._last
        if column.epochs is not None:
            return epoch in self._table.epochs(column.name)
        # Without epochs, a pass is the same after each, and a training is the whole.
        return column.quantity == "valid_time" or epoch == self._last

    def _some(self, column: Column) -> bool:
        """Whether a column has any value."""
        if column.epochs is not None:
            return bool(self._table.epochs(column.name))
        return not np.isnan(self._table.trials(column.name)).all()

    def _every(self, column: Column | None, epoch: int) -> bool:
        """Whether a column has times at every epoch up to one."""
        if column is None or column.epochs is None:
            return column is not None
        return self._table.epochs(column.name)[:epoch] == tuple(range(1, epoch + 1))

    def costs(
        self, clock: str, epoch: int | None, trial: int | str = "mean"
    ) -> NDArray[np.float64]:
        """``(rows,)`` seconds that a clock charges for training to an epoch; NaN if unknown.

        Args:
            clock: One that counts seconds.
            epoch: The epoch, or None for the end where the table knows that only.
            trial: The seed of a trial, or the mean over those that exist. Times that are not kept by
                trial are the same for all.

        Raises:
            QueryError: The table does not hold the times that the clock charges at that epoch.
        """
        key = clock, epoch, trial
        if key not in self._known:
            self._check(clock, epoch)
            if clock == "train_only":
                self._known[key] = self._cumulative(self._own, epoch, trial)
            else:
                passes = self._passes if clock == "every_epoch" else self._one_pass
                train = self._cumulative(self._train, epoch, trial)
                self._known[key] = train + passes(epoch, trial)
        return self._known[key]

    def train(self, epoch: int | None, trial: int | str = "mean") -> NDArray[np.float64]:
        """``(rows,)`` seconds of training up to an epoch, as the clocks with validation charge.

        Raises:
            QueryError: The table does not hold them at that epoch.
        """
        key = "train", epoch, trial
        if key not in self._known:
            self._check("resume", epoch)
            self._known[key] = self._cumulative(self._train, epoch, trial)
        return self._known[key]

    def _check(self, clock: str, epoch: int | None) -> None:
        """Refuses an epoch for which a clock has nothing to charge."""
        if clock not in self.clocks(epoch):
            held = [e for e in self._epochs if clock in self.clocks(e)]
            raise QueryError(
                f"{self._table.name!r} holds no times to charge by the clock {clock!r} for "
                f"{'the end' if epoch is None else f'epoch {epoch}'}, "
                + (f"only for {epochs_in_words(held)}. Ask for one of these" if held else "nor any")
                + ", or choose the clock 'evaluations'."
            )

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
        if epoch is not None and self._valid.epochs is not None and self._every(self._valid, epoch):
            # Officially that is the mean of the passes so far.
            return self._sum(self._valid, epoch, trial) / epoch
        return self._values(self._valid, epoch if self._valid.epochs else None, trial)


def _one(columns: Iterable[Column], quantity: str) -> Column | None:
    found = [column for column in columns if column.quantity == quantity]
    return found[0] if len(found) == 1 else None


def epochs_in_words(epochs: Sequence[int]) -> str:
    """``epoch 12``, ``epochs 1, 4, 12``."""
    return f"epoch{'' if len(epochs) == 1 else 's'} {ranges(epochs)}"
