"""Searching on live training: the contract, what is kept, what it costs, and tables that fall back."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab import stats
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Objective, TableBenchmark
from nasbench_lab.errors import QueryError, TrainingError, UnknownNameError
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table
from nasbench_lab.testing import SyntheticBenchmark, check_benchmark

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from small_data import maker, short, small_digits, trainings_done

from nasbench_lab.trainer import benchmark as module
from nasbench_lab.trainer.benchmark import TrainingBenchmark

pytestmark = pytest.mark.long

SPACE = get_space("nb201")
CELL = (1, 3, 0, 1, 0, 2)
DATA = small_digits()


@pytest.fixture
def make(tmp_path):
    return maker(tmp_path / "kept")


@pytest.fixture
def trained(monkeypatch):
    return trainings_done(monkeypatch, module)


def test_contract(make):
    check_benchmark(make(short(epochs=1)), n=6)


def test_an_evaluation_is_the_validation_accuracy_after_its_epoch(make):
    benchmark = make(seeds=(0, 1))
    training = benchmark.training(CELL)
    for epoch in (1, 2, 3, None):
        evaluation = benchmark.evaluate(CELL, epoch)
        expected = training.curves["valid_accuracy"][:, (epoch or 3) - 1].mean()
        assert evaluation.values == (expected,)
        assert evaluation.epoch == (epoch or 3)
        assert evaluation.cost == 1.0
        assert evaluation.row == SPACE.index(SPACE.canonical(CELL))
    assert benchmark.objectives[0].name == "valid_accuracy"


def test_nothing_is_trained_twice(make, trained):
    make().evaluate(CELL)
    benchmark = make()  # in another process, say
    benchmark.evaluate(CELL)
    benchmark.evaluate(CELL, 1)
    assert trained == [(0, 3)]
    make(short(lr=0.2)).evaluate(CELL)
    make(seeds=(1,)).evaluate(CELL)
    assert len(trained) == 3


def test_a_longer_evaluation_goes_on_from_a_shorter_one(make, trained, tmp_path):
    whole = make(folder=tmp_path / "other").evaluate(CELL)
    trained.clear()
    benchmark = make()
    assert benchmark.evaluate(CELL, 1).epoch == 1
    assert make().evaluate(CELL) == whole
    assert trained == [(0, 1), (1, 3)]
    assert not list((tmp_path / "kept").glob("*.pt"))


def test_a_damaged_entry_is_trained_again(make, trained, tmp_path):
    first = make().evaluate(CELL)
    (file,) = (tmp_path / "kept").glob("*.json")
    for content in ("", '{"curves": 3}', file.read_text()[:50]):
        file.write_text(content)
        assert make().evaluate(CELL) == first
    assert len(trained) == 4


def test_another_process_that_trained_longer_is_not_undone(make, trained):
    mine = make()
    mine.evaluate(CELL, 1)
    make().evaluate(CELL, 3)
    mine.evaluate(CELL, 2)
    make().evaluate(CELL, 3)
    assert trained == [(0, 1), (1, 3)]


def test_other_images_are_another_training(make, trained):
    make().evaluate(CELL)
    make(data=dataclasses.replace(DATA, mean=(0.0,))).evaluate(CELL)
    assert len(trained) == 2


def test_clocks(make):
    seconds = make().training(CELL).seconds
    train, valid = seconds["train"], seconds["valid"]
    for clock, epoch, expected in (
        ("evaluations", 2, 1.0),
        ("train_only", 2, train[:2].sum()),
        ("official", 2, train[:2].sum() + valid[:2].mean()),
        ("every_epoch", 3, train.sum() + valid.sum()),
        ("resume", 3, train.sum() + valid.mean()),
    ):
        assert make(clock=clock).evaluate(CELL, epoch).cost == pytest.approx(expected)
    resumed = make(clock="resume").evaluate(CELL, 3, since=2).cost
    assert resumed == pytest.approx(train[2] + valid.mean())
    # A table charges one training where its value is the mean of several; so does this.
    both = make(clock="train_only", seeds=(0, 1))
    total = both.training(CELL).seconds["train"].sum()
    assert both.evaluate(CELL).cost == pytest.approx(total / 2)


def test_any_algorithm_searches_on_it(make):
    for algorithm in ("random_search", "regularized_evolution(population_size=3)", "gp_bo"):
        first = lab.run(algorithm, make(short(epochs=1)), budget=6, seed=1)
        assert len(first) == 6
        assert SPACE.from_string(first.best())
        assert first.equals(lab.run(algorithm, make(short(epochs=1)), budget=6, seed=1))


def test_a_search_by_seconds(make):
    benchmark = make(short(epochs=1), clock="train_only")
    trace = lab.run("random_search", benchmark, budget="0.2s", seed=0)
    assert trace.end[-1] <= 0.2
    # What a training took is kept with it.
    assert trace.equals(lab.run("random_search", benchmark, budget="0.2s", seed=0))


def test_what_is_refused(make):
    with pytest.raises(UnknownNameError, match="clock"):
        make(clock="sundial")
    with pytest.raises(UnknownNameError, match="recipe"):
        make("mnist")
    with pytest.raises(TrainingError, match="Expected auto, cpu"):
        make(device="abacus")
    with pytest.raises(QueryError, match="epochs 1 to 3"):
        make().evaluate(CELL, 4)
    without = {
        part: {k: v for k, v in getattr(DATA, part).items() if k != "valid"}
        for part in ("images", "labels")
    }
    with pytest.raises(QueryError, match="without validation images"):
        make(data=dataclasses.replace(DATA, **without))


def test_it_pickles(make):
    benchmark = make()
    copy = pickle.loads(pickle.dumps(benchmark))
    assert copy.evaluate(CELL) == benchmark.evaluate(CELL)


# A table that lacks architectures


@pytest.fixture
def half(tmp_path):
    """A table of the first half of the space; the values of a row are its number."""
    n = SPACE.size // 2
    row_of_index = np.where(np.arange(SPACE.size) < n, np.arange(SPACE.size), -1)
    shared = {"quantity": "accuracy", "unit": "%", "maximize": True, "epochs": (3,)}
    shared["dataset"] = "digits"
    columns = {
        Column(f"{split}_accuracy", split=split, **shared): np.arange(n)[:, None, None] / n
        for split in ("valid", "test")
    }
    info = TableInfo("half", "nb201", "", "", "", "valid_accuracy", "test_accuracy")
    return Table.create(tmp_path / "table", info, columns, row_of_index)


def test_a_table_falls_back_to_training(make, half):
    training = make(short(epochs=3))
    benchmark = TableBenchmark(half, fallback=training)
    inside, outside = SPACE.at(5), SPACE.at(SPACE.size - 5)
    assert benchmark.evaluate(inside) == TableBenchmark(half).evaluate(inside)
    assert math.isnan(TableBenchmark(half, missing="fail").evaluate(outside).values[0])
    evaluation = benchmark.evaluate(outside)
    assert evaluation.values == training.evaluate(outside).values
    assert evaluation.row == -1
    copy = pickle.loads(pickle.dumps(benchmark))
    assert copy.evaluate(outside) == evaluation
    check_benchmark(TableBenchmark(half))
    trace = lab.run("random_search", benchmark, budget=4, seed=0)
    assert not np.isnan(trace.values).any()
    result = lab.compare(["random_search"], benchmark, budget=4, seeds=1, n_jobs=1)
    assert result.runs[0].trace.equals(trace)
    judge = result.benchmark("half")
    best = max(half.optimum("valid_accuracy"), trace.values.max())
    assert judge.optimum("valid_accuracy") == best
    regret = result.summary()["valid_regret"][0]
    assert regret == best - trace.values.max()
    assert any("that the table lacks, and made by TrainingBenchmark" in n for n in result.notes())


def test_live_training_is_compared_and_reports_test_accuracies(make, trained, tmp_path):
    benchmark = make(short(epochs=1), clock="official")
    result = lab.compare(["random_search"], benchmark, budget=3, seeds=2, n_jobs=1)
    done = len(trained)
    assert stats.judged_by(result) == ["valid_regret", "test_regret"]
    for run in result.runs:
        best = run.trace.incumbents()[-1]
        training = benchmark.training(tuple(run.trace.architecture[best].tolist()))
        reported = training.curves["test_accuracy"][:, -1].mean()
        assert stats.final_value(run.trace, result.benchmark(benchmark.name), "test") == reported
    assert len(trained) == done  # nothing was trained for the report alone
    assert any("measured seconds" in note for note in result.notes())
    result.save(tmp_path / "r")
    opened = lab.Result.open(tmp_path / "r")
    assert opened.summary().drop(columns="wall_s").equals(result.summary().drop(columns="wall_s"))


def test_a_fallback_is_asked_each_time(half):
    class Noisy(SyntheticBenchmark):
        dataset = "digits"

        def evaluate(self, architecture, epoch=None, rng=None, since=None):
            return Evaluation((float(rng.random()),), 1.0, 3)

    noisy = Noisy(SPACE)
    noisy.objectives, noisy.epochs = (Objective("accuracy", "%"),), 3
    benchmark = TableBenchmark(half, fallback=noisy)
    outside = SPACE.at(SPACE.size - 5)
    drawn = {benchmark.evaluate(outside, rng=np.random.default_rng(i)).values for i in range(3)}
    assert len(drawn) == 3


def test_a_fallback_must_answer_the_same_question(make, half):
    with pytest.raises(QueryError, match="epochs 2, where the table has 3"):
        TableBenchmark(half, fallback=make(short(epochs=2)))
    with pytest.raises(QueryError, match="clock train_only"):
        TableBenchmark(half, fallback=make(clock="train_only"))
    other = make()
    other.dataset = "cifar10"
    with pytest.raises(QueryError, match="data set cifar10, where the table has digits"):
        TableBenchmark(half, fallback=other)
    sizes = TrainingBenchmark("nats-sss", short(), data=DATA, device="cpu")
    with pytest.raises(QueryError, match="space nats-sss"):
        TableBenchmark(half, fallback=sizes)
