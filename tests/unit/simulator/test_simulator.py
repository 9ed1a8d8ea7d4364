"""The simulator: budgets, clocks, repeats, and algorithms that break the rules."""

import math

import numpy as np
import pytest

from nasbench_lab.algorithm import SearchAlgorithm, Trial
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.budget import Budget
from nasbench_lab.errors import (
    AlgorithmError,
    BenchmarkError,
    BudgetError,
    NasbenchLabError,
    QueryError,
    UnknownNameError,
)
from nasbench_lab.registry import load_benchmark, make_algorithm
from nasbench_lab.running.search import run
from nasbench_lab.simulator import PATIENCE, simulate
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Query
from nasbench_lab.testing import SyntheticBenchmark

CORA = "nas-bench-graph/cora"
GRAPH_SKIP = 8


class Scripted(SearchAlgorithm):
    """Asks what it is given, one (row, epoch) after the other, and then nothing."""

    def __init__(self, space, plan, **kwargs):
        super().__init__(space, **kwargs)
        self.plan = list(plan)

    def ask(self):
        if not self.plan:
            return None
        row, epoch = self.plan.pop(0)
        return self.trial(self.space.at(row), epoch)


def plan_of(*rows):
    """The rows, each to the end of training."""
    return [(row, None) for row in rows]


def simulate_plan(table, plan, budget, clock=None, **kwargs):
    benchmark = TableBenchmark(table, clock=clock)
    return simulate(Scripted(benchmark.space, plan), benchmark, budget, **kwargs)


# Budgets


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        (200, Budget(evaluations=200)),
        (np.int64(7), Budget(evaluations=7)),
        ("200", Budget(evaluations=200)),
        (" 200 evaluations ", Budget(evaluations=200)),
        ("200evals", Budget(evaluations=200)),
        ("2e2", Budget(evaluations=200)),
        ("12000s", Budget(seconds=12000)),
        ("12h", Budget(seconds=43_200)),
        ("1.5 h", Budget(seconds=5_400)),
        ("10d", Budget(seconds=864_000)),
        ("30min", Budget(seconds=1_800)),
        ("200, 2d", Budget(evaluations=200, seconds=172_800)),
        ("0.5 seconds", Budget(seconds=0.5)),
        ("1e3s", Budget(seconds=1000)),
        ("500epochs", Budget(epochs=500)),
        ("200,12000s", Budget(evaluations=200, seconds=12000)),
        ("200,100s", Budget(evaluations=200, seconds=100)),
        ("12, 5s", Budget(evaluations=12, seconds=5)),
        ("12 evaluations,5s", Budget(evaluations=12, seconds=5)),
        ("12evals,5epochs", Budget(evaluations=12, epochs=5)),
        ("5s,12", Budget(evaluations=12, seconds=5)),
        ("12,5.5s", Budget(evaluations=12, seconds=5.5)),
        ("40,1e9s", Budget(evaluations=40, seconds=1e9)),
        ("9s, 200, 500 epochs", Budget(evaluations=200, seconds=9, epochs=500)),
        (Budget(epochs=3), Budget(epochs=3)),
    ],
)
def test_budget_is_read(text, budget):
    assert Budget.of(text) == budget


@pytest.mark.parametrize(
    "text",
    [
        *(None, 0, -1, 2.5, -2.5, math.nan, math.inf, -math.inf, True, False, [5], {}),
        *("", ",", "5,", "0", "-5", "2.5", "nan", "inf", "1e999", "1.2.3", "many", "5x", "five s"),
        *("0s", "-1s", "nans", "infs", "1e999s", "s", "0epochs", "-3epochs", "1.5epochs"),
        *("200,300", "10s,20s", "200,0s", "200,-1epochs", "200;10s"),
    ],
)
def test_budget_that_makes_no_sense_is_refused(text):
    with pytest.raises(BudgetError, match=r"budget") as caught:
        Budget.of(text)
    assert isinstance(caught.value, NasbenchLabError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "meant", "or_list"),
    [
        ("12,5s", "'12.5s'", "'12, 5s'"),
        ("0,5s", "'0.5s'", "'0, 5s'"),
        ("0,125s", "'0.125s'", "'0, 125s'"),
        ("1,5epochs", "'1.5epochs'", "'1, 5epochs'"),
        ("100,5 s", "'100.5 s'", "'100, 5 s'"),
        ("12,50 seconds", "'12.50 seconds'", "'12, 50 seconds'"),
        ("1,025s", "'1.025s'", "'1, 025s'"),
        ("200, 12,5s", "'200, 12.5s'", "'200, 12, 5s'"),
        ("12,5", "'12.5'", "'12, 5'"),
    ],
)
def test_a_decimal_comma_in_a_budget_is_refused(text, meant, or_list):
    with pytest.raises(BudgetError, match="decimal point") as caught:
        Budget.of(text)
    assert meant in str(caught.value)
    assert or_list in str(caught.value)


