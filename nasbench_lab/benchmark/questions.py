"""The queries of a benchmark to its table, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from nasbench_lab.benchmark.interface import Objective
from nasbench_lab.errors import QueryError, UnknownNameError
from nasbench_lab.tables.columns import Column, Constraint, Query, TableInfo, Task

_TRAINING = ("dataset", "trained_on", "schedule")
"""The fields in which columns of the same training agree."""


class Answering(Protocol):
    """What queries are put to: a table, or what real training measures."""

    name: str
    info: TableInfo
    columns: dict[str, Column]

    def column(self, query: Query | str) -> Column:
        """The one column that a query means."""

    def check(self, query: Query | str) -> None:
        """Refuses a query that cannot be answered."""


@dataclass(frozen=True)
class Questions:
    """The queries of a benchmark to its table, or to what takes its place.

    Args:
        queries: The queries that a search sees.
        report: The query that results are reported in.
        constraints: The constraints on architectures.
        objectives: Name, unit and direction of each query.
        main: The column whose training is paid for.
        epochs: The epoch at which a search sees values, or None if the table does not know.
        common: The epochs up to that one with values of all columns that depend on training.
    """

    queries: tuple[Query, ...]
    report: Query
    constraints: tuple[Constraint, ...]
    objectives: tuple[Objective, ...]
    main: Column
    epochs: int | None
    common: tuple[int, ...]

    @classmethod
    def of(
        cls,
        table: Answering,
        task: str | None,
        objective: Query | str | Sequence[Query | str] | None,
        report: Query | str | None,
        constraints: Constraint | str | Sequence[Constraint | str] | None,
    ) -> Questions:
        """Checks queries; arguments as for ``TableBenchmark``.

        Raises:
            QueryError: The table cannot answer, or a search must not see the answer.
            UnknownNameError: The table has no such task.
        """
        default = default_task(table, task)
        objectives = default.objective if objective is None else objective
        queries = tuple(
            _seen(table, query, default)
            for query in ([objectives] if isinstance(objectives, str | Query) else objectives)
        )
        reported = Query.of(report or default.report or replace(queries[0], trial="mean"))
        if not all(query.metric for query in queries):
            on_test = [name for name, one in table.info.tasks.items() if _on_test(table, one)]
            raise QueryError(
                f"{table.name!r} has no objective of its own, as it lacks validation or test "
                f"accuracies. "
                + (
                    f"A search that is to see test data says so: {table.name}/{on_test[0]}."
                    if on_test
                    else "Name what the search is to see, and what is reported."
                )
            )
        if isinstance(constraints, Constraint | str):
            constraints = [constraints]
        bounds = tuple(
            replace(bound, query=_of_task(table, bound.query, default))
            for bound in map(Constraint.of, constraints or ())
        )
        seen = [*queries, *(constraint.query for constraint in bounds)]
        columns = [table.column(query) for query in seen]
        for query in [*seen, reported]:
            table.check(query)
        if reported.trial == "random":
            raise QueryError("Results are reported by the mean or one seed, not a random trial.")
        _check_split(table, columns, default, task)
        trained = [i for i, column in enumerate(columns) if column.epochs or column.split]
        main = next((i for i in trained if columns[i].epochs), (trained or [0])[0])
        _check_training(table, [columns[i] for i in trained], columns[main])
        if len({column.name for column in columns[: len(queries)]}) < len(queries):
            raise QueryError("Expected objectives that differ, but one was given twice.")
        last = columns[main].epochs
        epochs = seen[main].epoch or (last[-1] if last else None)
        if epochs is not None:
            _check_epochs(table, seen, columns, len(queries), columns[main], epochs)
        return cls(
            queries,
            reported,
            bounds,
            tuple(Objective(c.name, c.unit, c.maximize) for c in columns[: len(queries)]),
            columns[main],
            epochs,
            _common_epochs([columns[i] for i in trained], epochs),
        )


def _seen(table: Answering, query: Query | str, default: Task) -> Query:
    """What a search sees; a metric that is given by name alone has the trials that the table says."""
    if isinstance(query, Query) or not query:
        return Query.of(query)
    narrowed = _of_task(table, Query(query), default)
    several = len(table.column(narrowed).trials) > 1
    return replace(narrowed, trial=table.info.trial if several else "mean")


def _of_task(table: Answering, query: Query, default: Task) -> Query:
    """The query, of the task's data set if columns of several data sets fit it."""
    fitting = [column for column in table.columns.values() if column.fits(query)]
    known = default.objective in table.columns
    if len(fitting) < 2 or not known or any(c.name == query.metric for c in fitting):
        return query
    return replace(query, dataset=table.columns[default.objective].dataset)


def default_task(table: Answering, task: str | None) -> Task:
    """The default objective and report of a table or task."""
    if task is None:
        return Task(table.info.objective, table.info.report)
    if task not in table.info.tasks:
        raise UnknownNameError(f"task of {table.name!r}", task, table.info.tasks)
    return table.info.tasks[task]


def _on_test(table: Answering, task: Task) -> bool:
    return table.columns[task.objective].on_test_data


def _check_split(
    table: Answering, columns: Sequence[Column], default: Task, task: str | None
) -> None:
    """Refuses columns of test data, unless the benchmark names a task that searches on them."""
    for column in columns:
        if column.on_test_data and (task is None or column.name != default.objective):
            raise QueryError(
                f"{column.name!r} of {table.name!r} is measured on test data, which a search "
                f"must not see. Search on {default.objective!r} and name the test metric as "
                f"the report."
            )


def _check_training(table: Answering, columns: Sequence[Column], main: Column) -> None:
    """Refuses columns of different trainings, as a search would pay for only one."""
    for column in columns:
        if any(getattr(column, key) != getattr(main, key) for key in _TRAINING):
            raise QueryError(
                f"{main.name!r} and {column.name!r} of {table.name!r} are of different trainings; a "
                f"search that sees both would pay for one."
            )


def _check_epochs(
    table: Answering,
    seen: Sequence[Query],
    columns: Sequence[Column],
    n_objectives: int,
    main: Column,
    epochs: int,
) -> None:
    """Refuses objectives after different epochs, and bounds after the end of a search."""
    for i, (query, column) in enumerate(zip(seen, columns, strict=True)):
        at = query.epoch or (column.epochs[-1] if column.epochs else None)
        if at is None:
            continue
        if i < n_objectives and at != epochs:
            raise QueryError(
                f"Objectives are seen after the same epoch, but {column.name!r} of "
                f"{table.name!r} after {at} and {main.name!r} after {epochs}."
            )
        if query.epoch is not None and query.epoch > epochs:
            raise QueryError(
                f"{column.name!r} is bounded after epoch {query.epoch}, but a search on "
                f"{table.name!r} ends after {epochs}."
            )


def _common_epochs(columns: Sequence[Column], epochs: int | None) -> tuple[int, ...]:
    if epochs is None:
        return ()
    known = [set(column.epochs or (epochs,)) for column in columns]
    return tuple(epoch for epoch in sorted(set.intersection(*known)) if epoch <= epochs)
