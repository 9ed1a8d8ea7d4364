"""Comparisons of algorithms that fail, never end, or end the process; on the command line too."""

import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nasbench_lab.cli import app as cli
from nasbench_lab.errors import (
    AlgorithmError,
    AlgorithmFileError,
    AlgorithmWarning,
    ExperimentError,
    HyperparameterError,
    WorkerError,
)
from nasbench_lab.results.notes import notes_on_algorithms
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.testing import repeats

pytestmark = pytest.mark.long

CORA = "nas-bench-graph/cora"

OWN = '''
import ctypes, os, random, signal, sys, threading, time
import numpy as np
from nasbench_lab import SearchAlgorithm

class Base(SearchAlgorithm):
    def ask(self):
        return self.trial(self.space.sample(self.rng))
    def tell(self, trial, evaluation):
        if trial.number == 2:
            self.act()

class Sound(Base):
    def act(self): pass
class Singular(Base):
    def act(self): np.linalg.inv(np.zeros((2, 2)))
class Chained(Base):
    def act(self):
        try:
            {}["a"]
        except KeyError as error:
            raise ValueError("bad step") from error
class Unsendable(Exception):
    def __init__(self, a, b): self.held = lambda: a
    def __str__(self): raise TypeError("no")
class Odd(Base):
    def act(self): raise Unsendable(1, 2)
class Outside(Base):
    def act(self): self.space.at(-1)
class Exits(Base):
    def act(self): sys.exit(0)
class ExitsHard(Base):
    def act(self): os._exit(0)
class Interrupts(Base):
    def act(self): raise KeyboardInterrupt
class Stops(Base):
    def act(self): raise StopIteration
class Crashes(Base):
    def act(self): ctypes.string_at(0)
class Killed(Base):
    def act(self): os.kill(os.getpid(), signal.SIGKILL)
class Endless(Base):
    def act(self):
        while True: pass
class Stubborn(Base):
    def act(self):
        while True:
            try:
                while True: pass
            except BaseException: pass
class Sometimes(Base):
    def act(self):
        if self.rng.random() < 0.5: raise ValueError("now and then")
class Prints(Base):
    def act(self):
        print("printed"); print("to the original", file=sys.__stdout__); os.write(1, b"by C\\n")
class Threads(Base):
    def act(self): threading.Thread(target=time.sleep, args=(600,), name="mine").start()
class Draws(Base):
    def act(self): random.random()
class Keeps(Base):
    seen = []
    def ask(self):
        self.seen.append(1)
        return self.trial(self.space.at(len(self.seen)))
    def act(self): pass
class Sets(Base):
    def ask(self):
        first = next(iter({f"{i}" for i in range(50)}))
        return self.trial(self.space.at(100 * int(first) + int(self.rng.integers(99))))
    def act(self): pass
class ExitsWhenBuilt(Base):
    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        sys.exit(0)
'''  # fmt: skip


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def line_of(text, after):
    """The number of the first line with a text after another."""
    lines = OWN.split("\n")
    start = next(i for i, line in enumerate(lines) if after in line)
    return next(i for i, line in enumerate(lines) if i >= start and text in line) + 1


# Errors name the user's line


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("Singular", "LinAlgError: Singular matrix", "np.linalg"),
        ("Chained", "ValueError: bad step", "raise ValueError"),
        ("Odd", r"Unsendable: \(its text cannot be read", "raise Uns"),
        ("Outside", "InvalidArchitectureError: Expected an index", "self.space.at"),
        ("Exits", "SystemExit: 0", "sys.exit"),
        ("ExitsHard", r"SystemExit: os\._exit\(0\)", "os._exit"),
        ("Stops", "StopIteration", "raise Stop"),
    ],
)
def test_an_error_names_the_users_line(own, n_jobs, name, words, text):
    line = line_of(text, f"class {name}(")
    place = rf"{words}.* \(.*own\.py, line {line}, in act\)"
    with pytest.raises(
        AlgorithmError, match=rf"{name} on '{CORA}' with seed \d failed: {place}"
    ) as info:
        compare([f"{own}:{name}"], CORA, budget=5, seeds=2, n_jobs=n_jobs)
    error = info.value
    # What Python says of it in all is there, from another process as well.
    assert f'File "{own}", line {line}, in act' in error.traceback
    if n_jobs == 1:
        assert error.__cause__ is not None
    else:
        assert error.__notes__ == [error.traceback]


