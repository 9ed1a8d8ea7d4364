"""Several tasks of one space as one benchmark: what is good for all of them?"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import takewhile

import numpy as np

from nasbench_lab.algorithm import Evaluation, Work
from nasbench_lab.benchmark.interface import Benchmark, Objective
from nasbench_lab.benchmark.table_benchmark import TableBenchmark
from nasbench_lab.errors import BenchmarkError, UnknownNameError
from nasbench_lab.files import content_checksum
from nasbench_lab.spaces import Architecture, Architectures, PoolSpace, SearchSpace
from nasbench_lab.tables.columns import Query

AGGREGATES = {
    "mean rank": "the mean over tasks of an architecture's rank, 1 for the best",
    "worst": "an architecture's rank, or without ranks its value, in the task where that is worst",
    "mean": "the mean over tasks of an architecture's values, which have one unit",
    "pareto": "the objective of each task, as several objectives",
}
"""How several tasks are one benchmark, in words."""


class MultiTask(Benchmark):
    """Several tasks of one space, each of which evaluates every architecture.

    Tasks differ in their units and in how hard they are, so values are compared by ranks: the rank of a
    value is one more than the number of entries of its task's table, among those that keep to the
    constraints, whose mean over trials is better after the same epoch. It is measured on what the task
    is searched by; what the tasks report is ranked likewise, and reported.

    Where a task is no table, such as a ``TrainingBenchmark``, there is nothing to rank among, so the
    values themselves are aggregated, which then have one unit and direction.

    An evaluation costs the sum of the tasks' costs, and fails if it fails on one task. Where a table
    holds a part of its space only, a search moves among the architectures that all tasks have.

    Args:
        tasks: Two or more benchmarks of one space and one clock, with one objective each.
        aggregate: One of ``AGGREGATES``; by default ``mean rank`` of tables, and ``mean`` if one of the
            tasks is no table.
        name: The name; by default that of the aggregate, after what the tasks' names begin with.

    Raises:
        BenchmarkError: The tasks do not go together.
        UnknownNameError: There is no such aggregate.

    Example:
        >>> import nasbench_lab as lab
        >>> tasks = [lab.load_benchmark(f"nas-bench-graph/{name}") for name in ("cora", "citeseer")]
        >>> both = lab.MultiTask(tasks)
        >>> both.name, both.objectives[0].name
        ('nas-bench-graph/mean-rank', 'mean_rank')
    """

    def __init__(
        self,
        tasks: Sequence[Benchmark],
        aggregate: str | None = None,
        *,
        name: str | None = None,
    ) -> None:
        if aggregate is not None and aggregate not in AGGREGATES:
            raise UnknownNameError("aggregate", str(aggregate), AGGREGATES)
        self.tasks = tuple(tasks)
        self._tables = [task for task in self.tasks if isinstance(task, TableBenchmark)]
        tables_only = len(self._tables) == len(self.tasks)
        self.aggregate = aggregate = aggregate or ("mean rank" if tables_only else "mean")
        self._ranks = tables_only and aggregate in ("mean rank", "worst")
        self._check()
        first = self.tasks[0]
        self.name = name or f"{_family(self.tasks)}/{aggregate.replace(' ', '-')}"
        self.space = _common_space(self.tasks)
        self.clock = first.clock
        self.epochs = first.epochs if len({task.epochs for task in self.tasks}) == 1 else None
        common = set.intersection(*(set(task.fidelities) for task in self.tasks))
        self.fidelities = tuple(sorted(common)) if self.epochs else ()
        self.noisy = any(task.noisy for task in self.tasks)
        self.measured = any(task.measured for task in self.tasks)
        self.constraints = tuple(bound for task in self.tasks for bound in task.constraints)
        of_each = [task.objectives[0] for task in self.tasks]
        reported = [one for task in self.tasks if (one := _reported(task)) is not None]
        if aggregate == "pareto":
            names = _told_apart([objective.name for objective in of_each], self.tasks)
            self.objectives = tuple(
                Objective(name, objective.unit, objective.maximize)
                for objective, name in zip(of_each, names, strict=True)
            )
        elif not self._ranks:
            self.objectives = (_joined(aggregate, of_each),)
            if len(reported) == len(of_each) and _go_together(reported):
                self.reported = _joined(aggregate, reported)
        else:
            what = aggregate.replace(" ", "_").removesuffix("_rank") + "_rank"
            self.objectives = (Objective(what, "", False),)
            self.reported = Objective(f"reported_{what}", "", False)
        self._known: dict[tuple[int, Query | int | None], tuple[float, list[float]]] = {}
        self.best_value = self._best_value()

    def _check(self) -> None:
        """Refuses tasks that do not go together."""
        for task in self.tasks:
            if not isinstance(task, Benchmark):
                raise BenchmarkError(
                    f"Expected benchmarks but got {task!r:.100}. lab.load_benchmark(name) gives one."
                )
            fallback = isinstance(task, TableBenchmark) and task.fallback is not None
            if len(task.objectives) > 1 or fallback:
                raise BenchmarkError(
                    f"Expected tasks with one objective and no fallback, but {task.name!r} has "
                    f"{'a fallback' if fallback else len(task.objectives)}."
                )
            if self.aggregate == "mean rank" and task not in self._tables:
                raise BenchmarkError(
                    f"{task.name!r} is no table, so its values cannot be ranked among all others. "
                    f"Choose the aggregate 'mean', 'worst' or 'pareto'."
                )
        of_each = [task.objectives[0] for task in self.tasks]
        if not self._ranks and self.aggregate != "pareto" and not _go_together(of_each):
            seen = ", ".join(f"{one.name} in {one.unit!r}" for one in of_each)
            raise BenchmarkError(
                f"Expected tasks whose objectives have one unit and direction, to aggregate their "
                f"values, but they see {seen}. Choose the aggregate 'pareto'."
            )
        if len({task.name for task in self.tasks}) < max(2, len(self.tasks)):
            raise BenchmarkError(
                f"Expected two or more different tasks but got "
                f"{', '.join(task.name for task in self.tasks) or 'none'}."
            )
        for what, of in (
            ("space", [_whole(task.space) for task in self.tasks]),
            ("clock", [task.clock for task in self.tasks]),
        ):
            for task, one in zip(self.tasks, of, strict=True):
                if one != of[0]:
                    raise BenchmarkError(
                        f"Expected tasks of one {what} but {self.tasks[0].name!r} has {of[0]!r} and "
                        f"{task.name!r} has {one!r}."
                    )

    @property
    def fingerprint(self) -> str:
        """A checksum of the tables' parts that the tasks read."""
        of_each = [[task.name, task.fingerprint] for task in self.tasks]
        return content_checksum([self.aggregate, *of_each])

    def __repr__(self) -> str:
        return f"<MultiTask {self.name!r}: {', '.join(task.name for task in self.tasks)}>"

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """Evaluates an architecture on all tasks; see ``Benchmark.evaluate``."""
        parts = [task.evaluate(architecture, epoch, rng, since) for task in self.tasks]
        values = [part.values[0] for part in parts]
        if self._ranks:
            values = [self._rank(i, v, epoch) for i, v in enumerate(values)]
        if self.aggregate != "pareto":
            values = [self._aggregated(values, self.objectives[0])]
        if any(map(math.isnan, values)):
            values = [math.nan] * len(values)
        return Evaluation(
            tuple(values),
            sum(part.cost for part in parts),
            parts[0].epoch if self.epochs else None,
            violation=sum(part.violation for part in parts),
        )

    def report_value(self, architecture: Architecture) -> float:
        """The aggregate of what each task reports; NaN where a task lacks a value."""
        if self.reported is None:
            return super().report_value(architecture)
        values = []
        for i, task in enumerate(self.tasks):
            if not isinstance(task, TableBenchmark):
                values.append(task.report_value(architecture))
                continue
            row = task.table.row(architecture)
            value = task.table.values(task.report).item(row) if row >= 0 else math.nan
            values.append(self._rank(i, value, task.report) if self._ranks else value)
        return self._aggregated(values, self.reported)

    def charge(self, work: Work) -> float:
        """The price of an algorithm's own work: its passes are those over the data of all tasks."""
        if work.passes is None:
            return super().charge(work)
        return sum(task.charge(work) for task in self.tasks)

    def _aggregated(self, values: Sequence[float], of: Objective) -> float:
        """The aggregate of ranks or values on all tasks; NaN where one is missing."""
        if any(map(math.isnan, values)):
            return math.nan
        if self.aggregate != "worst":
            return sum(values) / len(values)
        return min(values) if of.maximize else max(values)

    def _rank(self, i: int, value: float, what: Query | int | None) -> float:
        """The rank of a value on a task.

        Args:
            i: The number of the task.
            value: The value.
            what: A query; or the epoch after which the objective was measured.
        """
        sign, known = self._known.get((i, what)) or self._learn(i, what)
        return math.nan if math.isnan(value) else 1.0 + bisect_left(known, sign * value)

    def _learn(self, i: int, what: Query | int | None) -> tuple[float, list[float]]:
        """The sign by which less is better, and so turned the values of all entries, ascending."""
        task = self._tables[i]
        if isinstance(what, Query):
            query, known = what, task.table.values(what)
        else:
            query = task.queries[0]
            known = task.evaluate_many(task.table.architectures, what)[0][:, 0]
        sign = -1.0 if task.table.column(query).maximize else 1.0
        known = known[task.feasible & ~np.isnan(known)]
        self._known[i, what] = sign, np.sort(sign * known).tolist()
        return self._known[i, what]

    def _best_value(self) -> float | None:
        """The best possible value of the first objective, by means over trials, if tables tell."""
        if len(self._tables) < len(self.tasks):
            return None
        members = _members(self.space, self._tables[0])
        of_each = []
        for task in self._tables:
            values = task.evaluate_many(members)[0][:, 0]
            of_each.append(np.where(task.feasible[task.table.row(members)], values, np.nan))
        complete = np.array(of_each)
        complete = complete[:, ~np.isnan(complete).any(axis=0)]
        if not complete.size:
            raise BenchmarkError(
                f"No architecture has a value on each of {', '.join(t.name for t in self.tasks)} and "
                f"keeps to the constraints, so there is nothing to search."
            )
        if self.aggregate == "pareto":
            best = np.max if self.objectives[0].maximize else np.min
            return float(best(complete[0]))
        if self._ranks:
            ranks = []
            for i, values in enumerate(complete):
                sign, known = self._learn(i, None)
                ranks.append(1.0 + np.searchsorted(known, sign * values))
            together = np.mean if self.aggregate == "mean rank" else np.max
            return float(together(ranks, axis=0).min())
        means = complete.mean(axis=0)
        return float(means.max() if self.objectives[0].maximize else means.min())


