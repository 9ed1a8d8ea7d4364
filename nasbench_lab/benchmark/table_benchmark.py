"""A benchmark that looks values up in a table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import Evaluation, Work
from nasbench_lab.benchmark.interface import MISSING, Benchmark
from nasbench_lab.benchmark.own_time import PassTimes
from nasbench_lab.benchmark.questions import Questions
from nasbench_lab.clock import Times, counts_seconds, epochs_in_words, resumes
from nasbench_lab.errors import BenchmarkError, QueryError, UnknownNameError
from nasbench_lab.spaces import Architecture, Architectures, PoolSpace, SearchSpace
from nasbench_lab.tables.columns import Constraint, Query
from nasbench_lab.tables.coverage import ENOUGH
from nasbench_lab.tables.table import Table

if TYPE_CHECKING:
    from nasbench_lab.trace import Trace


class TableBenchmark(Benchmark):
    """A benchmark that looks values up in a table.

    Args:
        table: The table.
        task: One of the table's tasks, for the default objective and report.
        objective: The query that the search sees, or several; by default the table's. Test metrics
            are refused.
        report: The query that results are reported in; by default the table's.
        clock: One of ``CLOCKS``; by default the table's, else ``official`` or ``train_only`` if the
            table has the times for it, else ``evaluations``.
        fallback: A benchmark for architectures that the table lacks, such as a
            ``TrainingBenchmark``. Its evaluations have row -1 and no test value.
        missing: What comes of the architectures that the table lacks. ``pool``: the space is that of
            the architectures that have all values which a search sees, so that a search moves among
            these only. ``fail``: their evaluations fail; they count as evaluations, and take no
            time. ``free``: likewise, but they cost nothing of any budget. ``fallback``: the fallback
            evaluates them. By default ``fallback`` if there is one, else ``pool`` if the table holds
            less than half of its space, and ``fail`` if it holds more.
        constraints: Constraints on architectures, such as ``"parameters<=0.5"``. An architecture that
            breaks one costs as much as any other and is never an incumbent; its evaluation has the
            violation. Regret is against the best architecture within the constraints. A constraint
            that depends on training, such as ``"valid_accuracy>=90"``, is checked after the last
            epoch only; before, the violation is NaN, and the architecture is no incumbent.

    Raises:
        QueryError: The table cannot answer, the objective or a constraint is measured on test data,
            no entry keeps to the constraints, the fallback measures something else, or ``missing``
            and ``fallback`` contradict each other.
        UnknownNameError: The table has no such task, or there is no such clock or ``missing``.
    """

    standard = "the table's best"
    """What regrets are measured from, in words."""
    standard_short = ""
    """What labels of regrets say of it; nothing if it is the best there is."""
    whole = "the table"
    """What its entries and its front are those of, in words."""
    whose = "the table's"
    """The same as a possessive."""

    def __init__(
        self,
        table: Table,
        task: str | None = None,
        *,
        objective: Query | str | Sequence[Query | str] | None = None,
        report: Query | str | None = None,
        clock: str | None = None,
        fallback: Benchmark | None = None,
        constraints: Constraint | str | Sequence[Constraint | str] | None = (),
        missing: str | None = None,
    ) -> None:
        self.table, self.task = table, task
        self.space: SearchSpace = table.space
        self.name = table.name if task is None else f"{table.name}/{task}"
        questions = Questions.of(table, task, objective, report, constraints)
        self.queries, self.report = questions.queries, questions.report
        self.constraints, self.objectives = questions.constraints, questions.objectives
        self.epochs, self.dataset = questions.epochs, questions.main.dataset
        self.noisy = any(query.trial == "random" for query in self.queries)
        self._times = Times(table, questions.main)
        self.clock = self._times.clock(clock, self.epochs)
        paid = [e for e in questions.common if self.clock in self._times.clocks(e)]
        self.fidelities = tuple(paid)
        self._unpaid = tuple(e for e in questions.common if e not in paid)
        self.fallback = fallback
        if fallback is not None:
            self._check_fallback(fallback)
        self._evaluations: dict[int | None, dict[Architecture, Evaluation]] = defaultdict(dict)
        self._columns: dict[int | None, _Columns] = {}
        self._trials: dict[int | None, list[_Trials]] = {}
        self._rows: dict[Architecture, int] = {}
        self._feasible: NDArray[np.bool_] | None = None
        self._untrained: NDArray[np.float64] | None = None
        self._pass_times: PassTimes | None = None
        self._check_constraints()
        self.missing = _policy(table, missing, fallback)
        if self.missing == "pool":
            self.space = self._pool()

    def _pool(self) -> PoolSpace:
        """The architectures that have all values which a search sees."""
        values, _, _ = self._at(None)
        measured = self.table.architectures[~np.isnan(values).any(axis=0)]
        measured = measured[(measured >= 0).all(axis=1)]  # others have a row, and no architecture
        if not len(measured):
            seen = ", ".join(objective.name for objective in self.objectives)
            raise QueryError(
                f"No entry of {self.table.name!r} has values of {seen} by the clock {self.clock!r}, so "
                f"there is nothing that a search could move among."
            )
        return PoolSpace(self.table.space, measured)

    def _check_constraints(self) -> None:
        """Refuses constraints that no entry keeps to."""
        if not self.constraints or self.feasible.any():
            return
        bounded = [(constraint, self._bounded(constraint)) for constraint in self.constraints]
        counts = " ".join(
            f"{int((constraint.violation(values) == 0).sum())} keep to {constraint}, of values from "
            f"{np.nanmin(values):.6g} to {np.nanmax(values):.6g}."
            for constraint, values in bounded
        )
        raise QueryError(
            f"No entry of {self.table.name!r} keeps to {', '.join(map(str, self.constraints))}"
            f"{' at once' if len(self.constraints) > 1 else ''}. {counts}"
        )

    def _check_fallback(self, fallback: Benchmark) -> None:
        """Refuses a fallback whose values cannot be compared with the table's."""
        if self.constraints:
            raise QueryError(f"{fallback.name!r} cannot tell whether constraints are kept.")
        here, there = (
            {
                "space": benchmark.space.name,
                "objectives": [(o.unit, o.maximize) for o in benchmark.objectives],
                "data set": benchmark.dataset,
                "epochs": benchmark.epochs,
                "clock": benchmark.clock,
            }
            for benchmark in (self, fallback)
        )
        for what, value in here.items():
            if value != there[what]:
                raise QueryError(
                    f"{fallback.name!r} cannot stand in for {self.name!r}: {what} {there[what]}, "
                    f"where the table has {value}."
                )

    def lacking_times(self) -> list[str]:
        """Sentences that name the epochs and clocks for which the table lacks times."""
        name, clock = self.first_objective.metric, self.table.info.clock
        times = f"the times of the table ({', '.join(sorted(self._times.columns)) or 'none'})"
        clocks = self._times.clocks(self.epochs)
        sentences = []
        if clock not in clocks and (clock or self._times.columns) and (clock or len(clocks) == 1):
            sentences.append(
                f"{times} cannot pay for {name}{f' after epoch {self.epochs}' if self.epochs else ''}"
                f"{f' by the clock {clock!r}' if clock else ''}; clocks: {', '.join(clocks)}"
            )
        if self._unpaid:
            sentences.append(
                f"{times} cannot pay for {name} after {epochs_in_words(self._unpaid)} by the clock "
                f"{self.clock!r}: searches are offered {epochs_in_words(self.fidelities)} only"
            )
        return sentences

    @property
    def fingerprint(self) -> str:
        """A checksum of the parts of the table that this benchmark reads."""
        queries = [*self.queries, self.report, *(c.query for c in self.constraints)]
        return self.table.fingerprint(
            {self.table.column(query).name for query in queries} | self._times.columns
        )

    @property
    def first_objective(self) -> Query:
        """The first objective by the mean over trials, which results are judged by."""
        query = self.queries[0]
        return replace(query, trial="mean") if query.trial == "random" else query

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """``(rows,)`` whether each entry keeps to the constraints at the end of training."""
        if self._feasible is None:
            self._feasible = np.ones(len(self.table), dtype=np.bool_)
            for constraint in self.constraints:
                self._feasible &= constraint.violation(self._bounded(constraint)) == 0
        return self._feasible

    def _bounded(self, constraint: Constraint) -> NDArray[np.float64]:
        """``(rows,)`` values that a constraint bounds; means replace random trials."""
        query = constraint.query
        if query.trial == "random":
            query = replace(query, trial="mean")
        if self.table.column(query).epochs and query.epoch is None:
            query = replace(query, epoch=self.epochs)
        return self.table.values(query)

    def rows(self, trace: Trace) -> NDArray[np.int64]:
        """``(n,)`` entry of each evaluation of a run, by which it is judged; -1 without one."""
        return trace.row

    def ranking(self, query: Query | str) -> NDArray[np.int64]:
        """Rows that keep to the constraints from best to worst by a query, as ``Table.ranking``."""
        ranking = self.table.ranking(query)
        return ranking[self.feasible[ranking]] if self.constraints else ranking

    def optimum(self, query: Query | str) -> float:
        """The best value of a query among the entries that keep to the constraints.

        Raises:
            QueryError: None of these entries has a value.
        """
        ranking = self.ranking(query)
        if not len(ranking):
            raise QueryError(f"No entry of {self.name!r} that is allowed has a {query}.")
        return float(self.table.values(query)[ranking[0]])

    def __repr__(self) -> str:
        objectives = ", ".join(objective.name for objective in self.objectives)
        return f"<TableBenchmark {self.name!r}: {objectives}, clock {self.clock!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        queries = self.queries, self.report, self.clock, self.fallback, self.constraints
        return _restore, (self.table, self.task, *queries, self.missing)

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """Looks an architecture up.

        What comes of an architecture that the table lacks is what ``missing`` says.

        Raises:
            InvalidArchitectureError: The architecture is not of the space, which may be a pool.
        """
        if since is not None and resumes(self.clock):
            if self.fallback is not None and self._row(architecture) < 0:
                return self.fallback.evaluate(architecture, epoch, rng, since)._replace(row=-1)
            if self.noisy and self._row(architecture) >= 0:
                return self._evaluate_random(self._row(architecture), epoch, rng, since)
            return self._resumed(self.evaluate(architecture, epoch, rng), since)
        evaluations = self._evaluations[epoch]
        if (result := evaluations.get(architecture)) is not None:
            return result
        row = self._row(architecture)
        columns, costs, violations = self._columns.get(epoch) or self._at(epoch)
        if row < 0 and self.fallback is not None:
            return self.fallback.evaluate(architecture, epoch, rng)._replace(row=-1)
        if row < 0:
            if self.missing == "pool":
                self.space.validate(architecture)
            values = (math.nan,) * len(columns)
            at = self.epochs if epoch is None else epoch
            result = Evaluation(values, self._cost_of_absent, at, row)
        elif self.noisy:
            return self._evaluate_random(row, epoch, rng)
        else:
            values = tuple([column.item(row) for column in columns])
            at = self.epochs if epoch is None else epoch
            violation = 0.0 if violations is None else violations.item(row)
            result = Evaluation(values, costs.item(row), at, row, violation)
        evaluations[architecture] = result
        return result

    @property
    def _cost_of_absent(self) -> float:
        return 0.0 if counts_seconds(self.clock) or self.missing == "free" else 1.0

    def _row(self, architecture: Architecture) -> int:
        """The table's row of an architecture, which is the same at all epochs."""
        row = self._rows.get(architecture)
        if row is None:
            row = self._rows[architecture] = self.table.row(architecture)
        return row

    def entry(self, architecture: Architecture) -> tuple[int, float]:
        """What is known of an architecture that was not trained.

        Returns:
            Its row, or -1; and by how much it violates the constraints, NaN if only a training would
            tell, or the table lacks it and there is no fallback.
        """
        row = self._row(architecture)
        if row < 0:
            return row, math.nan if self.fallback is None else 0.0
        if self._untrained is None:
            violations = self._violations(trained=False)
            self._untrained = np.zeros(len(self.table)) if violations is None else violations
        return row, self._untrained.item(row)

    def charge(self, work: Work) -> float:
        """The price of an algorithm's own work, in the unit of the clock.

        Passes take what the table's training times say, see ``PassTimes``; those along an architecture
        are best counted in its canonical form, as its entry is. Work without passes takes its own
        seconds. If the clock counts evaluations, passes count as the trainings that they are
        worth, and seconds nothing.

        Raises:
            BenchmarkError: The clock counts seconds, and the table does not say of how many epochs.
        """
        if work.passes is None or not counts_seconds(self.clock):
            return super().charge(work)
        if self._pass_times is None:
            self._pass_times = self._fitted_times()
        return self._pass_times.price(work)

    def _fitted_times(self) -> PassTimes:
        """What a pass over the training data takes, by the times of the whole training."""
        schedule = self.table.column(self.queries[0]).schedule or ""
        epochs = self.epochs or (int(schedule) if schedule.isdecimal() else None)
        if not epochs:
            raise BenchmarkError(
                f"{self.name!r} has the time of a whole training, but not its number of epochs, so a "
                f"pass over the training data has no price. Choose the clock 'evaluations'."
            )
        if self.clock == "train_only":
            seconds = self._times.costs(self.clock, self.epochs)
        else:
            seconds = self._times.train(self.epochs)
        return PassTimes.fitted(self.table.space, self.table.architectures, seconds / epochs)

    def evaluate_many(
        self, architectures: Architectures, epoch: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Looks many architectures up at once, by the mean over trials and without fallback.

        Args:
            architectures: ``(n, d)`` architectures.
            epoch: After how many epochs, or None for all.

        Returns:
            ``(n, m)`` objective values, NaN if the table has no entry, and ``(n,)`` costs.
        """
        rows = self.table.row(architectures)
        columns, costs, _ = self._at(epoch)
        values = np.stack([column[rows] for column in columns], axis=1)
        absent = rows < 0
        values[absent] = np.nan
        return values, np.where(absent, self._cost_of_absent, costs[rows])

    def _at(self, epoch: int | None) -> _Columns:
        """``(rows,)`` values of each objective, costs and violations at an epoch."""
        if epoch not in self._columns:
            questions = [self._at_epoch(query, epoch) for query in self.queries]
            values = [
                self.table.values(replace(q, trial="mean") if q.trial == "random" else q)
                for q in questions
            ]
            if not counts_seconds(self.clock):
                costs = np.ones(len(self.table))
            else:
                costs = self._times.costs(self.clock, self.epochs if epoch is None else epoch)
                # An entry without a time counts as failed, as times are never made up.
                unknown = np.isnan(costs)
                values = [np.where(unknown, np.nan, some) for some in values]
                costs = np.where(unknown, 0.0, costs)
            violations = self._violations(trained=epoch in (None, self.epochs))
            self._columns[epoch] = values, costs, violations
        return self._columns[epoch]

    def _violations(self, *, trained: bool) -> NDArray[np.float64] | None:
        """``(rows,)`` sums of violations, NaN where only training to the end tells; None if none can.

        Args:
            trained: Whether the architectures were trained to the end.
        """
        if not self.constraints:
            return None
        violations, untold = np.zeros(len(self.table)), False
        for constraint in self.constraints:
            column = self.table.column(constraint.query)
            if trained or not (column.epochs or column.split):
                violations += constraint.violation(self._bounded(constraint))
            else:
                untold = True
        if untold:
            violations[violations == 0] = np.nan
        return violations

    def _at_epoch(self, query: Query, epoch: int | None) -> Query:
        """The query at an epoch; a column without epochs, such as parameters, has its only value."""
        if epoch is None:
            return query
        column = self.table.column(query)
        if self.epochs is not None and column.epochs is None and column.split is None:
            return query
        return replace(query, epoch=epoch)

    def _resumed(self, evaluation: Evaluation, since: int, trial: int | str = "mean") -> Evaluation:
        """The evaluation without the cost of the epochs that were trained before."""
        trained = self._times.train(min(since, evaluation.epoch or since), trial)
        saved = trained.item(evaluation.row) if evaluation.row >= 0 else math.nan
        if math.isnan(saved):
            return evaluation
        return evaluation._replace(cost=max(0.0, evaluation.cost - saved))

    def _trials_at(self, epoch: int | None) -> list[_Trials]:
        """The trials of each objective that is drawn at random, at an epoch."""
        if epoch not in self._trials:
            self._trials[epoch] = [
                (
                    i,
                    self.table.column(query).trials,
                    self.table.trials(self._at_epoch(query, epoch)),
                )
                for i, query in enumerate(self.queries)
                if query.trial == "random"
            ]
        return self._trials[epoch]

    def _evaluate_random(
        self,
        row: int,
        epoch: int | None,
        rng: np.random.Generator | None,
        since: int | None = None,
    ) -> Evaluation:
        """Draws one training, for the cost and for all objectives with a random trial."""
        if rng is None:
            raise QueryError("A random trial needs a generator: evaluate(…, rng=…).")
        columns, costs, violations = self._at(epoch)
        values = [column.item(row) for column in columns]
        cost = costs.item(row)
        drawn: int | str | None = None
        timed: int | str = "mean"
        for i, names, trials in self._trials_at(epoch):
            values_by_trial = {
                name: v
                for name, v in zip(names, trials[row].tolist(), strict=True)
                if not math.isnan(v)
            }
            # Without a mean there is no trial, or no time to charge.
            if not values_by_trial or math.isnan(values[i]):
                continue
            if drawn not in values_by_trial:
                drawn = list(values_by_trial)[int(rng.random() * len(values_by_trial))]
                if counts_seconds(self.clock):
                    at = self.epochs if epoch is None else epoch
                    own = self._times.costs(self.clock, at, drawn).item(row)
                    if not math.isnan(own):
                        cost, timed = own, drawn
            values[i] = values_by_trial[drawn]
        at = self.epochs if epoch is None else epoch
        violation = 0.0 if violations is None else violations.item(row)
        result = Evaluation(tuple(values), cost, at, row, violation)
        return result if since is None else self._resumed(result, since, timed)


_Trials = tuple[int, tuple[int | str, ...], NDArray[Any]]
"""The number of an objective, the names of its trials, and their ``(rows, trials)`` values."""

_Columns = tuple[list[NDArray[np.float64]], NDArray[np.float64], NDArray[np.float64] | None]


def _restore(
    table: Table,
    task: str | None,
    queries: tuple[Query, ...],
    report: Query,
    clock: str,
    fallback: Benchmark | None,
    constraints: tuple[Constraint, ...],
    missing: str,
) -> TableBenchmark:
    return TableBenchmark(
        table,
        task,
        objective=queries,
        report=report,
        clock=clock,
        fallback=fallback,
        constraints=constraints,
        missing=missing,
    )


def _policy(table: Table, missing: str | None, fallback: Benchmark | None) -> str:
    """What comes of architectures that a table lacks: what was asked for, or the default.

    Raises:
        QueryError: It contradicts the fallback.
        UnknownNameError: There is no such policy.
    """
    if missing is None:
        if fallback is not None:
            return "fallback"
        return "pool" if table.coverage.share < ENOUGH else "fail"
    if missing not in MISSING:
        raise UnknownNameError("policy for missing architectures", str(missing), MISSING)
    if (missing == "fallback") != (fallback is not None):
        raise QueryError(
            "The policy 'fallback' for missing architectures needs a benchmark to fall back to: "
            "TableBenchmark(table, fallback=…)."
            if fallback is None
            else f"{fallback.name!r} is given as a fallback for missing architectures, which the "
            f"policy {missing!r} does not use. Leave out one of the two."
        )
    return missing
