"""The simulator agrees with a second, slow and obvious one, which keeps plain lists and sorts them."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.budget import Budget
from nasbench_lab.errors import AlgorithmError
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.trace import COLUMNS, STATUSES, Trace
from nasbench_lab.workers import Workers

SPACE = SearchSpace("six", [Decision("only", "abcdef")])
# Architectures 0 and 1 are isomorphic, and the table lacks the last two.
ROWS = (0, 0, 1, 2, -1, -1)
# Evaluations of these fail.
FAILING = (3, 5)
# Evaluations of this one violate a constraint.
VIOLATING = 2
EPOCHS = 4


class Priced(Benchmark):
    """Charges ``prices[row][epoch - 1]``, the last prices for what the table lacks.

    A trial that continues pays the difference. Values differ between isomorphic architectures, to
    show of which one a free repeat tells.
    """

    name, space, epochs = "priced", SPACE, EPOCHS
    objectives = (Objective("value", ""),)

    def __init__(self, prices, clock="official", fidelities=()):
        self.prices, self.clock, self.fidelities = prices, clock, fidelities

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        assert since is None or (self.clock == "resume" and since > 0)
        (number,), epoch = architecture, epoch or EPOCHS
        prices = self.prices[ROWS[number]]
        cost = (
            prices[epoch - 1] if since is None else max(0.0, prices[epoch - 1] - prices[since - 1])
        )
        return Evaluation(
            values=(math.nan if number in FAILING else 10.0 * number + epoch,),
            cost=1.0 if self.clock == "evaluations" else cost,
            epoch=epoch,
            row=ROWS[number],
            violation=float(number == VIOLATING),
        )


class Planned(SearchAlgorithm):
    """Goes through a plan, with at most some results outstanding, and logs what happens to it.

    The plan is a list of

    - ``("new", architecture, epoch)``: a new trial;
    - ``("go on", i, epochs)``: of the trials that neither run nor have come to the last epoch, the
      ``i``-th is trained for some more epochs;
    - ``("again", i, epoch)``: of those that do not run, the ``i``-th is asked for any epoch;
    - ``("other", i, epoch)``: as ``again``, but for another architecture, which is refused;
    - ``("running", i, epoch)``: of those that run, the ``i``-th is asked, which is refused;
    - ``("wait",)``: None.

    What there is no trial for is skipped.
    """

    def __init__(self, plan, at_once):
        super().__init__(SPACE)
        self.plan, self.at_once, self.log = list(plan), at_once, []
        # By number, as in the last ask; and the highest epoch that did not fail.
        self.running, self.idle, self.reached = {}, {}, {}

    def ask(self):
        trial = self.next() if len(self.running) < self.at_once else None
        if trial is not None:
            self.idle.pop(trial.number, None)
            self.running[trial.number] = trial
        self.log.append(("ask", trial))
        return trial

    def next(self):
        while self.plan:
            what, *numbers = self.plan.pop(0)
            if what == "wait":
                return None
            i, epoch = numbers
            if what == "new":
                return self.trial((i,), epoch)
            trials = list((self.running if what == "running" else self.idle).values())
            if what == "go on":
                trials = [one for one in trials if self.reached[one.number] < EPOCHS]
            if not trials:
                continue
            trial = trials[i % len(trials)]
            if what == "go on":
                epoch = min(self.reached[trial.number] + epoch, EPOCHS)
            if what == "other":
                trial = trial._replace(architecture=((trial.architecture[0] + 1) % len(ROWS),))
            return trial._replace(epoch=epoch)
        return None

    def tell(self, trial, evaluation):
        self.log.append(("tell", trial, evaluation))
        number = trial.number
        self.idle[number] = self.running.pop(number)
        failed = math.isnan(evaluation.values[0])
        self.reached[number] = max(self.reached.get(number, 0), 0 if failed else evaluation.epoch)


class Stopping(Planned):
    """Stops some trials, by (number modulo 6, epoch)."""

    def __init__(self, plan, at_once, stops):
        super().__init__(plan, at_once)
        self.stops = stops

    def should_stop(self, trial, evaluation):
        self.log.append(("show", trial, evaluation))
        return (trial.number % 6, evaluation.epoch) in self.stops


@dataclass(eq=False)
class Job:
    number: int  # of the ask
    trial: Trial
    since: int
    worker: int
    start: float
    end: float
    evaluation: Evaluation  # as it is going to be told
    charged: bool = True
    failed: bool = False  # by the worker
    stopped: bool = False
    shown: list = field(default_factory=list)  # what is still to be shown, each with its moment


def by_hand(algorithm, benchmark, budget, *, workers, charge_repeats, faults):
    """What is told, in order, and what is cut off. The algorithm keeps its log."""
    told, running, cut_off = [], [], []
    clock, number, closed = 0.0, 0, False

    def reached(trial):
        """The highest epoch that the trial was told of, unless a worker failed it."""
        mine = [job for job in told if job.trial.number == trial.number and not job.failed]
        return max((job.evaluation.epoch for job in mine), default=0)

    def evaluate(trial, epoch):
        if benchmark.clock == "resume" and reached(trial) > 0:
            return benchmark.evaluate(trial.architecture, epoch, since=reached(trial))
        return benchmark.evaluate(trial.architecture, epoch)

    def what(architecture, evaluation):
        return architecture if evaluation.row < 0 else evaluation.row, evaluation.epoch

    def epochs_of(jobs):
        resumes = benchmark.clock == "resume"
        return sum(job.evaluation.epoch - resumes * job.since for job in jobs if job.charged)

    def start(trial, worker):
        for job in told + running:
            same = job.trial.architecture == trial.architecture
            if job.trial.number == trial.number and (job in running or not same):
                raise AlgorithmError("This trial must not be asked.")
        evaluation = evaluate(trial, trial.epoch)
        # It may be asked for an epoch that it is past.
        since = min(reached(trial), evaluation.epoch)
        job = Job(number, trial, since, worker, clock, clock, evaluation)
        made = [
            before.evaluation._replace(cost=0.0)
            for before in told
            if not before.failed
            and what(before.trial.architecture, before.evaluation)
            == what(trial.architecture, evaluation)
        ]
        if made and not charge_repeats:
            job.charged, job.evaluation = False, made[0]
            return job
        cost, factor = evaluation.cost, 1.0
        if workers.fail > 0 or workers.straggle > 0:
            straggles, fails, at = faults.random(), faults.random(), faults.random()
            if straggles < workers.straggle:
                factor = workers.slowdown
            cost *= factor
            if fails < workers.fail:
                job.failed, cost = True, cost * at
                job.evaluation = evaluation._replace(values=(math.nan,))
        job.evaluation, job.end = job.evaluation._replace(cost=cost), clock + cost
        spent = 0.0
        for epoch in benchmark.fidelities if isinstance(algorithm, Stopping) else ():
            if since < epoch < evaluation.epoch:
                seen = evaluate(trial, epoch)
                # An epoch does not come before an earlier one, nor after the end.
                spent = max(spent, seen.cost * factor)
                if job.failed and spent >= cost:
                    break
                spent = min(spent, cost)
                job.shown.append((clock + spent, seen._replace(cost=spent)))
        return job

    while True:
        # Whoever is free asks, the lowest number first, unless the algorithm waits or has finished.
        busy = [job.worker for job in running]
        free = [worker for worker in range(workers.count) if worker not in busy]
        for worker in [] if workers.synchronous and busy else free:
            started = [job for job in told + running if job.charged]
            closed = closed or len(started) == budget.evaluations
            if closed or epochs_of(started) == budget.epochs:
                break
            trial = algorithm.ask()
            if trial is None:
                break
            job = start(trial, worker)
            number += 1
            # What does not fit is the last that was asked; until then, a stop makes room again.
            closed = epochs_of([*started, job]) > (budget.epochs or math.inf)
            (cut_off if closed else running).append(job)
        # All that happens at the next moment: by the order of the asks, and within one evaluation
        # by the epochs, its end last.
        events = [(job.end, job.number, math.inf, job, None) for job in running]
        for job in running:
            events += [(at, job.number, seen.epoch, job, seen) for at, seen in job.shown]
        events.sort(key=lambda event: event[:3])
        if not events or events[0][0] > (budget.seconds or math.inf):
            cut_off = sorted(cut_off + running, key=lambda job: (job.end, job.number))
            return told, cut_off
        clock = events[0][0]
        for at, _, _, job, seen in events:
            if at > clock or job.stopped:
                continue
            if seen is not None:
                job.shown.pop(0)
                if not algorithm.should_stop(job.trial, seen):
                    continue
                # It is told as if it had been asked for this epoch; no worker fails it any more.
                job.trial = job.trial._replace(epoch=seen.epoch)
                job.evaluation, job.end, job.stopped, job.failed = seen, clock, True, False
            running.remove(job)
            told.append(job)
            algorithm.tell(job.trial, job.evaluation)


# Many ties, some that take no time, later epochs that cost less, and sums that floating point rounds.
PRICES = st.lists(
    st.lists(
        st.sampled_from([0.0, 0.1, 0.2, 0.7, 1.0, 1.0, 2.0, 3.0]), min_size=EPOCHS, max_size=EPOCHS
    ),
    min_size=4,
    max_size=4,
)


def steps(what, *numbers):
    return st.tuples(st.sampled_from(what.split(", ")), *numbers)


NEW = steps("new", st.integers(0, 5), st.sampled_from([None, 1, 2, 3, 4]))
# Isomorphic ones, to the end.
SAME = steps("new", st.integers(0, 1), st.sampled_from([None, 4]))
GO_ON = steps("go on", st.integers(0, 9), st.integers(1, EPOCHS))
AGAIN = steps("again", st.integers(0, 9), st.integers(1, EPOCHS))
REFUSED = steps("other, running", st.integers(0, 9), st.integers(1, EPOCHS))
WAIT = steps("wait")


def plans(*of):
    return st.lists(st.one_of(*of), min_size=1, max_size=30)


def budgets(*units):
    limits = {
        "evaluations": st.integers(1, 30),
        "seconds": st.sampled_from([0.05, 0.3, 1.0, 2.0, 3.0, 4.5, 8.0, 100.0]),
        "epochs": st.integers(1, 60),
    }
    some = st.fixed_dictionaries({}, optional={unit: limits[unit] for unit in units})
    return some.filter(len).map(lambda given: Budget(**given))


def machines(fail=(0.0,), straggle=(0.0,), synchronous=(False, True)):
    return st.builds(
        Workers,
        count=st.integers(1, 4),
        synchronous=st.sampled_from(synchronous),
        fail=st.sampled_from(fail),
        straggle=st.sampled_from(straggle),
        slowdown=st.sampled_from([1.0, 2.0, 2.7]),
    )


STOP = st.tuples(st.integers(0, 5), st.integers(1, EPOCHS - 1))
STOPS, MANY_STOPS = st.sets(STOP), st.sets(STOP, min_size=6)
ANY = {
    "plan": plans(NEW, NEW, GO_ON, GO_ON, AGAIN, WAIT),
    "at_once": st.integers(1, 5),
    "stops": st.none() | STOPS,
    "prices": PRICES,
    "clock": st.sampled_from(["official", "resume"]),
    "fidelities": st.sampled_from([(), (2, 4), (1, 2, 3, 4)]),
    "budget": budgets("evaluations", "seconds", "epochs"),
    "workers": machines() | machines(fail=(0.0, 0.3, 1.0), straggle=(0.0, 0.5, 1.0)),
    "charge_repeats": st.booleans(),
    "faults": st.integers(0, 9),
}
FOCUS = {
    "anything": {},
    "new trials": {
        "plan": plans(NEW),
        "stops": st.none(),
        "workers": machines(synchronous=(False,)),
    },
    "trials that continue": {
        "plan": plans(NEW, GO_ON),
        "clock": st.just("resume"),
        "workers": machines(fail=(0.0, 0.5)),
        "charge_repeats": st.just(True),
    },
    "trials that are stopped": {
        "plan": plans(NEW, NEW, GO_ON),
        "stops": STOPS,
        "fidelities": st.just((1, 2, 3, 4)),
        "workers": machines(fail=(0.0, 0.5), straggle=(0.0, 0.5)),
    },
    "a budget in epochs": {
        "plan": plans(NEW, NEW, GO_ON),
        "at_once": st.just(5),
        "stops": MANY_STOPS,
        "fidelities": st.just((1, 2, 3, 4)),
        "budget": st.builds(Budget, epochs=st.integers(4, 20)),
        "workers": machines(),
    },
    "free repeats": {
        "plan": plans(SAME, SAME, NEW, AGAIN),
        "at_once": st.just(5),
        "stops": st.none() | STOPS,
        "fidelities": st.just((1, 2, 3, 4)),
        "workers": machines() | machines(fail=(0.5,), straggle=(0.5,)),
        "charge_repeats": st.just(False),
    },
    "evaluations that cost one": {
        "clock": st.just("evaluations"),
        "budget": budgets("evaluations", "epochs"),
    },
    "synchronous workers": {
        "plan": plans(NEW, NEW, GO_ON, WAIT),
        "at_once": st.integers(2, 5),
        "workers": machines(synchronous=(True,)),
    },
    "what is refused": {"plan": plans(NEW, NEW, NEW, AGAIN, WAIT, REFUSED)},
}


def outcome(simulator, run):
    """What a simulator returns, None where it refuses what is asked, and the algorithm's log."""
    algorithm = Planned(run["plan"], run["at_once"])
    if run["stops"] is not None:
        algorithm = Stopping(run["plan"], run["at_once"], run["stops"])
    try:
        result = simulator(
            algorithm,
            Priced(run["prices"], run["clock"], run["fidelities"]),
            run["budget"],
            workers=run["workers"],
            charge_repeats=run["charge_repeats"],
            faults=np.random.default_rng(run["faults"]),
        )
    except AlgorithmError:
        result = None
    return result, list(map(repr, algorithm.log))  # as text, in which NaN equals NaN


