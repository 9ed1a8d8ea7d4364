"""What a study of several trainings says of itself while it runs: small files for a live view.

They lie in the folder ``progress``: the plan, and a file for each task that has begun. No study goes on
from them; what it goes on from, it keeps elsewhere.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from nasbench_lab.errors import DataFolderError
from nasbench_lab.files import folder_errors
from nasbench_lab.mistakes import told
from nasbench_lab.trainer.entries import read_entry, write_entry

if sys.platform != "win32":
    import fcntl

FOLDER = "progress"
"""The folder beside what a study leaves."""

PLAN = "plan.json"

WRITE_S = 1.0
"""The least seconds between two times that a task is written."""

Curves = Mapping[str, Sequence[float]]
"""Values after each epoch, by their name."""


class Task(NamedTuple):
    """A part of a study that one process does.

    Args:
        name: What it is.
        epochs: How many it trains.
        group: What it has in common with other tasks, such as the algorithm; empty if nothing.
    """

    name: str
    epochs: int
    group: str = ""


@dataclass(frozen=True)
class Plan:
    """What a study is to do.

    Args:
        what: What it is, to begin a sentence with.
        noun: What a task is called.
        facts: More about the whole: names and texts.
        tasks: Its tasks.
        curves: The curves that tasks tell, and what the axis of each is called.
        at_once: How many tasks are done at once, at most.
    """

    what: str
    noun: str
    facts: Sequence[tuple[str, str]]
    tasks: Sequence[Task]
    curves: Mapping[str, str]
    at_once: int


class Begun(NamedTuple):
    """What a study that has begun says of itself.

    Args:
        plan: What it is to do.
        session: What the files of its tasks are named by.
        ended: Whether it came to its end.
        error: Why it failed; empty if it did not.
    """

    plan: Plan
    session: str
    ended: bool
    error: str


class Standing(NamedTuple):
    """How far a task is.

    Args:
        done: How many epochs are done.
        curves: The values after each of them.
        epoch_s: What an epoch takes, in seconds; None if nobody knows.
        rest_s: What is left to do after the last epoch, in seconds; None if nobody knows.
        doing: What is done now, if it is not an epoch.
        ended: Whether the task is done.
    """

    done: int
    curves: dict[str, list[float]]
    epoch_s: float | None
    rest_s: float | None
    doing: str
    ended: bool


@dataclass
class Teller:
    """Tells how far a task is. It may be sent to another process.

    Args:
        file: Where it is told; None to tell nobody.
        session: Of the study.
    """

    file: Path | None = None
    session: str = ""
    _since: tuple[int, float] = field(default=(-1, 0.0), init=False)
    _done: int = field(default=-1, init=False)
    _epoch_s: float | None = field(default=None, init=False)
    _rest_s: float | None = field(default=None, init=False)
    _written: float = field(default=0.0, init=False)

    def __call__(
        self,
        done: int,
        curves: Curves,
        *,
        rest_s: float | None = None,
        doing: str = "",
        ended: bool = False,
    ) -> None:
        """Tells it; arguments as of ``Standing``. What cannot be written is not told."""
        if self.file is None:
            return
        now = time.monotonic()
        before, began = self._since
        first, other = before == -1, bool(doing) or ended
        if not other and (first or done == before):  # what an earlier session trained takes no time
            self._since = done, now
        elif not first and done > self._done:  # and what comes after the last epoch is none
            self._epoch_s = (now - began) / (done - before)
        self._done = done
        self._rest_s = self._rest_s if rest_s is None else rest_s
        if not first and not other and now - self._written < WRITE_S:
            return
        self._written = now
        values = {name: [float(value) for value in of_one] for name, of_one in curves.items()}
        standing = Standing(done, values, self._epoch_s, self._rest_s, doing, ended)
        with suppress(DataFolderError):  # a training is worth more than its view
            write_entry(self.file, self.session, standing._asdict())


@contextmanager
def under_way(folder: Path | None, plan: Plan) -> Iterator[list[Teller]]:
    """Says in a folder what is planned, and that this process is at work on it, while the block runs.

    If another process tells of a study there, this one keeps silent.

    Args:
        folder: The folder; None to tell nobody.
        plan: What is to be done.

    Yields:
        What tells how far the tasks are.

    Raises:
        DataFolderError: The folder cannot be written.
    """
    place = None if folder is None else folder / FOLDER
    lock = None if place is None else _locked(place)
    if place is None or lock is None:
        yield [Teller() for _ in plan.tasks]
        return
    begun = {**asdict(plan), "session": secrets.token_hex(8), "ended": False, "error": ""}
    try:
        with folder_errors(place):
            for old in place.glob("[0-9]*.json"):
                old.unlink(missing_ok=True)
        write_entry(place / PLAN, "plan", begun)
        try:
            yield [
                Teller(place / f"{number:04d}.json", begun["session"])
                for number in range(len(plan.tasks))
            ]
        except Exception as error:
            with suppress(DataFolderError):
                write_entry(place / PLAN, "plan", {**begun, "error": told(error)})
            raise
        write_entry(place / PLAN, "plan", {**begun, "ended": True})
    finally:
        os.close(lock)


def _locked(place: Path) -> int | None:
    """The lock of a folder, which ends with the process; None if another process has it."""
    with folder_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":  # where a folder cannot be locked
            return os.open(os.devnull, os.O_RDONLY)
        lock = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:  # a file system that knows no locks
        pass
    return lock


def read_plan(file: Path) -> Begun | None:
    """What a study says of itself; None if there is none.

    Raises:
        TableFileError: The file is damaged.
        DataFolderError: It cannot be read.
        Exception: It is of another version.
    """
    entry = read_entry(file, "plan")
    if entry is None:
        return None
    about = [entry.pop(name) for name in ("session", "ended", "error")]
    facts, tasks = entry.pop("facts"), entry.pop("tasks")
    plan = Plan(
        **entry, facts=[(n, text) for n, text in facts], tasks=[Task(*task) for task in tasks]
    )
    return Begun(plan, *about)


def read_standing(file: Path, session: str) -> Standing | None:
    """How far a task is; None if it has not begun.

    Raises:
        TableFileError: The file is damaged, or of another session.
        DataFolderError: It cannot be read.
        Exception: It is of another version.
    """
    entry = read_entry(file, session)
    return None if entry is None else Standing(**entry)
