"""Work in several processes: one code path for this machine and, through joblib, for clusters."""

from __future__ import annotations

import asyncio
import faulthandler
import multiprocessing.util
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeVar, get_args

from nasbench_lab.errors import ExperimentError, UnknownNameError, WorkerError
from nasbench_lab.mistakes import told
from nasbench_lab.words import counted

T = TypeVar("T")

Executor = Literal["processes", "dask"]

_TO_ALL = [signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
"""The signals that a terminal sends to all processes that were started from it."""

HASH_SEED = "0"
"""The seed of the hashes of strings in processes that are started here, unless one is set already.

The order of a set of strings depends on it, so it is the same in all of them.
"""


def at_once(n_tasks: int, n_jobs: int) -> int:
    """How many tasks are done at once, at most; arguments as for ``in_processes``."""
    import joblib

    return max(1, min(n_tasks, int(joblib.effective_n_jobs(n_jobs))))


def is_here(n_tasks: int, n_jobs: int, *, apart: bool = False) -> bool:
    """Whether this process does the tasks itself; arguments as for ``in_processes``."""
    import joblib

    return bool(joblib.effective_n_jobs(n_jobs) == 1 or (n_tasks == 1 and not apart))


def in_processes(
    tasks: Sequence[Callable[[], T]],
    n_jobs: int,
    executor: Executor = "processes",
    scheduler: str | None = None,
    *,
    apart: bool = False,
    ordered: bool = False,
) -> Generator[tuple[int, T]]:
    """Yields (number, result) of each task as it is finished.

    Args:
        tasks: What is to be done; they are pickled.
        n_jobs: How many processes; -1 for one per core, or for all workers of a cluster.
        executor: ``processes`` of this machine, or a ``dask`` cluster. A task of a worker that dies
            is done again by another. A Dask cluster runs whatever is sent to it, by whomever:
            it belongs into a network that is trusted.
        scheduler: The address of Dask's scheduler, such as ``"tcp://10.0.0.1:8786"``.
        apart: Whether a single task is done in another process too, as it may end its process. Where
            there is but one process, it is this one.
        ordered: Whether results come in the order of the tasks.

    Raises:
        ExperimentError: The cluster cannot be reached or has no workers; or a scheduler is named, but
            not Dask.
        WorkerError: Processes were killed while they worked, or a task raised what cannot be sent
            here.
        UnknownNameError: There is no such executor.
    """
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    if executor not in get_args(Executor):
        raise UnknownNameError("executor", executor, get_args(Executor))
    if executor == "processes" and scheduler is not None:
        raise ExperimentError(
            f"Expected the executor 'dask' with the scheduler {scheduler!r} but got {executor!r}."
        )
    if executor == "processes" and is_here(len(tasks), n_jobs, apart=apart):
        for number, task in enumerate(tasks):
            yield number, task()
        return
    with (
        _dask(scheduler) if executor == "dask" else _this_machine(),
        warnings.catch_warnings(),
        _hash_seed(),
        TemporaryDirectory(prefix="nasbench-lab-", ignore_cleanup_errors=True) as name,
    ):
        journals = None if executor == "dask" else Path(name)
        # A worker that imports PyTorch grows so much that it is taken for one that leaks memory, and
        # is replaced by a new one; where warnings are errors, joblib would wait for it for ever.
        warnings.filterwarnings("ignore", "A worker stopped while", UserWarning)
        # A caller that stops early knows that it does.
        warnings.filterwarnings("ignore", r"\d+ tasks (have been|which were)", UserWarning)
        parallel = joblib.Parallel(
            n_jobs=n_jobs, return_as="generator" if ordered else "generator_unordered"
        )
        try:
            yield from parallel(
                joblib.delayed(_numbered)(n, task, journals) for n, task in enumerate(tasks)
            )
        except BrokenProcessPool as error:
            if not isinstance(error, TerminatedWorkerError):
                raise WorkerError(
                    f"What processes sent each other cannot be read there: {told(error)}"
                ) from error
            killed = WorkerError(
                f"One of {counted(joblib.effective_n_jobs(n_jobs), 'process')} was killed while it "
                f"worked. If "
                f"that was for lack of memory, let fewer work at once."
            )
            killed.at_work = [] if journals is None else _read_journals(journals)
            raise killed from error


def _this_machine() -> AbstractContextManager[Any]:
    """Makes joblib work in processes of this machine, which end with this one."""
    import joblib
    from joblib._parallel_backends import LokyBackend

    backend = LokyBackend()
    # Not first with a task: a process that never gets one would wait for it after our end.
    backend.configure = partial(
        backend.configure, initializer=begin_worker, initargs=(os.getpid(),)
    )
    config: AbstractContextManager[Any] = joblib.parallel_config(backend)
    return config


@contextmanager
def _hash_seed() -> Iterator[None]:
    """Fixes the hash seed of processes that are started in the block, if it is not set."""
    if "PYTHONHASHSEED" in os.environ:
        yield
        return
    os.environ["PYTHONHASHSEED"] = HASH_SEED
    try:
        yield
    finally:
        os.environ.pop("PYTHONHASHSEED", None)


_ANSWER_S = 10.0
"""For how long a Dask scheduler may be silent."""


@contextmanager
def _dask(scheduler: str | None) -> Iterator[None]:
    """Makes joblib work on a Dask cluster."""
    import joblib

    with dask_client(scheduler) as client, joblib.parallel_config(_cluster(client)):
        yield


@contextmanager
def dask_client(scheduler: str | None) -> Iterator[Any]:
    """The client of a Dask cluster that has workers which can work.

    Whoever reaches a scheduler or its workers can have them run what they like: they have no
    password, and belong into a network that is trusted.

    Raises:
        ExperimentError: The cluster cannot be reached or has no workers.
        WorkerError: The connection was lost in the block.
    """
    try:
        import distributed
    except ImportError as error:
        raise ExperimentError(
            "The executor 'dask' needs Dask: pip install 'nasbench-lab[dask]'."
        ) from error
    if scheduler is None:
        raise ExperimentError(
            "The executor 'dask' needs the address of a scheduler, such as tcp://10.0.0.1:8786. "
            "`dask scheduler` starts one, `dask worker ADDRESS` its workers."
        )
    try:
        # Of an address that cannot be, or where something else listens, a client would hang.
        with ThreadPoolExecutor(
            1
        ) as pool:  # this thread may be a notebook's, with a loop of its own
            pool.submit(asyncio.run, _identity(scheduler)).result()
        client = distributed.Client(  # type: ignore[no-untyped-call, unused-ignore]
            scheduler, timeout=_ANSWER_S, set_as_default=False
        )
    except Exception as error:  # whatever comes of an answer that is none
        raise ExperimentError(
            f"No Dask scheduler answers at {scheduler!r} ({str(error) or type(error).__name__}). "
            f"`dask scheduler` starts one."
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
            yield client
        except CancelledError as error:
            raise WorkerError(
                f"The connection to the Dask scheduler at {scheduler!r} was lost."
            ) from error


async def _identity(scheduler: str) -> None:
    """Asks a scheduler who it is.

    Raises:
        Exception: There is none, or it does not answer.
    """
    import distributed

    dask: Any = distributed  # which has no types
    try:
        async with asyncio.timeout(_ANSWER_S):
            arguments = dask.Security().get_connection_args("client")
            async with dask.rpc(scheduler, connection_args=arguments) as asked:
                kind = (await asked.identity())["type"]
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no answer within {_ANSWER_S:g} s") from error
    if kind != "Scheduler":
        raise ValueError(f"a {kind} does")


def _cluster(client: Any) -> Any:
    """The backend of joblib for Dask, but that a task that Dask has given up ends the work.

    Dask gives a task up when several workers have died of it, and joblib would wait for ever. And
    where a cluster has one worker, that one works; joblib would do the work of one here.
    """
    import distributed
    from joblib._dask import DaskDistributedBackend

    class Cluster(DaskDistributedBackend):  # type: ignore[misc]
        def effective_n_jobs(self, n_jobs: int) -> int:
            count: int = super().effective_n_jobs(n_jobs)
            return max(2, count)

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


def in_new_process(task: Callable[[], T], hash_seed: str) -> T:
    """What comes of a task in a process of its own, which knows nothing of this one.

    Args:
        task: What is to be done; it is pickled.
        hash_seed: The seed of the hashes of strings there.

    Raises:
        WorkerError: The task cannot be sent there, or fails there.
    """
    from joblib import wrap_non_picklable_objects

    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
    }
    try:
        sent = pickle.dumps(wrap_non_picklable_objects(task, keep_wrapper=False))
    except Exception as error:  # whatever comes of what cannot be pickled
        raise WorkerError(
            f"What is to be run cannot be sent to another process: {error}"
        ) from error
    code = f"from {__name__} import _answer; _answer({os.getpid()})"
    done = subprocess.run(
        [sys.executable, "-c", code], input=sent, capture_output=True, env=environment, check=False
    )
    if done.returncode:
        *_, last = done.stderr.decode(errors="replace").strip().rsplit("\n", 1)
        raise WorkerError(f"Another process ended with code {done.returncode}: {last}")
    answer: T = pickle.loads(done.stdout)
    return answer


def _answer(parent: int) -> None:
    """Does what ``in_new_process`` asks for: reads a task, and writes what comes of it."""
    _end_with(parent)
    task = pickle.load(sys.stdin.buffer)
    # What the task prints is no part of the answer.
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)
        pickle.dump(task(), answer)
    sys.stderr.flush()
    os._exit(0)  # also if the task has left threads


