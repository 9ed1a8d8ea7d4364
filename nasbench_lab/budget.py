"""Budgets: when a run ends."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
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
class Budget:
    """When a run ends: at the first of the limits that are given.

    Args:
        evaluations: How many evaluations may be started.
        seconds: Simulated seconds; an evaluation that would end later does not count.
        epochs: Sum of the epochs of all evaluations started, those of a trial that continues from
            the start again, unless the clock is ``resume``. One that the algorithm stops counts the
            epochs until then, one that fails all. An evaluation that would exceed the sum does not
            count and ends the run.

    Raises:
        BudgetError: No limit is given, or one is not positive and finite.
    """

    evaluations: int | None = None
    seconds: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        limits = self.describe()
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

    def describe(self) -> dict[str, Any]:
        """What a trace or manifest notes: the limits that are given."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

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


def _time_in_words(seconds: float) -> str:
    """``12000 simulated seconds``, ``12 simulated hours``, ``10 simulated days``."""
    for unit in ("days", "hours"):
        number = seconds / _SECONDS[unit]
        if number == int(number) and seconds >= 10 * _SECONDS["hours"]:
            return counted(int(number), f"simulated {unit[:-1]}")
    return f"{seconds:.12g} simulated seconds"