@pytest.mark.parametrize("limit", ["evaluations", "seconds", "epochs"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, True, "10"])
def test_each_limit_of_a_budget_is_positive_and_finite(limit, value):
    with pytest.raises(BudgetError, match=limit):
        Budget(**{limit: value})


def test_a_budget_without_limit_says_what_to_write():
    with pytest.raises(BudgetError, match=r"budget=200 .* budget='12000s'"):
        Budget()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (200, "200 evaluations"),
        ("12000s", "12000 simulated seconds"),
        ("12h", "12 simulated hours"),
        ("86400s", "1 simulated day"),
        ("1h", "3600 simulated seconds"),
        ("0.5s", "0.5 simulated seconds"),
        ("500epochs", "500 epochs"),
        ("500epochs,200,9s", "200 evaluations or 9 simulated seconds or 500 epochs"),
    ],
)
def test_a_budget_as_text(text, written):
    assert str(Budget.of(text)) == written


class NeverAsked(SearchAlgorithm):
    def ask(self):
        raise AssertionError("asked although the run was refused")


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("100s", "holds no training times"),
        ("5,100s", "holds no training times"),
        ("100epochs", "holds only what its architectures reached in the end"),
    ],
)
def test_a_unit_that_the_table_cannot_count_is_refused(budget, words):
    benchmark = load_benchmark(CORA)
    with pytest.raises(BudgetError, match=words) as caught:
        simulate(NeverAsked(benchmark.space), benchmark, budget)
    assert CORA in str(caught.value)
    assert "Give a number of evaluations" in str(caught.value)


def test_seconds_are_refused_where_the_clock_counts_evaluations(timed):
    with pytest.raises(BudgetError, match="counts evaluations"):
        simulate_plan(timed, plan_of(0), "100s", clock="evaluations")


@pytest.mark.parametrize("workers", [0, -1])
def test_a_run_needs_a_worker(timed, workers):
    with pytest.raises(BudgetError, match="at least 1 worker"):
        simulate_plan(timed, plan_of(0), 1, workers=workers)


def test_an_evaluation_that_ends_after_the_budget_does_not_count(timed):
    # Rows 0, 1 and 2 take 41, 46 and 51 seconds.
    for seconds, n in [(40.9, 0), (41, 1), (86.9, 1), (87, 2), (87.1, 2), (138, 3), (999, 3)]:
        trace = simulate_plan(timed, plan_of(0, 1, 2), Budget(seconds=seconds))
        assert trace.end.tolist() == [41, 87, 138][:n]


def test_the_sum_of_epochs_does_not_exceed_the_budget(timed):
    plan = [(0, 4), (1, 2), (2, None), (3, 1)]
    for epochs, n in [(1, 0), (3, 0), (4, 1), (5, 1), (6, 2), (9, 2), (10, 3), (11, 4), (99, 4)]:
        trace = simulate_plan(timed, plan, Budget(epochs=epochs))
        assert trace.epoch.tolist() == [4, 2, 4, 1][:n]


def test_no_more_is_asked_than_the_budget_has_evaluations(timed):
    algorithm = Scripted(timed.space, plan_of(*range(10)))
    trace = simulate(algorithm, TableBenchmark(timed), 4, workers=3)
    assert len(trace) == 4
    assert len(algorithm.plan) == 6


