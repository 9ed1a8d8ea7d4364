"""What runs in a student's process: their algorithm, and nothing of a table.

The process that grades has the tables. It asks and tells over a pipe, a line of JSON each way, so a
search learns a value only by asking for an architecture. Python cannot hold a program that means to
break out: what is refused here stops mistakes and the usual tricks. Compiled code that opens files by
itself, or reads the memory of other processes of the same user, passes.
"""

from __future__ import annotations

import faulthandler
import inspect
import io
import json
import math
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from types import CodeType
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, Work
from nasbench_lab.algorithm.hyperparameters import build
from nasbench_lab.errors import AlgorithmError, AlgorithmFileError
from nasbench_lab.guard import SeededGenerators, TimeIsUp, contained
from nasbench_lab.mistakes import is_users, told, users_place
from nasbench_lab.processes import begin_worker
from nasbench_lab.spaces import SearchSpace
from nasbench_lab.user_code.code import Code

GRACE_S = 3
"""For how many seconds of processor time a search may go on after its limit, before it is killed."""

_LARGEST_FILE = 100 << 20
"""Bytes that a file may have that a student's process writes."""


@dataclass(frozen=True)
class Problem:
    """What a search is to know of a benchmark: not its name, and none of its values."""

    space: SearchSpace
    maximize: tuple[bool, ...]
    fidelities: tuple[int, ...]


@dataclass(frozen=True)
class Start:
    """What a student's process is given.

    Args:
        parent: The number of the process that grades.
        code: The student's file.
        class_name: Their algorithm; None for the only one there.
        problems: What is searched.
        cpu_s: Seconds of processor time that all searches together may take.
        memory: Bytes of memory, or None for any.
        closed: Folders and files that it may not open.
        open: Those within closed ones that it may read.
        desk: The folder that it may write to.
    """

    parent: int
    code: Code
    class_name: str | None
    problems: tuple[Problem, ...]
    cpu_s: float
    memory: int | None
    closed: tuple[str, ...]
    open: tuple[str, ...]
    desk: str


def serve() -> None:
    """Answers what the process that grades asks, until it asks no more."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    start: Start = pickle.load(requests)
    begin_worker(start.parent)
    student = _Student(start)
    sys.stdout = sys.stderr = student.printed
    with contained():
        student.limit()
        sys.addaudithook(student.watch)
        for line in requests:
            answers.write(json.dumps(student.answer(*json.loads(line))).encode() + b"\n")
            answers.flush()
    os._exit(0)  # also if the search has left threads


class _Student:
    """A student's algorithm, and what came of it."""

    def __init__(self, start: Start) -> None:
        self.start, self.printed = start, _Printed()
        self.closed, self.open, (self.desk,) = (
            tuple(map(os.path.realpath, paths))
            for paths in (start.closed, start.open, (start.desk,))
        )
        self.searching = self.late = False
        self.broken: str | None = None
        self.began = 0.0

    def answer(self, what: str, *arguments: Any) -> dict[str, Any]:
        """What comes of a request: a value, or an error with the student's line."""
        try:
            if self.late:
                raise TimeIsUp
            self.searching = True
            value = getattr(self, what)(*arguments)
            self.searching = False
        except BaseException as error:
            self.searching = False
            if self.late:
                said = f"it used more than its {self.start.cpu_s:g} s of processor time"
                place = users_place(error)
                return {"error": f"{said} ({place})" if place else said, "over": True}
            return {"error": self.broken or told(error)}
        return {"error": self.broken} if self.broken else {"value": value}

    # What is asked

    def load(self) -> dict[str, Any]:
        """Executes the file, and says what algorithm it defines."""
        self.began = time.process_time()
        SeededGenerators(0)
        self.cls = cls = _chosen(self.start)
        return {
            "name": cls.__name__,
            "stops": cls.should_stop is not SearchAlgorithm.should_stop,
            "ask": _place_of(cls.ask),
        }

    def begin(self, number: int, state: dict[str, Any], seed: int) -> None:
        """Builds the algorithm for a run.

        Args:
            number: Of the problem.
            state: Of the run's generator; the seed that it came from stays unknown here.
            seed: For the global generators.
        """
        self.problem = problem = self.start.problems[number]
        self.generators = SeededGenerators(seed)
        rng = np.random.Generator(np.random.PCG64(0))
        rng.bit_generator.state = state
        self.algorithm = build(
            self.cls,
            problem.space,
            seed=rng,
            maximize=problem.maximize,
            fidelities=problem.fidelities,
        )

    def ask(self) -> dict[str, Any] | None:
        asked = self.algorithm.ask()
        who = type(self.algorithm).__name__
        if asked is None:
            return None
        if isinstance(asked, Work):
            work = asked.checked(self.problem.space, who)
            passes = None if work.passes is None else work.passes.tolist()
            return {"work": [passes, work.seconds, _plain(work.architecture), work.shared]}
        if not isinstance(asked, Trial):
            raise AlgorithmError(
                f"{who}.ask must return a Trial or Work, or None, but returned {asked!r:.200}. Return "
                f"self.trial(architecture)."
            )
        architecture = self.problem.space.validate(asked.architecture)
        epoch = None if asked.epoch is None else int(asked.epoch)
        return {"trial": [int(asked.number), _plain(architecture), epoch]}

    def tell(self, trial: list[Any], evaluation: list[Any]) -> None:
        self.algorithm.tell(*_told(trial, evaluation))

    def should_stop(self, trial: list[Any], evaluation: list[Any]) -> bool:
        return bool(self.algorithm.should_stop(*_told(trial, evaluation)))

    def observe(self, architecture: list[int], evaluation: list[Any]) -> None:
        self.algorithm.observe(tuple(architecture), _told([0, (), None], evaluation)[1])

    def reweigh(self, weights: list[float]) -> None:
        self.algorithm.reweigh(weights)

    def end(self) -> dict[str, Any]:
        """What the algorithm did in the run that it should not."""
        return {
            "drew": self.generators.used(),
            "printed": self.printed.first,
            "cpu_s": time.process_time() - self.began,
        }

    # What it is held to

    def limit(self) -> None:
        """Bounds memory, files and processor time, where the system can."""
        faulthandler.enable(2, all_threads=False)
        try:
            import resource
        except ImportError:  # Windows, where only the limit of real time holds
            return
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        if self.start.memory is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (self.start.memory, self.start.memory))

        def ring(*_: object) -> None:
            self.late = True
            if self.searching:
                raise TimeIsUp

        signal.signal(signal.SIGXCPU, ring)
        faulthandler.register(signal.SIGXCPU, 2, all_threads=False, chain=True)
        seconds = math.ceil(time.process_time() + self.start.cpu_s)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + GRACE_S))

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuses what a search may not do; Python calls it before it does such things.

        Raises:
            AlgorithmError: It opens a table, what others have handed in, or their results.
            PermissionError: It writes outside its folder, starts processes or opens connections.
        """
        if event in _REFUSED:
            raise PermissionError(f"A search that is graded may not do this: {event}")
        if event == "open" or event in _LOOKING or event in _CHANGING:
            writes = event in _CHANGING or (event == "open" and _is_to_write(*arguments[1:3]))
            for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                if isinstance(path, str | bytes | os.PathLike):
                    self._check(os.path.realpath(os.fsdecode(path)), writes)

    def _check(self, path: str, writes: bool) -> None:
        closed = [folder for folder in self.closed if _lies_in(path, (folder,))]
        if closed and not _lies_in(path, (*self.open, self.desk)):
            what = os.path.relpath(path, os.path.dirname(closed[0]))
            self.broken = self.broken or (
                f"it tried to open {what!r}{_here()}; a search learns what architectures are worth "
                f"from tell alone"
            )
            raise AlgorithmError(self.broken)
        if writes and path != os.devnull and not _lies_in(path, (self.desk,)):
            raise PermissionError(
                f"A search that is graded may write to its working folder only, not to {path}"
            )


_REFUSED = frozenset(
    (
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.killpg",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "resource.prlimit",
        "resource.setrlimit",
        "socket.bind",
        "socket.connect",
        "socket.sendto",
        "subprocess.Popen",
    )
)
_LOOKING = frozenset(("os.listdir", "os.scandir", "os.chdir"))
_CHANGING = frozenset(
    (
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "shutil.rmtree",
    )
)
"""Events of Python's audit hooks; the last two kinds begin with a path."""


