"""The whole explanation of a table, or of a benchmark of a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.benchmark import Objective
from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.explanation.importance import Importance, Method, importance
from nasbench_lab.explanation.incumbents import incumbent_chain, near_by_chance
from nasbench_lab.explanation.known import Known, known_of_runs, known_of_table
from nasbench_lab.explanation.path import Path, shortest_path
from nasbench_lab.explanation.winners import Winners, winners
from nasbench_lab.landscape.landscape import LIMIT, Landscape, survey
from nasbench_lab.spaces import Architecture
from nasbench_lab.tables.columns import Query
from nasbench_lab.words import listed

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.results.result import Result
    from nasbench_lab.tables.table import Table
    from nasbench_lab.trace import Trace

_TRIES = 1000


@dataclass(frozen=True)
class Explanation:
    """What was found, explained.

    Args:
        known: The architectures that it is made of.
        report: The column whose values stand beside, and decide nothing; None if there is none.
        importance: Which decisions matter.
        winners: What the best have in common.
        path: From the start to the best by single changes; None if there is none or it is not known.
        no_path: Why there is no path; empty if there is one.
        algorithm: Of a result, whose run is explained; empty for a table.
        seed: The seed of that run, or of a table the seed of the random start.
        incumbents: Of a result, the incumbents of all runs, with ``algorithm`` and ``seed``; see
            ``incumbent_chain``. None for a table.
        near_by_chance: Of a result, see the function of this name; NaN for a table.
        evaluations: Of a result, ``evaluation`` (its number) and ``value`` of all that the run
            evaluated. None for a table.
    """

    known: Known
    report: Objective | None
    importance: Importance
    winners: Winners
    path: Path | None
    no_path: str = ""
    algorithm: str = ""
    seed: int = 0
    incumbents: pd.DataFrame | None = None
    near_by_chance: float = math.nan
    evaluations: pd.DataFrame | None = None

    @property
    def chain(self) -> pd.DataFrame | None:
        """The incumbents of the run that is explained; None for a table."""
        if self.incumbents is None:
            return None
        of_run = (self.incumbents["algorithm"] == self.algorithm) & (
            self.incumbents["seed"] == self.seed
        )
        return self.incumbents[of_run].reset_index(drop=True)

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables of the explanation by name, without those that do not apply."""
        frames_by_name = {
            "importance": self.importance.decisions,
            "interactions": self.importance.pairs,
            "winners": self.winners.options,
            "path": self.path and self.path.steps,
            "incumbents": self.incumbents,
        }
        return {name: frame for name, frame in frames_by_name.items() if frame is not None}

    def summary(self) -> dict[str, Any]:
        """All of the explanation, for programs; None where something does not apply."""
        chain = self.chain
        return {
            "name": self.known.name,
            "objective": self.known.objective.name,
            "unit": self.known.objective.unit,
            "report": self.report and self.report.name,
            "known": self.known.how,
            "importance": {
                "method": self.importance.method,
                "fit": self.importance.fit,
                "decisions": _records(self.importance.decisions),
                "pairs": None if self.importance.pairs is None else _records(self.importance.pairs),
            },
            "winners": {
                "best": self.winners.best,
                "rest": self.winners.rest,
                "limit": self.winners.limit,
                "options": _records(self.winners.options),
            },
            "path": self.path
            and {
                "changes": self.path.changes,
                "loses": self.path.loses,
                "steps": _records(self.path.steps),
            },
            "no_path": self.no_path or None,
            "run": None
            if chain is None
            else {
                "algorithm": self.algorithm,
                "seed": self.seed,
                "near_by_chance": self.near_by_chance,
                "incumbents": _records(chain.drop(columns=["algorithm", "seed"])),
            },
        }


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    records: list[dict[Any, Any]] = frame.to_dict(orient="records")
    return records


def explain_table(
    table: Table,
    column: Query | str | None = None,
    report: Query | str | None = None,
    *,
    method: Method = "fanova",
    best: float = 0.05,
    start: str | None = None,
    seed: int = 0,
) -> Explanation:
    """Explains the values of a table.

    Args:
        table: The table.
        column: The column; by default the table's objective.
        report: The column that stands beside; by default the one that the table reports.
        method: How importance is measured.
        best: The share of the architectures that are the best.
        start: Where the path begins; by default a random architecture.
        seed: Of the random start, of the forest, and of the sample of a large space.

    Raises:
        QueryError: The table cannot answer, knows too little, or lacks the start.
        InvalidArchitectureError: The start is no architecture of the space.
    """
    landscape = survey(table, column, seed)
    known = known_of_table(landscape)
    beside = table.column(report or table.info.report or landscape.column.name)
    goal = np.flatnonzero(landscape.fitness == landscape.fitness.max())
    begin = _start(landscape, goal, start, seed)
    path = shortest_path(landscape, beside.name, begin, goal)
    return Explanation(
        known,
        Objective(beside.name, beside.unit, beside.maximize)
        if beside != landscape.column
        else None,
        importance(known, method, seed),
        winners(known, best),
        path,
        "" if path else _why_not(landscape),
        seed=seed,
    )


