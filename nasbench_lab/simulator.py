"""The simulator: the only loop that asks, evaluates and tells.

It knows the time. Time is simulated: an evaluation takes what the benchmark's clock charges, and
workers fall free in the order in which their evaluations end.
"""

from __future__ import annotations

import heapq
import math
import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.errors import (
    AlgorithmError,
    BenchmarkError,
    BudgetError,
    InvalidArchitectureError,
)
from nasbench_lab.spaces import Architecture
from nasbench_lab.trace import Trace

PATIENCE = 10_000
"""How many asks in a row may spend nothing of the budget before a run is stopped as endless."""

_UNITS = {
    "": "evaluations",
    "evaluations": "evaluations",
    "evals": "evaluations",
    "s": "seconds",
    "seconds": "seconds",
    "epochs": "epochs",
}


@dataclass(frozen=True)
class Budget:
    """When a run ends: at the first of the limits that are given.

    Args:
        evaluations: How many evaluations may be started.
        seconds: Simulated seconds; an evaluation that would end later does not count.
        epochs: Sum of the epochs of all evaluations started, whatever the clock charges: a trial
            that continues to epoch 3 counts 3 again.

    Raises:
        BudgetError: No limit is given, or one is not positive and finite.
    """

    evaluations: int | None = None
    seconds: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        limits = {k: v for k, v in asdict(self).items() if v is not None}
        if not limits:
            raise BudgetError(
                "A run needs a budget: budget=200 (evaluations), budget='12000s' (simulated "
                "seconds) or budget='500epochs'."
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
        unit), s or seconds, and epochs.

        Raises:
            BudgetError: It cannot be understood, or is not positive.
        """
        if isinstance(budget, Budget):
            return budget
        if not isinstance(budget, str):
            return cls(evaluations=budget)
        limits: dict[str, Any] = {}
        for part in budget.split(","):
            match = re.fullmatch(r"\s*(-?[\d.]+(?:e[+-]?\d+)?)\s*([a-z]*)\s*", part.lower())
            unit = _UNITS.get(match[2]) if match else None
            try:
                number = float(match[1]) if match else math.nan
            except ValueError:
                number = math.nan
            if unit is None or math.isnan(number) or unit in limits:
                raise BudgetError(
                    f"Expected a budget such as 200, '12000s', '500epochs' or '200,12000s' but got "
                    f"{budget!r}."
                )
            limits[unit] = number if unit == "seconds" or number % 1 else int(number)
        return cls(**limits)

    def __str__(self) -> str:
        parts = [
            f"{self.evaluations} evaluations" if self.evaluations else "",
            f"{self.seconds:.12g} simulated seconds" if self.seconds else "",
            f"{self.epochs} epochs" if self.epochs else "",
        ]
        return " or ".join(filter(None, parts))

    def check(self, benchmark: Benchmark) -> None:
        """Refuses a unit that the benchmark does not know.

        Raises:
            BudgetError: The benchmark has no training times, or does not know its epochs.
        """
        if self.seconds is not None and benchmark.clock == "evaluations":
            raise BudgetError(
                f"{benchmark.name!r} cannot keep a budget in simulated seconds: it holds no training "
                f"times, and its clock counts evaluations. Give a number of evaluations instead."
            )
        if self.epochs is not None and benchmark.epochs is None:
            raise BudgetError(
                f"{benchmark.name!r} cannot keep a budget in epochs: it holds only what its "
                f"architectures reached in the end. Give a number of evaluations instead."
            )


def simulate(
    algorithm: SearchAlgorithm,
    benchmark: Benchmark,
    budget: Budget | int | str,
    *,
    workers: int = 1,
    charge_repeats: bool = True,
    noise: np.random.Generator | None = None,
    settings: dict[str, Any] | None = None,
) -> Trace:
    """Runs one search.

    Workers that are free ask in the order of their numbers; results are told in the order of their
    ends, and those of one moment in the order in which they were asked.

    Args:
        algorithm: What is to search; it is used up by the run.
        benchmark: What evaluates its trials.
        budget: When to stop.
        workers: How many evaluations run at once.
        charge_repeats: Whether an evaluation that the run has made before costs again. If not, it
            takes no time and counts for no budget. One that still runs has not been made.
        noise: Where random trials are drawn from.
        settings: What to note in the trace besides budget, clock and policies.

    Raises:
        AlgorithmError: The algorithm asked for something that is no trial of the space, or kept
            asking without spending any of the budget.
        BudgetError: The budget is not positive, or in a unit that the benchmark does not know.
    """
    budget = Budget.of(budget)
    budget.check(benchmark)
    if workers < 1:
        raise BudgetError(f"Expected at least 1 worker but got {workers}.")
    maximize = tuple(objective.maximize for objective in benchmark.objectives)
    if algorithm.space != benchmark.space or algorithm.maximize != maximize:
        raise AlgorithmError(
            f"{type(algorithm).__name__} was built for {algorithm.space!r} with "
            f"maximize={algorithm.maximize}, but {benchmark.name!r} has {benchmark.space!r} and "
            f"needs maximize={maximize}."
        )
    # One thread for linear algebra: sums come out in another order on more, and on matrices as small
    # as a search has, more are slower.
    with threadpool_limits(1):
        done = _loop(algorithm, benchmark, budget, workers, charge_repeats, noise)
    return _trace(
        done,
        benchmark,
        {
            **(settings or {}),
            "budget": {k: v for k, v in asdict(budget).items() if v is not None},
            "clock": benchmark.clock,
            "charge_repeats": charge_repeats,
            "workers": workers,
        },
    )


# End, number of the ask, worker, start, trial, evaluation, and whether it was charged. Sorts by end,
# then by ask.
_Event = tuple[float, int, int, float, Trial, Evaluation, bool]


def _loop(
    algorithm: SearchAlgorithm,
    benchmark: Benchmark,
    budget: Budget,
    workers: int,
    charge_repeats: bool,
    noise: np.random.Generator | None,
) -> list[_Event]:
    """Asks, evaluates and tells until the budget is spent; returns what was told, in order."""
    max_evaluations = budget.evaluations or math.inf
    max_seconds = budget.seconds or math.inf
    max_epochs = budget.epochs or math.inf
    counted = budget.evaluations is not None or budget.epochs is not None

    running: list[_Event] = []
    done: list[_Event] = []
    free = list(range(workers))
    first: dict[tuple[Architecture | int, int | None], Evaluation] = {}
    # The epoch to which each trial has been trained; only one clock needs it.
    trained: dict[int, int] | None = {} if benchmark.clock == "resume" else None
    now, asked, evaluations, epochs, unspent = 0.0, 0, 0, 0, 0
    over = False
    while True:
        while free and not over:
            trial = algorithm.ask()
            if trial is None:
                break
            evaluation = _evaluate(algorithm, benchmark, trial, noise, trained)
            charged = charge_repeats or _what(trial, evaluation) not in first
            if charged:
                evaluations += 1
                epochs += evaluation.epoch or 0
                if epochs > max_epochs:
                    over = True
                    break
                over = evaluations == max_evaluations or epochs == max_epochs
            else:
                evaluation = first[_what(trial, evaluation)]._replace(cost=0.0)
            unspent = 0 if evaluation.cost > 0 or (charged and counted) else unspent + 1
            if unspent > PATIENCE:
                if charge_repeats:
                    raise AlgorithmError(
                        f"{type(algorithm).__name__} asked {PATIENCE:,} times in a row for "
                        f"evaluations that take no time, so the budget of {budget} would never be "
                        f"spent ({evaluations} evaluations so far). Give a number of evaluations."
                    )
                over = True
            heapq.heappush(
                running,
                (now + evaluation.cost, asked, free.pop(0), now, trial, evaluation, charged),
            )
            asked += 1
        if not running or running[0][0] > max_seconds:
            break
        # All results of one moment are told before anybody asks again.
        now = running[0][0]
        while running and running[0][0] == now:
            event = heapq.heappop(running)
            done.append(event)
            if not charge_repeats:
                first.setdefault(_what(event[4], event[5]), event[5])
            free.append(event[2])
            algorithm.tell(event[4], event[5])
        free.sort()

    # Of a search that ended in nothing but repeats, these say nothing.
    while unspent > PATIENCE and done and not done[-1][6]:
        done.pop()
    return done


def _what(trial: Trial, evaluation: Evaluation) -> tuple[Architecture | int, int | None]:
    """What counts as the same evaluation: isomorphic architectures share a table's row."""
    what = evaluation.row if evaluation.row >= 0 else trial.architecture
    return what, evaluation.epoch or trial.epoch  # the last epoch may be asked as None