def _reported(task: Benchmark) -> Objective | None:
    """What a task reports; None for what it is searched by."""
    if not isinstance(task, TableBenchmark):
        return task.reported
    column = task.table.column(task.report)
    return Objective(column.name, column.unit, column.maximize)


def _go_together(objectives: Sequence[Objective]) -> bool:
    """Whether values have one unit and direction."""
    return len({(one.unit, one.maximize) for one in objectives}) == 1


def _joined(aggregate: str, objectives: Sequence[Objective]) -> Objective:
    """What the values of all tasks are together."""
    first = objectives[0]
    name = first.name if len({one.name for one in objectives}) == 1 else "value"
    return Objective(f"{aggregate}_{name}", first.unit, first.maximize)


def _family(tasks: Sequence[Benchmark]) -> str:
    """What the names of tasks begin with, or all of them."""
    levels = zip(*(task.name.split("/") for task in tasks), strict=False)
    same = [level[0] for level in takewhile(lambda names: len(set(names)) == 1, levels)]
    return "/".join(same) or "+".join(task.name for task in tasks)


def _whole(space: SearchSpace) -> SearchSpace:
    return space.base if isinstance(space, PoolSpace) else space


def _common_space(tasks: Sequence[Benchmark]) -> SearchSpace:
    """The architectures that all tasks have."""
    pools = [task.space for task in tasks if isinstance(task.space, PoolSpace)]
    if not pools:
        return tasks[0].space
    if all(pool == pools[0] for pool in pools):
        return pools[0]
    base = pools[0].base
    common = set(base.index(pools[0].at(np.arange(pools[0].size))).tolist())
    for pool in pools[1:]:
        common &= set(base.index(pool.at(np.arange(pool.size))).tolist())
    if not common:
        raise BenchmarkError(
            f"The tables of {', '.join(task.name for task in tasks)} have no architecture in common."
        )
    return PoolSpace(base, base.at(np.array(sorted(common))))


def _members(space: SearchSpace, task: TableBenchmark) -> Architectures:
    """``(n, d)`` architectures of the space with an entry."""
    if isinstance(space, PoolSpace):
        return space.at(np.arange(space.size))
    members = task.table.architectures
    return members[(members >= 0).all(axis=1)]


def _told_apart(names: Sequence[str], tasks: Sequence[Benchmark]) -> list[str]:
    """The names of the objectives, with those of their tasks where they are not different."""
    short = [task.name.rpartition("/")[2] for task in tasks]
    for labels in ([""] * len(tasks), short, [task.name for task in tasks]):
        told = [f"{name} {label}".strip() for name, label in zip(names, labels, strict=True)]
        if len(set(told)) == len(told):
            break
    return told
