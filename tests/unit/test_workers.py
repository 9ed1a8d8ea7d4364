"""Parallel workers, epochs that are shown, continuation, faults and what the budget cuts off.

Rows 0, 1, 2 of the small table take 10, 11, 12 s per epoch and 1, 2, 3 s per validation pass; it
knows epochs 1, 2 and 4.
"""

import math

import numpy as np
import pytest

from nasbench_lab.algorithm import SearchAlgorithm, Trial
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import AlgorithmError, BudgetError
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.simulator import simulate
from nasbench_lab.tables.columns import Query
from nasbench_lab.workers import Workers

DONE, STOPPED, FAILED, CUT_OFF = range(4)


class Planned(SearchAlgorithm):
    """Asks (number, row, epoch) one after the other; a number that comes again continues."""

    def __init__(self, space, plan, stops=(), **kwargs):
        super().__init__(space, **kwargs)
        self.plan, self.stops, self.seen, self.told = list(plan), set(stops), [], []

    def ask(self):
        if not self.plan:
            return None
        number, row, epoch = self.plan.pop(0)
        return Trial(number, self.space.at(row), epoch)

    def tell(self, trial, evaluation):
        self.told.append((trial, evaluation))


class Watching(Planned):
    def should_stop(self, trial, evaluation):
        self.seen.append((trial.number, evaluation.epoch, evaluation.cost, evaluation.values[0]))
        return (trial.number, evaluation.epoch) in self.stops


def simulate_plan(table, plan, budget, clock=None, kind=Planned, stops=(), **kwargs):
    benchmark = TableBenchmark(table, clock=clock)
    algorithm = kind(benchmark.space, plan, stops)
    trace = simulate(algorithm, benchmark, budget, **kwargs)
    return trace, algorithm


# Workers


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"count": 0}, "at least 1 worker"),
        ({"count": 1.5}, "whole number"),
        ({"fail": -0.1}, "chance from 0 to 1 that evaluations fail"),
        ({"fail": math.nan}, "fail"),
        ({"straggle": 1.1}, "straggle"),
        ({"slowdown": 0.5}, "slowdown of at least 1"),
        ({"slowdown": math.inf}, "slowdown"),
    ],
)
def test_workers_that_cannot_be_are_refused(wrong, words):
    with pytest.raises(BudgetError, match=words):
        Workers(**wrong)


def test_workers_note_what_differs_from_the_defaults():
    assert Workers.of(3).describe() == {"count": 3}
    assert Workers(2, True, fail=0.1).describe() == {"count": 2, "synchronous": True, "fail": 0.1}


def test_asynchronous_workers_ask_as_they_fall_free(timed):
    plan = [(i, row, None) for i, row in enumerate([2, 0, 1, 0])]
    trace, _ = simulate_plan(timed, plan, 4, workers=2)
    assert trace.trial.tolist() == [1, 0, 2, 3]
    assert trace.start.tolist() == [0, 0, 41, 51]
    assert trace.end.tolist() == [41, 51, 87, 92]
    assert trace.worker.tolist() == [1, 0, 1, 0]


def test_synchronous_workers_wait_for_each_other(timed):
    plan = [(i, row, None) for i, row in enumerate([2, 0, 1, 0])]
    trace, _ = simulate_plan(timed, plan, 4, workers=Workers(2, synchronous=True))
    assert trace.trial.tolist() == [1, 0, 3, 2]
    assert trace.start.tolist() == [0, 0, 51, 51]
    assert trace.end.tolist() == [41, 51, 92, 97]
    assert trace.settings["workers"] == {"count": 2, "synchronous": True}


# What the budget cuts off


def test_what_would_end_after_the_budget_is_shown_as_cut_off(timed):
    plan = [(i, row, None) for i, row in enumerate([2, 0, 1, 0])]
    trace, algorithm = simulate_plan(timed, plan, Budget(seconds=60), workers=2)
    assert trace.trial.tolist() == [1, 0]
    cut_off = trace.cut_off
    assert cut_off.trial.tolist() == [2, 3]
    assert cut_off.start.tolist() == [41, 51]
    assert cut_off.end.tolist() == [87, 92]
    assert np.isnan(cut_off.values).all()
    assert set(cut_off.status.tolist()) == {CUT_OFF}
    assert len(algorithm.told) == 2


def test_what_the_epochs_do_not_suffice_for_is_shown_as_cut_off(timed):
    trace, _ = simulate_plan(timed, [(0, 0, 4), (1, 1, 4), (2, 2, 1)], Budget(epochs=6))
    assert trace.epoch.tolist() == [4]
    assert (trace.cut_off.trial.tolist(), trace.cut_off.end.tolist()) == ([1], [87])
    assert len(simulate_plan(timed, [(0, 0, 4), (1, 1, 4)], Budget(epochs=8))[0].cut_off) == 0


# Continuation