def test_the_first_limit_that_is_reached_ends_the_run(timed):
    plan = plan_of(0, 1, 2, 4)
    assert len(simulate_plan(timed, plan, "3,999s,99epochs")) == 3
    assert len(simulate_plan(timed, plan, "9, 90s, 99epochs")) == 2
    assert len(simulate_plan(timed, plan, "9,999s,7epochs")) == 1


# Clocks


@pytest.mark.parametrize("epoch", [None, 1, 2, 4])
@pytest.mark.parametrize("row", [0, 4, 7, 10])
def test_what_the_clocks_charge(timed, row, epoch):
    train = (10 + row) * (epoch or 4)
    expected = {"evaluations": 1, "train_only": train, "official": train + 1 + row % 3}
    for clock, cost in expected.items():
        evaluation = TableBenchmark(timed, clock=clock).evaluate(timed.space.at(row), epoch)
        assert evaluation.cost == cost
        assert evaluation.epoch == (epoch or 4)


def test_a_table_with_times_keeps_the_official_clock(timed):
    assert TableBenchmark(timed).clock == "official"
    assert load_benchmark(CORA).clock == "evaluations"


def test_what_cannot_be_charged_has_failed_also_as_a_random_trial(make_table, monkeypatch):
    table = make_table()
    query = Query("train_time", dataset="toy")
    unknown = table.values(query).copy()
    unknown[2] = math.nan
    values = table.values
    monkeypatch.setattr(
        table, "values", lambda q: unknown if Query.of(q).metric == "train_time" else values(q)
    )
    for trial in ("mean", "random"):
        benchmark = TableBenchmark(table, objective=Query("valid_accuracy", trial=trial))
        for row, failed in ((1, False), (2, True)):
            architecture = tuple(table.architectures[row].tolist())
            found = benchmark.evaluate(architecture, rng=np.random.default_rng(0))
            assert math.isnan(found.values[0]) is failed
            assert (found.cost == 0) is failed


def test_without_validation_times_the_clock_counts_training_only(make_table):
    assert TableBenchmark(make_table(without=("valid_time",))).clock == "train_only"
    assert TableBenchmark(make_table(without=("train_time",))).clock == "evaluations"


def test_an_unknown_clock_is_refused_with_the_nearest(timed):
    with pytest.raises(UnknownNameError, match=r"'oficial'. Did you mean 'official'\?"):
        TableBenchmark(timed, clock="oficial")


def test_a_clock_that_the_table_cannot_keep_is_refused(make_table):
    table = make_table(without=["valid_time"])
    with pytest.raises(
        QueryError,
        match=r"times that clock 'official' needs.*Clocks it can keep: evaluations, train_only",
    ):
        TableBenchmark(table, clock="official")
    assert TableBenchmark(table, clock="train_only").evaluate((0, 0, 0)).cost == 40


def test_an_epoch_that_the_table_does_not_hold_is_refused(timed):
    with pytest.raises(QueryError, match=r"holds epochs 1, 2, 4, not epoch 3"):
        simulate_plan(timed, [(0, 3)], 1)


# Repeats


def test_repeats_are_charged_by_default(timed):
    trace = simulate_plan(timed, plan_of(0, 0, 0, 0), 3)
    assert trace.cost.tolist() == [41, 41, 41]


def test_repeats_can_cost_nothing_and_count_nothing(timed):
    plan = plan_of(0, 0, 1, 0, 1, 2, 2)
    for budget in (3, Budget(epochs=12)):
        trace = simulate_plan(timed, plan, budget, charge_repeats=False)
        assert trace.row.tolist() == [0, 0, 1, 0, 1, 2]
        assert trace.cost.tolist() == [41, 0, 46, 0, 0, 51]
        assert trace.end.tolist() == [41, 41, 87, 87, 87, 138]
        assert np.array_equal(trace.values[[1, 3]], trace.values[[0, 0]])
    trace = simulate_plan(timed, plan, "87s", charge_repeats=False)
    assert trace.row.tolist() == [0, 0, 1, 0, 1]


def test_another_epoch_is_no_repeat_but_the_last_by_its_number_is(timed):
    plan = [(0, None), (0, 2), (0, 4), (0, 2)]
    trace = simulate_plan(timed, plan, 9, charge_repeats=False)
    assert trace.cost.tolist() == [41, 21, 0, 0]


