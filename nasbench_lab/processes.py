"""Work in several processes: one code path for this machine and, through joblib, for clusters."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from functools import cache
from multiprocessing import parent_process
from typing import Any, Literal, TypeVar, get_args

from nasbench_lab.errors import ExperimentError, UnknownNameError, WorkerError
from nasbench_lab.words import counted

T = TypeVar("T")

Executor = Literal["processes", "dask"]


def in_processes(
    tasks: Sequence[Callable[[], T]],
    n_jobs: int,
    executor: Executor = "processes",
    scheduler: str | None = None,
) -> Generator[tuple[int, T]]:
    """Yields (number, result) of each task as it is finished.

    Args:
        tasks: What is to be done; they are pickled.
        n_jobs: How many processes; -1 for one per core, or for all workers of a cluster.
        executor: ``processes`` of this machine, or a ``dask`` cluster. A task of a worker that dies
            is done again by another.
        scheduler: The address of Dask's scheduler, such as ``"tcp://10.0.0.1:8786"``.

    Raises:
        ExperimentError: The cluster cannot be reached or has no workers; or a scheduler is named, but
            not Dask.
        WorkerError: Processes were killed while they worked.
        UnknownNameError: There is no such executor.
    """
    import joblib

    if executor not in get_args(Executor):
        raise UnknownNameError("executor", executor, get_args(Executor))
    if executor == "processes" and scheduler is not None:
        raise ExperimentError(
            f"Expected the executor 'dask' with the scheduler {scheduler!r} but got {executor!r}."
        )
    if executor == "processes" and (joblib.effective_n_jobs(n_jobs) == 1 or len(tasks) == 1):
        for number, task in enumerate(tasks):
            yield number, task()
        return
    with _dask(scheduler) if executor == "dask" else nullcontext(), warnings.catch_warnings():
        # A worker that imports PyTorch grows so much that it is taken for one that leaks memory, and
        # is replaced by a new one; where warnings are errors, joblib would wait for it for ever.
        warnings.filterwarnings("ignore", "A worker stopped while", UserWarning)
        # A caller that stops early knows that it does.
        warnings.filterwarnings("ignore", r"\d+ tasks (have been|which were)", UserWarning)
        parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")
        try:
            yield from parallel(joblib.delayed(_numbered)(n, task) for n, task in enumerate(tasks))
        except BrokenProcessPool as error:
            raise WorkerError(
                f"One of {counted(joblib.effective_n_jobs(n_jobs), 'process')} was killed while "
                f"it worked. If "
                f"that was for lack of memory, let fewer work at once."
            ) from error


@contextmanager
def _dask(scheduler: str | None) -> Iterator[None]:
    """Makes joblib work on a Dask cluster."""
    try:
        import distributed
    except ImportError as error:
        raise ExperimentError(
            "The executor 'dask' needs Dask: pip install 'nasbench-lab[dask]'."
        ) from error
    import joblib

    if scheduler is None:
        raise ExperimentError(
            "The executor 'dask' needs the address of a scheduler, such as tcp://10.0.0.1:8786. "
            "`dask scheduler` starts one, `dask worker ADDRESS` its workers."
        )
    try:
        # Of an address that cannot be, a client would hang at its end.
        distributed.comm.addressing.resolve_address(scheduler)  # type: ignore[no-untyped-call, unused-ignore]
        client = distributed.Client(  # type: ignore[no-untyped-call, unused-ignore]
            scheduler, timeout="10s", set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise ExperimentError(
            f"No Dask scheduler answers at {scheduler!r} ({error}). `dask scheduler` starts one."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=10)
        except TimeoutError as error:
            raise ExperimentError(
                f"The Dask scheduler at {scheduler!r} has no workers. `dask worker {scheduler}` starts "
                f"one."
            ) from error
        try:
            client.run(_ready)
        except Exception as error:  # whatever comes of what they cannot import
            raise ExperimentError(
                f"The workers of the Dask scheduler at {scheduler!r} cannot be used ({error}). They "
                f"need nasbench-lab too."
            ) from error
        try:
            with joblib.parallel_config(_cluster(client)):
                yield
        except CancelledError as error:
            raise WorkerError(
                f"The connection to the Dask scheduler at {scheduler!r} was lost."
            ) from error


def _cluster(client: Any) -> Any:
    """The backend of joblib for Dask, but that a task that Dask has given up ends the work.

    Dask gives a task up when several workers have died of it, and joblib would wait for ever.
    """
    import distributed
    from joblib._dask import DaskDistributedBackend

    class Cluster(DaskDistributedBackend):  # type: ignore[misc]
        def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
            start = getattr(super(), "submit", None) or super().apply_async
            future = start(func, callback)

            def tell(done: Any) -> None:
                if not done.cancelled() and done.exception() is not None:
                    callback(done.exception())

            future.add_done_callback(tell)
            return future

        apply_async = submit  # its name before joblib 1.6

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, distributed.KilledWorker):
                raise WorkerError(
                    f"Dask has given up: workers died of one task again and again, the last at "
                    f"{out.last_worker.address}. If that was for lack of memory, let fewer work on "
                    f"a machine."
                ) from out
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    return Cluster(client=client)


def _ready() -> bool:
    """Asks a worker of a cluster whether it can work; joblib waits for ever for what it cannot."""
    return True


def _numbered(number: int, task: Callable[[], T]) -> tuple[int, T]:
    parent = parent_process()
    if parent is not None and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches all processes of a terminal; the parent stops its workers itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if parent.pid is not None:
            _end_with(parent.pid)
    return number, task()


@cache
def _end_with(parent: int) -> None:
    """Ends this process when its parent has ended: one that is killed cannot stop its workers."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