def test_a_continued_trial_says_since_when(timed):
    plan = [(0, 0, 1), (1, 1, 2), (0, 0, 2), (0, 0, 4)]
    trace, _ = simulate_plan(timed, plan, 9, clock="resume")
    assert trace.since.tolist() == [0, 0, 1, 2]
    assert trace.epoch.tolist() == [1, 2, 2, 4]
    assert trace.cost.tolist() == [11, 24, 11, 21]
    assert trace.epochs().tolist() == [1, 3, 4, 6]
    trace, _ = simulate_plan(timed, plan, 9, clock="official")
    assert trace.since.tolist() == [0, 0, 1, 2]
    assert trace.cost.tolist() == [11, 24, 21, 41]
    assert trace.epochs().tolist() == [1, 3, 5, 9]


def test_a_budget_in_epochs_counts_new_ones_where_the_clock_does(timed):
    plan = [(0, 0, 1), (0, 0, 2), (0, 0, 4), (1, 1, 1)]
    trace, _ = simulate_plan(timed, plan, Budget(epochs=4), clock="resume")
    assert trace.epoch.tolist() == [1, 2, 4]
    trace, _ = simulate_plan(timed, plan, Budget(epochs=4), clock="official")
    assert trace.epoch.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([(0, 0, 1), (0, 0, 4)], "trial 0 that still runs"),
        ([(0, 0, 1), (1, 0, 1), (0, 1, 4)], "trial 0 with another architecture"),
    ],
)
def test_a_trial_that_cannot_continue_is_refused(timed, plan, words):
    with pytest.raises(AlgorithmError, match=words):
        simulate_plan(timed, plan, 9, workers=2)


# Epochs that are shown


def test_an_algorithm_that_may_stop_sees_every_epoch_as_it_happens(timed):
    trace, algorithm = simulate_plan(timed, [(0, 0, None), (1, 1, 2)], 2, kind=Watching)
    values = [timed.values(Query("valid_accuracy", epoch=e))[0] for e in (1, 2)]
    first = timed.values(Query("valid_accuracy", epoch=1))[1]
    assert algorithm.seen == [(0, 1, 11, values[0]), (0, 2, 21, values[1]), (1, 1, 13, first)]
    assert trace.cost.tolist() == [41, 24]
    assert trace.status.tolist() == [DONE, DONE]


def test_a_stopped_trial_ends_at_that_epoch(timed):
    plan = [(0, 0, None), (1, 1, None), (0, 0, None)]
    trace, algorithm = simulate_plan(
        timed, plan, 3, clock="resume", kind=Watching, stops=[(0, 2), (1, 1)]
    )
    assert trace.epoch.tolist() == [2, 1, 4]
    assert trace.since.tolist() == [0, 0, 2]
    assert trace.status.tolist() == [STOPPED, STOPPED, DONE]
    assert trace.cost.tolist() == [21, 13, 21]
    assert [evaluation.epoch for _, evaluation in algorithm.told] == [2, 1, 4]
    assert trace.values[0, 0] == timed.values(Query("valid_accuracy", epoch=2))[0]
    assert algorithm.seen[-1][:2] == (1, 1)  # epochs before a continuation are not shown again


def test_stopping_gives_epochs_back_to_the_budget(timed):
    plan = [(i, i, None) for i in range(5)]
    stops = [(i, 1) for i in range(5)]
    trace, _ = simulate_plan(timed, plan, Budget(epochs=7), kind=Watching, stops=stops)
    # The fourth reserves 4 of 7 - 3; the fifth does not fit into 7 - 4.
    assert trace.epoch.tolist() == [1, 1, 1, 1]
    assert trace.cut_off.trial.tolist() == [4]


def test_an_algorithm_without_opinion_is_shown_nothing(timed):
    class Never(Planned):
        pass

    trace, algorithm = simulate_plan(timed, [(0, 0, None)], 1, kind=Never)
    assert algorithm.seen == []
    assert trace.cost.tolist() == [41]


def test_which_epochs_a_benchmark_knows(timed, make_table):
    assert TableBenchmark(timed).fidelities == (1, 2, 4)
    assert TableBenchmark(timed, objective=Query("valid_accuracy", epoch=2)).fidelities == (1, 2)
    assert TableBenchmark(timed, objective=["valid_accuracy", "train_time"]).fidelities == (1, 2, 4)
    assert load_benchmark("nas-bench-graph/cora").fidelities == ()
    digits = load_benchmark("nb201-digits")
    assert digits.fidelities == tuple(range(1, 13))
    assert load_benchmark("nb201-digits", objective=["valid_accuracy", "flops"]).fidelities == (
        digits.fidelities
    )


# Random trials


