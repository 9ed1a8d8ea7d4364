"""Searches in real time: the simulator's loop, with workers that evaluate for real.

The loop is the simulator's, so its rules are the same. Only the next event comes from elsewhere: from
the pool of workers, or, when a search goes on, first from the record of what they answered. The
search asks the same again for the same answers at the same moments.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, Work
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import (
    AlgorithmError,
    BudgetError,
    ExperimentError,
    InvalidArchitectureError,
)
from nasbench_lab.simulator.jobs import Job
from nasbench_lab.simulator.simulator import Run
from nasbench_lab.spaces import Architecture
from nasbench_lab.trace import Trace
from nasbench_lab.workers import Workers

TICK_S = 2.0**-10
"""Moments are multiples of this, so that their sums and differences are exact."""

NOT_A_NUMBER = "a value is not a number (NaN), such as of a training that diverged"
"""Why an evaluation counts as failed that gave such a value."""

_LOOK_S = 0.5
"""How often somebody who watches is shown how things stand."""


class Order(NamedTuple):
    """What a worker is to evaluate.

    Args:
        ask: The number of the ask.
        worker: Who evaluates it.
        trial: The trial; its epoch is the one to train to.
        since: The epoch that it has been trained to.
        seed: Of the trial's noise, if the benchmark draws any.
    """

    ask: int
    worker: int
    trial: Trial
    since: int
    seed: int


class Outcome(NamedTuple):
    """What came of an order, or of the algorithm's own work.

    Args:
        moment: When, in seconds of the search.
        ask: The number of the ask.
        trial: The trial, with the epoch that was trained to; the number -1 for own work.
        evaluation: What the benchmark answered; None for own work, or if it failed.
        reason: Why it failed.
    """

    moment: float
    ask: int
    trial: Trial
    evaluation: Evaluation | None
    reason: str = ""


Finished = tuple[int, Evaluation | None, str]
"""What came of an order: the number of the ask, the evaluation, or None and why it failed."""

_OVER = -1
"""The number of the ask in the outcome that says that the budget's seconds are over."""


class Pool(Protocol):
    """Workers that evaluate at once. A search uses it from one thread."""

    def start(self) -> None:
        """Waits until all workers can evaluate."""

    def now(self) -> float:
        """The time in seconds, from any moment on."""

    def submit(self, order: Order) -> None:
        """Has a worker begin."""

    def wait(self, seconds: float) -> Sequence[Finished]:
        """What has been finished, once there is any; nothing after so many seconds."""

    def epochs(self) -> dict[int, int]:
        """How many epochs of what they are at is done, of the workers who say so."""


class AtWork(NamedTuple):
    """What a worker evaluates.

    Args:
        trial: The trial, with the epoch that it is trained to.
        since: The epoch that it had been trained to.
        start: When it was asked, in seconds of the search.
        epoch: The epoch that it has been trained to by now; None if the worker does not say.
    """

    trial: Trial
    since: int
    start: float
    epoch: int | None


class Standing(NamedTuple):
    """How a search in real time stands, for those who watch.

    Args:
        seconds: Since it began.
        finished: How many evaluations have ended.
        at_work: What is evaluated now, by worker.
        trace: Makes the trace so far.
    """

    seconds: float
    finished: int
    at_work: dict[int, AtWork]
    trace: Callable[[], Trace]


