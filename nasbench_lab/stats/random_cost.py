"""What it costs random search to find something as good."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nasbench_lab.stats.targets import expected_running_time

if TYPE_CHECKING:
    from nasbench_lab.results.result import Result
    from nasbench_lab.trace import Trace

DRAWS = "random_search"
"""The algorithm whose evaluations are independent uniform draws."""

LEVEL = 0.95
"""The chance with which an interval is to hold the truth."""


@dataclass(frozen=True)
class RandomCost:
    """What random search needs for its first evaluation that is at least as good as a value.

    Each of its evaluations is an independent draw, so the number that is needed is geometric: with the
    chance p it is 1/p on average. The chance is the share of the random evaluations at hand that are as
    good, and its interval is the exact one (Clopper and Pearson 1934).

    Args:
        target: The value, in the unit of the objective.
        drawn: How many random evaluations there are to estimate from.
        reached: How many of these are at least as good.
        low: The lower end of the 95 % interval of the expected evaluations. If none was as good, it is
            the end of the one-sided interval.
        high: Its upper end; infinite if none was as good.
        seconds: What a random evaluation takes on average; NaN if there was none.
        own: After how many evaluations it was found, if by random search itself.
    """

    target: float
    drawn: int
    reached: int
    low: float
    high: float
    seconds: float
    own: int | None = None

    @property
    def expected(self) -> float:
        """The expected number of evaluations: infinite if none was as good, NaN if none was drawn."""
        return expected_running_time([1.0] * self.reached + [math.inf] * self._missed, 1.0)

    def to_json(self) -> dict[str, Any]:
        """All of it, None where nobody knows."""
        values = {**asdict(self), "expected": self.expected, "in_words": str(self)}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }

    @property
    def _missed(self) -> int:
        return self.drawn - self.reached

    def __str__(self) -> str:
        found = ""
        if self.own is not None:
            found = f"It was found by random search, in its evaluation {self.own}. "
        if not self.drawn:
            return found + (
                "How many evaluations random search needs for one as good cannot be known from here: "
                f"the folder holds no {'other ' if found else ''}random search. The same command with "
                f"--algorithm {DRAWS}{' and other seeds' if found else ''} and this folder as --output "
                f"adds one."
            )
        of = f"of {self.drawn} random evaluations in the folder, {self.reached or 'none'} came as far"
        if not self.reached:
            return found + (
                f"Random search would need more than {self.low:.0f} evaluations on average for one as "
                f"good (95 % sure), more than {self._time(self.low)} of training: {of}."
            )
        return found + (
            f"Random search would need {self.expected:.0f} evaluations on average (95 % interval "
            f"{self.low:.0f} to {self.high:.0f}) for one as good, {self._time(self.expected)} of "
            f"training one after the other: {of}."
        )

    def _time(self, evaluations: float) -> str:
        return f"{evaluations * self.seconds:.0f} s"


def random_cost(result: Result, benchmark: str, trace: Trace, target: float) -> RandomCost:
    """What it would have cost to find what a run found by random search.

    Only draws of ``random_search`` count, and not those of the run itself: its best is the best of its
    own draws, so these would say too little.

    Args:
        result: The result that may hold runs of random search on the benchmark.
        benchmark: Its name.
        trace: The run.
        target: What was found is worth so much, in the objective that the search chose by.
    """
    from scipy.stats import binomtest

    best = target if trace.objectives[0].maximize else -target
    drawn, reached, spent = 0, 0, 0.0
    for algorithm in result.experiment.algorithms:
        if algorithm.algorithm != DRAWS:
            continue
        for other in result.traces(benchmark, algorithm.name):
            if _name(other) == _name(trace):
                continue
            counts = other.trial >= 0
            drawn += int(counts.sum())
            reached += int((other.scores()[counts] >= best).sum())
            spent += float(other.cost[counts].sum())
    low = high = math.nan
    if drawn:
        sided: Any = "two-sided" if reached else "less"
        chance = binomtest(reached, drawn, alternative=sided).proportion_ci(LEVEL, "exact")
        low = 1.0 / float(chance.high)
        high = 1.0 / float(chance.low) if reached else math.inf
    own = None
    if trace.settings.get("algorithm") == DRAWS and len(trace):
        own = int(trace.evaluations()[trace.incumbents()[-1]])
    return RandomCost(target, drawn, reached, low, high, spent / drawn if drawn else math.nan, own)


def _name(trace: Trace) -> tuple[Any, ...]:
    return trace.settings.get("algorithm"), trace.settings.get("seed")