def columns_of(trace):
    columns = {name: getattr(trace, name).tolist() for name in COLUMNS}
    for name in ("values", "violation"):
        columns[name] = list(map(repr, columns[name]))
    columns["status"] = [STATUSES[status] for status in columns["status"]]
    return columns


def columns_by_hand(jobs, cut_off=False):
    columns = {name: [] for name in COLUMNS}
    for job in jobs:
        values, violation = job.evaluation.values, job.evaluation.violation
        status = "stopped" if job.stopped else "done"
        if math.isnan(values[0]):
            status = "failed"
        if cut_off:
            values, violation, status = (math.nan,), math.nan, "cut off"
        for name in ("since", "start", "end", "worker", "charged"):
            columns[name].append(getattr(job, name))
        for name in ("row", "epoch", "cost"):
            columns[name].append(getattr(job.evaluation, name))
        columns["trial"].append(job.trial.number)
        columns["architecture"].append(list(job.trial.architecture))
        columns["values"].append(repr(list(values)))
        columns["violation"].append(repr(float(violation)))
        columns["status"].append(status)
        columns["passes"].append(0.0)  # no work of the algorithm itself
    return columns


def agrees(focus, data):
    run = data.draw(st.fixed_dictionaries(ANY | FOCUS[focus]))
    trace, log = outcome(simulate, run)
    expected, expected_log = outcome(by_hand, run)
    assert log == expected_log
    assert (trace is None) == (expected is None)
    if expected is not None:
        told, cut_off = expected
        assert columns_of(trace) == columns_by_hand(told)
        assert columns_of(trace.cut_off) == columns_by_hand(cut_off, cut_off=True)