def test_an_isomorphic_architecture_is_a_repeat():
    benchmark = load_benchmark(CORA)
    one, twin = (0, 0, 1, 2, 3), (0, 3, 2, 1, 0)
    algorithm = Scripted(benchmark.space, plan_of(*map(benchmark.space.index, (one, twin))))
    trace = simulate(algorithm, benchmark, 9, charge_repeats=False)
    assert trace.cost.tolist() == [1, 0]


def test_what_still_runs_is_no_repeat(timed):
    trace = simulate_plan(timed, plan_of(0, 0, 0), 9, charge_repeats=False, workers=2)
    assert trace.cost.tolist() == [41, 41, 0]
    assert trace.end.tolist() == [41, 41, 41]


class Repeats(SearchAlgorithm):
    architecture = (0, 0, 0)

    def ask(self):
        return self.trial(self.architecture)


@pytest.mark.parametrize("budget", [5, "500s", "50epochs"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_ends_when_an_algorithm_only_repeats_itself_for_nothing(timed, budget, workers):
    kinds = {"workers": workers, "charge_repeats": False}
    trace = simulate(Repeats(timed.space), TableBenchmark(timed), budget, **kinds)
    assert trace.end.tolist() == [41] * workers
    assert trace.charged.all()


def test_of_a_run_that_ends_in_repeats_the_earlier_ones_are_kept(timed):
    class Settles(Scripted):
        def ask(self):
            return super().ask() or self.trial((0, 0, 1))

    algorithm = Settles(timed.space, plan_of(0, 1, 0, 2))
    trace = simulate(algorithm, TableBenchmark(timed), 5, charge_repeats=False)
    assert trace.row.tolist() == [0, 1, 0, 2]
    assert trace.charged.tolist() == [True, True, False, True]
    assert trace.evaluations().tolist() == [1, 2, 2, 3]


def test_an_algorithm_whose_evaluations_take_no_time_is_stopped(timed):
    absent = Repeats(timed.space)
    absent.architecture = timed.space.at(11)
    with pytest.raises(
        AlgorithmError, match="take no time or epochs, so the budget of 500 simulated"
    ):
        simulate(absent, TableBenchmark(timed), "500s")


def test_evaluations_that_take_no_time_count_as_evaluations(timed):
    absent = Repeats(timed.space)
    absent.architecture = timed.space.at(11)
    trace = simulate(absent, TableBenchmark(timed), PATIENCE + 10)
    assert (len(trace), trace.end[-1]) == (PATIENCE + 10, 0)


def test_repeating_itself_is_fine_where_it_costs(timed):
    assert len(simulate(Repeats(timed.space), TableBenchmark(timed), "500s")) == 500 // 41


# Algorithms that break the rules


class Answers(SearchAlgorithm):
    """Asks whatever it is given."""

    def __init__(self, space, answer):
        super().__init__(space)
        self.answer = answer

    def ask(self):
        return self.answer


@pytest.mark.parametrize(
    "architecture",
    [
        *(
            (0, 0),
            (0, 0, 0, 0),
            (0, 0, 2),
            (-1, 0, 0),
            (0.5, 0, 0),
            ("x", "u", "p"),
            (0, 0, [1]),
            (),
        ),
        *([0, 0, 0], np.array([0, 0, 0]), None, "xup", 3),
    ],
    ids=repr,
)
def test_an_architecture_outside_the_space_is_refused(timed, architecture):
    with pytest.raises(
        AlgorithmError, match="Answers asked for an architecture that is not of the"
    ):
        simulate(Answers(timed.space, Trial(0, architecture)), TableBenchmark(timed), 5)


@pytest.mark.parametrize(
    ("space", "maximize"),
    [("nb201", True), ("toy", False), ("toy", (True, True)), ("nb201", False)],
)
def test_an_algorithm_that_was_built_for_something_else_is_refused(timed, space, maximize):
    algorithm = NeverAsked(get_space(space), maximize=maximize)
    with pytest.raises(AlgorithmError, match=r"NeverAsked was built for .*but 'toy/timed' has"):
        simulate(algorithm, TableBenchmark(timed), 5)


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf])
def test_a_cost_that_cannot_be_is_refused(cost):
    class Odd(SyntheticBenchmark):
        def evaluate(self, *args):
            return super().evaluate(*args)._replace(cost=cost)

    benchmark = Odd(get_space("nb201"))
    with pytest.raises(BenchmarkError, match="cost of at least 0 but 'synthetic' charged"):
        simulate(Scripted(benchmark.space, plan_of(3)), benchmark, 5)


