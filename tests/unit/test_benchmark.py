"""What a benchmark charges and shows, where a table's columns differ in epochs, trials and kind."""

import numpy as np
import pytest

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.columns import Column, Query, TableInfo
from nasbench_lab.errors import QueryError
from nasbench_lab.table import Table

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

    def call(columns, objective="acc", **more):
        info = TableInfo("toy/t", "toy", "Made up.", "@misc{toy}", "CC0-1.0", objective, objective)
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
