"""The simulator: the only loop that asks, evaluates and tells.

It knows the time. Time is simulated: an evaluation takes what the benchmark's clock charges, and
workers fall free in the order in which their evaluations end. What happens at one moment is told in
the order in which it was asked for, and only then do free workers ask, by their numbers. Work that an
algorithm does itself occupies a worker for what the benchmark charges for it.
"""

from __future__ import annotations

import copy
import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, Work
from nasbench_lab.benchmark import Benchmark, TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.clock import resumes
from nasbench_lab.errors import (
    AlgorithmError,
    BenchmarkError,
    BudgetError,
    InvalidArchitectureError,
)
from nasbench_lab.guard import closed_tables
from nasbench_lab.simulator.jobs import Job, notes_of, trace_of
from nasbench_lab.spaces import Architecture
from nasbench_lab.trace import SLACK, Trace
from nasbench_lab.words import counted
from nasbench_lab.workers import Workers

PATIENCE = 10_000
"""How many asks in a row may spend nothing of the budget before a run is stopped as endless."""


def simulate(
    algorithm: SearchAlgorithm,
    benchmark: Benchmark,
    budget: Budget | int | str,
    *,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
    noise: np.random.Generator | None = None,
    faults: np.random.Generator | None = None,
    known: Sequence[tuple[Architecture, Evaluation]] = (),
    candidates: Sequence[Architecture] = (),
    settings: dict[str, Any] | None = None,
) -> Trace:
    """Runs one search.

    A trial that is asked again, by its number, continues from the last epoch that it was told of;
    whether it pays for what was trained before is the clock's matter. Trials of an algorithm that
    overrides ``should_stop`` are shown to it at every epoch that the benchmark knows.

    The algorithm's own work (``Work``) takes what ``benchmark.charge`` says, and counts for budgets in
    seconds and epochs, not in evaluations. It neither fails nor straggles, as workers' faults are
    those of evaluations. Like an evaluation, it does not count if it would end after the budget.

    Args:
        algorithm: What is to search; it is used up by the run.
        benchmark: What evaluates its trials.
        budget: When to stop.
        workers: What evaluates at once, and how reliably.
        charge_repeats: Whether an evaluation that the run has made before costs again. If not, it
            takes no time and counts for no budget. One that still runs has not been made, and one
            that failed by the workers' fault neither. Own work is always charged.
        noise: Where random trials are drawn from.
        faults: Where failures and stragglers are drawn from.
        known: Evaluations of earlier searches on the same data. The algorithm observes them before it
            is asked; they count as results, cost nothing, and are not charged when they are asked
            for again.
        candidates: Architectures that are evaluated before the algorithm is asked, in this order. It
            observes their results.
        settings: What to note in the trace besides budget, clock and policies.

    Raises:
        AlgorithmError: The algorithm asked for something that is no trial of the space, for a trial
            that is still running, returned impossible work, or kept asking without spending any of
            the budget.
        BenchmarkError: An evaluation or work has an impossible price.
        BudgetError: The budget is not positive, or in a unit that the benchmark does not know.
    """
    budget = Budget.of(budget)
    workers = Workers.of(workers)
    if faults is None and (workers.fail or workers.straggle):
        raise BudgetError("Workers that fail or straggle need a generator: simulate(…, faults=…).")
    run = Run(algorithm, benchmark, budget, workers, charge_repeats, noise, faults)
    run.known, run.candidates, run.settings = known, deque(candidates), settings
    return run.trace()


