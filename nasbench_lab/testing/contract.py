"""Checks that every search algorithm and every benchmark must pass, for authors of new ones.

    from nasbench_lab.testing import check_algorithm
    check_algorithm(MySearch)

Every registered algorithm and table goes through these in nasbench-lab's own tests.
"""

from __future__ import annotations

import math
import pickle
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial, wraps
from typing import Any

import numpy as np

from nasbench_lab.algorithm import (
    Evaluation,
    SearchAlgorithm,
    Trial,
    Work,
)
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import (
    AlgorithmError,
    InvalidArchitectureError,
    NasbenchLabError,
    UnsuitedError,
)
from nasbench_lab.guard import SeededGenerators, kept_generators
from nasbench_lab.registry import make_algorithm, running, take
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import (
    Decision,
    PoolSpace,
    SearchSpace,
    get_space,
)
from nasbench_lab.testing.repeats import differs_elsewhere, reasons
from nasbench_lab.testing.synthetic import SyntheticBenchmark, SyntheticProxies, synthetic_history
from nasbench_lab.trace import Trace
from nasbench_lab.words import counted
from nasbench_lab.workers import Workers


class ContractError(NasbenchLabError, AssertionError):
    """An algorithm, benchmark or function does not do what it must."""


Make = Callable[..., SearchAlgorithm]
Check = Callable[[Make], None]


def _check(check: Check) -> Check:
    """A check of the contract, in which algorithms are given what benchmarks give."""

    @wraps(check)
    def checked(make: Make) -> None:
        check(partial(_with_given, make))

    return checked


def _with_given(make: Make, space: SearchSpace, **settings: Any) -> SearchAlgorithm:
    data = "digits" if space.name == "nb201" else None
    given = {"data": data, "proxies": SyntheticProxies(space), **settings}
    try:
        return make(space, **given)
    except UnsuitedError:  # perhaps for want of a history, without which others are to be checked
        return make(space, history=synthetic_history(space), **given)


def _suited(make: Make, spaces: Iterable[SearchSpace]) -> Iterator[SearchSpace]:
    """The spaces that an algorithm does not refuse to search."""
    for space in spaces:
        try:
            make(space, seed=1)
        except UnsuitedError:
            continue
        yield space


