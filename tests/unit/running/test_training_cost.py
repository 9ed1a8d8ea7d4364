"""What a comparison by real training costs at most: said before it starts, and never too little."""

import logging

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch")
from small_data import short, small_digits

from nasbench_lab.budget import Budget
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.training_cost import (
    SAMPLE,
    TrainingCost,
    in_words,
    training_cost,
    training_costs,
)
from nasbench_lab.spaces import ChainSpace
from nasbench_lab.testing import SyntheticBenchmark
from nasbench_lab.trainer.benchmark import TrainingBenchmark

pytestmark = pytest.mark.long

DATA = small_digits()
SPACE = ChainSpace("narrow", filters=(2, 4), units=(5, 8))


@pytest.fixture
def make(tmp_path):
    def make(**options):
        options = {"data": DATA, "device": "cpu", "folder": tmp_path / "kept", **options}
        return TrainingBenchmark(SPACE, short(epochs=4), **options)

    return make


@pytest.fixture
def given(monkeypatch):
    """An epoch takes half a second."""
    monkeypatch.setattr("nasbench_lab.running.training_cost._epoch_s", lambda benchmark: 0.5)


@pytest.mark.parametrize(
    ("budget", "trainings", "seconds"),
    [
        ("10", 60, 60 * 2.0),
        ("20epochs", None, 6 * 20 * 0.5),
        ("10, 20epochs", 60, 6 * 20 * 0.5),
        ("3s", None, 6 * 3 * 2),  # the clock counts the seconds of one of two seeds
        ("10, 1000s", 60, 60 * 2.0),
    ],
)
def test_the_most(given, make, budget, trainings, seconds):
    cost = training_cost(make(seeds=(0, 1), clock="resume"), Budget.of(budget), 6)
    assert (cost.trainings, cost.training_s, cost.seconds) == (trainings, 2.0, seconds)


def test_seconds_that_the_clock_does_not_count_are_no_limit(given, make):
    cost = training_cost(make(), Budget.of("3s"), 6)
    assert np.isnan(cost.seconds)
    assert "at most trainings" not in str(cost)
    assert "the budget sets no limit" in str(cost)


def test_it_is_measured_on_random_architectures(make):
    benchmark = make()
    cost = training_cost(benchmark, Budget.of(5), 2)
    kept = list(benchmark.folder.glob("*.json"))
    assert len(kept) == SAMPLE
    rng = np.random.default_rng(0)
    seconds = [
        sum(map(np.sum, benchmark.training(SPACE.sample(rng), 1).seconds.values()))
        for _ in range(SAMPLE)
    ]
    assert cost.training_s == pytest.approx(4 * np.mean(seconds))
    assert cost.seconds == pytest.approx(10 * cost.training_s)


def test_networks_that_fail_leave_it_unknown(make, monkeypatch):
    def build(architecture):
        raise ValueError("no")

    cost = training_cost(make(build=build), Budget.of(5), 2)
    assert "at most 10 trainings, nobody knows how long" in str(cost)


def test_in_words():
    assert [in_words(s) for s in (1.234, 119.0, 120.0, 7199.0, 7200.0, 1e6)] == [
        *("1.23 s", "119 s", "2 minutes", "120 minutes", "2 hours", "11.6 days"),
    ]
    text = str(TrainingCost("training narrow on digits", 60, 2.0, 120.0))
    assert text.startswith(
        "training narrow on digits trains: at most 60 trainings, about 2 s each, as 3 random ones "
        "show; about 2 minutes in all, one after the other."
    )


def test_what_does_not_train_costs_nothing():
    own = SyntheticBenchmark(SPACE)
    own.training = True
    benchmarks = ["nas-bench-graph/cora", own]
    experiment = Experiment.of(["random_search"], benchmarks, budget=5, seeds=1)
    assert training_costs(experiment) == []


def test_a_comparison_says_it_and_shares_its_trainings(make, caplog, tmp_path):
    benchmark = make()
    with caplog.at_level(logging.WARNING, "nasbench_lab"):
        result = compare(
            ["random_search", "regularized_evolution"], benchmark, budget=3, seeds=2, n_jobs=1,
            folder=tmp_path / "r",
        )  # fmt: skip
    (record,) = caplog.records
    assert "at most 12 trainings" in record.message
    # One training for each architecture that any run evaluated, and for those that were measured.
    evaluated = {
        SPACE.canonical(tuple(one))
        for run in result.runs
        for one in run.trace.architecture.tolist()
    }
    rng = np.random.default_rng(0)
    measured = {SPACE.canonical(SPACE.sample(rng)) for _ in range(SAMPLE)}
    assert len(list(benchmark.folder.glob("*.json"))) == len(evaluated | measured)
    # What is finished is not counted again.
    with caplog.at_level(logging.WARNING, "nasbench_lab"):
        compare(["random_search"], benchmark, budget=3, seeds=3, n_jobs=1, folder=tmp_path / "r")
    assert "at most 3 trainings" in caplog.records[-1].message
    told = len(caplog.records)
    compare(["random_search"], benchmark, budget=3, seeds=3, n_jobs=1, folder=tmp_path / "r")
    assert len(caplog.records) == told
    assert Result.open(tmp_path / "r").benchmarks == ["training narrow on digits"]
