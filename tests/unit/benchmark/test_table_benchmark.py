"""What a benchmark charges and shows, where a table's columns differ in epochs, trials and kind."""

import pickle
import shutil

import numpy as np
import pytest

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark, lacking_times
from nasbench_lab.clock import CLOCKS
from nasbench_lab.errors import BudgetError, HyperparameterError, QueryError
from nasbench_lab.registry import load_benchmark, make_algorithm
from nasbench_lab.running.search import run
from nasbench_lab.simulator import simulate
from nasbench_lab.spaces import get_space
from nasbench_lab.stats import anytime
from nasbench_lab.tables.columns import Column, Constraint, Query, TableInfo
from nasbench_lab.tables.table import Table

SEEDS = (1, 2, 3)
ROWS = 12
ARCHITECTURE = (0, 0, 0)


def column(name, quantity="accuracy", split="valid", epochs=None, trials=SEEDS, **more):
    return Column(name, quantity, "1", True, split, "toy", trials=trials, epochs=epochs, **more)


def values(shape, seed=0):
    return np.random.default_rng(seed).random((ROWS, *shape))


@pytest.fixture
def make(make_table, tmp_path):
    """Makes a table of some columns over the space of ``make_table``."""
    make_table()

    def call(columns, objective="acc", clock="", **more):
        info = TableInfo(
            *("toy/t", "toy", "Made up.", "@misc{toy}", "CC0-1.0", objective, objective),
            clock=clock,
        )
        return Table.create(tmp_path / "t", info, columns, **more)

    return call


EPOCHS = (1, 2, 3)


@pytest.fixture
def full(make):
    return make(
        {
            column("acc", epochs=EPOCHS): values((3, 3), 1),
            column("loss", "loss", epochs=EPOCHS): values((3, 3), 2),
            column("final"): values((3, 1), 3),
            column("other", schedule="long", epochs=EPOCHS): values((3, 3), 4),
            column("parameters", "parameters", None, trials=("all",)): values((1, 1), 5),
            column("time", "train_time_per_epoch", "train", epochs=EPOCHS): 1 + values((3, 3), 6),
            column("valid_time", split="valid", quantity="valid_time"): values((3, 1), 7),
        }
    )


def test_all_that_is_random_in_an_evaluation_is_of_one_training(full):
    objective = [Query("acc", trial="random"), Query("loss", trial="random"), "parameters"]
    benchmark = TableBenchmark(full, objective=objective)
    assert benchmark.clock == "official"
    rng = np.random.default_rng(0)
    seen = set()
    accuracy, loss = (full.trials(Query(n, epoch=2))[0] for n in ("acc", "loss"))
    times = [full.trials(Query("time", epoch=e))[0] for e in (1, 2)]
    costs = sum(times) + full.trials("valid_time")[0]
    for _ in range(60):
        found = benchmark.evaluate(ARCHITECTURE, 2, rng)
        trial = accuracy.tolist().index(found.values[0])
        assert found.values[1] == loss[trial]
        assert found.values[2] == full.query(ARCHITECTURE, "parameters")
        assert found.cost == pytest.approx(costs[trial])
        seen.add(trial)
    assert seen == {0, 1, 2}


def test_a_mean_beside_a_random_trial_stays_a_mean(full):
    benchmark = TableBenchmark(full, objective=[Query("acc", trial="random"), "loss"])
    found = benchmark.evaluate(ARCHITECTURE, None, np.random.default_rng(0))
    assert found.values[1] == pytest.approx(full.query(ARCHITECTURE, "loss"))


def test_what_is_known_at_the_end_only_is_not_sold_earlier(full):
    benchmark = TableBenchmark(full, objective=["acc", "final"])
    benchmark.evaluate(ARCHITECTURE)
    with pytest.raises(QueryError, match="holds only the value at the end of training"):
        benchmark.evaluate(ARCHITECTURE, 1)


@pytest.mark.parametrize("order", [["acc", "parameters"], ["parameters", "acc"]])
def test_clock_and_epochs_do_not_depend_on_the_order_of_objectives(full, order):
    benchmark = TableBenchmark(full, objective=order)
    assert (benchmark.clock, benchmark.epochs) == ("official", 3)
    alone = TableBenchmark(full)
    for epoch in (None, 1, 3):
        assert (
            benchmark.evaluate(ARCHITECTURE, epoch).cost == alone.evaluate(ARCHITECTURE, epoch).cost
        )