def test_all_epochs_of_a_trial_are_of_the_same_training(timed):
    benchmark = TableBenchmark(timed, objective=Query("valid_accuracy", trial="random"))
    curves = [timed.trials(Query("valid_accuracy", epoch=e)) for e in (1, 2, 4)]
    drawn = set()
    for seed in range(12):
        plan = [(0, 0, 1), (1, 1, None), (0, 0, None)]
        algorithm = Watching(benchmark.space, plan)
        trace = simulate(algorithm, benchmark, 3, noise=np.random.default_rng(seed))
        seen = [(number, epoch, value) for number, epoch, _, value in algorithm.seen]
        seen += zip(trace.trial.tolist(), trace.epoch.tolist(), trace.values[:, 0], strict=True)
        for number in (0, 1):
            of_this = [(epoch, value) for n, epoch, value in seen if n == number]
            of_seed = [
                all(curves[(1, 2, 4).index(e)][number, k] == value for e, value in of_this)
                for k in range(2)
            ]
            assert sum(of_seed) == 1
            drawn.add((number, of_seed.index(True)))
    assert len(drawn) == 4


# Faults


def test_faults_need_a_generator(timed):
    with pytest.raises(BudgetError, match="faults="):
        simulate_plan(timed, [(0, 0, None)], 1, workers=Workers(fail=0.5))


def test_all_fail_at_a_moment_of_their_time(timed):
    faults = np.random.default_rng(0)
    trace, algorithm = simulate_plan(
        timed, [(i, 0, None) for i in range(200)], 200, workers=Workers(fail=1.0), faults=faults
    )
    assert trace.status.tolist() == [FAILED] * 200
    assert np.isnan(trace.values).all()
    assert all(math.isnan(evaluation.values[0]) for _, evaluation in algorithm.told)
    share = trace.cost / 41
    assert 0 < share.min() < 0.05 < 0.95 < share.max() < 1
    assert abs(share.mean() - 0.5) < 0.07


def test_stragglers_take_longer(timed):
    faults = np.random.default_rng(0)
    workers = Workers(straggle=0.25, slowdown=2.5)
    plan = [(i, 0, None) for i in range(400)]
    trace, _ = simulate_plan(timed, plan, 400, workers=workers, faults=faults)
    slow = trace.cost == 41 * 2.5
    assert np.all(slow | (trace.cost == 41))
    assert 0.18 < slow.mean() < 0.32


def test_a_failed_continuation_keeps_what_was_trained_before(timed):
    class FailsSecond:
        """Uniforms of which only the second evaluation's failure chance is low."""

        n = 0

        def random(self, size):
            self.n += 1
            return np.array([0.9, 0.1 if self.n == 2 else 0.9, 0.5])

    plan = [(0, 0, 1), (0, 0, 4), (0, 0, 4)]
    trace, _ = simulate_plan(
        timed, plan, 3, clock="resume", workers=Workers(fail=0.5), faults=FailsSecond()
    )
    assert trace.since.tolist() == [0, 1, 1]
    assert trace.cost.tolist() == [11, 31 / 2, 31]
    assert trace.status.tolist() == [DONE, FAILED, DONE]


def test_faults_depend_on_the_run_alone():
    workers = Workers(4, fail=0.2, straggle=0.2)
    one, same, other = (
        run("random_search", "nb201-digits", "100s", seed, workers=workers) for seed in (0, 0, 1)
    )
    assert one.equals(same)
    assert not one.equals(other)
    assert 0.1 < (one.status == FAILED).mean() < 0.3
    # The search itself draws what it draws without them.
    plain = run("random_search", "nb201-digits", 50, 0)
    asked = dict(zip(one.trial.tolist(), one.row.tolist(), strict=True))
    assert [asked[number] for number in range(50)] == plain.row.tolist()


# On disk


def test_a_result_keeps_schedule_and_cut_off(tmp_path):
    workers = Workers(3, fail=0.2, straggle=0.1, synchronous=True)
    result = compare(
        ["random_search", "regularized_evolution"],
        load_benchmark("nb201-digits", constraints="parameters<=0.02", clock="resume"),
        budget="20s",
        seeds=3,
        workers=workers,
        folder=tmp_path / "r",
        n_jobs=2,
    )
    again = Result.open(tmp_path / "r")
    for one, other in zip(result.runs, again.runs, strict=True):
        assert one.trace.equals(other.trace)
        assert 1 <= len(one.trace.cut_off) <= 3
        assert dict(one.trace.settings) == dict(other.trace.settings)
    benchmark = again.benchmark("nb201-digits")
    assert [str(c) for c in benchmark.constraints] == ["parameters<=0.02"]
    assert (result.runs[0].trace.violation > 0).any()
    frame = again.to_frame()
    assert set(frame["status"]) == {"done", "failed"}
    assert result.summary().drop(columns="wall_s").equals(again.summary().drop(columns="wall_s"))


def test_continuing_for_nothing_is_noticed_as_endless(timed):
    class Again(SearchAlgorithm):
        def ask(self):
            return Trial(0, (0, 0, 0), 2)

    benchmark = TableBenchmark(timed, clock="resume")
    with pytest.raises(AlgorithmError, match="take no time or epochs"):
        simulate(Again(timed.space), benchmark, "10epochs")