_MIXED = SearchSpace(
    "mixed",
    [
        Decision("width", (8, 16, 32, 64), ordered=True),
        Decision("operation", ("conv", "pool")),
        Decision("only", ("one",)),
        Decision("rate", (0.1, 0.01, 0.001), ordered=True),
    ],
)
_CONDITIONAL = SearchSpace(
    "conditional",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("operation", ("conv", "pool")),
        Decision("kernel", (1, 3, 5), ordered=True, active_if={"operation": "conv"}),
        Decision("dilation", (1, 2), active_if={"kernel": (3, 5), "layers": (2, 3)}),
        *(
            Decision(f"width {i}", (8, 16, 32), ordered=True, active_if={"layers": range(i, 4)})
            for i in (1, 2, 3)
        ),
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
    taken, given = take(algorithm) if isinstance(algorithm, str) else (algorithm, {})
    hyperparameters = {**given, **hyperparameters}
    with running(taken):
        for check in ALGORITHM_CHECKS:
            check(lambda *a, **k: make_algorithm(taken, *a, **hyperparameters, **k))


@_check
def check_asks_trials_of_the_space(make: Make) -> None:
    """Every ask is a new trial of an architecture of the space, on spaces of every kind."""
    named = [get_space(name) for name in ("nb201", "nas-bench-graph-proteins", "nb101")]
    pools = [  # of architectures that were measured
        PoolSpace(space, space.sample(np.random.default_rng(0), min(300, space.size // 3)))
        for space in (*named, _MIXED, _CONDITIONAL)
    ]
    for space in _suited(make, (*named, _MIXED, _CONDITIONAL, _HUGE, *pools)):
        trace = _run(make(space, seed=1), SyntheticBenchmark(space), 40)
        _require(len(trace) > 0, f"asked nothing on the space {space.name!r}")
        trials = list(zip(trace.trial.tolist(), trace.epoch.tolist(), trace.derived, strict=True))
        trials = [one for one in trials if not one[2]]
        _require(
            len(set(trials)) == len(trials),
            "gave two trials the same number; every new trial needs self.trial(…)",
        )


@_check
def check_learning_curves(make: Make) -> None:
    """Where there are epochs, only these are asked for, and something is trained to the end."""
    epochs_by_space = {get_space("nb201"): 9, _CONDITIONAL: 3, _SINGLE: 2, _HUGE: 1}
    for space in _suited(make, epochs_by_space):
        epochs = epochs_by_space[space]
        benchmark = SyntheticBenchmark(space, epochs=epochs)
        for workers in (1, 5, Workers(3, synchronous=True)):
            algorithm = make(space, seed=1, fidelities=benchmark.fidelities)
            trace = _run(algorithm, benchmark, Budget(evaluations=60, epochs=30 * epochs), workers)
            _require(len(trace) > 0, f"asked nothing where there are {epochs} epochs")
            known = set(trace.epoch[~trace.derived].tolist())
            foreign = known - set(benchmark.fidelities)
            _require(not foreign, "asked for epochs that are none of self.fidelities")
            derives = bool(trace.derived.any()) and not known
            _require(epochs in known or derives, "never trained anything to the end")


@_check
def check_unreliable_workers(make: Make) -> None:
    """Evaluations that fail although they would have succeeded are survived, also continuations."""
    space = get_space("nb201")
    benchmark = SyntheticBenchmark(space, epochs=9)
    for fail in (0.3, 1.0):
        workers, faults = Workers(4, fail=fail, straggle=0.2), np.random.default_rng(0)
        algorithm = make(space, seed=1, fidelities=benchmark.fidelities)
        trace = _run(algorithm, benchmark, 80, workers, faults)
        sound = partial(make, space, seed=1, fidelities=benchmark.fidelities)
        _require_all(trace, 80, sound, benchmark, "some of which failed")


@_check
def check_several_objectives(make: Make) -> None:
    """Several objectives are survived, one maximised and one minimised; constraints as well."""
    for space in _suited(make, (get_space("nb201"), _MIXED, _CONDITIONAL, _SINGLE)):
        benchmark = _Constrained(space, maximize=(True, False))
        trace = _run(make(space, seed=1, maximize=(True, False)), benchmark, 60)
        _require(len(trace) > 0, "asked nothing where there are two objectives")


class _Constrained(SyntheticBenchmark):
    """Half of all architectures violate a constraint."""

    def evaluate(self, *args: Any, **kwargs: Any) -> Evaluation:
        evaluation = super().evaluate(*args, **kwargs)
        return evaluation._replace(violation=max(0.0, evaluation.values[-1]))


def _require_all(
    trace: Trace,
    n: int,
    make: Callable[[], SearchAlgorithm],
    benchmark: Benchmark,
    what: str,
) -> None:
    """Requires ``n`` evaluations; of a search that works itself, as many as where none fails."""
    done = int(trace.charged.sum())
    if done < n and trace.derived.any():
        n = int(simulate(make(), benchmark, n).charged.sum())
    _require(done == n, f"gave up after {counted(done, 'evaluation')}, {what}")


def _run(
    algorithm: SearchAlgorithm,
    benchmark: Benchmark,
    budget: Budget | int,
    workers: Workers | int = 1,
    faults: np.random.Generator | None = None,
) -> Trace:
    """A simulation in which a broken rule of asking is an algorithm's mistake."""
    try:
        return simulate(algorithm, benchmark, budget, workers=workers, faults=faults)
    except AlgorithmError as error:
        raise ContractError(f"Broken rule: {error}") from error


@_check
def check_same_seed_same_run(make: Make) -> None:
    """The same seed gives the same run, also in another process, and another seed another one."""
    searches = [partial(_search, make, seed) for seed in (1, 1, 2)]
    first, same, other = (search() for search in searches)
    if not first.equals(same) or differs_elsewhere(searches[0], first):
        why = "; ".join(reasons(searches[0]))
        raise ContractError(f"Broken rule: it gave two different runs with one seed: it {why}.")
    _require(
        not np.array_equal(first.architecture, other.architecture),
        "gave the same run for two seeds",
    )


def _search(make: Make, seed: int) -> Trace:
    space = get_space("nb201")
    return simulate(make(space, seed=seed), SyntheticBenchmark(space), 60)


@_check
def check_owns_its_randomness(make: Make) -> None:
    """Nothing is drawn from the global generators of Python, NumPy and PyTorch."""
    with kept_generators():
        generators = SeededGenerators(0)
        _search(make, 1)
        used = generators.used()
    _require(not used, f"drew from {' and '.join(used)}, a global random generator; use self.rng")


@_check
def check_outstanding_asks(make: Make) -> None:
    """Many asks may be outstanding, and be told in any order."""
    for space in _suited(make, (get_space("nb201"), _CONDITIONAL, _HUGE)):
        algorithm, benchmark = make(space, seed=1), SyntheticBenchmark(space)
        for _ in range(4):
            asked = [t for t in (algorithm.ask() for _ in range(9)) if t is not None]
            for one in reversed(asked):
                _answer(algorithm, one, benchmark)
        trace = simulate(make(space, seed=1), benchmark, 40, workers=7)
        _require(len(trace) > 0, "asked nothing with 7 workers")


def _answer(algorithm: SearchAlgorithm, asked: Trial | Work, benchmark: Benchmark) -> None:
    """Tells an algorithm what became of what it asked."""
    if isinstance(asked, Trial):
        algorithm.tell(asked, benchmark.evaluate(asked.architecture, asked.epoch))


@_check
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


@_check
def check_survives_failures(make: Make) -> None:
    """Failed evaluations (NaN) are survived, even if all fail."""
    space = get_space("nb201")
    for failing in (0.3, 1.0):
        trace = simulate(make(space, seed=1), SyntheticBenchmark(space, failing=failing), 60)
        sound = partial(make, space, seed=1)
        _require_all(trace, 60, sound, SyntheticBenchmark(space), "some of which failed")


@_check
def check_constant_objective(make: Make) -> None:
    """An objective that tells nothing is survived."""
    space = get_space("nb201")
    trace = simulate(make(space, seed=1), SyntheticBenchmark(space, constant=True), 60)
    sound = partial(make, space, seed=1)
    _require_all(trace, 60, sound, SyntheticBenchmark(space), "all of one value")


@_check
def check_huge_values(make: Make) -> None:
    """Values near the largest number, whose sums and squares overflow, are survived."""
    space = get_space("nb201")
    for epochs in (None, 9):
        benchmark = _Huge(space, epochs=epochs)
        algorithm = make(space, seed=1, fidelities=benchmark.fidelities)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of what overflows
            trace = _run(algorithm, benchmark, 60)
        sound = partial(make, space, seed=1, fidelities=benchmark.fidelities)
        usual = SyntheticBenchmark(space, epochs=epochs)
        _require_all(trace, 60, sound, usual, "some of huge values")


class _Huge(SyntheticBenchmark):
    """A third of all values is near the largest number, a third near its negative."""

    def evaluate(self, *args: Any, **kwargs: Any) -> Evaluation:
        evaluation = super().evaluate(*args, **kwargs)
        third = [random.Random(repr(value)).random() for value in evaluation.values]
        return evaluation._replace(
            values=tuple(
                value if u < 1 / 3 else math.copysign(1.7e308, u - 2 / 3)
                for value, u in zip(evaluation.values, third, strict=True)
            )
        )


@_check
def check_tiny_spaces(make: Make) -> None:
    """A space smaller than the budget, and one with a single architecture, are survived."""
    for space in _suited(make, (_MIXED, _CONDITIONAL, _SINGLE)):
        simulate(make(space, seed=1), SyntheticBenchmark(space), 60)


@_check
def check_pickles_in_mid_run(make: Make) -> None:
    """A copy made by pickle in mid-run, with asks outstanding, goes on identically."""
    for epochs in (None, 9):
        _check_pickles(make, SyntheticBenchmark(get_space("nb201"), epochs=epochs))


def _check_pickles(make: Make, benchmark: SyntheticBenchmark) -> None:
    algorithm = make(benchmark.space, seed=1, fidelities=benchmark.fidelities)

    def go_on(algorithm: SearchAlgorithm, waiting: list[Trial | Work], n: int) -> list[str]:
        texts = []
        for _ in range(n):
            asked = algorithm.ask()
            if asked is not None:
                texts.append(_text(asked))
                waiting.append(asked)
            if waiting and (len(waiting) > 3 or asked is None):
                _answer(algorithm, waiting.pop(0), benchmark)
            elif asked is None:
                break
        return texts

    waiting: list[Trial | Work] = []
    go_on(algorithm, waiting, 20)
    copy, copied = pickle.loads(pickle.dumps((algorithm, waiting)))
    _require(
        go_on(algorithm, waiting, 20) == go_on(copy, copied, 20),
        "goes on differently after it was pickled and loaded",
    )


def _text(asked: Trial | Work) -> str:
    """What was asked, to be compared; measured seconds differ each time."""
    if isinstance(asked, Trial):
        return repr(asked)
    passes = None if asked.passes is None else np.asarray(asked.passes).tolist()
    return repr((passes, asked.shared, asked.architecture))


ALGORITHM_CHECKS: tuple[Check, ...] = (
    check_asks_trials_of_the_space,
    check_same_seed_same_run,
    check_owns_its_randomness,
    check_outstanding_asks,
    check_minimises_and_maximises,
    check_survives_failures,
    check_constant_objective,
    check_huge_values,
    check_tiny_spaces,
    check_pickles_in_mid_run,
    check_learning_curves,
    check_unreliable_workers,
    check_several_objectives,
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
    for trial in first:
        _require(len(trial.values) == len(benchmark.objectives), "gave too few or too many values")
        _require(trial.cost >= 0 and math.isfinite(trial.cost), f"charged {trial.cost!r}")
    _require(
        benchmark.fidelities in ((), tuple(sorted(set(benchmark.fidelities))))
        and benchmark.fidelities[-1:] in ((), (benchmark.epochs,)),
        f"has the fidelities {benchmark.fidelities}, which do not rise to {benchmark.epochs} epochs",
    )
    for epoch in benchmark.fidelities:
        trial = benchmark.evaluate(architectures[0], epoch, np.random.default_rng(1))
        _require(trial.epoch == epoch, f"answered for epoch {trial.epoch} when asked for {epoch}")
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
                np.array_equal(values, [trial.values for trial in first], equal_nan=True)
                and np.array_equal(costs, [trial.cost for trial in first]),
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