def test_objectives_of_different_trainings_are_refused(full):
    with pytest.raises(QueryError, match=r"'acc' and 'other' .* different trainings"):
        TableBenchmark(full, objective=["acc", "other"])


def test_a_clock_is_offered_only_if_it_can_charge(make):
    sparse = (2, 4)
    table = make(
        {
            column("acc", epochs=sparse): values((3, 2)),
            column("time", "train_time_per_epoch", "train", epochs=sparse): values((3, 2)),
            column("valid_time", split="valid", quantity="valid_time"): values((3, 1)),
        }
    )
    assert TableBenchmark(table).clock == "evaluations"
    with pytest.raises(QueryError, match="Clocks it can keep: evaluations"):
        TableBenchmark(table, clock="train_only")


CURVE = (1, 4, 12)


def curve_and(make, *times, **more):
    """A table of a learning curve and of columns of times: quantity, and epochs or None."""
    columns = {column("acc", epochs=CURVE): values((3, 3))}
    for i, (quantity, epochs) in enumerate(times, start=1):
        split = "valid" if quantity == "valid_time" else None
        held = Column(quantity, quantity, "s", False, split, "toy", epochs=epochs)
        columns[held] = 100 * i + values((1, len(epochs or (0,))), i)
    return make(columns, **more)


@pytest.mark.parametrize(
    ("times", "offered"),
    [
        ([("train_time", None)], {"train_only": (12,)}),
        ([("train_time", (12,))], {"train_only": (12,)}),
        ([("train_time", (4, 12))], {"train_only": (4, 12)}),
        ([("train_time", CURVE)], {"train_only": CURVE}),
        ([("train_time_per_epoch", None)], {"train_only": CURVE}),
        ([("train_time_per_epoch", tuple(range(1, 13)))], {"train_only": CURVE}),
        (
            [("train_time", None), ("valid_time", None)],
            {"official": (12,), "resume": (12,), "train_only": (12,), "every_epoch": (12,)},
        ),
        (
            [("train_time", CURVE), ("valid_time", (4, 12))],
            {"official": (4, 12), "resume": (4, 12), "train_only": CURVE},
        ),
        (
            [("train_time_per_epoch", None), ("valid_time", None)],
            dict.fromkeys(("official", "resume", "train_only", "every_epoch"), CURVE),
        ),
        ([("train_time", (1, 4))], {}),
        ([("train_time", CURVE), ("valid_time", (1, 4))], {"train_only": CURVE}),
        ([("valid_time", None)], {}),
    ],
)
def test_epochs_are_offered_if_and_only_if_the_table_has_their_price(make, times, offered):
    table = curve_and(make, *times)
    offered = {"evaluations": CURVE, **offered}
    assert TableBenchmark(table).clock == next(
        clock for clock in ("official", "train_only", "evaluations") if clock in offered
    )
    for clock in CLOCKS:
        if clock not in offered:
            with pytest.raises(QueryError, match=rf"times that clock '{clock}' needs .* epoch 12"):
                TableBenchmark(table, clock=clock)
            continue
        benchmark = TableBenchmark(table, clock=clock)
        assert benchmark.fidelities == offered[clock]
        for epoch in CURVE:
            if epoch in offered[clock]:
                found = benchmark.evaluate(ARCHITECTURE, epoch)
                many, costs = benchmark.evaluate_many(np.array([ARCHITECTURE]), epoch)
                assert (found.values[0], found.cost) == (many[0, 0], costs[0])
                continue
            message = rf"no times to charge by the clock '{clock}' for epoch {epoch}, only for"
            with pytest.raises(QueryError, match=message):
                benchmark.evaluate(ARCHITECTURE, epoch)
            with pytest.raises(QueryError, match=message):
                benchmark.evaluate_many(np.array([ARCHITECTURE]), epoch)
        trace = simulate(
            make_algorithm("hyperband", table.space, fidelities=benchmark.fidelities), benchmark, 20
        )
        assert set(trace.epoch.tolist()) <= set(offered[clock])


