"""Comparisons that are killed, run twice at once, or run out of disk: nothing finished is lost."""

import errno
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from waiting import MINUTES, wait_for

from nasbench_lab.errors import DataFolderError
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.results import folder as result_files
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

SCRIPT = Path(sys.executable).with_name("nasbench-lab")
CORA = "nas-bench-graph/cora"
SETTINGS = {"budget": 40, "seeds": 24}
ALGORITHMS = ["random_search", "gp_bo", "reinforce"]
ARGUMENTS = ["--budget", "40", "--seeds", "24", "--jobs", "2", "-b", CORA, "-b", "nb201-digits"]
ARGUMENTS += [part for name in ALGORITHMS for part in ("-a", name)]
CELLS = 2 * 3 * 24


@pytest.fixture(scope="module")
def undisturbed():
    return compare(ALGORITHMS, [CORA, "nb201-digits"], **SETTINGS, n_jobs=2)


def start(folder, *more, **options):
    return subprocess.Popen(
        [SCRIPT, "compare", *ARGUMENTS, "-o", folder, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def end(process, sent=signal.SIGKILL, *, group=True):
    """Ends a process and lets go of its pipes, which its workers may hold for a moment longer."""
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(process.pid, sent)
    process.wait()
    process.stdout.close()
    process.stderr.close()


def finish(process):
    out, err = process.communicate(timeout=MINUTES)
    assert process.returncode == 0, err
    return out, err


def parts(folder):
    """Each file of finished runs with all that would tell of its being written again."""
    return {
        file.name: (
            file.stat().st_ino,
            file.stat().st_mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in (folder / "runs").glob("[!.]*.parquet")
    }


def cells_in(folder):
    """The cells in all files of a folder, as often as they are there."""
    return [
        cell
        for file in (folder / "runs").glob("[!.]*.parquet")
        for cell in set(zip(*_columns(file), strict=True))
    ]


def _columns(file):
    table = pq.read_table(file, columns=["benchmark", "algorithm", "seed"])
    return [table.column(name).to_pylist() for name in table.column_names]


def assert_same(result, undisturbed):
    assert result.experiment == undisturbed.experiment
    assert [run.cell for run in result.runs] == [run.cell for run in undisturbed.runs]
    for one, other in zip(result.runs, undisturbed.runs, strict=True):
        assert one.trace.equals(other.trace)
        assert one.trace.settings == other.trace.settings


def kill_and_go_on(folder, undisturbed, kills, seed, first=0):
    """Kills a comparison at random times, goes on each time, and says how far each attempt came.

    Every third time, from the first on, it may not even have begun.
    """
    rng = random.Random(seed)
    finished = []
    for number in range(first, first + kills):
        enough = len(parts(folder)) + rng.randint(1, 4)
        process = start(folder)
        if number % 3 == 0:
            time.sleep(rng.uniform(0.0, 3.0))
        else:
            while len(parts(folder)) < enough and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.3))
        ended = process.poll() is not None
        # Its workers with it, or they are left to notice by themselves.
        end(process, group=number % 2 == 0)
        if (folder / "manifest.json").exists():
            Result.open(folder)
            before = parts(folder)
            finished.append(len(cells_in(folder)))
        else:
            before = {}
            finished.append(0)
        assert finished == sorted(finished)
        if ended:
            break
        time.sleep(rng.uniform(0.0, 0.2))
        kept = parts(folder) if before else {}
        assert before.items() <= kept.items()
    before = parts(folder)
    finish(start(folder))
    assert before.items() <= parts(folder).items(), "a finished part was written again"
    assert_same(Result.open(folder), undisturbed)
    assert set(cells_in(folder)) == {run.cell for run in undisturbed.runs}
    left = [path.name for path in folder.rglob(".*")]
    assert not left, "what killed processes had begun to write is still there"
    return finished


def test_a_killed_comparison_ends_as_an_undisturbed_one(tmp_path, undisturbed):
    (finished,) = kill_and_go_on(tmp_path / "r", undisturbed, kills=1, seed=0, first=1)
    assert 0 < finished < CELLS, "the kill did not come in the middle"


@pytest.mark.slow
def test_comparisons_killed_many_times_end_as_undisturbed_ones(tmp_path, undisturbed):
    kills, at = 0, []
    for seed in range(12):
        finished = kill_and_go_on(tmp_path / f"r{seed}", undisturbed, kills=12, seed=seed)
        kills += len(finished)
        at += finished
    middle = sum(0 < n < CELLS for n in at)
    print(f"\n{kills} kills in 12 comparisons of {CELLS} runs, {middle} of them in the middle")
    assert middle > 20


@pytest.mark.slow  # the short form is the test of a slow and a fast process, below
def test_two_processes_on_one_folder_share_the_work(tmp_path, undisturbed):
    folder = tmp_path / "r"
    both = [start(folder, "--jobs", "1"), start(folder, "--jobs", "1")]
    for process in both:
        finish(process)
    assert_same(Result.open(folder), undisturbed)
    # Parts that both had begun when the first ended are there once as well: by the same name.
    assert len(cells_in(folder)) == len(set(cells_in(folder))) == CELLS


@pytest.mark.slow  # the short form is the test of a slow and a fast process, below
def test_of_two_processes_on_one_folder_one_may_be_killed(tmp_path, undisturbed):
    folder = tmp_path / "r"
    first = start(folder, "--jobs", "1")
    wait_for((folder / "manifest.json").exists, first)
    second = start(folder, "--jobs", "1")
    wait_for(lambda: len(parts(folder)) >= 6)
    end(first)
    finish(second)
    assert_same(Result.open(folder), undisturbed)


@pytest.mark.slow  # test_ended_commands has a comparison that is killed
def test_the_workers_of_a_killed_process_end_too(tmp_path):
    folder = tmp_path / "r"
    process = start(folder)
    wait_for(lambda: parts(folder), process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    end(process, group=False)
    # They look once in a second whether it is still there, when their task lets them.
    _, alive = psutil.wait_procs(workers, timeout=MINUTES)
    assert not alive


def test_an_interrupted_process_leaves_the_folder_to_another_at_work(tmp_path):
    experiment = Experiment.of(["random_search"], CORA, budget=5, seeds=2)
    with result_files.working_on(tmp_path / "r", experiment) as existed:
        assert not existed
        with result_files.working_on(tmp_path / "r", experiment) as existed:
            assert existed
        assert (tmp_path / "r" / "manifest.json").exists()
    assert not (tmp_path / "r").exists()


@pytest.mark.slow  # the short form is the test of a full disk, below
def test_a_file_system_that_takes_no_more_is_an_error_that_loses_nothing(tmp_path, undisturbed):
    folder = tmp_path / "r"

    def no_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))

    # The parts of the first table are smaller than that (14 kB), those of the second larger (16 kB).
    process = start(folder, preexec_fn=no_large_files)
    _, err = process.communicate(timeout=MINUTES)
    assert process.returncode == 1
    assert f"Cannot write to {folder}" in err
    assert "Traceback" not in err
    before = parts(folder)
    assert before
    finish(start(folder))
    assert before.items() <= parts(folder).items()
    assert_same(Result.open(folder), undisturbed)