def search_live(
    algorithm: SearchAlgorithm,
    benchmark: Benchmark,
    budget: Budget | int | str,
    pool: Pool,
    *,
    workers: Workers | int = 1,
    charge_repeats: bool = True,
    noise: int = 0,
    known: Sequence[tuple[Architecture, Evaluation]] = (),
    candidates: Sequence[Architecture] = (),
    settings: dict[str, Any] | None = None,
    recorded: Iterable[Outcome] = (),
    record: Callable[[Sequence[Outcome]], None] = lambda outcomes: None,
    watch: Callable[[Standing], None] = lambda standing: None,
) -> Trace:
    """Runs one search in real time.

    It asks, tells and stops trials by the rules of ``simulate``. What has come in by the time that the
    search looks happens at one moment. An evaluation takes from the moment when it is asked until
    then, and that is its cost, whatever the benchmark charges.

    Args:
        algorithm: What is to search.
        benchmark: What is searched on; its clock is ``REAL``, or another that counts seconds.
        budget: When to stop; seconds are real. What is trained when they are over is cut off.
        pool: What evaluates.
        workers: How many evaluate at once. That they fail or straggle is not simulated.
        charge_repeats: As for ``simulate``; a repeat is not evaluated again if it is free.
        noise: The seed of the trials' noise.
        known: As for ``simulate``.
        candidates: As for ``simulate``.
        settings: As for ``simulate``.
        recorded: The outcomes of this search so far, if it goes on.
        record: Called with the outcomes of each moment before the search learns them.
        watch: Called twice a second while workers are at work, and at the end.

    Raises:
        ExperimentError: The search does not ask for what is recorded, so it is another one.
        NasbenchLabError: As ``simulate``.
    """
    workers = Workers.of(workers)
    if workers.fail or workers.straggle:
        raise BudgetError(
            "Real workers fail and straggle by themselves; leave fail and straggle out."
        )
    run = LiveRun(algorithm, benchmark, Budget.of(budget), workers, charge_repeats, pool, noise)
    run.known, run.candidates, run.settings = known, deque(candidates), settings
    run.recorded, run.record, run.watch = deque(recorded), record, watch
    trace = run.trace()
    watch(run.standing())
    return trace