def _is_to_write(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return any(sign in mode for sign in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def _lies_in(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def _place_of(function: Any) -> str:
    """Where a function of the student's begins; nothing of one that they have from elsewhere."""
    code: CodeType = function.__code__
    if not is_users(code.co_filename):
        return ""
    return f" ({code.co_filename}, line {code.co_firstlineno}, in {code.co_name})"


def _here() -> str:
    """The student's line that is executed now."""
    frame = inspect.currentframe()
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            code = frame.f_code
            return f" ({code.co_filename}, line {frame.f_lineno}, in {code.co_name})"
        frame = frame.f_back
    return ""


class _Printed(io.TextIOWrapper):
    """Standard output of a search: nobody sees it, but where it began is known."""

    def __init__(self) -> None:
        super().__init__(io.FileIO(os.devnull, "w"), encoding="utf-8")
        self.first: str | None = None

    def write(self, text: str) -> int:
        if self.first is None and text.strip():
            self.first = f"{' '.join(text.split())[:80]!r}{_here()}"
        return super().write(text)


def _chosen(start: Start) -> type[SearchAlgorithm]:
    """The algorithm of a file: the one of the name, or the only one that can be built."""
    module = start.code.load()
    own = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, SearchAlgorithm)
        and value.__module__ == module.__name__
    }
    above = {base for cls in own.values() for base in cls.__mro__[1:]}
    fitting = [
        cls
        for name, cls in own.items()
        if name == start.class_name
        or (
            start.class_name is None
            and not (name.startswith("_") or inspect.isabstract(cls) or cls in above)
        )
    ]
    if len(fitting) != 1:
        expected = f"the class {start.class_name!r}" if start.class_name else "one class"
        raise AlgorithmFileError(
            f"Expected {start.code.file} to define {expected} that inherits from SearchAlgorithm and "
            f"has a method ask, but such classes there are: "
            f"{', '.join(cls.__name__ for cls in fitting) or ', '.join(own) or 'none'}."
        )
    return fitting[0]


def _plain(architecture: tuple[Any, ...] | None) -> list[int] | None:
    return None if architecture is None else [int(option) for option in architecture]


def _told(trial: list[Any], evaluation: list[Any]) -> tuple[Trial, Evaluation]:
    """A trial and its evaluation, as the algorithm knows them."""
    number, architecture, epoch = trial
    values, *rest = evaluation
    return Trial(number, tuple(architecture), epoch), Evaluation(tuple(values), *rest)