@pytest.mark.parametrize(
    "answer", [(0, 0, 0), [0, 0, 0], np.array([0, 0, 0]), "x:u:p", 3], ids=repr
)
def test_an_answer_that_is_no_trial_is_refused(timed, answer):
    with pytest.raises(AlgorithmError, match=r"must return a Trial .* Return self\.trial\("):
        simulate(Answers(timed.space, answer), TableBenchmark(timed), 5)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_algorithm_with_nothing_to_ask_ends_the_run(timed, workers):
    trace = simulate(Answers(timed.space, None), TableBenchmark(timed), 5, workers=workers)
    assert len(trace) == 0
    assert trace.architecture.shape == (0, 3)
    assert trace.values.shape == (0, 1)
    trace = simulate_plan(timed, plan_of(0, 1), 5, workers=workers)
    assert len(trace) == 2


def test_an_algorithm_may_wait_for_results(timed):
    class OneAtATime(Scripted):
        waiting = False

        def ask(self):
            if self.waiting:
                return None
            self.waiting = True
            return super().ask()

        def tell(self, trial, evaluation):
            self.waiting = False

    trace = simulate(OneAtATime(timed.space, plan_of(0, 1, 2)), TableBenchmark(timed), 9, workers=3)
    assert trace.start.tolist() == [0, 41, 87]
    assert trace.worker.tolist() == [0, 0, 0]


class OwnError(Exception):
    pass


@pytest.mark.parametrize("method", ["ask", "tell"])
@pytest.mark.parametrize("error", [OwnError, KeyError, TypeError, AttributeError])
def test_an_algorithms_own_errors_come_through(timed, method, error):
    def fail(*_):
        raise error("its own")

    algorithm = Repeats(timed.space)
    setattr(algorithm, method, fail)
    with pytest.raises(error, match="its own"):
        simulate(algorithm, TableBenchmark(timed), 5)


# What an evaluation tells


def test_an_absent_entry_is_a_failed_evaluation_that_counts():
    benchmark = load_benchmark(CORA)
    skips = [benchmark.space.index((wiring, *[GRAPH_SKIP] * 4)) for wiring in range(9)]
    trace = simulate(Scripted(benchmark.space, plan_of(*skips)), benchmark, 7)
    assert len(trace) == 7
    assert np.isnan(trace.values).all()
    assert trace.row.tolist() == [-1] * 7
    assert trace.end.tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_failed_evaluation_takes_its_time(timed):
    trace = simulate_plan(timed, plan_of(5, 0), 2)
    assert np.isnan(trace.values[:, 0]).tolist() == [True, False]
    assert trace.cost.tolist() == [63, 41]


@pytest.mark.parametrize(
    "objective",
    [
        "test_accuracy",
        Query("accuracy", split="test"),
        Query("accuracy", split="test", trial="random"),
        ["valid_accuracy", "test_accuracy"],
    ],
    ids=str,
)
def test_a_search_on_test_data_is_refused(timed, objective):
    with pytest.raises(QueryError, match=r"test data, which a search must not see"):
        TableBenchmark(timed, objective=objective)


def test_several_objectives_are_told_in_order(timed):
    benchmark = TableBenchmark(timed, objective=["valid_accuracy", "train_time"])
    algorithm = Scripted(timed.space, plan_of(0, 1), maximize=(True, False))
    trace = simulate(algorithm, benchmark, 2)
    assert trace.values[:, 1].tolist() == [40, 44]
    assert [objective.maximize for objective in trace.objectives] == [True, False]
    assert trace.values[:, 0].tolist() == timed.values("valid_accuracy")[:2].tolist()