def test_an_interrupt_that_a_worker_process_raises_is_the_algorithms(own):
    # In a process that the user can interrupt, nobody knows whose it is.
    with pytest.raises(AlgorithmError, match=r"KeyboardInterrupt \(.*own\.py, line"):
        compare([f"{own}:Interrupts"], CORA, budget=5, seeds=2, n_jobs=2)
    with pytest.raises(KeyboardInterrupt):
        compare([f"{own}:Interrupts"], CORA, budget=5, seeds=2, n_jobs=1)


def test_the_chain_of_errors_is_told(own):
    with pytest.raises(AlgorithmError) as info:
        compare([f"{own}:Chained"], CORA, budget=5, seeds=2, n_jobs=1)
    line = line_of('{}["a"]', "class Chained(")
    assert f"from KeyError: 'a' ({own}, line {line}, in act)" in str(info.value)


def test_a_process_that_dies_names_the_run_and_the_line(own):
    words = rf"seed \d failed: ended its process: .*own\.py, line {line_of('string_at', 'Cra')}, in"
    with pytest.raises(AlgorithmError, match=words):
        compare([f"{own}:Crashes"], CORA, budget=5, seeds=2, n_jobs=2)


def test_of_a_process_that_was_killed_the_runs_at_work_are_named(own):
    words = rf"One of 2 processes was killed .* At work were: .*Killed on {CORA} with seed"
    with pytest.raises(WorkerError, match=words):
        compare([f"{own}:Killed"], CORA, budget=5, seeds=2, n_jobs=2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (\n", r"SyntaxError: .*own\.py, line 1\)"),
        ("import sys\nsys.exit(0)\n", r"SystemExit: 0 \(.*own\.py, line 2, in <module>\)"),
        ("import math\nmath.sqrt(-1)\n", r"ValueError: .*own\.py, line 2, in <module>\)"),
        ("import numpy as np\n\nnp.linalg.inv([[0]])\n", r"own\.py, line 3, in <module>\)"),
    ],
)
def test_an_error_of_importing_names_the_users_line(tmp_path, text, words):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(AlgorithmFileError, match=rf"own\.py cannot be imported: .*{words}"):
        compare([f"{tmp_path}/own.py:A"], CORA, budget=5, seeds=2, n_jobs=1)


def test_an_exit_of_an_algorithm_that_is_built_is_an_error(own):
    line = line_of("sys.exit", "class ExitsWhenBuilt")
    with pytest.raises(HyperparameterError, match=rf"SystemExit: 0 \(.*line {line}, in __init__"):
        compare([f"{own}:ExitsWhenBuilt"], CORA, budget=5, seeds=2, n_jobs=1)


# Runs that failed are kept, and the others go on


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_going_on_keeps_what_failed_and_finishes_the_rest(own, tmp_path, n_jobs):
    settings = {"budget": 5, "seeds": 6, "n_jobs": n_jobs, "folder": tmp_path / "r"}
    algorithms = [f"{own}:Sound", f"{own}:Sometimes"]
    with pytest.warns(AlgorithmWarning, match=r"Sometimes \(own\.py\) failed in \d of 6 runs"):
        result = compare(algorithms, CORA, keep_going=True, **settings)
    assert len(result.runs) == result.n_expected == 12
    failed = [run for run in result.runs if run.error is not None]
    assert 0 < len(failed) < 6
    for run in failed:
        assert run.algorithm == "Sometimes"
        assert run.error.startswith(f"ValueError: now and then ({own}, line ")
        assert "Traceback" in run.error
        assert len(run.trace) == len(run.trace.cut_off) == 0
    read = Result.open(tmp_path / "r")
    assert [(run.cell, run.error) for run in read.runs] == [
        (run.cell, run.error) for run in result.runs
    ]
    assert all(
        one.trace.equals(other.trace) and one.trace.settings == other.trace.settings
        for one, other in zip(read.runs, result.runs, strict=True)
    )
    (note,) = notes_on_algorithms(read)
    assert f"failed in {len(failed)} of 6 runs, which count as runs that found nothing" in note
    assert f"with seed {failed[0].seed}: ValueError: now and then" in note
    # They are finished: the same call runs nothing again.
    done = []
    with pytest.warns(AlgorithmWarning):
        compare(algorithms, CORA, **settings, progress=lambda *_: done.append(1))
    assert not done


