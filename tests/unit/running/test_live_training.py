"""Searches by real training, in real time, on processes: checkpoints, deaths, the same to the bit."""

import numpy as np
import pytest

import nasbench_lab as lab

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from live_searches import Log
from small_data import short, small_digits

from nasbench_lab.results.result import Result
from nasbench_lab.trace import STATUSES
from nasbench_lab.trainer.benchmark import TrainingBenchmark

pytestmark = pytest.mark.long

DATA = small_digits()
LIVE = {"executor": "processes"}


@pytest.fixture
def make(tmp_path):
    def make(name, recipe=None, **options):
        options = {"data": DATA, "device": "cpu", "folder": tmp_path / name, **options}
        return TrainingBenchmark("nb201", recipe or short(), checkpoint_every_s=0.0, **options)

    return make


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").mkdir()
    return Log(tmp_path / "log")


def test_a_worker_dies_in_a_training_which_goes_on_from_its_checkpoint(make, log, tmp_path):
    (tmp_path / "log" / "die").touch()
    benchmark = make("live", progress=log)
    trace = lab.run("random_search", benchmark, 2, seed=1, folder=tmp_path / "r", **LIVE)
    assert log.begun() == [[0, 1, 2], [1, 2, 3], [0, 1, 2, 3]]
    simulated = lab.run("random_search", make("simulated"), 2, seed=1)
    for column in ("architecture", "values", "epoch", "row", "since"):
        np.testing.assert_array_equal(getattr(trace, column), getattr(simulated, column))
    (run,) = Result.open(tmp_path / "r").runs
    test = [benchmark.report_value(tuple(a)) for a in trace.architecture.tolist()]
    incumbents = sorted(set(trace.incumbents().tolist()))
    assert run.reported[incumbents].tolist() == [test[i] for i in incumbents]


@pytest.mark.slow  # the short form is the test above
def test_trials_go_on_from_checkpoints_on_whichever_worker(make, log):
    trace = lab.run("asha(eta=3)", make("live", progress=log), 8, workers=2, **LIVE)
    promoted = trace.since == 1
    assert promoted.any()
    # No epoch is trained twice: repeats of an architecture apart, each goes on where it was.
    begun = log.begun()
    assert begun.count([1, 2, 3]) == len(np.unique(trace.row[promoted]))
    assert begun.count([0, 1]) == len(np.unique(trace.row[trace.since == 0]))
    assert len(begun) == begun.count([1, 2, 3]) + begun.count([0, 1])


def test_a_training_that_diverges_has_failed(make):
    wild = short(lr=1e30, momentum=0.0)
    trace = lab.run("random_search", make("wild", wild), 2)
    assert np.isnan(trace.values).all()
    assert (trace.status == STATUSES.index("failed")).all()
