"""Work in several processes: one code path for this machine and, through joblib, for clusters."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import parent_process
from typing import TypeVar

T = TypeVar("T")


def in_processes(tasks: Sequence[Callable[[], T]], n_jobs: int) -> Iterator[tuple[int, T]]:
    """Yields (number, result) of each task as it is finished.

    Args:
        tasks: What is to be done; they are pickled.
        n_jobs: How many processes; -1 for one per core.
    """
    import joblib

    if joblib.effective_n_jobs(n_jobs) == 1 or len(tasks) == 1:
        for number, task in enumerate(tasks):
            yield number, task()
        return
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    with warnings.catch_warnings():
        # A worker that imports PyTorch grows so much that it is taken for one that leaks memory, and
        # is replaced by a new one; where warnings are errors, joblib would wait for it for ever.
        warnings.filterwarnings("ignore", "A worker stopped while", UserWarning)
        yield from parallel(joblib.delayed(_numbered)(n, task) for n, task in enumerate(tasks))


def _numbered(number: int, task: Callable[[], T]) -> tuple[int, T]:
    # Ctrl-C reaches all processes of a terminal; the parent stops its workers itself.
    if parent_process() is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return number, task()