def test_the_price_of_the_whole_training_is_that_of_the_last_epoch_only(make):
    table = curve_and(make, ("train_time", None), ("valid_time", None))
    total, one_pass = (
        table.query(ARCHITECTURE, "train_time"),
        table.query(ARCHITECTURE, "valid_time"),
    )
    benchmark = TableBenchmark(table, clock="resume")
    assert benchmark.evaluate(ARCHITECTURE).cost == benchmark.evaluate(ARCHITECTURE, 12).cost
    assert benchmark.evaluate(ARCHITECTURE, 12).cost == total + one_pass
    with pytest.raises(QueryError, match="for epoch 4, only for epoch 12"):
        benchmark.evaluate(ARCHITECTURE, 12, since=4)
    # Who searches on epoch 4 does not pay for 12.
    early = TableBenchmark(table, objective=Query("acc", epoch=4))
    assert (early.clock, early.fidelities) == ("evaluations", (1, 4))
    with pytest.raises(QueryError, match=r"needs .* after epoch 4\. .*keep: evaluations\."):
        TableBenchmark(table, objective=Query("acc", epoch=4), clock="train_only")
    with pytest.raises(BudgetError, match="cannot keep a budget in simulated seconds"):
        simulate(make_algorithm("random_search", table.space), early, "10s")


def test_a_price_without_any_value_is_none(make):
    curve = values((3, 3))
    for epochs, offered in ((None, None), (CURVE, (4, 12))):
        times = values((1, len(epochs or (0,))), 1)
        times[:, :, 0] = np.nan
        held = Column("train_time", "train_time", "s", False, None, "toy", epochs=epochs)
        benchmark = TableBenchmark(make({column("acc", epochs=CURVE): curve, held: times}))
        assert benchmark.clock == ("train_only" if offered else "evaluations")
        assert benchmark.fidelities == (offered or CURVE)
        shutil.rmtree(benchmark.table.folder)


@pytest.mark.parametrize(
    ("times", "clock", "sentences"),
    [
        ([], "", []),
        ([("train_time", CURVE)], "", []),
        (
            [("train_time", None)],
            "",
            [
                "the times of the table (train_time) cannot pay for acc after epochs 1, 4 by the "
                "clock 'train_only': searches are offered epoch 12 only"
            ],
        ),
        ([("train_time", None)], "evaluations", []),
        (
            [("train_time", (1, 4))],
            "",
            [
                "the times of the table (train_time) cannot pay for acc after epoch 12; clocks: "
                "evaluations"
            ],
        ),
        (
            [("train_time", CURVE)],
            "official",
            [
                "the times of the table (train_time) cannot pay for acc after epoch 12 by the clock "
                "'official'; clocks: evaluations, train_only"
            ],
        ),
    ],
)
def test_which_epochs_cannot_be_paid_is_said(make, times, clock, sentences):
    assert lacking_times(curve_and(make, *times, clock=clock)) == sentences


@pytest.mark.parametrize("split", ["test", "valid+test", "x-test", "holdout"])
def test_only_validation_and_training_data_may_be_searched_on(make, split):
    table = make({column("acc"): values((3, 1)), column("held", split=split): values((3, 1))})
    with pytest.raises(QueryError, match="must not see"):
        TableBenchmark(table, objective="held")
    with pytest.raises(QueryError, match="must not see"):
        TableBenchmark(table, objective=["acc", Query("accuracy", split=split)])


def test_the_fingerprint_is_of_what_is_read(full):
    first = TableBenchmark(full)
    assert first.fingerprint == TableBenchmark(full).fingerprint
    others = [
        TableBenchmark(full, objective="loss"),
        TableBenchmark(full, report="final"),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 3


# Constraints


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("parameters<=0.5", Constraint(Query("parameters"), 0.5)),
        (" valid_accuracy >= 90 ", Constraint(Query("valid_accuracy"), 90, at_most=False)),
        ("loss<=-1e-3", Constraint(Query("loss"), -1e-3)),
    ],
)
def test_a_constraint_is_read(text, constraint):
    assert Constraint.of(text) == constraint
    assert Constraint.of(str(constraint)) == constraint


@pytest.mark.parametrize(
    "text", ["parameters", "parameters<0.5", "<=3", "a<=b", "a<=nan", "a<=inf", "a<=1<=2", "", 5]
)
def test_a_constraint_that_makes_no_sense_is_refused(text):
    with pytest.raises(QueryError, match="Expected a constraint such as"):
        Constraint.of(text)


def test_by_how_much_a_constraint_is_violated():
    values = np.array([1.0, 2.0, 3.0, np.nan])
    assert Constraint.of("x<=2").violation(values).tolist() == [0, 0, 0.5, np.inf]
    assert Constraint.of("x>=2").violation(values).tolist() == [0.5, 0, 0, np.inf]
    assert Constraint.of("x<=0").violation(values).tolist() == [1, 2, 3, np.inf]
    assert Constraint.of("x>=-2").violation(-values).tolist() == [0, 0, 0.5, np.inf]


