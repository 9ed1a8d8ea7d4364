"""Budgets: when a run ends, and what changes on the way there."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasbench_lab.benchmark import Benchmark
from nasbench_lab.clock import counts_seconds
from nasbench_lab.errors import BudgetError, short
from nasbench_lab.words import counted

_UNITS = {
    "": "evaluations",
    "evaluations": "evaluations",
    "evals": "evaluations",
    "s": "seconds",
    "seconds": "seconds",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "epochs": "epochs",
}
_SECONDS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}
"""The seconds of each unit of simulated time."""

_DECIMAL_COMMA = re.compile(
    r"(?<![\w.,])[+-]?(0+,\d+|\d[\d.]*,(\d{1,2}|0\d*))(?![\d.]|e[+-]?\d)", re.I
)
"""A number with a comma that may stand for a decimal point."""


@dataclass(frozen=True)
class Phase:
    """How architectures are evaluated while a part of the budget is spent.

    Args:
        until: The share of the budget that is spent when the phase ends, above 0 and at most 1. Of
            several limits, the one that is nearest to its end counts.
        epoch: After how many epochs architectures are evaluated where the algorithm names none; all
            epochs by default.
        weights: The weight of each objective in the score that the algorithm follows, see
            ``SearchAlgorithm``; what it was given before by default.

    Raises:
        BudgetError: A value is out of its range.
    """

    until: float = 1.0
    epoch: int | None = None
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, value, fits in (
            ("a share until above 0 and at most 1", self.until, _is_share(self.until)),
            (
                "a whole epoch of at least 1",
                self.epoch,
                self.epoch is None or _is_epoch(self.epoch),
            ),
            ("finite weights", self.weights, self.weights is None or _are_finite(self.weights)),
        ):
            if not fits:
                raise BudgetError(f"Expected {name} in a phase of the budget but got {value!r}.")
        # Plain numbers, which JSON has, and a tuple; files have lists.
        object.__setattr__(self, "until", float(self.until))
        if self.epoch is not None:
            object.__setattr__(self, "epoch", int(self.epoch))
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(map(float, self.weights)))

    def describe(self) -> dict[str, Any]:
        """What a trace or manifest notes."""
        weights = None if self.weights is None else list(self.weights)
        values = {"until": self.until, "epoch": self.epoch, "weights": weights}
        return {key: value for key, value in values.items() if value is not None}

    def __str__(self) -> str:
        at = f" after {counted(self.epoch, 'epoch')}" if self.epoch else " in full"
        by = f" by the weights {', '.join(f'{w:g}' for w in self.weights)}" if self.weights else ""
        return f"until {self.until:.0%} of it are spent,{at}{by}"


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _is_epoch(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)


def _are_finite(values: object) -> bool:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return False
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


@dataclass(frozen=True)
class Budget:
    """When a run ends: at the first of the limits that are given.

    In phases, evaluations change with what is spent. Of evaluations after different epochs, those
    after most decide which is the incumbent, and with several objectives the first one does, whatever
    the weights (see ``Trace.incumbents``).

    Args:
        evaluations: How many evaluations may be started.
        seconds: Simulated seconds; an evaluation that would end later does not count.
        epochs: Sum of the epochs of all evaluations started, those of a trial that continues from
            the start again, unless the clock is ``resume``. One that the algorithm stops counts the
            epochs until then, one that fails all. An evaluation that would exceed the sum does not
            count and ends the run.
        phases: How architectures are evaluated until which share of the budget is spent, in ascending
            order; the last phase ends with the budget. By default all are evaluated alike.

    Raises:
        BudgetError: No limit is given, or one is not positive and finite, or the phases are not in
            ascending order up to the end.
    """

    evaluations: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        limits = self.limits()
        if not limits:
            raise BudgetError(
                "A run needs a budget: budget=200 (evaluations), budget='12000s' or '12h' "
                "(simulated time) or budget='500epochs'."
            )
        for name, limit in limits.items():
            number = isinstance(limit, int | float | np.number) and not isinstance(limit, bool)
            whole = name == "seconds" or (number and math.isfinite(limit) and limit == int(limit))
            if not number or not 0 < limit < math.inf or not whole:
                raise BudgetError(
                    f"Expected a budget of more than 0 {name}"
                    f"{'' if name == 'seconds' else ', a whole number,'} but got {limit!r}."
                )
        ends = [phase.until for phase in self.phases]
        if ends and (ends[-1] != 1 or sorted(set(ends)) != ends):
            raise BudgetError(
                f"Expected phases of the budget that end one after the other, and the last at 1, but "
                f"they end at {', '.join(f'{end:g}' for end in ends)}."
            )

    @classmethod
    def of(cls, budget: Budget | int | str | None) -> Budget:
        """Reads a budget: a number of evaluations, or text such as ``"12000s"``.

        Limits may be joined by commas (``"200,12000s"``); units are evaluations (also without
        unit), epochs, and of simulated time s or seconds, min, h and d. Decimals have a point. A
        comma that many countries would write for it is refused, as in ``"12,5s"``: it is taken for
        one where it directly follows a number without unit, and is directly followed by one or two
        digits or by a 0, or where the number before it is 0. A list of such limits has a unit or a
        space: ``"12, 5s"``.

        Raises:
            BudgetError: It cannot be understood, may be meant otherwise, or is not positive.
        """
        if isinstance(budget, Budget):
            return budget
        if not isinstance(budget, str):
            return cls(evaluations=budget)
        if (decimal := _DECIMAL_COMMA.search(budget)) is not None:
            meant = decimal[0]
            raise BudgetError(
                f"Expected a decimal point in the budget {budget!r}, as in "
                f"{budget.replace(meant, meant.replace(',', '.'))!r}, since a comma separates limits. "
                f"To end a run at the first of two limits, write a space after the comma: "
                f"{budget.replace(meant, meant.replace(',', ', '))!r}."
            )
        limits: dict[str, Any] = {}
        for part in budget.split(","):
            match = re.fullmatch(r"(-?[\d.]+(?:e[+-]?\d+)?)\s*([a-z]*)", part.strip().lower())
            unit = _UNITS.get(match[2]) if match else None
            try:
                number = float(match[1]) if match else math.nan
            except ValueError:
                number = math.nan
            if unit in _SECONDS:
                number, unit = number * _SECONDS[unit], "seconds"
            if unit is None or math.isnan(number) or unit in limits:
                raise BudgetError(
                    f"Expected a budget such as 200, '12000s', '12h', '10d', '500epochs' or "
                    f"'200,12000s' but got {short(budget)!r}."
                )
            limits[unit] = number if unit == "seconds" or number % 1 else int(number)
        return cls(**limits)

    def limits(self) -> dict[str, Any]:
        """The limits that are given, by their units."""
        values = {unit: getattr(self, unit) for unit in ("evaluations", "seconds", "epochs")}
        return {unit: limit for unit, limit in values.items() if limit is not None}

    def describe(self) -> dict[str, Any]:
        """What a trace or manifest notes: the limits that are given, and the phases."""
        phases = [phase.describe() for phase in self.phases]
        return {**self.limits(), **({"phases": phases} if phases else {})}

    def __str__(self) -> str:
        parts = [
            counted(self.evaluations, "evaluation") if self.evaluations else "",
            _time_in_words(self.seconds) if self.seconds else "",
            counted(self.epochs, "epoch") if self.epochs else "",
        ]
        return " or ".join(filter(None, parts))

    def check(self, benchmark: Benchmark) -> None:
        """Refuses a unit that the benchmark does not know.

        Raises:
            BudgetError: The benchmark has no training times, or does not know its epochs.
        """
        if self.seconds is not None and not counts_seconds(benchmark.clock):
            raise BudgetError(
                f"{benchmark.name!r} cannot keep a budget in simulated seconds: it holds no training "
                f"times, or none that pay for its last epoch, and its clock counts evaluations. Give "
                f"a number of evaluations instead."
            )
        if self.epochs is not None and benchmark.epochs is None:
            raise BudgetError(
                f"{benchmark.name!r} cannot keep a budget in epochs: it holds only what its "
                f"architectures reached in the end. Give a number of evaluations instead."
            )
        for phase in self.phases:
            if phase.epoch is not None and phase.epoch not in benchmark.fidelities:
                known = ", ".join(map(str, benchmark.fidelities)) or "the end of training only"
                raise BudgetError(
                    f"{benchmark.name!r} cannot evaluate after {counted(phase.epoch, 'epoch')}, as a "
                    f"phase of the budget wants. It knows {known}."
                )
            n = len(benchmark.objectives)
            if phase.weights is not None and len(phase.weights) != n:
                raise BudgetError(
                    f"{benchmark.name!r} has {counted(n, 'objective')}, but a phase of the budget has "
                    f"{counted(len(phase.weights), 'weight')}."
                )


def _time_in_words(seconds: float) -> str:
    """``12000 simulated seconds``, ``12 simulated hours``, ``10 simulated days``."""
    for unit in ("days", "hours"):
        number = seconds / _SECONDS[unit]
        if number == int(number) and seconds >= 10 * _SECONDS["hours"]:
            return counted(int(number), f"simulated {unit[:-1]}")
    return f"{seconds:.12g} simulated seconds"