@pytest.mark.parametrize(
    ("name", "n_jobs"),
    [
        pytest.param("Endless", 1, marks=pytest.mark.slow),
        pytest.param("Endless", 2, marks=pytest.mark.slow),
        ("Stubborn", 2),
    ],
)
def test_a_run_that_takes_too_long_is_marked_and_the_others_go_on(own, monkeypatch, name, n_jobs):
    monkeypatch.setattr("nasbench_lab.processes._GRACE_S", 0.5)
    with pytest.warns(AlgorithmWarning, match="took longer than the time limit of 3 s"):
        result = compare(
            [f"{own}:Sound", f"{own}:{name}"],
            CORA,
            budget=5,
            seeds=2,
            n_jobs=n_jobs,
            time_limit=3,
        )
    assert [run.error is None for run in result.runs] == [True, True, False, False]
    place = rf"{own}, line {line_of('while True: pass', f'class {name}')}"
    assert all(place in run.error for run in result.runs[2:])


def test_a_process_that_dies_is_a_run_that_failed(own):
    with pytest.warns(AlgorithmWarning, match="ended its process"):
        result = compare(
            [f"{own}:Sound", f"{own}:Crashes"], CORA, budget=5, seeds=2, n_jobs=2, keep_going=True
        )
    assert [run.error is None for run in result.runs] == [True, True, False, False]


@pytest.mark.parametrize("limit", [0, -1, math.inf, math.nan, 1e300])
def test_a_time_limit_that_cannot_be_is_refused(limit, lab, own, tmp_path):
    with pytest.raises(ExperimentError, match="time limit of more than 0 s"):
        compare(["random_search"], CORA, budget=5, seeds=2, time_limit=limit)
    file = tmp_path / "e.toml"
    file.write_text(f'budget = 5\nalgorithms = ["random_search"]\nbenchmarks = ["{CORA}"]\n')
    for arguments in (comparison(own, "Sound"), ("run", file)):
        done = lab(*arguments, "--time-limit", limit, "-o", "r")
        assert done.code == 1
        assert "time limit of more than 0 s" in done.err
    assert not Path("r").exists()


def test_what_is_drawn_in_worker_processes_is_warned_of(own):
    with pytest.warns(AlgorithmWarning, match=r"Draws \(own\.py\) drew from random; use self\.rng"):
        compare([f"{own}:Draws"], CORA, budget=5, seeds=2, n_jobs=2)


