"""Searches in real time on a Dask cluster: a scheduler and its workers, each a process."""

from pathlib import Path

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab.errors import ExperimentError, WorkerError

distributed = pytest.importorskip("distributed", reason="Dask is an optional dependency")
torch = pytest.importorskip("torch", reason="training needs PyTorch")
from dask_cluster import Cluster
from live_searches import Held, Log, Trouble
from small_data import short, small_digits

from nasbench_lab.trainer.benchmark import TrainingBenchmark

pytestmark = pytest.mark.long

SUPPORT = str(Path(__file__).parents[1] / "support")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.close()


def make(folder, **options):
    options = {"data": small_digits(), "device": "cpu", "folder": folder, **options}
    return TrainingBenchmark("nb201", short(), checkpoint_every_s=0.0, **options)


def test_workers_tell_how_many_epochs_they_have_done(cluster, tmp_path):
    cluster.grow(1, PYTHONPATH=SUPPORT)
    seen = set()

    def watch(standing):
        seen.update(work.epoch for work in standing.at_work.values())
        if 2 in seen:
            (tmp_path / "seen").touch()

    lab.run(
        "random_search",
        make(tmp_path / "live", progress=Held(tmp_path / "seen", 2)),
        1,
        seed=1,
        executor="dask",
        scheduler=cluster.address,
        watch=watch,
    )
    assert 2 in seen


def test_a_worker_is_killed_in_a_training_which_another_goes_on_with(cluster, tmp_path):
    cluster.grow(2, PYTHONPATH=SUPPORT)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "die").touch()
    log = Log(tmp_path / "log")
    trace = lab.run(
        "random_search",
        make(tmp_path / "live", progress=log),
        4,
        seed=1,
        workers=2,
        executor="dask",
        scheduler=cluster.address,
        folder=tmp_path / "r",
    )
    assert sorted(worker.poll() or 0 for worker in cluster.workers) == [-9, 0]
    assert not trace.reasons
    begun = log.begun()
    assert begun.count([0, 1, 2]) == 1, "it was killed in the middle"
    assert begun.count([1, 2, 3]) == 1, "and went on from there"
    assert begun.count([0, 1, 2, 3]) == 3
    simulated = lab.run("random_search", make(tmp_path / "simulated"), 4, seed=1)
    order = np.argsort(trace.trial)
    np.testing.assert_array_equal(trace.architecture[order], simulated.architecture)
    np.testing.assert_array_equal(trace.values[order], simulated.values)
    (run,) = lab.Result.open(tmp_path / "r").runs
    assert run.trace.equals(trace)


@pytest.mark.slow  # the short form is the test before
def test_what_kills_worker_after_worker_has_failed(tmp_path):
    strict = Cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        strict.grow(2, PYTHONPATH=SUPPORT)
        (tmp_path / "made").mkdir()
        trace = lab.run(
            "random_search",
            Trouble(tmp_path / "made", deaths=1, deadly=(3,)),
            3,
            seed=1,
            executor="dask",
            scheduler=strict.address,
        )
    finally:
        strict.close()
    deadly = trace.architecture[:, 0] == 3
    assert deadly.sum() == 1
    assert "died of it again and again" in trace.reasons[int(deadly.argmax())]


@pytest.mark.slow  # the short form is that of comparisons
def test_a_scheduler_that_is_lost_is_an_error_that_loses_nothing(tmp_path):
    cluster = Cluster(tmp_path)
    (tmp_path / "made").mkdir()

    def kill(standing):
        if standing.finished == 3:
            cluster.scheduler.kill()

    options = {"seed": 2, "folder": tmp_path / "r"}
    try:
        cluster.grow(1, PYTHONPATH=SUPPORT)
        with pytest.raises(WorkerError, match=r"connection to the Dask scheduler at .* was lost"):
            lab.run(
                "random_search",
                Trouble(tmp_path / "made"),
                9,
                executor="dask",
                scheduler=cluster.address,
                watch=kill,
                **options,
            )
    finally:
        cluster.close()
    done = len(list((tmp_path / "made").iterdir()))
    trace = lab.run("random_search", Trouble(tmp_path / "made"), 9, executor="processes", **options)
    assert len(trace) == 9
    assert len(list((tmp_path / "made").iterdir())) <= done + 9 - 3


def test_a_cluster_needs_an_address(tmp_path):
    with pytest.raises(ExperimentError, match="needs the address of a scheduler, such as tcp://"):
        lab.run("random_search", Trouble(tmp_path), 2, executor="dask")