def _start(landscape: Landscape, goal: Any, start: str | None, seed: int) -> Architecture:
    """The architecture that is named, or a random one that has a value and is not the best."""
    table, space = landscape.table, landscape.table.space
    if start is not None:
        named = space.from_string(start)
        row = table.row(named)
        if row < 0 or not np.isfinite(landscape.fitness[row]):
            raise QueryError(
                f"Expected an architecture with a value of {landscape.column.name} as the start, but "
                f"{table.name!r} has none for {start!r}."
            )
        return named
    rng = np.random.default_rng([seed, 4])
    drawn = space.sample(rng, _TRIES)
    rows = table.row(drawn)
    fitting = (rows >= 0) & np.isfinite(landscape.fitness[rows]) & ~np.isin(rows, goal)
    if not fitting.any():  # the table holds few of the space
        drawn, rows, _ = landscape.measured()
        fitting = ~np.isin(rows, goal)
        drawn = rng.permutation(drawn[fitting] if fitting.any() else drawn)
        return tuple(drawn[0].tolist())
    return tuple(drawn[fitting][0].tolist())


def _why_not(landscape: Landscape) -> str:
    space = landscape.table.space
    if space.conditional and space.size > LIMIT:
        return (
            f"{space.name} has conditions and more than {LIMIT:,} architectures, so it is not known "
            f"how far they are apart"
        )
    return (
        "single changes do not lead there by architectures of known value, or the shortest ways are "
        "too many"
    )


def explain_result(
    result: Result,
    benchmark: str | None = None,
    algorithm: str | None = None,
    seed: int | None = None,
    *,
    method: Method = "fanova",
    best: float = 0.05,
) -> Explanation:
    """Explains what the runs of a result found on a benchmark.

    Importance and winners are of the values that the runs saw. One run has its incumbents explained,
    and the path that leads from its first evaluation to what it found; by default the run that saw
    the best value. The path's values are the benchmark's, means over trials if it has several.

    Args:
        result: The result.
        benchmark: A benchmark of the result; it may be left out if there is one.
        algorithm: The algorithm whose runs are explained; by default all.
        seed: The seed of the run; by default that of the run that saw the best value.
        method: How importance is measured.
        best: The share of the architectures that are the best.

    Raises:
        UnknownNameError: The result has no such benchmark or algorithm.
        QueryError: No run found anything, or all runs evaluated too little.
    """
    names = result.tables_with_runs
    if not names:
        raise QueryError("No run of the result evaluated anything, so there is nothing to explain.")
    if benchmark is None and len(names) == 1:
        benchmark = names[0]
    if benchmark not in result.benchmarks:
        if benchmark is None:
            raise QueryError(
                f"Expected the benchmark to explain (--benchmark), as there are several: "
                f"{', '.join(names)}."
            )
        raise UnknownNameError("benchmark of the result", str(benchmark), result.benchmarks)
    if algorithm is not None and algorithm not in result.algorithms:
        raise UnknownNameError("algorithm of the result", algorithm, result.algorithms)
    opened = result.benchmark(benchmark)
    runs = [
        run
        for run in result.runs
        if run.benchmark == benchmark and algorithm in (None, run.algorithm) and len(run.trace)
    ]
    known = known_of_runs(opened, [run.trace for run in runs])
    chains = [incumbent_chain(run.trace, opened) for run in runs]
    chosen = [i for i, run in enumerate(runs) if seed in (None, run.seed) and len(chains[i])]
    if not chosen:
        seeds = sorted({run.seed for run, chain in zip(runs, chains, strict=True) if len(chain)})
        raise QueryError(
            f"Expected the seed of a run that found something on {benchmark!r}"
            f"{f' by {algorithm}' if algorithm else ''}, but got {seed}; there are "
            f"{listed([str(one) for one in seeds])}."
        )
    run = runs[max(chosen, key=lambda i: _found(runs[i].trace))]
    path, no_path = _path_of_run(result, benchmark, run.trace)
    every = [
        chain.assign(algorithm=run.algorithm, seed=run.seed)
        for run, chain in zip(runs, chains, strict=True)
    ]
    return Explanation(
        known,
        _reported(opened),
        importance(known, method),
        winners(known, best),
        path,
        no_path,
        run.algorithm,
        run.seed,
        _joined(every),
        near_by_chance(run.trace),
        _evaluations(run.trace),
    )


def _joined(chains: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    kept = [chain for chain in chains if len(chain)]
    joined = pd.concat(kept, ignore_index=True)
    return joined[["algorithm", "seed", *joined.columns.drop(["algorithm", "seed"])]]


def _evaluations(trace: Trace) -> pd.DataFrame:
    import pandas as pd

    every = pd.DataFrame({"evaluation": trace.evaluations(), "value": trace.values[:, 0]})
    return every[~trace.derived].reset_index(drop=True)


def _found(trace: Trace) -> tuple[int, float]:
    """What the incumbent at the end of a run is worth: after how many epochs, and its score."""
    at = trace.incumbents()[-1]
    return int(trace.epoch[at]), float(trace.scores()[at])


def _reported(benchmark: Any) -> Objective | None:
    column = benchmark.table.column(benchmark.report)
    if column == benchmark.table.column(benchmark.first_objective):
        return None
    return Objective(column.name, column.unit, column.maximize)


def _path_of_run(result: Result, name: str, trace: Trace) -> tuple[Path | None, str]:
    """The path from a run's first evaluation that has a value to its last incumbent."""
    opened = result.benchmark(name)
    table, query = opened.table, opened.first_objective
    landscape = survey(table, query)
    rows = opened.rows(trace)
    with_value = (rows >= 0) & np.isfinite(landscape.fitness[rows]) & ~trace.derived
    end = int(rows[trace.incumbents()[-1]])
    if not with_value.any() or end < 0:
        return None, "the table has no value of the run's first evaluation or of what it found"
    begin = tuple(trace.architecture[int(np.flatnonzero(with_value)[0])].tolist())
    path = shortest_path(landscape, opened.report, begin, np.array([end]))
    return path, "" if path else _why_not(landscape)