def _numbered(number: int, task: Callable[[], T], journals: Path | None) -> tuple[int, T]:
    if journals is not None:
        _begin_journal(journals)
    try:
        return number, task()
    except BaseException as error:
        if isinstance(error, SystemExit) or not _can_be_sent(error):
            raise WorkerError(f"A task failed: {told(error)}") from error
        raise


def _can_be_sent(error: BaseException) -> bool:
    """Whether an error arrives in another process; one that does not would end this process."""
    from joblib.externals.loky.backend.reduction import dumps

    try:
        return type(pickle.loads(dumps(error))) is type(error)
    except BaseException:  # whatever its own code raises
        return False


def begin_worker(parent: int) -> None:
    """Begins a worker process, before its first task."""
    # These reach all processes of a terminal; the parent stops its workers itself.
    for sent in _TO_ALL:
        signal.signal(sent, signal.SIG_IGN)
    _end_with(parent)

    def leave() -> None:
        if lasting_threads():
            os._exit(0)

    # Nor does a thread that an algorithm left behind keep this process alive.
    multiprocessing.util.Finalize(None, leave, exitpriority=0)


def _end_with(parent: int) -> None:
    """Ends this process with its parent: one that is killed cannot stop its workers."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def lasting_threads(before: Collection[threading.Thread] = ()) -> list[threading.Thread]:
    """Threads that Python would wait for at its end, without those known before."""
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
        and not thread.daemon
        and thread not in before
        and "loky" not in type(thread).__module__  # the one that leads our workers ends by itself
    ]


def stop_workers() -> None:
    """Ends the worker processes of this one, for a program that ends without ado."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)


