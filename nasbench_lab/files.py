"""Writing files and folders so that a reader sees all of one or nothing, and reading safely."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import pickletools
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from nasbench_lab.errors import DataFolderError, NasbenchLabError, TableFileError, UnsafeFileError

DATA_VARIABLE = "NASBENCH_LAB_DATA"
"""The environment variable that names the data folder."""


def data_folder() -> Path:
    """Where tables are kept: ``$NASBENCH_LAB_DATA``, else the platform's folder for user data."""
    if named := os.environ.get(DATA_VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("nasbench-lab", appauthor=False))


@contextmanager
def atomic_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yields a new empty folder that takes the place of ``folder`` when the block ends well.

    Several processes may do this at once: one of them wins, and what the others wrote is dropped.

    Args:
        folder: The folder to make.
        replace: Whether one that exists already is replaced.

    Raises:
        DataFolderError: The folder cannot be written.
    """
    with _folder_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        before = _identity(folder)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        new = work / "new"
        with _folder_errors(folder):
            new.mkdir()
            yield new
            # What another process put there meanwhile stays: it may be open already.
            if replace and before is not None and _identity(folder) == before:
                with _ignore(FileNotFoundError):
                    os.rename(folder, work / "old")
            try:
                os.rename(new, folder)
            except OSError:
                if not folder.is_dir():
                    raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a path to write to; the file takes the place of ``path`` when the block ends well.

    Raises:
        DataFolderError: The file cannot be written.
    """
    with _folder_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
    try:
        with _folder_errors(path.parent):
            yield Path(name)
            # mkstemp makes files that only their owner may read.
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
    finally:
        with _ignore(FileNotFoundError):
            os.unlink(name)


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except NasbenchLabError:
        raise
    except OSError as error:
        raise DataFolderError(
            f"Cannot write to {folder}: {error.strerror or error}. Free space or permissions may be "
            f"missing there; to keep tables elsewhere, set {DATA_VARIABLE} to a folder that you own."
        ) from error


@contextmanager
def _ignore(error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except error:
        pass


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Reading pickles without running anything in them


class _Dtype:
    """Stands in for ``numpy.dtype`` while a pickle is read: one of a few numbers, little-endian."""

    _FORMATS: ClassVar = {
        "f8": "<d",
        "f4": "<f",
        "i8": "<q",
        "i4": "<i",
        "u8": "<Q",
        "u4": "<I",
        "b1": "<?",
    }

    def __init__(self, name: object = None, *_: object) -> None:
        if name not in self._FORMATS:
            raise UnsafeFileError(f"a NumPy value of type {name!r} where a number was expected")
        self.format = self._FORMATS[str(name)]

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|"):
            raise UnsafeFileError("a NumPy number in an unexpected byte order")


def _scalar(dtype: object, data: object) -> float | int:
    """Stands in for ``numpy.core.multiarray.scalar``: a Python number."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
        raise UnsafeFileError("a NumPy value that is no number")
    value: float | int = struct.unpack(dtype.format, data)[0]
    return value


NUMBERS: Mapping[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}
"""Allows NumPy numbers, which are read as Python numbers."""


class Record:
    """What an object of a class that is not imported is read as: its attributes in ``fields``."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise UnsafeFileError(f"an object whose state is {type(state).__name__}, not a dict")
        self.fields = state


class _AllowListUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise UnsafeFileError(
                f"it asks for {module}.{name}, which data does not need"
            ) from None


def read_pickle(path: Path, allowed: Mapping[tuple[str, str], Any] = NUMBERS) -> Any:
    """Reads a pickle of plain data. No code that the file names is run or imported.

    Args:
        path: The file.
        allowed: ``(module, name)`` to what stands in for it. Everything else is refused.

    Raises:
        UnsafeFileError: The file asks for something that is not allowed.
        TableFileError: The file is truncated or damaged.
    """
    data = path.read_bytes()
    try:
        # A few bytes can make the unpickler reserve gigabytes for its memo, so numbers of memo
        # entries are checked first. genops also finds truncation.
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("LONG_BINPUT", "PUT") and not 0 <= int(argument or 0) <= len(data):
                raise UnsafeFileError(f"it wants a memo of {argument} entries")
        return _AllowListUnpickler(data, allowed).load()
    except UnsafeFileError as error:
        raise UnsafeFileError(
            f"{path} is not read: {error}. Nothing in it was run. Get the file anew from where the "
            f"benchmark's authors publish it."
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise TableFileError(
            f"{path} is truncated or damaged ({type(error).__name__}: {error}). Get it anew."
        ) from error
