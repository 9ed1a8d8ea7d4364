"""What is held in check while other people's code searches.

Random generators that are not the algorithm's own are seeded and watched, tables stay closed, what
is printed goes to standard error, and nothing ends the process or lasts longer than it may. None of
this costs anything per evaluation. It catches mistakes; it cannot stop a program that means to cheat.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from contextvars import ContextVar
from types import CodeType
from typing import Any

import numpy as np

from nasbench_lab.errors import AlgorithmError, ExperimentError

# Random generators


_GENERATORS = threading.RLock()
"""There is one set of global generators, so one search has them at a time."""


@contextmanager
def kept_generators() -> Iterator[None]:
    """Leaves the global generators of Python, NumPy and PyTorch as they were before the block."""
    with _GENERATORS:
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        torch = _torch()
        state = None if torch is None else torch.get_rng_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            if state is not None:
                torch.set_rng_state(state)


def seed_generators(seed: int) -> None:
    """Seeds the global generators, only within ``kept_generators``.

    Args:
        seed: At least 0, of 64 bits.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (which others' code draws from)
    if (torch := _torch()) is not None:
        # Not torch.manual_seed, which wakes up every device.
        torch.default_generator.manual_seed(seed % 2**63)


class SeededGenerators:
    """Seeds the global generators, and says afterwards which were used.

    Only within ``kept_generators``. Other threads may use them too.

    Args:
        seed: At least 0, of 64 bits.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sow()
        self._first = self._next()
        self._torch = _torch()
        self._sow()
        self._torch_state = None if self._torch is None else self._torch.get_rng_state()

    def _sow(self) -> None:
        seed_generators(self._seed)

    @staticmethod
    def _next() -> tuple[float, float]:
        return random.random(), np.random.random_sample()  # noqa: NPY002

    def used(self) -> list[str]:
        """The modules whose generator was drawn from, or seeded, since; to be asked once."""
        names = ("random", "numpy.random")
        used = [
            name
            for name, now, first in zip(names, self._next(), self._first, strict=True)
            if now != first
        ]
        if self._torch is not None:
            now = self._torch.get_rng_state()
            used += [] if self._torch.equal(now, self._torch_state) else ["torch"]
        return used


def _torch() -> Any:
    """PyTorch, if the algorithm or somebody else has imported it."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "default_generator") else None


# Tables


_SEARCHING: ContextVar[tuple[CodeType, ...]] = ContextVar("_SEARCHING", default=())


@contextmanager
def closed_tables(evaluating: tuple[CodeType, ...]) -> Iterator[None]:
    """Refuses to open tables while a search runs, in its thread.

    Args:
        evaluating: The codes that ask benchmarks. What runs under one may open tables.
    """
    token = _SEARCHING.set(evaluating)
    try:
        yield
    finally:
        _SEARCHING.reset(token)


def check_tables_are_open(what: str) -> None:
    """Refuses to open a table if a search asks for it.

    Raises:
        AlgorithmError: A search does.
    """
    evaluating = _SEARCHING.get()
    if not evaluating:
        return
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code in evaluating:
            return
        frame = frame.f_back  # type: ignore[assignment]
    raise AlgorithmError(
        f"A search tried to open {what}. It learns what architectures are worth from tell alone: a "
        f"table holds the test data too. Open it before or after the run."
    )


# Output, exits and time


class TimeIsUp(BaseException):
    """Raised in a search that has had its time; ``except Exception`` does not catch it."""


@contextmanager
def contained() -> Iterator[None]:
    """Keeps other people's code from standard output, global generators and the process's end."""
    with ExitStack() as stack:
        stack.enter_context(kept_generators())
        stack.enter_context(redirect_stdout(sys.stderr))
        stack.enter_context(_no_exit())
        yield


@contextmanager
def _no_exit() -> Iterator[None]:
    """Turns ``os._exit``, which would end this process without a word, into an exception.

    It does so in the main thread: what runs others in threads, as a cluster does, sees to its own end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    at, leave = (os.getpid(), threading.get_ident()), os._exit

    def refuse(status: int) -> None:
        if (os.getpid(), threading.get_ident()) != at:
            leave(status)  # a child, which has ended
        raise SystemExit(f"os._exit({status})")

    vars(os)["_exit"] = refuse
    try:
        yield
    finally:
        vars(os)["_exit"] = leave


AGAIN_S = 0.5
"""After how many seconds ``TimeIsUp`` is raised again where it was swallowed."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises ``TimeIsUp`` in a block that lasts for more than some seconds of real time.

    It reaches Python code only: a call into compiled code that never returns is not ended.

    Raises:
        ExperimentError: The limit makes no sense.
    """
    check_time_limit(seconds)
    if seconds is None:
        yield
    elif threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        with _alarm(seconds):
            yield
    else:
        with _watchdog(seconds):
            yield


LONGEST_S = 10**8
"""The longest time limit, three years: timers know no much larger numbers."""


def check_time_limit(seconds: float | None) -> None:
    """Refuses a time limit that makes no sense.

    Raises:
        ExperimentError: It is not positive, no number, or too large.
    """
    if seconds is not None and not 0 < seconds <= LONGEST_S:
        raise ExperimentError(
            f"Expected a time limit of more than 0 s and at most {LONGEST_S:,} s but got {seconds!r}."
        )


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    over = False

    def ring(*_: object) -> None:
        if not over:
            raise TimeIsUp

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        try:
            yield
        finally:
            over = True
    finally:  # also if it rings in the line above
        over = True
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


@contextmanager
def _watchdog(seconds: float) -> Iterator[None]:
    thread, over, lock = threading.get_ident(), threading.Event(), threading.Lock()
    thrown = False

    def throw() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(TimeIsUp)
        )

    def watch() -> None:
        nonlocal thrown
        wait = seconds
        while not over.wait(wait):
            with lock:
                if not over.is_set():
                    thrown = True
                    throw()
            wait = AGAIN_S

    threading.Thread(target=watch, daemon=True).start()
    try:
        try:
            yield
        finally:
            over.set()
    finally:  # also if it is thrown in the line above
        over.set()
        with lock:
            if thrown:
                _receive(throw)


def _receive(throw: Callable[[], None]) -> None:
    """Takes what was thrown and may not have arrived.

    To throw nothing instead would take it back too, but leave Python 3.11 looking for it for ever,
    and under a profiler that never ends.
    """
    try:
        throw()  # in the place of what has not arrived
        while True:
            time.sleep(0)
    except TimeIsUp:
        pass