def test_constraints_decide_on_incumbents_and_regret():
    benchmark = load_benchmark("nb201-digits", constraints=["parameters<=0.015", "flops<=1"])
    table = benchmark.table
    allowed = (table.values("parameters") <= 0.015) & (table.values("flops") <= 1)
    assert 10 < allowed.sum() < len(table) / 2
    assert np.array_equal(benchmark.feasible, allowed)
    assert benchmark.optimum("valid_accuracy") == table.values("valid_accuracy")[allowed].max()
    trace = run("regularized_evolution", benchmark, 200, seed=0)
    assert np.array_equal(trace.violation == 0, allowed[trace.row])
    assert 0 < (trace.violation > 0).sum() < 200
    incumbents = trace.incumbents()
    assert allowed[trace.row[incumbents[incumbents >= 0]]].all()
    regret = anytime(trace, benchmark, "valid_regret")
    found = np.where(allowed[trace.row], trace.values[:, 0], -np.inf)
    best = np.maximum.accumulate(found)
    assert np.array_equal(
        regret[np.isfinite(best)], (benchmark.optimum("valid_accuracy") - best)[np.isfinite(best)]
    )
    assert regret[-1] >= 0
    again = pickle.loads(pickle.dumps(benchmark))
    assert again.constraints == benchmark.constraints
    assert again.fingerprint == benchmark.fingerprint


@pytest.mark.parametrize("bounded", [Query("valid_accuracy"), Query("valid_accuracy", epoch=2)])
def test_a_constraint_on_a_trained_value_is_judged_after_the_last_epoch(timed, bounded):
    benchmark = TableBenchmark(timed, constraints=Constraint(bounded, 70, at_most=False))
    for row in range(5):
        value = timed.values(Query("valid_accuracy", epoch=bounded.epoch or 4))[row]
        for epoch in (1, 2, 4, None):
            evaluation = benchmark.evaluate(timed.space.at(row), epoch)
            if epoch in (4, None):
                assert evaluation.violation == max(0.0, 70 - value) / 70
            else:
                assert np.isnan(evaluation.violation)  # nobody knows yet
        assert benchmark.feasible[row] == (value >= 70)


def test_what_is_not_known_to_be_allowed_is_no_incumbent():
    benchmark = load_benchmark("nb201-digits", constraints="valid_accuracy>=98.5")
    for seed in range(3):
        trace = run("asha", benchmark, 5, seed)
        assert (trace.epoch < 12).all()
        assert (trace.incumbents() == -1).all()
        with pytest.raises(ValueError, match="kept to the constraints"):
            trace.best()
    # Another constraint, which does not depend on training, is judged at every epoch.
    small = load_benchmark("nb201-digits", constraints=["valid_accuracy>=10", "parameters<=0.012"])
    some = small.table.architectures[::50]
    violations = [small.evaluate(tuple(a), 1).violation for a in some.tolist()]
    sizes = small.table.query(some, "parameters")
    assert np.array_equal(np.isnan(violations), sizes <= 0.012)
    assert (np.nan_to_num(violations) > 0).sum() == (sizes > 0.012).sum()


def test_a_multi_fidelity_search_under_a_trained_constraint_goes_on():
    benchmark = load_benchmark("nb201-digits", constraints="valid_accuracy>=90", clock="resume")
    for algorithm in ("asha", "successive_halving", "learning_curve_stopping"):
        trace = run(algorithm, benchmark, "30s", 0)
        assert (trace.epoch == 12).sum() > 5
        assert trace.incumbents()[-1] >= 0


def test_a_constraint_may_need_training_where_the_objective_does_not():
    benchmark = load_benchmark(
        "nb201-digits", objective="parameters", constraints="valid_accuracy>=50", clock="resume"
    )
    assert benchmark.fidelities == tuple(range(1, 13))
    trace = run("asha", benchmark, "30s", 0)
    regret = anytime(trace, benchmark, "valid_regret")
    assert np.isfinite(regret[-1])
    assert regret[-1] >= 0


def test_regret_of_what_turns_out_not_to_be_allowed_is_unknown(timed):
    benchmark = TableBenchmark(timed, constraints="valid_accuracy>=70")
    row = int(np.flatnonzero(~benchmark.feasible)[0])

    class Short(SearchAlgorithm):
        def ask(self):
            return self.trial(timed.space.at(row), 1)

    trace = simulate(Short(timed.space), benchmark, 2)
    assert np.isnan(anytime(trace, benchmark, "valid_regret")).all()


