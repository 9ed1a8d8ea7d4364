"""A benchmark whose evaluations take given times, and workers on whose clock they do."""

import heapq
import math
import os
import signal
import sys
import time
from pathlib import Path

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.spaces import Decision, SearchSpace

SPACE = SearchSpace("live", [Decision(name, tuple(range(4)), ordered=True) for name in "abc"])
TICK_S = 2.0**-10


class Given(Benchmark):
    """Each architecture has a curve and a time of its own; an epoch takes some ticks, often equal."""

    name = "given times"
    space = SPACE
    objectives = (Objective("height", "m"),)
    clock, measured = "resume", True
    epochs, fidelities = 9, tuple(range(1, 10))

    def seconds(self, architecture, epoch):
        a, b, c = architecture
        return epoch * (1 + (a + 2 * b + c) % 4) * TICK_S

    def entry(self, architecture):
        return SPACE.index(architecture), 0.0

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        epoch = epoch or self.epochs
        best = 10.0 - sum((option - 2) ** 2 for option in architecture)
        value = best - sum(architecture[:2]) / epoch
        if architecture == (3, 3, 3):
            value = math.nan
        cost = self.seconds(architecture, epoch) - self.seconds(architecture, since or 0)
        return Evaluation((value,), cost, epoch, self.entry(architecture)[0])


class GivenTimes:
    """Workers on a clock that shows the times that a benchmark gives."""

    def __init__(self, benchmark):
        self.benchmark, self.clock, self.running, self.orders = benchmark, 0.0, [], []

    def start(self):
        pass

    def now(self):
        return self.clock

    def submit(self, order):
        assert order.worker not in [running.worker for _, _, running in self.running]
        self.orders.append(order)
        architecture, epoch = order.trial.architecture, order.trial.epoch or self.benchmark.epochs
        took = self.benchmark.seconds(architecture, epoch)
        took -= self.benchmark.seconds(architecture, order.since)
        heapq.heappush(self.running, (self.clock + took, order.ask, order))

    def wait(self, seconds):
        if not self.running or self.running[0][0] > self.clock + seconds:
            self.clock += seconds
            return []
        self.clock = self.running[0][0]
        finished = []
        while self.running and self.running[0][0] == self.clock:
            finished.append(self.answer(heapq.heappop(self.running)[2]))
        return finished[::-1]  # whichever comes in first

    def epochs(self):
        return {order.worker: 1 for _, _, order in self.running}

    def answer(self, order):
        trial = order.trial
        return order.ask, self.benchmark.evaluate(trial.architecture, trial.epoch), ""


class GivenTimesOfProcesses(GivenTimes):
    """Processes evaluate for real; when they have finished, the clock shows the given times."""

    def __init__(self, benchmark, pool):
        super().__init__(benchmark)
        self.pool, self.answers = pool, {}

    def submit(self, order):
        super().submit(order)
        self.pool.submit(order)

    def answer(self, order):
        while order.ask not in self.answers:
            self.answers.update({ask: more for ask, *more in self.pool.wait(60.0)})
        return order.ask, *self.answers.pop(order.ask)


class Trouble(Given):
    """Some architectures fail in ways of their own; ``folder`` has a file for each evaluation."""

    name = "trouble"

    def __init__(self, folder, deaths=0, deadly=(3, 0)):
        self.folder, self.deaths, self.deadly = str(folder), deaths, deadly

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        text = "".join(map(str, architecture))
        begun = len(list(Path(self.folder).glob(f"{text}-*")))
        Path(self.folder, f"{text}-{begun}-{os.getpid()}").touch()
        if architecture[0] == 1:
            raise MemoryError("no room for that many filters")
        if architecture[0] == 2:
            sys.exit("the builder gave up")
        if architecture[: len(self.deadly)] == self.deadly and begun < self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        print("noise on standard output")
        return super().evaluate(architecture, epoch, rng)


class Gated(Given):
    """Its evaluations, from a given one on, wait for the file ``go`` in ``folder``; the first fails."""

    name = "gated"

    def __init__(self, folder, first):
        self.folder, self.first = str(folder), first

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        begun = len(list(Path(self.folder).glob("begun-*")))
        Path(self.folder, f"begun-{begun}").touch()
        while begun >= self.first and not Path(self.folder, "go").exists():
            time.sleep(0.01)
        if begun == 0:
            raise MemoryError("no room for that many filters")
        return super().evaluate(architecture, epoch, rng)


class Endless(Trouble):
    """One architecture is evaluated for ever; ``hangs`` in the folder says that it is."""

    name = "endless"

    def evaluate(self, architecture, epoch=None, rng=None, since=None):
        if architecture == (3, 0, 0):
            note = Path(self.folder, "note")
            note.write_text(str(os.getpid()))
            note.rename(note.with_name("hangs"))
            while True:
                time.sleep(0.01)
        return super().evaluate(architecture, epoch, rng)


class Log:
    """Notes each epoch of each training; the first process that comes to the end of epoch 2 dies.

    Args:
        folder: Has the notes, a file for each training that is begun, and ``die`` if one is to die.
    """

    def __init__(self, folder):
        self.folder, self.name = str(folder), ""

    def __call__(self, done, total):
        if not self.name or done <= self.before:
            self.name = f"{time.monotonic_ns():020}-{os.getpid()}"
        self.before = done
        with open(Path(self.folder, self.name), "a") as file:
            print(done, file=file)
        if done == 2 and (die := Path(self.folder, "die")).exists():
            die.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    def begun(self):
        """Of each training, in the order of their beginnings, the epochs."""
        files = sorted(Path(self.folder).iterdir())
        return [list(map(int, file.read_text().split())) for file in files]


class Held:
    """Holds each training at the end of an epoch until a file is there."""

    def __init__(self, file, epoch):
        self.file, self.epoch = str(file), epoch

    def __call__(self, done, total):
        while done == self.epoch and not Path(self.file).exists():
            time.sleep(0.01)