@pytest.mark.parametrize("focus", FOCUS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_agrees_with_a_simulation_by_hand(focus, data):
    agrees(focus, data)


@pytest.mark.slow
@pytest.mark.parametrize("focus", FOCUS)
@settings(max_examples=2_000, deadline=None)
@given(data=st.data())
def test_agrees_with_many_simulations_by_hand(focus, data):
    agrees(focus, data)


@settings(max_examples=200, deadline=None)
@given(plan=plans(NEW), prices=PRICES, budget=budgets("evaluations", "seconds", "epochs"))
def test_one_worker_is_a_plain_loop(plan, prices, budget):
    trace = simulate(Planned(plan, 1), Priced(prices), budget)
    clock, n, epochs = 0.0, 0, 0
    for _, architecture, epoch in plan:
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
@given(run=st.fixed_dictionaries(ANY))
def test_nobody_does_two_things_at_once_and_no_limit_is_passed(run):
    trace, _ = outcome(simulate, run)
    cut_off, budget = trace.cut_off, run["budget"]
    assert trace.charged.sum() + cut_off.charged.sum() <= (budget.evaluations or math.inf)
    assert np.all(trace.epochs() <= (budget.epochs or math.inf))
    assert np.all(trace.end <= (budget.seconds or math.inf))
    start, end = (np.r_[getattr(trace, k), getattr(cut_off, k)] for k in ("start", "end"))
    for name in ("worker", "trial"):
        who = np.r_[getattr(trace, name), getattr(cut_off, name)]
        for one in set(who.tolist()):
            assert np.all(start[who == one][1:] >= end[who == one][:-1])
    if run["workers"].synchronous:
        assert not np.any((start[:, None] < start) & (start < end[:, None]))


def trace_of(entries, maximize=True, clock="official"):
    """A trace of ((epoch, since), value, violation, charged)."""
    n = len(entries)
    zeros = np.zeros(n, dtype=int)
    return Trace(
        trial=np.arange(n),
        architecture=zeros[:, None],
        row=zeros,
        since=np.array([since for (_, since), _, _, _ in entries], dtype=int),
        epoch=np.array([epoch for (epoch, _), _, _, _ in entries], dtype=int),
        values=np.array([value for _, value, _, _ in entries], dtype=float).reshape(n, 1),
        violation=np.array([violation for _, _, violation, _ in entries], dtype=float),
        cost=np.ones(n),
        start=np.arange(n) + 0.0,
        end=np.arange(n) + 1.0,
        worker=zeros,
        charged=np.array([charged for _, _, _, charged in entries], dtype=bool),
        status=zeros.astype(np.int8),
        space=SPACE,
        objectives=(Objective("value", "", maximize),),
        settings={"clock": clock},
    )


def entries_of(epochs):
    values = st.sampled_from([math.nan, -1.0, 0.0, 0.5, 2.0])
    violations = st.sampled_from([0.0, 0.0, 0.1])
    return st.lists(st.tuples(epochs, values, violations, st.booleans()), max_size=20)


# After several epochs, or where they are unknown.
ENTRIES = entries_of(st.sampled_from([(1, 0), (2, 0), (2, 1), (3, 0), (3, 2)])) | entries_of(
    st.just((-1, 0))
)


@settings(max_examples=200, deadline=None)
@given(entries=ENTRIES, maximize=st.booleans())
def test_the_incumbent_is_the_best_after_most_epochs(entries, maximize):
    best, expected = None, []
    for i, ((epoch, _), value, violation, _) in enumerate(entries):
        rank = epoch, value if maximize else -value
        if not math.isnan(value) and violation == 0 and (best is None or rank > best):
            best, position = rank, i
        expected.append(-1 if best is None else position)
    assert trace_of(entries, maximize).incumbents().tolist() == expected


@settings(max_examples=200, deadline=None)
@given(entries=ENTRIES, clock=st.sampled_from(["official", "resume", "evaluations"]))
def test_epochs_of_trials_that_continue_count_once_where_they_are_resumed(entries, clock):
    total, expected = 0, []
    for (epoch, since), _, _, charged in entries:
        if charged and epoch > 0:
            total += epoch - since if clock == "resume" else epoch
        expected.append(total)
    assert trace_of(entries, clock=clock).epochs().tolist() == expected