class Terminated(SystemExit):
    """A signal that ends this process, as opposed to a SystemExit that an algorithm raises."""


class _Journal:
    """What a worker process is at, kept where its parent finds it if the process dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # They are open for as long as the process lives.
        self.note, self.death = (
            os.open(folder / f"{os.getpid()}.{kind}", os.O_WRONLY | os.O_CREAT)
            for kind in ("note", "death")
        )
        faulthandler.enable(self.death, all_threads=False)


_journal: _Journal | None = None


def _begin_journal(folder: Path) -> None:
    global _journal
    if _journal is None or _journal.folder != folder:
        _journal = _Journal(folder)


def is_at_the_user() -> bool:
    """Whether Ctrl-C is raised here: in the main thread, and in no worker process."""
    return threading.current_thread() is threading.main_thread() and parent_process() is None


def note(text: str) -> None:
    """Notes what this process is at; what it was at is known if it dies."""
    if _journal is not None:
        os.lseek(_journal.note, 0, os.SEEK_SET)
        os.write(_journal.note, text.encode().ljust(64))


_GRACE_S = 5.0
"""How much longer than its time limit a block may last that nothing gentler ends."""


@contextmanager
def killed_after(seconds: float | None) -> Iterator[None]:
    """Kills this process if the block lasts for much longer, whatever it does.

    That holds for worker processes only; in others, nothing happens.
    """
    if seconds is None or _journal is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds + _GRACE_S, exit=True, file=_journal.death)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _read_journals(folder: Path) -> list[tuple[str, str]]:
    return [
        (file.read_text().strip(), file.with_suffix(".death").read_text(errors="replace"))
        for file in sorted(folder.glob("*.note"))
    ]
