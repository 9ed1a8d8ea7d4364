"""Workers that evaluate architectures at once: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import re
import time
import uuid
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Benchmark, MultiTask
from nasbench_lab.errors import DataFolderError, TableFileError, WorkerError
from nasbench_lab.guard import SeededGenerators, TimeIsUp, contained, time_limit
from nasbench_lab.mistakes import told
from nasbench_lab.processes import HASH_SEED, begin_worker, dask_client
from nasbench_lab.simulator import Finished, Order
from nasbench_lab.user_code.benchmarks import TakenBenchmark
from nasbench_lab.user_code.code import sent
from nasbench_lab.words import counted
from nasbench_lab.workers import Workers

Answer = tuple[Evaluation | None, str]
"""An evaluation, or None and why it failed."""

DEATHS = 3
"""An evaluation has failed when this many processes have died of it."""


class _Pool(ABC):
    """Workers behind futures.

    Args:
        limit: How many seconds an evaluation may take; one that takes longer has failed.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.at_work: dict[Future[Answer], Order] = {}

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> Sequence[Finished]:
        done, _ = wait(self.at_work, timeout=seconds, return_when=FIRST_COMPLETED)
        finished: list[Finished] = []
        for future in done:
            order = self.at_work.pop(future)
            answer = self.answer(order, future)
            if answer is not None:
                finished.append((order.ask, *answer))
        return finished

    @abstractmethod
    def answer(self, order: Order, future: Future[Answer]) -> Answer | None:
        """What came of an order; None if it was given out again."""


class ProcessPool(_Pool):
    """Processes of this machine, each with a GPU or a core of its own.

    One that dies is replaced, and what it was at is done again: a training goes on from its
    checkpoint. One whose evaluation takes longer than it may is ended and replaced.

    Args:
        taken: The benchmark.
        count: How many processes.
        gpus: The GPUs that they share out among them, as ``CUDA_VISIBLE_DEVICES`` names them; none if
            they work on the CPU, or on a device that is named to all.
        limit: How many seconds an evaluation may take.
    """

    def __init__(
        self,
        taken: TakenBenchmark,
        count: int,
        gpus: Sequence[str] = (),
        limit: float | None = None,
    ) -> None:
        super().__init__(limit)
        self.taken, self.count, self.gpus = taken, count, gpus
        self.executors: list[Any] = []  # loky's, which can end processes at work and has no types
        # By the number of the ask: how often a process died of it, and since when one is at it.
        self.deaths: Counter[int] = Counter()
        self.begun: dict[int, float] = {}
        self.stack = ExitStack()

    def start(self) -> None:
        self.stack.enter_context(warnings.catch_warnings())
        # One that imports PyTorch grows so much that it is taken for one that leaks memory.
        warnings.filterwarnings("ignore", "A worker stopped while", UserWarning)
        notes = TemporaryDirectory(prefix="nasbench-lab-", ignore_cleanup_errors=True)
        self.notes = Path(self.stack.enter_context(notes))
        self.sent = _dumped(self.taken)
        self.executors = [self._executor(worker) for worker in range(self.count)]
        self.stack.callback(self._shut_down)
        ready = [executor.submit(os.getpid) for executor in self.executors]
        for future in ready:
            try:
                future.result()
            except BrokenProcessPool as error:
                raise WorkerError(
                    f"Processes that evaluate cannot be started: {told(error)}"
                ) from error

    def _executor(self, worker: int) -> Any:
        """A process; an executor with several would lose all of them with one."""
        from joblib.externals.loky.process_executor import ProcessPoolExecutor

        hash_seed = os.environ.get("PYTHONHASHSEED", HASH_SEED)
        environment = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": hash_seed}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[worker % len(self.gpus)]
        return ProcessPoolExecutor(
            1,
            initializer=_begin,
            initargs=(os.getpid(), self.sent, self._note(worker)),
            env=environment,
        )

    def wait(self, seconds: float) -> Sequence[Finished]:
        finished = [*super().wait(seconds)]
        if self.limit is not None:
            finished += self._overdue(self.limit)
        return finished

    def _overdue(self, limit: float) -> list[Finished]:
        """Ends what has taken longer than it may since its process began with it."""
        finished: list[Finished] = []
        for future, order in list(self.at_work.items()):
            if future.done() or not self._begins(order).exists():
                continue
            if self.now() - self.begun.setdefault(order.ask, self.now()) > limit:
                del self.at_work[future]
                self.executors[order.worker].shutdown(wait=True, kill_workers=True)
                self._replace(order.worker)
                finished.append((order.ask, None, _too_long(limit)))
        return finished

    def submit(self, order: Order) -> None:
        self._note(order.worker).unlink(missing_ok=True)
        self._begins(order).unlink(missing_ok=True)
        self.begun.pop(order.ask, None)
        try:
            future = self._given_out(order)
        except BrokenProcessPool:  # it died with nothing to do
            self._replace(order.worker)
            future = self._given_out(order)
        self.at_work[future] = order

    def _given_out(self, order: Order) -> Future[Answer]:
        begins = None if self.limit is None else self._begins(order)
        future: Future[Answer] = self.executors[order.worker].submit(_evaluate_here, order, begins)
        return future

    def answer(self, order: Order, future: Future[Answer]) -> Answer | None:
        try:
            return future.result()
        except BrokenProcessPool as error:
            self.deaths[order.ask] += 1
            self._replace(order.worker)
            if self.deaths[order.ask] < DEATHS:
                self.submit(order)
                return None
            code = re.search(r"\{(.*)\}", str(error))
            said = code[1] if code else told(error)
            return None, (
                f"the process died of it {counted(DEATHS, 'time')} ({said}); memory may be lacking"
            )

    def _replace(self, worker: int) -> None:
        """Puts a new process in the place of one that died."""
        self.executors[worker].shutdown(wait=True)
        self.executors[worker] = self._executor(worker)

    def epochs(self) -> dict[int, int]:
        done = {}
        for order in self.at_work.values():
            with contextlib.suppress(OSError, ValueError):
                done[order.worker] = int(self._note(order.worker).read_text())
        return done

    def _note(self, worker: int) -> Path:
        """Where a process notes how many epochs it has done."""
        return self.notes / str(worker)

    def _begins(self, order: Order) -> Path:
        """What a process makes when it begins with an order."""
        return self.notes / f"{order.worker}-{order.ask}"

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        self.stack.close()

    def _shut_down(self) -> None:
        # Loky's thread raises a KeyError if it has to end before it has taken up an order.
        for future in self.at_work:
            while not (future.running() or future.done()):
                time.sleep(0.001)
        for executor in self.executors:
            executor.shutdown(wait=True, kill_workers=True)


