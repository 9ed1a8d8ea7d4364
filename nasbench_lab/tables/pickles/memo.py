"""The part of a pickle's memo that complete records leave behind, in little memory."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from nasbench_lab.errors import UnsafeFileError

RELEASED = object()
"""The memo's entry for a container that was let go, and for a number that was left out."""

_OTHER = object()
_SHORT = 32
"""The most characters of a text that many records have, such as a name or an epoch."""


class Left:
    """What complete records left in the memo, each a range of numbers.

    A record of 200 epochs numbers some ten thousand texts, of which later ones may be named again. The
    same texts stand at the same places in most records, so each sequence is kept once.

    The memo itself is a list without these ranges.
    """

    def __init__(self) -> None:
        self.gone = 0
        """The number of entries that are here."""
        self.end = 0
        """One more than the last number that is here."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._before: list[int] = []  # the number of entries that are here, up to each range's end
        self._ranges: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []
        self._sequences: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def take(self, start: int, entries: list[Any]) -> None:
        """Takes the last entries of the memo, whose containers are let go.

        Args:
            start: The number of the first.
            entries: The entries.
        """
        if not entries:
            return
        sequence: list[Any] = []
        others = []
        for entry in entries:
            if isinstance(entry, dict | list):
                sequence.append(RELEASED)
            elif isinstance(entry, str) and len(entry) <= _SHORT:
                sequence.append(entry)
            else:
                sequence.append(_OTHER)
                others.append(entry)
        shared = tuple(sequence)
        shared = self._sequences.setdefault(shared, shared)
        self.gone += len(entries)
        self.end = start + len(entries)
        self._starts.append(start)
        self._ends.append(self.end)
        self._before.append(self.gone)
        self._ranges.append((shared, tuple(others)))

    def _range(self, number: int) -> tuple[int, int | None]:
        """The range that a number is in or behind, or -1; and its place in the list, if any."""
        i = bisect_right(self._starts, number) - 1
        if i < 0:
            return i, number
        return i, None if number < self._ends[i] else number - self._before[i]

    def get(self, memo: list[Any], number: int) -> Any:
        """The entry of a number, which is here or in the list."""
        i, place = self._range(number)
        if place is not None:
            return memo[place]
        sequence, others = self._ranges[i]
        offset = number - self._starts[i]
        value = sequence[offset]
        return others[sequence[:offset].count(_OTHER)] if value is _OTHER else value

    def put(self, memo: list[Any], number: int, value: Any) -> None:
        """Numbers a value; an earlier one of this number in the list is forgotten.

        Raises:
            UnsafeFileError: An earlier value of this number is here.
        """
        _, place = self._range(number)
        if place is None:
            raise UnsafeFileError(f"it numbers two values {number}")
        memo[place : place + 1] = [value]
