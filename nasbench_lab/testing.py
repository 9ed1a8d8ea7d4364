"""Checks that every search algorithm and every benchmark must pass, for authors of new ones.

    from nasbench_lab.testing import check_algorithm
    check_algorithm(MySearch)

Every registered algorithm and table goes through these in nasbench-lab's own tests.
"""

from __future__ import annotations

import itertools
import math
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial
from nasbench_lab.benchmark import Benchmark, Objective, TableBenchmark
from nasbench_lab.errors import InvalidArchitectureError, NasbenchLabError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Architecture, Decision, SearchSpace, get_space


class ContractError(NasbenchLabError, AssertionError):
    """An algorithm or benchmark does not do what all of them must."""


class SyntheticBenchmark(Benchmark):
    """An objective made up from the options, over any space; each evaluation costs 1.

    The value is a sum of one weight per option and, for neighbouring decisions, of one weight per
    pair of options: smooth enough to be learned, not separable.

    Args:
        space: The space.
        maximize: Whether more is better; the minimised objective is the maximised one times -1.
        failing: The share of architectures whose evaluation fails.
        constant: Whether all architectures are worth the same.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        maximize: bool = True,
        failing: float = 0.0,
        constant: bool = False,
    ) -> None:
        self.name, self.space, self.clock, self.epochs = "synthetic", space, "evaluations", None
        self.objectives = (Objective("value", "", maximize),)
        self.failing, self.constant = failing, constant
        rng = np.random.default_rng(0)
        sizes = space.n_options
        self._single = [rng.normal(size=n).tolist() for n in sizes]
        self._pairs = [(0.5 * rng.normal(size=pair)).tolist() for pair in itertools.pairwise(sizes)]

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """The made-up value of an architecture."""
        a = self.space.validate(architecture)
        if self.failing and random.Random(str(a)).random() < self.failing:
            return Evaluation((math.nan,), 1.0)
        value = sum(w[o] for w, o in zip(self._single, a, strict=True))
        value += sum(w[a[i]][a[i + 1]] for i, w in enumerate(self._pairs))
        sign = 1.0 if self.objectives[0].maximize else -1.0
        return Evaluation((0.0 if self.constant else sign * value,), 1.0)


Make = Callable[..., SearchAlgorithm]

_MIXED = SearchSpace(
    "mixed",
    [
        Decision("width", (8, 16, 32, 64), ordered=True),
        Decision("operation", ("conv", "pool")),
        Decision("only", ("one",)),
        Decision("rate", (0.1, 0.01, 0.001), ordered=True),
    ],
)
_SINGLE = SearchSpace("single", [Decision("only", ("one",)), Decision("same", ("other",))])
_HUGE = SearchSpace("huge", [Decision(f"layer {i}", ("a", "b", "c", "d")) for i in range(40)])


def check_algorithm(algorithm: str | type[SearchAlgorithm], **hyperparameters: Any) -> None:
    """Runs the whole contract on an algorithm.

    Args:
        algorithm: A registered name, ``path/to/file.py:ClassName`` or a class.
        **hyperparameters: Of the algorithm.

    Raises:
        ContractError: The algorithm breaks a rule; the message names it.

    Example:
        >>> check_algorithm("random_search")
    """
    for check in ALGORITHM_CHECKS:
        check(lambda *a, **k: make_algorithm(algorithm, *a, **hyperparameters, **k))


def check_asks_trials_of_the_space(make: Make) -> None:
    """Every ask is a new trial of an architecture of the space, on spaces of every kind."""
    named = [get_space(name) for name in ("nb201", "nas-bench-graph-proteins", "nb101")]
    for space in (*named, _MIXED, _HUGE):
        trace = simulate(make(space, seed=1), SyntheticBenchmark(space), 40)
        _require(len(trace) > 0, f"asked nothing on the space {space.name!r}")
        _require(
            len(set(zip(trace.trial.tolist(), trace.epoch.tolist(), strict=True))) == len(trace),
            "gave two trials the same number; every new trial needs self.trial(…)",
        )


def check_same_seed_same_run(make: Make) -> None:
    """The same seed gives the same run, and another seed another one."""
    space = get_space("nb201")
    one, same, other = (
        simulate(make(space, seed=seed), SyntheticBenchmark(space), 60) for seed in (1, 1, 2)
    )
    _require(one.equals(same), "gave two different runs with one seed")
    _require(
        not np.array_equal(one.architecture, other.architecture), "gave the same run for two seeds"
    )


def check_owns_its_randomness(make: Make) -> None:
    """Nothing is drawn from the global generators of NumPy and Python."""
    space = get_space("nb201")
    numpy_before, python_before = np.random.get_state(), random.getstate()  # noqa: NPY002
    simulate(make(space, seed=1), SyntheticBenchmark(space), 40)
    numpy_after = np.random.get_state()  # noqa: NPY002
    _require(
        all(map(np.array_equal, numpy_before, numpy_after)) and python_before == random.getstate(),
        "drew from a global random generator; use self.rng",
    )


def check_outstanding_asks(make: Make) -> None:
    """Many asks may be outstanding, and be told in any order."""
    for space in (get_space("nb201"), _HUGE):
        algorithm, benchmark = make(space, seed=1), SyntheticBenchmark(space)
        for _ in range(4):
            trials = [t for t in (algorithm.ask() for _ in range(9)) if t is not None]
            for trial in reversed(trials):
                algorithm.tell(trial, benchmark.evaluate(trial.architecture, trial.epoch))
        trace = simulate(make(space, seed=1), benchmark, 40, workers=7)
        _require(len(trace) > 0, "asked nothing with 7 workers")


def check_minimises_and_maximises(make: Make) -> None:
    """Minimising an objective is maximising its negative."""
    space = get_space("nb201")
    up = simulate(make(space, seed=1, maximize=(True,)), SyntheticBenchmark(space), 60)
    down = simulate(
        make(space, seed=1, maximize=(False,)), SyntheticBenchmark(space, maximize=False), 60
    )
    _require(
        np.array_equal(up.architecture, down.architecture),
        "searches differently when the same objective is minimised; use self.score(evaluation)",
    )


def check_survives_failures(make: Make) -> None:
    """Failed evaluations (NaN) are survived, even if all fail."""
    space = get_space("nb201")
    for failing in (0.3, 1.0):
        trace = simulate(make(space, seed=1), SyntheticBenchmark(space, failing=failing), 60)
        _require(len(trace) == 60, f"gave up after {len(trace)} evaluations, some of which failed")


def check_constant_objective(make: Make) -> None:
    """An objective that tells nothing is survived."""
    space = get_space("nb201")
    trace = simulate(make(space, seed=1), SyntheticBenchmark(space, constant=True), 60)
    _require(len(trace) == 60, f"gave up after {len(trace)} evaluations, all of one value")


def check_tiny_spaces(make: Make) -> None:
    """A space smaller than the budget, and one with a single architecture, are survived."""
    for space in (_MIXED, _SINGLE):
        simulate(make(space, seed=1), SyntheticBenchmark(space), 60)


def check_pickles_in_mid_run(make: Make) -> None:
    """A copy made by pickle in mid-run, with asks outstanding, goes on identically."""
    space = get_space("nb201")
    benchmark, algorithm = SyntheticBenchmark(space), make(space, seed=1)

    def go_on(algorithm: SearchAlgorithm, waiting: list[Trial], n: int) -> list[Architecture]:
        asked = []
        for _ in range(n):
            trial = algorithm.ask()
            if trial is not None:
                asked.append(trial.architecture)
                waiting.append(trial)
            if len(waiting) > 3 or trial is None:
                told = waiting.pop(0)
                algorithm.tell(told, benchmark.evaluate(told.architecture, told.epoch))
            if trial is None and not waiting:
                break
        return asked

    waiting: list[Trial] = []
    go_on(algorithm, waiting, 30)
    copy, copied = pickle.loads(pickle.dumps((algorithm, waiting)))
    _require(
        go_on(algorithm, waiting, 30) == go_on(copy, copied, 30),
        "goes on differently after it was pickled and loaded",
    )


ALGORITHM_CHECKS: tuple[Callable[[Make], None], ...] = (
    check_asks_trials_of_the_space,
    check_same_seed_same_run,
    check_owns_its_randomness,
    check_outstanding_asks,
    check_minimises_and_maximises,
    check_survives_failures,
    check_constant_objective,
    check_tiny_spaces,
    check_pickles_in_mid_run,
)
"""The contract of an algorithm, each part a function of a maker ``make(space, seed=…, …)``."""


def check_benchmark(benchmark: Benchmark, n: int = 200) -> None:
    """Runs the whole contract on a benchmark.

    Args:
        benchmark: The benchmark.
        n: How many random architectures are evaluated.

    Raises:
        ContractError: The benchmark breaks a rule; the message names it.
    """
    space, rng = benchmark.space, np.random.default_rng(0)
    many = space.sample(rng, n)
    architectures = [tuple(a) for a in many.tolist()]
    first = [benchmark.evaluate(a, rng=np.random.default_rng(1)) for a in architectures]
    copy = pickle.loads(pickle.dumps(benchmark))
    again = [copy.evaluate(a, rng=np.random.default_rng(1)) for a in architectures]
    _require(repr(first) == repr(again), "answers differently when asked again, or by a copy")
    for one in first:
        _require(len(one.values) == len(benchmark.objectives), "gave too few or too many values")
        _require(one.cost >= 0 and math.isfinite(one.cost), f"charged {one.cost!r}")
    for bad in (
        (*architectures[0], 0),
        (-1, *architectures[0][1:]),
        (10**6, *architectures[0][1:]),
    ):
        try:
            benchmark.evaluate(bad)
        except InvalidArchitectureError:
            continue
        _require(False, f"answered for {bad!r}, which is not of its space")
    if isinstance(benchmark, TableBenchmark):
        values, costs = benchmark.evaluate_many(many)
        if benchmark.queries[0].trial != "random":
            _require(
                np.array_equal(values, [one.values for one in first], equal_nan=True)
                and np.array_equal(costs, [one.cost for one in first]),
                "answers differently for many architectures than for one",
            )
        table = benchmark.table
        best = table.optimum(benchmark.first_objective)
        sign = 1.0 if benchmark.objectives[0].maximize else -1.0
        _require(not np.any(sign * values[:, 0] > sign * best), "has a value beyond its optimum")
        # Where rows stand for classes; some tables hold every member of a class by itself.
        rows = table.row(many)
        folded = (rows >= 0) & (table.architectures[rows] != many).any(axis=1)
        _require(
            np.array_equal(table.row(space.canonical(many))[folded], rows[folded]),
            "has different rows for isomorphic architectures",
        )


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ContractError(f"Broken rule: it {problem}.")
