"""Benchmarks that are no tables, judged by what the runs of a comparison evaluated.

All that was evaluated makes a table: regrets are to the best value in it, ranks and targets are among
its entries, and its Pareto front is that of all runs. So statistics need to know only tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.errors import QueryError
from nasbench_lab.experiment.settings import BenchmarkSetting
from nasbench_lab.results.parts import Run
from nasbench_lab.spaces import Architecture, Architectures
from nasbench_lab.tables.columns import Column, Query, TableInfo
from nasbench_lab.tables.coverage import Coverage
from nasbench_lab.tables.table import Table
from nasbench_lab.trace import Trace

Floats = NDArray[np.float64]


class EvaluatedTable(Table):
    """A table of what was evaluated, in memory.

    Args:
        info: What it is.
        columns: Each column and its ``(rows,)`` values.
        architectures: ``(rows, d)`` architectures, in ascending order.
        space: Their space.
    """

    def __init__(
        self,
        info: TableInfo,
        columns: dict[Column, Floats],
        architectures: Architectures,
        space: Any,
    ) -> None:
        arrays: Any = _Arrays(
            {column.name: values.reshape(-1, 1, 1) for column, values in columns.items()}
        )
        arrays.rows = len(architectures)
        self.folder, self.info, self.name, self.space = Path(), info, info.name, space
        self.columns = {column.name: column for column in columns}
        self._arrays = arrays
        self._checksums = {}
        self._values, self._rankings, self._found, self._epochs = {}, {}, {}, {}
        self._row_of_index = self._keys = None
        vars(self)["architectures"] = architectures
        # What nobody evaluated is not what the benchmark lacks.
        vars(self)["coverage"] = Coverage(1.0, space.size, space.size)
        self._rows = {tuple(one): row for row, one in enumerate(architectures.tolist())}

    def row(self, architecture: Any) -> Any:
        """The row of an architecture, or ``(n,)`` rows; -1 if it was not evaluated."""
        if isinstance(architecture, np.ndarray):
            rows = [self._rows.get(tuple(one), -1) for one in architecture.tolist()]
            return np.array(rows, dtype=np.int64)
        return self._rows.get(tuple(architecture), -1)


class _Arrays(dict[str, Floats]):
    rows: int


class EvaluatedBenchmark(TableBenchmark):
    """What is known of a benchmark after a comparison, besides a table of its own.

    An architecture is worth the mean of its evaluations in all runs, of those after most epochs. What
    algorithms derived, and no run evaluated, has no such value, but may have a reported one. An
    architecture keeps to the constraints if one of these evaluations did. If the benchmark has a table
    and falls back to something else, entries of the table are worth what it says; test values are not
    used, as other architectures have none.

    Args:
        setting: The benchmark, which has a program.
        runs: All runs on it.
    """

    standard = "the best value found in this comparison"
    standard_short = "best found"
    whole = "all runs"
    whose = "all runs'"

    def __init__(self, setting: BenchmarkSetting, runs: Sequence[Run]) -> None:
        program = setting.program
        if program is None:
            raise ValueError(f"{setting.name!r} is a table, which judges by itself.")
        self._given = opened = setting.opened_table if program.fallback else None
        self.name, self.task, self.fallback = setting.name, None, None
        self.space = setting.search_space
        self.objectives, self.constraints, self.clock = (
            setting.objectives,
            setting.constraints,
            setting.clock,
        )
        self.epochs, self.dataset, self.noisy = program.epochs, program.dataset, False
        self.fidelities = ()
        self.best_value = program.best_value
        self.measured = program.measured
        self._known: dict[int, NDArray[np.int64]] = {}
        self._made_of = setting, runs
        self._kept = [run.trace for run in runs]  # as they are known by their ids
        columns = {}
        for i, objective in enumerate(self.objectives):
            column = _column(objective, "valid")
            if opened is not None:
                given = opened.table.column(opened.queries[i])
                column = replace(given, trials=("mean",), epochs=None)
            columns[column] = i
        rows, architectures, n_given = self._numbered()
        values, self._feasible = self._evaluated(rows, len(architectures), n_given)
        found = {column: values[:, i] for column, i in columns.items()}
        self.queries = tuple(Query(column.name) for column in columns)
        self.report = self.queries[0]
        if program.reported is not None:
            column = _column(program.reported, "test")
            found[column] = _reported(runs, rows, len(architectures))
            self.report = Query(column.name)
        if program.best_value is not None:
            self.standard, self.standard_short = "the best possible value", ""
        self.table = EvaluatedTable(self._info(opened), found, architectures, self.space)

    def __reduce__(self) -> tuple[Any, ...]:
        return EvaluatedBenchmark, self._made_of

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """Refuses to evaluate.

        Raises:
            QueryError: Always; what to do is in the message.
        """
        raise QueryError(
            f"This is what a comparison knows of {self.name!r}, to judge by, and evaluates nothing. "
            f"Search on the benchmark that the comparison was given."
        )

    def _info(self, opened: TableBenchmark | None) -> TableInfo:
        seen, report = self.queries[0].metric, self.report.metric
        if opened is not None:
            info = opened.table.info
            return replace(info, objective=seen, report=report, tasks={}, trial="mean")
        return TableInfo(self.name, self.space.name, "", "", "", seen, report)

    def _numbered(self) -> tuple[NDArray[np.int64], Architectures, int]:
        """Gives the architectures of all runs rows: ``(n,)`` of all evaluations, one after the other.

        Returns:
            The rows, the architecture of each row, and how many rows are those of a table.
        """
        d = len(self.space.decisions)
        given = np.empty((0, d), np.int64)
        if self._given is not None:
            given = self._given.table.architectures
        every = [trace.architecture for trace in self._kept]
        raw = np.concatenate([np.empty((0, d), np.int64), *every])
        rows = np.concatenate([np.empty(0, np.int64), *(trace.row for trace in self._kept)])
        # Own work that recommends nothing has no architecture, and no row.
        other = (raw >= 0).all(axis=1)
        if self._given is not None:
            other &= rows < 0
        distinct, codes = np.unique(raw[other], axis=0, return_inverse=True)
        # Isomorphic architectures are one.
        distinct, classes = np.unique(self.space.canonical(distinct), axis=0, return_inverse=True)
        rows = np.where((raw >= 0).all(axis=1), rows, -1)
        rows[other] = len(given) + classes.ravel()[codes.ravel()]
        first = 0
        for trace in self._kept:
            self._known[id(trace)] = rows[first : first + len(trace)]
            first += len(trace)
        return rows, np.concatenate([given, distinct]), len(given)

    def _evaluated(
        self, rows: NDArray[np.int64], n: int, n_given: int
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """``(rows, m)`` values of all rows, and whether each keeps to the constraints."""
        m = len(self.objectives)
        values = np.concatenate([np.empty((0, m)), *(trace.values for trace in self._kept)])
        epochs = np.concatenate([np.empty(0, np.int64), *(trace.epoch for trace in self._kept)])
        charged = np.concatenate([np.empty(0, np.bool_), *(trace.charged for trace in self._kept)])
        violation = np.concatenate([np.empty(0), *(trace.violation for trace in self._kept)])
        counted = charged & ~np.isnan(values).any(axis=1)
        last = np.full(n, np.iinfo(np.int64).min)
        np.maximum.at(last, rows[counted], epochs[counted])
        counted[counted] = epochs[counted] == last[rows[counted]]
        result = np.stack([_means(rows[counted], values[counted, i], n) for i in range(m)], axis=1)
        feasible = np.zeros(n, np.bool_)
        derived = np.concatenate([np.empty(0, np.bool_), *(t.derived for t in self._kept)])
        feasible[rows[(counted | (derived & (rows >= 0))) & (violation == 0)]] = True
        if self._given is not None:
            queries = [replace(query, trial="mean") for query in self._given.queries]
            for i, query in enumerate(queries):
                result[:n_given, i] = self._given.table.values(query)
            feasible[:n_given] = self._given.feasible
        return result, feasible

    def rows(self, trace: Trace) -> NDArray[np.int64]:
        """``(n,)`` entry of each evaluation of a run; -1 for what no run of the comparison had."""
        known = self._known.get(id(trace))
        if known is not None:
            return known
        rows = np.full(len(trace), -1)
        named = (trace.architecture >= 0).all(axis=1)
        rows[named] = self.table.row(self.space.canonical(trace.architecture[named]))
        return rows if self._given is None else np.where(trace.row >= 0, trace.row, rows)

    def ranking(self, query: Query | str) -> NDArray[np.int64]:
        """Rows that keep to the constraints from best to worst by a query, as ``Table.ranking``."""
        ranking = self.table.ranking(query)
        return ranking[self.feasible[ranking]]

    def optimum(self, query: Query | str) -> float:
        """The best value that any run found, or that is known to be possible; NaN without one."""
        ranking, column = self.ranking(query), self.table.column(query)
        found = float(self.table.values(query)[ranking[0]]) if len(ranking) else np.nan
        if self.best_value is None or column.name != self.queries[0].metric:
            return found
        return float((np.fmax if column.maximize else np.fmin)(found, self.best_value))


def _column(objective: Objective, split: str) -> Column:
    """The column of an objective, of a split if its name says so."""
    of = split if objective.name.startswith(split) else None
    quantity = objective.name.removeprefix(f"{of}_")
    return Column(objective.name, quantity, objective.unit, objective.maximize, of)


def _reported(runs: Sequence[Run], rows: NDArray[np.int64], n: int) -> Floats:
    """``(rows,)`` what was reported of each architecture, NaN for those that were no incumbents."""
    parts = [
        np.full(len(run.trace), np.nan) if run.reported is None else run.reported for run in runs
    ]
    values = np.concatenate([np.empty(0), *parts])
    told = ~np.isnan(values)
    return _means(rows[told], values[told], n)


def _means(rows: NDArray[np.int64], values: Floats, n: int) -> Floats:
    """``(n,)`` mean of the values of each row, to the bit if they are equal; NaN without any."""
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, rows, values)
    np.maximum.at(high, rows, values)
    counts = np.bincount(rows, minlength=n)
    with np.errstate(invalid="ignore"):
        means = np.bincount(rows, values, minlength=n) / counts
    return np.where(counts == 0, np.nan, np.where(low == high, low, means))
