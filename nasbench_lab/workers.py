"""The simulated machines that evaluate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from nasbench_lab.errors import BudgetError


@dataclass(frozen=True)
class Workers:
    """The simulated machines.

    Args:
        count: How many evaluations run at once.
        synchronous: Whether workers wait until all are free before any of them asks again.
        fail: The chance that an evaluation fails, at a moment drawn uniformly from its time. What
            was trained in it is lost; a trial may be continued from where it was before.
        straggle: The chance that an evaluation takes ``slowdown`` times as long.
        slowdown: At least 1.

    Raises:
        BudgetError: A number is out of its range.
    """

    count: int = 1
    synchronous: bool = False
    fail: float = 0.0
    straggle: float = 0.0
    slowdown: float = 3.0

    def __post_init__(self) -> None:
        if not _is_number(self.count, Integral) or isinstance(self.count, bool) or self.count < 1:
            raise BudgetError(
                f"Expected at least 1 worker, a whole number, but got {self.count!r}."
            )
        if type(self.synchronous).__name__ not in ("bool", "bool_"):  # NumPy has one of its own
            raise BudgetError(
                f"Expected synchronous to be True or False, not {self.synchronous!r}."
            )
        for name in ("fail", "straggle"):
            chance = getattr(self, name)
            if not _is_number(chance, Real) or not 0 <= chance <= 1:
                raise BudgetError(
                    f"Expected a chance from 0 to 1 that evaluations {name} but got {chance!r}."
                )
        if not _is_number(self.slowdown, Real) or not 1 <= self.slowdown < math.inf:
            raise BudgetError(f"Expected a slowdown of at least 1 but got {self.slowdown!r}.")

    @classmethod
    def of(cls, workers: Workers | int) -> Workers:
        """Takes a number of workers for that many that are asynchronous and never fail."""
        return workers if isinstance(workers, Workers) else cls(workers)

    def describe(self) -> dict[str, Any]:
        """What a trace or manifest notes: the count, and what differs from the defaults."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key == "count" or value != getattr(Workers, key)
        }


def _is_number(value: object, kind: type) -> bool:
    """Whether a value is a number of a kind, of Python's or NumPy's."""
    return isinstance(value, kind)
