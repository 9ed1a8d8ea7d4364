"""Searches in real time, on a clock that shows given times: the simulator's rules, and going on."""

import math

import pytest
from live_searches import SPACE, Given, GivenTimes

from nasbench_lab.algorithm import SearchAlgorithm, Work
from nasbench_lab.errors import AlgorithmError, BudgetError, ExperimentError
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import search_live, simulate
from nasbench_lab.simulator.live import NOT_A_NUMBER
from nasbench_lab.trace import STATUSES
from nasbench_lab.workers import Workers

BENCHMARK = Given()
ALGORITHMS = (
    "random_search", "regularized_evolution", "asha", "hyperband", "learning_curve_stopping"
)  # fmt: skip
POLICIES = {
    "evaluations": {"budget": 30},
    "seconds": {"budget": f"{200 * 2.0**-10}s"},
    "epochs": {"budget": "150epochs"},
    "free repeats": {"budget": 20, "charge_repeats": False},
}


def made(name):
    return make_algorithm(name, SPACE, seed=3, fidelities=BENCHMARK.fidelities)


def live(name, pool=None, workers=1, **options):
    options = {"budget": 30, **options}
    pool = pool or GivenTimes(BENCHMARK)
    return search_live(made(name), BENCHMARK, pool=pool, workers=workers, **options)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("workers", [1, 2, 3, Workers(3, synchronous=True)])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_live_search_is_what_the_simulator_says(name, workers, policy):
    settings = POLICIES[policy]
    trace = live(name, workers=workers, **settings)
    simulated = simulate(made(name), BENCHMARK, workers=workers, **settings)
    if policy in ("seconds", "epochs"):
        # Nobody knows what would have come of what was cut off.
        assert sorted(trace.cut_off.trial) == sorted(simulated.cut_off.trial)
        trace.__dict__["cut_off"] = simulated.cut_off
    assert trace.equals(simulated)
    assert len(trace) > 3
    failed = (trace.status == STATUSES.index("failed")).nonzero()[0].tolist()
    assert list(trace.reasons) == failed


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_search_goes_on_from_any_moment_as_if_nothing_had_been(name, workers):
    moments = []
    whole = live(name, workers=workers, record=moments.append)
    for n in (1, len(moments) // 2, len(moments)):
        recorded = [outcome for outcomes in moments[:n] for outcome in outcomes]
        pool = GivenTimes(BENCHMARK)
        again = live(name, pool, workers, recorded=recorded)
        done = {(outcome.ask, outcome.trial) for outcome in recorded}
        assert not any((order.ask, order.trial) in done for order in pool.orders)
        k = int((whole.end <= recorded[-1].moment).sum())
        assert again.trial.tolist()[:k] == whole.trial.tolist()[:k]
        assert again.end.tolist()[:k] == whole.end.tolist()[:k]
        if n == len(moments):
            assert again.equals(whole)
            assert not pool.orders


def test_time_that_is_over_stays_over():
    moments = []
    settings = {"budget": f"{50 * 2.0**-10}s", "workers": 2}
    first = live("random_search", record=moments.append, **settings)
    assert len(first.cut_off) == 2
    assert first.cut_off.end.tolist() == [50 * 2.0**-10] * 2
    pool = GivenTimes(BENCHMARK)
    recorded = [outcome for outcomes in moments for outcome in outcomes]
    again = live("random_search", pool, recorded=recorded, **settings)
    assert again.equals(first)
    assert not pool.orders


def test_another_search_than_the_recorded_one_is_refused():
    moments = []
    live("random_search", record=moments.append)
    recorded = [outcome for outcomes in moments for outcome in outcomes]
    with pytest.raises(ExperimentError, match="recorded of this search is ask 1 for Trial"):
        live("regularized_evolution", recorded=recorded[1:])
    with pytest.raises(ExperimentError, match="Name another folder"):
        live("asha", recorded=recorded)


class Failing(GivenTimes):
    """The second order of each trial with an odd first option fails, and some give no number."""

    def answer(self, order):
        if order.trial.architecture[0] == 1:
            return order.ask, None, "out of memory"
        return super().answer(order)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_failures_are_evaluations_with_a_reason(name):
    trace = live(name, Failing(BENCHMARK), workers=2)
    failed = trace.architecture[:, 0] == 1
    assert failed.any()
    assert (trace.status[failed] == STATUSES.index("failed")).all()
    assert {trace.reasons[i] for i in failed.nonzero()[0]} == {"out of memory"}
    assert trace.charged.all()
    column = trace.to_frame()["reason"]
    assert (column[failed] == "out of memory").all()
    assert set(column[~failed]) <= {"", NOT_A_NUMBER}


class Thinking(SearchAlgorithm):
    """Works itself before each third trial, for which some seconds pass."""

    pool = None

    def ask(self):
        if self._n_trials % 3 == 2 and not self.worked:
            self.worked = True
            self.pool.clock += 7 * 2.0**-10
            return Work(seconds=123.0)
        self.worked = False
        return self.trial(SPACE.sample(self.rng))


def test_own_work_takes_what_it_took():
    pool, moments = GivenTimes(BENCHMARK), []
    thinking = Thinking(SPACE, seed=0)
    thinking.pool = pool
    trace = search_live(thinking, BENCHMARK, 9, pool, workers=2, record=moments.append)
    assert trace.derived.sum() == 3
    assert (trace.cost[trace.derived] == 7 * 2.0**-10).all()
    again = Thinking(SPACE, seed=0)
    again.pool = GivenTimes(BENCHMARK)
    recorded = [outcome for outcomes in moments for outcome in outcomes]
    repeated = search_live(again, BENCHMARK, 9, again.pool, workers=2, recorded=recorded)
    assert repeated.equals(trace)


def test_moments_are_told_apart_and_exact():
    class Coarse(GivenTimes):
        """A clock that hardly moves."""

        def now(self):
            return 0.0

    trace = live("random_search", Coarse(BENCHMARK), budget=5)
    assert trace.end.tolist() == [n * 2.0**-10 for n in range(1, 6)]
    assert (trace.start + trace.cost == trace.end).all()


def test_who_watches_sees_what_is_at_work():
    seen = []
    live("asha", workers=3, watch=seen.append)
    assert {work.epoch for standing in seen for work in standing.at_work.values()} == {1}
    assert max(len(standing.at_work) for standing in seen) == 3
    assert len(seen[-1].trace()) == seen[-1].finished == 30
    assert [standing.seconds for standing in seen] == sorted(s.seconds for s in seen)


def test_simulated_faults_are_refused():
    with pytest.raises(BudgetError, match="Real workers fail and straggle by themselves"):
        live("random_search", workers=Workers(2, fail=0.1))


def test_an_architecture_of_another_space_is_refused():
    class Lost(SearchAlgorithm):
        def ask(self):
            return self.trial((9, 9, 9))

    with pytest.raises(AlgorithmError, match="not of the space"):
        search_live(Lost(SPACE), BENCHMARK, 5, GivenTimes(BENCHMARK))


def test_nothing_is_evaluated_after_a_value_that_is_known(monkeypatch):
    """A free repeat is told at once, without a worker."""
    pool = GivenTimes(BENCHMARK)
    trace = live("random_search", pool, budget=40, charge_repeats=False)
    assert not trace.charged.all()
    assert len(pool.orders) == trace.charged.sum()
    assert math.isclose(trace.cost[~trace.charged].sum(), 0.0)
