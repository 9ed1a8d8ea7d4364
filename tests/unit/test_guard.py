"""What is held in check while other people's code searches."""

import os
import random
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.errors import AlgorithmError, AlgorithmWarning
from nasbench_lab.guard import SeededGenerators, TimeIsUp, contained, kept_generators, time_limit
from nasbench_lab.registry import load_benchmark, open_table
from nasbench_lab.results.notes import notes_on_algorithms
from nasbench_lab.running.comparison import compare
from nasbench_lab.running.search import run
from nasbench_lab.simulator import simulate
from nasbench_lab.tables.table import Table
from nasbench_lab.testing import SyntheticBenchmark

DIGITS = "nb201-digits"


class Draws(SearchAlgorithm):
    def ask(self):
        row = np.random.randint(15_000) + random.randrange(600)  # noqa: NPY002
        return self.trial(self.space.at(int(row)))


class Seeds(SearchAlgorithm):
    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        np.random.seed(0)  # noqa: NPY002

    def ask(self):
        return self.trial(self.space.sample(self.rng))


class Fails(Draws):
    def tell(self, trial, evaluation):
        raise ValueError


def global_state():
    np_state = np.random.get_state()  # noqa: NPY002
    return random.getstate(), [np.asarray(part).tolist() for part in np_state]


# Random generators


def test_draws_from_global_generators_repeat_with_the_seed_and_are_warned_of():
    with pytest.warns(AlgorithmWarning, match=r"^Draws drew from random and numpy\.random; use"):
        first = run(Draws, DIGITS, 30, seed=1)
    random.random()
    np.random.rand()  # noqa: NPY002
    with pytest.warns(AlgorithmWarning):
        assert run(Draws, DIGITS, 30, seed=1).equals(first)
    with pytest.warns(AlgorithmWarning):
        assert not run(Draws, DIGITS, 30, seed=2).equals(first)


def test_a_comparison_gives_the_same_runs_as_single_searches():
    with pytest.warns(AlgorithmWarning, match=r"Draws \(test_guard\.py\) drew from"):
        result = compare([Draws], DIGITS, budget=20, seeds=3, n_jobs=1)
    assert {run.warnings[0][:26] for run in result.runs} == {"drew from random and numpy"}
    (note,) = notes_on_algorithms(result)
    assert note.startswith("Draws (test_guard.py) drew from random and numpy.random")
    for trace, seed in zip(result.traces(DIGITS, "Draws"), range(3), strict=True):
        with pytest.warns(AlgorithmWarning):
            assert run(Draws, DIGITS, 20, seed=seed).equals(trace)


def test_a_generator_that_is_seeded_only_is_noticed_too():
    with pytest.warns(AlgorithmWarning, match=r"drew from numpy\.random;"):
        run(Seeds, DIGITS, 3)


def test_draws_from_torch_are_noticed_and_repeat():
    torch = pytest.importorskip("torch")
    with kept_generators():
        before = torch.get_rng_state()
        drawn = []
        for _ in range(2):
            generators = SeededGenerators(2**64 - 1)
            drawn.append(torch.rand(3).tolist())
            assert generators.used() == ["torch"]
        assert drawn[0] == drawn[1]
        assert SeededGenerators(5).used() == []
    assert torch.equal(torch.get_rng_state(), before)


def test_global_generators_are_left_as_they_were():
    np.random.standard_normal()  # leaves a second one for later  # noqa: NPY002
    before = global_state()
    run("random_search", DIGITS, 5)
    assert global_state() == before
    with pytest.warns(AlgorithmWarning):
        run(Draws, DIGITS, 5)
    with pytest.raises(ValueError, match=r"^$"):
        run(Fails, DIGITS, 5)
    assert global_state() == before


def test_draws_in_other_threads_are_not_the_algorithms():
    """As those of a Dask worker, whose own threads draw now and then."""
    disturbed, told = [], []

    class Disturbed(SearchAlgorithm):
        def ask(self):
            if not disturbed:
                disturbed.append(random.random())
            return self.trial(self.space.sample(self.rng))

    def search(cls):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(cls, DIGITS, 5)
        told.append([str(one.message) for one in caught])

    for cls in (Disturbed, Draws):
        thread = threading.Thread(target=search, args=(cls,))
        thread.start()
        thread.join()
    assert disturbed
    assert told[0] == []
    assert "Draws drew from random and numpy.random" in told[1][0]


# Tables


class Peeks(SearchAlgorithm):
    open_it = staticmethod(lambda: open_table(DIGITS))

    def ask(self):
        self.open_it()
        return self.trial(self.space.sample(self.rng))