class DaskPool(_Pool):
    """The workers of a Dask cluster, which have the same data folder.

    What one was at that died is done again by another, until ``distributed`` gives up. Nobody can end
    a worker from here, so an evaluation that takes longer than it may ends itself, as soon as it runs
    Python code; a call into compiled code that never returns keeps its worker.

    Args:
        taken: The benchmark.
        scheduler: The address of the scheduler.
        limit: How many seconds an evaluation may take.
    """

    def __init__(
        self, taken: TakenBenchmark, scheduler: str | None, limit: float | None = None
    ) -> None:
        super().__init__(limit)
        self.taken, self.scheduler = taken, scheduler
        self.topic = f"nasbench-lab-{uuid.uuid4().hex}"
        self.done: dict[int, int] = {}  # epochs, by the number of the ask
        self.stack = ExitStack()

    def start(self) -> None:
        self.client = self.stack.enter_context(dask_client(self.scheduler))
        self.client.subscribe_topic(self.topic, self._note)
        # Not scattered: that would be lost with the worker that has it.
        self.benchmark = self.client.submit(_loaded, _dumped(self.taken))
        try:
            self.client.submit(_is_there, self.benchmark).result()
        except Exception as error:  # whatever comes of what they lack
            raise WorkerError(
                f"The workers of the Dask scheduler at {self.scheduler!r} cannot make the benchmark: "
                f"{told(error)}"
            ) from error
        self.executor = self.client.get_executor(pure=False)
        self.stack.callback(self.executor.shutdown, wait=False)

    def submit(self, order: Order) -> None:
        future = self.executor.submit(
            _evaluate_there, self.benchmark, order, self.topic, self.limit
        )
        self.at_work[future] = order

    def answer(self, order: Order, future: Future[Answer]) -> Answer | None:
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            return None, (
                f"workers of the cluster died of it again and again, the last at "
                f"{error.last_worker.address}; memory may be lacking"
            )
        except CancelledError as error:
            raise WorkerError(
                f"The connection to the Dask scheduler at {self.scheduler!r} was lost. The same "
                f"command goes on from here."
            ) from error

    def epochs(self) -> dict[int, int]:
        asks = {order.ask: order.worker for order in self.at_work.values()}
        return {asks[ask]: done for ask, done in self.done.copy().items() if ask in asks}

    def _note(self, event: tuple[float, tuple[int, int]]) -> None:
        """Takes down what a worker tells: an ask, and how many epochs of it are done."""
        ask, done = event[1]
        self.done[ask] = done

    def close(self) -> None:
        """Takes back what the cluster is at."""
        self.stack.close()


