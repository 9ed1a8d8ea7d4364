"""Commands that are told to end, are killed, or lack memory: they end, and their processes too."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from nats_files import cells, write_one, write_simple

from nasbench_lab.cli import app as cli
from nasbench_lab.errors import WorkerError
from nasbench_lab.processes import Terminated
from nasbench_lab.running.comparison import compare

SCRIPT = Path(sys.executable).with_name("nasbench-lab")
COMPARE = ["compare", "-b", "nb201-digits", "-a", "gp_bo", "--budget", "300", "--seeds", "40"]
VALIDATE = ["validate", "nb201-digits", "--top", "4", "--device", "cpu"]
RECIPE = """
name = "mine/few"
version = "1"
space = "nb201"
seeds = [4, 7]
architectures = 40
description = "A few."
citation = "@misc{few}"
licence = "MIT"
[training]
data = "digits"
skeleton = "tiny"
epochs = 12
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    texts = cells(64)
    folder = write_simple(tmp_path_factory.mktemp("archive") / "simple", texts, {})
    for index, text in enumerate(texts):
        write_one(folder, index, text, {"12": 1, "200": 1})
    return folder


def start(folder, *arguments):
    """Starts a command on two processes, and waits for these; also gives all its processes."""
    command = subprocess.Popen(
        [SCRIPT, *arguments, "--jobs", "2"],
        cwd=folder,
        env={**os.environ, "NASBENCH_LAB_DATA": str(folder / "data")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while True:
        assert command.poll() is None, command.stderr.read()
        with suppress(psutil.Error):  # one may have ended since they were listed
            processes = psutil.Process(command.pid).children(recursive=True)
            if sum("popen_loky" in " ".join(one.cmdline()) for one in processes) >= 2:
                return command, processes
        time.sleep(0.01)


def end(command, processes, sent):
    """Sends a signal to a command alone; its processes end too."""
    command.send_signal(sent)
    code = command.wait(timeout=600)
    _, alive = psutil.wait_procs(processes, timeout=600)
    for process in alive:
        process.kill()
    assert not alive
    command.stderr.close()  # a worker that was just being started may have complained
    return code


SENT = [
    (signal.SIGKILL, -9),
    pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
    pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("sent", "code"), SENT)
def test_the_workers_of_an_import_end_with_it(archive, tmp_path, sent, code):
    assert end(*start(tmp_path, "import", archive), sent) == code


@pytest.mark.parametrize(("sent", "code"), SENT)
def test_the_workers_of_a_comparison_end_with_it(tmp_path, sent, code):
    assert end(*start(tmp_path, *COMPARE), sent) == code


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), SENT)
@pytest.mark.parametrize("what", ["build-table", "validate"])
def test_the_workers_of_a_training_end_with_it(tmp_path, what, sent, code):
    pytest.importorskip("torch", reason="PyTorch is an optional dependency")
    (tmp_path / "few.toml").write_text(RECIPE)
    arguments = VALIDATE if what == "validate" else ["build-table", "few.toml", "-o", "t"]
    assert end(*start(tmp_path, *arguments), sent) == code


def test_a_command_under_nohup_does_not_end_when_the_terminal_does(archive, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command, _ = start(tmp_path, "import", archive)
    finally:
        signal.signal(signal.SIGHUP, before)
    command.send_signal(signal.SIGHUP)
    _, told = command.communicate(timeout=600)
    assert command.returncode == 0, told


def allow(megabytes):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20,) * 2)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("result") / "r"
    compare(["random_search"], "nb201-digits", budget=5, seeds=3, n_jobs=1, folder=folder)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="others do not limit the address space")
@pytest.mark.parametrize(
    "megabytes", [*(pytest.param(n, marks=pytest.mark.slow) for n in (300, 800)), 500]
)
@pytest.mark.parametrize("what", ["plot", "report", "compare"])
def test_with_little_memory_a_command_ends_with_a_clear_error(result, what, megabytes):
    before = {file: file.read_bytes() for file in result.rglob("*") if file.is_file()}
    arguments = {"compare": [*COMPARE, "-o", str(result)]}.get(what, [what, str(result)])
    done = subprocess.run(
        [SCRIPT, *arguments],
        preexec_fn=allow(megabytes),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is not enough memory (940 MB of address space are")
    assert "Traceback" not in done.stderr
    assert before == {file: file.read_bytes() for file in result.rglob("*") if file.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="others do not limit the address space")
def test_what_needs_little_memory_gets_by_with_it(tmp_path):
    done = subprocess.run(
        [SCRIPT, "describe", "nb201-digits"],
        preexec_fn=allow(500),
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8 GiB"),
        ImportError("libarrow.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_lack_of_memory_is_told_in_one_line(monkeypatch, capsys, error):
    def fail():
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err.replace("\n", " ")
    assert told.startswith("Error: There is not enough memory (")
    assert str(error) in told


@pytest.mark.parametrize(
    "error", [WorkerError("A worker process ended."), RuntimeError("at exit"), SystemExit(1), None]
)
def test_what_a_signal_interrupts_changes_nothing(monkeypatch, capsys, error):
    def interrupted():
        with suppress(Terminated):
            cli._terminate(signal.SIGTERM, None)
        if error is not None:
            raise error
        sys.exit(0)

    monkeypatch.setattr(cli, "app", interrupted)
    monkeypatch.setattr(cli, "_signals", [])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 143
    assert capsys.readouterr().err == ""


def test_other_errors_of_their_kind_are_not_taken_for_it(monkeypatch):
    monkeypatch.setattr(cli, "app", Path("absent").read_text)
    with pytest.raises(FileNotFoundError):
        cli.main()