def test_objectives_of_different_epochs_or_twice_are_refused(timed):
    with pytest.raises(QueryError, match="after the same epoch, but 'valid_time'"):
        TableBenchmark(timed, objective=["valid_accuracy", Query("valid_time", epoch=1)])
    with pytest.raises(QueryError, match="given twice"):
        TableBenchmark(timed, objective=["valid_accuracy", "valid_accuracy"])
    with pytest.raises(QueryError, match=r"bounded after epoch 4, but a search on .* ends after 2"):
        TableBenchmark(
            timed,
            objective=Query("valid_accuracy", epoch=2),
            constraints=Constraint(Query("valid_accuracy", epoch=4), 70, at_most=False),
        )


@pytest.mark.parametrize("constraint", [("parameters", "1"), ("parameters", np.nan), ("p", True)])
def test_a_limit_that_is_no_number_is_refused(constraint):
    with pytest.raises(QueryError, match="number as limit"):
        Constraint(*constraint)


@pytest.mark.parametrize("algorithm", ["gp_bo", "reinforce"])
def test_models_learn_what_is_not_allowed(algorithm):
    benchmark = load_benchmark("nb201-digits", constraints="parameters<=0.02")
    share = benchmark.feasible[benchmark.table.row(benchmark.space.at(np.arange(15625)))].mean()
    allowed = [(run(algorithm, benchmark, 150, seed).violation == 0).mean() for seed in range(6)]
    assert np.mean(allowed) > share


def test_a_continued_random_trial_pays_its_own_new_epochs():
    table = load_benchmark("nb201-digits").table
    query = Query("valid_accuracy", trial="random")
    benchmark = TableBenchmark(table, objective=query, clock="resume")
    whole = TableBenchmark(table, objective=query, clock="official")
    architecture = (3, 3, 3, 3, 3, 3)
    for seed in range(5):
        again, official = (
            one.evaluate(architecture, 12, np.random.default_rng(seed))
            for one in (benchmark, whole)
        )
        assert again == official
        continued = benchmark.evaluate(architecture, 12, np.random.default_rng(seed), since=4)
        first = TableBenchmark(table, objective=query, clock="train_only").evaluate(
            architecture, 4, np.random.default_rng(seed)
        )
        assert continued.values == official.values
        assert continued.cost == pytest.approx(official.cost - first.cost, rel=1e-12)


def test_constraints_that_cannot_be_are_refused(timed):
    with pytest.raises(
        QueryError, match=r"No entry .* keeps to train_time<=1\.0\. 0 keep .* from 40"
    ):
        TableBenchmark(timed, constraints="train_time<=1")
    with pytest.raises(QueryError, match="test data"):
        TableBenchmark(timed, constraints="test_accuracy>=1")
    with pytest.raises(QueryError, match="no column for latency"):
        TableBenchmark(timed, constraints="latency<=1")
    with pytest.raises(QueryError, match=r"at once\. \d+ keep to train_time<=45"):
        TableBenchmark(timed, constraints=["train_time<=45", "train_time>=46"])


# Several objectives as one score


def test_weights_make_one_score_of_several_objectives():
    space = get_space("nb201")
    algorithm = make_algorithm("random_search", space, maximize=(True, False), weights=(1, 0.5))
    assert algorithm.score(Evaluation((3.0, 4.0), 1.0)) == 1.0
    assert algorithm.score(Evaluation((3.0, np.nan), 1.0)) == -np.inf
    assert algorithm.score(Evaluation((3.0, 4.0), 1.0, violation=0.1)) == -np.inf
    plain = make_algorithm("random_search", space, maximize=(False, True))
    assert plain.score(Evaluation((3.0, 4.0), 1.0)) == -3.0


def test_nsga2_and_random_scalarization_take_no_weights():
    for algorithm in ("nsga2", "random_scalarization"):
        with pytest.raises(HyperparameterError, match="Expected no weights"):
            make_algorithm(algorithm, get_space("nb201"), maximize=(True, True), weights=(1, 2))


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), 1, ("a", 1), (np.nan, 1)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(HyperparameterError, match="weight"):
        make_algorithm("random_search", get_space("nb201"), maximize=(True, True), weights=weights)


def test_a_weighted_search_finds_small_networks():
    benchmark = load_benchmark("nb201-digits", objective=["valid_accuracy", "parameters"])
    size = {}
    for weight in (0, 1000):
        trace = run("regularized_evolution", benchmark, 200, weights=(1, weight))
        size[weight] = np.median(trace.values[-50:, 1])
    assert size[1000] < size[0]
