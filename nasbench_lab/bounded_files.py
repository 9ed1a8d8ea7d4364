"""Reading files of others: what is read is bounded, and whatever goes wrong names the file."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import sys
from pathlib import Path
from typing import IO

from nasbench_lab.errors import (
    DataFolderError,
    MissingSourceError,
    NasbenchLabError,
    TableFileError,
    UnsafeFileError,
    text_of,
)

_BLOCK = 64


class errors_of:  # noqa: N801 (used as a function)
    """Turns whatever reading a damaged file raises into an error that names it.

    Args:
        what: The file, or file and record.
    """

    def __init__(self, what: object) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataFolderError | MissingSourceError):
            return
        if isinstance(error, UnsafeFileError):
            raise UnsafeFileError(
                f"{self.what} is not read: {text_of(error)}. Nothing in it was run. Get the file anew "
                f"from where the benchmark's authors publish it."
            ) from error
        if isinstance(error, NasbenchLabError):
            raise TableFileError(f"{self.what}: {text_of(error)}") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise TableFileError(f"{self.what} cannot be read: {error.strerror}.") from error
        if isinstance(error, Exception):  # a damaged file may raise anything
            raise TableFileError(
                f"{self.what} is truncated or damaged ({type(error).__name__}: {text_of(error)}). Get "
                f"it anew."
            ) from error


def check_regular(path: Path) -> int:
    """Refuses what is no file that can be read to its end: a device, a pipe, a folder.

    Returns:
        The bytes that it takes on the disk; not more than its length, but much less if most of it
        was never written.

    Raises:
        OSError: It is not there, or no such file; ``strerror`` says so.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, not a file", str(path))
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else min(status.st_size, 512 * blocks)


class Pieces:
    """A file that gives only so much at once: what an archive says of itself is short.

    Args:
        file: The file.
        most: Bytes that one reading may give.
    """

    def __init__(self, file: IO[bytes], most: int = 1 << 21) -> None:
        self._file, self._most = file, most

    def read(self, size: int | None = -1) -> bytes:
        """Reads the next bytes.

        Raises:
            UnsafeFileError: More than ``most`` are asked for, and there.
        """
        wanted = self._most + 1 if size is None or size < 0 else min(size, self._most + 1)
        data = self._file.read(wanted)
        if len(data) > self._most:
            raise UnsafeFileError(f"it asks for more than {self._most:,} bytes at once")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def read_whole(path: Path, most: int = 1 << 24) -> bytes:
    """Reads a file that should be small.

    Raises:
        OSError: It is not there, no file, or larger than ``most`` bytes; ``strerror`` says so.
    """
    check_regular(path)
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return data


def held_memory() -> int:
    """Bytes of memory that this process holds."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except OSError:  # another system than Linux
        return sys.getallocatedblocks() * _BLOCK