def test_a_full_disk_is_an_error_that_loses_nothing(tmp_path, undisturbed, monkeypatch):
    folder, written = tmp_path / "r", []

    def write(table, path, **how):
        if len(written) == 5:
            Path(path).write_bytes(b"PAR1 and no more")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        return write_table(table, path, **how)

    write_table = pq.write_table
    monkeypatch.setattr(pq, "write_table", write)
    with pytest.raises(DataFolderError, match=r"Cannot write to .*: No space left on device"):
        compare(ALGORITHMS, [CORA, "nb201-digits"], **SETTINGS, n_jobs=2, folder=folder)
    before = parts(folder)
    assert len(before) == 5
    assert 15 == len(Result.open(folder).runs) < CELLS
    monkeypatch.undo()
    result = compare(ALGORITHMS, [CORA, "nb201-digits"], **SETTINGS, n_jobs=2, folder=folder)
    assert before.items() <= parts(folder).items()
    assert_same(result, undisturbed)


SLOW = """
import os, time
from nasbench_lab import SearchAlgorithm

class Slow(SearchAlgorithm):
    def ask(self):
        time.sleep(float(os.environ.get("SECONDS_PER_ASK", 0)))
        return self.trial(self.space.sample(self.rng))
"""


def test_a_slow_process_that_is_killed_takes_nothing_from_a_fast_one(tmp_path, monkeypatch):
    # After 5 seconds the slow one has some of ten seeds, of which the fast one has all by then.
    (tmp_path / "own.py").write_text(SLOW)
    folder, own = tmp_path / "r", f"{tmp_path / 'own.py'}:Slow"
    arguments = ["compare", "-a", own, "-b", CORA, "--budget", "3", "--seeds", "80", "--jobs", "1"]
    slow = subprocess.Popen(
        [SCRIPT, *arguments, "-o", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SECONDS_PER_ASK": "0.3"},
        start_new_session=True,
    )
    wait_for((folder / "manifest.json").exists, slow)
    result = compare([own], CORA, budget=3, seeds=80, n_jobs=1, folder=folder)
    before = parts(folder)
    wait_for(lambda: len(parts(folder)) > len(before) or slow.poll() is not None)
    end(slow)
    assert before.items() <= parts(folder).items()
    assert len(Result.open(folder).runs) == len(result.runs) == 80