def gpus_of(benchmark: Benchmark, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that processes share out among them, if a benchmark trains on any of them."""
    parts = benchmark.tasks if isinstance(benchmark, MultiTask) else (benchmark,)
    if not any(getattr(part, "device", None) == "cuda" for part in parts):
        return []
    if named := environment.get("CUDA_VISIBLE_DEVICES"):
        return named.split(",")
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def workers_of(benchmark: Benchmark, workers: int) -> int:
    """How many workers a number stands for: -1 is one on each GPU, or on the CPU one on each core.

    Raises:
        BudgetError: It is neither -1 nor at least 1.
    """
    import joblib

    return Workers(
        workers if workers != -1 else len(gpus_of(benchmark)) or joblib.cpu_count()
    ).count


def _dumped(taken: TakenBenchmark) -> bytes:
    taken.check_sendable()
    return sent(taken)


def _loaded(sent: bytes) -> Benchmark:
    taken: TakenBenchmark = pickle.loads(sent)
    return taken.benchmark


def _is_there(benchmark: Benchmark) -> bool:
    """Asks a worker of a cluster whether it has the benchmark."""
    return True


_here: Any = None
"""The benchmark of this process."""


def _begin(parent: int, sent: bytes, note: Path) -> None:
    """Begins a process, before its first order."""
    global _here
    begin_worker(parent)
    _here = _loaded(sent)
    if (before := getattr(_here, "progress", None)) is not None:

        def progress(done: int, total: int) -> None:
            note.write_text(str(done))
            before(done, total)

        _here.progress = progress


def _evaluate_here(order: Order, begins: Path | None) -> Answer:
    if begins is not None:
        begins.touch()
    return _evaluate(_here, order)


def _evaluate_there(benchmark: Benchmark, order: Order, topic: str, limit: float | None) -> Answer:
    """Evaluates on a worker of a cluster, which tells how many epochs it has done."""
    from distributed import get_worker

    here: Any = copy.copy(benchmark)  # threads of a worker share what it was given
    if (before := getattr(here, "progress", None)) is not None:
        worker = get_worker()

        def progress(done: int, total: int) -> None:
            worker.log_event(topic, (order.ask, done))
            before(done, total)

        here.progress = progress
    return _evaluate(here, order, limit)


def _too_long(limit: float) -> str:
    return f"it took longer than the limit of {limit:g} s"


def _evaluate(benchmark: Benchmark, order: Order, limit: float | None = None) -> Answer:
    """Evaluates; what goes wrong with one architecture is no error, but what came of it.

    Args:
        benchmark: What evaluates.
        order: What is evaluated.
        limit: After how many seconds it ends itself.

    Raises:
        DataFolderError: Nothing can be written, such as a checkpoint.
        TableFileError: A checkpoint is damaged.
    """
    trial = order.trial
    with contained():
        SeededGenerators(order.seed)  # whatever draws from these repeats
        try:
            rng = np.random.default_rng(order.seed)
            with time_limit(limit):
                return benchmark.evaluate(trial.architecture, trial.epoch, rng), ""
        except TimeIsUp:
            assert limit is not None
            return None, _too_long(limit)
        except (DataFolderError, TableFileError):
            raise
        except (Exception, SystemExit) as error:  # whatever the code that builds a network raises
            return None, told(error)