def test_the_order_of_a_set_of_strings_is_the_same_in_all_processes(own, monkeypatch):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    one, other = (compare([f"{own}:Sets"], CORA, budget=9, seeds=2, n_jobs=2) for _ in range(2))
    code = (
        f"from nasbench_lab import compare\n"
        f"r = compare([{f'{own}:Sets'!r}], {CORA!r}, budget=9, seeds=2, n_jobs=2)\n"
        f"print([t.row.tolist() for t in r.traces({CORA!r}, 'Sets')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    rows = [trace.row.tolist() for trace in one.traces(CORA, "Sets")]
    assert rows == [trace.row.tolist() for trace in other.traces(CORA, "Sets")]
    assert rows == json.loads(done.stdout)
    assert "PYTHONHASHSEED" not in os.environ


# The command


def command(*arguments, **environment):
    """Runs the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "nasbench_lab.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**{k: v for k, v in os.environ.items() if k != "PYTHONHASHSEED"}, **environment},
        timeout=600,
    )


def comparison(own, name, jobs=1):
    return (
        *("compare", "-b", CORA, "-a", f"{own}:{name}", "--budget", 5, "--seeds", 2),
        *("--jobs", jobs, "-o", own.parent / "r"),
    )


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_what_algorithms_print_is_no_part_of_the_json(own, jobs):
    done = command(*comparison(own, "Prints", jobs), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["summary"]
    for text in ("printed", "to the original", "by C"):
        assert text in done.stderr


@pytest.mark.parametrize(
    "name", [pytest.param("Exits", marks=pytest.mark.slow), "ExitsHard", "ExitsWhenBuilt"]
)
def test_an_algorithm_that_ends_the_command_is_an_error(own, name):
    done = command(*comparison(own, name))
    assert done.returncode == 1
    assert "own.py, line" in done.stderr


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_thread_that_never_ends_does_not_keep_the_command(own, jobs):
    done = command(*comparison(own, "Threads", jobs), "--seeds", 1)
    assert done.returncode == 0
    assert "Threads (own.py) left threads running: mine." in " ".join(done.stdout.split())
    assert ("still run, and are left: mine" in done.stderr) == (jobs == 1)


@pytest.mark.usefixtures("undrawn")
def test_the_command_goes_on_and_says_what_failed(lab, own):
    done = lab(*comparison(own, "Sometimes"), "-a", f"{own}:Sound", "--keep-going")
    assert done.code == 1
    assert "2 of 4 runs failed: 2 of Sometimes. The notes say why." in done.err
    assert "Sometimes (own.py) failed in 2 of 2 runs" in done.words
    assert "Traceback" not in done.err
    again = lab(*comparison(own, "Sometimes"), "-a", f"{own}:Sound", "--traceback", "--json")
    assert again.code == 1
    assert json.loads(again.out)["summary"]
    assert "4 of 4 runs are finished" in again.err
    assert "Traceback (most recent call last)" in again.err


@pytest.mark.usefixtures("undrawn")
def test_the_command_shows_the_whole_traceback_on_demand(lab, own):
    done = lab(*comparison(own, "Chained", 2), "--traceback")
    assert done.code == 1
    assert "The above exception was the direct cause" in done.err
    assert "Traceback" not in lab(*comparison(own, "Chained", 2)).err


@pytest.mark.usefixtures("undrawn")
def test_a_time_limit_is_told_and_the_experiment_file_has_it_too(lab, own):
    Path("e.toml").write_text(
        f'budget = 5\nalgorithms = ["{own}:Sound", "{own}:Endless"]\n'
        f'benchmarks = ["{CORA}"]\nseeds = 1\n'
    )
    done = lab("run", "e.toml", "--jobs", 1, "--time-limit", 3)
    assert done.code == 1
    assert "took longer than the time limit of 3 s" in done.words


def test_repeats_are_checked(own):
    # By the command itself: in this process, also modules of tests are the user's.
    algorithms = ("-a", f"{own}:Sets", "-a", f"{own}:Keeps")
    done = command(*comparison(own, "Draws"), *algorithms, "--check-repeat")
    said = " ".join(done.stderr.split())
    assert done.returncode == 1, said
    assert "Repeated in other processes: 3 runs, of which 1 came out the same." in said
    assert f"Sets on {CORA} with seed 1 came out differently" in said
    assert "depends on the order of a set of strings" in said
    assert "kept something from one run to the next in the class attribute Keeps.seen" in said
    assert "Draws on" not in said


@pytest.mark.slow  # a run that came out the same is among those above
def test_repeats_of_a_sound_search_are_no_error(own):
    sound = command(*comparison(own, "Sound"), "--check-repeat")
    assert sound.returncode == 0, sound.stderr
    assert "2 came out" not in sound.stderr


def test_what_other_packages_keep_among_modules_is_not_the_users_state(monkeypatch):
    class Endless:
        """As ``torch.ops``: it has whatever is asked for."""

        __file__ = "_ops.py"

        @property
        def __dict__(self):
            raise AssertionError("was looked into")

    monkeypatch.setitem(sys.modules, "endless", Endless())
    assert list(repeats._state())


@pytest.mark.slow  # that processes have one seed is tested below
def test_the_command_has_a_fixed_hash_seed_of_its_own(own):
    ends = []
    for name in ("first", "second"):
        own_folder = own.parent / name
        done = command(*comparison(own, "Sets"), "-o", own_folder)
        assert done.returncode == 0, done.stderr
        ends.append(Result.open(own_folder).traces(CORA, "Sets"))
    assert all(one.equals(other) for one, other in zip(*ends, strict=True))
    done = command(*comparison(own, "Sets"), "-o", own.parent / "other", PYTHONHASHSEED="5")
    other = Result.open(own.parent / "other").traces(CORA, "Sets")
    assert not all(one.equals(two) for one, two in zip(ends[0], other, strict=True))


def test_a_program_that_calls_main_is_not_started_again(monkeypatch):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.setattr(sys, "argv", ["nasbench-lab", "compare"])
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("was started again"))
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # whatever other tests have begun
    cli._fix_hash_seed()
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "x", "compare"])
    with pytest.raises(pytest.fail.Exception, match="started again"):
        cli._fix_hash_seed()
