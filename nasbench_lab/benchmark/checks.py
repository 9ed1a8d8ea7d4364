"""Whether an object can stand as a benchmark."""

from __future__ import annotations

import math
from typing import Any

from nasbench_lab.benchmark.interface import Benchmark, Objective
from nasbench_lab.clock import CLOCKS, REAL
from nasbench_lab.errors import BenchmarkError
from nasbench_lab.spaces import SearchSpace


def check_benchmark(benchmark: Benchmark) -> None:
    """Refuses a benchmark that lacks what a search or a comparison asks of it.

    Nothing is evaluated; ``nasbench_lab.testing.check_benchmark`` runs the whole contract.

    Raises:
        BenchmarkError: The message says what was expected.
    """
    who = type(benchmark).__name__

    def require(holds: bool, name: str, expected: str) -> None:
        if not holds:
            value: Any = getattr(benchmark, name, "nothing")
            raise BenchmarkError(
                f"Expected {name} of the benchmark {who} to be {expected} but got {value!r}."
            )

    name = getattr(benchmark, "name", None)
    require(isinstance(name, str) and bool(name.strip()), "name", "a text")
    require(isinstance(getattr(benchmark, "space", None), SearchSpace), "space", "a SearchSpace")
    objectives = getattr(benchmark, "objectives", None)
    require(
        isinstance(objectives, tuple)
        and len(objectives) > 0
        and all(isinstance(one, Objective) for one in objectives),
        "objectives",
        "a tuple of at least one Objective",
    )
    reported = benchmark.reported
    require(reported is None or isinstance(reported, Objective), "reported", "an Objective or None")
    names = [one.name for one in (*benchmark.objectives, *([reported] if reported else []))]
    if len(set(names)) < len(names):
        raise BenchmarkError(
            f"Expected different names of what {who} measures but got {', '.join(names)}."
        )
    if reported is not None and type(benchmark).report_value is Benchmark.report_value:
        raise BenchmarkError(
            f"{who} says that it reports {reported.name}, but has no report_value."
        )
    require(benchmark.clock in (*CLOCKS, REAL), "clock", f"one of {', '.join(CLOCKS)}")
    epochs = benchmark.epochs
    require(epochs is None or (type(epochs) is int and epochs > 0), "epochs", "a number or None")
    known = tuple(benchmark.fidelities)
    require(
        known == tuple(sorted(set(known))) and known[-1:] in ((), (epochs,)),
        "fidelities",
        f"ascending epochs that end with {epochs}, or empty",
    )
    best = benchmark.best_value
    require(
        best is None or (isinstance(best, int | float) and math.isfinite(best)),
        "best_value",
        "a finite number or None",
    )
