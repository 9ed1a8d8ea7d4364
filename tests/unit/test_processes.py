"""Work in several processes."""

import operator
import os
import time
from functools import partial

import pytest
from tasks import Unreadable, fail, grow

from nasbench_lab.errors import WorkerError
from nasbench_lab.processes import at_once, in_processes

pytestmark = pytest.mark.long


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_every_result_has_its_number(n_jobs):
    tasks = [partial(operator.pow, i, 2) for i in range(20)]
    assert dict(in_processes(tasks, n_jobs)) == {i: i**2 for i in range(20)}
    assert list(in_processes([], n_jobs)) == []


def test_a_worker_that_grows_is_replaced_without_a_word():
    # Workers are kept between calls; what they take more than at first counts as a leak.
    pytest.importorskip("psutil", reason="without it, nobody looks at the memory of workers")
    before = {pid for _, pid in in_processes([partial(grow, 1) for _ in range(2)], 2)}
    after = {pid for _, pid in in_processes([partial(grow, 500) for _ in range(4)], 2)}
    assert after - before


def test_of_no_given_number_there_is_a_process_for_each_core(monkeypatch):
    for cores in (1, 2):
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", f"{cores}")  # as a machine that has so many
        assert at_once(9, -1) == cores
        at_work = {pid for _, pid in in_processes([os.getpid] * 2, -1)}
        assert (os.getpid() in at_work) == (cores == 1)


def test_an_error_of_a_task_arrives():
    tasks = [partial(operator.truediv, 1, n) for n in (1, 0)]
    with pytest.raises(ZeroDivisionError):
        list(in_processes(tasks, 2))


@pytest.mark.parametrize("name", ["HeldError", "DemandingError", "BurstingError", "SystemExit"])
def test_an_error_that_cannot_be_sent_is_told(name):
    with pytest.raises(WorkerError, match=rf"A task failed: {name}.*tasks\.py, line \d+, in fail"):
        list(in_processes([partial(fail, name)] * 2, 2))


def test_what_cannot_be_read_in_a_worker_is_told():
    with pytest.raises(WorkerError, match="sent each other cannot be read"):
        list(in_processes([Unreadable()] * 2, 2))


def test_results_may_come_in_order():
    tasks = [partial(time.sleep, seconds) for seconds in (0.2, 0, 0, 0)]
    assert [number for number, _ in in_processes(tasks, 2, ordered=True)] == [0, 1, 2, 3]
