"""What a live view says of a folder at one moment, and how often files are read for that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

State = Literal["waiting", "running", "stopped", "finished", "unreadable"]


class Share(NamedTuple):
    """How much of a part of the work is done.

    Args:
        done: How much.
        total: How much there is.
        failed: How much of what is done has failed.
    """

    done: int
    total: int
    failed: int = 0


class Grid(NamedTuple):
    """How far the parts of the work are.

    Args:
        corner: What the rows are.
        columns: Their names.
        rows: Each with its name and a share for each column.
    """

    corner: str
    columns: list[str]
    rows: list[tuple[str, list[Share]]]


@dataclass(frozen=True)
class View:
    """What a folder holds at one moment.

    Args:
        state: How the work stands.
        headline: The same in a sentence or two.
        done: How much is done; parts of what is at work count too.
        total: How much there is; 0 if nobody knows.
        left_s: The seconds that are left, by what took how long so far; NaN if nobody knows.
        facts: More about the whole: names and texts.
        grid: How far the parts of the work are.
        workers: What each worker is at, a text for each.
        failures: What failed, and why.
        problems: What cannot be read, and why.
        version: Another text when the plots would show something else; empty if there are none.
    """

    state: State
    headline: str
    done: float = 0.0
    total: float = 0.0
    left_s: float = math.nan
    facts: tuple[tuple[str, str], ...] = ()
    grid: Grid | None = None
    workers: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    version: str = ""


def in_words(seconds: float) -> str:
    """``less than a second``, ``12 s``, ``12:30 min``, ``3:05 h``, ``2.5 days``."""
    if seconds < 1:
        return "less than a second"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02} h" if hours < 48 else f"{hours / 24:.1f} days"


Signature = tuple[int, int, int]


def signature(path: Path) -> Signature | None:
    """What tells the content of a file from another; None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class Kept(Generic[T]):
    """What was read of files, as long as these stay as they are.

    Args:
        read: Reads a file. Whatever it raises is raised again, and the file is read again.
    """

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._held: dict[Path, tuple[Signature, T]] = {}

    def __call__(self, path: Path) -> T | None:
        """What a file holds; None if it is gone.

        Raises:
            Exception: What reading it raised.
        """
        before = signature(path)
        held = self._held.pop(path, None)
        if before is None:
            return None
        if held is None or held[0] != before:
            try:
                held = before, self._read(path)
            except Exception:
                if signature(path) is None:
                    return None
                raise
        self._held[path] = held
        return held[1]

    def forget(self) -> None:
        """Reads all of them again."""
        self._held.clear()
