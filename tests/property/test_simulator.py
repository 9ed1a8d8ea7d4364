"""The simulator agrees with a second, slow and obvious one, which keeps plain lists and sorts them."""

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.simulator import Budget, simulate
from nasbench_lab.spaces import Decision, SearchSpace

SPACE = SearchSpace("six", [Decision("only", "abcdef")])
# Architectures 0 and 1 are isomorphic, and the table lacks the last two.
ROWS = (0, 0, 1, 2, -1, -1)
EPOCHS = 3


class Priced(Benchmark):
    """Charges ``prices[row][epoch - 1]``; absent entries cost the last price."""

    name, space, clock, epochs = "priced", SPACE, "official", EPOCHS
    objectives = (Objective("value", ""),)

    def __init__(self, prices):
        self.prices = prices

    def evaluate(self, architecture, epoch=None, rng=None):
        row, epoch = ROWS[architecture[0]], epoch or EPOCHS
        return Evaluation((float(row),), self.prices[row][epoch - 1], epoch, row)


class Planned(SearchAlgorithm):
    """Asks a list of (architecture, epoch), at most some at once, and logs what happens to it."""

    def __init__(self, plan, at_once):
        super().__init__(SPACE)
        self.plan, self.at_once, self.outstanding, self.log = plan, at_once, 0, []

    def ask(self):
        if self._n_trials == len(self.plan) or self.outstanding == self.at_once:
            return None
        architecture, epoch = self.plan[self._n_trials]
        self.outstanding += 1
        self.log.append(("ask", self._n_trials))
        return self.trial((architecture,), epoch)

    def tell(self, trial, evaluation):
        self.outstanding -= 1
        self.log.append(("tell", trial.number))


@dataclass
class Job:
    end: float
    number: int
    worker: int
    start: float
    what: tuple
    charged: bool
    cost: float
    epoch: int


def by_hand(plan, at_once, prices, budget, workers, charge_repeats):
    """What is told, in order, and the log of asks and tells."""
    told, running, log = [], [], []
    clock, number, closed = 0.0, 0, False
    while True:
        # Whoever is idle asks, the lowest number first, unless the algorithm waits or has finished.
        for worker in range(workers):
            idle = all(job.worker != worker for job in running)
            if closed or not idle or number == len(plan) or len(running) == at_once:
                continue
            log.append(("ask", number))
            architecture, epoch = plan[number]
            epoch = epoch or EPOCHS
            row = ROWS[architecture]
            what = (("row", row) if row >= 0 else ("architecture", architecture), epoch)
            charged = charge_repeats or all(job.what != what for job in told)
            before = [job for job in told + running if job.charged]
            if charged:
                if sum(job.epoch for job in before) + epoch > (budget.epochs or math.inf):
                    closed = True
                    continue
                closed = len(before) + 1 == budget.evaluations
                closed |= sum(job.epoch for job in before) + epoch == budget.epochs
            cost = prices[row][epoch - 1] if charged else 0.0
            running.append(Job(clock + cost, number, worker, clock, what, charged, cost, epoch))
            number += 1
        # All results of the next moment are told, those asked first before the others.
        running.sort(key=lambda job: (job.end, job.number))
        if not running or running[0].end > (budget.seconds or math.inf):
            return told, log
        clock = running[0].end
        while running and running[0].end == clock:
            told.append(running.pop(0))
            log.append(("tell", told[-1].number))


# Many ties, some that take no time, and sums that floating point rounds.
PRICES = st.lists(
    st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.7, 1.0, 1.0, 2.0, 3.0]), min_size=3, max_size=3),
    min_size=4,
    max_size=4,
)
PLANS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([None, 1, 2, 3])), min_size=1, max_size=30
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "evaluations": st.integers(1, 30),
        "seconds": st.sampled_from([0.05, 0.3, 1.0, 2.0, 3.0, 4.5, 8.0, 100.0]),
        "epochs": st.integers(1, 60),
    },
)
BUDGETS = LIMITS.filter(len).map(lambda limits: Budget(**limits))


def columns_of(trace):
    names = ("trial", "start", "end", "worker", "cost", "epoch")
    return {name: getattr(trace, name).tolist() for name in names}


@settings(max_examples=400, deadline=None)
@given(
    plan=PLANS,
    at_once=st.integers(1, 5),
    prices=PRICES,
    budget=BUDGETS,
    workers=st.integers(1, 4),
    charge_repeats=st.booleans(),
)
def test_agrees_with_a_simulation_by_hand(plan, at_once, prices, budget, workers, charge_repeats):
    algorithm = Planned(plan, at_once)
    trace = simulate(
        algorithm, Priced(prices), budget, workers=workers, charge_repeats=charge_repeats
    )
    told, log = by_hand(plan, at_once, prices, budget, workers, charge_repeats)
    assert columns_of(trace) == {
        "trial": [job.number for job in told],
        "start": [job.start for job in told],
        "end": [job.end for job in told],
        "worker": [job.worker for job in told],
        "cost": [job.cost for job in told],
        "epoch": [job.epoch for job in told],
    }
    assert algorithm.log == log
    assert trace.row.tolist() == [ROWS[plan[job.number][0]] for job in told]


@settings(max_examples=200, deadline=None)
@given(plan=PLANS, prices=PRICES, budget=BUDGETS)
def test_one_worker_is_a_plain_loop(plan, prices, budget):
    trace = simulate(Planned(plan, 1), Priced(prices), budget)
    clock, n, epochs = 0.0, 0, 0
    for architecture, epoch in plan:
        epoch = epoch or EPOCHS
        clock, n, epochs = clock + prices[ROWS[architecture]][epoch - 1], n + 1, epochs + epoch
        limits = budget.evaluations, budget.seconds, budget.epochs
        spent = zip((n, clock, epochs), limits, strict=True)
        if any(limit is not None and used > limit for used, limit in spent):
            n -= 1
            break
        assert (trace.trial[n - 1], trace.end[n - 1]) == (n - 1, clock)
    assert len(trace) == n


@settings(max_examples=200, deadline=None)
@given(plan=PLANS, prices=PRICES, budget=BUDGETS, workers=st.integers(1, 4))
def test_no_worker_does_two_things_at_once_and_no_limit_is_passed(plan, prices, budget, workers):
    trace = simulate(Planned(plan, 30), Priced(prices), budget, workers=workers)
    assert len(trace) <= (budget.evaluations or math.inf)
    assert trace.epoch.sum() <= (budget.epochs or math.inf)
    assert np.all(trace.end <= (budget.seconds or math.inf))
    for worker in range(workers):
        mine = trace.worker == worker
        order = np.argsort(trace.trial[mine])
        assert np.all(trace.start[mine][order][1:] >= trace.end[mine][order][:-1])