class Run:
    """The state of a search: what was asked, what runs, and what came of it."""

    def __init__(
        self,
        algorithm: SearchAlgorithm,
        benchmark: Benchmark,
        budget: Budget,
        workers: Workers,
        charge_repeats: bool,
        noise: np.random.Generator | None,
        faults: np.random.Generator | None,
    ) -> None:
        budget.check(benchmark)
        maximize = tuple(objective.maximize for objective in benchmark.objectives)
        if algorithm.space != benchmark.space or algorithm.maximize != maximize:
            raise AlgorithmError(
                f"{type(algorithm).__name__} was built for {algorithm.space!r} with "
                f"maximize={algorithm.maximize}, but {benchmark.name!r} has {benchmark.space!r} and "
                f"needs maximize={maximize}."
            )
        self.algorithm, self.benchmark, self.workers = algorithm, benchmark, workers
        self.budget, self.charge_repeats, self.noise = budget, charge_repeats, noise
        self.faults = faults if workers.fail or workers.straggle else None
        self.resumes = resumes(benchmark.clock)
        self.free_misses = benchmark.missing == "free"
        self.is_table = isinstance(benchmark, TableBenchmark)
        self.shown = benchmark.fidelities if algorithm.watches_epochs else ()
        self.known: Sequence[tuple[Architecture, Evaluation]] = ()
        self.candidates: deque[Architecture] = deque()
        self.settings: dict[str, Any] | None = None
        self.done: list[Job] = []
        self.cut_off: list[Job] = []
        # By (time of the next event, number of the ask).
        self.running: list[tuple[float, int, Job]] = []
        # Of each trial: its architecture, the epoch it was told of last, and whether it runs.
        self.trials: dict[int, tuple[Architecture, int, bool]] = {}
        self.first: dict[tuple[Architecture | int, int | None], Evaluation] = {}
        # Of each trial the state in which its noise is drawn, and a generator to draw it again.
        self.noise_before: dict[int, Any] = {}
        self.noise_again: np.random.Generator | None = None
        # Why evaluations failed, by the number of the ask.
        self.reasons: dict[int, str] = {}
        self.asked = self.n_candidates = 0
        self.phase = -1  # of the budget, by its number

    def trace(self) -> Trace:
        """Searches, and returns what came of it."""
        # One thread for linear algebra: sums come out in another order on more, and on matrices as
        # small as a search has, more are slower.
        with threadpool_limits(1), closed_tables(EVALUATING):
            self.loop()
        return self.so_far()

    def so_far(self) -> Trace:
        """The trace of what is done."""
        benchmark, policies = self.benchmark, (self.budget, self.workers, self.charge_repeats)
        notes = notes_of(benchmark, *policies, self.settings)
        trace = trace_of(self.done, benchmark, notes, reasons=self.reasons)
        cut_off = sorted(self.cut_off, key=lambda job: (job.end, job.number))
        return replace(trace, cut_off=trace_of(cut_off, benchmark, notes, cut_off=True))

    def loop(self) -> None:
        """Asks, evaluates and tells until the budget is spent."""
        max_evaluations = self.budget.evaluations or math.inf
        max_seconds = self.budget.seconds or math.inf
        max_epochs = self.budget.epochs or math.inf
        counts_epochs = self.budget.epochs is not None
        phases = self.budget.phases
        algorithm, running = self.algorithm, self.running
        for architecture, evaluation in self.known:
            self._know(architecture, evaluation)
        free, all_free = list(range(self.workers.count)), self.workers.count
        now, evaluations, epochs, unspent = 0.0, 0, 0.0, 0
        over = working = False
        while True:
            waits = working or (self.workers.synchronous and len(free) < all_free)
            asking = 0 if waits else len(free)
            while asking and not over and evaluations < max_evaluations and epochs < max_epochs:
                asking -= 1
                if phases:
                    spent = evaluations / max_evaluations, now / max_seconds, epochs / max_epochs
                    self._enter(max(spent))
                asked = self._candidate() if self.candidates else algorithm.ask()
                if asked is None:
                    break
                if isinstance(asked, Work):
                    job = self._work(asked, now)
                else:
                    if phases:
                        asked = self._in_phase(asked)
                    job = self._start(asked, now)
                    evaluations += job.charged
                if counts_epochs:
                    epochs += self._epochs(job)
                    over = epochs > max_epochs + SLACK
                job.worker = free.pop(0)
                if over:
                    self.cut_off.append(job)
                    break
                unspent = 0 if self._spends(job) else unspent + 1
                if unspent > PATIENCE:
                    free_of_charge = self.free_misses or self.known or not self.charge_repeats
                    if job.work is not None or not free_of_charge:
                        raise self._endless(job, evaluations)
                    over = True
                self._push(job)
                if job.work is not None:
                    working = True
                    break
            now = self._next_moment()
            if now > max_seconds or not running:
                break
            # All that happens at one moment is told before anybody asks again.
            while running and running[0][0] == now:
                job = heapq.heappop(running)[2]
                if job.seen is not None:
                    if not algorithm.should_stop(job.trial, job.seen):
                        self._push(job)
                        continue
                    epochs -= self._epochs(job)
                    job.evaluation, job.end, job.stopped, job.failed = job.seen, now, True, False
                    job.trial = job.trial._replace(epoch=job.seen.epoch)
                    epochs += self._epochs(job)
                self._finish(job)
                working = working and job.work is None
                free.append(job.worker)
            free.sort()

        # Of a search that ended in nothing but what is free, that says nothing.
        n_known = len(self.known)
        while unspent > PATIENCE and len(self.done) > n_known and not self.done[-1].charged:
            if self.done[-1].work is not None:
                break
            self.done.pop()
        self.cut_off += [job for _, _, job in running]

    def _next_moment(self) -> float:
        """When the next evaluation is shown or ends; nothing is left to wait for if none runs."""
        return self.running[0][0] if self.running else math.inf

    def _enter(self, spent: float) -> None:
        """Enters the phase that is on when a share of the budget is spent."""
        phases = self.budget.phases
        while self.phase < 0 or (
            self.phase < len(phases) - 1 and spent >= phases[self.phase].until
        ):
            self.phase += 1
            weights = phases[self.phase].weights
            if weights is not None:
                self.algorithm.reweigh(weights)

    def _in_phase(self, trial: Trial) -> Trial:
        """The trial, with the epoch of the phase if it names none."""
        epoch = self.budget.phases[self.phase].epoch
        if epoch is None or not isinstance(trial, Trial) or trial.epoch is not None:
            return trial
        return trial._replace(epoch=epoch)

    def _know(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Takes an evaluation of an earlier search, which is there from the beginning."""
        job = Job()
        job.number, job.start, job.end, job.worker = -1, 0.0, 0.0, -1
        job.trial, job.evaluation = Trial(-1, architecture, evaluation.epoch), evaluation
        job.charged = job.failed = job.stopped = False
        job.since, job.factor, job.upcoming, job.seen, job.work = 0, 1.0, [], None, None
        self.done.append(job)
        self.first.setdefault(_what(job.trial, evaluation), evaluation)
        self.algorithm.observe(architecture, evaluation)

    def _candidate(self) -> Trial:
        """The trial of the next candidate; its number is none that an algorithm gives."""
        self.n_candidates += 1
        return Trial(-1 - self.n_candidates, self.candidates.popleft())

    def _is_candidate(self, trial: Trial) -> bool:
        """Whether a trial is none of the algorithm's."""
        return -1 > trial.number >= -1 - self.n_candidates

    def _endless(self, job: Job, evaluations: int) -> AlgorithmError:
        """The error of a search that would never spend its budget."""
        kind, advice = "evaluations that take no time or epochs", " Give a number of evaluations."
        if job.work is not None:
            kind = "evaluations or work of its own that take nothing of the budget"
            advice = " Return None when there is no more to do."
        return AlgorithmError(
            f"{type(self.algorithm).__name__} asked {PATIENCE:,} times in a row for {kind}, so the "
            f"budget of {self.budget} would never be spent "
            f"({counted(evaluations, 'evaluation')} so far).{advice}"
        )

    def _work(self, work: Work, now: float) -> Job:
        """The algorithm's own work, which ends when its price is paid."""
        benchmark = self.benchmark
        checked = work.checked(benchmark.space, type(self.algorithm).__name__)
        cost = float(benchmark.charge(checked))
        if not 0 <= cost < math.inf:
            raise BenchmarkError(
                f"Expected a price of at least 0 but {benchmark.name!r} charged {cost!r} for the "
                f"work of {type(self.algorithm).__name__}."
            )
        row, violation, architecture = -1, 0.0, (-1,) * len(benchmark.space.decisions)
        if checked.architecture is not None:
            architecture = checked.architecture
            row, violation = benchmark.entry(architecture)
        job = Job()
        job.number, job.start, job.end = self.asked, now, now + cost
        self.asked += 1
        job.work, job.passes = work, checked.epochs
        job.trial = Trial(-1, architecture)
        values = (math.nan,) * len(benchmark.objectives)
        job.evaluation = Evaluation(values, cost, None, row, violation)
        job.charged = job.failed = job.stopped = False
        job.since, job.factor, job.upcoming, job.seen = 0, 1.0, [], None
        return job

    def _start(self, trial: Trial, now: float) -> Job:
        """What a trial that was asked will come to."""
        if not isinstance(trial, Trial):
            raise AlgorithmError(
                f"{type(self.algorithm).__name__}.ask must return a Trial or Work, or None, but "
                f"returned {trial!r}. Return self.trial(architecture)."
            )
        job = Job()
        job.number, job.start, job.trial = self.asked, now, trial
        self.asked += 1
        since = self._since(trial)
        evaluation = self._evaluate(trial, trial.epoch, since)
        job.charged = not (self.free_misses and evaluation.row < 0)
        job.failed, job.stopped, job.factor = False, False, 1.0
        job.since = min(since, evaluation.epoch or 0)
        job.upcoming, job.seen, job.work = [], None, None
        if self.first:
            made = self.first.get(_what(trial, evaluation))
            if made is not None:
                job.charged, evaluation = False, made._replace(cost=0.0)
        if (
            job.charged
            and self.shown
            and not self._is_candidate(trial)
            and evaluation.epoch is not None
        ):
            job.upcoming = [e for e in reversed(self.shown) if since < e < evaluation.epoch]
        if self.faults is not None and job.charged:
            straggles, fails, moment = self.faults.random(3).tolist()
            cost = evaluation.cost
            if straggles < self.workers.straggle:
                job.factor = self.workers.slowdown
                cost *= job.factor
            if fails < self.workers.fail:
                job.failed = True
                cost *= moment
                evaluation = evaluation._replace(values=(math.nan,) * len(evaluation.values))
            evaluation = evaluation._replace(cost=cost)
        job.evaluation, job.end = evaluation, now + evaluation.cost
        self.trials[trial.number] = trial.architecture, since, True
        return job

    def _since(self, trial: Trial) -> int:
        """The epoch that a trial has been trained to; 0 for a new one."""
        known = self.trials.get(trial.number)
        if known is None:
            return 0
        architecture, since, runs = known
        if runs or architecture != trial.architecture:
            problem = "that still runs" if runs else "with another architecture"
            raise AlgorithmError(
                f"{type(self.algorithm).__name__} asked again for trial {trial.number} {problem}. A "
                f"new trial is made by self.trial(…); one that continues, after it was told, by "
                f"trial._replace(epoch=…)."
            )
        return since

    def _spends(self, job: Job) -> bool:
        """Whether an evaluation or own work brings the end of the budget nearer."""
        return (
            (self.budget.seconds is not None and job.evaluation.cost > 0)
            or (self.budget.evaluations is not None and job.charged)
            or (self.budget.epochs is not None and self._epochs(job) > 0)
        )

    def _epochs(self, job: Job) -> float:
        """What an evaluation or own work counts for a budget in epochs."""
        if not job.charged:
            return 0 if job.work is None else job.passes
        return (job.evaluation.epoch or 0) - (job.since if self.resumes else 0)

    def _push(self, job: Job) -> None:
        """Queues the next event of an evaluation: an epoch that is shown, or its end."""
        moment, before = job.end, job.seen
        job.seen = None
        if job.upcoming:
            seen = self._evaluate(job.trial, job.upcoming.pop(), job.since)
            cost, whole = seen.cost * job.factor, job.evaluation.cost
            if before is not None:
                cost = max(cost, before.cost)
            if cost < whole or not job.failed:
                # Never after the end, should validation passes of different epochs differ.
                cost = min(cost, whole)
                moment = job.start + cost
                job.seen = seen if cost == seen.cost else seen._replace(cost=cost)
        heapq.heappush(self.running, (moment, job.number, job))

    def _finish(self, job: Job) -> None:
        trial, evaluation = job.trial, job.evaluation
        self.done.append(job)
        if job.work is not None:
            return
        trained = self.trials[trial.number][1]
        if not job.failed:
            trained = max(trained, evaluation.epoch or 0)
            if not self.charge_repeats:
                self.first.setdefault(_what(trial, evaluation), evaluation)
        self.trials[trial.number] = trial.architecture, trained, False
        if self._is_candidate(trial):
            self.algorithm.observe(trial.architecture, evaluation)
        else:
            self.algorithm.tell(trial, evaluation)

    def _evaluate(self, trial: Trial, epoch: int | None, since: int) -> Evaluation:
        benchmark = self.benchmark
        try:
            noise = self._noise(trial.number) if benchmark.noisy else self.noise
            if since and self.resumes:
                evaluation = benchmark.evaluate(trial.architecture, epoch, noise, since=since)
            else:
                evaluation = benchmark.evaluate(trial.architecture, epoch, noise)
        except (InvalidArchitectureError, AttributeError, TypeError) as error:
            problem: Exception = error
            try:
                benchmark.space.validate(trial.architecture)
            except InvalidArchitectureError as invalid:
                problem = invalid
            else:
                if isinstance(trial.architecture, tuple):
                    raise  # a mistake in the benchmark
            raise AlgorithmError(
                f"{type(self.algorithm).__name__} asked for an architecture that is not of the "
                f"space: {problem}"
            ) from error
        if not self.is_table:
            evaluation = self._checked(evaluation, epoch)
        if not 0 <= evaluation.cost < math.inf:
            raise BenchmarkError(
                f"Expected a cost of at least 0 but {benchmark.name!r} charged {evaluation.cost!r} "
                f"for {benchmark.space.to_string(trial.architecture)}."
            )
        return evaluation

    def _checked(self, evaluation: Evaluation, epoch: int | None) -> Evaluation:
        """What a benchmark answered, with the epoch that it was asked for.

        Raises:
            BenchmarkError: It is no answer.
        """
        name, n = self.benchmark.name, len(self.benchmark.objectives)
        if not isinstance(evaluation, Evaluation):
            raise BenchmarkError(
                f"Expected {name!r} to return an Evaluation but it returned {evaluation!r:.100}. "
                f"Return Evaluation((value,), cost)."
            )
        values = evaluation.values
        if not isinstance(values, tuple | list | np.ndarray) or len(values) != n:
            raise BenchmarkError(
                f"Expected {name!r} to return {counted(n, 'value')}, one for each objective, but it "
                f"returned {values!r:.100}. Return Evaluation((value,), cost)."
            )
        try:
            values = tuple(map(float, values))
            cost, violation = float(evaluation.cost), float(evaluation.violation)
        except (TypeError, ValueError) as error:
            raise BenchmarkError(
                f"Expected {name!r} to return numbers but it returned {evaluation!r:.200}."
            ) from error
        at = evaluation.epoch if evaluation.epoch is not None else epoch or self.benchmark.epochs
        return Evaluation(values, cost, at, evaluation.row, violation)

    def _noise(self, number: int) -> np.random.Generator | None:
        """The generator of a trial's noise, which is the same at all of its epochs."""
        if self.noise is None or len(self.benchmark.fidelities) < 2:
            return self.noise
        before = self.noise_before.get(number)
        if before is None:
            self.noise_before[number] = self.noise.bit_generator.state
            return self.noise
        if self.noise_again is None:
            self.noise_again = copy.deepcopy(self.noise)
        self.noise_again.bit_generator.state = before
        return self.noise_again


EVALUATING = Run._evaluate.__code__, Run._work.__code__
"""The code that asks benchmarks, which may open tables while a search may not."""


def _what(trial: Trial, evaluation: Evaluation) -> tuple[Architecture | int, int | None]:
    """What counts as the same evaluation: isomorphic architectures share a table's row."""
    what = evaluation.row if evaluation.row >= 0 else trial.architecture
    return what, evaluation.epoch or trial.epoch  # the last epoch may be asked as None