class LiveRun(Run):
    """The state of a search in real time."""

    recorded: deque[Outcome]
    record: Callable[[Sequence[Outcome]], None]
    watch: Callable[[Standing], None]

    def __init__(
        self,
        algorithm: SearchAlgorithm,
        benchmark: Benchmark,
        budget: Budget,
        workers: Workers,
        charge_repeats: bool,
        pool: Pool,
        noise: int,
    ) -> None:
        super().__init__(algorithm, benchmark, budget, workers, charge_repeats, None, None)
        self.pool, self.noise_seed = pool, noise
        # By the number of the ask: what is evaluated, and whether that is the end of it.
        self.at_work: dict[int, tuple[Job, Order, bool]] = {}
        self.to_submit: list[Order] = []
        self.last = 0.0  # moment
        self.began: float | None = None  # on the pool's clock

    def standing(self) -> Standing:
        """How it stands."""
        now, epoch = self.last, dict[int, int]()
        if self.began is not None:
            now = max(now, self.pool.now() - self.began)
            epoch = self.pool.epochs()
        at_work = {
            order.worker: AtWork(order.trial, order.since, job.start, epoch.get(order.worker))
            for job, order, _ in self.at_work.values()
        }
        return Standing(now, len(self.done), at_work, self.so_far)

    def _evaluate(self, trial: Trial, epoch: int | None, since: int) -> Evaluation:
        """What is known of an evaluation before it is done: its entry and its last epoch."""
        benchmark = self.benchmark
        try:
            benchmark.space.validate(trial.architecture)
        except (InvalidArchitectureError, AttributeError, TypeError) as error:
            raise AlgorithmError(
                f"{type(self.algorithm).__name__} asked for an architecture that is not of the "
                f"space: {error}"
            ) from error
        row, _ = benchmark.entry(trial.architecture)
        nothing = (math.nan,) * len(benchmark.objectives)
        return Evaluation(nothing, 0.0, trial.epoch or benchmark.epochs, row)

    def _push(self, job: Job) -> None:
        """Has the next epoch that is shown evaluated, or the end."""
        if not job.charged:  # own work, or what was evaluated before: all is known
            if job.work is None:
                self._explain(job.number, job.evaluation)
            heapq.heappush(self.running, (job.end, job.number, job))
            return
        before, job.seen = job.seen, None
        ends = not job.upcoming
        epoch = job.trial.epoch if ends else job.upcoming.pop()
        seed = np.random.SeedSequence([self.noise_seed, job.trial.number % 2**32])
        trial = job.trial._replace(epoch=epoch)
        since = job.since if before is None else before.epoch or 0
        order = Order(job.number, job.worker, trial, since, int(seed.generate_state(1)[0]))
        self.at_work[job.number] = job, order, ends
        self.to_submit.append(order)

    def _work(self, work: Work, now: float) -> Job:
        """The algorithm's own work, which has taken the time until now."""
        job = super()._work(work, now)
        if self.recorded:
            outcome = self.recorded.popleft()
            if outcome.ask != job.number:
                raise self._changed("work of its own", outcome)
            self.last = outcome.moment
        else:
            self._start_clock()
            outcome = Outcome(self._moment(), job.number, job.trial, None)
            self.record([outcome])
        job.end = outcome.moment
        job.evaluation = job.evaluation._replace(cost=job.end - job.start)
        return job

    def _next_moment(self) -> float:
        """Waits for what happens next, unless it is recorded."""
        if not self.running and self.at_work:
            self._take(self._replayed() if self.recorded else self._awaited())
        return super()._next_moment()

    def _replayed(self) -> list[Outcome]:
        """What is recorded of the next moment."""
        self.last = self.recorded[0].moment
        outcomes = []
        while self.recorded and self.recorded[0].moment == self.last:
            outcomes.append(self.recorded.popleft())
        return outcomes

    def _awaited(self) -> list[Outcome]:
        """What has come in, once there is any, or that the budget's seconds are over."""
        began = self._start_clock()
        for order in self.to_submit:
            self.pool.submit(order)
        self.to_submit.clear()
        end, finished = self.budget.seconds or math.inf, list[Finished]()
        while not finished and (left := end - (self.pool.now() - began)) > 0:
            self.watch(self.standing())
            finished = list(self.pool.wait(min(left, _LOOK_S)))
        if finished:
            moment = self._moment()
            outcomes = [
                Outcome(moment, ask, self.at_work[ask][1].trial, evaluation, reason)
                for ask, evaluation, reason in sorted(finished, key=lambda one: one[0])
            ]
        else:
            outcomes = [Outcome(end, _OVER, Trial(_OVER, ()), None)]
        self.record(outcomes)
        return outcomes

    def _start_clock(self) -> float:
        """Begins to count the seconds of the search, or goes on where the record ends."""
        if self.began is None:
            self.pool.start()
            self.began = self.pool.now() - self.last
        return self.began

    def _moment(self) -> float:
        """Now, which is after all that happened before."""
        ticks = math.floor((self.pool.now() - self._start_clock()) / TICK_S)
        self.last = max(ticks * TICK_S, self.last + TICK_S)
        return self.last

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        """Takes the outcomes of a moment as the next events."""
        for outcome in outcomes:
            if outcome.ask == _OVER:
                self._stop(outcome.moment)
                return
            if outcome.ask not in self.at_work:
                raise self._changed("other trials", outcome)
            job, order, ends = self.at_work.pop(outcome.ask)
            if order in self.to_submit:
                self.to_submit.remove(order)  # as its outcome is recorded
            if order.trial != outcome.trial:
                raise self._changed(str(order.trial), outcome)
            self._answer(job, outcome, ends)
            heapq.heappush(self.running, (outcome.moment, job.number, job))

    def _stop(self, end: float) -> None:
        """Cuts off what is at work, as the budget's seconds are over."""
        for job, _, _ in self.at_work.values():
            job.end = end
            job.evaluation = job.evaluation._replace(cost=end - job.start)
            heapq.heappush(self.running, (math.inf, job.number, job))
        self.at_work.clear()

    def _answer(self, job: Job, outcome: Outcome, ends: bool) -> None:
        """Notes what came of an evaluation: an epoch that is shown, its end, or that it failed."""
        cost, evaluation = outcome.moment - job.start, outcome.evaluation
        if evaluation is None:
            self.reasons[job.number] = outcome.reason
            job.failed, job.upcoming = True, []
            evaluation = job.evaluation
        else:
            evaluation = self._checked(evaluation, outcome.trial.epoch)
            self._explain(job.number, evaluation)
            if not ends:
                job.seen = evaluation._replace(cost=cost)
                return
        job.evaluation, job.end = evaluation._replace(cost=cost), outcome.moment

    def _explain(self, number: int, evaluation: Evaluation) -> None:
        """Says why an evaluation counts as failed, if it does."""
        self.reasons.pop(number, None)
        if any(map(math.isnan, evaluation.values)):
            self.reasons[number] = NOT_A_NUMBER

    def _changed(self, asked: str, outcome: Outcome) -> ExperimentError:
        """The error of a search that is not the one that is recorded."""
        there = f"ask {outcome.ask} for {outcome.trial}" if outcome.ask >= 0 else "the end"
        return ExperimentError(
            f"{type(self.algorithm).__name__} asks for {asked}, but recorded of this search is "
            f"{there}. So it cannot go on: its code, or what that depends on, has changed. Name "
            f"another folder to begin anew."
        )