def _trace(done: list[_Event], benchmark: Benchmark, settings: dict[str, Any]) -> Trace:
    n, d = len(done), len(benchmark.space.decisions)
    return Trace(
        trial=np.array([e[4].number for e in done], dtype=np.int64),
        architecture=np.array([e[4].architecture for e in done], dtype=np.int64).reshape(n, d),
        row=np.array([e[5].row for e in done], dtype=np.int64),
        epoch=np.array([-1 if e[5].epoch is None else e[5].epoch for e in done], dtype=np.int64),
        values=np.array([e[5].values for e in done], dtype=np.float64).reshape(
            n, len(benchmark.objectives)
        ),
        cost=np.array([e[5].cost for e in done], dtype=np.float64),
        start=np.array([e[3] for e in done], dtype=np.float64),
        end=np.array([e[0] for e in done], dtype=np.float64),
        worker=np.array([e[2] for e in done], dtype=np.int64),
        charged=np.array([e[6] for e in done], dtype=np.bool_),
        space=benchmark.space,
        objectives=benchmark.objectives,
        settings=settings,
    )


def _evaluate(
    algorithm: SearchAlgorithm,
    benchmark: Benchmark,
    trial: Trial,
    noise: np.random.Generator | None,
    trained: dict[int, int] | None,
) -> Evaluation:
    try:
        if trained is not None and trial.number in trained:
            evaluation = benchmark.evaluate(
                trial.architecture, trial.epoch, noise, since=trained[trial.number]
            )
        else:
            evaluation = benchmark.evaluate(trial.architecture, trial.epoch, noise)
        if trained is not None and evaluation.epoch is not None:
            trained[trial.number] = max(evaluation.epoch, trained.get(trial.number, 0))
    except (InvalidArchitectureError, AttributeError, TypeError) as error:
        if not isinstance(trial, Trial):
            raise AlgorithmError(
                f"{type(algorithm).__name__}.ask must return a Trial or None but returned "
                f"{trial!r}. Return self.trial(architecture)."
            ) from error
        try:
            benchmark.space.validate(trial.architecture)
        except InvalidArchitectureError as invalid:
            error = invalid
        else:
            if isinstance(trial.architecture, tuple):
                raise  # a mistake in the benchmark
        raise AlgorithmError(
            f"{type(algorithm).__name__} asked for an architecture that is not of the space: {error}"
        ) from error
    if not 0 <= evaluation.cost < math.inf:
        raise BenchmarkError(
            f"Expected a cost of at least 0 but {benchmark.name!r} charged {evaluation.cost!r} for "
            f"{benchmark.space.to_string(trial.architecture)}."
        )
    return evaluation
