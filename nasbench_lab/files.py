"""Writing files and folders so that a reader sees all of one or nothing."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasbench_lab.bounded_files import read_whole
from nasbench_lab.errors import DataFolderError, NasbenchLabError, did_you_mean

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
        recover(folder)
        work = Path(tempfile.mkdtemp(prefix=_temporary(folder), dir=folder.parent))
    try:
        new, old = work / "new", work / "old"
        with folder_errors(folder):
            new.mkdir()
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
    finally:
        shutil.rmtree(work, ignore_errors=True)


def recover(folder: Path) -> None:
    """Tidies up after processes of this machine that were killed at work on a folder.

    Had one just moved the old folder out of the way of the new one, the old one is put back.
    """
    for left in _left_by_killed(folder.parent, folder.name):
        with _ignore(OSError):
            if (left / "old").is_dir() and not folder.exists():
                os.rename(left / "old", folder)
        shutil.rmtree(left, ignore_errors=True)


def tidy(folder: Path) -> None:
    """Removes files that processes of this machine were writing to a folder when they were killed."""
    for left in _left_by_killed(folder):
        with _ignore(OSError):
            left.unlink()


def _left_by_killed(folder: Path, name: str | None = None) -> Iterator[Path]:
    """What stands in a folder under temporary names of processes of this machine that are no more.

    Args:
        folder: The folder.
        name: Only what was to take the place of this; by default everything.
    """
    for left in folder.glob(".*-*-*-*" if name is None else f".{glob.escape(name)}-*-*-*"):
        place, host, process, _ = left.name.rsplit("-", 3)
        if name is not None and place != f".{name}":
            continue
        if host != _host() or not process.isdecimal() or os.name != "posix":
            continue
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            yield left
        except (OSError, OverflowError):
            pass  # it is somebody else's


def _temporary(path: Path) -> str:
    """The beginning of a name for what will take the place of a path."""
    return f".{path.name}-{_host()}-{os.getpid()}-"


def _host() -> str:
    """This machine's name: process numbers mean something there only."""
    return re.sub(r"\W", "_", platform.node())


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
        handle, name = tempfile.mkstemp(
            prefix=_temporary(path), suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
    try:
        with folder_errors(path.parent):
            yield Path(name)
            # mkstemp makes files that only their owner may read.
            os.chmod(name, 0o666 & ~_umask())
            if replace:
                os.replace(name, path)
        if not replace:
            _put(name, path)
    finally:
        with _ignore(FileNotFoundError):
            os.unlink(name)


def _put(name: str, path: Path) -> None:
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


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


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