def test_the_trace_says_how_it_was_made(timed):
    trace = simulate_plan(
        timed, plan_of(0), "5,100s", workers=2, charge_repeats=False, settings={"seed": 3}
    )
    assert trace.settings == {
        "seed": 3,
        "budget": {"evaluations": 5, "seconds": 100},
        "clock": "official",
        "charge_repeats": False,
        "workers": {"count": 2},
    }


# Random trials


def random_trials(table):
    return TableBenchmark(table, objective=Query("valid_accuracy", trial="random"))


def test_a_random_trial_is_one_that_the_table_holds(timed):
    benchmark, rng = random_trials(timed), np.random.default_rng(0)
    held = timed.trials("valid_accuracy")
    for row in range(len(timed)):
        drawn = [benchmark.evaluate(timed.space.at(row), rng=rng).values[0] for _ in range(60)]
        if row == 5:
            assert np.isnan(drawn).all()
        else:
            assert set(drawn) == {value for value in held[row].tolist() if not math.isnan(value)}


def test_a_free_repeat_tells_again_what_was_told_first(timed):
    repeats = {"noise": np.random.default_rng(0), "charge_repeats": False}
    algorithm = Scripted(timed.space, plan_of(*[0] * 20, 1))
    trace = simulate(algorithm, random_trials(timed), 2, **repeats)
    assert len(trace) == 21
    assert len(set(trace.values[:20, 0].tolist())) == 1


def test_a_random_trial_needs_a_generator(timed):
    with pytest.raises(QueryError, match=r"rng="):
        random_trials(timed).evaluate((0, 0, 0))


@pytest.mark.parametrize(
    ("algorithm", "n_same"), [("random_search", 40), ("regularized_evolution", 10), ("gp_bo", 4)]
)
def test_the_noise_of_trials_leaves_the_searchs_own_stream_alone(timed, algorithm, n_same):
    hyperparameters = {"n_initial": 4} if algorithm == "gp_bo" else {}

    def search(noise):
        searcher = make_algorithm(algorithm, timed.space, seed=1, **hyperparameters)
        generator = np.random.default_rng(noise)
        return simulate(searcher, random_trials(timed), 40, noise=generator)

    one, same, other = search(5), search(5), search(6)
    assert one.equals(same)
    assert np.array_equal(one.row[:n_same], other.row[:n_same])
    assert not np.array_equal(one.values[:n_same], other.values[:n_same], equal_nan=True)


def test_random_trials_ask_for_the_same_architectures_as_their_mean(timed):
    noisy = run("random_search", random_trials(timed), 40, seed=4)
    mean = run("random_search", TableBenchmark(timed), 40, seed=4)
    assert np.array_equal(noisy.row, mean.row)
    assert not np.array_equal(noisy.values, mean.values, equal_nan=True)


# Clocks of trials that continue


class Continued(Scripted):
    """Each entry of the plan is (number, row, epoch): a number that comes again continues."""

    def ask(self):
        if not self.plan:
            return None
        number, row, epoch = self.plan.pop(0)
        return Trial(number, self.space.at(row), epoch)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        # (10 + row) s per epoch, 1 + row % 3 s per validation pass
        ("official", [10 + 1, 22 + 2, 20 + 1, 40 + 1, 10 + 1]),
        ("resume", [10 + 1, 22 + 2, 10 + 1, 20 + 1, 10 + 1]),
        ("train_only", [10, 22, 20, 40, 10]),
    ],
)
def test_what_a_continued_trial_pays(timed, clock, expected):
    plan = [(0, 0, 1), (1, 1, 2), (0, 0, 2), (0, 0, 4), (2, 0, 1)]
    benchmark = TableBenchmark(timed, clock=clock)
    trace = simulate(Continued(benchmark.space, plan), benchmark, 5)
    assert trace.cost.tolist() == expected
    assert trace.settings["clock"] == clock


def test_a_pass_after_every_epoch_needs_the_times_of_every_epoch(timed):
    with pytest.raises(QueryError, match="times that clock 'every_epoch' needs"):
        TableBenchmark(timed, clock="every_epoch")
    assert (
        TableBenchmark(timed, objective=Query("valid_accuracy", epoch=2), clock="every_epoch")
        .evaluate(timed.space.at(0))
        .cost
        == 20 + 1 + 1
    )
