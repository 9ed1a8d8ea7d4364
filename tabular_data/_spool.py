"""Keeps the values of records on disk until they are collected."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from nasbench_lab.files import folder_errors
from tabular_data._nats_records import Packed


class Spooled(NamedTuple):
    """A record whose values are on disk."""

    packed: Packed
    """The record without its values."""
    start: int
    """Where its values start, in bytes."""
    n: int
    """Their number."""


class Spool:
    """A temporary file of values; those of all architectures take a gigabyte.

    Use it in a ``with`` statement, which deletes the file at its end.

    Args:
        folder: The folder of the file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._end = folder, 0
        with folder_errors(folder):
            # Unbuffered, so that closing has nothing to write, which fails on a full disk.
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (see __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def clear(self) -> None:
        """Forgets all records."""
        with folder_errors(self._folder):
            self._file.truncate(0)
            self._file.seek(0)
        self._end = 0

    def put(self, packed: Packed) -> Spooled:
        """Puts the values of a record at the end of the file."""
        data = memoryview(packed.values.tobytes())
        start = self._end
        self._end += len(data)
        with folder_errors(self._folder):
            while data:
                data = data[self._file.write(data) :]
        return Spooled(replace(packed, values=np.zeros(0)), start, len(packed.values))

    def take(self, spooled: Spooled) -> Packed:
        """The record with its values."""
        with folder_errors(self._folder):
            self._file.seek(spooled.start)
            values = np.fromfile(self._file, dtype=np.float64, count=spooled.n)
        return replace(spooled.packed, values=values)