class PeeksWhenBuilt(Draws):
    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        load_benchmark(DIGITS)


class PeeksWhenTold(SearchAlgorithm):
    def ask(self):
        return self.trial(self.space.sample(self.rng))

    def tell(self, trial, evaluation):
        load_benchmark(DIGITS)


class PeeksWhileTraining(SearchAlgorithm):
    def ask(self):
        return self.trial(self.space.sample(self.rng))

    def should_stop(self, trial, evaluation):
        return load_benchmark(DIGITS) is None


def test_a_search_cannot_open_tables():
    folder = open_table(DIGITS).folder
    by_folder = type("ByFolder", (Peeks,), {"open_it": staticmethod(lambda: Table.open(folder))})
    for cls in (Peeks, by_folder, PeeksWhenBuilt, PeeksWhenTold, PeeksWhileTraining):
        with pytest.raises(AlgorithmError, match="A search tried to open the table"):
            run(cls, DIGITS, 5)
    benchmark = load_benchmark(DIGITS)
    with pytest.raises(AlgorithmError, match="A search tried to open"):
        simulate(Peeks(benchmark.space), benchmark, 5)
    assert len(open_table(DIGITS)) > 0


class OpensLate(SyntheticBenchmark):
    """A benchmark of somebody else's, which opens its table when it is first asked."""

    opened = None

    def evaluate(self, *args, **kwargs):
        self.opened = self.opened or open_table(DIGITS)
        return super().evaluate(*args, **kwargs)


def test_a_benchmark_may_open_tables_while_a_search_runs():
    benchmark = OpensLate(load_benchmark(DIGITS).space)
    assert len(run("random_search", benchmark, 5)) == 5
    assert benchmark.opened is not None


def test_other_threads_may_open_tables_while_a_search_runs():
    opened = []

    class Waits(SearchAlgorithm):
        def ask(self):
            asking.set()
            done.wait(10)
            return self.trial(self.space.sample(self.rng))

    asking, done = threading.Event(), threading.Event()
    search = threading.Thread(target=run, args=(Waits, DIGITS, 1))
    search.start()
    assert asking.wait(10)
    opened.append(open_table(DIGITS))
    done.set()
    search.join()
    assert opened


# Output, exits and time


def test_what_is_printed_goes_to_standard_error(capsys):
    with contained():
        print("from an algorithm")
    print("from us")
    assert capsys.readouterr() == ("from us\n", "from an algorithm\n")


def test_ending_the_process_becomes_an_exception():
    leave = os._exit
    with contained(), pytest.raises(SystemExit, match=r"os\._exit\(3\)"):
        os._exit(3)
    assert os._exit is leave


def endless():
    while True:
        try:
            while True:
                pass
        except Exception:  # which must not catch it
            pass


def test_a_block_that_takes_too_long_is_ended_in_any_thread():
    ended = []

    def limited():
        try:
            with time_limit(0.05):
                endless()
        except TimeIsUp:
            ended.append(threading.current_thread())

    limited()
    thread = threading.Thread(target=limited)
    thread.start()
    thread.join()
    assert ended == [threading.main_thread(), thread]


def test_one_that_swallows_the_exception_is_ended_by_the_next(monkeypatch):
    monkeypatch.setattr("nasbench_lab.guard.AGAIN_S", 0.05)
    swallowed = []

    def stubborn():
        while True:
            try:
                endless()
            except TimeIsUp:
                if swallowed:
                    raise
                swallowed.append(1)

    with pytest.raises(TimeIsUp), time_limit(0.05):
        stubborn()


def test_a_time_limit_that_was_kept_leaves_nothing_behind():
    handler = signal.getsignal(signal.SIGALRM) if hasattr(signal, "SIGALRM") else None
    with time_limit(60), time_limit(None):
        pass
    if handler is not None:
        assert signal.getsignal(signal.SIGALRM) is handler
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


LIMITED = """
import sys, threading
from nasbench_lab.guard import TimeIsUp, time_limit

def limited(seconds):
    with time_limit(seconds):
        while seconds < 1:
            pass

def late():
    try:
        limited(0.05)
    except TimeIsUp:
        print("late")

for target, arguments in ((limited, (60.0,)), (late, ())):
    thread = threading.Thread(target=target, args=arguments)
    thread.start()
    thread.join()
sys.setprofile(lambda *_: None)
limited(60.0)
sys.setprofile(None)
"""


def test_a_profiler_works_after_a_time_limit_in_another_thread():
    # Python 3.11 looked for an exception that had been taken back for ever.
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout == "late\n"
