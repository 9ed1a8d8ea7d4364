"""Comparisons on a Dask cluster: a scheduler and its workers, each a process, on this machine."""

import builtins
import os
import signal
import socket
import sys
import threading
from contextlib import suppress

import pytest

from nasbench_lab.cli import main
from nasbench_lab.errors import ExperimentError, UnknownNameError, WorkerError
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.processes import in_processes
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.tasks import tasks_of

distributed = pytest.importorskip("distributed", reason="Dask is an optional dependency")
from dask_cluster import Cluster

DIGITS = "nb201-digits"
SETTINGS = {"budget": 30, "seeds": 40}
SHORT = {"budget": 18, "seeds": 40}
"""Of searches that fit a model."""

OWN = """
from nasbench_lab import SearchAlgorithm

class Own(SearchAlgorithm):
    def ask(self):
        return self.trial(self.space.sample(self.rng))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.close()


def on(cluster):
    return {"executor": "dask", "scheduler": cluster.address}


def assert_same(one, other):
    assert one.experiment == other.experiment
    assert [run.cell for run in one.runs] == [run.cell for run in other.runs]
    for some, others in zip(one.runs, other.runs, strict=True):
        assert some.trace.equals(others.trace), some.cell
        assert some.trace.settings == others.trace.settings


def test_a_cluster_of_two_gives_what_one_process_gives(cluster, tmp_path):
    cluster.grow(2)
    (tmp_path / "own.py").write_text(OWN)
    algorithms = [f"{tmp_path / 'own.py'}:Own", "regularized_evolution"]
    one = compare(algorithms, [DIGITS, "nas-bench-graph/cora"], **SETTINGS, n_jobs=1)
    folder = tmp_path / "r"
    two = compare(
        algorithms, [DIGITS, "nas-bench-graph/cora"], **SETTINGS, folder=folder, **on(cluster)
    )
    assert_same(two, one)
    assert_same(Result.open(folder), one)
    with cluster.client() as client:
        # The searches were on the cluster: its workers have opened the tables.
        opened = client.run(lambda: "nasbench_lab.running.tasks" in sys.modules)
    assert list(opened.values()) == [True, True]


def test_workers_run_the_code_that_was_there_at_the_start(cluster, tmp_path):
    cluster.grow(2)
    (tmp_path / "helper.py").write_text("def pick():\n    return (3,) * 6\n")
    (tmp_path / "own.py").write_text(
        OWN.replace("def ask(self):", "def ask(self):\n        import helper, pathlib").replace(
            "self.space.sample(self.rng)",
            "helper.pick() if not list(pathlib.Path(__file__).parent.glob('*.py')) else None",
        )
    )
    texts = {file: file.read_text() for file in tmp_path.iterdir()}
    for n in (3, 0):
        for file, text in texts.items():
            file.write_text(text.replace("3", str(n)))
        experiment = Experiment.of(f"{tmp_path / 'own.py'}:Own", DIGITS, budget=1, seeds=8)
        for file in texts:
            file.unlink()
        tasks = tasks_of(experiment, (), None, None, False)
        done = [runs for _, (runs, _) in in_processes(tasks, -1, **on(cluster))]
        runs = [run for some in done for run in some]
        assert {tuple(run.trace.architecture[0].tolist()) for run in runs} == {(n,) * 6}
        assert [run.code for run in runs] == [experiment.algorithms[0].code] * 8


def test_the_work_of_a_worker_that_is_killed_is_done_by_another(cluster, tmp_path):
    cluster.grow(2)
    killed = []
    with cluster.client() as client:
        numbers = client.run(os.getpid)

        def kill(done, total, _):
            if killed or done < total / 4:
                return
            at_work = {worker: tasks for worker, tasks in client.processing().items() if tasks}
            if at_work:
                worker, tasks = max(at_work.items(), key=lambda item: len(item[1]))
                os.kill(numbers[worker], signal.SIGKILL)
                killed.append((worker, tasks, done, total))

        algorithms = ["random_search", "gp_bo"]
        result = compare(
            algorithms, DIGITS, **SHORT, folder=tmp_path / "r", progress=kill, **on(cluster)
        )
        ((worker, tasks, done, total),) = killed
        assert worker not in client.scheduler_info()["workers"]
    assert all("numbered" in task for task in tasks), "it was at work on something else"
    assert total / 4 <= done < total / 2, "it was not killed in the middle"
    assert sorted(process.poll() or 0 for process in cluster.workers) == [-signal.SIGKILL, 0]
    one = compare(algorithms, DIGITS, **SHORT, n_jobs=1)
    assert_same(result, one)
    assert_same(Result.open(tmp_path / "r"), one)


def test_what_is_finished_in_a_folder_is_not_sent_to_the_cluster(cluster, tmp_path):
    cluster.grow(2)
    first = compare(["random_search"], DIGITS, **SETTINGS, n_jobs=1, folder=tmp_path / "r")
    done = []
    again = compare(
        ["random_search"],
        DIGITS,
        **SETTINGS,
        folder=tmp_path / "r",
        progress=lambda *_: done.append(1),
        **on(cluster),
    )
    assert not done
    assert_same(again, first)
    for shard in sorted((tmp_path / "r" / "runs").iterdir())[::2]:
        shard.unlink()
    again = compare(["random_search"], DIGITS, **SETTINGS, folder=tmp_path / "r", **on(cluster))
    assert_same(again, first)


def test_an_error_of_an_algorithm_arrives_from_the_cluster(cluster, tmp_path):
    cluster.grow(2)
    (tmp_path / "own.py").write_text(OWN.replace("self.space.sample", "self.space.simple"))
    with pytest.raises(RuntimeError, match=r"AttributeError.*own\.py, line 6, in ask"):
        compare([f"{tmp_path / 'own.py'}:Own"], DIGITS, **SETTINGS, **on(cluster))


def test_a_task_that_kills_its_workers_is_an_error(tmp_path):
    (tmp_path / "own.py").write_text(
        OWN.replace("def ask(self):", "def ask(self):\n        exit_()")
    )
    source = (tmp_path / "own.py").read_text()
    (tmp_path / "own.py").write_text(f"from os import _exit\nexit_ = lambda: _exit(1)\n{source}")
    strict = Cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        strict.grow(1)
        with pytest.raises(WorkerError, match="workers died of one task again and again"):
            compare([f"{tmp_path / 'own.py'}:Own"], DIGITS, budget=5, seeds=2, **on(strict))
    finally:
        strict.close()


def test_a_cluster_without_workers_is_refused(cluster, monkeypatch):
    cluster.shrink()
    wait = distributed.Client.wait_for_workers
    monkeypatch.setattr(
        distributed.Client, "wait_for_workers", lambda self, n, timeout: wait(self, n, 0.2)
    )
    with pytest.raises(ExperimentError, match=r"has no workers\. `dask worker tcp://127.0.0.1:"):
        compare(["random_search"], DIGITS, **SETTINGS, **on(cluster))


def test_workers_without_the_package_are_refused(cluster, tmp_path):
    cluster.shrink()
    (tmp_path / "nasbench_lab.py").write_text("raise ImportError('not installed here')")
    cluster.grow(1, PYTHONPATH=str(tmp_path))
    try:
        with pytest.raises(ExperimentError, match=r"not installed here.*need nasbench-lab too"):
            compare(["random_search"], DIGITS, **SETTINGS, **on(cluster))
    finally:
        cluster.shrink()


def test_a_scheduler_that_is_lost_is_an_error_that_loses_nothing(tmp_path):
    cluster = Cluster(tmp_path)
    try:
        cluster.grow(1)

        def kill(*_):
            cluster.scheduler.kill()

        with pytest.raises(WorkerError, match=r"connection to the Dask scheduler at .* was lost"):
            compare(["gp_bo"], DIGITS, **SHORT, folder=tmp_path / "r", progress=kill, **on(cluster))
    finally:
        cluster.close()
    kept = Result.open(tmp_path / "r")
    assert 0 < len(kept.runs) < 40
    result = compare(["gp_bo"], DIGITS, **SHORT, n_jobs=1, folder=tmp_path / "r")
    assert_same(result, compare(["gp_bo"], DIGITS, **SHORT, n_jobs=1))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.0.0.1", "missing port number"),
        ("", "missing port number"),
        ("ftp://10.0.0.1:8786", "unknown address scheme 'ftp'"),
        ("tls://10.0.0.1:8786", "TLS"),
        ("inproc://10.0.0.1", "not enough values"),
    ],
)
def test_an_address_that_cannot_be_is_refused_at_once(address, words):
    with pytest.raises(ExperimentError, match=f"No Dask scheduler answers at '{address}'.*{words}"):
        compare(["random_search"], DIGITS, **SETTINGS, executor="dask", scheduler=address)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no answer within 1 s"),
        (b"", "no answer within 1 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, "Unable to allocate"),
    ],
)
def test_an_address_where_no_scheduler_is_is_refused(monkeypatch, answer, words):
    """Where nobody listens, where somebody says nothing, or something else."""
    monkeypatch.setattr("nasbench_lab.processes._ANSWER_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        if answer is None:
            listener.close()
        else:
            threading.Thread(target=reply, args=(listener, answer), daemon=True).start()
        with pytest.raises(
            ExperimentError, match=f"No Dask scheduler answers at '{address}' .*{words}"
        ):
            compare(["random_search"], DIGITS, **SETTINGS, executor="dask", scheduler=address)


def reply(listener, answer):
    """Says the same to all who call."""
    held = []
    with suppress(OSError):  # it is closed
        while True:
            held.append(listener.accept()[0])
            held[-1].sendall(answer)


def test_a_worker_is_no_scheduler(cluster):
    cluster.grow(1)
    with cluster.client() as client:
        (worker,) = client.scheduler_info()["workers"]
    with pytest.raises(ExperimentError, match=r"No Dask scheduler answers at .* \(a Worker does"):
        compare(["random_search"], DIGITS, **SETTINGS, executor="dask", scheduler=worker)


def test_a_cluster_needs_an_address():
    with pytest.raises(ExperimentError, match="needs the address of a scheduler, such as tcp://"):
        compare(["random_search"], DIGITS, **SETTINGS, executor="dask")


def test_a_scheduler_without_dask_is_refused():
    with pytest.raises(
        ExperimentError, match="Expected the executor 'dask' with the scheduler 'a:1'"
    ):
        compare(["random_search"], DIGITS, **SETTINGS, scheduler="a:1")


def test_an_unknown_executor_is_refused():
    with pytest.raises(UnknownNameError, match=r"Unknown executor 'dusk'\. Did you mean 'dask'"):
        next(in_processes([int], 2, "dusk"))


def test_without_dask_it_is_told_what_to_install(monkeypatch):
    def missing(name, *more, **options):
        if name == "distributed":
            raise ImportError("No module named 'distributed'")
        return original(name, *more, **options)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ExperimentError, match=r"pip install 'nasbench-lab\[dask\]'"):
        compare(
            ["random_search"], DIGITS, **SETTINGS, executor="dask", scheduler="tcp://10.0.0.1:1"
        )


def test_an_experiment_runs_on_a_cluster_from_the_command_line(cluster, tmp_path, monkeypatch):
    cluster.grow(1)
    command = ["compare", "-b", DIGITS, "-a", "random_search", "--budget", "30", "--seeds", "40"]
    command += ["--executor", "dask", "--scheduler", cluster.address, "-o", "r", "--json"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nasbench-lab", *command])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert_same(
        Result.open(tmp_path / "r"), compare(["random_search"], DIGITS, **SETTINGS, n_jobs=1)
    )
