"""Writing files and folders so that a reader sees all of one or nothing."""

from __future__ import annotations

import codecs
import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasbench_lab.bounded_files import read_whole
from nasbench_lab.errors import DataFolderError, NasbenchLabError, did_you_mean

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DATA_VARIABLE = "NASBENCH_LAB_DATA"
"""The environment variable that names the data folder."""


def data_folder() -> Path:
    """Where tables are kept: ``$NASBENCH_LAB_DATA``, else the platform's folder for user data."""
    if named := os.environ.get(DATA_VARIABLE):
        return Path(named).expanduser().absolute()
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
    with folder_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        before = identity(folder)
        tidy(folder.parent)
    with _workplace(folder.parent) as work:
        new, old = work / folder.name / "new", work / folder.name / "old"
        with folder_errors(folder):
            new.mkdir(parents=True)
            yield new
            # What another process put there meanwhile stays: it may be open already.
            if replace and before is not None and identity(folder) == before:
                with _ignore(FileNotFoundError):
                    os.rename(folder, old)
            try:
                os.rename(new, folder)
            except OSError:
                if old.is_dir() and not folder.exists():
                    os.rename(old, folder)
                    raise
                if not folder.is_dir():
                    raise


def remove_folder(folder: Path) -> int:
    """Takes a folder away, all of it at once for those who look, and says how many bytes it held.

    Raises:
        DataFolderError: It cannot be taken away; it is as it was.
    """
    with folder_errors(folder.parent), _workplace(folder.parent) as work:
        gone = work / folder.name
        os.rename(folder, gone)
        if gone.is_symlink():
            return 0
        # The second name of a file that another folder holds too frees nothing.
        files = [file.lstat() for file in gone.rglob("*") if not file.is_dir()]
        return sum(status.st_size for status in files if status.st_nlink == 1)


_WORKPLACE = ".nasbench-lab-"
"""How the names of folders begin in which something is made that is to lie beside them."""


@contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    """Yields a new empty folder, locked while it is at work, which goes when the block ends."""
    while True:
        with folder_errors(parent):
            work = Path(tempfile.mkdtemp(prefix=_WORKPLACE, dir=parent))
            lock = _lock(work, wait=True)
        if lock is not None:
            break  # else another process has taken it for left behind before it was locked
    try:
        yield work
    finally:
        os.close(lock)
        shutil.rmtree(work, ignore_errors=True)


