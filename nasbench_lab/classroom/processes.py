"""A student's process as the process that grades sees it, and the search that is in it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, Work
from nasbench_lab.classroom.child import Start
from nasbench_lab.errors import AlgorithmError, short
from nasbench_lab.mistakes import place_in
from nasbench_lab.processes import HASH_SEED
from nasbench_lab.spaces import Architecture

_LONGEST = 1 << 20
"""Bytes of an answer; one architecture takes some hundred."""

_LAST_WORDS_S = 5.0
"""For how many seconds a process that is to end may say where it is."""


class StudentProcess:
    """A process with a student's algorithm, which ends with the block.

    What it answers is data of somebody whom nobody knows: it is read as JSON, and checked.

    Args:
        start: What it is given.
        wall_s: Seconds of real time after which it is ended, whatever it is at.
    """

    def __init__(self, start: Start, wall_s: float) -> None:
        self.start, self.wall_s = start, wall_s
        self.over: str | None = None
        self.timed_out, self.closed = False, threading.Event()

    def __enter__(self) -> StudentProcess:
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            cwd=self.start.desk,
            env=_environment(self.start.desk),
            start_new_session=True,
        )
        self.timer = threading.Timer(self.wall_s, self._time_out)
        self.timer.daemon = True
        self.timer.start()
        with suppress(OSError):  # it has ended already, which is told when it is asked
            pickle.dump(self.start, self._requests)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.closed.set()
        self.timer.cancel()
        self.timer.join()
        self.kill()  # and what it has started
        with suppress(OSError):  # what it was not told is still to be written
            self._requests.close()
        self._answers.close()
        self.process.wait()
        self.stderr.close()

    @property
    def _requests(self) -> Any:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _answers(self) -> Any:
        assert self.process.stdout is not None
        return self.process.stdout

    def _time_out(self) -> None:
        """Ends it, but lets it say first where it is."""
        self.timed_out = True
        if hasattr(signal, "SIGXCPU"):
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGXCPU)
            self.closed.wait(_LAST_WORDS_S)
        self.kill()

    def kill(self) -> None:
        """Ends it; its number is its own until somebody waits for it."""
        if not hasattr(os, "killpg"):
            self.process.kill()
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def call(self, what: str, *arguments: Any) -> Any:
        """What it answers.

        Raises:
            AlgorithmError: The student's code failed, or the process has ended.
        """
        if self.over is not None:
            raise AlgorithmError(self.over)
        line = b""
        with suppress(OSError):
            self._requests.write(json.dumps([what, *arguments]).encode() + b"\n")
            self._requests.flush()
            line = self._answers.readline(_LONGEST)
        if not line:
            self.over = self._end()
            raise AlgorithmError(self.over)
        try:
            answer = json.loads(line)
            if not isinstance(answer, dict) or not {"error", "value"} & set(answer):
                raise ValueError("no answer")
        except (ValueError, RecursionError):
            self.over = "its process wrote something else where it answers"
            raise AlgorithmError(self.over) from None
        if "error" in answer:
            said = short(str(answer["error"]), 2000)
            if self.timed_out:
                place = said.rpartition(" (")[2] if said.endswith(")") else ""
                said = f"{self._too_long} ({place}" if place else self._too_long
            self.over = said if answer.get("over") else None
            raise AlgorithmError(said)
        return answer.get("value")

    @property
    def _too_long(self) -> str:
        return f"it was not finished after {self.wall_s:g} s of real time"

    def _end(self) -> str:
        """Why it has ended."""
        self.kill()
        code = self.process.wait()
        self.stderr.seek(0)
        dump = self.stderr.read(_LONGEST).decode(errors="replace")
        place = place_in(dump)
        at = f" ({place})" if place else ""
        if self.timed_out:
            return f"{self._too_long}{at}"
        if "Fatal Python error" in dump:
            fatal = dump.partition("Fatal Python error: ")[2].partition("\n")[0]
            return f"it ended its process: {fatal}{at}"
        if place and code in (-signal.SIGKILL, -getattr(signal, "SIGXCPU", signal.SIGKILL)):
            return f"it used more than its {self.start.cpu_s:g} s of processor time{at}"
        if code < 0:
            return f"its process was ended by signal {-code}; memory may be lacking{at}"
        return f"its process ended by itself, with the status {code}{at}"


_CODE = "from nasbench_lab.classroom.child import serve; serve()"


def _environment(desk: str) -> dict[str, str]:
    """What a student's process finds in its environment: nothing of ours, one thread, one folder."""
    kept = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    threads = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **{f"{name}_NUM_THREADS": "1" for name in threads},
        **dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "USERPROFILE"), desk),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONHASHSEED": HASH_SEED,
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "agg",
    }


class RemoteSearch(SearchAlgorithm):
    """A search whose algorithm is in a student's process.

    Args:
        process: The process.
        number: Of the problem in the process's start.
        rng: The generator of the run.
        seed: For the global generators of the process.
    """

    def __init__(
        self,
        process: StudentProcess,
        number: int,
        rng: np.random.Generator,
        seed: int,
    ) -> None:
        problem = process.start.problems[number]
        super().__init__(problem.space, maximize=problem.maximize, fidelities=problem.fidelities)
        self.process = process
        process.call("begin", number, rng.bit_generator.state, seed)

    def ask(self) -> Trial | Work | None:
        answer = self.process.call("ask")
        if answer is None:
            return None
        try:
            if "work" in answer:
                passes, seconds, architecture, shared = answer["work"]
                if passes is not None:
                    passes = np.array(passes, dtype=np.float64)
                chosen = None if architecture is None else tuple(architecture)
                return Work(passes, seconds, chosen, shared)
            number, architecture, epoch = answer["trial"]
            return Trial(int(number), self.space.validate(tuple(architecture)), epoch)
        except (TypeError, ValueError, KeyError) as error:
            raise AlgorithmError(f"it asked for what cannot be: {error}") from error

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self.process.call("tell", *_sent(trial, evaluation))

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        _, sent = _sent(Trial(0, architecture), evaluation)
        self.process.call("observe", [int(option) for option in architecture], sent)

    def reweigh(self, weights: Any) -> None:
        super().reweigh(weights)
        self.process.call("reweigh", [float(weight) for weight in weights])


class StoppingSearch(RemoteSearch):
    """One that may stop its trials early."""

    def should_stop(self, trial: Trial, evaluation: Evaluation) -> bool:
        return bool(self.process.call("should_stop", *_sent(trial, evaluation)))


def remote_class(about: Mapping[str, Any]) -> type[RemoteSearch]:
    """The class of searches in a process, under the name that the student gave theirs.

    The random streams of a run depend on that name, so that runs are those of ``compare``.
    """
    base = StoppingSearch if about.get("stops") else RemoteSearch
    return type(str(about.get("name"))[:200], (base,), {})


def _sent(trial: Trial, evaluation: Evaluation) -> tuple[list[Any], list[Any]]:
    """A trial and its evaluation as numbers for JSON."""
    architecture = [int(option) for option in trial.architecture]
    epoch = None if trial.epoch is None else int(trial.epoch)
    at = None if evaluation.epoch is None else int(evaluation.epoch)
    values = [float(value) for value in evaluation.values]
    return (
        [trial.number, architecture, epoch],
        [values, float(evaluation.cost), at, int(evaluation.row), float(evaluation.violation)],
    )