def _lock(work: Path, *, wait: bool) -> int | None:
    """Takes the lock of a workplace, which the system drops when the process ends, however it ends.

    A number of a process would not do: those of two containers that share a folder are the same.

    Returns:
        The open lock; None if the workplace has gone or, unless this waits, another process has it.

    Raises:
        OSError: The lock cannot be made.
    """
    try:
        lock = os.open(work / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        if sys.platform == "win32":
            msvcrt.locking(lock, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if wait:
            return lock  # the file system knows no locks: nobody else gets this one either
        os.close(lock)
        return None
    with _ignore(OSError):
        if os.path.samestat(os.fstat(lock), os.stat(work / ".lock")):
            return lock
    os.close(lock)
    return None


def tidy(folder: Path) -> None:
    """Tidies up after processes that were killed while they made something in a folder.

    Had one just moved an old folder out of the way of the new one, the old one is put back.
    """
    for work in folder.glob(f"{_WORKPLACE}*"):
        with _ignore(OSError):  # it is somebody else's
            if (lock := _lock(work, wait=False)) is None:
                continue
            try:
                for old in work.glob("*/old"):
                    if not (folder / old.parent.name).exists():
                        os.rename(old, folder / old.parent.name)
            finally:
                # First what nobody may take up again; Windows removes no file that is open.
                shutil.rmtree(work, ignore_errors=True)
                os.close(lock)
            shutil.rmtree(work, ignore_errors=True)


def folders_with(file: str, below: Path) -> set[str]:
    """The folders below one that hold a file, relative to it with ``/``; hidden ones do not count."""
    folders = set()
    # One that is just being replaced is seen where it is moved to or, the second time, in its place.
    for _ in range(2):
        for folder, inner, files in os.walk(below):
            parts = list(Path(folder).relative_to(below).parts)
            at = next((i for i, part in enumerate(parts) if part.startswith(_WORKPLACE)), None)
            if at is None:
                inner[:] = [n for n in inner if n[0] != "." or n.startswith(_WORKPLACE)]
            elif len(parts) == at + 2:  # the name of what is made
                inner[:] = {"old"} & set(inner)
            if at is not None:
                parts = parts[:at] + parts[at + 1 : at + 2] if len(parts) > at + 2 else []
            if file in files and parts:
                folders.add("/".join(parts))
    return folders


def settle(folder: Path) -> None:
    """Waits for a process that is just replacing a folder; what a killed one left is mended."""
    moved = f"{_WORKPLACE}*/{glob.escape(folder.name)}/old"
    for _ in range(1_000):
        if folder.exists() or not any(folder.parent.glob(moved)):
            return
        tidy(folder.parent)
        time.sleep(0.005)


@contextmanager
def atomic_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yields a path to write to; the file takes the place of ``path`` when the block ends well.

    Args:
        path: The file to make.
        replace: Whether one that exists already is replaced. If not, of several processes one wins.

    Raises:
        DataFolderError: The file cannot be written.
        FileExistsError: There is one already, which is not to be replaced.
    """
    with folder_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        if (os.getpid(), path.parent) not in _tidied:
            _tidied.add((os.getpid(), path.parent))
            tidy(path.parent)
    with _workplace(path.parent) as work:
        new = work / path.name
        with folder_errors(path.parent):
            yield new
            if replace:
                os.replace(new, path)
        if not replace:
            _put(new, path)


_tidied: set[tuple[int, Path]] = set()
"""Where each process has tidied up: of a folder with many files, this is not done for each."""


def _put(name: Path, path: Path) -> None:
    """Gives a file its name, which no other must have."""
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(name, path)


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Says of an error of the system in which folder it happened, and what to do.

    Raises:
        DataFolderError: In place of the error.
    """
    try:
        yield
    except NasbenchLabError:
        raise
    except OSError as error:
        raise DataFolderError(
            f"Cannot write to {folder}: {error.strerror or error}. Free space or permissions may be "
            f"missing there. Elsewhere: for results, name another folder; for tables, set "
            f"{DATA_VARIABLE} to a folder that you own."
        ) from error


@contextmanager
def _ignore(error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except error:
        pass


def identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another that takes its place; None if there is none."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def link_or_copy(old: Path, new: Path) -> None:
    """Gives a file a second name, or copies it where the file system has no hard links."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)


def nearest_file(path: Path) -> str:
    """`` Did you mean …?`` with the file or folder beside a path that is not there; else nothing."""
    try:
        names = [] if path.exists() else [other.name for other in path.parent.iterdir()]
    except OSError:
        return ""
    return did_you_mean(path.name, names)


def read_text(path: Path, most: int = 1 << 26) -> str:
    """The text of a file in UTF-8, without the byte order mark that some editors put before it.

    Args:
        path: The file.
        most: The most bytes that it may have.

    Raises:
        UnicodeError: It is in another encoding; the message says what to do.
        OSError: It cannot be read.
    """
    content = read_whole(path, most)
    refuse_utf16(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnicodeError(f"it is not in UTF-8 ({error}); save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refuse_utf16(content: bytes) -> None:
    """Refuses the beginning of a text file that is in UTF-16, with or without byte order mark.

    Raises:
        UnicodeError: It is; the message says what to do.
    """
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if marked or b"\0" in content[:4]:
        raise UnicodeError("it is not in UTF-8 but in UTF-16; save it as UTF-8")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; of a folder, that of its files' names and sums."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        lines = (f"{sha256(file)}  {file.name}\n" for file in files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_checksum(content: object) -> str:
    """The SHA-256 of what was read from JSON, however the text was laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
